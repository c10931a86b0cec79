// Rates over a clock that the test moves.
#include "dataplane/ipsec/token_bucket.h"

#include <gtest/gtest.h>

namespace gmesp::ipsec {
namespace {

uint32_t taken(TokenBucket& bucket, uint64_t now_ms, uint32_t tries) {
  uint32_t count = 0;
  while (tries-- != 0) count += bucket.take(now_ms);
  return count;
}

// Shows: R-2401-02
TEST(TokenBucket, BurstThenRate) {
  TokenBucket bucket(100, 5);
  EXPECT_EQ(taken(bucket, 1000, 10), 5u);
  EXPECT_EQ(taken(bucket, 1009, 10), 0u);
  EXPECT_EQ(taken(bucket, 1010, 10), 1u);
  EXPECT_EQ(taken(bucket, 1035, 10), 2u);
  EXPECT_EQ(taken(bucket, 1040, 10), 1u);  // the half token was kept
  EXPECT_EQ(taken(bucket, 60'000, 10), 5u);
}

// Shows: R-2401-02
TEST(TokenBucket, ZeroRatePassesNothing) {
  TokenBucket bucket(0, 5);
  EXPECT_EQ(taken(bucket, 1, 10), 0u);
  EXPECT_EQ(taken(bucket, 1'000'000, 10), 0u);
}

// Shows: R-2401-02
TEST(TokenBucket, ClockThatGoesBackGivesNothing) {
  TokenBucket bucket(1000, 1);
  EXPECT_EQ(taken(bucket, 5000, 2), 1u);
  EXPECT_EQ(taken(bucket, 4000, 2), 0u);
  EXPECT_EQ(taken(bucket, 5001, 2), 1u);
}

// Shows: R-2401-02
TEST(TokenBucket, LargestNumbersDoNotOverflow) {
  TokenBucket bucket(UINT64_MAX, UINT64_MAX);
  EXPECT_EQ(taken(bucket, 1, 100), 100u);
  EXPECT_EQ(taken(bucket, UINT64_MAX, 100), 100u);
}

}  // namespace
}  // namespace gmesp::ipsec
