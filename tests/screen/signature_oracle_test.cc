// Random rules over random messages match what std::regex matches in the text of the place, taken
// from the message by a few lines of code of its own.
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>
#include <vector>

#include "dataplane/screen/signature_set.h"

namespace gmesp::screen {
namespace {

using Random = std::mt19937;

size_t pick(Random& random, size_t below) {
  return std::uniform_int_distribution<size_t>(0, below - 1)(random);
}

/// Patterns that both engines read alike.
std::string random_pattern(Random& random) {
  const char* kAtoms[] = {"a",   "b",      "c",   "[ab]", "[^c]", "x1",
                          "\\.", "(ab|c)", "\\d", "sip:", "\\b",  " "};
  const char* kRepeats[] = {"", "", "", "+", "{2}", "{1,3}"};
  std::string pattern = pick(random, 6) == 0 ? "^" : "";
  const size_t atoms = 1 + pick(random, 4);
  for (size_t i = 0; i < atoms; ++i) {
    const std::string atom = kAtoms[pick(random, std::size(kAtoms))];
    const std::string repeat = kRepeats[pick(random, std::size(kRepeats))];
    pattern += repeat.empty() || atom == "\\b" ? atom : "(" + atom + ")" + repeat;
  }
  pattern += "a1x.c"[pick(random, 5)];  // so that none matches the empty text
  return pattern + (pick(random, 6) == 0 ? "$" : "");
}

const char* const kWords[] = {"cabba", "bacab", "abbca", "x1x1d", "dabb"};

std::string random_text(Random& random, size_t bytes_max) {
  const char* kPieces[] = {"a", "b", "c", "x1", ".", "7", "sip:", "ab", "d", "CABB"};
  if (pick(random, 8) == 0) return kWords[pick(random, std::size(kWords))];
  std::string text = "a";
  while (text.size() < bytes_max && pick(random, 12) != 0)
    text += kPieces[pick(random, std::size(kPieces))];
  return text;
}

struct Field {
  std::string name;
  std::string value;
};

struct Message {
  std::string uri;
  std::vector<Field> fields;
  std::string body;
  std::string behind;  ///< behind the end of the body; empty: no Content-Length

