// Cuts a whole IP datagram into fragments that fit an MTU (RFC 791, RFC 8200 4.5; R-2406-11).
//
// Threading: free functions, no state but what the caller passes. Ownership: copies out of `whole`,
// which stays.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

/// How many fragments of at most `mtu_bytes` (IP packet, without Ethernet) `whole` (parsed, or its
/// layers set as parse() does) makes; 1 if it fits. 0 if the MTU cannot carry even 8 bytes of
/// payload, or `whole` is itself a fragment.
uint32_t fragment_count(const Packet& whole, uint32_t mtu_bytes);

/// Writes fragment `index` (0-based) into `fragment` (buffer and capacity given; its layers are
/// left alone), with the Ethernet and IP headers of `whole`, options and per-fragment headers as
/// the RFCs say. If one suffices, that is `whole` unchanged. IPv4 keeps its identification field,
/// or takes the low half of `identification` where the field is zero; DF is cleared; later
/// fragments carry only the options with the copy bit. IPv6 gets a fragment header with
/// `identification` behind the per-fragment headers: through the last hop-by-hop or routing header,
/// before destination options that follow, ESP or L4. False if there is no such fragment or it does
/// not fit the buffer.
bool write_fragment(const Packet& whole, uint32_t mtu_bytes, uint32_t index,
                    uint32_t identification, uint32_t headroom, Packet& fragment);

}  // namespace gmesp::ipsec
