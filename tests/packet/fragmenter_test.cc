// Cutting: against scapy's fragments, and row by row what the RFCs ask of each header.
#include "dataplane/ipsec/fragmenter.h"

#include <gtest/gtest.h>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kHeadroomBytes = 32;

/// Fragment `index` in a buffer that has room for just the MTU.
Frame cut(const Packet& whole, uint32_t mtu_bytes, uint32_t index, uint32_t identification) {
  Frame fragment = Frame::empty(kHeadroomBytes + whole.layers.l3_offset + mtu_bytes);
  EXPECT_TRUE(
      write_fragment(whole, mtu_bytes, index, identification, kHeadroomBytes, fragment.packet));
  EXPECT_EQ(fragment.packet.headroom(), kHeadroomBytes);
  return fragment;
}

// Shows: R-2406-11
TEST(Fragmenter, CutsAsScapyDoes) {
  for (const std::string name : {"whole4", "whole6"}) {
    Frame whole(golden(name));
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    ASSERT_EQ(fragment_count(whole.packet, 1500), 3u);
    for (uint32_t index = 0; index < 3; ++index)
      EXPECT_EQ(cut(whole.packet, 1500, index, 0xabcd1234).bytes(),
                golden(name + "." + std::to_string(index)))
          << name << "." << index;
  }
}

// Shows: R-2406-11, R-2406-13
TEST(Fragmenter, LaterFragmentsCarryOptionsWithTheCopyBit) {
  Frame whole(golden("options4.long"));  // record route, no operation, router alert; DF set
  ASSERT_EQ(parse(whole.packet), DropReason::kNone);
  ASSERT_EQ(whole.packet.layers.l4_offset, 14 + 32);
  ASSERT_EQ(fragment_count(whole.packet, 1000), 3u);
  for (uint32_t index = 0; index < 3; ++index) {
    Frame fragment = cut(whole.packet, 1000, index, 77);
    ASSERT_EQ(parse(fragment.packet), DropReason::kNone) << index;
    const uint8_t* ip = fragment.packet.at(14);
    EXPECT_EQ(load_be16(ip + 4), 0x1234);  // its own identification
    EXPECT_EQ(load_be16(ip + 6) >> 13, index == 2 ? 0 : 1);
    if (index == 0) {
      EXPECT_EQ(Bytes(ip + 20, ip + 32), Bytes(whole.packet.at(34), whole.packet.at(46)));
    } else {
      EXPECT_EQ(fragment.packet.layers.l4_offset, 14 + 24);
      EXPECT_EQ(Bytes(ip + 20, ip + 24), Bytes({0x94, 4, 0, 0}));
    }
  }
}

