// UDP-encapsulated tunnels (TS 33.203 Annex M, RFC 3948): what may come to port 4500, and how
// port_Uenc is learned, kept and followed.
#include <gtest/gtest.h>

#include <algorithm>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;
using shm::EventKind;
using shm::SaRole;

constexpr auto kTunnel = shm::Mode::kUdpEncapsulatedTunnel;
constexpr SaRole kSaA = SaRole::kInUcPs;
constexpr SaRole kSaD = SaRole::kOutPcUs;

class NatTest : public testing::TestWithParam<bool> {
 protected:
  explicit NatTest() : ue(make_registration(1, kTunnel, GetParam())) {}
  Registration ue;
};
INSTANTIATE_TEST_SUITE_P(BothFamilies, NatTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv4" : "IPv6"; });

Bytes to_port_4500(const Registration& ue, const Bytes& payload) {
  Datagram datagram{.source = ue.ue, .destination = ue.local};
  datagram.source_port = ue.nat_port;
  datagram.destination_port = 4500;
  datagram.payload = payload;
  return frame_to_host(ip_packet(datagram));
}

std::vector<Sent> downlink(Lab& lab, const Registration& ue, SaRole role = kSaD) {
  return lab.from_host(frame_from_host(ue.clear(role, pattern(30))));
}

/// Where the only packet sent goes to.
uint16_t peer_port(const std::vector<Sent>& sent) {
  const std::optional<Dissection> seen = dissect(only(sent, Side::kAccess));
  return seen ? seen->destination_port : 0;
}

// Shows: R-3948-01, R-M-08, R-3948-04, R-D-X1
TEST_P(NatTest, KeepAlivesAreDroppedWithoutATrace) {
  Lab lab;
  const uint64_t set_id = lab.install(ue);
  EXPECT_TRUE(lab.from_network(to_port_4500(ue, {0xff})).empty());
  EXPECT_TRUE(lab.from_network(padded(to_port_4500(ue, {0xff}), 90, 0xff)).empty());
  EXPECT_EQ(lab.drops(), "nat_keep_alive 2");
  EXPECT_TRUE(lab.notices().empty());
  EXPECT_TRUE(downlink(lab, ue).empty()) << "no port is learned from a keep-alive";
  EXPECT_EQ(lab.view(set_id).last_inbound_ms, 0u) << "it is no sign of life";
  EXPECT_EQ(lab.view(set_id).record.not_after_ms, ue.not_after_ms);
}

// Shows: R-3948-01
TEST_P(NatTest, OtherShortDatagramsAreMalformed) {
  Lab lab;
  lab.install(ue);
  EXPECT_TRUE(lab.from_network(to_port_4500(ue, {})).empty());
  EXPECT_TRUE(lab.from_network(to_port_4500(ue, {0xfe})).empty());
  for (size_t bytes = 2; bytes < 8; ++bytes) {
    EXPECT_TRUE(lab.from_network(to_port_4500(ue, Bytes(bytes, 0xff))).empty());
    EXPECT_TRUE(lab.from_network(padded(to_port_4500(ue, Bytes(bytes, 0)), 90)).empty());
  }
  EXPECT_EQ(lab.drops(), "encapsulation_too_short 14");
}

// Shows: R-3948-01
TEST_P(NatTest, IkeMarkerIsRefusedWhateverFollows) {
  Lab lab;
  lab.install(ue);
  for (const size_t bytes : {8u, 32u, 1000u}) {
    Bytes message(bytes, 0x77);
    std::fill_n(message.begin(), 4, uint8_t{0});
    EXPECT_TRUE(lab.from_network(to_port_4500(ue, message)).empty());
  }
  EXPECT_EQ(lab.drops(), "ike_refused 3");
}

// Shows: R-M-07
TEST_P(NatTest, NothingIsSentBeforeTheUeWasHeard) {
  Lab lab;
  const uint64_t set_id = lab.install(ue);
  EXPECT_TRUE(downlink(lab, ue, SaRole::kOutPsUc).empty());
  EXPECT_TRUE(downlink(lab, ue, kSaD).empty());
  EXPECT_EQ(lab.drops(), "peer_port_unknown 2");
  EXPECT_EQ(lab.view(set_id).record.outer_ue_port, 0);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  EXPECT_EQ(lab.view(set_id).record.outer_ue_port, ue.nat_port);
  EXPECT_EQ(peer_port(downlink(lab, ue, SaRole::kOutPsUc)), ue.nat_port) << "one for both SAs";
  EXPECT_EQ(peer_port(downlink(lab, ue, kSaD)), ue.nat_port);
}

// Shows: R-M-08
TEST_P(NatTest, PortIsLearnedOnEitherInboundSaAndTold) {
  for (const SaRole role : {SaRole::kInUcPs, SaRole::kInUsPc}) {
    Lab lab;
    lab.install(ue);
    EXPECT_EQ(lab.from_network(ue.uplink(role, 1, pattern(9))).size(), 1u);
    EXPECT_EQ(lab.from_network(ue.uplink(role, 2, pattern(9))).size(), 1u);
    const std::vector<ipsec::Notice> told = lab.notices(EventKind::kPeerPortLearned);
    ASSERT_EQ(told.size(), 1u) << "once";
    EXPECT_EQ(told[0].value, ue.nat_port);
    EXPECT_EQ(ipsec::role_of(told[0].sa), role);
    EXPECT_EQ(peer_port(downlink(lab, ue, kSaD)), ue.nat_port);
  }
}

// Shows: R-M-08
TEST_P(NatTest, ForgedPacketsTeachNothing) {
  Lab lab;
  lab.install(ue);
  Registration forger = ue;
  forger.nat_port = 6666;
  EXPECT_TRUE(lab.from_network(forger.uplink(kSaA, 1, pattern(9), {.flipped_bit = 100})).empty());
  EXPECT_TRUE(lab.from_network(forger.uplink(kSaA, 0, pattern(9))).empty());
  EXPECT_TRUE(downlink(lab, ue).empty());
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 5, pattern(9))).size(), 1u);
  EXPECT_TRUE(lab.from_network(forger.uplink(kSaA, 5, pattern(9))).empty()) << "a replay";
  EXPECT_EQ(peer_port(downlink(lab, ue)), ue.nat_port);
  EXPECT_EQ(lab.notices(EventKind::kPeerPortLearned).size(), 1u);
}

