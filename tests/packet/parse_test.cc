// parse() against frames that scapy made, and against every way to cut or bend them.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "dataplane/ipsec/byte_order.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

DropReason parse_bytes(std::span<const uint8_t> bytes) {
  Frame frame(bytes);
  return parse(frame.packet);
}

// Shows: R-D-U1, R-D-X1, R-2406-14
TEST(Parse, AgreesWithScapy) {
  uint32_t checked = 0;
  for (const GoldenPacket& golden : golden_packets()) {
    if (golden.reason.empty()) continue;
    SCOPED_TRACE(golden.name);
    ++checked;
    Frame frame(golden.bytes);
    const DropReason reason = parse(frame.packet);
    ASSERT_EQ(info(reason).name, golden.reason);
    if (reason != DropReason::kNone) continue;
    const Layers& layers = frame.packet.layers;
    EXPECT_TRUE(layers.is_ip);
    EXPECT_FALSE(layers.is_fragment);
    EXPECT_EQ(layers.l3_offset, golden.l3_offset);
    EXPECT_EQ(layers.l4_offset, golden.l4_offset);
    EXPECT_EQ(layers.l3_bytes, golden.l3_bytes);
    EXPECT_EQ(layers.next_header_offset, golden.named_at);
    EXPECT_EQ(layers.protocol, golden.protocol);
    EXPECT_EQ(*frame.packet.at(layers.next_header_offset), golden.protocol);
    EXPECT_EQ(frame.packet.length, golden.l3_offset + golden.l3_bytes);
    EXPECT_EQ(frame.packet.l4_bytes(), frame.packet.length - layers.l4_offset);
  }
  EXPECT_GT(checked, 50u);
}

// Shows: R-7.1-05
TEST(Parse, TakesAddressesOut) {
  Frame four(golden("udp4"));
  ASSERT_EQ(parse(four.packet), DropReason::kNone);
  EXPECT_TRUE(four.packet.layers.is_ipv4);
  EXPECT_EQ(text(four.packet.layers.source), "192.0.2.1");
  EXPECT_EQ(text(four.packet.layers.destination), "198.51.100.2");
  Frame six(golden("qinq6"));
  ASSERT_EQ(parse(six.packet), DropReason::kNone);
  EXPECT_FALSE(six.packet.layers.is_ipv4);
  EXPECT_EQ(text(six.packet.layers.source), "2001:db8::1");
  EXPECT_EQ(text(six.packet.layers.destination), "2001:db8:1::2");
}

// Shows: R-D-X1
TEST(Parse, CutsEthernetPaddingOff) {
  Frame frame(golden("padded4"));
  ASSERT_EQ(frame.packet.length, 60u);
  ASSERT_EQ(parse(frame.packet), DropReason::kNone);
  EXPECT_EQ(frame.packet.length, 43u);
  EXPECT_EQ(frame.packet.l4_bytes(), 9u);
}

// Shows: R-D-X1
TEST(Parse, PassesWhatIsNotIp) {
  Bytes arp = golden("udp4");
  arp[12] = 0x08;
  arp[13] = 0x06;
  Frame frame(arp);
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  EXPECT_FALSE(frame.packet.layers.is_ip);
  EXPECT_EQ(frame.packet.length, arp.size());
}

// Shows: R-D-U1, R-2406-07
TEST(Parse, RefusesFramesCutAnywhere) {
  for (const GoldenPacket& golden : golden_packets()) {
    if (golden.reason != "none") continue;
    const uint32_t whole = golden.l3_offset + golden.l3_bytes;
    for (uint32_t length = 0; length < whole; ++length) {
      const DropReason reason = parse_bytes(std::span(golden.bytes).first(length));
      ASSERT_EQ(reason,
                length < golden.l3_offset ? DropReason::kFrameTooShort : DropReason::kIpLengthBad)
          << golden.name << " cut to " << length;
    }
  }
}

/// `bytes` with the IP packet ending after `l3_bytes`, its headers saying so.
Bytes shortened(const Bytes& bytes, uint32_t l3_offset, uint32_t l3_bytes) {
  Bytes cut(bytes.begin(), bytes.begin() + l3_offset + l3_bytes);
  uint8_t* ip = cut.data() + l3_offset;
  if (ip[0] >> 4 == 6) {
    store_be16(ip + 4, static_cast<uint16_t>(l3_bytes - 40));
    return cut;
  }
  store_be16(ip + 2, static_cast<uint16_t>(l3_bytes));
  store_be16(ip + 10, 0);
  store_be16(ip + 10, static_cast<uint16_t>(~naive_sum({ip, (ip[0] & 15) * size_t{4}})));
  return cut;
}

// Shows: R-D-U1, R-2406-07
TEST(Parse, RefusesPacketsThatEndTooEarly) {
  for (const char* name : {"udp4", "tcp4", "options4", "udp6", "tcp6", "chain6", "eight6"}) {
    const Bytes& bytes = golden(name);
    Frame whole(bytes);
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    const Layers& layers = whole.packet.layers;
    const uint32_t fixed_bytes = layers.is_ipv4 ? layers.l4_offset - layers.l3_offset : 40;
    const uint32_t l4_header_bytes = layers.protocol == kProtocolUdp ? 8 : 20;
    for (uint32_t l3_bytes = fixed_bytes; l3_bytes < layers.l3_bytes; ++l3_bytes) {
      const uint32_t end = layers.l3_offset + l3_bytes;
      DropReason wanted =
          layers.protocol == kProtocolUdp ? DropReason::kUdpLengthBad : DropReason::kNone;
      if (end < layers.l4_offset + l4_header_bytes) wanted = DropReason::kL4Truncated;
      if (end < layers.l4_offset) wanted = DropReason::kExtensionHeaderBad;
      const bool is_jumbo = l3_bytes == 40 && bytes[layers.l3_offset + 6] == 0;
      if (!layers.is_ipv4 && is_jumbo) wanted = DropReason::kIpLengthBad;
      ASSERT_EQ(parse_bytes(shortened(bytes, layers.l3_offset, l3_bytes)), wanted)
          << name << " with " << l3_bytes << " IP bytes";
    }
  }
}

