// Checksums against the RFC's words added one by one, and against scapy's packets.
#include "dataplane/ipsec/checksum.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "dataplane/ipsec/byte_order.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

// Shows: R-D-X1
TEST(Checksum, EqualsNaiveSumAtAnyLengthAndAlignment) {
  const Bytes bytes = pattern(2100);
  constexpr uint32_t kLineBytes = 64;
  for (uint32_t start = 0; start <= kLineBytes; ++start) {
    for (uint32_t count = 0; count < 140; ++count) {
      const Bytes exact(bytes.begin() + start, bytes.begin() + start + count);
      ASSERT_EQ(ones_sum(exact), naive_sum(exact)) << start << "+" << count;
      ASSERT_EQ(ones_sum(std::span(bytes).subspan(start, count)), naive_sum(exact));
    }
  }
  for (uint32_t count = 140; count <= bytes.size(); ++count) {
    const Bytes exact(bytes.begin(), bytes.begin() + count);
    ASSERT_EQ(ones_sum(exact), naive_sum(exact)) << count;
  }
}

// Shows: R-D-X1
TEST(Checksum, NoCarryIsLost) {
  const Bytes ones(65535, 0xff);
  EXPECT_EQ(ones_sum(ones), naive_sum(ones));
  EXPECT_EQ(ones_sum(ones, UINT32_MAX), naive_sum(ones, UINT32_MAX));
  EXPECT_EQ(ones_sum(Bytes(9, 0)), 0);
}

// Shows: R-D-X1
TEST(Checksum, ChainsEvenParts) {
  EXPECT_TRUE(rc::check([](const Bytes& first, const Bytes& second) {
    Bytes even = first;
    if (even.size() % 2 != 0) even.push_back(7);
    Bytes whole = even;
    whole.insert(whole.end(), second.begin(), second.end());
    RC_ASSERT(ones_sum(second, ones_sum(even)) == naive_sum(whole));
  }));
}

// Shows: R-D-X1, R-2406-13
TEST(Checksum, AgreesWithScapy) {
  for (const char* name : {"udp4", "tcp4", "udp6", "tcp6", "options4", "chain6", "vlan4"}) {
    SCOPED_TRACE(name);
    const Bytes& bytes = golden(name);
    Frame frame(bytes);
    Packet& packet = frame.packet;
    ASSERT_EQ(parse(packet), DropReason::kNone);
    EXPECT_TRUE(l4_checksum_good(packet, packet.l4_bytes()));
    const uint32_t checksum_at =
        packet.layers.l4_offset + (packet.layers.protocol == kProtocolUdp ? 6 : 16);
    packet.at(checksum_at)[1] ^= 1;
    EXPECT_FALSE(l4_checksum_good(packet, packet.l4_bytes()));
    set_l4_checksum(packet, packet.l4_bytes());
    EXPECT_EQ(frame.bytes(), bytes);
    if (!packet.layers.is_ipv4) continue;
    uint8_t* ip = packet.at(packet.layers.l3_offset);
    EXPECT_TRUE(ipv4_checksum_good(ip));
    store_be16(ip + 10, 0x1234);
    EXPECT_FALSE(ipv4_checksum_good(ip));
    set_ipv4_checksum(ip);
    EXPECT_EQ(frame.bytes(), bytes);
  }
}

// Shows: R-3948-02
TEST(Checksum, UdpZeroMeansNoneOverIpv4Only) {
  for (const char* name : {"udp4", "udp6"}) {
    Frame frame(golden(name));
    ASSERT_EQ(parse(frame.packet), DropReason::kNone);
    store_be16(frame.packet.at(frame.packet.layers.l4_offset + 6), 0);
    EXPECT_EQ(l4_checksum_good(frame.packet, frame.packet.l4_bytes()), frame.packet.layers.is_ipv4);
  }
}

// Shows: R-3948-02
TEST(Checksum, ComputedUdpZeroIsWrittenAsOnes) {
  Frame frame(golden("udp4"));
  Packet& packet = frame.packet;
  ASSERT_EQ(parse(packet), DropReason::kNone);
  uint8_t* udp = packet.at(packet.layers.l4_offset);
  // Two payload bytes that take the sum to 0xffff, so that its complement is zero.
  store_be16(udp + 6, 0);
  store_be16(udp + 8, 0);
  store_be16(udp + 8, static_cast<uint16_t>(~naive_l4_sum(packet)));
  ASSERT_EQ(naive_l4_sum(packet), 0xffff);
  set_l4_checksum(packet, packet.l4_bytes());
  EXPECT_EQ(load_be16(udp + 6), 0xffff);
  EXPECT_TRUE(l4_checksum_good(packet, packet.l4_bytes()));
}

// Shows: R-2406-07
TEST(Checksum, RefusesLengthsThatAreNotThere) {
  for (const char* name : {"udp4", "tcp6", "icmp4"}) {
    Frame frame(golden(name));
    const Bytes before = frame.bytes();
    ASSERT_EQ(parse(frame.packet), DropReason::kNone);
    for (const uint32_t l4_bytes : {0u, 7u, frame.packet.l4_bytes() + 1, UINT32_MAX}) {
      EXPECT_FALSE(l4_checksum_good(frame.packet, l4_bytes));
      set_l4_checksum(frame.packet, l4_bytes);
      EXPECT_EQ(frame.bytes(), before);
    }
  }
}

// Shows: R-2401-02
TEST(Checksum, UpdateEqualsRecomputation) {
  EXPECT_TRUE(rc::check([](std::array<uint16_t, 10> words, uint16_t after) {
    Bytes bytes;
    for (const uint16_t word : words) {
      bytes.push_back(static_cast<uint8_t>(word >> 8));
      bytes.push_back(static_cast<uint8_t>(word));
    }
    RC_PRE(words[0] != 0);  // all zero is the one sum with two representations
    const uint16_t checksum = static_cast<uint16_t>(~naive_sum(bytes));
    store_be16(bytes.data() + 6, after);
    const uint16_t updated = updated_checksum(checksum, words[3], after);
    RC_ASSERT(updated == static_cast<uint16_t>(~naive_sum(bytes)));
  }));
}

}  // namespace
}  // namespace gmesp::ipsec