/// Captured in flight and sent again from elsewhere, together with the genuine one.
// Shows: R-M-08, R-2406-04
TEST_P(NatTest, FirstOfTwoCopiesInABatchTeaches) {
  Lab lab;
  lab.install(ue);
  Registration elsewhere = ue;
  elsewhere.nat_port = 6666;
  const Bytes genuine = ue.uplink(kSaA, 1, pattern(9));
  const Bytes copy = frame_to_host([&] {
    Bytes packet = packet_in(genuine);
    put16(packet, ue.is_v4() ? 20 : 40, 6666);
    return packet;
  }());
  EXPECT_EQ(lab.process({genuine, copy}, {}).size(), 1u);
  EXPECT_EQ(peer_port(downlink(lab, ue)), ue.nat_port);
  EXPECT_TRUE(lab.notices(EventKind::kPeerPortChanged).empty());
}

// Shows: R-M-08
TEST_P(NatTest, PortMayBe4500AndMayBeKnownAtInstall) {
  ue.nat_port = 4500;
  Lab lab;
  lab.install(ue);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  EXPECT_EQ(peer_port(downlink(lab, ue)), 4500);

  Registration again = make_registration(2, kTunnel, GetParam());
  again.installed_peer_port = 23456;  // pushed once more after a restart
  lab.install(again);
  EXPECT_EQ(peer_port(downlink(lab, again)), 23456);
}

// Shows: R-M-08
TEST_P(NatTest, PortMayBeTaughtByControl) {
  Lab lab;
  const uint64_t set_id = lab.install(ue);
  EXPECT_EQ(lab.database().set_peer_port(set_id, 34567), shm::Status::kOk);
  EXPECT_EQ(peer_port(downlink(lab, ue)), 34567);
}

