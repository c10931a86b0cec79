// Settings as commented TOML: a schema walked to print.
//
// Threading: one thread. Errors: none.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace gmesp::settings {

class Writer {
 public:
  /// `program`: whose settings they are.
  explicit Writer(const std::string& program)
      : text_(fmt::format("# Configuration of {0}. Every key may be left out; an empty file runs.\n"
                          "# Check it with: {0} --check-config --config FILE\n",
                          program)) {}

  template <class Keys>
  void table(const char* name, const char* comment, Keys keys) {
    begin_section(comment);
    text_ += fmt::format("[{}]\n", name);
    keys();
  }

  template <class Entry, class Keys>
  void tables(const char* name, std::vector<Entry>& values, const char* comment, Keys keys) {
    for (Entry& value : values) {
      begin_section(comment);
      comment = "";
      text_ += fmt::format("[[{}]]\n", name);
      keys(value);
    }
  }

  template <class Value, class Codec>
  void key(const char* name, const Value& value, const Codec& codec, const char* comment) {
    put_comment(comment);
    text_ += fmt::format("{} = {}\n", name, codec.write(value));
  }

  template <class Value, class Codec>
  void list(const char* name, const std::vector<Value>& values, const Codec& codec,
            const char* comment) {
    put_comment(comment);
    std::string items;
    for (const Value& value : values) items += (items.empty() ? "" : ", ") + codec.write(value);
    text_ += fmt::format("{} = [{}]\n", name, items);
  }

  std::string take() { return std::move(text_); }

 private:
  void begin_section(std::string_view comment) {
    text_ += '\n';
    if (!comment.empty()) put_comment(comment);
  }

  void put_comment(std::string_view comment) {
    for (size_t at = 0; at <= comment.size();) {
      const size_t end = std::min(comment.find('\n', at), comment.size());
      text_ += fmt::format("# {}\n", comment.substr(at, end - at));
      at = end + 1;
    }
  }

  std::string text_;
};

}  // namespace gmesp::settings
