// Who owns an SA when there are several workers, and where fragments of one datagram meet
// (R-D-A1, R-2406-12). One step after the other; two_workers_test.cc does it all at once.
#include <gtest/gtest.h>

#include <memory>

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

/// Two workers on one database; what one hands over is fed to the other by the test.
struct Pair {
  Pair() {
    LabOptions options;
    options.pipeline.workers = 2;
    options.pipeline.host_mtu_bytes = 9000;
    labs.push_back(std::make_unique<Lab>(options));
    options.pipeline.worker = 1;
    labs.push_back(std::make_unique<Lab>(options, *labs[0]));
  }
  Lab& operator[](size_t worker) { return *labs[worker]; }
  uint8_t owner(uint64_t set_id, SaRole role) {
    return labs[0]->hot(set_id, role).identity.owner.load();
  }
  /// Feeds a frame to a worker and on to whoever gets it then. All that was sent.
  std::vector<Sent> feed(size_t worker, Side from, const Bytes& frame) {
    return feed({static_cast<uint8_t>(worker), from, frame, false});
  }
  std::vector<Sent> feed(const HandedTo& first) {
    std::vector<Sent> sent = labs[first.worker]->take(first);
    for (const HandedTo& handed : labs[first.worker]->handed_over()) {
      const std::vector<Sent> more = feed(handed);
      sent.insert(sent.end(), more.begin(), more.end());
    }
    return sent;
  }
  uint64_t count(Statistic statistic) {
    return labs[0]->count(statistic) + labs[1]->count(statistic);
  }
  std::string drops() { return labs[0]->drops() + labs[1]->drops(); }

  std::vector<std::unique_ptr<Lab>> labs;
};

