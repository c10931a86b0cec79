#include "control/settings/text.h"

#include <algorithm>

namespace gmesp::settings {

bool is_instance_name(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool is_path(std::string_view text) {
  return text.size() > 1 && text.front() == '/' && text.back() != '/' &&
         text.size() <= kPathBytesMax;
}

bool is_path_or_empty(std::string_view text) {
  return text.empty() || is_path(text);
}

}  // namespace gmesp::settings
