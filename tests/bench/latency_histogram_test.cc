// Quantiles of latencies against sorted samples.
#include "bench/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace gmesp::bench {
namespace {

constexpr double kBucketWidth = 1.0 / 32;

TEST(LatencyHistogram, IsEmptyAtFirst) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.quantile(0.99), 0u);
}

TEST(LatencyHistogram, SmallValuesAreExact) {
  LatencyHistogram histogram;
  for (uint64_t value = 1; value <= 60; ++value) histogram.add(value);
  EXPECT_EQ(histogram.quantile(0), 1u);
  EXPECT_EQ(histogram.quantile(0.5), 30u);
  EXPECT_EQ(histogram.quantile(1), 60u);
}

TEST(LatencyHistogram, OneSampleIsEveryQuantile) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{63}, uint64_t{64}, uint64_t{1'000'003},
                               std::numeric_limits<uint64_t>::max()}) {
    LatencyHistogram histogram;
    histogram.add(value);
    for (const double share : {0.0, 0.5, 0.999, 1.0})
      EXPECT_EQ(histogram.quantile(share), value) << share;
    EXPECT_EQ(histogram.min(), value);
  }
}

TEST(LatencyHistogram, QuantilesAreAtMostOneBucketTooHigh) {
  std::mt19937_64 random(5);
  std::lognormal_distribution<double> shape(9, 2);
  LatencyHistogram histogram;
  std::vector<uint64_t> samples;
  for (uint32_t i = 0; i < 100'000; ++i) {
    samples.push_back(static_cast<uint64_t>(shape(random)));
    histogram.add(samples.back());
  }
  std::sort(samples.begin(), samples.end());
  EXPECT_EQ(histogram.count(), samples.size());
  EXPECT_EQ(histogram.min(), samples.front());
  EXPECT_EQ(histogram.max(), samples.back());
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(samples.size())));
    const uint64_t exact = samples[rank - 1];
    EXPECT_GE(histogram.quantile(share), exact) << share;
    EXPECT_LE(static_cast<double>(histogram.quantile(share)),
              static_cast<double>(exact) * (1 + kBucketWidth) + 1)
        << share;
  }
}

}  // namespace
}  // namespace gmesp::bench
