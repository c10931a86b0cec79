// Rules are swapped while workers scan: none stops, none sees half a set, no count is lost.
#include "dataplane/screen/signature_swap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace gmesp::screen {
namespace {

constexpr std::string_view kText =
    "OPTIONS sip:a SIP/2.0\r\nUser-Agent: friendly-scanner\r\nCSeq: 1 OPTIONS\r\n\r\n";

std::unique_ptr<SignatureSet> set_of(const std::vector<std::string>& names, uint32_t workers) {
  std::vector<Rule> rules;
  for (const std::string& name : names) {
    Rule& rule = rules.emplace_back();
    rule.name = name;
    rule.where = RulePlace::kHeader;
    rule.header = "User-Agent";
    rule.pattern = "friendly";
  }
  std::vector<settings::Error> errors;
  auto set = SignatureSet::compile(rules, workers, errors);
  EXPECT_TRUE(errors.empty());
  return set;
}

uint32_t scan_once(SignatureSet& set, uint32_t worker) {
  const SipMessage message =
      read_datagram({reinterpret_cast<const uint8_t*>(kText.data()), kText.size()});
  return set.scan(worker, {message, kText, false, 1, 1000}).matches;
}

TEST(SignatureSwap, CountsGoOnByTheNameOfTheRule) {
  SignatureSwap swap;
  EXPECT_EQ(swap.current(), nullptr);
  auto first = set_of({"kept", "gone"}, 1);
  ASSERT_TRUE(swap.publish(first));
  SignatureSet* old = swap.current();
  for (int i = 0; i < 3; ++i) scan_once(*old, 0);
  EXPECT_FALSE(swap.has_retired());

  auto second = set_of({"new", "kept"}, 1);
  ASSERT_TRUE(swap.publish(second));
  ASSERT_TRUE(swap.has_retired());
  EXPECT_EQ(swap.current()->count(1).matched, 3u);
  scan_once(*old, 0);  // a worker that is still in its burst
  scan_once(*swap.current(), 0);
  swap.end_grace_period();
  EXPECT_EQ(swap.current()->count(0).matched, 1u);
  EXPECT_EQ(swap.current()->count(1).matched, 5u);
  EXPECT_EQ(swap.current()->totals().scanned, 5u);
}

TEST(SignatureSwap, AThirdSetWaitsForTheGracePeriodOfTheFirst) {
  SignatureSwap swap;
  auto first = set_of({"a"}, 1);
  auto second = set_of({"b"}, 1);
  auto third = set_of({"c"}, 1);
  ASSERT_TRUE(swap.publish(first));
  ASSERT_TRUE(swap.publish(second));
  EXPECT_FALSE(swap.publish(third));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(swap.current()->rules()[0].name, "b");
  swap.end_grace_period();
  EXPECT_TRUE(swap.publish(third));
  EXPECT_EQ(swap.current()->rules()[0].name, "c");
}

TEST(SignatureSwap, RulesCanBeTakenOutOfForce) {
  SignatureSwap swap;
  auto first = set_of({"a"}, 1);
  std::unique_ptr<SignatureSet> none;
  ASSERT_TRUE(swap.publish(first));
  ASSERT_TRUE(swap.publish(none));
  EXPECT_EQ(swap.current(), nullptr);
  swap.end_grace_period();
  EXPECT_FALSE(swap.has_retired());
}

/// Grace periods as gmespd has them: a worker tells which round it has begun.
TEST(SignatureSwap, UnderScanningWorkersLosesNothing) {
  constexpr uint32_t kWorkers = 2;
  constexpr int kSwaps = 20;
  SignatureSwap swap;
  auto first = set_of({"kept", "x"}, kWorkers);
  ASSERT_TRUE(swap.publish(first));
  std::atomic<bool> stops{false};
  std::atomic<uint64_t> rounds[kWorkers] = {};
  std::atomic<uint64_t> scans{0};
  std::vector<std::thread> workers;
  for (uint32_t worker = 0; worker < kWorkers; ++worker)
    workers.emplace_back([&, worker] {
      uint64_t own = 0;
      while (!stops.load(std::memory_order_relaxed)) {
        SignatureSet* set = swap.current();
        for (int i = 0; i < 32; ++i)
          if (scan_once(*set, worker) == set->rules().size()) ++own;
        rounds[worker].fetch_add(1, std::memory_order_release);
      }
      scans += own;
    });
  uint64_t seen = 0;
  for (int i = 0; i < kSwaps; ++i) {
    auto next = i % 2 == 0 ? set_of({"y", "kept", "z"}, kWorkers) : set_of({"kept"}, kWorkers);
    ASSERT_TRUE(swap.publish(next));
    for (const auto& round : rounds) {
      const uint64_t begun = round.load(std::memory_order_acquire);
      while (round.load(std::memory_order_acquire) < begun + 2) std::this_thread::yield();
    }
    swap.end_grace_period();
    const uint64_t now = swap.current()->count(i % 2 == 0 ? 1 : 0).matched;
    EXPECT_GE(now, seen);
    seen = now;
  }
  stops = true;
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(swap.current()->count(0).matched, scans.load());
  EXPECT_EQ(swap.current()->totals().scanned, scans.load());
}

}  // namespace
}  // namespace gmesp::screen
