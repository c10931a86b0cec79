// How many packets a worker gives to one call of Pipeline::process().
//
// All packets of a call leave together, when the last of them is done. Of what has piled up in a
// moment's absence each would wait for the whole of a large call; small ones let the first go
// earlier, and who receives them works meanwhile. A worker that gets only full calls has more to do
// than it can, and for it large calls are cheaper: 2 to 6 % a packet.
//
// Threading: one per lane of a worker.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gmesp::ipsec {

class CallSize {
 public:
  /// Two full sets of lanes of the widest engine.
  static constexpr uint32_t kSmallPackets = 32;
  /// So many small calls are 256 packets: what comes in 20 us at 12 million a second.
  static constexpr uint32_t kFullCallsMax = 8;

  explicit CallSize(uint32_t largest_packets)
      : largest_packets_(largest_packets),
        small_packets_(std::min(kSmallPackets, largest_packets)) {}

  /// The most for the next call.
  uint32_t packets() const {
    return full_calls_ < kFullCallsMax ? small_packets_ : largest_packets_;
  }

  /// What the call got.
  void took(uint32_t packets) {
    full_calls_ = packets < small_packets_ ? 0 : std::min(full_calls_ + 1, kFullCallsMax);
  }

 private:
  const uint32_t largest_packets_;
  const uint32_t small_packets_;
  uint32_t full_calls_ = 0;  ///< in a row, of at least the small size
};

}  // namespace gmesp::ipsec
