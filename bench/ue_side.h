// Which two of the four SAs of a set.
#pragma once

#include <cstdint>

namespace gmesp::bench {

/// Those between port_uc and port_ps, or port_us and port_pc.
enum class UeSide : uint8_t { kClient = 0, kServer = 1 };

}  // namespace gmesp::bench
