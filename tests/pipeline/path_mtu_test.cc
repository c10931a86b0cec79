// Packets that do not fit: told to the host exactly, learned from the path with care, and TCP kept
// below the overhead (RFC 2401 6.1, RFC 4301 6 and 8.2).
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

constexpr SaRole kSaA = SaRole::kInUcPs;
constexpr SaRole kSaB = SaRole::kOutPsUc;
constexpr SaRole kSaD = SaRole::kOutPcUs;

struct Path {
  explicit Path(const Registration& registration) : ue(registration) {
    set_id = lab.install(ue);
    EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  }
  size_t header_bytes() const { return ue.is_v4() ? 20 : 40; }
  Ip router() const { return ip(ue.is_v4() ? "203.0.113.1" : "2001:db8:ff::1"); }
  /// A UDP packet of `bytes` from the host that must not be cut.
  std::vector<Sent> send(size_t bytes) {
    Datagram datagram = ue.datagram(kSaD, pattern(bytes - header_bytes() - 8));
    datagram.dont_fragment = true;
    last = ip_packet(datagram);
    return lab.from_host(frame_from_host(last));
  }
  /// What the host is told: the MTU in the ICMP error, 0 if there is none.
  uint32_t told(const std::vector<Sent>& sent) const {
    const std::optional<Dissection> seen = dissect(only(sent, Side::kHost));
    if (!seen || seen->l4.size() < 8) return 0;
    const bool is_too_big = ue.is_v4() ? seen->l4[0] == 3 && seen->l4[1] == 4 : seen->l4[0] == 2;
    return is_too_big ? (ue.is_v4() ? get16(seen->l4, 6) : get32(seen->l4, 4)) : 0;
  }
  /// An ICMP too-big about what we sent on `role`.
  void complain(uint32_t mtu, const EspSa& about) {
    const Bytes ours = seal(about, 1, ue.clear(kSaD, pattern(100)));
    lab.from_network(frame_to_host(too_big(router(), ue.outer_local, mtu, ours)));
    lab.obey_notices();
  }
  Lab lab;
  Registration ue;
  uint64_t set_id;
  Bytes last;
};

// Shows: R-2401-02
TEST(PathMtu, HostIsToldExactlyWhatFits) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    const std::vector<Sent> refused = path.send(1500);
    const uint32_t mtu = path.told(refused);
    ASSERT_GT(mtu, 1300u) << kind(ue);
    ASSERT_LT(mtu, 1500u) << kind(ue);
    EXPECT_EQ(path.lab.drops(), "too_big_for_path 1");
    EXPECT_EQ(path.lab.count(Statistic::kTooBigSent), 1u);

    const std::vector<Sent> sent = path.send(mtu);
    const Bytes out = packet_in(only(sent, Side::kAccess));
    EXPECT_EQ(open(ue.sa(kSaD), out).clear, path.last) << kind(ue) << ": the retry fits";
    EXPECT_LE(out.size(), 1500u);
    EXPECT_NE(path.told(path.send(mtu + 1)), 0u) << kind(ue) << ": a byte more does not";
    EXPECT_EQ(path.told(path.send(mtu + 1)), mtu) << "the same answer each time";
  }
}

// Shows: R-2401-02
TEST(PathMtu, TheErrorIsOneThatTheHostBelieves) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    const std::optional<Dissection> seen = dissect(only(path.send(1500), Side::kHost));
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->destination, ue.local);
    EXPECT_EQ(seen->protocol, ue.is_v4() ? 1 : 58);
    EXPECT_TRUE(seen->header_checksum_good);
    const uint64_t pseudo =
        ue.is_v4() ? 0 : pseudo_sum(seen->source, seen->destination, 58, seen->l4.size());
    EXPECT_EQ(internet_sum(seen->l4, pseudo), 0xffff) << kind(ue);
    ASSERT_GE(seen->l4.size(), 8u + path.header_bytes() + 8);
    const Bytes quoted(seen->l4.begin() + 8, seen->l4.end());
    EXPECT_TRUE(std::equal(quoted.begin(), quoted.end(), path.last.begin()))
        << "it quotes the clear packet, by which the host finds its socket";
    EXPECT_LE(seen->packet.size(), ue.is_v4() ? 576u : 1280u);
  }
}