// Shows: R-2406-11
TEST(Fragmenter, OddIpv4Options) {
  struct Row {
    const char* what;
    Bytes options, copied;
  };
  const Row rows[] = {
      {"filled up to a word", {0x88, 3, 9, 1}, {0x88, 3, 9, 0}},
      {"two with one between",
       {0x88, 4, 0, 1, 7, 3, 4, 1, 0x94, 4, 0, 0},
       {0x88, 4, 0, 1, 0x94, 4, 0, 0}},
      {"behind the end", {0, 0x88, 3, 9}, {}},
      {"length zero", {0x88, 0, 0, 0}, {}},
      {"length one", {0x88, 1, 0, 0}, {}},
      {"beyond the header", {0x88, 5, 0, 0}, {}},
      {"kind without length", {1, 1, 1, 0x88}, {}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    DatagramShape shape;
    shape.ipv4_options = row.options;
    Frame whole(make_datagram(shape, pattern(1000)));
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    Frame fragment = cut(whole.packet, 576, 1, 0);
    ASSERT_EQ(parse(fragment.packet), DropReason::kNone);
    EXPECT_EQ(Bytes(fragment.packet.at(34), fragment.packet.at(fragment.packet.layers.l4_offset)),
              row.copied);
  }
}

// Shows: R-2406-11
TEST(Fragmenter, ZeroIdentificationIsReplaced) {
  DatagramShape shape;
  shape.ipv4_identification = 0;
  Frame whole(make_datagram(shape, pattern(2000)));
  ASSERT_EQ(parse(whole.packet), DropReason::kNone);
  for (uint32_t index = 0; index < 2; ++index)
    EXPECT_EQ(load_be16(cut(whole.packet, 1500, index, 0xabcd1234).packet.at(18)), 0x1234);
}

// Shows: R-2406-11, R-2406-14
TEST(Fragmenter, Ipv6FragmentHeaderStandsBehindWhatRoutersRead) {
  struct Row {
    bool hop_by_hop, routing, destination_options;
    uint32_t fragment_header_at;
    uint8_t named;  ///< by the fragment header
  };
  const Row rows[] = {{false, false, false, 40, 50}, {true, false, false, 48, 50},
                      {false, true, false, 64, 50},  {true, true, false, 72, 50},
                      {false, false, true, 40, 60},  {true, false, true, 48, 60},
                      {true, true, true, 72, 60}};
  for (const Row& row : rows) {
    DatagramShape shape;
    shape.is_ipv4 = false;
    shape.has_hop_by_hop = row.hop_by_hop;
    shape.has_routing = row.routing;
    shape.has_destination_options = row.destination_options;
    shape.protocol = kProtocolEsp;
    Frame whole(make_datagram(shape, pattern(1600)));
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    Frame fragment = cut(whole.packet, 1400, 1, 0x01020304);
    ASSERT_EQ(parse(fragment.packet), DropReason::kNone);
    EXPECT_EQ(fragment.packet.layers.fragment_header_offset, 14 + row.fragment_header_at);
    EXPECT_EQ(fragment.packet.layers.protocol, row.named);
    EXPECT_EQ(fragment.packet.layers.fragment_id, 0x01020304u);
  }
}

// Shows: R-2406-11
TEST(Fragmenter, WhatFitsStaysAsItIs) {
  for (const char* name : {"udp4", "chain6"}) {
    Frame whole(golden(name));
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    const uint32_t l3_bytes = whole.packet.layers.l3_bytes;
    EXPECT_EQ(fragment_count(whole.packet, l3_bytes), 1u);
    EXPECT_EQ(fragment_count(whole.packet, l3_bytes - 1), 2u);
    EXPECT_EQ(cut(whole.packet, l3_bytes, 0, 7).bytes(), golden(name));
    Frame none = Frame::empty(2000);
    EXPECT_FALSE(write_fragment(whole.packet, l3_bytes, 1, 7, 0, none.packet));
    EXPECT_FALSE(write_fragment(whole.packet, l3_bytes, 0, 7, 2001, none.packet));
  }
}

// Shows: R-2406-11
TEST(Fragmenter, SmallestMtu) {
  for (const bool is_ipv4 : {true, false}) {
    DatagramShape shape;
    shape.is_ipv4 = is_ipv4;
    Frame whole(make_datagram(shape, pattern(100)));
    ASSERT_EQ(parse(whole.packet), DropReason::kNone);
    const uint32_t header_bytes = is_ipv4 ? 20 : 48;
    for (uint32_t mtu_bytes = 0; mtu_bytes < header_bytes + 8; ++mtu_bytes) {
      EXPECT_EQ(fragment_count(whole.packet, mtu_bytes), 0u);
      Frame none = Frame::empty(200);
      EXPECT_FALSE(write_fragment(whole.packet, mtu_bytes, 0, 7, 0, none.packet));
    }
    EXPECT_EQ(fragment_count(whole.packet, header_bytes + 8), 13u);
    EXPECT_EQ(fragment_count(whole.packet, header_bytes + 11), 13u);
    EXPECT_EQ(fragment_count(whole.packet, header_bytes + 12), 12u);  // the last takes 12 bytes
  }
}

// Shows: R-2406-11
TEST(Fragmenter, RefusesFragmentsAndWhatIsNotIp) {
  Frame fragment(golden("whole4.0"));
  ASSERT_EQ(parse(fragment.packet), DropReason::kNone);
  EXPECT_EQ(fragment_count(fragment.packet, 576), 0u);
  Bytes arp = golden("udp4");
  arp[13] = 6;
  Frame other(arp);
  ASSERT_EQ(parse(other.packet), DropReason::kNone);
  EXPECT_EQ(fragment_count(other.packet, 1500), 0u);
}

// Shows: R-2406-11
TEST(Fragmenter, BufferTooSmall) {
  Frame whole(golden("whole6"));
  ASSERT_EQ(parse(whole.packet), DropReason::kNone);
  const uint32_t length = cut(whole.packet, 1500, 0, 7).packet.length;
  Frame exact = Frame::empty(length + 3);
  EXPECT_TRUE(write_fragment(whole.packet, 1500, 0, 7, 3, exact.packet));
  EXPECT_FALSE(write_fragment(whole.packet, 1500, 0, 7, 4, exact.packet));
}

}  // namespace
}  // namespace gmesp::ipsec
