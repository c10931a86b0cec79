#include "control/settings/error.h"

#include <fmt/format.h>

namespace gmesp::settings {

std::string to_string(const Error& error) {
  std::string text = error.file + ':';
  if (error.line != 0) text += fmt::format("{}:{}:", error.line, error.column);
  text += ' ';
  if (!error.key.empty()) text += error.key + ": ";
  return text + fmt::format("found {}, allowed {}", error.found, error.allowed);
}

}  // namespace gmesp::settings
