// Anti-replay (RFC 2406 3.4.3): every number once, checked before the ICV and again after it,
// moved by authentic packets alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;
using shm::SaRole;

constexpr SaRole kSaA = SaRole::kInUcPs;

Bytes numbered(const Registration& ue, uint32_t sequence, const EspShape& shape = {}) {
  return ue.uplink(kSaA, sequence, pattern(24, sequence), shape);
}

bool passes(Lab& lab, const Registration& ue, uint32_t sequence) {
  return !lab.from_network(numbered(ue, sequence)).empty();
}

// Shows: R-6.3-03, R-2406-05
TEST(Replay, DuplicateIsDroppedInAllCombinations) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    for (const SaRole role : {SaRole::kInUcPs, SaRole::kInUsPc}) {
      const Bytes frame = ue.uplink(role, 5, pattern(24));
      EXPECT_EQ(lab.from_network(frame).size(), 1u) << kind(ue);
      EXPECT_TRUE(lab.from_network(frame).empty()) << kind(ue);
    }
    EXPECT_EQ(lab.drops(), "replay_seen 2") << kind(ue);
  }
}

// Shows: R-2406-03
TEST(Replay, WindowEdgesAtEverySize) {
  const Registration ue = make_registration(1);
  for (const uint32_t window : {32u, 64u, 96u, 128u, 256u, 1024u, 4096u}) {
    LabOptions options;
    options.database.window_packets = window;
    Lab lab(options);
    lab.install(ue);
    const uint32_t highest = 10 * window;
    EXPECT_TRUE(passes(lab, ue, highest));
    EXPECT_FALSE(passes(lab, ue, highest - window)) << "left of a window of " << window;
    EXPECT_TRUE(passes(lab, ue, highest - window + 1)) << "its last number, " << window;
    EXPECT_FALSE(passes(lab, ue, highest - window + 1));
    EXPECT_TRUE(passes(lab, ue, highest - 1));
    EXPECT_TRUE(passes(lab, ue, highest + 1));
    EXPECT_FALSE(passes(lab, ue, highest - window + 1)) << "it moved on";
    EXPECT_TRUE(passes(lab, ue, highest + 1 + window)) << "a jump by a whole window";
    EXPECT_FALSE(passes(lab, ue, highest + 1));
    EXPECT_TRUE(passes(lab, ue, highest + 2));
    EXPECT_TRUE(passes(lab, ue, UINT32_MAX));
    EXPECT_TRUE(passes(lab, ue, UINT32_MAX - 1));
    EXPECT_FALSE(passes(lab, ue, 1)) << "there is no wrap";
    EXPECT_FALSE(passes(lab, ue, 0));
    EXPECT_EQ(lab.count(DropReason::kSequenceZero), 1u);
  }
}

// Shows: R-2406-03, R-6.3-03
TEST(Replay, AgreesWithAPlainSetInRandomOrder) {
  const Registration ue = make_registration(
      1, shm::Mode::kTransport, true, {crypto::Integrity::kHmacMd5_96, crypto::Cipher::kNull});
  for (const uint32_t window : {32u, 128u, 192u, 1024u}) {
    LabOptions options;
    options.database.window_packets = window;
    Lab lab(options);
    lab.install(ue);
    std::mt19937 random(window);
    std::set<uint32_t> seen;
    uint32_t highest = 0;
    for (int i = 0; i < 4000; ++i) {
      const uint32_t span = i % 50 == 0 ? window * 3 : window + window / 4;
      const auto ahead = static_cast<int64_t>(random() % span) - window;
      const auto sequence = static_cast<uint32_t>(std::max<int64_t>(0, highest + ahead));
      const bool is_left = highest >= window && sequence <= highest - window;
      const bool is_fresh = sequence != 0 && !is_left && !seen.contains(sequence);
      ASSERT_EQ(passes(lab, ue, sequence), is_fresh)
          << sequence << " after " << highest << ", window " << window;
      if (is_fresh) seen.insert(sequence);
      if (is_fresh) highest = std::max(highest, sequence);
    }
  }
}

