// The version of gmesp-control, as the build says it.
#pragma once

namespace gmesp::control {

inline constexpr const char* kVersionText = GMESP_VERSION;

}  // namespace gmesp::control
