// Sets come and go by the ten thousand while a worker runs traffic on others: none of theirs is
// lost, and what races with a removal is either delivered right or dropped (R-C-01, R-7.4-04).
//
// GMESP_CHURN_SETS sets how many are installed and removed.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <thread>

#include "crew.h"
#include "dissection.h"
#include "scale.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using shm::SaRole;
using shm::Status;

constexpr uint32_t kSteadyUes = 16;
constexpr uint32_t kPassingUes = 48;
/// Sets that wait for their grace period, within the capacity.
constexpr size_t kRetiredMax = 900;

/// Quiescent states as rte_rcu_qsbr has them: a counter that the worker raises between its calls.
class GracePeriods {
 public:
  void quiescent() {
    state_.store(state_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  uint64_t token() const { return state_.load(std::memory_order_acquire) + 1; }
  /// The call that was running when the token was taken has ended.
  bool is_over(uint64_t token) const { return state_.load(std::memory_order_acquire) >= token; }

 private:
  std::atomic<uint64_t> state_{0};
};

class ChurnTest : public testing::Test {
 protected:
  ChurnTest() : crew_(options(), 1) {
    for (uint32_t number = 1; number <= kSteadyUes + kPassingUes; ++number) {
      const auto mode = number % 2 == 0 ? shm::Mode::kTransport : shm::Mode::kUdpEncapsulatedTunnel;
      ues_.push_back(make_registration(number, mode, number % 4 < 2,
                                       crypto::suite_at(number % crypto::kSuiteCount)));
      if (number <= kSteadyUes) install(ues_.back());
    }
    for (uint32_t i = kSteadyUes; i < ues_.size(); ++i)
      passing_.push_back(ues_[i].uplink(SaRole::kInUcPs, 1, pattern(20, i)));
    for (uint32_t i = 0; i < ues_.size(); ++i)
      sender_of_[ues_[i].clear(SaRole::kInUcPs, pattern(20, i))] = i;
  }
  static LabOptions options() {
    LabOptions options;
    options.database.capacity_sets = 1024;
    return options;
  }
  uint64_t install(const Registration& ue) {
    uint64_t set_id = 0;
    std::string detail;
    const Status status = crew_.database().install(ue.record(), 1, set_id, detail);
    EXPECT_EQ(status, Status::kOk) << detail;
    return set_id;
  }
  /// The control thread: installs and removes `count` sets, a few alive at any time.
  void churn(uint64_t count);
  void reclaim();
  /// The worker: a packet of every steady UE both ways, and some of sets that may be there.
  void round(uint32_t sequence);
  void judge(const Sent& sent);
  uint64_t judge_sent();

  struct Retired {
    uint64_t set_id;
    uint64_t token;
  };
  Crew crew_;
  GracePeriods grace_;
  std::vector<Registration> ues_;
  std::vector<Bytes> passing_;
  std::map<Bytes, uint32_t> sender_of_;  ///< clear packets that may arrive
  std::deque<Retired> retired_;
  std::atomic<bool> is_done_{false};
  uint64_t passed_through_ = 0;
};

void ChurnTest::reclaim() {
  while (!retired_.empty() && grace_.is_over(retired_.front().token)) {
    crew_.database().reclaim(static_cast<ipsec::SetIndex>(retired_.front().set_id));
    retired_.pop_front();
  }
}

void ChurnTest::churn(uint64_t count) {
  std::deque<uint64_t> live;
  for (uint64_t i = 0; i < count; ++i) {
    live.push_back(install(ues_[kSteadyUes + i % kPassingUes]));
    if (live.size() == kPassingUes / 2) {
      EXPECT_EQ(crew_.database().unpublish(live.front()), Status::kOk);
      retired_.push_back({live.front(), grace_.token()});
      live.pop_front();
    }
    reclaim();
    while (retired_.size() > kRetiredMax) {
      std::this_thread::yield();
      reclaim();
    }
  }
  for (const uint64_t set_id : live) EXPECT_EQ(crew_.database().unpublish(set_id), Status::kOk);
  for (const uint64_t set_id : live) retired_.push_back({set_id, grace_.token()});
  while (!retired_.empty()) {
    std::this_thread::yield();
    reclaim();
  }
  is_done_ = true;
}

void ChurnTest::round(uint32_t sequence) {
  Crew::Batch batch;
  for (uint32_t i = 0; i < kSteadyUes; ++i) {
    batch.from_network.push_back(ues_[i].uplink(SaRole::kInUcPs, sequence, pattern(20, i)));
    batch.from_host.push_back(
        frame_from_host(ues_[i].clear(SaRole::kOutPcUs, pattern(20, sequence))));
  }
  for (uint32_t i = sequence % 3; i < passing_.size(); i += 3) {
    batch.from_network.push_back(passing_[i]);
    batch.from_host.push_back(
        frame_from_host(ues_[kSteadyUes + i].clear(SaRole::kOutPcUs, pattern(20))));
  }
  crew_.member(0).process(batch);
}

/// Steady or passing: what arrives is what was sent.
void ChurnTest::judge(const Sent& sent) {
  if (sent.to == Side::kHost) {
    const auto ue = sender_of_.find(packet_in(sent.frame));
    ASSERT_NE(ue, sender_of_.end()) << "the host got something that no UE sent";
    if (ue->second >= kSteadyUes) ++passed_through_;
    return;
  }
  const Bytes packet = packet_in(sent.frame);
  const uint32_t spi = get32(esp_bytes(packet), 0);
  for (const Registration& ue : ues_) {
    if (spi != ue.spi_us) continue;
    ASSERT_TRUE(open(ue.sa(SaRole::kOutPcUs), packet).is_authentic) << kind(ue);
    return;
  }
  FAIL() << "something left on an SA of nobody";
}

/// How many packets of steady UEs the host got since the last call.
uint64_t ChurnTest::judge_sent() {
  const uint64_t passed_before = passed_through_;
  uint64_t to_host = 0;
  for (const Sent& sent : crew_.member(0).sent) {
    judge(sent);
    if (sent.to == Side::kHost) ++to_host;
  }
  crew_.member(0).sent.clear();
  return to_host - (passed_through_ - passed_before);
}

// Shows: R-C-01, R-7.4-04
TEST_F(ChurnTest, TrafficOfOtherSetsGoesOnUntouched) {
  const uint64_t count = scaled("GMESP_CHURN_SETS", 100'000);
  std::thread control([&] { churn(count); });
  uint32_t sequence = 0;
  uint64_t steady_delivered = 0;
  while (!is_done_ || sequence < 10) {
    round(++sequence);
    steady_delivered += judge_sent();
    if (HasFailure()) break;
    grace_.quiescent();
  }
  while (!is_done_) grace_.quiescent();
  control.join();
  crew_.member(0).take_handed_over();  // those that waited for company
  steady_delivered += judge_sent();
  EXPECT_EQ(steady_delivered, uint64_t{sequence} * kSteadyUes) << "packets of steady sets lost";
  EXPECT_EQ(crew_.member(0).buffers, 0);
  EXPECT_EQ(crew_.count(DropReason::kIcvWrong), 0u) << "a packet met the keys of another set";
  EXPECT_EQ(crew_.count(DropReason::kSelectorAddress), 0u);
  EXPECT_EQ(crew_.count(DropReason::kSelectorPort), 0u);
  EXPECT_GT(passed_through_, 0u) << "some were there when their packet came";
  EXPECT_EQ(crew_.database().live_sets(), kSteadyUes);
}

}  // namespace
}  // namespace gmesp::test
