// Which cache lines of a packet will be read and written: on their way while others are looked at.
#pragma once

#include <algorithm>
#include <cstdint>

#include "crypto/prefetch.h"
#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

/// What prepare_outbound() writes to: a line that is not there yet would hold up the writes behind
/// it.
inline void prefetch_both_ends(const Packet& packet) {
  constexpr uint32_t kFrontBytes = 32;  // of ESP header and IV, at least
  crypto::prefetch(packet.data - kFrontBytes);
  crypto::prefetch(packet.data + packet.length);
}

/// What the engine reads, but for the first line: in its lanes sixteen packets are read at once,
/// which is more than the CPU foresees.
inline void prefetch_payload(const Packet& packet) {
  constexpr uint32_t kLineBytes = 64, kBytesMax = 2048;
  const uint32_t end = std::min(packet.length, kBytesMax);
  for (uint32_t at = kLineBytes; at < end; at += kLineBytes) crypto::prefetch(packet.data + at);
}

}  // namespace gmesp::ipsec
