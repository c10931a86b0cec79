// The way from a TOML file to the checked settings of a program, the same for all of them.
//
// `Result` has `config` and `errors`; its config is of use only without errors.
// Threading: pure functions. Errors: in the result, all at once, never thrown.
#pragma once

#include <string>
#include <string_view>

#include "control/settings/file.h"
#include "control/settings/reader.h"

namespace gmesp::settings {

/// `read`: takes the settings from the Reader along the program's schema, and checks them.
/// `file` is what errors name.
template <class Result, class Read>
Result parse(std::string_view text, const std::string& file, Read read) {
  Result result;
  toml::table root;
  if (!parse_toml(text, file, root, result.errors)) return result;
  Reader reader(root, file);
  read(reader, result.config);
  result.errors = reader.take_errors();
  return result;
}

template <class Result>
Result load(const std::string& path, Result (*parse_text)(std::string_view, const std::string&)) {
  Result result;
  std::string text;
  if (!read_file(path, text, result.errors)) return result;
  return parse_text(text, path);
}

}  // namespace gmesp::settings
