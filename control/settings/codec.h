// How one value is read from TOML, written back, and what it may be. One small type per kind of
// value; each has read() (false: not allowed, the value is unchanged), write() and allowed().
//
// Threading: constants only. Errors: none thrown.
#pragma once

#include <toml++/toml.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gmesp::settings {

/// Both ends included.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

/// A node for an error message: a short value as it is, a long one cut, a container by its kind.
std::string describe(const toml::node& node);
/// A TOML basic string with its quotes.
std::string toml_quoted(std::string_view text);

struct WholeNumber {
  uint64_t min;
  uint64_t max;
  uint64_t multiple = 1;
  std::optional<uint64_t> also = {};  ///< a value outside these rules

  template <std::unsigned_integral Number>
  bool read(const toml::node& node, Number& value) const {
    uint64_t number = 0;
    if (!read_number(node, number)) return false;
    value = static_cast<Number>(number);
    return true;
  }
  std::string write(uint64_t value) const { return std::to_string(value); }
  std::string allowed() const;

 private:
  bool read_number(const toml::node& node, uint64_t& value) const;
};

struct Boolean {
  bool read(const toml::node& node, bool& value) const;
  std::string write(bool value) const { return value ? "true" : "false"; }
  std::string allowed() const { return "true or false"; }
};

struct Text {
  bool (*is_valid)(std::string_view);
  const char* rule;

  bool read(const toml::node& node, std::string& value) const;
  std::string write(const std::string& value) const { return toml_quoted(value); }
  std::string allowed() const { return rule; }
};

/// File permissions of a socket: "0600", or "auto", which leaves them to socket_access.h.
struct SocketMode {
  static constexpr uint32_t kAuto = 0;

  bool read(const toml::node& node, uint32_t& value) const;
  std::string write(uint32_t value) const;
  std::string allowed() const {
    return "\"auto\", or a string of four octal digits, \"0600\" to \"0777\"; the owner must be "
           "able to read and write";
  }
};

/// "5062-5099", "5062" or 5062.
struct PortRangeText {
  bool read(const toml::node& node, PortRange& value) const;
  std::string write(PortRange value) const;
  std::string allowed() const { return "\"first-last\" or one port, within 1..65535"; }
};

template <class Enum>
struct Choice {
  std::span<const std::pair<std::string_view, Enum>> names;

  bool read(const toml::node& node, Enum& value) const {
    const auto text = node.value_exact<std::string_view>();
    for (const auto& [name, meaning] : names)
      if (text == name) {
        value = meaning;
        return true;
      }
    return false;
  }
  std::string write(Enum value) const {
    for (const auto& [name, meaning] : names)
      if (meaning == value) return toml_quoted(name);
    return toml_quoted("");
  }
  std::string allowed() const {
    std::string list;
    for (const auto& [name, meaning] : names) {
      if (!list.empty()) list += ", ";
      list += toml_quoted(name);
    }
    return list;
  }
};

}  // namespace gmesp::settings
