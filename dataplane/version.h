// The version that gmespd, its answers and `--version` tell; set by meson.build.
#pragma once

namespace gmesp::dataplane {

inline constexpr const char* kVersion = GMESP_VERSION;

}  // namespace gmesp::dataplane
