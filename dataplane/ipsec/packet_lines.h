// Which cache lines of a packet will be read and written: on their way while others are looked at.
#pragma once

#include <algorithm>
#include <cstdint>

#include "crypto/prefetch.h"
#include "crypto/suite.h"
#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

inline constexpr uint32_t kLineBytes = 64;

/// What prepare_outbound() writes to: a line that is not there yet would hold up the writes behind
/// it.
inline void prefetch_both_ends(const Packet& packet) {
  constexpr uint32_t kFrontBytes = 32;  // of ESP header and IV, at least
  constexpr uint32_t kBackBytes = 28;   // of padding, trailer and ICV, nearly the most
  crypto::prefetch(packet.data - kFrontBytes);
  crypto::prefetch(packet.data + packet.length);
  crypto::prefetch(packet.data + packet.length + kBackBytes);
}

/// All lines of the first `bytes`, but for the very first.
inline void prefetch_lines(const Packet& packet, uint32_t bytes) {
  const uint32_t end = std::min(packet.length, bytes);
  for (uint32_t at = kLineBytes; at < end; at += kLineBytes) crypto::prefetch(packet.data + at);
}

/// What the engine reads first: in its lanes sixteen packets are read at once, which is more than
/// the CPU foresees. That is a usual SIP message, or of what is longer the beginning and the end;
/// for the rest, the engine asks while it is at work, since a CPU has no more than sixteen lines on
/// their way to its first cache.
inline void prefetch_payload(const Packet& packet) {
  constexpr uint32_t kUsualBytes = 448;
  prefetch_lines(packet, kUsualBytes);
  if (packet.length <= kUsualBytes) return;
  // An ICV, and before it what no longer fills a block of the hash.
  const uint8_t* const end = packet.data + packet.length;
  crypto::prefetch(end - crypto::kIcvBytes - kLineBytes);
  crypto::prefetch(end - 1);
}

/// What is read once more after that.
inline void prefetch_again(const Packet& packet) {
  constexpr uint32_t kFrameBytes = 2048;
  prefetch_lines(packet, kFrameBytes);
}

}  // namespace gmesp::ipsec
