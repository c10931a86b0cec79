// What the packet path tells the control thread: fixed records in a bounded ring, dropped and
// counted when it is full.
//
// Threading: one writer (a worker), one reader (the control thread).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "control/shm/layout.h"
#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/drop_reason.h"
#include "dataplane/ipsec/sa.h"

namespace gmesp::ipsec {

/// One event, with the SA by index: the control thread adds set id and cookie.
struct Notice {
  shm::EventKind kind;
  DropReason reason;  ///< kAudit
  uint8_t protocol;
  uint16_t source_port;
  uint16_t destination_port;
  SaIndex sa;  ///< kNoSa: none
  uint32_t spi;
  uint32_t sequence;
  uint32_t suppressed;
  uint64_t value;
  uint64_t time_ms;
  Address source;
  Address destination;
};

class NoticeRing {
 public:
  static constexpr uint32_t kSlots = 4096;

  /// False if the ring is full; the notice is counted in lost().
  bool push(const Notice& notice) {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == kSlots) {
      lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return false;
    }
    slots_[head % kSlots] = notice;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  bool pop(Notice& notice) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return false;
    notice = slots_[tail % kSlots];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<uint32_t> head_{0};
  std::atomic<uint64_t> lost_{0};
  alignas(64) std::atomic<uint32_t> tail_{0};
  std::unique_ptr<Notice[]> slots_ = std::make_unique<Notice[]>(kSlots);
};

}  // namespace gmesp::ipsec
