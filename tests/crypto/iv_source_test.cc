// IVs: fresh, never repeated, without pattern (RFC 3602 3, RFC 2451 3).
#include "crypto/iv_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "reference.h"

namespace gmesp::crypto::test {
namespace {

constexpr uint32_t kIvs = 1'000'000;

template <size_t kBytes>
std::vector<std::array<uint8_t, kBytes>> take(IvSource& source, uint32_t count) {
  std::vector<std::array<uint8_t, kBytes>> ivs(count);
  for (auto& iv : ivs) source.fill(iv.data(), kBytes);
  return ivs;
}

template <size_t kBytes>
void expect_no_repeat() {
  IvSource source;
  auto ivs = take<kBytes>(source, kIvs);
  EXPECT_EQ(std::count(ivs.begin(), ivs.end(), std::array<uint8_t, kBytes>{}), 0);
  std::sort(ivs.begin(), ivs.end());
  EXPECT_EQ(std::adjacent_find(ivs.begin(), ivs.end()), ivs.end());
}

// Shows: R-3602-01
TEST(IvSource, AMillionIvsOf16BytesDoNotRepeat) {
  expect_no_repeat<16>();
}

// Shows: R-3602-01
TEST(IvSource, AMillionIvsOf8BytesDoNotRepeat) {
  expect_no_repeat<8>();
}

// A counter or a value chained from the last one would leave bits that hardly move. Six standard
// deviations: a sound source fails one run in four million.
// Shows: R-3602-01
TEST(IvSource, EveryBitIsSetHalfTheTimeAndIndependentOfTheLastIv) {
  IvSource source;
  const auto ivs = take<16>(source, kIvs);
  const double allowed = 6 * std::sqrt(kIvs) / 2;
  for (size_t bit = 0; bit < 128; ++bit) {
    const auto is_set = [bit](const auto& iv) { return iv[bit / 8] >> (bit % 8) & 1; };
    int64_t ones = 0;
    int64_t changes = 0;
    for (size_t i = 0; i < ivs.size(); ++i) {
      ones += is_set(ivs[i]);
      if (i != 0) changes += is_set(ivs[i]) ^ is_set(ivs[i - 1]);
    }
    EXPECT_NEAR(static_cast<double>(ones), kIvs / 2.0, allowed) << bit;
    EXPECT_NEAR(static_cast<double>(changes), kIvs / 2.0, allowed) << bit;
  }
}

// Shows: R-3602-01
TEST(IvSource, TwoCoresAndTwoStartsDiffer) {
  IvSource first;
  IvSource second;
  auto ivs = take<8>(first, 10'000);
  const auto others = take<8>(second, 10'000);
  ivs.insert(ivs.end(), others.begin(), others.end());
  std::sort(ivs.begin(), ivs.end());
  EXPECT_EQ(std::adjacent_find(ivs.begin(), ivs.end()), ivs.end());
}

// Mixed sizes cross the pool's end at every offset; a moved source goes on, it does not start over.
// Shows: R-3602-01
TEST(IvSource, WritesExactlyWhatWasAskedAndSurvivesAMove) {
  IvSource source;
  std::vector<std::array<uint8_t, 8>> halves;
  for (uint32_t i = 0; i < 20'000; ++i) {
    if (i == 10'000) source = IvSource(std::move(source));
    const uint32_t bytes = i % 3 == 0 ? 8 : 16;
    std::array<uint8_t, 24> room;
    room.fill(0xa5);
    source.fill(room.data(), bytes);
    ASSERT_TRUE(std::all_of(room.begin() + bytes, room.end(), [](uint8_t b) { return b == 0xa5; }));
    for (uint32_t at = 0; at < bytes; at += 8)
      std::copy_n(room.begin() + at, 8, halves.emplace_back().begin());
  }
  std::sort(halves.begin(), halves.end());
  EXPECT_EQ(std::adjacent_find(halves.begin(), halves.end()), halves.end());
}

}  // namespace
}  // namespace gmesp::crypto::test
