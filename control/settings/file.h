// A TOML file, read and parsed; what it says is for the schema of its program.
//
// Threading: pure functions. Errors: returned, never thrown.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>
#include <vector>

#include "control/settings/error.h"

namespace gmesp::settings {

inline constexpr size_t kFileBytesMax = 1 << 20;

/// False, and an error: no such file, not readable, too long.
bool read_file(const std::string& path, std::string& text, std::vector<Error>& errors);

/// `file` is what errors name.
bool parse_toml(std::string_view text, const std::string& file, toml::table& root,
                std::vector<Error>& errors);

}  // namespace gmesp::settings
