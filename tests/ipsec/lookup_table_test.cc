// The look-up table alone: against a multimap, at its full load, and with readers beside the
// writer.
#include "dataplane/ipsec/lookup_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "dataplane/ipsec/lookup_hash.h"

namespace gmesp::ipsec {
namespace {

SaIndex find(const LookupTable& table, uint64_t hash, SaIndex sa) {
  return table.find(hash, [&](SaIndex found) { return found == sa; });
}

// Shows: R-7.1-07
TEST(LookupTable, AgreesWithAMapOverManyTurnovers) {
  constexpr uint32_t kKeys = 20'000;
  LookupTable table(kKeys);
  std::mt19937_64 random(1);
  std::unordered_map<SaIndex, uint64_t> model;
  std::vector<SaIndex> free;
  for (SaIndex sa = 0; sa < kKeys; ++sa) free.push_back(sa);
  std::vector<SaIndex> used;
  for (uint32_t i = 0; i < 400'000; ++i) {
    const bool adds = !free.empty() && (used.empty() || random() % 100 < 55);
    std::vector<SaIndex>& from = adds ? free : used;
    std::swap(from[random() % from.size()], from.back());
    const SaIndex sa = from.back();
    from.pop_back();
    (adds ? used : free).push_back(sa);
    if (adds) {
      const uint64_t hash = random();
      ASSERT_GE(table.room(hash), 2u);
      ASSERT_TRUE(table.insert(hash, sa));
      model[sa] = hash;
    } else {
      ASSERT_TRUE(table.erase(model[sa], sa));
      ASSERT_EQ(find(table, model[sa], sa), kNoSa);
      ASSERT_FALSE(table.erase(model[sa], sa));
      model.erase(sa);
    }
    if (i % 20'000 != 0) continue;
    for (const auto& [index, hash] : model) ASSERT_EQ(find(table, hash, index), index);
  }
}

/// The promise of the header: at full load, kept by turnover, there is always room.
// Shows: R-D-P2
TEST(LookupTable, NeverRunsFullWithinItsLoad) {
  constexpr uint32_t kKeys = 3 * 65'536 - 1;  // the most that this many buckets are made for
  LookupTable table(kKeys);
  std::mt19937_64 random(2);
  std::vector<uint64_t> hashes(kKeys);
  for (SaIndex sa = 0; sa < kKeys; ++sa) {
    hashes[sa] = random();
    ASSERT_TRUE(table.insert(hashes[sa], sa)) << sa;
  }
  for (uint32_t i = 0; i < 8 * kKeys; ++i) {
    const auto sa = static_cast<SaIndex>(random() % kKeys);
    ASSERT_TRUE(table.erase(hashes[sa], sa));
    hashes[sa] = random();
    ASSERT_TRUE(table.insert(hashes[sa], sa)) << "turnover " << i;
  }
  for (SaIndex sa = 0; sa < kKeys; ++sa) ASSERT_EQ(find(table, hashes[sa], sa), sa);
}

// Shows: R-D-P2
TEST(LookupTable, RefusesWhenBothBucketsAreFull) {
  LookupTable table(1024);
  constexpr uint64_t kHash = 0x0123456789abcdef;
  constexpr uint32_t kBoth = 2 * LookupTable::kBucketEntries;
  for (SaIndex sa = 0; sa < kBoth; ++sa) {
    ASSERT_EQ(table.room(kHash), kBoth - sa);
    ASSERT_TRUE(table.insert(kHash, sa));
  }
  EXPECT_FALSE(table.insert(kHash, kBoth));
  EXPECT_EQ(find(table, kHash, kBoth), kNoSa);
  for (SaIndex sa = 0; sa < kBoth; ++sa) EXPECT_EQ(find(table, kHash, sa), sa);
  for (SaIndex sa = 0; sa < kBoth; ++sa) EXPECT_TRUE(table.erase(kHash, sa));
  EXPECT_EQ(table.candidate(kHash), kNoSa);
  EXPECT_EQ(table.room(kHash), kBoth);
}

// Shows: R-7.1-07
TEST(LookupTable, CandidateIsWhatFindWillFind) {
  LookupTable table(10'000);
  std::mt19937_64 random(3);
  std::vector<uint64_t> hashes(10'000);
  for (SaIndex sa = 0; sa < hashes.size(); ++sa) {
    hashes[sa] = random();
    ASSERT_TRUE(table.insert(hashes[sa], sa));
  }
  for (SaIndex sa = 0; sa < hashes.size(); ++sa) EXPECT_EQ(table.candidate(hashes[sa]), sa);
}

/// Keys that stay are found at every moment, whatever comes and goes around them.
// Shows: R-C-01
TEST(LookupTable, ReadersMissNothingWhileTheWriterWorks) {
  constexpr uint32_t kStanding = 2'000;
  constexpr uint32_t kMoving = 2'000;
  LookupTable table(kStanding + kMoving);
  std::mt19937_64 random(4);
  std::vector<uint64_t> hashes(kStanding + kMoving);
  for (uint64_t& hash : hashes) hash = random();
  for (SaIndex sa = 0; sa < kStanding; ++sa) ASSERT_TRUE(table.insert(hashes[sa], sa));
  std::atomic<bool> stop{false};
  std::atomic<uint32_t> missed{0};
  std::atomic<uint32_t> rounds{0};
  std::thread reader([&] {
    while (!stop) {
      for (SaIndex sa = 0; sa < kStanding; ++sa)
        if (find(table, hashes[sa], sa) != sa) ++missed;
      ++rounds;
    }
  });
  for (uint32_t round = 0; round < 50 || rounds < 3; ++round) {
    for (SaIndex sa = kStanding; sa < hashes.size(); ++sa)
      ASSERT_TRUE(table.insert(hashes[sa], sa));
    for (SaIndex sa = kStanding; sa < hashes.size(); ++sa) ASSERT_TRUE(table.erase(hashes[sa], sa));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(missed, 0u);
}

/// Structured keys, as a UE population has them, spread like random ones.
// Shows: R-D-S1
TEST(LookupHash, SpreadsConsecutiveKeys) {
  constexpr uint32_t kKeys = 1u << 16;
  for (uint32_t seed = 0; seed < 8; ++seed) {
    const LookupHash hash;
    LookupTable table(kKeys);
    for (uint32_t i = 0; i < kKeys; ++i)
      ASSERT_TRUE(table.insert(hash(std::array<uint64_t, 3>{7, 9, 256 + i}), i)) << i;
  }
}

TEST(LookupHash, IsSeeded) {
  const std::array<uint64_t, 3> key = {1, 2, 3};
  const LookupHash a;
  const LookupHash b;
  EXPECT_EQ(a(key), a(key));
  EXPECT_NE(a(key), b(key));
}

}  // namespace
}  // namespace gmesp::ipsec
