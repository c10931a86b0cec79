#include "dataplane/ipsec/icmp.h"

#include <algorithm>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

// RFC 792.
constexpr uint8_t kIcmpUnreachable = 3;
constexpr uint8_t kIcmpCodeTooBig = 4;
constexpr uint8_t kIcmpSourceQuench = 4;
constexpr uint8_t kIcmpRedirect = 5;
constexpr uint8_t kIcmpTimeExceeded = 11;
constexpr uint8_t kIcmpParameterProblem = 12;
// RFC 4443 2.1: errors are the types below 128.
constexpr uint8_t kIcmpv6TooBig = 2;
constexpr uint8_t kIcmpv6InformationalMin = 128;
constexpr uint8_t kIcmpv6Redirect = 137;

constexpr uint32_t kChecksumAt = 2;
constexpr uint32_t kIpv4MtuAt = 6;
constexpr uint32_t kIpv6MtuAt = 4;
/// The longest error messages: RFC 1812 4.3.2.3, RFC 4443 2.4 (c).
constexpr uint32_t kIpv4ErrorBytesMax = 576;
constexpr uint32_t kIpv6ErrorBytesMax = 1280;
constexpr uint8_t kReplyTtl = 64;
/// RFC 1812 4.3.2.5: errors are sent with the precedence of internetwork control.
constexpr uint8_t kReplyTypeOfService = 0xc0;

/// A part of a packet that shrinks as it is read.
struct Bytes {
  const uint8_t* at;
  uint32_t count;

  bool skip(uint32_t bytes) {
    if (bytes > count) return false;
    at += bytes;
    count -= bytes;
    return true;
  }
};

IcmpKind kind_of(bool is_ipv4, uint8_t type, uint8_t code) {
  if (!is_ipv4) {
    if (type >= kIcmpv6InformationalMin) return IcmpKind::kNotAnError;
    return type == kIcmpv6TooBig ? IcmpKind::kTooBig : IcmpKind::kOtherError;
  }
  switch (type) {
    case kIcmpUnreachable:
      return code == kIcmpCodeTooBig ? IcmpKind::kTooBig : IcmpKind::kOtherError;
    case kIcmpSourceQuench:
    case kIcmpRedirect:
    case kIcmpTimeExceeded:
    case kIcmpParameterProblem:
      return IcmpKind::kOtherError;
    default:
      return IcmpKind::kNotAnError;
  }
}

uint8_t icmp_protocol(bool is_ipv4) {
  return is_ipv4 ? kProtocolIcmp : kProtocolIcmpv6;
}

uint16_t icmp_sum(const Packet& packet) {
  const uint32_t start = packet.layers.is_ipv4 ? 0 : pseudo_header_sum(packet, packet.l4_bytes());
  return ones_sum({packet.at(packet.layers.l4_offset), packet.l4_bytes()}, start);
}

/// Ports and SPI of the quoted packet's L4, as far as they are there (RFC 792: 8 bytes at least).
void read_quoted_l4(Bytes l4, uint16_t encapsulation_port, IcmpQuote& quote) {
  if (l4.count < 4) return;
  if (quote.protocol == kProtocolEsp) {
    quote.spi = load_be32(l4.at);
    quote.has_spi = true;
    return;
  }
  if (quote.protocol != kProtocolUdp && quote.protocol != kProtocolTcp) return;
  quote.source_port = load_be16(l4.at);
  quote.destination_port = load_be16(l4.at + 2);
  quote.has_ports = true;
  const bool is_encapsulation =
      quote.protocol == kProtocolUdp && encapsulation_port != 0 &&
      (quote.source_port == encapsulation_port || quote.destination_port == encapsulation_port);
  if (!is_encapsulation || l4.count < kUdpHeaderBytes + 4) return;
  // RFC 3948 2.2: zero marks IKE, which is no SPI.
  quote.spi = load_be32(l4.at + kUdpHeaderBytes);
  quote.has_spi = quote.spi != 0;
}

/// Reads the quoted IPv4 header; `bytes` stands at L4 afterwards, empty in a later fragment.
bool read_quoted_ipv4(Bytes& bytes, IcmpQuote& quote) {
  if (bytes.count < kIpv4HeaderBytesMin) return false;
  const uint8_t* ip = bytes.at;
  const uint32_t header_bytes = ipv4_header_bytes(ip);
  const uint32_t total_bytes = load_be16(ip + kIpv4TotalLengthAt);
  if (header_bytes < kIpv4HeaderBytesMin || total_bytes < header_bytes) return false;
  quote.protocol = ip[kIpv4ProtocolAt];
  quote.source = Address::from_ipv4(ip + kIpv4SourceAt);
  quote.destination = Address::from_ipv4(ip + kIpv4DestinationAt);
  bytes.count = std::min(bytes.count, total_bytes);  // RFC 4884: other things may follow
  if (!bytes.skip(header_bytes)) return false;
  if ((load_be16(ip + kIpv4FragmentAt) & kIpv4FragmentOffset) != 0) bytes.count = 0;
  return true;
}

