// MSS clamping against the same segments made by scapy with the lower MSS.
#include "dataplane/ipsec/tcp_mss.h"

#include <gtest/gtest.h>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

// Shows: R-2401-02
TEST(TcpMss, LowersAndMendsTheChecksum) {
  for (const std::string name : {"mss4", "mss6.odd"}) {
    Frame frame(golden(name));
    ASSERT_EQ(parse(frame.packet), DropReason::kNone);
    EXPECT_TRUE(clamp_mss(frame.packet, 1300));
    EXPECT_EQ(frame.bytes(), golden(name + ".1300"));
    EXPECT_FALSE(clamp_mss(frame.packet, 1300));
  }
}

// Shows: R-2401-02
TEST(TcpMss, LeavesTheRestAlone) {
  for (const char* name : {"mss4.data", "mss4.small", "mss4.none", "udp4", "icmp6", "atomic6"}) {
    Frame frame(golden(name));
    const Bytes before = frame.bytes();
    ASSERT_EQ(parse(frame.packet), DropReason::kNone);
    EXPECT_FALSE(clamp_mss(frame.packet, 1300)) << name;
    EXPECT_EQ(frame.bytes(), before);
  }
}

/// A SYN with these option bytes, filled up to words with `fill`.
Frame syn_with(Bytes options, uint8_t fill) {
  while (options.size() % 4 != 0) options.push_back(fill);
  Bytes tcp(20, 0);
  tcp[12] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  tcp[13] = 0x02;
  tcp.insert(tcp.end(), options.begin(), options.end());
  DatagramShape shape;
  shape.protocol = kProtocolTcp;
  Frame frame(make_datagram(shape, tcp));
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  set_l4_checksum(frame.packet, frame.packet.l4_bytes());
  return frame;
}

// Shows: R-2401-02
TEST(TcpMss, OddOptions) {
  struct Row {
    const char* what;
    Bytes options;
    uint8_t fill;
    Bytes wanted;  ///< empty: unchanged
  };
  const Row rows[] = {
      {"twice", {2, 4, 5, 200, 2, 4, 6, 0}, 0, {2, 4, 4, 0, 2, 4, 4, 0}},
      {"behind another", {3, 3, 7, 2, 4, 255, 255}, 0, {3, 3, 7, 2, 4, 4, 0}},
      {"behind the end", {0, 2, 4, 5, 200}, 0, {}},
      {"length zero", {2, 0, 5, 200}, 1, {}},
      {"length one", {2, 1, 5, 200}, 1, {}},
      {"length three", {2, 3, 5}, 1, {}},
      {"length five", {2, 5, 5, 200, 0}, 1, {}},
      {"length beyond the header", {1, 1, 2, 4}, 1, {}},
      {"kind without length", {1, 1, 1, 2}, 1, {}},
      {"behind a malformed one", {8, 99, 2, 4, 5, 200}, 1, {}},
      {"just the limit", {2, 4, 4, 0}, 1, {}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Frame frame = syn_with(row.options, row.fill);
    const Bytes before = frame.bytes();
    EXPECT_EQ(clamp_mss(frame.packet, 1024), !row.wanted.empty());
    if (row.wanted.empty()) {
      EXPECT_EQ(frame.bytes(), before);
      continue;
    }
    EXPECT_TRUE(l4_checksum_good(frame.packet, frame.packet.l4_bytes()));
    const uint8_t* options = frame.packet.at(frame.packet.layers.l4_offset + 20);
    EXPECT_EQ(Bytes(options, options + row.wanted.size()), row.wanted);
  }
}

}  // namespace
}  // namespace gmesp::ipsec
