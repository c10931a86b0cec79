// Large SIP messages: fragments of the host joined before ESP and cut again after it, fragments of
// ESP joined before it is opened, and floods that must not hurt either (RFC 2406 3.3.4, 3.4.1).
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;
using shm::SaRole;

constexpr SaRole kSaA = SaRole::kInUcPs;
constexpr SaRole kSaD = SaRole::kOutPcUs;
constexpr uint32_t kStep = 1480;  ///< payload of a full Ethernet frame over IPv4

std::vector<Bytes> frames_of(const std::vector<Bytes>& packets, bool is_from_host) {
  std::vector<Bytes> frames;
  for (const Bytes& packet : packets)
    frames.push_back(is_from_host ? frame_from_host(packet) : frame_to_host(packet));
  return frames;
}

/// The single datagram that the frames make, which must each fit `mtu`.
Bytes whole_of(const std::vector<Bytes>& frames, size_t mtu) {
  for (const Bytes& frame : frames) EXPECT_LE(packet_in(frame).size(), mtu);
  size_t left_over = 0;
  const std::vector<Bytes> whole = rejoin(frames, &left_over);
  EXPECT_EQ(whole.size(), 1u);
  EXPECT_EQ(left_over, 0u);
  return whole.empty() ? Bytes{} : packet_in(whole[0]);
}

Registration heard(Lab& lab, const Registration& ue) {
  lab.install(ue);
  EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUsPc, 1, pattern(9))).size(), 1u);
  return ue;
}

/// A clear datagram as it comes out of joining: IPv4 without DF.
Bytes large(const Registration& ue, SaRole role, size_t payload_bytes = 4000) {
  return ue.clear(role, pattern(payload_bytes));
}

// Shows: R-2406-11
TEST(Fragments, HostFragmentsAreProtectedAsOneDatagram) {
  for (const Registration& kind_of_ue : all_kinds()) {
    Lab lab;
    const Registration ue = heard(lab, kind_of_ue);
    const Bytes clear = large(ue, kSaD);
    const std::vector<Bytes> pieces = frames_of(cut(clear, 99, 1400), true);
    const std::vector<Bytes> out = to(lab.process({}, pieces), Side::kAccess);
    EXPECT_GE(out.size(), 3u);
    const Opened opened = open(ue.sa(kSaD), whole_of(out, 1500));
    ASSERT_TRUE(opened.is_authentic) << kind(ue);
    EXPECT_EQ(opened.sequence, 1u) << "one packet for ESP";
    // Joining leaves the identification of the fragments.
    const std::optional<Dissection> got = dissect_packet(opened.clear);
    ASSERT_TRUE(got) << kind(ue);
    EXPECT_EQ(got->payload, pattern(4000)) << kind(ue);
    EXPECT_TRUE(got->l4_checksum_good);
    EXPECT_EQ(lab.dropped(), 0u) << lab.drops();
    EXPECT_EQ(lab.count(Statistic::kDatagramsJoined), 1u);
    EXPECT_EQ(lab.count(Statistic::kDatagramsCut), 1u);
  }
}

// Shows: R-2406-11
TEST(Fragments, HostFragmentsMayComeInAnyOrderAndCall) {
  std::mt19937 random(7);
  for (const bool is_v4 : {true, false}) {
    Lab lab;
    const Registration ue = heard(lab, make_registration(1, shm::Mode::kTransport, is_v4));
    for (uint32_t round = 0; round < 10; ++round) {
      std::vector<Bytes> pieces = cut(large(ue, kSaD), 500 + round, 512);
      std::shuffle(pieces.begin(), pieces.end(), random);
      std::vector<Bytes> out;
      for (const Bytes& piece : pieces) {
        EXPECT_TRUE(out.empty()) << "nothing before the last piece";
        out = to(lab.from_host(frame_from_host(piece)), Side::kAccess);
      }
      EXPECT_TRUE(open(ue.sa(kSaD), whole_of(out, 1500)).is_authentic);
    }
    EXPECT_EQ(lab.waiting(), 0);
  }
}

/// One packet that fits the host's link but not the access link once protected; it may be cut.
// Shows: R-2406-11
TEST(Fragments, AWholePacketWithoutDfIsCutAfterEsp) {
  for (const Registration& kind_of_ue : all_kinds()) {
    if (!kind_of_ue.is_v4()) continue;  // IPv6 packets must not be cut but by their sender
    Lab lab;
    const Registration ue = heard(lab, kind_of_ue);
    const Bytes clear = ue.clear(kSaD, pattern(1472));
    const std::vector<Bytes> out = to(lab.from_host(frame_from_host(clear)), Side::kAccess);
    EXPECT_EQ(out.size(), 2u);
    EXPECT_EQ(open(ue.sa(kSaD), whole_of(out, 1500)).clear, clear) << kind(ue);
  }
}