// Shows: R-2401-02
TEST(PathMtu, VlanTagsOfTheRefusedPacketAreOnTheError) {
  Path path(make_registration(1));
  path.send(1500);
  const std::vector<Sent> sent = path.lab.from_host(frame_from_host(path.last, {0x2001, 77}));
  const Bytes frame = only(sent, Side::kHost);
  EXPECT_EQ(get16(frame, 14), 0x2001);
  EXPECT_EQ(get16(frame, 18), 77);
}

// Shows: R-2401-02
TEST(PathMtu, ErrorsAreLimitedInRate) {
  LabOptions options;
  options.pipeline.icmp_errors_per_second = 10;
  Lab lab(options);
  const Registration ue = make_registration(1);
  lab.install(ue);
  Datagram datagram = ue.datagram(kSaD, pattern(1472));
  datagram.dont_fragment = true;
  size_t told = 0;
  for (int i = 0; i < 500; ++i, ++lab.now_ms)
    told += lab.from_host(frame_from_host(ip_packet(datagram))).size();
  EXPECT_GE(told, 5u);
  EXPECT_LE(told, 8u);
  EXPECT_EQ(lab.drops(), "too_big_for_path 500") << "each is dropped, told or not";
}

/// What strangers send must not use up what the host's own TCP depends on.
// Shows: R-2401-02, R-2401-03
TEST(PathMtu, AFloodOfForgedTooBigsDoesNotSilenceOurOwn) {
  Path path(make_registration(1));
  EspSa unknown = path.ue.sa(kSaD);
  unknown.spi ^= 0x5555;
  const Bytes quoted = seal(unknown, 1, path.ue.clear(kSaD, pattern(100)));
  const Bytes frame = frame_to_host(too_big(path.router(), path.ue.local, 1000, quoted));
  for (int i = 0; i < 5000; ++i) EXPECT_TRUE(path.lab.from_network(frame).empty());
  EXPECT_GT(path.told(path.send(1500)), 1300u) << path.lab.drops();
}

// Shows: R-2401-03
TEST(PathMtu, GenuineTooBigLowersWhatIsSent) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    const uint32_t before = path.told(path.send(1500));
    path.complain(1400, ue.sa(kSaD));
    EXPECT_EQ(path.lab.count(DropReason::kPathMtuTaken), 1u) << kind(ue) << path.lab.drops();
    EXPECT_EQ(path.lab.view(path.set_id).path_mtu, 1400) << kind(ue);
    const uint32_t mtu = path.told(path.send(before));
    EXPECT_LE(mtu, before - 84) << kind(ue);
    const Bytes out = packet_in(only(path.send(mtu), Side::kAccess));
    EXPECT_LE(out.size(), 1400u);
    EXPECT_TRUE(open(ue.sa(kSaD), out).is_authentic);
  }
}

// Shows: R-2401-03
TEST(PathMtu, LearnedMtuCutsWhatMayBeCut) {
  Path path(make_registration(1));
  path.complain(1000, path.ue.sa(kSaD));
  const Bytes clear = path.ue.clear(kSaD, pattern(1300));
  const std::vector<Bytes> out = to(path.lab.from_host(frame_from_host(clear)), Side::kAccess);
  ASSERT_EQ(out.size(), 2u);
  for (const Bytes& frame : out) EXPECT_LE(packet_in(frame).size(), 1000u);
  EXPECT_EQ(open(path.ue.sa(kSaD), packet_in(rejoin(out)[0])).clear, clear);
}

// Shows: R-2401-03
TEST(PathMtu, LearnedMtuAges) {
  Path path(make_registration(1));
  path.complain(1000, path.ue.sa(kSaD));
  EXPECT_EQ(path.lab.view(path.set_id).path_mtu, 1000);
  path.lab.database().clear_path_mtu(path.set_id, path.lab.now_ms + 599'999);
  EXPECT_EQ(path.lab.view(path.set_id).path_mtu, 1000) << "not before its time";
  path.lab.database().clear_path_mtu(path.set_id, path.lab.now_ms + 600'000);
  EXPECT_EQ(path.lab.view(path.set_id).path_mtu, 0);
  EXPECT_GT(path.told(path.send(1500)), 1300u);
}

// Shows: R-2401-03
TEST(PathMtu, ForgedTooBigChangesNothing) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    EspSa unknown = ue.sa(kSaD);  // an SPI or UE that is not ours
    unknown.spi ^= 0x5555;
    unknown.outer_destination_port ^= 0x55;
    path.complain(1000, unknown);
    path.complain(1000, ue.sa(kSaA));  // one of our inbound SAs: we never sent it
    EXPECT_EQ(path.lab.view(path.set_id).path_mtu, 0) << kind(ue);
  }
}

