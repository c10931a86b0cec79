// Outbound numbers and IVs: 1 first, then one more each, never round again (RFC 2406 3.3.3), and a
// fresh random IV for every packet (RFC 3602 3).
#include <gtest/gtest.h>

#include <set>

#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using shm::EventKind;
using shm::SaRole;

constexpr SaRole kSaD = SaRole::kOutPcUs;

Opened sent_and_opened(Lab& lab, const Registration& ue, SaRole role, const Bytes& payload) {
  const Bytes frame = frame_from_host(ue.clear(role, payload));
  return open(ue.sa(role), packet_in(only(lab.from_host(frame), Side::kAccess)));
}

/// Tunnel sets send nothing before they heard the UE.
void greet(Lab& lab, const Registration& ue) {
  EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(9))).size(), 1u);
}

// Shows: R-2406-06
TEST(Sequence, StartsAtOneAndGrowsByOneOnEachSaAlone) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    greet(lab, ue);
    for (uint32_t sequence = 1; sequence <= 20; ++sequence) {
      EXPECT_EQ(sent_and_opened(lab, ue, SaRole::kOutPsUc, pattern(30)).sequence, sequence);
      EXPECT_EQ(sent_and_opened(lab, ue, kSaD, pattern(30)).sequence, sequence);
    }
  }
}

// Shows: R-2406-06
TEST(Sequence, GrowsInsideABatch) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  const std::vector<Bytes> frames(100, frame_from_host(ue.clear(kSaD, pattern(30))));
  const std::vector<Sent> sent = lab.process({}, frames);
  ASSERT_EQ(sent.size(), 100u);
  for (uint32_t i = 0; i < 100; ++i)
    EXPECT_EQ(open(ue.sa(kSaD), packet_in(sent[i].frame)).sequence, i + 1);
}

// Shows: R-2406-06
TEST(Sequence, StopsAtItsEndWithEachEventOnce) {
  const Registration ue = make_registration(1);
  Lab lab;
  const uint64_t set_id = lab.install(ue);
  lab.hot(set_id, kSaD).progress.sequence = 3'865'470'564;
  std::vector<uint64_t> warned_at;
  for (uint32_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(sent_and_opened(lab, ue, kSaD, pattern(30)).sequence, 3'865'470'564 + i);
    for (const ipsec::Notice& notice : lab.notices(EventKind::kSequenceNearEnd)) {
      warned_at.push_back(i);
      EXPECT_EQ(notice.spi, ue.spi_us);
    }
  }
  EXPECT_EQ(warned_at, std::vector<uint64_t>{2}) << "90 % of 2^32 is 3865470566";

  lab.hot(set_id, kSaD).progress.sequence = UINT32_MAX - 3;
  for (uint32_t i = 1; i <= 3; ++i)
    EXPECT_EQ(sent_and_opened(lab, ue, kSaD, pattern(30)).sequence, UINT32_MAX - 3 + i);
  size_t ended = lab.notices(EventKind::kSequenceEnd).size();
  for (uint32_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(lab.from_host(frame_from_host(ue.clear(kSaD, pattern(30)))).empty());
    ended += lab.notices(EventKind::kSequenceEnd).size();
  }
  EXPECT_EQ(ended, 1u);
  EXPECT_EQ(lab.drops(), "sequence_exhausted 5");
  EXPECT_EQ(lab.hot(set_id, kSaD).progress.sequence, UINT32_MAX) << "no wrap";
  EXPECT_EQ(sent_and_opened(lab, ue, SaRole::kOutPsUc, pattern(30)).sequence, 1u)
      << "the other SA goes on";
}

// Shows: R-2406-06
TEST(Sequence, DroppedPacketsTakeNoNumber) {
  const Registration ue = make_registration(1, shm::Mode::kUdpEncapsulatedTunnel);
  Lab lab;
  lab.install(ue);
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(lab.from_host(frame_from_host(ue.clear(kSaD, pattern(30)))).empty());
  EXPECT_EQ(lab.drops(), "peer_port_unknown 3");
  greet(lab, ue);
  EXPECT_EQ(sent_and_opened(lab, ue, kSaD, pattern(30)).sequence, 1u);
}

// Shows: R-3602-01
TEST(Sequence, IvsAreFreshAndNeitherCounterNorChain) {
  for (const crypto::Cipher cipher : {crypto::Cipher::kAesCbc128, crypto::Cipher::kDesEde3Cbc}) {
    const Registration ue = make_registration(1, shm::Mode::kTransport, true,
                                              {crypto::Integrity::kHmacSha1_96, cipher});
    Lab lab;
    lab.install(ue);
    std::set<Bytes> ivs;
    std::set<Bytes> halves;  // a counter would leave one half alone for long
    std::set<Bytes> ciphered;
    Bytes last_block;
    for (int i = 0; i < 3000; ++i) {
      const Bytes frame = frame_from_host(ue.clear(kSaD, pattern(30)));
      const Bytes packet = packet_in(only(lab.from_host(frame), Side::kAccess));
      const Bytes iv = open(ue.sa(kSaD), packet).iv;
      ASSERT_EQ(iv.size(), crypto::info(cipher).iv_bytes);
      EXPECT_NE(iv, last_block) << "chained from the packet before";
      const auto half = static_cast<ptrdiff_t>(iv.size() / 2);
      ivs.insert(iv);
      halves.insert(Bytes(iv.begin(), iv.begin() + half));
      halves.insert(Bytes(iv.begin() + half, iv.end()));
      ciphered.insert(esp_bytes(packet));
      const auto icv = packet.end() - crypto::kIcvBytes;
      last_block.assign(icv - static_cast<ptrdiff_t>(iv.size()), icv);
    }
    EXPECT_EQ(ivs.size(), 3000u);
    EXPECT_EQ(ciphered.size(), 3000u);
    EXPECT_GE(halves.size(), 5990u) << "of 6000; 32 random bits may meet by chance";
  }
}

// Shows: R-3602-01
TEST(Sequence, TwoPipelinesDoNotShareTheirIvs) {
  const Registration ue = make_registration(1);
  std::set<Bytes> ivs;
  for (int start = 0; start < 20; ++start) {
    Lab lab;
    lab.install(ue);
    ivs.insert(sent_and_opened(lab, ue, kSaD, pattern(30)).iv);
  }
  EXPECT_EQ(ivs.size(), 20u);
}

}  // namespace
}  // namespace gmesp::test
