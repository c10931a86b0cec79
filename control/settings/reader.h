// Reads a TOML table into settings along their schema; collects every error and remembers where
// each key stands.
//
// Threading: one thread. Ownership: borrows the table. Errors: collected, none thrown.
#pragma once

#include <toml++/toml.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/settings/codec.h"
#include "control/settings/error.h"

namespace gmesp::settings {

class Reader {
 public:
  Reader(const toml::table& root, std::string file);
  /// Call after all visits: reports what the schema did not ask for at the top.
  void finish();

  template <class Keys>
  void table(const char* name, const char*, Keys keys) {
    if (const toml::table* found = take_table(name)) {
      enter(*found, prefix_ + name);
      keys();
      leave();
    }
  }

  template <class Entry, class Keys>
  void tables(const char* name, std::vector<Entry>& values, const char*, Keys keys) {
    const toml::array* found = take_array_of_tables(name);
    if (found == nullptr) return;
    values.assign(found->size(), Entry{});
    for (size_t i = 0; i < found->size(); ++i) {
      enter(*found->get(i)->as_table(), prefix_ + name + '[' + std::to_string(i) + ']');
      keys(values[i]);
      leave();
    }
  }

  template <class Value, class Codec>
  void key(const char* name, Value& value, const Codec& codec, const char*) {
    const toml::node* node = take(name);
    if (node != nullptr && !codec.read(*node, value))
      add(prefix_ + name, node->source(), describe(*node), codec.allowed());
  }

  template <class Value, class Codec>
  void list(const char* name, std::vector<Value>& values, const Codec& codec, const char*) {
    const toml::array* found = take_array(name, codec.allowed());
    if (found == nullptr) return;
    values.clear();
    for (size_t i = 0; i < found->size(); ++i) {
      const toml::node& node = *found->get(i);
      Value value{};
      if (codec.read(node, value))
        values.push_back(value);
      else
        add(prefix_ + name + '[' + std::to_string(i) + ']', node.source(), describe(node),
            codec.allowed());
    }
  }

  /// An error about keys that are each fine; it stands where `key`, or else its table, stands.
  void add(const std::string& key, const std::string& found, const std::string& allowed);
  /// About the key itself or, for a list, one of its values.
  bool has_error_under(const std::string& key) const;
  std::vector<Error> take_errors();

 private:
  struct Frame {
    const toml::table* table;
    std::string path;
    std::vector<std::string> known;
  };

  void enter(const toml::table& table, const std::string& path);
  void leave();
  const toml::node* take(const char* name);
  const toml::table* take_table(const char* name);
  const toml::array* take_array(const char* name, const std::string& allowed);
  const toml::array* take_array_of_tables(const char* name);
  void add(const std::string& key, const toml::source_region& where, const std::string& found,
           const std::string& allowed);
  void report_unknown(const Frame& frame);

  const std::string file_;
  std::vector<Frame> frames_;
  std::string prefix_;  ///< "control." while inside [control]
  std::map<std::string, toml::source_position> positions_;
  std::vector<Error> errors_;
};

}  // namespace gmesp::settings
