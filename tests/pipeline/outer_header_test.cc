// The outer header of a tunnel and what of it comes back in: TTL, DSCP, DF, identification and
// congestion marks (RFC 2401 5.1.2, RFC 4301 5.1.2, RFC 6040).
#include <gtest/gtest.h>

#include <set>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DontFragment;
using ipsec::Side;
using shm::SaRole;

constexpr auto kTunnel = shm::Mode::kUdpEncapsulatedTunnel;
constexpr SaRole kSaA = SaRole::kInUcPs;
constexpr SaRole kSaD = SaRole::kOutPcUs;

struct Tunnel {
  explicit Tunnel(bool is_v4, const LabOptions& options = {})
      : lab(options), ue(make_registration(1, kTunnel, is_v4)) {
    lab.install(ue);
    EXPECT_EQ(lab.from_network(ue.uplink(kSaA, ++sequence, pattern(9))).size(), 1u);
  }
  /// The outer header that `inner` gets; its bytes must arrive as they were.
  Dissection sent(const Datagram& inner) {
    const Bytes out =
        packet_in(only(lab.from_host(frame_from_host(ip_packet(inner))), Side::kAccess));
    EXPECT_EQ(open(ue.sa(kSaD), out).clear, ip_packet(inner)) << "inner header untouched";
    return dissect_packet(out).value_or(Dissection{});
  }
  std::vector<Sent> received(const Datagram& inner, const EspShape& shape) {
    return lab.from_network(frame_to_host(seal(ue.sa(kSaA), ++sequence, ip_packet(inner), shape)));
  }
  Lab lab;
  Registration ue;
  uint32_t sequence = 0;
};

class OuterHeaderTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(BothFamilies, OuterHeaderTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv4" : "IPv6"; });

// Shows: R-2401-04
TEST_P(OuterHeaderTest, TtlIsOurOwnAndTheInnerOneStays) {
  LabOptions options;
  options.pipeline.outbound.outer_ttl = 77;
  Tunnel tunnel(GetParam(), options);
  for (const uint8_t ttl : {1, 2, 64, 255}) {
    Datagram inner = tunnel.ue.datagram(kSaD, pattern(40));
    inner.ttl = ttl;
    EXPECT_EQ(tunnel.sent(inner).ttl, 77);
  }
  for (const uint8_t ttl : {0, 1, 255}) {  // the tunnel ends in this host: nothing is forwarded
    Datagram inner = tunnel.ue.datagram(kSaA, pattern(40));
    inner.ttl = ttl;
    EXPECT_EQ(packet_in(only(tunnel.received(inner, {.outer_ttl = 1}), Side::kHost)),
              ip_packet(inner));
  }
}

// Shows: R-2401-04
TEST_P(OuterHeaderTest, DscpIsCopiedOrZero) {
  for (const bool is_copied : {true, false}) {
    LabOptions options;
    options.pipeline.outbound.outer_dscp_copied = is_copied;
    Tunnel tunnel(GetParam(), options);
    for (uint8_t dscp = 0; dscp < 64; ++dscp) {
      Datagram inner = tunnel.ue.datagram(kSaD, pattern(40));
      inner.tos = static_cast<uint8_t>(dscp << 2);
      EXPECT_EQ(tunnel.sent(inner).tos >> 2, is_copied ? dscp : 0);
    }
  }
}

// Shows: R-2401-04
TEST_P(OuterHeaderTest, InnerDscpIsNotChangedByTheOuter) {
  Tunnel tunnel(GetParam());
  Datagram inner = tunnel.ue.datagram(kSaA, pattern(40));
  inner.tos = 0xb8;
  const Bytes frame = only(tunnel.received(inner, {.outer_tos = 0x28}), Side::kHost);
  EXPECT_EQ(packet_in(frame), ip_packet(inner));
}

/// RFC 6040 4.1: a host's capability to react goes out, as does a mark it set.
// Shows: R-2401-04
TEST_P(OuterHeaderTest, EcnIsCopiedOutward) {
  Tunnel tunnel(GetParam());
  for (const uint8_t ecn : {0, 1, 2, 3}) {
    Datagram inner = tunnel.ue.datagram(kSaD, pattern(40));
    inner.tos = ecn;
    const uint8_t outer = tunnel.sent(inner).tos & 3;
    // RFC 4301 5.1.2 sends CE as ECT(0) or as it is; both keep the mark inside.
    if (ecn == 3)
      EXPECT_TRUE(outer == 3 || outer == 2);
    else
      EXPECT_EQ(outer, ecn);
  }
}

/// RFC 4301 5.1.2: only "congestion experienced" comes in, and only to those who can react.
// Shows: R-2401-04
TEST_P(OuterHeaderTest, EcnTableInward) {
  for (const uint8_t inner_ecn : {0, 1, 2, 3})
    for (const uint8_t outer_ecn : {0, 1, 2, 3}) {
      Tunnel tunnel(GetParam());
      Datagram inner = tunnel.ue.datagram(kSaA, pattern(40));
      inner.tos = static_cast<uint8_t>(0xb8 | inner_ecn);
      const std::vector<Sent> sent = tunnel.received(inner, {.outer_tos = outer_ecn});
      const std::string which =
          "inner " + std::to_string(inner_ecn) + ", outer " + std::to_string(outer_ecn);
      if (inner_ecn == 0 && outer_ecn == 3) {
        EXPECT_TRUE(sent.empty()) << which;
        EXPECT_EQ(tunnel.lab.drops(), "ecn_illegal 1") << which;
        continue;
      }
      Datagram expected = inner;
      if (outer_ecn == 3) expected.tos = 0xb8 | 3;
      EXPECT_EQ(packet_in(only(sent, Side::kHost)), ip_packet(expected)) << which;
    }
}

// Shows: R-2401-04
TEST(OuterHeader, DontFragmentIsCopiedSetOrCleared) {
  for (const DontFragment mode : {DontFragment::kCopy, DontFragment::kSet, DontFragment::kClear})
    for (const bool inner_df : {false, true}) {
      LabOptions options;
      options.pipeline.outbound.dont_fragment = mode;
      Tunnel tunnel(true, options);
      Datagram inner = tunnel.ue.datagram(kSaD, pattern(40));
      inner.dont_fragment = inner_df;
      const bool expected = mode == DontFragment::kSet || (mode == DontFragment::kCopy && inner_df);
      EXPECT_EQ(tunnel.sent(inner).dont_fragment, expected);
    }
}

// Shows: R-2401-04
TEST(OuterHeader, EveryPacketHasAnIdentificationOfItsOwn) {
  Tunnel tunnel(true);
  std::set<uint32_t> seen;
  for (int i = 0; i < 500; ++i)
    seen.insert(tunnel.sent(tunnel.ue.datagram(kSaD, pattern(40))).identification);
  EXPECT_EQ(seen.size(), 500u) << "all inner packets have the same";
}

// Shows: R-2401-04, R-3948-03
TEST(OuterHeader, OuterIpv4OptionsAreNotForTheHost) {
  Tunnel tunnel(true);
  const Datagram inner = tunnel.ue.datagram(kSaA, pattern(40));
  const EspShape shape{.outer_options = {148, 4, 0, 0}};
  EXPECT_EQ(packet_in(only(tunnel.received(inner, shape), Side::kHost)), ip_packet(inner));
}

// Shows: R-2401-04
TEST(OuterHeader, InnerIpv4OptionsGoThroughTheTunnel) {
  Tunnel tunnel(true);
  Datagram inner = tunnel.ue.datagram(kSaD, pattern(40));
  inner.ipv4_options = {148, 4, 0, 0};
  EXPECT_EQ(tunnel.sent(inner).headers.size(), 20u) << "and do not stand outside";
}

// Shows: R-2401-04
TEST_P(OuterHeaderTest, FieldsOfTheOuterHeader) {
  Tunnel tunnel(GetParam());
  const Dissection outer = tunnel.sent(tunnel.ue.datagram(kSaD, pattern(40)));
  EXPECT_EQ(outer.source, tunnel.ue.outer_local);
  EXPECT_EQ(outer.destination, tunnel.ue.outer_ue);
  EXPECT_EQ(outer.protocol, 17);
  EXPECT_EQ(outer.ttl, 64);
  EXPECT_TRUE(outer.header_checksum_good);
  EXPECT_EQ(outer.packet.size(), outer.headers.size() + get16(outer.l4, 4)) << "UDP fills it";
}

}  // namespace
}  // namespace gmesp::test