  std::string request_line() const { return "MESSAGE " + uri + " SIP/2.0"; }
  std::string text() const {
    std::string text = request_line() + "\r\n";
    for (const Field& field : fields) text += field.name + ": " + field.value + "\r\n";
    if (!behind.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body + behind;
  }
};

const char* const kNames[] = {"X-One", "x-one", "X-Two", "Subject", "s", "User-Agent"};

Message random_message(Random& random) {
  Message message{"sip:" + random_text(random, 30), {}, random_text(random, 200), {}};
  if (pick(random, 8) == 0) message.behind = random_text(random, 20);
  const size_t fields = pick(random, 12);
  for (size_t i = 0; i < fields; ++i)
    message.fields.push_back({kNames[pick(random, std::size(kNames))], random_text(random, 60)});
  if (fields > 0 && pick(random, 4) == 0)
    message.fields.back().value += " \r\n\t" + random_text(random, 20);
  return message;
}

std::string unfolded(const std::string& value) {
  return std::regex_replace(value, std::regex("[ \t]*\r\n[ \t]+"), " ");
}

/// What a header of one of kNames is called by every writer.
std::string plain_name(const std::string& name) {
  if (name == "s") return "subject";
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(tolower(c));
  return lower;
}

bool expected(const Rule& rule, const std::regex& regex, const Message& message) {
  if (rule.where == RulePlace::kRequestLine)
    return std::regex_search(message.request_line(), regex);
  if (rule.where == RulePlace::kBody) return std::regex_search(message.body, regex);
  for (const Field& field : message.fields)
    if (plain_name(field.name) == plain_name(rule.header) &&
        std::regex_search(unfolded(field.value), regex))
      return true;
  return false;
}

/// How a message comes to scan(): as it is, or after sift() has ruled out what it may.
enum class Look { kPlaceByPlace, kDatagram, kSegment };

/// By rule.
std::vector<bool> matches(SignatureSet& set, const SipMessage& sip, const std::string& text,
                          Look look) {
  std::vector<uint64_t> before;
  for (size_t r = 0; r < set.rules().size(); ++r) before.push_back(set.count(r).matched);
  SieveResult left;
  if (look != Look::kPlaceByPlace) left = set.sift(0, {text, look == Look::kDatagram, false});
  if (!left.is_nothing()) set.scan(0, {sip, text, false, 0, 0, left});
  std::vector<bool> found;
  for (size_t r = 0; r < before.size(); ++r) found.push_back(set.count(r).matched > before[r]);
  return found;
}

using PatternMaker = std::string (*)(Random&);

/// `count` rules of one set.
std::vector<Rule> random_rules(Random& random, size_t count, PatternMaker make_pattern) {
  std::vector<Rule> rules(count);
  for (size_t i = 0; i < count; ++i) {
    Rule& rule = rules[i];
    rule.name = std::to_string(i);
    std::vector<settings::Error> refusals;
    do {  // until Hyperscan sees that it can match at all
      rule.pattern = make_pattern(random);
    } while (!check_pattern(rule, kPatternScanNsMax, refusals));
    const RulePlace kPlaces[] = {RulePlace::kRequestLine, RulePlace::kHeader, RulePlace::kHeader,
                                 RulePlace::kBody};
    rule.where = kPlaces[pick(random, std::size(kPlaces))];
    if (rule.where == RulePlace::kHeader) rule.header = kNames[pick(random, std::size(kNames))];
  }
  return rules;
}

void compare(Random& random, int rounds, size_t count, PatternMaker make_pattern) {
  uint64_t matched = 0, checked = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::vector<Rule> rules = random_rules(random, count, make_pattern);
    std::vector<std::regex> regexes;
    for (const Rule& rule : rules) regexes.emplace_back(rule.pattern);
    std::vector<settings::Error> errors;
    const auto set = SignatureSet::compile(rules, 1, errors);
    ASSERT_NE(set, nullptr) << to_string(errors.front());
    for (int i = 0; i < 60; ++i) {
      const Message message = random_message(random);
      const std::string text = message.text();
      const SipMessage sip =
          read_datagram({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
      for (const Look look : {Look::kPlaceByPlace, Look::kDatagram, Look::kSegment}) {
        const std::vector<bool> found = matches(*set, sip, text, look);
        for (size_t r = 0; r < rules.size(); ++r) {
          ASSERT_EQ(found[r], expected(rules[r], regexes[r], message))
              << rules[r].pattern << " in " << rules[r].header << ", look "
              << static_cast<int>(look) << " of\n"
              << text;
          matched += found[r];
          ++checked;
        }
      }
    }
  }
  EXPECT_GT(matched, checked / 50);  // the comparison is about something
  EXPECT_LT(matched, checked - checked / 50);
}

TEST(SignatureOracle, RandomRulesMatchWhatStdRegexMatches) {
  Random random(20261121);
  compare(random, 20, 40, random_pattern);
}

/// Sets of few rules with a word each are sifted by their words.
TEST(SignatureOracle, RandomRulesWithAWordMatchWhatStdRegexMatches) {
  Random random(1121);
  for (const size_t count : {1, 3, 12})
    compare(random, 30, count, [](Random& random) {
      const char* kEnds[] = {"", "\\b", "[^d]", "+", "$", "{1,2}", "(7|\\.)"};
      return std::string(pick(random, 3) == 0 ? "^" : "") + (pick(random, 3) == 0 ? "\\b" : "") +
             kWords[pick(random, std::size(kWords))] + kEnds[pick(random, std::size(kEnds))];
    });
}

}  // namespace
}  // namespace gmesp::screen
