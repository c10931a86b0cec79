// The memfd of one connection: where its header and rings stand, and gmespd's end of it.
//
// gmespd makes the memory, seals its size and tells the client where things are; afterwards it
// never reads the header back. The client checks every place against the size of the memfd.
//
// Units: bytes from the start of the memory. Threading: one thread per end.
// The structs need no C++ run-time library; libgmesp uses them too.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "control/shm/layout.h"
#include "control/shm/ring.h"

namespace gmesp::shm {

inline constexpr uint32_t kRingSlotsMin = 2;
inline constexpr uint32_t kRingSlotsMax = 1u << 20;

/// One ring in the memory.
struct RingPlace {
  uint64_t indices_at;  ///< RingIndices
  uint64_t slots_at;    ///< `slots` times `slot_bytes`
  uint32_t slots;       ///< a power of two
  uint32_t slot_bytes;  ///< sizeof of the slot as gmespd knows it
};

/// First thing in the memory. Everything above the two atomics is constant.
struct MemoryHeader {
  uint32_t magic;         ///< kMagic
  uint16_t abi_version;   ///< kAbiVersion
  uint16_t header_bytes;  ///< sizeof(MemoryHeader)
  uint64_t memory_bytes;
  uint64_t epoch;  ///< of gmespd's SA memory: InfoRow::epoch
  RingPlace command;
  RingPlace completion;
  RingPlace event;
  /// CLOCK_BOOTTIME in milliseconds, advanced by gmespd about every 100 ms.
  alignas(64) std::atomic<uint64_t> heartbeat_ms;
  std::atomic<uint64_t> events_lost;  ///< events left out because the ring was full
};
static_assert(sizeof(MemoryHeader) == 192);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

/// A client may call gmespd hung when the heartbeat is older than this.
inline constexpr uint64_t kHeartbeatStaleMs = 3000;

constexpr bool is_ring_size(uint32_t slots) {
  return slots >= kRingSlotsMin && slots <= kRingSlotsMax && (slots & (slots - 1)) == 0;
}

/// True if the ring's slots are `slot_bytes` each and it lies inside `memory_bytes`.
constexpr bool is_inside(const RingPlace& place, size_t slot_bytes, uint64_t memory_bytes) {
  if (!is_ring_size(place.slots) || place.slot_bytes != slot_bytes) return false;
  if (place.indices_at % alignof(RingIndices) != 0 || place.slots_at % 8 != 0) return false;
  const auto fits = [memory_bytes](uint64_t at, uint64_t bytes) {
    return bytes <= memory_bytes && at <= memory_bytes - bytes;
  };
  return fits(place.indices_at, sizeof(RingIndices)) &&
         fits(place.slots_at, uint64_t{place.slots} * place.slot_bytes);
}

/// gmespd's end: makes, seals, maps and at the end wipes the memory.
class Memory {
 public:
  /// Throws std::system_error. The slot counts pass is_ring_size().
  Memory(uint32_t command_slots, uint32_t completion_slots, uint32_t event_slots, uint64_t epoch);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  int fd() const { return fd_; }
  uint64_t bytes() const { return plan_.memory_bytes; }

  RingConsumer<Command> commands() const { return consumer<Command>(plan_.command); }
  RingProducer<Completion> completions() const { return producer<Completion>(plan_.completion); }
  RingProducer<Event> events() const { return producer<Event>(plan_.event); }
  /// For a client that will not fetch them any more: they may carry keys (R-D-K2).
  void wipe_answers() { wipe(plan_.completion); }
  std::atomic<uint64_t>& heartbeat_ms() { return header()->heartbeat_ms; }
  std::atomic<uint64_t>& events_lost() { return header()->events_lost; }

 private:
  /// The constant part of the header, in private memory.
  struct Plan {
    uint64_t memory_bytes = 0;
    RingPlace command{};
    RingPlace completion{};
    RingPlace event{};
  };

  RingPlace place(uint32_t slots, uint32_t slot_bytes);
  void make_file();
  void wipe(const RingPlace& ring);
  void write_header(uint64_t epoch);
  MemoryHeader* header() { return reinterpret_cast<MemoryHeader*>(base_); }
  RingIndices* indices(const RingPlace& place) const {
    return reinterpret_cast<RingIndices*>(base_ + place.indices_at);
  }
  template <class Slot>
  Slot* slots(const RingPlace& place) const {
    return reinterpret_cast<Slot*>(base_ + place.slots_at);
  }
  template <class Slot>
  RingConsumer<Slot> consumer(const RingPlace& place) const {
    return {indices(place), slots<Slot>(place), place.slots};
  }
  template <class Slot>
  RingProducer<Slot> producer(const RingPlace& place) const {
    return {indices(place), slots<Slot>(place), place.slots};
  }

  Plan plan_;
  int fd_ = -1;
  uint8_t* base_ = nullptr;
};

}  // namespace gmesp::shm
