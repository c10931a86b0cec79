// What is written into an IP header that stays, against sums over all of its words.
#include "dataplane/ipsec/ip_header.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstring>

#include "dataplane/ipsec/byte_order.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

constexpr const char* kShapes[] = {"udp4", "tcp4", "options4", "vlan4", "udp6", "chain6"};
constexpr uint32_t kRoomBytes = 100;

/// The golden frame with so much room in front.
Frame roomy(const char* name) {
  const Bytes& bytes = golden(name);
  Frame frame = Frame::empty(static_cast<uint32_t>(kRoomBytes + bytes.size()));
  Packet& packet = frame.packet;
  packet.data = packet.buffer + kRoomBytes;
  packet.length = static_cast<uint32_t>(bytes.size());
  std::memcpy(packet.data, bytes.data(), bytes.size());
  EXPECT_EQ(parse(packet), DropReason::kNone);
  return frame;
}

/// The IPv4 header's sum is right, and header and layers say the same.
void expect_content(const Packet& packet, uint8_t protocol) {
  const Layers& layers = packet.layers;
  const uint8_t* ip = packet.at(layers.l3_offset);
  EXPECT_EQ(layers.protocol, protocol);
  EXPECT_EQ(*packet.at(layers.next_header_offset), protocol);
  if (!layers.is_ipv4) {
    EXPECT_EQ(load_be16(ip + 4) + 40u, layers.l3_bytes);
    return;
  }
  EXPECT_EQ(load_be16(ip + 2), layers.l3_bytes);
  EXPECT_EQ(naive_sum({ip, (ip[0] & 0x0fu) * 4}), 0xffff);
}

// Shows: R-2406-13
TEST(IpHeader, AnyLengthAndProtocolKeepTheChecksumRight) {
  for (const char* name : kShapes) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(rc::check([&](uint8_t protocol) {
      const uint32_t length = *rc::gen::inRange(40u, 65'536u);
      Frame frame = roomy(name);
      Packet& packet = frame.packet;
      const Bytes before = frame.bytes();
      packet.layers.l3_bytes = length;
      set_content(packet, protocol);
      expect_content(packet, protocol);
      uint32_t changed = 0;
      const Bytes after = frame.bytes();
      RC_ASSERT(after.size() == before.size());
      for (size_t i = 0; i < after.size(); ++i) changed += after[i] != before[i] ? 1 : 0;
      RC_ASSERT(changed <= (packet.layers.is_ipv4 ? 5u : 3u));
    }));
  }
}

// Shows: R-2406-13
TEST(IpHeader, AGapMovesTheHeadersAndNothingElse) {
  for (const char* name : kShapes) {
    SCOPED_TRACE(name);
    for (const int32_t gap : {8, 16, 24, 36, 100}) {
      Frame frame = roomy(name);
      Packet& packet = frame.packet;
      const Bytes before = frame.bytes();
      const uint8_t protocol = packet.layers.protocol;
      packet.layers.l3_bytes += static_cast<uint32_t>(gap);
      open_gap(packet, gap, kProtocolEsp);
      expect_content(packet, kProtocolEsp);
      ASSERT_EQ(packet.length, before.size() + static_cast<uint32_t>(gap));
      EXPECT_EQ(std::memcmp(packet.at(packet.layers.l4_offset + static_cast<uint32_t>(gap)),
                            before.data() + packet.layers.l4_offset,
                            before.size() - packet.layers.l4_offset),
                0);
      EXPECT_EQ(std::memcmp(packet.data, before.data(), packet.layers.l3_offset), 0);
      packet.layers.l3_bytes -= static_cast<uint32_t>(gap);
      open_gap(packet, -gap, protocol);
      EXPECT_EQ(frame.bytes(), before);
    }
  }
}

}  // namespace
}  // namespace gmesp::ipsec
