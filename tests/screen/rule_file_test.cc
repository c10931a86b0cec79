// Every kind of mistake in a rule file is told with file, line, column, rule, key, what was found
// and what is allowed; all mistakes are told at once, and a file with one gives no rule.
#include "dataplane/screen/rule_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "control/settings/file.h"

namespace gmesp::screen {
namespace {

struct Mistake {
  const char* name;
  const char* text;  ///< begins with a line of its own, so that line 1 is never right by chance
  uint32_t line;
  uint32_t column;
  const char* key;
  const char* found;
  const char* allowed;  ///< a part of what is allowed
};

#define GOOD "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"body\"\npattern = \"x\"\n"

const Mistake kMistakes[] = {
    {"not_toml", "\n[[rule]\n", 2, 8, "", "", "TOML 1.0"},
    {"rule_is_a_table", "\n[rule]\nname = \"a\"\n", 2, 1, "rule", "a table", "[[rule]]"},
    {"unknown_table", GOOD "[[rules]]\n", 7, 3, "rules", "an unknown table", "did you mean rule?"},
    {"unknown_key", GOOD "patern = \"x\"\n", 7, 1, "rule[0] a.patern", "an unknown key",
     "did you mean pattern?"},
    {"no_name", "\n[[rule]]\ncomment = \"c\"\nwhere = \"body\"\npattern = \"x\"\n", 2, 1,
     "rule[0].name", "nothing", "a name"},
    {"bad_name", "\n[[rule]]\nname = \"a b\"\ncomment = \"c\"\nwhere = \"body\"\npattern = \"x\"\n",
     3, 8, "rule[0].name", "\"a b\"", "1 to 32 letters"},
    {"no_comment", "\n[[rule]]\nname = \"a\"\nwhere = \"body\"\npattern = \"x\"\n", 2, 1,
     "rule[0] a.comment", "nothing", "why there is such a rule"},
    {"escape_in_comment",
     "\n[[rule]]\nname = \"a\"\ncomment = \"\\u001b[2J\"\nwhere = \"body\"\npattern = \"x\"\n", 4,
     11, "rule[0] a.comment", "\"\\u001B[2J\"", "without control characters"},
    {"no_place", "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\npattern = \"x\"\n", 2, 1,
     "rule[0] a.where", "nothing", "the place"},
    {"bad_place", "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\npattern = \"x\"\nwhere = \"via\"\n",
     6, 9, "rule[0] a.where", "\"via\"", "\"request-line\", \"header\", \"headers\""},
    {"no_header", "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"header\"\n", 2, 1,
     "rule[0] a.header", "nothing", "the name of a header"},
    {"bad_header",
     "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"header\"\nheader = \"To:\"\n", 6, 10,
     "rule[0] a.header", "\"To:\"", "a token"},
    {"header_elsewhere", GOOD "header = \"To\"\n", 7, 10, "rule[0] a.header", "\"To\"",
     "no header without where = \"header\""},
    {"no_pattern", "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"body\"\n", 2, 1,
     "rule[0] a.pattern", "nothing", "only a header may have none"},
    {"empty_pattern",
     "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"body\"\npattern = \"\"\n", 6, 11,
     "rule[0] a.pattern", "\"\"", "1 to 1024 bytes"},
    {"nul_in_pattern",
     "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"body\"\npattern = \"x\\u0000y\"\n", 6,
     11, "rule[0] a.pattern", "\"x\\u0000y\"", "Hyperscan syntax"},
    {"bad_side", GOOD "on = \"all\"\n", 7, 6, "rule[0] a.on", "\"all\"",
     "\"clear\", \"protected\", \"both\""},
    {"bad_kind", GOOD "messages = 1\n", 7, 12, "rule[0] a.messages", "1",
     "\"requests\", \"responses\", \"both\""},
    {"bad_action", GOOD "action = \"reject\"\n", 7, 10, "rule[0] a.action", "\"reject\"",
     "\"off\", \"count\", \"event\", \"rate-limit\", \"drop\""},
    {"no_rate", GOOD "action = \"rate-limit\"\n", 2, 1, "rule[0] a.per_second", "nothing",
     "a rate"},
    {"rate_of_zero", GOOD "action = \"rate-limit\"\nper_second = 0\n", 8, 14,
     "rule[0] a.per_second", "0", "1..100000"},
    {"rate_without_limit", GOOD "per_second = 5\n", 7, 14, "rule[0] a.per_second", "5",
     "no rate without"},
    {"request_line_of_responses",
     "\n[[rule]]\nname = \"a\"\ncomment = \"c\"\nwhere = \"request-line\"\npattern = \"x\"\n"
     "messages = \"responses\"\n",
     7, 12, "rule[0] a.messages", "\"responses\"", "which responses have not"},
    {"name_twice", GOOD GOOD, 9, 8, "rule[1] a.name", "\"a\"", "a name that rule[0] has not"},
};

class RuleMistake : public testing::TestWithParam<Mistake> {};

TEST_P(RuleMistake, IsToldExactly) {
  const Mistake& mistake = GetParam();
  const RuleFile file = parse_rules(mistake.text, "rules.toml", RuleAction::kCount);
  EXPECT_TRUE(file.rules.empty());
  ASSERT_EQ(file.errors.size(), 1u) << to_string(file.errors.back());
  const settings::Error& error = file.errors.front();
  EXPECT_EQ(error.file, "rules.toml");
  EXPECT_EQ(error.line, mistake.line);
  EXPECT_EQ(error.column, mistake.column);
  EXPECT_EQ(error.key, mistake.key);
  EXPECT_NE(error.found.find(mistake.found), std::string::npos) << error.found;
  EXPECT_NE(error.allowed.find(mistake.allowed), std::string::npos) << error.allowed;
}

INSTANTIATE_TEST_SUITE_P(All, RuleMistake, testing::ValuesIn(kMistakes),
                         [](const auto& mistake) { return std::string(mistake.param.name); });

TEST(RuleFile, EveryKeyIsTaken) {
  const RuleFile file = parse_rules(
      "[[rule]]\nname = \"a-1\"\nwhere = \"header\"\nheader = \"User-Agent\"\n"
      "pattern = '(?i)x\\d'\non = \"clear\"\nmessages = \"requests\"\naction = \"rate-limit\"\n"
      "per_second = 7\ncomment = \"why\"\n",
      "f", RuleAction::kDrop);
  ASSERT_TRUE(file.errors.empty()) << to_string(file.errors.front());
  Rule rule;
  rule.name = "a-1";
  rule.where = RulePlace::kHeader;
  rule.header = "User-Agent";
  rule.pattern = "(?i)x\\d";
  rule.sides = Rule::kClear;
  rule.kinds = Rule::kRequest;
  rule.action = RuleAction::kRateLimit;
  rule.per_second = 7;
  rule.comment = "why";
  rule.file = "f";
  rule.line = 5;
  rule.column = 11;
  ASSERT_EQ(file.rules.size(), 1u);
  EXPECT_TRUE(file.rules.front() == rule);
}

TEST(RuleFile, RulesWithoutAnActionTakeTheOneGiven) {
  for (const RuleAction action : {RuleAction::kOff, RuleAction::kCount, RuleAction::kDrop}) {
    const RuleFile file =
        parse_rules(GOOD
                    "[[rule]]\nname = \"b\"\ncomment = \"c\"\nwhere = \"body\"\npattern = \"x\"\n"
                    "action = \"event\"\n",
                    "f", action);
    ASSERT_EQ(file.rules.size(), 2u);
    EXPECT_EQ(file.rules[0].action, action);
    EXPECT_EQ(file.rules[1].action, RuleAction::kEvent);
  }
}

TEST(RuleFile, AllMistakesAreToldAtOnceInTheOrderOfTheFile) {
  const RuleFile file = parse_rules(
      "[[rule]]\nname = \"a\"\ncomment = 1\nwhere = \"x\"\n[[rule]]\nname = \"b\"\non = 1\n", "f",
      RuleAction::kCount);
  EXPECT_EQ(file.errors.size(), 5u);
  EXPECT_TRUE(std::ranges::is_sorted(file.errors, {}, &settings::Error::line));
}

std::string many_rules(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text += "[[rule]]\nname=\"r" + std::to_string(i) +
            "\"\nwhere=\"body\"\npattern=\"x\"\ncomment=\"c\"\n";
  return text;
}

TEST(RuleFile, MoreRulesThanTheBoundAreToldByTheirNumber) {
  EXPECT_EQ(parse_rules(many_rules(kRulesMax), "f", RuleAction::kCount).rules.size(), kRulesMax);
  const RuleFile file = parse_rules(many_rules(kRulesMax + 1), "f", RuleAction::kCount);
  ASSERT_EQ(file.errors.size(), 1u);
  EXPECT_EQ(to_string(file.errors.front()),
            "f:10001:1: rule: found 2001 rules, allowed at most 2000 rules");
}

TEST(RuleFile, AnEmptyFileHasNoRules) {
  const RuleFile file = parse_rules("# nothing\n", "f", RuleAction::kCount);
  EXPECT_TRUE(file.rules.empty());
  EXPECT_TRUE(file.errors.empty());
}

TEST(RuleFile, AFileThatIsNotThereOrTooLongIsTold) {
  const RuleFile absent = read_rules("/nowhere/rules.toml", RuleAction::kCount);
  ASSERT_EQ(absent.errors.size(), 1u);
  EXPECT_EQ(absent.errors.front().file, "/nowhere/rules.toml");
  EXPECT_EQ(absent.errors.front().found, "No such file or directory");

  const std::string path = testing::TempDir() + "rules" + std::to_string(getpid()) + ".toml";
  std::ofstream(path) << std::string(settings::kFileBytesMax + 1, '#');
  const RuleFile huge = read_rules(path, RuleAction::kCount);
  std::remove(path.c_str());
  ASSERT_EQ(huge.errors.size(), 1u);
  EXPECT_EQ(huge.errors.front().found, "more than 1 MiB");
}

TEST(RuleFile, TheShippedRulesAreReadAndCountOnly) {
  const RuleFile file = read_rules(GMESP_SHIPPED_RULES, RuleAction::kCount);
  ASSERT_TRUE(file.errors.empty()) << to_string(file.errors.front());
  EXPECT_GE(file.rules.size(), 25u);
  for (const Rule& rule : file.rules) {
    EXPECT_EQ(rule.action, RuleAction::kCount) << rule.name;
    EXPECT_GT(rule.comment.size(), 20u) << rule.name;
  }
}

}  // namespace
}  // namespace gmesp::screen
