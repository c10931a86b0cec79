// The search of RFC 2544 26.1 on devices whose loss-free maximum is known.
#include "bench/rate_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace gmesp::bench {
namespace {

/// Forwards up to `capacity_per_s` and drops what is more; its sender reaches `sender_per_s`.
struct Channel {
  double capacity_per_s;
  double sender_per_s = 1e12;
  /// Trials, counted from 1, that lose a packet through no fault of the device.
  std::vector<uint32_t> disturbed = {};
  uint32_t trials = 0;

  TrialCount operator()(double rate_per_s) {
    ++trials;
    const double offered = std::min(rate_per_s, sender_per_s);
    const auto sent = static_cast<uint64_t>(offered);
    auto received = static_cast<uint64_t>(std::min(offered, capacity_per_s));
    if (std::find(disturbed.begin(), disturbed.end(), trials) != disturbed.end()) --received;
    return {offered, sent, received};
  }
};

RateSearchResult search(const RateSearchOptions& options, Channel& channel) {
  return find_loss_free_rate(options, [&](double rate) { return channel(rate); });
}

TEST(RateSearch, FindsTheMaximumWithinItsResolution) {
  for (const double capacity : {15'000.0, 777'777.0, 4'321'000.0, 9'990'000.0}) {
    Channel channel{capacity};
    const RateSearchOptions options = {.resolution = 0.005};
    const RateSearchResult result = search(options, channel);
    EXPECT_LE(result.rate_per_s, capacity);
    EXPECT_GE(result.rate_per_s, capacity - 0.005 * options.highest_per_s);
    EXPECT_FALSE(result.is_limited_by_sender);
    EXPECT_EQ(result.trials, channel.trials);
  }
}

TEST(RateSearch, TheAnswerIsARateThatWasTriedWithoutLoss) {
  Channel channel{2'000'000};
  std::vector<double> passed;
  const RateSearchResult result = find_loss_free_rate({}, [&](double rate) {
    const TrialCount count = channel(rate);
    if (count.loss() == 0) passed.push_back(rate);
    return count;
  });
  EXPECT_NE(std::find(passed.begin(), passed.end(), result.rate_per_s), passed.end());
}

TEST(RateSearch, StopsAtOnceIfTheHighestRatePasses) {
  Channel channel{1e12};
  const RateSearchResult result = search({.highest_per_s = 5'000'000}, channel);
  EXPECT_DOUBLE_EQ(result.rate_per_s, 5'000'000);
  EXPECT_EQ(result.trials, 1u);
  EXPECT_TRUE(result.is_limited_by_sender);
}

TEST(RateSearch, ASlowSenderIsToldFromASlowDevice) {
  Channel channel{.capacity_per_s = 8'000'000, .sender_per_s = 3'000'000};
  const RateSearchResult result = search({}, channel);
  EXPECT_NEAR(result.rate_per_s, 3'000'000, 1);
  EXPECT_TRUE(result.is_limited_by_sender);
}

TEST(RateSearch, ASenderThatWasSlowOnceIsTriedAgain) {
  uint32_t trials = 0;
  const RateSearchResult result = find_loss_free_rate({.attempts = 2}, [&](double rate) {
    Channel channel{.capacity_per_s = 6e6, .sender_per_s = ++trials == 4 ? 1000 : 1e12};
    return channel(rate);
  });
  EXPECT_NEAR(result.rate_per_s, 6'000'000, 60'000);
  EXPECT_FALSE(result.is_limited_by_sender);
}

TEST(RateSearch, NothingPasses) {
  Channel channel{5'000};
  const RateSearchResult result = search({.lowest_per_s = 10'000}, channel);
  EXPECT_EQ(result.rate_per_s, 0);
  EXPECT_FALSE(result.is_limited_by_sender);
}

TEST(RateSearch, ADeadDeviceOrSenderHasNoRate) {
  const auto lost = find_loss_free_rate({}, [](double rate) { return TrialCount{rate, 1000, 0}; });
  EXPECT_EQ(lost.rate_per_s, 0);
  const auto silent = find_loss_free_rate({}, [](double) { return TrialCount{}; });
  EXPECT_EQ(silent.rate_per_s, 0);
}

TEST(RateSearch, ADisturbedTrialIsTriedAgain) {
  // The first trial fails by itself at the highest rate, which is too high in any case; the third
  // is that of the lowest rate.
  Channel channel{.capacity_per_s = 2'000'000, .disturbed = {3, 5, 7}};
  const RateSearchResult result = search({.resolution = 0.005, .attempts = 2}, channel);
  EXPECT_NEAR(result.rate_per_s, 2'000'000, 50'000);
}

TEST(RateSearch, WithoutFurtherAttemptsADisturbanceCounts) {
  Channel channel{.capacity_per_s = 2'000'000, .disturbed = {2}};
  const RateSearchResult result = search({.attempts = 1}, channel);
  EXPECT_EQ(result.rate_per_s, 0);
}

TEST(RateSearch, AllowedLossIsAllowed) {
  Channel channel{1'000'000};
  const RateSearchResult result = search({.resolution = 0.001, .loss_max = 0.1}, channel);
  EXPECT_NEAR(result.rate_per_s, 1'000'000 / 0.9, 12'000);
}

TEST(RateSearch, MorePacketsThanSentAreNoNegativeLoss) {
  EXPECT_EQ((TrialCount{1, 10, 12}).loss(), 0);
  EXPECT_DOUBLE_EQ((TrialCount{1, 10, 9}).loss(), 0.1);
}

}  // namespace
}  // namespace gmesp::bench
