// Internet checksums (RFC 1071).
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

/// Folded one's complement sum over `bytes` as big-endian words, not complemented; an odd last byte
/// counts as if a zero byte followed. `start` chains calls whose earlier parts were of even length.
uint16_t ones_sum(std::span<const uint8_t> bytes, uint32_t start = 0);

/// IPv4 header checksum of `header` (ihl taken from it, its bytes must be there): writes it, or
/// tells whether it is right.
void set_ipv4_checksum(uint8_t* header);
bool ipv4_checksum_good(const uint8_t* header);

/// Folded sum of the pseudo header (RFC 768, RFC 9293, RFC 8200 8.1) of `packet`: its addresses,
/// protocol and `l4_bytes`. For the `start` of ones_sum().
uint16_t pseudo_header_sum(const Packet& packet, uint32_t l4_bytes);

/// Of the TCP or UDP datagram at packet.layers.l4_offset, `l4_bytes` long, with its pseudo header.
/// UDP over IPv4 with checksum zero is good (RFC 768); over IPv6 zero is bad (RFC 8200 8.1). False
/// if `l4_bytes` exceeds the packet or is too short for a header.
bool l4_checksum_good(const Packet& packet, uint32_t l4_bytes);
/// Writes it (UDP: 0 becomes 0xffff). The same lengths as above, or nothing is written.
void set_l4_checksum(Packet& packet, uint32_t l4_bytes);

/// The checksum of words, of 16 or 32 bits, that add up to `sum`.
uint16_t checksum_of_sum(uint64_t sum);
/// RFC 1624: what `checksum` becomes when the 16-bit word `before` turns into `after`.
uint16_t updated_checksum(uint16_t checksum, uint16_t before, uint16_t after);

}  // namespace gmesp::ipsec
