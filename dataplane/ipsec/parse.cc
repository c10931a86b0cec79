#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {
namespace {

constexpr uint16_t kEtherTypeVlan = 0x8100;
constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;

bool is_vlan(uint16_t ether_type) {
  return ether_type == kEtherTypeVlan || ether_type == kEtherTypeServiceVlan;
}

DropReason parse_udp(const uint8_t* udp, uint32_t available) {
  if (available < kUdpHeaderBytes) return DropReason::kL4Truncated;
  const uint32_t udp_bytes = load_be16(udp + 4);
  if (udp_bytes < kUdpHeaderBytes || udp_bytes > available) return DropReason::kUdpLengthBad;
  return DropReason::kNone;
}

DropReason parse_tcp(const uint8_t* tcp, uint32_t available) {
  if (available < kTcpHeaderBytesMin) return DropReason::kL4Truncated;
  const uint32_t header_bytes = tcp_header_bytes(tcp);
  if (header_bytes < kTcpHeaderBytesMin || header_bytes > available)
    return DropReason::kL4Truncated;
  return DropReason::kNone;
}

DropReason parse_l4(const Packet& packet) {
  switch (packet.layers.protocol) {
    case kProtocolUdp:
      return parse_udp(packet.at(packet.layers.l4_offset), packet.l4_bytes());
    case kProtocolTcp:
      return parse_tcp(packet.at(packet.layers.l4_offset), packet.l4_bytes());
    default:
      return DropReason::kNone;
  }
}

/// RFC 1122 3.2.1.3. The unspecified address passes: DHCP starts from it.
bool is_bad_ipv4_source(const uint8_t* address) {
  return (address[0] & 0xf0) == 0xe0 || address[0] == 127;
}

/// RFC 4291 2.5.3, 2.7. A mapped IPv4 address (2.5.5.2) is no address of a packet either; here it
/// would compare equal to the IPv4 address, so it must not come in.
bool is_bad_ipv6_source(const Address& address) {
  constexpr uint64_t kLoopbackLow = uint64_t{1} << 56;  // network order, as low() has it
  return address.bytes[0] == 0xff || (address.high() == 0 && address.low() == kLoopbackLow) ||
         address.is_ipv4();
}

/// `packet.length - l3_offset` bytes of the packet are there, at least one.
DropReason parse_ipv4(Packet& packet, uint16_t l3_offset) {
  Layers& layers = packet.layers;
  const uint8_t* ip = packet.at(l3_offset);
  const uint32_t available = packet.length - l3_offset;
  if (ip[0] >> 4 != 4) return DropReason::kIpHeaderBad;
  if (available < kIpv4HeaderBytesMin) return DropReason::kIpLengthBad;
  const uint32_t header_bytes = ipv4_header_bytes(ip);
  if (header_bytes < kIpv4HeaderBytesMin) return DropReason::kIpHeaderBad;
  const uint32_t total_bytes = load_be16(ip + kIpv4TotalLengthAt);
  if (total_bytes < header_bytes || total_bytes > available) return DropReason::kIpLengthBad;
  if (!ipv4_checksum_good(ip)) return DropReason::kIpChecksumBad;
  layers.source = Address::from_ipv4(ip + kIpv4SourceAt);
  layers.destination = Address::from_ipv4(ip + kIpv4DestinationAt);
  if (is_bad_ipv4_source(ip + kIpv4SourceAt)) return DropReason::kSourceAddressBad;
  if (ip[kIpv4ProtocolAt] == kProtocolAh) return DropReason::kAhRefused;

  const uint16_t fragment = load_be16(ip + kIpv4FragmentAt);
  layers.l3_offset = l3_offset;
  layers.l4_offset = static_cast<uint16_t>(l3_offset + header_bytes);
  layers.l3_bytes = total_bytes;
  layers.next_header_offset = static_cast<uint16_t>(l3_offset + kIpv4ProtocolAt);
  layers.protocol = ip[kIpv4ProtocolAt];
  layers.is_ipv4 = true;
  layers.is_ip = true;
  layers.is_fragment = (fragment & (kIpv4MoreFragments | kIpv4FragmentOffset)) != 0;
  layers.more_fragments = (fragment & kIpv4MoreFragments) != 0;
  layers.fragment_offset =
      static_cast<uint16_t>((fragment & kIpv4FragmentOffset) * kFragmentUnitBytes);
  layers.fragment_header_offset = 0;
  layers.fragment_id = load_be16(ip + kIpv4IdentificationAt);
  packet.length = l3_offset + total_bytes;
  return layers.is_fragment ? DropReason::kNone : parse_l4(packet);
}

/// Where the walk along IPv6 extension headers stands (RFC 8200 4).
struct HeaderWalk {
  uint32_t offset;     ///< of the next header
  uint32_t named_at;   ///< where its number stands
  uint32_t available;  ///< bytes from `offset` to the end of the IP packet
  uint8_t next;        ///< its number
};

/// Steps over one hop-by-hop, routing or destination options header.
DropReason step(const Packet& packet, HeaderWalk& walk) {
  if (walk.available < 8) return DropReason::kExtensionHeaderBad;
  const uint8_t* header = packet.at(walk.offset);
  const uint32_t header_bytes = extension_header_bytes(header);
  if (header_bytes > walk.available) return DropReason::kExtensionHeaderBad;
  // RFC 5095; and with segments left the destination is not the final one (R-2406-14).
  if (walk.next == kProtocolRouting && (header[2] == 0 || header[3] != 0))
    return DropReason::kRoutingType0;
  walk.next = header[0];
  walk.named_at = walk.offset;
  walk.offset += header_bytes;
  walk.available -= header_bytes;
  return DropReason::kNone;
}

/// RFC 8200 4.5. An atomic fragment (RFC 6946) is a fragment too: joining takes its header off.
DropReason read_fragment_header(Packet& packet, HeaderWalk& walk) {
  if (walk.available < kFragmentHeaderBytes) return DropReason::kExtensionHeaderBad;
  const uint8_t* header = packet.at(walk.offset);
  const uint16_t fragment = load_be16(header + 2);
  Layers& layers = packet.layers;
  layers.is_fragment = true;
  layers.more_fragments = (fragment & kIpv6MoreFragments) != 0;
  layers.fragment_offset = fragment & kIpv6FragmentOffset;
  layers.fragment_header_offset = static_cast<uint16_t>(walk.offset);
  layers.fragment_id = load_be32(header + 4);
  walk.next = header[0];
  walk.named_at = walk.offset;
  walk.offset += kFragmentHeaderBytes;
  walk.available -= kFragmentHeaderBytes;
  return DropReason::kNone;
}

/// Walks to the first header that is none of the extension headers, or behind a fragment header.
DropReason walk_extension_headers(Packet& packet, HeaderWalk& walk) {
  for (uint32_t headers = 0;; ++headers) {
    switch (walk.next) {
      case kProtocolHopByHop:
        if (headers != 0) return DropReason::kExtensionHeaderBad;  // RFC 8200 4.1: only first
        [[fallthrough]];
      case kProtocolRouting:
      case kProtocolDestinationOptions:
        if (headers == kExtensionHeadersMax) return DropReason::kExtensionHeaderBad;
        if (const DropReason reason = step(packet, walk); reason != DropReason::kNone)
          return reason;
        break;
      case kProtocolFragment:
        if (headers == kExtensionHeadersMax) return DropReason::kExtensionHeaderBad;
        return read_fragment_header(packet, walk);
      default:
        return DropReason::kNone;
    }
  }
}

/// `packet.length - l3_offset` bytes of the packet are there, at least one.
DropReason parse_ipv6(Packet& packet, uint16_t l3_offset) {
  Layers& layers = packet.layers;
  const uint8_t* ip = packet.at(l3_offset);
  const uint32_t available = packet.length - l3_offset;
  if (ip[0] >> 4 != 6) return DropReason::kIpHeaderBad;
  if (available < kIpv6HeaderBytes) return DropReason::kIpLengthBad;
  const uint32_t payload_bytes = load_be16(ip + kIpv6PayloadLengthAt);
  if (payload_bytes > available - kIpv6HeaderBytes) return DropReason::kIpLengthBad;
  // RFC 2675 2: the length is in a hop-by-hop option; no link here carries that much.
  if (payload_bytes == 0 && ip[kIpv6NextHeaderAt] == kProtocolHopByHop)
    return DropReason::kIpLengthBad;
  layers.source = Address::from_ipv6(ip + kIpv6SourceAt);
  layers.destination = Address::from_ipv6(ip + kIpv6DestinationAt);
  if (is_bad_ipv6_source(layers.source)) return DropReason::kSourceAddressBad;
  if (layers.destination.is_ipv4()) return DropReason::kIpHeaderBad;

  layers.is_fragment = false;
  layers.more_fragments = false;
  layers.fragment_offset = 0;
  layers.fragment_header_offset = 0;
  layers.fragment_id = 0;
  HeaderWalk walk = {l3_offset + kIpv6HeaderBytes, l3_offset + kIpv6NextHeaderAt, payload_bytes,
                     ip[kIpv6NextHeaderAt]};
  if (const DropReason reason = walk_extension_headers(packet, walk); reason != DropReason::kNone)
    return reason;
  if (walk.next == kProtocolAh) return DropReason::kAhRefused;

  layers.l3_offset = l3_offset;
  layers.l4_offset = static_cast<uint16_t>(walk.offset);
  layers.l3_bytes = kIpv6HeaderBytes + payload_bytes;
  layers.next_header_offset = static_cast<uint16_t>(walk.named_at);
  layers.protocol = walk.next;
  layers.is_ipv4 = false;
  layers.is_ip = true;
  packet.length = l3_offset + layers.l3_bytes;
  return layers.is_fragment ? DropReason::kNone : parse_l4(packet);
}

/// Offsets are 16 bits wide; the longest chain of headers must end below that.
constexpr uint32_t kExtensionHeaderBytesMax = 256 * 8;
constexpr uint32_t kL3OffsetMax =
    UINT16_MAX - kIpv6HeaderBytes - kExtensionHeadersMax * kExtensionHeaderBytesMax;
static_assert(kL3OffsetMax > kEthernetBytes + kVlanTagsMax * kVlanTagBytes);

}  // namespace

