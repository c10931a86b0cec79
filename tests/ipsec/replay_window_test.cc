// The anti-replay window alone: numbered cases at its edges for every size, and against a std::set.
#include "dataplane/ipsec/replay_window.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace gmesp::ipsec {
namespace {

/// A window with its own words and a highest number that it keeps between calls, as an SA does.
class Window {
 public:
  explicit Window(uint32_t packets) : packets_(packets), words_(window_words(packets), 0) {}

  ReplayVerdict check(uint32_t sequence) { return view().check(sequence); }
  ReplayVerdict accept(uint32_t sequence) {
    ReplayWindow window = view();
    const ReplayVerdict verdict = window.accept(sequence);
    highest = window.highest();
    return verdict;
  }
  bool takes(uint32_t sequence) { return accept(sequence) == ReplayVerdict::kFresh; }

  uint32_t highest = 0;

 private:
  ReplayWindow view() { return {highest, words_.data(), packets_}; }
  uint32_t packets_;
  std::vector<uint64_t> words_;
};

/// What RFC 2406 3.4.3 says, without any trick.
class Model {
 public:
  explicit Model(uint32_t packets) : packets_(packets) {}

  ReplayVerdict accept(uint32_t sequence) {
    if (sequence == 0) return ReplayVerdict::kZero;
    if (uint64_t{sequence} + packets_ <= highest_) return ReplayVerdict::kOld;
    if (!seen_.insert(sequence).second) return ReplayVerdict::kSeen;
    highest_ = std::max(highest_, sequence);
    return ReplayVerdict::kFresh;
  }
  uint32_t highest() const { return highest_; }