// Shows: R-D-A1
TEST(Ownership, FirstAuthenticPacketClaimsTheSaAlone) {
  Pair pair;
  const Registration ue = make_registration(1);
  const uint64_t set_id = pair[0].install(ue);
  EXPECT_EQ(pair.owner(set_id, kSaA), ipsec::kNoOwner);
  EXPECT_EQ(pair[1].from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  EXPECT_EQ(pair.owner(set_id, kSaA), 1);
  EXPECT_EQ(pair.owner(set_id, SaRole::kInUsPc), ipsec::kNoOwner);
  EXPECT_EQ(pair.owner(set_id, kSaD), ipsec::kNoOwner);
  EXPECT_EQ(pair[0].from_host(frame_from_host(ue.clear(kSaD, pattern(9)))).size(), 1u);
  EXPECT_EQ(pair.owner(set_id, kSaD), 0);
}

// Shows: R-D-A1
TEST(Ownership, OthersHandTheirPacketsOver) {
  Pair pair;
  const Registration ue = make_registration(1);
  pair[0].install(ue);
  EXPECT_EQ(pair[1].from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  const Bytes frame = ue.uplink(kSaA, 2, pattern(9));
  EXPECT_TRUE(pair[0].from_network(frame).empty());
  const std::vector<HandedTo> handed = pair[0].handed_over();
  ASSERT_EQ(handed.size(), 1u);
  EXPECT_EQ(handed[0].worker, 1);
  EXPECT_EQ(handed[0].side, Side::kAccess);
  EXPECT_EQ(handed[0].frame, frame) << "as it came";
  EXPECT_EQ(pair[1].from_network(handed[0].frame).size(), 1u);
  EXPECT_EQ(pair[0].count(Statistic::kHandedOff), 1u);
  EXPECT_EQ(pair.drops(), "");
}

// Shows: R-D-A1, R-2406-04
TEST(Ownership, AClaimWithAWrongIcvIsGivenBack) {
  Pair pair;
  const Registration ue = make_registration(1);
  const uint64_t set_id = pair[0].install(ue);
  EXPECT_TRUE(pair[0].from_network(ue.uplink(kSaA, 1, pattern(9), {.flipped_bit = 99})).empty());
  EXPECT_EQ(pair.owner(set_id, kSaA), ipsec::kNoOwner);
  EXPECT_EQ(pair[1].from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  EXPECT_EQ(pair.owner(set_id, kSaA), 1);
  EXPECT_TRUE(pair[1].from_network(ue.uplink(kSaA, 2, pattern(9), {.flipped_bit = 99})).empty());
  EXPECT_EQ(pair.owner(set_id, kSaA), 1) << "a proven owner stays";
}

// Shows: R-D-A1
TEST(Ownership, ForgedAndGenuineInOneBatchKeepTheClaim) {
  Pair pair;
  const Registration ue = make_registration(1);
  const uint64_t set_id = pair[0].install(ue);
  EXPECT_EQ(pair[0]
                .process({ue.uplink(kSaA, 1, pattern(9), {.flipped_bit = 99}),
                          ue.uplink(kSaA, 2, pattern(9))},
                         {})
                .size(),
            1u);
  EXPECT_EQ(pair.owner(set_id, kSaA), 0);
}

// Shows: R-D-A1
TEST(Ownership, AnOutboundClaimWithoutAPacketIsGivenBack) {
  Pair pair;
  const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel);
  const uint64_t set_id = pair[0].install(ue);
  EXPECT_TRUE(pair[0].from_host(frame_from_host(ue.clear(kSaD, pattern(9)))).empty());
  EXPECT_EQ(pair.owner(set_id, kSaD), ipsec::kNoOwner) << "the UE was not heard yet";
}

// Shows: R-D-A1, R-M-07
TEST(Ownership, PortLearnedByOneWorkerIsUsedByTheOther) {
  for (const bool is_v4 : {true, false}) {
    Pair pair;
    const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4);
    pair[0].install(ue);
    EXPECT_EQ(pair[1].from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
    const Bytes frame = frame_from_host(ue.clear(kSaD, pattern(9)));
    const std::optional<Dissection> seen = dissect(only(pair[0].from_host(frame), Side::kAccess));
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->destination_port, ue.nat_port);
  }
}

// Shows: R-D-A1
TEST(Ownership, ANewSetInAnOldSlotHasNoOwner) {
  Pair pair;
  const Registration ue = make_registration(1);
  const uint64_t set_id = pair[0].install(ue);
  EXPECT_EQ(pair[1].from_network(ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
  pair[0].remove(set_id);
  EXPECT_EQ(pair.owner(pair[0].install(ue), kSaA), ipsec::kNoOwner);
}

/// Whatever queue each piece comes in on, they meet.
// Shows: R-2406-12
TEST(Ownership, FragmentsOfOneDatagramMeetAtOneWorker) {
  for (const Registration& ue : all_kinds()) {
    Pair pair;
    pair[0].install(ue);
    for (uint32_t sequence = 1; sequence <= 8; ++sequence) {
      const Bytes clear = ue.clear(kSaA, pattern(4000, sequence));
      std::vector<Sent> sent;
      size_t worker = sequence;
      for (const Bytes& piece : cut(seal(ue.sa(kSaA), sequence, clear), sequence * 77, 1200)) {
        const std::vector<Sent> now = pair.feed(worker++ % 2, Side::kAccess, frame_to_host(piece));
        sent.insert(sent.end(), now.begin(), now.end());
      }
      const std::optional<Dissection> got = dissect(only(sent, Side::kHost));
      ASSERT_TRUE(got) << kind(ue) << pair.drops();
      EXPECT_EQ(got->payload, pattern(4000, sequence)) << kind(ue);
    }
    EXPECT_EQ(pair.drops(), "");
    EXPECT_GT(pair.count(Statistic::kHandedOff), 0u);
    EXPECT_EQ(pair[0].waiting() + pair[1].waiting(), 0);
  }
}

/// The pieces meet at one worker, the SA belongs to the other: joined, then handed over whole. The
/// smaller size fits the link until it is protected: what a host cuts that was told "too big".
// Shows: R-2406-11, R-D-A1
TEST(Ownership, HostFragmentsAreProtectedByTheOwnerOfTheSa) {
  for (const Registration& ue : all_kinds())
    for (const size_t owner : {0u, 1u}) {
      Pair pair;
      pair[0].install(ue);
      EXPECT_EQ(pair.feed(owner, Side::kAccess, ue.uplink(kSaA, 1, pattern(9))).size(), 1u);
      const Bytes first = frame_from_host(ue.clear(kSaD, pattern(9)));
      EXPECT_EQ(pair.feed(owner, Side::kHost, first).size(), 1u);
      for (uint32_t datagram = 2; datagram <= 9; ++datagram) {
        const Bytes payload = pattern(datagram % 2 == 0 ? 4000 : 1440);
        std::vector<Sent> sent;
        size_t worker = datagram;
        for (const Bytes& piece : cut(ue.clear(kSaD, payload), datagram * 77, 1200)) {
          const std::vector<Sent> now =
              pair.feed(worker++ % 2, Side::kHost, frame_from_host(piece));
          sent.insert(sent.end(), now.begin(), now.end());
        }
        const std::vector<Bytes> whole = rejoin(to(sent, Side::kAccess));
        ASSERT_EQ(whole.size(), 1u) << kind(ue) << ", owner " << owner << ", " << payload.size()
                                    << " bytes: " << pair.drops();
        const Opened opened = open(ue.sa(kSaD), packet_in(whole[0]));
        EXPECT_EQ(opened.sequence, datagram);
        ASSERT_TRUE(dissect_packet(opened.clear)) << kind(ue);
        EXPECT_EQ(dissect_packet(opened.clear)->payload, payload) << kind(ue);
      }
      EXPECT_EQ(pair.drops(), "") << kind(ue);
    }
}

/// Pieces inside a tunnel each belong to the SA, so they meet at its owner without more ado.
// Shows: R-2406-12, R-D-A1
TEST(Ownership, InnerFragmentsMeetAtTheOwnerOfTheSa) {
  for (const bool is_v4 : {true, false}) {
    Pair pair;
    const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4);
    pair[0].install(ue);
    std::vector<Sent> sent;
    uint32_t sequence = 0;
    for (const Bytes& piece : cut(ue.clear(kSaA, pattern(4000)), 5, 1200)) {
      ++sequence;
      const Bytes frame = frame_to_host(seal(ue.sa(kSaA), sequence, piece));
      const std::vector<Sent> now = pair.feed(sequence % 2, Side::kAccess, frame);
      sent.insert(sent.end(), now.begin(), now.end());
    }
    const std::optional<Dissection> got = dissect(only(sent, Side::kHost));
    ASSERT_TRUE(got) << pair.drops();
    EXPECT_EQ(got->payload, pattern(4000));
  }
}

// Shows: R-D-A1
TEST(Ownership, AFullRingIsCountedForFragmentsToo) {
  Pair pair;
  const Registration ue = make_registration(1);
  pair[0].install(ue);
  pair[0].hand_off_refused = pair[1].hand_off_refused = true;
  const std::vector<Bytes> pieces = cut(ue.clear(kSaD, pattern(4000)), 3, 1200);
  for (size_t i = 0; i < pieces.size(); ++i)
    EXPECT_TRUE(pair.feed(i % 2, Side::kHost, frame_from_host(pieces[i])).empty());
  EXPECT_EQ(pair[0].count(DropReason::kHandoffFull) + pair[1].count(DropReason::kHandoffFull),
            pieces.size() / 2)
      << "the pieces that came to the wrong worker";
}

}  // namespace
}  // namespace gmesp::test