// Shows: R-2401-03
TEST(PathMtu, TinyTooBigIsIgnored) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    const uint32_t floor = ue.is_v4() ? 576 : 1280;
    for (const uint32_t mtu : {0u, 1u, 68u, floor - 1}) path.complain(mtu, ue.sa(kSaD));
    EXPECT_EQ(path.lab.drops(), "path_mtu_ignored 4") << kind(ue);
    EXPECT_EQ(path.lab.view(path.set_id).path_mtu, 0);
    path.complain(floor, ue.sa(kSaD));
    EXPECT_EQ(path.lab.view(path.set_id).path_mtu, floor) << kind(ue);
  }
}

// Shows: R-2401-03
TEST(PathMtu, DamagedTooBigIsIgnored) {
  Path path(make_registration(1));
  const Bytes ours = seal(path.ue.sa(kSaD), 1, path.ue.clear(kSaD, pattern(100)));
  Bytes message = too_big(path.router(), path.ue.local, 1000, ours);
  message[22] ^= 1;  // ICMP checksum
  EXPECT_TRUE(path.lab.from_network(frame_to_host(message)).empty());
  message = too_big(path.router(), path.ue.local, 1000, {});
  EXPECT_TRUE(path.lab.from_network(frame_to_host(message)).empty()) << "quotes nothing";
  EXPECT_EQ(path.lab.dropped(), 2u) << path.lab.drops();
  EXPECT_TRUE(path.lab.notices(EventKind::kPathMtuLearned).empty());
}

// Shows: R-2401-03
TEST(PathMtu, TooBigAboutClearTrafficReachesTheHost) {
  for (const bool is_v4 : {true, false}) {
    Path path(make_registration(1, shm::Mode::kTransport, is_v4));
    Datagram clear{.source = path.ue.local, .destination = path.ue.ue};
    clear.source_port = 5060;
    clear.payload = pattern(1300);
    const Bytes frame =
        frame_to_host(too_big(path.router(), path.ue.local, 1300, ip_packet(clear)));
    EXPECT_EQ(only(path.lab.from_network(frame), Side::kHost), frame);
  }
}

// Shows: R-4301-01
TEST(PathMtu, OtherIcmpErrorsAboutProtectedTrafficAreRefused) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    const Bytes ours = seal(ue.sa(kSaD), 1, ue.clear(kSaD, pattern(100)));
    const Bytes quote(ours.begin(), ours.begin() + std::min<ptrdiff_t>(548, std::ssize(ours)));
    const std::vector<std::pair<uint8_t, uint8_t>> types =
        ue.is_v4()
            ? std::vector<std::pair<uint8_t, uint8_t>>{{3, 0}, {3, 1}, {3, 2},  {3, 3}, {3, 13},
                                                       {4, 0}, {5, 1}, {11, 0}, {12, 0}}
            : std::vector<std::pair<uint8_t, uint8_t>>{{1, 0}, {1, 1}, {1, 4}, {3, 0}, {4, 0}};
    for (const auto& [type, code] : types) {
      const Bytes message = icmp_packet(path.router(), ue.local, type, code, 0, quote);
      EXPECT_TRUE(path.lab.from_network(frame_to_host(message)).empty()) << int{type};
    }
    EXPECT_EQ(path.lab.count(DropReason::kIcmpErrorRefused), types.size()) << path.lab.drops();
    EXPECT_EQ(path.send(200).size(), 1u) << "the SA lives on";
  }
}