// Shows: R-M-09
TEST_P(NatTest, ANewPortIsReportedAndNotFollowedByDefault) {
  Lab lab;
  lab.install(ue);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  Registration rebound = ue;
  rebound.nat_port = 7777;
  EXPECT_EQ(lab.from_network(rebound.uplink(kSaA, 2, pattern(9))).size(), 1u) << "still passes";
  const std::vector<ipsec::Notice> told = lab.notices(EventKind::kPeerPortChanged);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].value, 7777u);
  EXPECT_EQ(peer_port(downlink(lab, ue)), ue.nat_port);
}

// Shows: R-M-09
TEST_P(NatTest, ANewPortIsFollowedIfConfigured) {
  LabOptions options;
  options.pipeline.inbound.follow_peer_port = true;
  Lab lab(options);
  const uint64_t set_id = lab.install(ue);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 10, pattern(9))).size(), 1u);
  Registration rebound = ue;
  rebound.nat_port = 7777;
  EXPECT_TRUE(lab.from_network(rebound.uplink(kSaA, 11, pattern(9), {.flipped_bit = 99})).empty());
  EXPECT_EQ(peer_port(downlink(lab, ue)), ue.nat_port) << "not to a forger";
  EXPECT_EQ(lab.from_network(rebound.uplink(kSaA, 12, pattern(9))).size(), 1u);
  EXPECT_EQ(peer_port(downlink(lab, ue)), 7777);
  EXPECT_EQ(lab.view(set_id).record.outer_ue_port, 7777);
  // An older packet that was under way must not turn it back.
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 11, pattern(9))).size(), 1u);
  EXPECT_EQ(peer_port(downlink(lab, ue)), 7777) << "only a newer packet moves it";
}

// Shows: R-M-06
TEST_P(NatTest, OuterSourceAddressIsNoSelectorButCounted) {
  Lab lab;
  lab.install(ue);
  Registration elsewhere = ue;
  elsewhere.outer_ue = ip(GetParam() ? "203.0.113.200" : "2001:db8:ffff::200");
  const Bytes frame = elsewhere.uplink(kSaA, 1, pattern(9));
  EXPECT_EQ(packet_in(only(lab.from_network(frame), Side::kHost)), ue.clear(kSaA, pattern(9)));
  EXPECT_EQ(lab.count(Statistic::kOuterSourceChanged), 1u);
  const std::optional<Dissection> down = dissect(only(downlink(lab, ue), Side::kAccess));
  ASSERT_TRUE(down);
  EXPECT_EQ(down->destination, ue.outer_ue) << "outbound goes to the UE's public address";
}

// Shows: R-M-05, R-M-06, R-7.1-07
TEST_P(NatTest, InnerAndOuterAddressesMayDiffer) {
  ue.outer_ue = ip(GetParam() ? "203.0.113.9" : "2001:db8:9::9");
  ue.outer_local = ip(GetParam() ? "192.0.2.200" : "2001:db8:1::200");
  Lab lab;
  lab.install(ue);
  const Bytes frame = ue.uplink(kSaA, 1, pattern(9));
  EXPECT_EQ(packet_in(only(lab.from_network(frame), Side::kHost)), ue.clear(kSaA, pattern(9)));
  const Bytes out = packet_in(only(downlink(lab, ue), Side::kAccess));
  EXPECT_EQ(open(ue.sa(kSaD), out).clear, ue.clear(kSaD, pattern(30)));
  EXPECT_EQ(dissect_packet(out)->source, ue.outer_local);
  EXPECT_EQ(dissect_packet(out)->destination, ue.outer_ue);
  // Inbound SAs are found by the outer destination.
  Registration inner = ue;
  inner.outer_local = ue.local;
  EXPECT_TRUE(lab.from_network(inner.uplink(kSaA, 2, pattern(9))).empty());
  EXPECT_EQ(lab.drops(), "unknown_spi 1");
}

