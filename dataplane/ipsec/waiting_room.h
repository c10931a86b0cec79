// Packets that wait for others of their kind, because the engine takes hardly longer for many than
// for one: with AVX-512 sixteen 3DES packets cost what six do.
//
// They wait only while the worker is busy, and for a few calls at most. They wait as packets, with
// nothing of their SA: whoever leaves is looked up again, and may find that the SA is gone. First
// in, first out, so that packets of one SA keep their order.
//
// Ownership: buffers of the packets belong to the room until they leave. Threading: one worker's.
// Errors: none; a room that is full wants nobody.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/ipsec/pending.h"

namespace gmesp::ipsec {

class WaitingRoom {
 public:
  /// Calls of the pipeline that a packet waits for, at most.
  static constexpr uint32_t kCallsMax = 8;
  /// A call with so many packets says that the worker is busy.
  static constexpr uint32_t kBusyPackets = 32;

  /// `company`: packets that the engine wants at once; 1: nobody waits. `packets_max`: of one call.
  WaitingRoom(uint32_t company, uint32_t packets_max);

  /// Each call of the pipeline begins with this; `packets`: of both sides together.
  void begin_call(uint32_t packets);
  /// Whether the next packet of the kind must wait; false: it goes on at once, and nobody is here
  /// whom it could overtake. Ask once for each.
  bool wants_next();
  void add(const Pending& pending);

  uint32_t count() const { return count_; }
  /// How many go on in this call.
  uint32_t due() const;
  /// `at` counts from the first who came. Its packet stays here until leave().
  Pending waiting(uint32_t at);
  /// The first `count` have gone on.
  void leave(uint32_t count);

 private:
  struct Guest {
    Packet packet;
    Pending pending;
    uint32_t arrived_in_call;
  };

  const uint32_t company_;
  bool is_busy_ = false;
  bool had_company_ = false;  ///< the call before brought enough of the kind
  uint32_t seen_ = 0;         ///< of the kind, in this call
  uint32_t call_ = 0;
  uint32_t count_ = 0;
  std::vector<Guest> guests_;
};

}  // namespace gmesp::ipsec
