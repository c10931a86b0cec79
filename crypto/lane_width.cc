#include "crypto/lane_width.h"

namespace gmesp::crypto {

LaneWidth lane_width_of_cpu() {
  return __builtin_cpu_is("amd") ? LaneWidth::kWide : LaneWidth::kNarrow;
}

}  // namespace gmesp::crypto
