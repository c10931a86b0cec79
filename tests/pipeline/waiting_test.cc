// 3DES packets that wait for company in a busy worker: they come late, in order, and are judged
// when they go, not when they came.
#include <gtest/gtest.h>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::Side;
using ipsec::WaitingRoom;
using shm::SaRole;

constexpr SaRole kUp = SaRole::kInUcPs;
constexpr SaRole kDown = SaRole::kOutPcUs;
constexpr crypto::Suite kTripleDes = {crypto::Integrity::kHmacSha1_96, crypto::Cipher::kDesEde3Cbc};
constexpr uint32_t kCompany = 16;

/// A few UEs with 3DES, and enough traffic with AES to keep a worker busy.
class WaitingTest : public testing::Test {
 protected:
  WaitingTest() {
    for (uint32_t i = 0; i < 4; ++i) {
      ues_.push_back(make_registration(
          1 + i, i % 2 == 0 ? shm::Mode::kTransport : shm::Mode::kUdpEncapsulatedTunnel, true,
          kTripleDes));
      sets_.push_back(lab_.install(ues_.back()));
      lab_.from_network(ues_.back().uplink(kUp, 1, pattern(9)));  // port_Uenc
    }
    lab_.install(busy_);
  }

  Bytes up(uint32_t ue, uint32_t sequence) const {
    return ues_[ue].uplink(kUp, sequence, pattern(100, sequence));
  }
  Bytes delivered(uint32_t ue, uint32_t sequence) const {
    return frame_to_host(ues_[ue].clear(kUp, pattern(100, sequence)));
  }
  Bytes down(uint32_t ue, uint32_t number) const {
    return frame_from_host(ues_[ue].clear(kDown, pattern(100, number)));
  }
  /// A busy worker's call. What was sent of 3DES.
  std::vector<Sent> call(std::vector<Bytes> access, std::vector<Bytes> host = {}) {
    std::vector<Bytes> expected;
    for (uint32_t i = 0; i < WaitingRoom::kBusyPackets; ++i) {
      ++busy_sequence_;
      access.push_back(busy_.uplink(kUp, busy_sequence_, pattern(20, busy_sequence_)));
      expected.push_back(frame_to_host(busy_.clear(kUp, pattern(20, busy_sequence_))));
    }
    std::vector<Sent> sent = lab_.call(access, host);
    const size_t all = sent.size();
    std::erase_if(sent, [&](const Sent& one) { return std::ranges::count(expected, one.frame); });
    EXPECT_EQ(all - sent.size(), expected.size()) << "AES waits for nobody";
    return sent;
  }

  Lab lab_;
  std::vector<Registration> ues_;
  std::vector<uint64_t> sets_;
  const Registration busy_ = make_registration(100);
  uint32_t busy_sequence_ = 0;
};

TEST_F(WaitingTest, TheyGoTogetherWhenTheyAreEnough) {
  std::vector<Bytes> expected;
  for (uint32_t round = 0; round < 4; ++round) {
    std::vector<Bytes> frames;
    for (uint32_t ue = 0; ue < 4; ++ue) {
      frames.push_back(up(ue, 2 + round));
      expected.push_back(delivered(ue, 2 + round));
    }
    EXPECT_EQ(lab_.pipeline().held_packets(), 4 * round);
    const std::vector<Sent> sent = call(frames);
    if (round < 3)
      EXPECT_TRUE(sent.empty());
    else
      EXPECT_EQ(to(sent, Side::kHost), expected) << "in the order in which they came";
  }
  EXPECT_EQ(lab_.pipeline().held_packets(), 0u);
  EXPECT_EQ(lab_.count(ipsec::Statistic::kWaitedForCompany), kCompany);
  EXPECT_EQ(lab_.drops(), "");
}

TEST_F(WaitingTest, BothDirectionsWaitApart) {
  std::vector<Bytes> access[2], host;
  for (uint32_t i = 0; i < kCompany; ++i) access[i % 2].push_back(up(i % 4, 2 + i));
  for (uint32_t i = 0; i < kCompany / 2; ++i) host.push_back(down(i % 4, i));
  EXPECT_TRUE(call(access[0], host).empty());
  const std::vector<Sent> sent = call(access[1]);
  EXPECT_EQ(to(sent, Side::kHost).size(), kCompany);
  EXPECT_EQ(sent.size(), kCompany);
  EXPECT_EQ(to(lab_.call({}, {}), Side::kAccess).size(), host.size());
  EXPECT_EQ(lab_.drops(), "");
}