// Shows: R-2406-04, R-2406-07
TEST(Replay, ForgedHighNumberDoesNotMoveTheWindow) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    const uint64_t set_id = lab.install(ue);
    EXPECT_TRUE(passes(lab, ue, 10));
    EXPECT_TRUE(lab.from_network(numbered(ue, 4'000'000'000, {.flipped_bit = 90})).empty());
    EXPECT_TRUE(lab.from_network(numbered(ue, 11, {.flipped_bit = 90})).empty());
    EXPECT_EQ(lab.hot(set_id, kSaA).progress.sequence, 10u);
    EXPECT_TRUE(passes(lab, ue, 11)) << "a forged 11 must not burn the genuine one";
    EXPECT_TRUE(passes(lab, ue, 9));
    EXPECT_EQ(lab.drops(), "icv_wrong 2") << kind(ue);
    EXPECT_EQ(lab.view(set_id).sa[0].icv_failures, 2u);
  }
}

// Shows: R-2406-04
TEST(Replay, CopiesInOneBatchPassOnce) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    const std::vector<Bytes> copies(16, numbered(ue, 7));
    EXPECT_EQ(lab.process(copies, {}).size(), 1u) << kind(ue);
    EXPECT_EQ(lab.drops(), "replay_seen 15") << kind(ue);
  }
}

/// What becomes too old through another packet of its batch is too old: the check after the ICV.
// Shows: R-2406-04
TEST(Replay, WindowMovesInsideABatch) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  EXPECT_EQ(
      lab.process({numbered(ue, 1000), numbered(ue, 1), numbered(ue, 873), numbered(ue, 872)}, {})
          .size(),
      2u);
  EXPECT_EQ(lab.drops(), "replay_old 2");
}

// Shows: R-2406-04
TEST(Replay, ForgedAndGenuineInOneBatch) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  const std::vector<Sent> sent =
      lab.process({numbered(ue, 3, {.flipped_bit = 200}),
                   numbered(ue, 90'000, {.flipped_bit = 200}), numbered(ue, 3), numbered(ue, 2)},
                  {});
  EXPECT_EQ(sent.size(), 2u);
  EXPECT_EQ(lab.drops(), "icv_wrong 2");
}

// Shows: R-2406-04, R-2406-07
TEST(Replay, KnownReplaysCostNoCryptography) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  EXPECT_TRUE(passes(lab, ue, 500));
  const uint64_t jobs = lab.count(Statistic::kEngineJobs);
  EXPECT_FALSE(passes(lab, ue, 500));
  EXPECT_FALSE(passes(lab, ue, 100));
  EXPECT_FALSE(passes(lab, ue, 0));
  EXPECT_EQ(lab.count(Statistic::kEngineJobs), jobs);
}

// Shows: R-6.3-03
TEST(Replay, EachInboundSaHasItsOwnWindow) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, 5000, pattern(9))).size(), 1u);
  EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUsPc, 1, pattern(9))).size(), 1u);
  EXPECT_EQ(lab.dropped(), 0u);
}

/// Authentic but unacceptable inside: the number is used up all the same.
// Shows: R-2406-07
TEST(Replay, NumberOfAnAuthenticPacketIsSpentEvenIfItIsDropped) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  EXPECT_TRUE(lab.from_network(numbered(ue, 1, {.next_header = 59})).empty());
  EXPECT_FALSE(passes(lab, ue, 1));
  EXPECT_EQ(lab.drops(), "replay_seen 1, dummy_packet 1");
}

// Shows: R-D-A2
TEST(Replay, ANewSetInAnOldSlotKnowsNothingOfTheOldOne) {
  const Registration ue = make_registration(1);
  LabOptions options;
  options.database.capacity_sets = 1;
  options.database.window_packets = 1024;
  Lab lab(options);
  const uint64_t old_id = lab.install(ue);
  for (uint32_t sequence = 1; sequence < 200; ++sequence) EXPECT_TRUE(passes(lab, ue, sequence));
  lab.remove(old_id);
  EXPECT_NE(lab.install(ue), old_id);
  for (uint32_t sequence = 1; sequence < 200; ++sequence) EXPECT_TRUE(passes(lab, ue, sequence));
}

}  // namespace
}  // namespace gmesp::test
