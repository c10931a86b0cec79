// What a filter of words says of random texts, against a search for the words byte by byte.
#include "dataplane/screen/literal_filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace gmesp::screen {
namespace {

using Random = std::mt19937;

size_t pick(Random& random, size_t below) {
  return std::uniform_int_distribution<size_t>(0, below - 1)(random);
}

std::string random_word(Random& random, size_t bytes) {
  std::string word;
  while (word.size() < bytes) word += "abcdefghijklmnopqrstuvwxyz0123456789-.:@ "[pick(random, 41)];
  return word;
}

std::string in_random_case(Random& random, std::string word) {
  for (char& c : word)
    if (pick(random, 2) == 0) c = static_cast<char>(toupper(c));
  return word;
}

/// In memory of exactly its size.
bool may_hold(const LiteralFilter& filter, const std::string& text, bool only_head = false) {
  const std::unique_ptr<char[]> exact(new char[text.size()]);
  std::ranges::copy(text, exact.get());
  return filter.may_hold({exact.get(), text.size()}, only_head);
}

class WordFilter : public testing::Test {
 protected:
  void SetUp() override {
    LiteralFilter one;
    one.add("word");
    if (!one.is_useful()) GTEST_SKIP() << "a CPU without AVX2";
  }
};

// Shows: R-7.1-21
TEST_F(WordFilter, NeverMissesAWord) {
  Random random(6);
  for (int round = 0; round < 300; ++round) {
    LiteralFilter filter;
    std::vector<std::string> words(1 + pick(random, LiteralFilter::kWordsMax));
    for (std::string& word : words) filter.add(word = random_word(random, 4 + pick(random, 20)));
    ASSERT_TRUE(filter.is_useful());
    for (int i = 0; i < 100; ++i) {
      std::string text(pick(random, 200), '\0');
      for (char& c : text) c = static_cast<char>(pick(random, 256));
      const std::string& word = words[pick(random, words.size())];
      text.insert(pick(random, text.size() + 1), in_random_case(random, word));
      ASSERT_TRUE(may_hold(filter, text)) << word;
    }
  }
}

// Shows: R-7.1-21
TEST_F(WordFilter, RarelySeesAWordThatIsNotThere) {
  Random random(7);
  LiteralFilter filter;
  for (int i = 0; i < 30; ++i) filter.add(random_word(random, 8));
  int seen = 0;
  for (int i = 0; i < 1000; ++i) seen += may_hold(filter, random_word(random, 400));
  EXPECT_LT(seen, 50);
}

// Shows: R-7.1-21
TEST_F(WordFilter, FoldsAreSeenAndBodiesAreNotWhereOnlyTheHeadCounts) {
  LiteralFilter filter;
  filter.add("needle");
  const std::string head = "A b C\r\n" + std::string(50, 'x') + ": y\r\n";
  for (const std::string line_end : {"\r\n", "\n"})
    for (size_t more = 1; more < 70; ++more) {
      const std::string longer = head + std::string(more, 'z') + line_end;
      const std::string behind = line_end + std::string(40, '.') + "needle\r\n fold";
      EXPECT_FALSE(may_hold(filter, longer)) << more;
      EXPECT_TRUE(may_hold(filter, longer + behind)) << more;
      EXPECT_FALSE(may_hold(filter, longer + behind, true)) << more;
      EXPECT_FALSE(may_hold(filter, "\r\n\r\n" + longer + behind, true)) << more;
      EXPECT_TRUE(may_hold(filter, "\r\n\r\n" + longer + " fold" + behind, true)) << more;
      EXPECT_TRUE(may_hold(filter, longer + "\tfold" + behind, true)) << more;
      EXPECT_TRUE(may_hold(filter, longer + "NeedlE" + line_end + behind, true)) << more;
    }
  for (const bool only_head : {false, true}) EXPECT_FALSE(may_hold(filter, "", only_head));
  EXPECT_FALSE(may_hold(filter, "\r\n\r\n", true));
}

TEST(WordFilterUse, NeedsWordsThatAreLongAndFew) {
  LiteralFilter none, short_one, many;
  EXPECT_FALSE(none.is_useful());
  short_one.add("long enough");
  short_one.add("sip");
  EXPECT_FALSE(short_one.is_useful());
  for (size_t i = 0; i <= LiteralFilter::kWordsMax; ++i) many.add("word" + std::to_string(i));
  EXPECT_FALSE(many.is_useful());
}

}  // namespace
}  // namespace gmesp::screen
