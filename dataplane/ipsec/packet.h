// One frame as the ESP core sees it: bytes in one contiguous writable buffer, and what parsing
// found in them.
//
// Ownership: the buffer belongs to `owner` (an mbuf in gmespd, plain memory in tests); the core
// moves `data` and `length` inside the buffer and never frees. Offsets count from `data`, lengths
// are bytes.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/drop_reason.h"

namespace gmesp::ipsec {

/// IP protocol numbers that mean something here.
inline constexpr uint8_t kProtocolHopByHop = 0;
inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolIpv4 = 4;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIpv6 = 41;
inline constexpr uint8_t kProtocolRouting = 43;
inline constexpr uint8_t kProtocolFragment = 44;
inline constexpr uint8_t kProtocolEsp = 50;
inline constexpr uint8_t kProtocolAh = 51;
inline constexpr uint8_t kProtocolIcmpv6 = 58;
inline constexpr uint8_t kProtocolNoNext = 59;
inline constexpr uint8_t kProtocolDestinationOptions = 60;

/// What parse() found; valid only after it returned kNone.
struct Layers {
  uint16_t l3_offset;  ///< first byte of the IP header (after Ethernet and VLAN tags)
  uint16_t l4_offset;  ///< first byte behind the IP header, its options and extension headers
  uint32_t l3_bytes;   ///< IP packet as its header says, without Ethernet padding
  uint16_t next_header_offset;  ///< where the protocol number that names l4 stands
  uint8_t protocol;             ///< of l4; IPv6 fragment: what its fragment header names
  bool is_ipv4;
  bool is_ip;        ///< false: ARP and others; nothing else here is valid then
  bool is_fragment;  ///< any fragment, the first one included
  bool more_fragments;
  uint16_t fragment_offset;         ///< bytes
  uint16_t fragment_header_offset;  ///< IPv6: where the fragment header stands; IPv4: 0
  uint32_t fragment_id;
  Address source;
  Address destination;
};

struct Packet {
  uint8_t* buffer;           ///< first byte of the storage
  uint8_t* data;             ///< first byte of the frame
  uint32_t capacity;         ///< bytes of storage from `buffer`
  uint32_t length;           ///< bytes of the frame from `data`
  void* owner;               ///< opaque to the core
  bool l4_checksum_trusted;  ///< the device verified the L4 checksum of this very frame
  bool joined;               ///< came as fragments, so it may leave as fragments
  Layers layers;

  uint32_t headroom() const { return static_cast<uint32_t>(data - buffer); }
  uint32_t tailroom() const { return capacity - headroom() - length; }
  uint8_t* at(uint32_t offset) const { return data + offset; }
  uint32_t l4_bytes() const { return layers.l3_offset + layers.l3_bytes - layers.l4_offset; }
};

/// Reads Ethernet, up to two VLAN tags and the IP header with options or extension headers, and
/// cuts Ethernet padding off `packet.length` (R-D-X1). Every length is checked before the bytes
/// behind it are read (R-2406-07). Non-IP frames pass with is_ip false. Fragments are recognised
/// and not read behind their fragment header (R-D-U1).
/// Returns DropReason::kNone or why the packet must go.
DropReason parse(Packet& packet);

/// The same for a bare IP packet that starts at `packet.data + l3_offset` (an inner packet after
/// decapsulation); what stands before it is not looked at.
DropReason parse_ip(Packet& packet, uint16_t l3_offset);

}  // namespace gmesp::ipsec
