// The frame around a stateless SIP answer: back to where a datagram came from.
//
// Threading: pure function. Errors: false, and the frame is of no use; nothing is allocated.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/ipsec/packet.h"

namespace gmesp::gate {

/// Answers `request`, a parsed UDP packet with this payload, with `status`, into the buffer of
/// `reply` behind `headroom` bytes. VLAN tags are kept; IP options and extension headers are not.
/// The answer is never larger than the request. False: it cannot be answered, or there is no room.
bool write_reply_frame(const ipsec::Packet& request, std::span<const uint8_t> payload,
                       uint16_t status, uint64_t tag_key, uint32_t headroom, ipsec::Packet& reply);

}  // namespace gmesp::gate