// Shows: R-2406-12
TEST(Fragments, EspFragmentsAreJoinedBeforeTheyAreOpened) {
  for (const Registration& ue : all_kinds()) {
    LabOptions options;
    options.pipeline.host_mtu_bytes = 9000;
    Lab lab(options);
    lab.install(ue);
    for (uint32_t sequence = 1; sequence <= 3; ++sequence) {
      const Bytes clear = large(ue, kSaA);
      std::vector<Bytes> pieces =
          frames_of(cut(seal(ue.sa(kSaA), sequence, clear), sequence, kStep - 40), false);
      if (sequence == 2) std::reverse(pieces.begin(), pieces.end());
      const Bytes frame = only(lab.process(pieces, {}), Side::kHost);
      const std::optional<Dissection> got = dissect(frame);
      ASSERT_TRUE(got) << kind(ue);
      EXPECT_EQ(got->payload, pattern(4000)) << kind(ue);
      EXPECT_TRUE(got->l4_checksum_good);
      EXPECT_TRUE(got->header_checksum_good);
    }
    EXPECT_EQ(lab.dropped(), 0u) << lab.drops();
  }
}

/// The host port takes no more than its MTU: what was joined is cut for it, also over IPv6.
// Shows: R-2406-12
TEST(Fragments, LargeMessagesReachAHostOfOrdinaryMtu) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    const std::vector<Bytes> pieces =
        frames_of(cut(seal(ue.sa(kSaA), 1, large(ue, kSaA)), 1, 1440), false);
    const std::vector<Bytes> in = to(lab.process(pieces, {}), Side::kHost);
    EXPECT_GE(in.size(), 3u);
    const std::optional<Dissection> got = dissect_packet(whole_of(in, 1500));
    ASSERT_TRUE(got) << kind(ue);
    EXPECT_EQ(got->payload, pattern(4000));
    EXPECT_TRUE(got->l4_checksum_good);
  }
}

/// Linux cuts before it encapsulates: each piece of the inner datagram has its own ESP packet.
// Shows: R-2406-12, R-3948-03
TEST(Fragments, TunnelsMayCarryInnerFragments) {
  for (const bool is_v4 : {true, false}) {
    LabOptions options;
    options.pipeline.host_mtu_bytes = 9000;
    Lab lab(options);
    const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4);
    lab.install(ue);
    std::vector<Bytes> frames;
    uint32_t sequence = 0;
    for (const Bytes& piece : cut(large(ue, kSaA), 44, 1200))
      frames.push_back(frame_to_host(seal(ue.sa(kSaA), ++sequence, piece)));
    const std::optional<Dissection> got = dissect(only(lab.process(frames, {}), Side::kHost));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->payload, pattern(4000));
    EXPECT_TRUE(got->l4_checksum_good);
    EXPECT_EQ(lab.dropped(), 0u) << lab.drops();
  }
}

// Shows: R-7.1-05, R-D-U1
TEST(Fragments, InnerFragmentsAreJudgedByTheSelectorsWhenWhole) {
  for (const bool is_v4 : {true, false}) {
    const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4);
    const auto refused = [&](Datagram datagram, DropReason reason) {
      Lab lab;
      lab.install(ue);
      uint32_t sequence = 0;
      for (const Bytes& piece : cut(ip_packet(datagram), 44, 304))
        EXPECT_TRUE(lab.from_network(frame_to_host(seal(ue.sa(kSaA), ++sequence, piece))).empty());
      EXPECT_GE(lab.count(reason), 1u) << lab.drops();
    };
    Datagram datagram = ue.datagram(kSaA, pattern(1000));
    datagram.destination_port = kClientPorts[3];
    refused(datagram, DropReason::kSelectorPort);
    datagram = ue.datagram(kSaA, pattern(1000));
    datagram.l4_checksum_error = 0x0300;
    refused(datagram, DropReason::kInnerChecksumBad);
  }
}

/// Addresses are in every piece: the wrong ones are not even kept.
// Shows: R-7.1-05, R-3948-03
TEST(Fragments, InnerFragmentsOfOtherAddressesAreDroppedAtOnce) {
  for (const bool is_v4 : {true, false}) {
    const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4);
    Lab lab;
    lab.install(ue);
    Datagram datagram = ue.datagram(kSaA, pattern(1000));
    datagram.source = ip(is_v4 ? "10.45.7.7" : "2001:db8:7::7");
    const std::vector<Bytes> pieces = cut(ip_packet(datagram), 44, 304);
    uint32_t sequence = 0;
    for (const Bytes& piece : pieces)
      EXPECT_TRUE(lab.from_network(frame_to_host(seal(ue.sa(kSaA), ++sequence, piece))).empty());
    EXPECT_EQ(lab.count(DropReason::kSelectorAddress), pieces.size()) << lab.drops();
    EXPECT_EQ(lab.waiting(), 0);
  }
}

