// Frames for a port that writes them from the cache (frame_port.cc): what all have in common is
// there once, and of each only what differs.
//
// A file of one AlikeFrames, then one Difference for each frame. It is shared while a device runs:
// whoever measures opens it and reads what came of it. Units: bytes, nanoseconds.
#pragma once

#include <cstdint>

namespace gmesp::bench {

struct AlikeFrames {
  static constexpr uint64_t kMagic = 0x31656b696c61'6d67;  // "gmalike1"
  static constexpr uint32_t kHeadBytes = 64;
  static constexpr uint32_t kTailBytes = 16;
  static constexpr uint32_t kFrameBytesMax = 1536;

  struct Difference {
    uint8_t head[kHeadBytes];
    uint8_t tail[kTailBytes];
  };

  uint64_t magic = kMagic;
  uint64_t count = 0;
  uint64_t frame_bytes = 0;
  // Said by whoever measures, `is_open` last.
  uint64_t to_give = 0;        ///< frames in all, from the first one again behind the last
  uint64_t measured_from = 0;  ///< of them; until then a device finds its pace
  uint64_t is_open = 0;        ///< none is given before
  // Said by the port.
  uint64_t measured_ns = 0;  ///< from frame `measured_from` to the last one; 0: not yet
  alignas(64) uint8_t whole[kFrameBytesMax] = {};  ///< one frame
};

}  // namespace gmesp::bench
