// What is wrong with a setting, so that its author finds and mends it.
//
// Threading: plain values.
#pragma once

#include <cstdint>
#include <string>

namespace gmesp::settings {

struct Error {
  std::string file;
  uint32_t line = 0;  ///< 0: the file as a whole
  uint32_t column = 0;
  std::string key;  ///< "pair[0].access_mtu_bytes"; empty: not about one key
  std::string found;
  std::string allowed;
};

/// "gmespd.toml:12:9: pair[0].access_mtu_bytes: found 70000, allowed 1280..9500".
std::string to_string(const Error& error);

}  // namespace gmesp::settings