// Shows: R-3948-03, R-M-05
TEST_P(NatTest, SpoofedInnerSourceIsDropped) {
  Lab lab;
  lab.install(ue);
  Datagram datagram = ue.datagram(kSaA, pattern(9));
  for (const char* source : GetParam()
                                ? std::vector<const char*>{"10.0.0.1", "192.168.1.2", "192.0.2.10"}
                                : std::vector<const char*>{"fd00::1", "2001:db8:1::10"}) {
    datagram.source = ip(source);
    const Bytes packet =
        seal(ue.sa(kSaA), 1 + static_cast<uint32_t>(lab.dropped()), ip_packet(datagram));
    EXPECT_TRUE(lab.from_network(frame_to_host(packet)).empty()) << source;
  }
  EXPECT_EQ(lab.count(DropReason::kSelectorAddress), lab.dropped()) << lab.drops();
}

// Shows: R-3948-03
TEST_P(NatTest, EncapsulationMustFitTheSa) {
  Lab lab;
  lab.install(ue);
  EspSa bare = ue.sa(kSaA);
  bare.is_tunnel = false;
  EXPECT_TRUE(lab.from_network(frame_to_host(seal(bare, 1, ue.clear(kSaA, pattern(9))))).empty());
  const Registration direct = make_registration(2, shm::Mode::kTransport, GetParam());
  lab.install(direct);
  EspSa wrapped = direct.sa(kSaA);
  wrapped.is_tunnel = true;
  wrapped.outer_source = direct.ue;
  wrapped.outer_destination = direct.local;
  const Bytes packet = seal(wrapped, 1, direct.clear(kSaA, pattern(9)));
  EXPECT_TRUE(lab.from_network(frame_to_host(packet)).empty());
  EXPECT_EQ(lab.drops(), "encapsulation_mismatch 2");
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u) << "1 is not spent";
}

// Shows: R-3948-02
TEST_P(NatTest, UdpChecksumZeroOrRightIsTaken) {
  Lab lab;
  lab.install(ue);
  EXPECT_EQ(
      lab.from_network(ue.uplink(kSaA, 1, pattern(9), {.udp_checksum = UdpChecksum::kZero})).size(),
      1u);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 2, pattern(9), {.udp_checksum = UdpChecksum::kRight}))
                .size(),
            1u);
  EXPECT_TRUE(
      lab.from_network(ue.uplink(kSaA, 3, pattern(9), {.udp_checksum = UdpChecksum::kWrong}))
          .empty());
  EXPECT_EQ(lab.drops(), "udp_checksum_bad 1");
}

// Shows: R-3948-02
TEST_P(NatTest, UdpChecksumIsZeroOverIpv4AndRealOverIpv6) {
  Lab lab;
  lab.install(ue);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  for (size_t bytes = 0; bytes < 40; ++bytes) {
    const Bytes frame = frame_from_host(ue.clear(kSaD, pattern(bytes)));
    const std::optional<Dissection> seen = dissect(only(lab.from_host(frame), Side::kAccess));
    ASSERT_TRUE(seen);
    EXPECT_EQ(get16(seen->l4, 6) == 0, ue.is_v4());
    EXPECT_TRUE(seen->l4_checksum_good);
    EXPECT_EQ(seen->source_port, 4500);
  }
}

// Shows: R-M-07, R-7.1-19
TEST_P(NatTest, TheHostItselfMayNotSendFromPort4500) {
  Lab lab;
  lab.install(ue);
  Datagram datagram{.source = ue.local, .destination = ue.ue};
  datagram.source_port = 4500;
  datagram.destination_port = ue.nat_port;
  EXPECT_TRUE(lab.from_host(frame_from_host(ip_packet(datagram))).empty());
  EXPECT_EQ(lab.drops(), "host_used_encapsulation_port 1");
}

/// Without NAT traversal configured port 4500 is a port like others.
// Shows: R-M-02
TEST_P(NatTest, EncapsulationCanBeSwitchedOff) {
  LabOptions options;
  options.pipeline.encapsulation_port = 0;
  Lab lab(options);
  const Bytes frame = to_port_4500(ue, pattern(60));
  EXPECT_EQ(only(lab.from_network(frame), Side::kHost), frame);
}

}  // namespace
}  // namespace gmesp::test
