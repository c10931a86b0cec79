// Tests that a text setting must pass; the schemas name them.
//
// Threading: pure functions.
#pragma once

#include <string_view>

namespace gmesp::settings {

/// sockaddr_un has room for no more.
inline constexpr size_t kSocketPathBytesMax = 107;
inline constexpr size_t kPathBytesMax = 4095;

/// 1 to 32 letters, digits, '-' or '_'.
bool is_instance_name(std::string_view text);
/// Absolute, and not a folder by its look.
bool is_path(std::string_view text);
bool is_path_or_empty(std::string_view text);

}  // namespace gmesp::settings