/// The MSS in a TCP segment, 0 if there is none.
uint16_t mss_of(const Bytes& packet) {
  const std::optional<Dissection> seen = dissect_packet(packet);
  if (!seen || seen->l4.size() < 24 || seen->l4[20] != 2) return 0;
  EXPECT_TRUE(seen->l4_checksum_good);
  return get16(seen->l4, 22);
}

Bytes syn(const Registration& ue, SaRole role, uint16_t mss, uint8_t flags) {
  Datagram datagram = ue.datagram(role, {}, 6);
  datagram.tcp_flags = flags;
  datagram.tcp_options = {2, 4, 0, 0, 4, 2, 1, 1};
  put16(datagram.tcp_options, 2, mss);
  return ip_packet(datagram);
}

/// Both ends are told a size with which a full segment fits the link exactly, to the block.
// Shows: R-2401-02
TEST(PathMtu, MssIsLoweredBothWaysToWhatFitsExactly) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    for (const uint8_t flags : {kTcpSyn, uint8_t{kTcpSyn | kTcpAck}}) {
      const Bytes down = packet_in(
          only(path.lab.from_host(frame_from_host(syn(ue, kSaB, 1460, flags))), Side::kAccess));
      const uint16_t sent_mss = mss_of(open(ue.sa(kSaB), down).clear);
      const uint32_t sequence = 10 + flags;
      const Bytes up = frame_to_host(seal(ue.sa(kSaA), sequence, syn(ue, kSaA, 1460, flags)));
      const uint16_t got_mss = mss_of(packet_in(only(path.lab.from_network(up), Side::kHost)));
      EXPECT_EQ(sent_mss, got_mss) << kind(ue);
      ASSERT_GT(got_mss, 1300) << kind(ue);
      const auto segment = [&](size_t bytes) {
        Datagram datagram = ue.datagram(kSaB, pattern(bytes), 6);
        datagram.dont_fragment = true;
        return path.lab.from_host(frame_from_host(ip_packet(datagram)));
      };
      EXPECT_EQ(packet_in(only(segment(got_mss), Side::kAccess)).size() <= 1500, true) << kind(ue);
      EXPECT_NE(path.told(segment(got_mss + 1u)), 0u) << kind(ue) << ": a byte more is too much";
    }
    EXPECT_EQ(path.lab.count(Statistic::kMssLowered), 4u);
  }
}

// Shows: R-2401-02
TEST(PathMtu, MssIsNeverRaisedNorPutInNorTouchedElsewhere) {
  for (const Registration& ue : all_kinds()) {
    Path path(ue);
    const auto through = [&](const Bytes& clear) {
      const Bytes out = only(path.lab.from_host(frame_from_host(clear)), Side::kAccess);
      EXPECT_EQ(open(ue.sa(kSaB), packet_in(out)).clear, clear) << kind(ue);
    };
    through(syn(ue, kSaB, 536, kTcpSyn));
    through(syn(ue, kSaB, 1460, kTcpAck));
    Datagram without = ue.datagram(kSaB, {}, 6);
    without.tcp_flags = kTcpSyn;
    through(ip_packet(without));
    EXPECT_EQ(path.lab.count(Statistic::kMssLowered), 0u);
  }
}

// Shows: R-2401-02, R-2401-03
TEST(PathMtu, MssFollowsTheLearnedPathMtu) {
  Path path(make_registration(1));
  path.complain(1200, path.ue.sa(kSaB));
  const Bytes down = packet_in(
      only(path.lab.from_host(frame_from_host(syn(path.ue, kSaB, 1460, kTcpSyn))), Side::kAccess));
  EXPECT_LE(mss_of(open(path.ue.sa(kSaB), down).clear), 1200 - 40 - 22);
}

// Shows: R-7.1-20
TEST(PathMtu, ClearSynsKeepTheirMss) {
  Path path(make_registration(1));
  Datagram datagram{.source = path.ue.ue, .destination = path.ue.local};
  datagram.protocol = 6;
  datagram.destination_port = 5060;
  datagram.tcp_flags = kTcpSyn;
  datagram.tcp_options = {2, 4, 0x05, 0xb4};
  const Bytes frame = frame_to_host(ip_packet(datagram));
  EXPECT_EQ(only(path.lab.from_network(frame), Side::kHost), frame);
}

}  // namespace
}  // namespace gmesp::test