DropReason parse(Packet& packet) {
  packet.layers.is_ip = false;
  if (packet.length < kEthernetBytes) return DropReason::kFrameTooShort;
  uint16_t l3_offset = kEthernetBytes;
  uint16_t ether_type = load_be16(packet.at(l3_offset - 2));
  while (is_vlan(ether_type)) {
    // What cannot be looked into cannot be filtered (R-D-U1).
    if (l3_offset == kEthernetBytes + kVlanTagsMax * kVlanTagBytes) return DropReason::kIpHeaderBad;
    if (packet.length < l3_offset + kVlanTagBytes) return DropReason::kFrameTooShort;
    l3_offset += kVlanTagBytes;
    ether_type = load_be16(packet.at(l3_offset - 2));
  }
  if (ether_type != kEtherTypeIpv4 && ether_type != kEtherTypeIpv6) return DropReason::kNone;
  if (packet.length == l3_offset) return DropReason::kIpLengthBad;
  return ether_type == kEtherTypeIpv4 ? parse_ipv4(packet, l3_offset)
                                      : parse_ipv6(packet, l3_offset);
}

DropReason parse_ip(Packet& packet, uint16_t l3_offset) {
  packet.layers.is_ip = false;
  if (packet.length <= l3_offset || l3_offset > kL3OffsetMax) return DropReason::kIpLengthBad;
  const uint8_t version = *packet.at(l3_offset) >> 4;
  if (version == 4) return parse_ipv4(packet, l3_offset);
  if (version == 6) return parse_ipv6(packet, l3_offset);
  return DropReason::kIpHeaderBad;
}

}  // namespace gmesp::ipsec
