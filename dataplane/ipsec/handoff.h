// Packets on their way from the worker that received them to the worker that owns their SA or
// datagram.
//
// Threading: one writing and one reading worker per ring. Ownership of the packet moves with the
// entry.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/ipsec/pipeline.h"

namespace gmesp::ipsec {

struct HandedOff {
  void* owner;
  uint32_t pair;  ///< index of the port pair it came in on
  Side side;
  bool joined;  ///< Packet::joined
};

class HandoffRing {
 public:
  static constexpr uint32_t kSlots = 1024;

  /// False if the ring is full; the packet stays the caller's.
  bool push(const HandedOff& entry) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == kSlots) return false;
    slots_[head % kSlots] = entry;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  bool pop(HandedOff& entry) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return false;
    entry = slots_[tail % kSlots];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

 private:
  alignas(64) std::atomic<uint32_t> head_{0};
  alignas(64) std::atomic<uint32_t> tail_{0};
  std::array<HandedOff, kSlots> slots_;
};

}  // namespace gmesp::ipsec