 private:
  uint32_t packets_;
  uint32_t highest_ = 0;
  std::set<uint32_t> seen_;
};

std::vector<uint32_t> all_sizes() {
  std::vector<uint32_t> sizes;
  for (uint32_t packets = 32; packets <= 4096; packets += 32) sizes.push_back(packets);
  return sizes;
}

// Shows: R-2406-03, R-2406-05
TEST(ReplayWindow, NumberedCasesAtEverySize) {
  using enum ReplayVerdict;
  for (const uint32_t w : all_sizes()) {
    SCOPED_TRACE(w);
    Window window(w);
    const struct {
      uint32_t number;
      uint32_t sequence;
      ReplayVerdict verdict;
    } cases[] = {
        {1, 0, kZero},           {2, 1, kFresh},           {3, 1, kSeen},
        {4, 9, kFresh},          {5, 8, kFresh},           {6, 7, kFresh},
        {7, 7, kSeen},           {8, w, kFresh},           {9, w - 1, kFresh},
        {10, w - 1, kSeen},      {11, w - 2, kFresh},      {12, 2, kFresh},
        {13, 2, kSeen},          {14, w + 1, kFresh},      {15, 2, kSeen},
        {16, 1, kOld},           {17, 0, kZero},           {18, 2 * w + 16, kFresh},
        {19, w + 17, kFresh},    {20, w + 17, kSeen},      {21, w + 16, kOld},
        {22, 2 * w + 16, kSeen}, {23, 2 * w + 17, kFresh}, {24, w + 17, kOld},
        {25, 9 * w, kFresh},     {26, 8 * w + 1, kFresh},  {27, 8 * w, kOld},
        {28, 8 * w + 2, kFresh}, {29, 9 * w - 1, kFresh},  {30, 9 * w, kSeen},
        {31, 8 * w + 1, kSeen},  {32, 8 * w + 2, kSeen},   {33, 1, kOld},
        {34, 0, kZero},
    };
    for (const auto& row : cases)
      ASSERT_EQ(window.accept(row.sequence), row.verdict)
          << "case " << row.number << ", sequence " << row.sequence;
  }
}

// Shows: R-2406-03
TEST(ReplayWindow, ExactlyThatManyNumbersAreRemembered) {
  for (const uint32_t w : all_sizes()) {
    // From every position inside a word, so that each bit is once the oldest.
    for (uint32_t highest = w; highest < w + 130; ++highest) {
      Window window(w);
      ASSERT_TRUE(window.takes(highest));
      ASSERT_EQ(window.check(highest - w + 1), ReplayVerdict::kFresh) << w << " at " << highest;
      const ReplayVerdict left = highest == w ? ReplayVerdict::kZero : ReplayVerdict::kOld;
      ASSERT_EQ(window.check(highest - w), left) << w << " at " << highest;
    }
  }
}

// Shows: R-2406-03, R-6.3-03
TEST(ReplayWindow, SweepsTakeEachNumberOnce) {
  for (const uint32_t w : {32u, 64u, 96u, 128u, 1024u, 4096u}) {
    Window up(w);
    for (uint32_t i = 1; i <= 3 * w; ++i) ASSERT_TRUE(up.takes(i));
    for (uint32_t i = 1; i <= 3 * w; ++i) ASSERT_FALSE(up.takes(i));
    Window down(w);
    ASSERT_TRUE(down.takes(w + 1));
    for (uint32_t i = w; i > 1; --i) ASSERT_TRUE(down.takes(i));
    ASSERT_EQ(down.accept(1), ReplayVerdict::kOld);
    for (uint32_t i = 2; i <= w + 1; ++i) ASSERT_FALSE(down.takes(i));
  }
}

// Shows: R-2406-06, R-2406-03
TEST(ReplayWindow, EndsAtTheLastNumberWithoutAWrap) {
  for (const uint32_t w : all_sizes()) {
    Window window(w);
    ASSERT_TRUE(window.takes(UINT32_MAX - 2));
    ASSERT_TRUE(window.takes(UINT32_MAX));
    ASSERT_TRUE(window.takes(UINT32_MAX - 1));
    ASSERT_EQ(window.accept(UINT32_MAX), ReplayVerdict::kSeen);
    ASSERT_TRUE(window.takes(UINT32_MAX - w + 1));
    ASSERT_EQ(window.accept(UINT32_MAX - w), ReplayVerdict::kOld);
    ASSERT_EQ(window.accept(0), ReplayVerdict::kZero);
    ASSERT_EQ(window.accept(1), ReplayVerdict::kOld);
    ASSERT_EQ(window.highest, UINT32_MAX);
  }
}

/// Numbers of an earlier lap of the ring must not be taken for those of now.
// Shows: R-2406-03
TEST(ReplayWindow, JumpsOfAnyLengthForgetTheLastLap) {
  for (const uint32_t w : {32u, 96u, 128u, 256u}) {
    for (uint32_t jump = 1; jump <= 3 * 64 * window_words(w); ++jump) {
      Window window(w);
      Model model(w);
      for (uint32_t i = 1; i <= 2 * w; ++i) {
        window.accept(i);
        model.accept(i);
      }
      const uint32_t highest = 2 * w + jump;
      ASSERT_EQ(window.accept(highest), model.accept(highest));
      for (uint32_t i = highest - w; i <= highest; ++i)
        ASSERT_EQ(window.accept(i), model.accept(i)) << w << ", jump " << jump << ", " << i;
    }
  }
}

// Shows: R-2406-04
TEST(ReplayWindow, CheckChangesNothing) {
  Window window(64);
  ASSERT_TRUE(window.takes(100));
  EXPECT_EQ(window.check(1'000'000), ReplayVerdict::kFresh);
  EXPECT_EQ(window.check(99), ReplayVerdict::kFresh);
  EXPECT_EQ(window.check(99), ReplayVerdict::kFresh);
  EXPECT_EQ(window.highest, 100u);
  EXPECT_TRUE(window.takes(99));
}

// Shows: R-2406-03, R-6.3-03
RC_GTEST_PROP(ReplayWindow, AgreesWithASet, ()) {
  const uint32_t w = 32 * *rc::gen::inRange(1u, 129u);
  Window window(w);
  Model model(w);
  const uint32_t start = *rc::gen::element(0u, 1u, 5'000u, UINT32_MAX - 3 * w);
  const auto steps = *rc::gen::container<std::vector<int64_t>>(
      rc::gen::inRange(-static_cast<int64_t>(w) - 70, static_cast<int64_t>(w) / 2 + 70));
  for (const int64_t step : steps) {
    const int64_t from = std::max(start, model.highest());
    const auto sequence = static_cast<uint32_t>(std::clamp<int64_t>(from + step, 0, UINT32_MAX));
    RC_ASSERT(window.check(sequence) == Model(model).accept(sequence));
    RC_ASSERT(window.accept(sequence) == model.accept(sequence));
    RC_ASSERT(window.highest == model.highest());
  }
}

}  // namespace
}  // namespace gmesp::ipsec