TEST_F(WaitingTest, SequenceNumbersGoOutInOrder) {
  std::vector<Bytes> out;
  for (uint32_t i = 0; i < 2 * kCompany; i += 4)
    for (const Sent& sent : call({}, {down(0, i), down(0, i + 1), down(0, i + 2), down(0, i + 3)}))
      out.push_back(sent.frame);
  ASSERT_EQ(out.size(), 2 * kCompany);
  for (uint32_t i = 0; i < out.size(); ++i) {
    const Opened opened = open(ues_[0].sa(kDown), packet_in(out[i]));
    EXPECT_EQ(opened.clear, packet_in(down(0, i)));
    EXPECT_EQ(get32(esp_bytes(packet_in(out[i])), 4), 1 + i);
  }
}

TEST_F(WaitingTest, TheyDoNotWaitForEver) {
  EXPECT_TRUE(call({up(0, 2)}, {down(1, 1)}).empty());
  for (uint32_t i = 1; i < WaitingRoom::kCallsMax; ++i) EXPECT_TRUE(call({}).empty());
  EXPECT_EQ(call({}).size(), 2u);
}

TEST_F(WaitingTest, AnIdleWorkerLetsThemGo) {
  EXPECT_TRUE(call({up(0, 2)}).empty());
  EXPECT_EQ(only(lab_.call({}, {}), Side::kHost), delivered(0, 2));
  EXPECT_EQ(only(lab_.call({up(0, 3)}, {}), Side::kHost), delivered(0, 3)) << "and nobody waits";
}

// Shows: R-C-01, R-7.4-04
TEST_F(WaitingTest, WhoseSetIsRemovedMeanwhileGoesNowhere) {
  EXPECT_TRUE(call({up(0, 2), up(2, 2)}, {down(0, 1)}).empty());
  lab_.remove(sets_[0]);
  EXPECT_EQ(only(lab_.call({}, {}), Side::kHost), delivered(2, 2));
  EXPECT_EQ(lab_.drops(), "unknown_spi 1, no_sa_for_protected_port 1");
}

// Shows: R-2406-07, R-2406-04
TEST_F(WaitingTest, CopiesAndForgeriesAmongThemAreFound) {
  const Bytes forged = ues_[2].uplink(kUp, 2, pattern(9), {.flipped_bit = 99});
  EXPECT_TRUE(call({up(0, 2), up(0, 2), forged}).empty());
  EXPECT_TRUE(call({up(0, 2)}).empty());
  EXPECT_EQ(only(lab_.call({}, {}), Side::kHost), delivered(0, 2));
  EXPECT_EQ(lab_.drops(), "replay_seen 2, icv_wrong 1");
}

TEST_F(WaitingTest, WhoWaitsWhenTheWorkerStopsIsCounted) {
  EXPECT_TRUE(call({up(0, 2), up(1, 2)}, {down(0, 1)}).empty());
  lab_.drain();
  EXPECT_EQ(lab_.pipeline().held_packets(), 0u);
  EXPECT_EQ(lab_.drops(), "shut_down 3");
}

/// As many as there may be, more than the engine takes at once.
TEST_F(WaitingTest, AFullCallOfThemGoesThrough) {
  const auto frames = [this](uint32_t first, uint32_t count) {
    std::vector<Bytes> made;
    for (uint32_t i = first; i < first + count; ++i) made.push_back(up(i % 4, 2 + i));
    return made;
  };
  EXPECT_EQ(lab_.call(frames(0, 33), {}).size(), 32u);
  EXPECT_EQ(lab_.call(frames(33, 15), {}).size(), 16u) << "a call that is not busy";
  EXPECT_EQ(lab_.call(frames(48, 47), {}).size(), 32u);
  for (uint32_t i = 1; i < WaitingRoom::kCallsMax; ++i) EXPECT_TRUE(call({}).empty());
  EXPECT_EQ(lab_.call(frames(95, ipsec::Pipeline::kPacketsMax), {}).size(), 128u)
      << "15 that must go and 113 more, the rest has just come";
  EXPECT_EQ(lab_.call({}, {}).size(), 15u);
  EXPECT_EQ(lab_.drops(), "");
}

}  // namespace
}  // namespace gmesp::test
