#include "control/settings/codec.h"

#include <fmt/format.h>

#include <charconv>
#include <sstream>

namespace gmesp::settings {
namespace {

constexpr size_t kShownBytesMax = 60;

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time";
    case toml::node_type::date_time:
      return "a date and time";
    default:
      return "something else";
  }
}

bool read_port(std::string_view text, uint16_t& port) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc{} && stop == end && port != 0;
}

}  // namespace

std::string toml_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      quoted += fmt::format("\\u{:04X}", byte);
    else
      quoted += c;
  }
  return quoted + '"';
}

std::string describe(const toml::node& node) {
  if (const auto text = node.value_exact<std::string_view>()) {
    if (text->size() <= kShownBytesMax) return toml_quoted(*text);
    size_t cut = kShownBytesMax;
    while (cut > 0 && ((*text)[cut] & 0xc0) == 0x80) --cut;  // not inside a UTF-8 character
    return toml_quoted(text->substr(0, cut)) + "...";
  }
  if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
  return std::string(kind_of(node));
}

bool WholeNumber::read_number(const toml::node& node, uint64_t& value) const {
  const auto number = node.value_exact<int64_t>();
  if (!number || *number < 0) return false;
  value = static_cast<uint64_t>(*number);
  return value == also || (value >= min && value <= max && value % multiple == 0);
}

std::string WholeNumber::allowed() const {
  std::string text = fmt::format("{}..{}", min, max);
  if (multiple != 1) text += fmt::format(", a multiple of {}", multiple);
  if (also) text += fmt::format(", or {}", *also);
  return text;
}

bool Boolean::read(const toml::node& node, bool& value) const {
  const auto found = node.value_exact<bool>();
  if (found) value = *found;
  return found.has_value();
}

bool Text::read(const toml::node& node, std::string& value) const {
  const auto found = node.value_exact<std::string_view>();
  // A NUL would cut the string short wherever C reads it.
  if (!found || found->find('\0') != found->npos || !is_valid(*found)) return false;
  value = *found;
  return true;
}

bool SocketMode::read(const toml::node& node, uint32_t& value) const {
  const auto text = node.value_exact<std::string_view>();
  if (text == "auto") {
    value = kAuto;
    return true;
  }
  if (!text || text->size() != 4 || text->front() != '0') return false;
  uint32_t mode = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, mode, 8);
  if (error != std::errc{} || stop != end || (mode & 0600) != 0600) return false;
  value = mode;
  return true;
}

std::string SocketMode::write(uint32_t value) const {
  return value == kAuto ? toml_quoted("auto") : fmt::format("\"{:04o}\"", value);
}

bool PortRangeText::read(const toml::node& node, PortRange& value) const {
  PortRange range;
  if (const auto number = node.value_exact<int64_t>()) {
    if (*number < 1 || *number > UINT16_MAX) return false;
    range.first = range.last = static_cast<uint16_t>(*number);
  } else if (const auto text = node.value_exact<std::string_view>()) {
    const size_t dash = text->find('-');
    if (!read_port(text->substr(0, dash), range.first)) return false;
    range.last = range.first;
    if (dash != text->npos && !read_port(text->substr(dash + 1), range.last)) return false;
  } else {
    return false;
  }
  if (range.first > range.last) return false;
  value = range;
  return true;
}

std::string PortRangeText::write(PortRange value) const {
  return value.first == value.last ? fmt::format("\"{}\"", value.first)
                                   : fmt::format("\"{}-{}\"", value.first, value.last);
}

}  // namespace gmesp::settings
