#include "bench/ue_draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace gmesp::bench {
namespace {

constexpr uint32_t kUes = 1000;
constexpr uint32_t kDraws = 400'000;

/// How often each UE came.
std::vector<uint32_t> counts(DrawKind kind) {
  UeDraw draw(kind, kUes, 1);
  std::vector<uint32_t> counts(kUes);
  for (uint32_t i = 0; i < kDraws; ++i) ++counts.at(draw.ue());
  return counts;
}

TEST(UeDrawTest, AtRandomAllAreAlike) {
  const std::vector<uint32_t> found = counts(DrawKind::kRandom);
  const auto [least, most] = std::ranges::minmax(found);
  EXPECT_GT(least, kDraws / kUes * 3 / 4);
  EXPECT_LT(most, kDraws / kUes * 5 / 4);
}

TEST(UeDrawTest, ByZipfTheNthIsAnNthAsOften) {
  std::vector<uint32_t> found = counts(DrawKind::kZipf);
  EXPECT_NE(std::ranges::max_element(found), found.begin()) << "the popular ones lie anywhere";
  std::ranges::sort(found, std::greater());
  double harmonic = 0;
  for (uint32_t rank = 1; rank <= kUes; ++rank) harmonic += 1.0 / rank;
  for (const uint32_t rank : {1u, 2u, 5u, 20u})
    EXPECT_NEAR(found[rank - 1], kDraws / harmonic / rank, kDraws / harmonic / rank * 0.05) << rank;
}

TEST(UeDrawTest, ACoinHasTwoSides) {
  UeDraw draw(DrawKind::kZipf, 1, 1);
  uint32_t heads = 0;
  for (uint32_t i = 0; i < 1000; ++i) heads += draw.coin();
  EXPECT_GT(heads, 400u);
  EXPECT_LT(heads, 600u);
}

}  // namespace
}  // namespace gmesp::bench
