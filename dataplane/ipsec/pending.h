// A packet that was classified and waits for its SA.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/classify.h"
#include "dataplane/ipsec/packet.h"
#include "dataplane/ipsec/sa.h"

namespace gmesp::ipsec {

enum class Side : uint8_t { kAccess = 0, kHost = 1 };

struct Pending {
  Packet* packet;
  uint64_t hash;      ///< of what it is looked up by
  SaIndex candidate;  ///< most probably its SA
  Verdict verdict;
  Side side;
  bool has_waited;               ///< for company (waiting_room.h): never twice
  uint16_t local_port, ue_port;  ///< host side
};

}  // namespace gmesp::ipsec