/// Pieces of one datagram on two SA sets, or one piece in clear, are no datagram.
// Shows: R-D-U1, R-7.1-05
TEST(Fragments, InnerFragmentsOfDifferentOriginsNeverMix) {
  const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel);
  Registration other = make_registration(2, shm::Mode::kUdpEncapsulatedTunnel);
  other.ue = other.outer_ue = ue.ue;  // behind the same NAT
  Lab lab;
  lab.install(ue);
  lab.install(other);
  const std::vector<Bytes> pieces = cut(large(ue, kSaA, 1500), 44, 1200);
  ASSERT_EQ(pieces.size(), 2u);
  lab.from_network(frame_to_host(seal(ue.sa(kSaA), 1, pieces[0])));
  EXPECT_TRUE(lab.from_network(frame_to_host(seal(other.sa(kSaA), 1, pieces[1]))).empty());
  EXPECT_TRUE(lab.from_network(frame_to_host(pieces[1])).empty()) << "in clear";
  EXPECT_TRUE(lab.from_host(frame_from_host(pieces[1])).empty()) << "from the host";
  EXPECT_EQ(lab.count(Statistic::kDatagramsJoined), 0u);
  EXPECT_FALSE(lab.from_network(frame_to_host(seal(ue.sa(kSaA), 2, pieces[1]))).empty());
}

// Shows: R-2406-12
TEST(Fragments, LostPiecesAreForgottenAndCounted) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  std::vector<Bytes> pieces = cut(seal(ue.sa(kSaA), 1, large(ue, kSaA)), 1, 1440);
  pieces.erase(pieces.begin() + 1);
  EXPECT_TRUE(lab.process(frames_of(pieces, false), {}).empty());
  EXPECT_EQ(lab.waiting(), static_cast<int64_t>(pieces.size()));
  lab.now_ms += 2999;
  lab.pipeline().expire(lab.now_ms);
  EXPECT_EQ(lab.dropped(), 0u);
  lab.now_ms += 1;
  lab.pipeline().expire(lab.now_ms);
  EXPECT_EQ(lab.count(DropReason::kFragmentTimeout), pieces.size());
  EXPECT_EQ(lab.waiting(), 0);
  EXPECT_EQ(lab.from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u) << "1 is not spent";
}

// Shows: R-2406-12
TEST(Fragments, OverlapsDropTheWholeDatagram) {
  for (const bool is_v4 : {true, false}) {
    const Registration ue = make_registration(1, shm::Mode::kTransport, is_v4);
    Lab lab;
    lab.install(ue);
    const Bytes esp = seal(ue.sa(kSaA), 1, large(ue, kSaA));
    const auto bytes = static_cast<uint32_t>(esp.size() - (is_v4 ? 20 : 40));
    EXPECT_TRUE(lab.from_network(frame_to_host(fragment(esp, 5, 0, 1448, true))).empty());
    EXPECT_TRUE(lab.from_network(frame_to_host(fragment(esp, 5, 1440, 1440, true))).empty());
    EXPECT_TRUE(lab.from_network(frame_to_host(fragment(esp, 5, 1448, 1432, true))).empty());
    EXPECT_TRUE(
        lab.from_network(frame_to_host(fragment(esp, 5, 2880, bytes - 2880, false))).empty());
    EXPECT_EQ(lab.drops(), "fragment_overlap 4") << "RFC 5722: later pieces go with it";
  }
}

/// One stranger takes no more than its share, and the datagrams of others go through meanwhile.
// Shows: R-2406-12
TEST(Fragments, AFloodOfOneSourceLeavesRoom) {
  LabOptions options;
  options.pipeline.reassembly.datagrams_max = 64;
  options.pipeline.reassembly.per_source_max = 8;
  Lab lab(options);
  const Registration ue = heard(lab, make_registration(1));
  Datagram flood{.source = ip("203.0.113.66"), .destination = ue.local};
  flood.payload = pattern(200);
  for (uint32_t id = 0; id < 1000; ++id)
    lab.from_network(frame_to_host(fragment(ip_packet(flood), id, 0, 64, true)));
  EXPECT_EQ(lab.count(DropReason::kFragmentBudget), 992u) << lab.drops();
  const std::vector<Bytes> pieces = cut(seal(ue.sa(kSaA), 5, large(ue, kSaA)), 1, 1440);
  EXPECT_FALSE(lab.process(frames_of(pieces, false), {}).empty());
}