// Shows: R-D-U1, R-2406-12
TEST(Parse, DescribesFragments) {
  for (const bool is_ipv4 : {true, false}) {
    DatagramShape shape;
    shape.is_ipv4 = is_ipv4;
    shape.has_hop_by_hop = true;
    shape.protocol = kProtocolTcp;  // and too short for TCP: that is not read in a fragment
    const Bytes bytes = make_fragment(shape, 0x4321, 1480, true, pattern(8));
    Frame frame(bytes);
    ASSERT_EQ(parse(frame.packet), DropReason::kNone);
    const Layers& layers = frame.packet.layers;
    EXPECT_TRUE(layers.is_fragment);
    EXPECT_TRUE(layers.more_fragments);
    EXPECT_EQ(layers.fragment_offset, 1480);
    EXPECT_EQ(layers.fragment_id, 0x4321u);
    EXPECT_EQ(layers.protocol, kProtocolTcp);
    EXPECT_EQ(layers.fragment_header_offset, is_ipv4 ? 0 : 14 + 48);
    EXPECT_EQ(layers.l4_offset, is_ipv4 ? 14 + 20 : 14 + 48 + 8);
    EXPECT_EQ(layers.next_header_offset, is_ipv4 ? 14 + 9 : 14 + 48);
    EXPECT_EQ(frame.packet.l4_bytes(), 8u);
  }
}

// Shows: R-D-U1
TEST(Parse, AtomicFragmentIsAFragment) {
  Frame frame(golden("atomic6"));
  ASSERT_EQ(parse(frame.packet), DropReason::kNone);
  EXPECT_TRUE(frame.packet.layers.is_fragment);
  EXPECT_FALSE(frame.packet.layers.more_fragments);
  EXPECT_EQ(frame.packet.layers.fragment_offset, 0);
}

// Shows: R-D-U1
TEST(Parse, BareIpPacketLooksAtNothingBefore) {
  for (const char* name : {"udp4", "chain6", "tcp6"}) {
    const Bytes& bytes = golden(name);
    Frame whole(bytes);
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    for (const uint16_t l3_offset : {0, 3, 14, 200}) {
      Bytes moved(l3_offset, 0xee);
      moved.insert(moved.end(), bytes.begin() + 14, bytes.end());
      Frame frame(moved);
      ASSERT_EQ(parse_ip(frame.packet, l3_offset), DropReason::kNone);
      EXPECT_EQ(frame.packet.layers.l3_offset, l3_offset);
      EXPECT_EQ(frame.packet.layers.l4_offset, whole.packet.layers.l4_offset - 14 + l3_offset);
      EXPECT_TRUE(frame.packet.layers.source == whole.packet.layers.source);
    }
  }
}

// Shows: R-D-U1
TEST(Parse, BareIpPacketRefusesTheRest) {
  Frame frame(Bytes(60, 0x55));
  EXPECT_EQ(parse_ip(frame.packet, 0), DropReason::kIpHeaderBad);
  EXPECT_EQ(parse_ip(frame.packet, 60), DropReason::kIpLengthBad);
  EXPECT_EQ(parse_ip(frame.packet, 61), DropReason::kIpLengthBad);
  // The end of a chain of headers behind such an offset would not fit 16 bits.
  Bytes far(65535 + 60, 0x45);
  Frame far_frame(far);
  EXPECT_EQ(parse_ip(far_frame.packet, 65535), DropReason::kIpLengthBad);
}

// Shows: R-D-U1, R-2406-07
TEST(Parse, AnyBytesLeaveLayersInsideThePacket) {
  EXPECT_TRUE(rc::check([](uint8_t family) {
    const auto& packets = golden_packets();
    Bytes bytes = packets[*rc::gen::inRange<size_t>(0, packets.size())].bytes;
    bytes.resize(std::min<size_t>(bytes.size(), 200));
    const auto changes = *rc::gen::inRange(0, 4);
    for (int i = 0; i < changes; ++i)
      bytes[*rc::gen::inRange<size_t>(12, bytes.size())] = *rc::gen::arbitrary<uint8_t>();
    Frame frame(bytes);
    const DropReason reason = family % 2 == 0 ? parse(frame.packet) : parse_ip(frame.packet, 14);
    const Layers& layers = frame.packet.layers;
    if (reason != DropReason::kNone || !layers.is_ip) return;
    RC_ASSERT(frame.packet.length <= bytes.size());
    RC_ASSERT(frame.packet.length == layers.l3_offset + layers.l3_bytes);
    RC_ASSERT(layers.l4_offset <= frame.packet.length);
    RC_ASSERT(layers.next_header_offset < layers.l4_offset);
  }));
}

}  // namespace
}  // namespace gmesp::ipsec
