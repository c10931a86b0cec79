// Joins fragments into whole datagrams, bounded in number, size, time and per source (R-2406-11,
// R-2406-12).
//
// Rules:
// - Overlapping fragments drop their whole datagram (RFC 5722, applied to IPv4 too), and the rest
// of
//   it until its time is over. An exact repetition of a fragment drops the repetition alone.
// - Every fragment that is not part of a delivered datagram is counted once under its reason.
// - A full table refuses newcomers: were the oldest pushed out instead, a stranger's flood could
//   cancel every datagram that is under way; so it delays only those that start during the flood.
// - All memory is allocated at construction.
//
// Ownership: add() copies the fragment's bytes; the caller keeps and frees the packet.
// Threading: one worker. Errors: the constructor throws std::invalid_argument naming the option.
#pragma once

#include <cstdint>
#include <memory>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

struct ReassemblerOptions {
  uint32_t datagrams_max = 1024;
  uint32_t datagram_bytes_max = 16384;  ///< whole frame after joining, 1,280..65,535
  uint32_t per_source_max = 64;  ///< unfinished datagrams per IPv4 address or IPv6 /64 prefix
  uint32_t timeout_ms = 3000;
};

class Reassembler {
 public:
  enum class Outcome : uint8_t { kStored, kComplete, kDropped };
  struct Result {
    Outcome outcome;
    DropReason reason;           ///< kDropped
    uint32_t fragments_dropped;  ///< kDropped: this one and those stored that go with it
    uint32_t slot;               ///< kComplete: for take()
  };

  explicit Reassembler(const ReassemblerOptions& options);
  ~Reassembler();

  /// `fragment` was parsed and is a fragment. Fragments of different `context` (a side, an SA) or
  /// VLAN are never joined. After kComplete, take() must follow.
  Result add(const Packet& fragment, uint32_t context, uint64_t now_ms);
  Result add(const Packet& fragment, uint64_t now_ms) { return add(fragment, 0, now_ms); }

  /// Writes the joined frame into `whole` (buffer and capacity given, `data` set with `headroom`
  /// bytes before it): the first fragment's Ethernet and IP headers without fragment fields, IPv4
  /// DF clear, lengths and checksum right, ECN of all fragments (RFC 3168 5.3). `whole` is to be
  /// parsed and is never a fragment itself. The slot is free afterwards. False if it does not fit;
  /// the slot is free all the same. `fragments` tells how many went either way.
  bool take(uint32_t slot, Packet& whole, uint32_t headroom, uint32_t& fragments);

  /// Forgets datagrams that are overdue, looking at no more than `budget` slots, oldest first.
  /// Returns the fragments dropped (kFragmentTimeout).
  uint32_t expire(uint64_t now_ms, uint32_t budget);

  /// Slots in use, those of dropped datagrams whose time is not over included.
  uint32_t waiting() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gmesp::ipsec
