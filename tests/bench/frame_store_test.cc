// What is made is ESP of its user's SAs, whichever user is the first.
#include "bench/frame_store.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "dataplane/ipsec/byte_order.h"

namespace gmesp::bench {
namespace {

class FrameStoreTest : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(FirstUes, FrameStoreTest, testing::Values(0u, 5000u));

TEST_P(FrameStoreTest, OpensWhatItHasSealed) {
  FrameStoreOptions options;
  options.ues = 3;
  options.first_ue = GetParam();
  FrameStore store(options);
  constexpr uint32_t kFrames = 200;
  store.make(kFrames, Way::kUplink, 300);
  std::set<std::pair<uint32_t, uint32_t>> numbers;  // SPI and sequence number
  std::set<uint32_t> spis;
  for (uint32_t at = 0; at < kFrames; ++at) {
    EXPECT_GE(store.ue(at), options.first_ue);
    EXPECT_LT(store.ue(at), options.first_ue + options.ues);
    std::vector<uint8_t> frame(store.frame(at).begin(), store.frame(at).end());
    const uint8_t* esp = frame.data() + find_esp(frame.data(), kIpBytesMin);
    const uint32_t spi = ipsec::load_be32(esp);
    EXPECT_EQ(number_of_spi(spi), store.ue(at));
    EXPECT_TRUE(numbers.emplace(spi, ipsec::load_be32(esp + 4)).second) << "no number twice";
    spis.insert(spi);
    uint64_t mark = kFrames;
    EXPECT_TRUE(store.open(frame.data(), static_cast<uint32_t>(frame.size()), mark));
    EXPECT_EQ(mark, at);
  }
  EXPECT_EQ(spis.size(), 2 * options.ues) << "both inbound SAs of each";
}

TEST_P(FrameStoreTest, DoesNotOpenWhatIsOfNoneOfItsUsers) {
  FrameStoreOptions options;
  options.ues = 3;
  options.first_ue = GetParam();
  FrameStore store(options);
  options.first_ue += options.ues;
  FrameStore of_others(options);
  of_others.make(1, Way::kUplink, 300);
  std::vector<uint8_t> frame(of_others.frame(0).begin(), of_others.frame(0).end());
  uint64_t mark = 0;
  EXPECT_FALSE(store.open(frame.data(), static_cast<uint32_t>(frame.size()), mark));
}

}  // namespace
}  // namespace gmesp::bench
