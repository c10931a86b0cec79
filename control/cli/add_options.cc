#include "control/cli/add_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::json;

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

json parse_object(const std::string& text, const char* what) {
  json object = json::parse(text, nullptr, false);
  if (!object.is_object()) throw InputError(fmt::format("{}: not a JSON object", what));
  return object;
}

json read_keys(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw InputError(fmt::format("{}: {}", path, std::strerror(errno)));
  }
  json keys = parse_object(read_all(path == "-" ? std::cin : file), "--keys-file");
  for (const auto& [field, value] : keys.items())
    if (field != "integrity_key" && field != "cipher_key" && field != "ik" && field != "ck")
      throw InputError("--keys-file: allowed are integrity_key, cipher_key, ik and ck");
  return keys;
}

/// As written if it is a number at all: its range is checked with the field.
json number_of(const std::string& field, const std::string& text) {
  json number = json::parse(text, nullptr, false);
  if (!number.is_number())
    throw InputError(fmt::format("{}: found \"{}\", allowed a whole number", field, text));
  return number;
}

}  // namespace

std::string add_object(const AddOptions& options) {
  if (options.object == "-" && options.keys_file == "-")
    throw InputError("OBJECT and --keys-file: only one of them can be standard input");
  json object = json::object();
  if (!options.object.empty())
    object = parse_object(options.object == "-" ? read_all(std::cin) : options.object, "OBJECT");
  for (const auto& [field, text] : options.values) {
    const auto* known = std::ranges::find(kAddFields, field, &AddField::field);
    object[field] = known->is_number ? number_of(field, text) : json(text);
  }
  if (!options.keys_file.empty()) object.update(read_keys(options.keys_file));
  return object.dump();
}

}  // namespace gmesp::cli
