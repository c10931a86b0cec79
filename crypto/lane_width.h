// How many registers of lanes are worked on together: as many as a CPU needs so that the waits of
// one are filled by the others, and no more, since their words and keys no longer fit in registers.
//
// Threading: no state. Errors: none. Source: measured (ARCHITECTURE.md).
#pragma once

#include <cstdint>

namespace gmesp::crypto {

enum class LaneWidth : uint8_t {
  kNarrow,  ///< for two units of 512 bits: Intel
  kWide,    ///< for four, each of them slower to answer: AMD since Zen 5
};

/// What suits this CPU.
LaneWidth lane_width_of_cpu();

}  // namespace gmesp::crypto