/// Many sources fill the table of the network; what the host sends has a table of its own.
// Shows: R-2406-12
TEST(Fragments, AFloodOfManySourcesDoesNotStopTheHost) {
  for (const bool is_v4 : {true, false}) {
    Lab lab;
    const Registration ue =
        heard(lab, make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4));
    for (uint32_t id = 0; id < 2000; ++id) {
      Datagram flood{.source = make_registration(id + 100, shm::Mode::kTransport, is_v4).ue,
                     .destination = ue.local};
      if (!is_v4) flood.source.bytes[6] = static_cast<uint8_t>(id);  // a /64 each
      if (!is_v4) flood.source.bytes[7] = static_cast<uint8_t>(id >> 8);
      flood.payload = pattern(200);
      lab.from_network(frame_to_host(fragment(ip_packet(flood), id, 0, 64, true)));
    }
    EXPECT_GT(lab.count(DropReason::kFragmentTableFull), 1000u) << lab.drops();
    const std::vector<Bytes> pieces = frames_of(cut(large(ue, kSaD), 9, 1400), true);
    EXPECT_FALSE(lab.process({}, pieces).empty()) << "the host's own datagrams go on";
    std::vector<Bytes> inner;
    for (const Bytes& piece : cut(large(ue, kSaA, 1500), 44, 1200))
      inner.push_back(
          frame_to_host(seal(ue.sa(kSaA), static_cast<uint32_t>(inner.size()) + 1, piece)));
    EXPECT_FALSE(lab.process(inner, {}).empty()) << "and those inside tunnels";
    lab.now_ms += 3000;
    for (int i = 0; i < 100; ++i) lab.pipeline().expire(lab.now_ms);
    EXPECT_EQ(lab.waiting(), 0) << "everything is counted in the end";
  }
}

// Shows: R-2406-12
TEST(Fragments, AFloodOfOverlapsIsBounded) {
  Lab lab;
  const Registration ue = heard(lab, make_registration(1));
  Datagram flood{.source = ip("203.0.113.66"), .destination = ue.local};
  flood.payload = pattern(400);
  const Bytes packet = ip_packet(flood);
  uint64_t fed = 0;
  for (uint32_t id = 0; id < 500; ++id)
    for (const uint32_t offset : {0u, 8u, 16u, 8u, 0u}) {
      EXPECT_TRUE(lab.from_network(frame_to_host(fragment(packet, id, offset, 32, true))).empty());
      ++fed;
    }
  EXPECT_EQ(lab.dropped() + static_cast<uint64_t>(lab.waiting()), fed);
  lab.now_ms += 3000;
  for (int i = 0; i < 100; ++i) lab.pipeline().expire(lab.now_ms);
  EXPECT_EQ(lab.waiting(), 0) << lab.drops();
  EXPECT_EQ(lab.dropped(), fed);
}

// Shows: R-2406-12
TEST(Fragments, DatagramsBeyondTheBoundAreDropped) {
  LabOptions options;
  options.pipeline.reassembly.datagram_bytes_max = 4096;
  Lab lab(options);
  const Registration ue = heard(lab, make_registration(1));
  const Bytes esp = seal(ue.sa(kSaA), 1, large(ue, kSaA, 6000));
  const std::vector<Bytes> pieces = cut(esp, 1, 1440);
  EXPECT_TRUE(lab.process(frames_of(pieces, false), {}).empty());
  EXPECT_EQ(lab.count(DropReason::kFragmentTooLarge), pieces.size()) << lab.drops();
}

/// The ports, the pool: whatever gives way, the books stay in order.
// Shows: R-2406-15
TEST(Fragments, ShortageOfBuffersIsCounted) {
  for (uint32_t buffers = 0; buffers < 5; ++buffers) {
    Lab lab;
    const Registration ue = heard(lab, make_registration(1));
    lab.allocate_room = buffers;
    const std::vector<Bytes> pieces = frames_of(cut(large(ue, kSaD), 9, 1400), true);
    const std::vector<Bytes> out = to(lab.process({}, pieces), Side::kAccess);
    EXPECT_EQ(lab.waiting(), 0) << buffers << " buffers";
    // One for the joined datagram, three for what it is cut into: all or nothing.
    EXPECT_EQ(out.size(), buffers >= 4 ? 3u : 0u) << buffers << " buffers";
    EXPECT_EQ(lab.count(DropReason::kNoBuffer), buffers == 0 ? 3u : buffers < 4 ? 1u : 0u);
  }
}

}  // namespace
}  // namespace gmesp::test
