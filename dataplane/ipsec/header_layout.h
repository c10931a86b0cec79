// Sizes of the headers that packets are made of, and where their fields stand, counted from the
// first byte of each header.
#pragma once

#include <cstdint>

namespace gmesp::ipsec {

// Ethernet II, IEEE 802.1Q.
inline constexpr uint32_t kEthernetBytes = 14;
inline constexpr uint32_t kEthernetAddressBytes = 6;
inline constexpr uint32_t kEtherTypeAt = 12;
inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint32_t kVlanTagBytes = 4;
inline constexpr uint32_t kVlanTagsMax = 2;

// IPv4 (RFC 791 3.1).
inline constexpr uint32_t kIpv4HeaderBytesMin = 20;
inline constexpr uint32_t kIpv4HeaderBytesMax = 60;
inline constexpr uint32_t kIpv4TotalLengthAt = 2;
inline constexpr uint32_t kIpv4IdentificationAt = 4;
inline constexpr uint32_t kIpv4FragmentAt = 6;
inline constexpr uint32_t kIpv4TtlAt = 8;
inline constexpr uint32_t kIpv4ProtocolAt = 9;
inline constexpr uint32_t kIpv4ChecksumAt = 10;
inline constexpr uint32_t kIpv4SourceAt = 12;
inline constexpr uint32_t kIpv4DestinationAt = 16;
inline constexpr uint16_t kIpv4DontFragment = 0x4000;
inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4FragmentOffset = 0x1fff;  ///< in units of 8 bytes

// IPv6 (RFC 8200 3, 4).
inline constexpr uint32_t kIpv6HeaderBytes = 40;
inline constexpr uint32_t kIpv6PayloadLengthAt = 4;
inline constexpr uint32_t kIpv6NextHeaderAt = 6;
inline constexpr uint32_t kIpv6SourceAt = 8;
inline constexpr uint32_t kIpv6DestinationAt = 24;
inline constexpr uint32_t kFragmentHeaderBytes = 8;
inline constexpr uint16_t kIpv6MoreFragments = 0x0001;
inline constexpr uint16_t kIpv6FragmentOffset = 0xfff8;  ///< in bytes
/// The most extension headers that anything here steps over.
inline constexpr uint32_t kExtensionHeadersMax = 8;

/// Fragments other than the last carry multiples of this.
inline constexpr uint32_t kFragmentUnitBytes = 8;

inline constexpr uint32_t kUdpHeaderBytes = 8;
inline constexpr uint32_t kTcpHeaderBytesMin = 20;
inline constexpr uint32_t kIcmpHeaderBytes = 8;

/// Of the IPv4 header at `ip`, from its IHL field.
inline uint32_t ipv4_header_bytes(const uint8_t* ip) {
  return (ip[0] & 0x0f) * 4u;
}

/// Of the TCP header at `tcp`, from its data offset field.
inline uint32_t tcp_header_bytes(const uint8_t* tcp) {
  return (tcp[12] >> 4) * 4u;
}

/// Of the hop-by-hop, routing or destination options header at `header` (RFC 8200 4.3).
inline uint32_t extension_header_bytes(const uint8_t* header) {
  return (header[1] + 1u) * 8;
}

}  // namespace gmesp::ipsec