/// The same for IPv6 and its extension headers; false if what they end in is not quoted.
bool read_quoted_ipv6(Bytes& bytes, IcmpQuote& quote) {
  if (bytes.count < kIpv6HeaderBytes) return false;
  const uint8_t* ip = bytes.at;
  quote.source = Address::from_ipv6(ip + kIpv6SourceAt);
  quote.destination = Address::from_ipv6(ip + kIpv6DestinationAt);
  bytes.count = std::min(bytes.count, kIpv6HeaderBytes + load_be16(ip + kIpv6PayloadLengthAt));
  bytes.skip(kIpv6HeaderBytes);
  quote.protocol = ip[kIpv6NextHeaderAt];
  bool is_later_fragment = false;
  for (uint32_t headers = 0; headers <= kExtensionHeadersMax; ++headers) {
    const bool is_fragment_header = quote.protocol == kProtocolFragment;
    if (!is_fragment_header && quote.protocol != kProtocolHopByHop &&
        quote.protocol != kProtocolRouting && quote.protocol != kProtocolDestinationOptions) {
      if (is_later_fragment) bytes.count = 0;
      return true;
    }
    if (is_later_fragment || bytes.count < 8) return false;
    const uint8_t* header = bytes.at;
    quote.protocol = header[0];
    if (is_fragment_header) is_later_fragment = (load_be16(header + 2) & kIpv6FragmentOffset) != 0;
    if (!bytes.skip(is_fragment_header ? kFragmentHeaderBytes : extension_header_bytes(header)))
      return false;
  }
  return false;
}

bool is_multicast_or_broadcast(const Address& address) {
  if (!address.is_ipv4()) return address.bytes[0] == 0xff;
  return (address.ipv4()[0] & 0xf0) == 0xe0 || load_be32(address.ipv4()) == UINT32_MAX;
}

bool is_unspecified(const Address& address) {
  return address.is_ipv4() ? load_be32(address.ipv4()) == 0 : address.is_zero();
}

/// RFC 1122 3.2.2, RFC 4443 2.4 (e).
bool may_be_reported(const Packet& offending) {
  const Layers& layers = offending.layers;
  if (!layers.is_ip || layers.fragment_offset != 0) return false;
  if (is_multicast_or_broadcast(layers.source) || is_unspecified(layers.source)) return false;
  if (is_multicast_or_broadcast(layers.destination)) return false;
  const bool has_ethernet = layers.l3_offset >= kEthernetBytes;
  if (has_ethernet && (offending.data[0] & 1) != 0) return false;  // link-layer group address
  if (layers.protocol != icmp_protocol(layers.is_ipv4)) return true;
  if (offending.l4_bytes() < 2) return false;
  const uint8_t* icmp = offending.at(layers.l4_offset);
  if (!layers.is_ipv4 && icmp[0] == kIcmpv6Redirect) return false;
  return kind_of(layers.is_ipv4, icmp[0], icmp[1]) == IcmpKind::kNotAnError;
}

/// The Ethernet header of `offending`, VLAN tags kept, back to where it came from.
void write_ethernet_reply(const Packet& offending, uint8_t* frame) {
  std::memcpy(frame, offending.data, offending.layers.l3_offset);
  if (offending.layers.l3_offset < kEthernetBytes) return;
  std::memcpy(frame, offending.data + kEthernetAddressBytes, kEthernetAddressBytes);
  std::memcpy(frame + kEthernetAddressBytes, offending.data, kEthernetAddressBytes);
}

void write_ipv4_reply(const Layers& offending, uint32_t total_bytes, uint8_t* ip) {
  std::memset(ip, 0, kIpv4HeaderBytesMin);
  ip[0] = 0x45;
  ip[1] = kReplyTypeOfService;
  store_be16(ip + kIpv4TotalLengthAt, static_cast<uint16_t>(total_bytes));
  store_be16(ip + kIpv4FragmentAt, kIpv4DontFragment);  // so that no identification is needed
  ip[8] = kReplyTtl;
  ip[kIpv4ProtocolAt] = kProtocolIcmp;
  std::memcpy(ip + kIpv4SourceAt, offending.destination.ipv4(), 4);
  std::memcpy(ip + kIpv4DestinationAt, offending.source.ipv4(), 4);
  set_ipv4_checksum(ip);
}

