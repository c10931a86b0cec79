// For tests of lanes: both widths, of which a CPU uses one.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "crypto/lane_width.h"

namespace gmesp::crypto::test {

inline auto lane_widths() {
  return testing::Values(LaneWidth::kNarrow, LaneWidth::kWide);
}
inline std::string lane_width_name(LaneWidth width) {
  return width == LaneWidth::kNarrow ? "Narrow" : "Wide";
}

}  // namespace gmesp::crypto::test
