// What an operator sets for libgmesp-mnl, by environment: the library has no file and no arguments.
//
// Threading: read_settings() from any thread. Errors: told by report(), with the variable's name.
#pragma once

#include <stdint.h>

namespace gmesp::mnl {

inline constexpr uint32_t kLifetimeMinS = 60;
inline constexpr uint32_t kLifetimeMaxS = UINT32_MAX;  ///< TS 33.203 7.1: 2^32-1 s
/// The proxy does not say how long an SA lives. Seven days outlast the longest registration a UE
/// asks for (600,000 s, TS 24.229 5.1.1.2.1); the end of a registration is told by a delete.
inline constexpr uint32_t kLifetimeDefaultS = 7 * 24 * 3600;
inline constexpr uint32_t kTimeoutMinMs = 10;
inline constexpr uint32_t kTimeoutMaxMs = 60000;
inline constexpr uint32_t kTimeoutDefaultMs = 1000;

struct Settings {
  const char* socket_path;  ///< GMESP_MNL_SOCKET, gmespd's; the environment's or static
  uint32_t lifetime_s;      ///< GMESP_MNL_LIFETIME_S, of every set installed
  uint32_t timeout_ms;      ///< GMESP_MNL_TIMEOUT_MS, the longest a call may take
};

/// False, and reported, if a variable is not as it may be; then `settings` is not to be used.
bool read_settings(Settings& settings);

}  // namespace gmesp::mnl
