// Small calls while a worker keeps up, large ones while it does not.
#include "dataplane/ipsec/call_size.h"

#include <gtest/gtest.h>

namespace gmesp::test {
namespace {

using ipsec::CallSize;

constexpr uint32_t kLargest = 128;

void fill(CallSize& size, uint32_t calls) {
  for (uint32_t call = 0; call < calls; ++call) size.took(size.packets());
}

TEST(CallSizeTest, IsSmallWhileABacklogIsShort) {
  CallSize size(kLargest);
  EXPECT_EQ(size.packets(), CallSize::kSmallPackets);
  fill(size, CallSize::kFullCallsMax - 1);
  EXPECT_EQ(size.packets(), CallSize::kSmallPackets);
  size.took(CallSize::kSmallPackets - 1);
  fill(size, CallSize::kFullCallsMax - 1);
  EXPECT_EQ(size.packets(), CallSize::kSmallPackets) << "full calls that are not in a row";
}

TEST(CallSizeTest, IsLargeUntilTheBacklogIsGone) {
  CallSize size(kLargest);
  fill(size, CallSize::kFullCallsMax);
  EXPECT_EQ(size.packets(), kLargest);
  fill(size, 1000);
  size.took(CallSize::kSmallPackets);  // a flood lets only a group in
  EXPECT_EQ(size.packets(), kLargest);
  size.took(CallSize::kSmallPackets - 1);
  EXPECT_EQ(size.packets(), CallSize::kSmallPackets);
}

TEST(CallSizeTest, IsNeverMoreThanTheLargest) {
  CallSize size(2);
  EXPECT_EQ(size.packets(), 2u);
  fill(size, 2 * CallSize::kFullCallsMax);
  EXPECT_EQ(size.packets(), 2u);
}

}  // namespace
}  // namespace gmesp::test
