// The size of a pattern with its repeats written out, against sizes counted by hand.
#include "dataplane/screen/rule_pattern.h"

#include <gtest/gtest.h>

#include <string>

#include "dataplane/screen/rule_limiter.h"

namespace gmesp::screen {
namespace {

TEST(PatternPositions, AreThoseCountedByHand) {
  const std::pair<const char*, uint64_t> kCases[] = {
      {"", 0},          {"abc", 3},         {"a.c", 3},      {"[a-z]", 1},   {"[]a]b", 2},
      {"[^]\\]]b", 2},  {"\\d\\.x", 3},     {"\\x{41}b", 2}, {"a*b+c?", 3},  {"a{3}", 3},
      {"a{3,}", 3},     {"a{2,5}", 5},      {"a{0}", 1},     {"(ab){4}", 8}, {"((ab){4}c){5}", 45},
      {"(a|bc){2}", 6}, {"x(?#a{9}b)y", 2}, {"a{", 2},       {"a{x}", 4},    {"{3}", 0},
      {"(a{2}", 2},     {"a)b", 2},         {"[a", 1},       {"\\", 1},
  };
  for (const auto& [pattern, positions] : kCases)
    EXPECT_EQ(pattern_positions(pattern), positions) << pattern;
}

TEST(PatternPositions, SaturateInsteadOfWrappingAround) {
  std::string pattern = "a";
  for (int i = 0; i < 8; ++i) pattern = "(" + pattern + "){4294967295}";
  EXPECT_GE(pattern_positions(pattern), UINT32_MAX / 2u);
  EXPECT_LE(pattern_positions(std::string(1000, 'a') + "{99999999999999999999}"), UINT32_MAX);
}

TEST(PatternAnywhere, LosesWhatDependsOnTheTextAroundAndNothingElse) {
  const std::pair<const char*, const char*> kCases[] = {
      {"abc", "abc"},
      {"^abc$", "abc"},
      {"(?i)^abc", "(?i)abc"},
      {"(?im)^a:\\s*b$", "(?im)a:\\s*b"},
      {"^a|b$", "a|b"},
      {"[$^]x\\$", "[$^]x\\$"},
      {"a\\\\$", "a\\\\"},
      {"(?:a|b){2}\\b", "(?:a|b){2}"},
      {"(?i)\\ba\\Bb\\b$", "(?i)ab"},
      {"[\\b]\\\\b", "[\\b]\\\\b"},
      {"a\\b{2}", ""},
      {"a\\b?", ""},
      {"\\x{41}", "\\x{41}"},
      {"(^a|b)", ""},
      {"a$|b", ""},
      {"a\\z", ""},
      {"\\Aa", ""},
      {"\\Qa^\\E", ""},
      {"(?x)a b", ""},
      {"(?#c)a", ""},
      {"(*UTF8)a", ""},
      {"a\\", ""},
      {"[a", ""},
      {"^$", ""},
  };
  for (const auto& [pattern, anywhere] : kCases)
    EXPECT_EQ(pattern_anywhere(pattern), anywhere) << pattern;
}

TEST(PatternWord, IsTheLongestThatEveryMatchHolds) {
  const std::pair<const char*, const char*> kCases[] = {
      {"abc", "abc"},
      {"(?i)aBc", "aBc"},
      {"ab|cd", ""},
      {"(ab|cd)efg", "efg"},
      {"ab(c|(de))fg", "ab"},
      {"ab?cde", "cde"},
      {"abc+de", "ab"},
      {"abc{2}", "ab"},
      {"a\\.b[xyz]c", "a.b"},
      {"ab\\s*cde\\d", "cde"},
      {"[)]ab(?:\\))", "ab"},
      {"a.bc", "bc"},
      {"(a)", ""},
      {"", ""},
      {"ab\\w", "ab"},
      {"((a|b)c|d)ef", "ef"},
  };
  for (const auto& [pattern, word] : kCases) EXPECT_EQ(pattern_word(pattern), word) << pattern;
}

TEST(RuleLimiter, LetsASecondsWorthPassAndThenItsRate) {
  RuleLimiter limiter;
  const uint64_t kStartMs = 1'000'000;
  int passed = 0;
  for (int i = 0; i < 100; ++i) passed += limiter.take(7, 1, 10, kStartMs);
  EXPECT_EQ(passed, 10);
  EXPECT_FALSE(limiter.take(7, 1, 10, kStartMs + 99));
  EXPECT_TRUE(limiter.take(7, 1, 10, kStartMs + 100));
  passed = 0;
  for (uint64_t ms = 101; ms <= 10'100; ++ms) passed += limiter.take(7, 1, 10, kStartMs + ms);
  EXPECT_EQ(passed, 100);
}

TEST(RuleLimiter, SourcesAndRulesDoNotShareARate) {
  RuleLimiter limiter;
  for (uint64_t source = 0; source < 500; ++source)
    for (uint32_t rule = 0; rule < 4; ++rule) {
      EXPECT_TRUE(limiter.take(source << 32, rule, 1, 5000)) << source << ' ' << rule;
      EXPECT_FALSE(limiter.take(source << 32, rule, 1, 5000)) << source << ' ' << rule;
    }
}

}  // namespace
}  // namespace gmesp::screen