void write_ipv6_reply(const Layers& offending, uint32_t total_bytes, uint8_t* ip) {
  store_be32(ip, 6u << 28);
  store_be16(ip + kIpv6PayloadLengthAt, static_cast<uint16_t>(total_bytes - kIpv6HeaderBytes));
  ip[kIpv6NextHeaderAt] = kProtocolIcmpv6;
  ip[7] = kReplyTtl;
  std::memcpy(ip + kIpv6SourceAt, offending.destination.bytes.data(), 16);
  std::memcpy(ip + kIpv6DestinationAt, offending.source.bytes.data(), 16);
}

}  // namespace

IcmpQuote read_icmp(const Packet& packet, uint16_t encapsulation_port) {
  const bool is_ipv4 = packet.layers.is_ipv4;
  IcmpQuote quote{};
  quote.kind = IcmpKind::kNotAnError;
  // An ICMP message of the other family is none: no host reads it.
  if (packet.layers.protocol != icmp_protocol(is_ipv4) || packet.l4_bytes() < 2) return quote;
  const uint8_t* icmp = packet.at(packet.layers.l4_offset);
  quote.kind = kind_of(is_ipv4, icmp[0], icmp[1]);
  if (quote.kind == IcmpKind::kNotAnError) return quote;
  if (packet.l4_bytes() < kIcmpHeaderBytes || icmp_sum(packet) != 0xffff) {
    quote.kind = IcmpKind::kOtherError;
    return quote;
  }
  if (quote.kind == IcmpKind::kTooBig)
    quote.mtu_bytes = is_ipv4 ? load_be16(icmp + kIpv4MtuAt) : load_be32(icmp + kIpv6MtuAt);
  Bytes bytes = {icmp + kIcmpHeaderBytes, packet.l4_bytes() - kIcmpHeaderBytes};
  const uint8_t version = bytes.count == 0 ? 0 : bytes.at[0] >> 4;
  if (version != (is_ipv4 ? 4 : 6)) return quote;
  quote.has_packet = is_ipv4 ? read_quoted_ipv4(bytes, quote) : read_quoted_ipv6(bytes, quote);
  if (quote.has_packet) read_quoted_l4(bytes, encapsulation_port, quote);
  return quote;
}

bool write_too_big(const Packet& offending, uint32_t mtu_bytes, uint32_t headroom, Packet& reply) {
  if (!may_be_reported(offending)) return false;
  const Layers& layers = offending.layers;
  const uint32_t header_bytes =
      (layers.is_ipv4 ? kIpv4HeaderBytesMin : kIpv6HeaderBytes) + kIcmpHeaderBytes;
  const uint32_t total_bytes = std::min(header_bytes + layers.l3_bytes,
                                        layers.is_ipv4 ? kIpv4ErrorBytesMax : kIpv6ErrorBytesMax);
  if (headroom > reply.capacity || layers.l3_offset + total_bytes > reply.capacity - headroom)
    return false;
  reply.data = reply.buffer + headroom;
  reply.length = layers.l3_offset + total_bytes;
  reply.l4_checksum_trusted = false;
  write_ethernet_reply(offending, reply.data);
  uint8_t* ip = reply.data + layers.l3_offset;
  uint8_t* icmp = ip + header_bytes - kIcmpHeaderBytes;
  const uint32_t icmp_bytes = total_bytes - header_bytes + kIcmpHeaderBytes;
  std::memset(icmp, 0, kIcmpHeaderBytes);
  std::memcpy(icmp + kIcmpHeaderBytes, offending.at(layers.l3_offset),
              icmp_bytes - kIcmpHeaderBytes);
  uint32_t sum = 0;
  if (layers.is_ipv4) {
    write_ipv4_reply(layers, total_bytes, ip);
    icmp[0] = kIcmpUnreachable;
    icmp[1] = kIcmpCodeTooBig;
    store_be16(icmp + kIpv4MtuAt, static_cast<uint16_t>(std::min(mtu_bytes, 0xffffu)));
  } else {
    write_ipv6_reply(layers, total_bytes, ip);
    icmp[0] = kIcmpv6TooBig;
    store_be32(icmp + kIpv6MtuAt, mtu_bytes);
    // Source and destination are swapped, which the sum does not see.
    Packet pseudo = offending;
    pseudo.layers.protocol = kProtocolIcmpv6;
    sum = pseudo_header_sum(pseudo, icmp_bytes);
  }
  store_be16(icmp + kChecksumAt, static_cast<uint16_t>(~ones_sum({icmp, icmp_bytes}, sum)));
  return true;
}

}  // namespace gmesp::ipsec
