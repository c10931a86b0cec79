#include "dataplane/ipsec/classify.h"

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kEspHeaderBytes = 8;

Verdict drop(DropReason reason) {
  return {Route::kDrop, reason, 0, false, 0};
}
Verdict go(Route route) {
  return {route, DropReason::kNone, 0, false, 0};
}

bool is_multicast(const Address& address) {
  if (address.is_ipv4())
    return (address.ipv4()[0] & 0xf0) == 0xe0 || load_be32(address.ipv4()) == UINT32_MAX;
  return address.bytes[0] == 0xff;
}

bool has_ports(const Layers& layers) {
  return layers.protocol == kProtocolUdp || layers.protocol == kProtocolTcp;
}

/// RFC 3948 2: what came to the encapsulation port is a keep-alive, IKE or ESP.
Verdict classify_encapsulated(const Packet& packet) {
  const uint8_t* udp = packet.at(packet.layers.l4_offset);
  const uint32_t udp_bytes = load_be16(udp + 4);
  // RFC 3948 2.1: the checksum should be zero; a receiver accepts one that is right. Over IPv6
  // senders in the field send zero as well (RFC 6935 allows it for tunnels).
  if (load_be16(udp + 6) != 0 && !packet.l4_checksum_trusted &&
      !l4_checksum_good(packet, udp_bytes))
    return drop(DropReason::kUdpChecksumBad);
  const uint32_t payload_bytes = udp_bytes - kUdpHeaderBytes;
  if (payload_bytes == 1 && udp[kUdpHeaderBytes] == 0xff) return drop(DropReason::kNatKeepAlive);
  if (payload_bytes < kEspHeaderBytes) return drop(DropReason::kEncapsulationTooShort);
  if (load_be32(udp + kUdpHeaderBytes) == 0) return drop(DropReason::kIkeRefused);
  Verdict verdict = go(Route::kEsp);
  verdict.esp_offset = static_cast<uint16_t>(packet.layers.l4_offset + kUdpHeaderBytes);
  verdict.encapsulated = true;
  verdict.outer_source_port = load_be16(udp);
  return verdict;
}

/// True if the packet quoted in an ICMP error is one that ESP protects, or cannot be told from one.
bool quotes_protected(const IcmpQuote& quote, const ClassifyOptions& options) {
  if (!quote.has_packet) return true;
  if (quote.protocol == kProtocolEsp || quote.has_spi) return true;
  if (quote.protocol != kProtocolUdp && quote.protocol != kProtocolTcp) return false;
  if (!quote.has_ports) return true;
  if (quote.protocol == kProtocolUdp && options.encapsulation_port != 0 &&
      quote.source_port == options.encapsulation_port)
    return true;
  return options.protected_ports->contains(quote.source_port) ||
         options.protected_ports->contains(quote.destination_port);
}

/// RFC 4301 6: an unauthenticated ICMP error about protected traffic never reaches the host; only
/// "too big" is of use to us (R-2401-03, R-4301-01).
Verdict classify_access_icmp(const Packet& packet, const ClassifyOptions& options,
                             IcmpQuote& quote) {
  quote = read_icmp(packet, options.encapsulation_port);
  if (quote.kind == IcmpKind::kNotAnError) return go(Route::kClear);
  if (!quotes_protected(quote, options)) return go(Route::kClear);
  if (quote.kind != IcmpKind::kTooBig) return drop(DropReason::kIcmpErrorRefused);
  const uint32_t floor =
      packet.layers.is_ipv4 ? options.path_mtu_ipv4_min : options.path_mtu_ipv6_min;
  const bool names_sa = quote.has_packet && (quote.has_spi || quote.has_ports) &&
                        (quote.protocol == kProtocolEsp || quote.protocol == kProtocolUdp);
  if (!names_sa || quote.mtu_bytes < floor) return drop(DropReason::kPathMtuIgnored);
  return go(Route::kPathMtu);
}

}  // namespace

Verdict classify_access(const Packet& packet, const ClassifyOptions& options, IcmpQuote& quote) {
  const Layers& layers = packet.layers;
  if (!layers.is_ip) return go(Route::kClear);
  if (layers.is_fragment) return go(Route::kFragment);
  switch (layers.protocol) {
    case kProtocolEsp: {
      if (is_multicast(layers.destination)) return drop(DropReason::kEspToMulticast);
      if (packet.l4_bytes() < kEspHeaderBytes) return drop(DropReason::kEspTooShort);
      Verdict verdict = go(Route::kEsp);
      verdict.esp_offset = layers.l4_offset;
      return verdict;
    }
    case kProtocolUdp:
    case kProtocolTcp: {
      const uint16_t port = load_be16(packet.at(layers.l4_offset) + 2);
      if (layers.protocol == kProtocolUdp && options.encapsulation_port != 0 &&
          port == options.encapsulation_port)
        return is_multicast(layers.destination) ? drop(DropReason::kEspToMulticast)
                                                : classify_encapsulated(packet);
      if (options.protected_ports->contains(port)) return drop(DropReason::kClearToProtectedPort);
      return go(Route::kClear);
    }
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      return classify_access_icmp(packet, options, quote);
    default:
      return go(Route::kClear);
  }
}

bool is_plainly_clear(const Packet& packet, const ClassifyOptions& options) {
  constexpr uint32_t kPlainIpv4 = 0x45, kDestinationPortAt = 2, kPortBytes = 2;
  if (packet.length < kEthernetBytes + kIpv6HeaderBytes + kDestinationPortAt + kPortBytes)
    return false;
  const uint8_t* ip = packet.at(kEthernetBytes);
  const uint16_t ether_type = load_be16(packet.at(kEtherTypeAt));
  const bool is_ipv4 = ether_type == kEtherTypeIpv4 && ip[0] == kPlainIpv4 &&
                       (load_be16(ip + kIpv4FragmentAt) & ~kIpv4DontFragment) == 0;
  if (!is_ipv4 && ether_type != kEtherTypeIpv6) return false;
  const uint8_t protocol = ip[is_ipv4 ? kIpv4ProtocolAt : kIpv6NextHeaderAt];
  if (protocol != kProtocolUdp && protocol != kProtocolTcp) return false;
  const uint32_t header_bytes = is_ipv4 ? kIpv4HeaderBytesMin : kIpv6HeaderBytes;
  const uint16_t port = load_be16(ip + header_bytes + kDestinationPortAt);
  return port != options.encapsulation_port && !options.protected_ports->contains(port);
}

Verdict classify_host(const Packet& packet, const ClassifyOptions& options) {
  const Layers& layers = packet.layers;
  if (!layers.is_ip) return go(Route::kClear);
  if (layers.is_fragment) return go(Route::kFragment);
  if (has_ports(layers)) {
    const uint16_t port = load_be16(packet.at(layers.l4_offset));
    if (options.protected_ports->contains(port)) return go(Route::kProtect);
    if (layers.protocol == kProtocolUdp && options.encapsulation_port != 0 &&
        port == options.encapsulation_port)
      return drop(DropReason::kHostUsedEncapsulationPort);
    return go(Route::kClear);
  }
  if (layers.protocol == kProtocolIcmp || layers.protocol == kProtocolIcmpv6) {
    const IcmpQuote quote = read_icmp(packet, options.encapsulation_port);
    if (quote.kind != IcmpKind::kNotAnError && quotes_protected(quote, options))
      return drop(DropReason::kIcmpQuotesProtected);
  }
  return go(Route::kClear);
}

}  // namespace gmesp::ipsec
