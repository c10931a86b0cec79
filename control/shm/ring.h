// One direction of the shared memory: a single-producer single-consumer ring of fixed slots.
//
// Neither end trusts the other. Each keeps its own index in private memory and only ever publishes
// it; the other end's index is read once per refill and refused when it claims more slots than
// there are. A slot is copied out once, so that what was checked is what is used.
// Indices run freely through 2^32; the place of an index is its value masked by the slot count.
//
// Sleeping: a consumer that wants to be told arms `consumer_sleeps` and looks once more; a producer
// that finds it armed disarms it and rings the bell (a byte on the connection's socket). The same
// with `producer_waits` for a producer without room. Both orders need sequential consistency: the
// store of one word must be seen before the load of the other.
//
// Threading: one thread per end. Errors: kCorrupt, after which the ring must not be used.
// Uses nothing that needs the C++ run-time library: libgmesp is built from it too.
#pragma once

#include <string.h>

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace gmesp::shm {

/// The words both ends see. Each end writes a cache line of its own, but for the two flags.
struct RingIndices {
  alignas(64) std::atomic<uint32_t> tail;  ///< written by the producer: slots ever filled
  std::atomic<uint32_t> producer_waits;    ///< 1: ring when slots came free
  alignas(64) std::atomic<uint32_t> head;  ///< written by the consumer: slots ever emptied
  std::atomic<uint32_t> consumer_sleeps;   ///< 1: ring when slots were filled
};
static_assert(sizeof(RingIndices) == 128);
static_assert(std::atomic<uint32_t>::is_always_lock_free);

enum class RingResult { kDone, kBusy, kCorrupt };  ///< kBusy: full for push, empty for pop

/// Disarms `flag`; true if it was armed, that is if the bell must be rung.
inline bool disarm(std::atomic<uint32_t>& flag) {
  return flag.load(std::memory_order_seq_cst) != 0 && flag.exchange(0) != 0;
}

template <class Slot>
class RingProducer {
  static_assert(std::is_trivially_copyable_v<Slot>);

 public:
  RingProducer() = default;
  /// `slots_count` is a power of two; both ends start at the same index.
  RingProducer(RingIndices* indices, Slot* slots, uint32_t slots_count, uint32_t start = 0)
      : indices_(indices), slots_(slots), count_(slots_count), tail_(start), head_seen_(start) {}

  RingResult push(const Slot& slot) {
    if (const RingResult room = refill(1); room != RingResult::kDone) return room;
    memcpy(&slots_[tail_ & (count_ - 1)], &slot, sizeof slot);
    indices_->tail.store(++tail_, std::memory_order_seq_cst);
    return RingResult::kDone;
  }

  /// kDone if `slots_count` slots are free now.
  RingResult refill(uint32_t slots_count) {
    if (count_ - (tail_ - head_seen_) >= slots_count) return RingResult::kDone;
    const uint32_t head = indices_->head.load(std::memory_order_seq_cst);
    if (tail_ - head > count_) return RingResult::kCorrupt;
    head_seen_ = head;
    return count_ - (tail_ - head) >= slots_count ? RingResult::kDone : RingResult::kBusy;
  }

  void arm() { indices_->producer_waits.store(1, std::memory_order_seq_cst); }
  bool peer_sleeps() { return disarm(indices_->consumer_sleeps); }

 private:
  RingIndices* indices_ = nullptr;
  Slot* slots_ = nullptr;
  uint32_t count_ = 0;
  uint32_t tail_ = 0;
  uint32_t head_seen_ = 0;  ///< free slots are counted from here until they run out
};

template <class Slot>
class RingConsumer {
  static_assert(std::is_trivially_copyable_v<Slot>);

 public:
  RingConsumer() = default;
  RingConsumer(RingIndices* indices, Slot* slots, uint32_t slots_count, uint32_t start = 0)
      : indices_(indices), slots_(slots), count_(slots_count), head_(start), tail_seen_(start) {}

  RingResult pop(Slot& slot) { return take(slot, false); }
  /// As pop(), and leaves nothing of the slot behind: for slots that carry keys (R-D-K2).
  RingResult pop_and_wipe(Slot& slot) { return take(slot, true); }

  /// kDone if a slot is filled now.
  RingResult refill() {
    if (head_ != tail_seen_) return RingResult::kDone;
    const uint32_t tail = indices_->tail.load(std::memory_order_seq_cst);
    if (tail - head_ > count_) return RingResult::kCorrupt;
    tail_seen_ = tail;
    return tail == head_ ? RingResult::kBusy : RingResult::kDone;
  }

  void arm() { indices_->consumer_sleeps.store(1, std::memory_order_seq_cst); }
  bool peer_waits() { return disarm(indices_->producer_waits); }

 private:
  RingResult take(Slot& slot, bool wipe) {
    if (const RingResult filled = refill(); filled != RingResult::kDone) return filled;
    Slot* place = &slots_[head_ & (count_ - 1)];
    memcpy(&slot, place, sizeof slot);
    // The compiler must not read the place again for what it already copied.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (wipe) explicit_bzero(place, sizeof *place);
    indices_->head.store(++head_, std::memory_order_seq_cst);
    return RingResult::kDone;
  }

  RingIndices* indices_ = nullptr;
  Slot* slots_ = nullptr;
  uint32_t count_ = 0;
  uint32_t head_ = 0;
  uint32_t tail_seen_ = 0;
};

}  // namespace gmesp::shm
