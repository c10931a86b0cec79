// One frame of any bytes: parse it, and do to it all that is done to packets in the clear.
#include <algorithm>
#include <initializer_list>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/classify.h"
#include "dataplane/ipsec/fragmenter.h"
#include "dataplane/ipsec/icmp.h"
#include "dataplane/ipsec/reassembler.h"
#include "dataplane/ipsec/tcp_mss.h"
#include "frame.h"
#include "invariant.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kEthernetBytes = 14;

/// Makes the IPv4 header checksum of an untagged frame right, which no fuzzer would guess.
void mend_ipv4(Bytes& bytes) {
  if (bytes.size() < kEthernetBytes + 20 || bytes[12] != 8 || bytes[13] != 0) return;
  uint8_t* ip = bytes.data() + kEthernetBytes;
  if (bytes.size() >= kEthernetBytes + (ip[0] & 15) * 4u) set_ipv4_checksum(ip);
}

void check_layers(const Packet& packet) {
  const Layers& layers = packet.layers;
  GMESP_INVARIANT(packet.length <= packet.capacity);
  GMESP_INVARIANT(packet.length == layers.l3_offset + layers.l3_bytes);
  GMESP_INVARIANT(layers.l4_offset <= packet.length);
  GMESP_INVARIANT(layers.next_header_offset < layers.l4_offset);
}

void check_icmp(Packet& packet) {
  const Layers& layers = packet.layers;
  if (layers.protocol != kProtocolIcmp && layers.protocol != kProtocolIcmpv6) return;
  read_icmp(packet, 4500);
  if (packet.l4_bytes() < 4) return;
  uint8_t* checksum = packet.at(layers.l4_offset + 2);
  store_be16(checksum, 0);
  const uint32_t start = layers.is_ipv4 ? 0 : pseudo_header_sum(packet, packet.l4_bytes());
  const uint16_t sum = ones_sum({packet.at(layers.l4_offset), packet.l4_bytes()}, start);
  store_be16(checksum, static_cast<uint16_t>(~sum));
  const IcmpQuote quote = read_icmp(packet, 4500);
  GMESP_INVARIANT(quote.has_packet || (!quote.has_ports && !quote.has_spi));
}

void check_too_big(const Packet& packet) {
  Frame reply = Frame::empty(1400);
  if (!write_too_big(packet, 1280, 0, reply.packet)) return;
  const DropReason reason = parse(reply.packet);
  // The offending packet may have been sent to a loopback or mapped address.
  if (reason == DropReason::kSourceAddressBad) return;
  GMESP_INVARIANT(reason == DropReason::kNone);
  GMESP_INVARIANT(reply.packet.layers.l3_bytes <= (packet.layers.is_ipv4 ? 576u : 1280u));
  GMESP_INVARIANT(read_icmp(reply.packet, 0).kind == IcmpKind::kTooBig);
}

void check_tcp(Packet& packet) {
  set_l4_checksum(packet, packet.l4_bytes());
  clamp_mss(packet, 1200);
  GMESP_INVARIANT(packet.layers.protocol != kProtocolTcp ||
                  l4_checksum_good(packet, packet.l4_bytes()));
}

/// Cut and joined, `packet` is the same but for what IPv4 fragmentation changes for good.
void check_fragments(const Packet& packet, uint32_t mtu_bytes) {
  const uint32_t count = fragment_count(packet, mtu_bytes);
  if (count < 2) return;
  static Reassembler reassembler({.datagrams_max = 2, .datagram_bytes_max = 65535});
  Bytes wanted(packet.data, packet.data + packet.length);
  if (packet.layers.is_ipv4) {
    uint8_t* ip = wanted.data() + packet.layers.l3_offset;
    if (load_be16(ip + 4) == 0) store_be16(ip + 4, 7);
    store_be16(ip + 6, 0);
    set_ipv4_checksum(ip);
  }
  for (uint32_t index = 0; index < count; ++index) {
    Frame fragment = Frame::empty(packet.layers.l3_offset + mtu_bytes);
    GMESP_INVARIANT(write_fragment(packet, mtu_bytes, index, 7, 0, fragment.packet));
    const DropReason reason = parse(fragment.packet);
    // A fragment header more may be one header too many.
    if (reason == DropReason::kExtensionHeaderBad) return;
    GMESP_INVARIANT(reason == DropReason::kNone);
    GMESP_INVARIANT(fragment.packet.layers.l3_bytes <= mtu_bytes);
    const auto result = reassembler.add(fragment.packet, 1);
    if (index + 1 < count) {
      GMESP_INVARIANT(result.outcome == Reassembler::Outcome::kStored);
      continue;
    }
    GMESP_INVARIANT(result.outcome == Reassembler::Outcome::kComplete);
    Frame whole = Frame::empty(static_cast<uint32_t>(wanted.size()));
    uint32_t fragments = 0;
    GMESP_INVARIANT(reassembler.take(result.slot, whole.packet, 0, fragments));
    GMESP_INVARIANT(fragments == count && whole.bytes() == wanted);
  }
}

/// What a worker sheds at the first look is nothing that it would have treated as protected.
void check_plainly_clear(const Bytes& bytes) {
  static const PortSet protected_ports = [] {
    PortSet ports;
    for (uint16_t port = 1; port < 0x8000; ++port) ports.add(port);
    return ports;
  }();
  const ClassifyOptions options{&protected_ports, 4500, 576, 1280};
  Frame frame(bytes);
  if (!is_plainly_clear(frame.packet, options)) return;
  IcmpQuote quote;
  GMESP_INVARIANT(parse(frame.packet) != DropReason::kNone ||
                  classify_access(frame.packet, options, quote).route == Route::kClear);
}

void check(const Bytes& bytes) {
  check_plainly_clear(bytes);
  Frame bare(bytes);
  if (parse_ip(bare.packet, kEthernetBytes) == DropReason::kNone) check_layers(bare.packet);
  Frame frame(bytes);
  Packet& packet = frame.packet;
  if (parse(packet) != DropReason::kNone || !packet.layers.is_ip) return;
  check_layers(packet);
  check_icmp(packet);
  check_too_big(packet);
  if (packet.layers.is_fragment) return;
  check_tcp(packet);
  for (const uint32_t mtu_bytes : {68u, 130u, 576u}) check_fragments(packet, mtu_bytes);
}

}  // namespace
}  // namespace gmesp::ipsec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gmesp::ipsec::Bytes bytes(data, data + std::min<size_t>(size, 4096));
  gmesp::ipsec::check(bytes);
  gmesp::ipsec::mend_ipv4(bytes);
  gmesp::ipsec::check(bytes);
  return 0;
}
