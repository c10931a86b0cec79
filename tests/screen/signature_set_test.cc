// What a set of rules matches in messages: every place, side and kind, compact names and folds; and
// which patterns it refuses.
#include "dataplane/screen/signature_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "dataplane/screen/rule_file.h"

namespace gmesp::screen {
namespace {

const std::string kRegister =
    "REGISTER sip:home1.net SIP/2.0\r\n"
    "v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKnashds7\r\n"
    "From: <sip:user1@home1.net>;tag=4fa3\r\n"
    "t: <sip:user1@home1.net>\r\n"
    "User-Agent: Phone\r\n one \t\r\n\t/ 2\r\n"
    "X-Mark : first\r\n"
    "x-mAKr: wrong\r\n"
    "x-mark: second\r\n"
    "Empty:\r\n"
    "CSeq: 1 REGISTER\r\nCall-ID: apb03a\r\nContent-Length: 9\r\n\r\nbody text";
const std::string kAnswer =
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1\r\nServer: home\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
    "Content-Length: 0\r\n\r\n";

Rule rule(const std::string& name, RulePlace where, const std::string& pattern,
          const std::string& header = "") {
  Rule rule;
  rule.name = name;
  rule.where = where;
  rule.pattern = pattern;
  rule.header = header;
  rule.file = "rules.toml";
  rule.line = 7;
  rule.column = 11;
  return rule;
}

std::unique_ptr<SignatureSet> compiled(std::vector<Rule> rules, uint32_t workers = 1) {
  std::vector<settings::Error> errors;
  auto set = SignatureSet::compile(std::move(rules), workers, errors);
  for (const settings::Error& error : errors) ADD_FAILURE() << to_string(error);
  return set;
}

ScanResult scan(SignatureSet& set, const std::string& text, bool is_protected = false,
                uint64_t source = 1, uint64_t now_ms = 1000) {
  const SipMessage message =
      read_datagram({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  const SieveResult left = set.sift(0, {text, true, is_protected});
  if (left.is_nothing()) return {};
  return set.scan(0, {message, text, is_protected, source, now_ms, left});
}

/// True if the one rule matches.
bool matches(const Rule& one, const std::string& text, bool is_protected = false) {
  const auto set = compiled({one});
  const ScanResult result = scan(*set, text, is_protected);
  EXPECT_EQ(set->count(0).matched, result.matches);
  return result.matches == 1;
}

TEST(SignatureSet, APlaceIsTheTextItNames) {
  using enum RulePlace;
  EXPECT_TRUE(matches(rule("a", kRequestLine, "^REGISTER sip:home1\\.net SIP/2\\.0$"), kRegister));
  EXPECT_FALSE(matches(rule("a", kRequestLine, "user1"), kRegister));
  EXPECT_FALSE(matches(rule("a", kRequestLine, "SIP"), kAnswer));
  EXPECT_TRUE(matches(rule("a", kHeader, "^<sip:user1@home1\\.net>;tag=4fa3$", "From"), kRegister));
  EXPECT_FALSE(matches(rule("a", kHeader, "tag", "To"), kRegister));
  EXPECT_TRUE(matches(rule("a", kHeaders, "(?m)^CSeq: 1 REGISTER\\r?$"), kRegister));
  EXPECT_FALSE(matches(rule("a", kHeaders, "SIP/2\\.0\\r?\\n"), kRegister));
  EXPECT_FALSE(matches(rule("a", kHeaders, "body"), kRegister));
  EXPECT_TRUE(matches(rule("a", kBody, "^body text$"), kRegister));
  EXPECT_FALSE(matches(rule("a", kBody, "REGISTER"), kRegister));
  EXPECT_TRUE(matches(rule("a", kMessage, "(?s)^REGISTER.*text$"), kRegister));
}

TEST(SignatureSet, AHeaderIsFoundByItsLongAndItsCompactName) {
  using enum RulePlace;
  for (const char* name : {"Via", "VIA", "v", "V"})
    EXPECT_TRUE(matches(rule("a", kHeader, "nashds7", name), kRegister)) << name;
  for (const char* name : {"Via", "v"})
    EXPECT_TRUE(matches(rule("a", kHeader, "z9hG4bK1$", name), kAnswer)) << name;
  for (const char* name : {"To", "t"}) {
    EXPECT_TRUE(matches(rule("a", kHeader, "user1", name), kRegister)) << name;
    EXPECT_TRUE(matches(rule("a", kHeader, "tag=2", name), kAnswer)) << name;
  }
}

TEST(SignatureSet, EveryOccurrenceIsLookedAtAndCountsOnce) {
  using enum RulePlace;
  EXPECT_TRUE(matches(rule("a", kHeader, "first", "X-Mark"), kRegister));
  EXPECT_TRUE(matches(rule("a", kHeader, "second", "X-MARK"), kRegister));
  EXPECT_TRUE(matches(rule("a", kHeader, "first|second", "x-mark"), kRegister));
  EXPECT_FALSE(matches(rule("a", kHeader, "wrong", "X-Mark"), kRegister));
}

TEST(SignatureSet, FoldsAreOneSpace) {
  using enum RulePlace;
  EXPECT_TRUE(matches(rule("a", kHeader, "^Phone one / 2$", "User-Agent"), kRegister));
  EXPECT_TRUE(matches(rule("a", kHeaders, "User-Agent: Phone one / 2\\r\\n"), kRegister));
  EXPECT_TRUE(matches(rule("a", kMessage, "Phone\\r\\n one"), kRegister));
}

TEST(SignatureSet, AHeaderWithoutPatternIsThereAtAll) {
  using enum RulePlace;
  EXPECT_TRUE(matches(rule("a", kHeader, "", "Empty"), kRegister));
  EXPECT_TRUE(matches(rule("a", kHeader, "", "f"), kRegister));
  EXPECT_FALSE(matches(rule("a", kHeader, "", "P-Asserted-Identity"), kRegister));
}

TEST(SignatureSet, SidesAndKindsKeepARuleToItsMessages) {
  for (const uint8_t sides : {1, 2, 3})
    for (const uint8_t kinds : {1, 2, 3}) {
      Rule one = rule("a", RulePlace::kHeaders, "Call-ID");
      one.sides = sides;
      one.kinds = kinds;
      for (const bool is_protected : {false, true}) {
        const bool on_side = (sides & (is_protected ? Rule::kProtected : Rule::kClear)) != 0;
        EXPECT_EQ(matches(one, kRegister, is_protected), on_side && (kinds & Rule::kRequest) != 0);
        EXPECT_EQ(matches(one, kAnswer, is_protected), on_side && (kinds & Rule::kResponse) != 0);
      }
    }
}

TEST(SignatureSet, TheHeaviestActionDecides) {
  using enum RulePlace;
  std::vector<Rule> rules{rule("counts", kBody, "body"), rule("off", kBody, "body"),
                          rule("tells", kBody, "text"), rule("drops", kHeader, "", "CSeq")};
  rules[1].action = RuleAction::kOff;
  rules[2].action = RuleAction::kEvent;
  auto set = compiled(rules);
  ScanResult result = scan(*set, kRegister);
  EXPECT_EQ(result.matches, 3u);
  EXPECT_FALSE(result.is_dropped);
  EXPECT_TRUE(result.has_event);
  EXPECT_EQ(set->rules()[result.heaviest].name, "tells");
  EXPECT_EQ(set->count(1).matched, 0u);

  rules[3].action = RuleAction::kDrop;
  set = compiled(rules);
  result = scan(*set, kRegister);
  EXPECT_TRUE(result.is_dropped);
  EXPECT_EQ(set->rules()[result.heaviest].name, "drops");
  EXPECT_EQ(set->count(3).dropped, 1u);
  EXPECT_EQ(set->count(2).dropped, 0u);
  EXPECT_FALSE(scan(*set, "OPTIONS sip:a SIP/2.0\r\n\r\n").is_dropped);
  const ScanTotals totals = set->totals();
  EXPECT_EQ(totals.scanned, 2u);
  EXPECT_EQ(totals.matched, 1u);
  EXPECT_EQ(totals.dropped, 1u);
  EXPECT_EQ(totals.events, 1u);
  EXPECT_EQ(totals.failed, 0u);
}

TEST(SignatureSet, ARateIsThatOfASource) {
  Rule one = rule("a", RulePlace::kBody, "text");
  one.action = RuleAction::kRateLimit;
  one.per_second = 5;
  const auto set = compiled({one});
  int dropped = 0;
  for (int i = 0; i < 20; ++i) dropped += scan(*set, kRegister, false, 1).is_dropped;
  EXPECT_EQ(dropped, 15);
  EXPECT_FALSE(scan(*set, kRegister, false, 2).is_dropped);
  EXPECT_EQ(set->count(0).matched, 21u);
  EXPECT_EQ(set->count(0).dropped, 15u);
}

TEST(SignatureSet, MoreMatchesThanAreToldAreStillCounted) {
  std::vector<Rule> rules;
  for (size_t i = 0; i < kMatchesTold + 5; ++i)
    rules.push_back(rule("r" + std::to_string(i), RulePlace::kBody, "text"));
  const auto set = compiled(rules);
  EXPECT_EQ(scan(*set, kRegister).matches, kMatchesTold + 5);
  for (size_t i = 0; i < rules.size(); ++i) EXPECT_EQ(set->count(i).matched, 1u);
}

TEST(SignatureSet, WhatIsNoSipMatchesNothing) {
  const auto set = compiled({rule("a", RulePlace::kMessage, "[^!]")});
  for (const char* text : {"", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "REGIS"})
    EXPECT_EQ(scan(*set, text).matches, 0u) << text;
  EXPECT_EQ(set->totals().scanned, 0u);
  EXPECT_EQ(scan(*set, kAnswer).matches, 1u);
}

TEST(SignatureSet, ASetWithoutRulesMatchesNothing) {
  EXPECT_EQ(scan(*compiled({}), kRegister).matches, 0u);
}

struct Refused {
  const char* name;
  const char* pattern;
  const char* found;
  const char* allowed;
};
const Refused kRefused[] = {
    {"open_group", "ab(c", "\"ab(c\"", "Missing close parenthesis for group started at index 2"},
    {"open_class", "ab[c", "\"ab[c\"", "index"},
    {"look_ahead", "a(?=b)", "\"a(?=b)\"", "Zero-width assertions are not supported"},
    {"back_reference", "(a)\\1", "\"(a)\\\\1\"", "Back-references are unsupported"},
    {"empty", "a*", "\"a*\"", "does not match the empty text"},
    {"end_alone", "$", "\"$\"", "does not match the empty text"},
    {"nested_repeats", "((a{1,50}b){1,50}c){1,50}", "127550 characters", "at most 2048"},
    {"overflowing_repeats", "(((a{9999}){9999}){9999}){9999}", "4294967295 characters", "2048"},
};
class RefusedPattern : public testing::TestWithParam<Refused> {};

TEST_P(RefusedPattern, IsToldWithItsRuleAndPosition) {
  const Refused& refused = GetParam();
  std::vector<settings::Error> errors;
  EXPECT_EQ(SignatureSet::compile({rule("good", RulePlace::kBody, "x"),
                                   rule("bad", RulePlace::kHeaders, refused.pattern)},
                                  1, errors),
            nullptr);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].file, "rules.toml");
  EXPECT_EQ(errors[0].line, 7u);
  EXPECT_EQ(errors[0].column, 11u);
  EXPECT_EQ(errors[0].key, "rule bad.pattern");
  EXPECT_NE(errors[0].found.find(refused.found), std::string::npos) << errors[0].found;
  EXPECT_NE(errors[0].allowed.find(refused.allowed), std::string::npos) << errors[0].allowed;
}

INSTANTIATE_TEST_SUITE_P(All, RefusedPattern, testing::ValuesIn(kRefused),
                         [](const auto& refused) { return std::string(refused.param.name); });

TEST(SignatureSet, AllRefusedPatternsAreToldAtOnce) {
  std::vector<settings::Error> errors;
  EXPECT_EQ(
      SignatureSet::compile({rule("a", RulePlace::kBody, "("), rule("b", RulePlace::kBody, "x"),
                             rule("c", RulePlace::kBody, "[")},
                            1, errors),
      nullptr);
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].key, "rule a.pattern");
  EXPECT_EQ(errors[1].key, "rule c.pattern");
}

TEST(SignatureSet, BoundsOfTheSetAreToldAtTheRuleThatIsBeyondThem) {
  std::vector<settings::Error> errors;
  std::vector<Rule> rules;
  for (size_t i = 0; i <= kSetRulesMax; ++i)
    rules.push_back(rule("r" + std::to_string(i), RulePlace::kBody, "x"));
  EXPECT_EQ(SignatureSet::compile(rules, 1, errors), nullptr);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].key, "rule r4096");

  errors.clear();
  rules.clear();
  for (int i = 0; i < 60; ++i)
    rules.push_back(rule("r" + std::to_string(i), RulePlace::kBody, "x{2000}"));
  EXPECT_EQ(SignatureSet::compile(rules, 1, errors), nullptr);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].key, "rule r50.pattern");

  errors.clear();
  rules = {rule("same", RulePlace::kBody, "x"), rule("same", RulePlace::kBody, "y")};
  EXPECT_EQ(SignatureSet::compile(rules, 1, errors), nullptr);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].key, "rule same");
  EXPECT_EQ(errors[0].allowed, "a name that the rule at rules.toml:7 has not");
}

TEST(SignatureSet, MoreHeadersThanTheBoundAreRefused) {
  std::vector<Rule> rules;
  for (size_t i = 0; i <= kRuleHeadersMax; ++i)
    rules.push_back(
        rule("r" + std::to_string(i), RulePlace::kHeader, "", "X-" + std::to_string(i)));
  std::vector<settings::Error> errors;
  EXPECT_EQ(SignatureSet::compile(rules, 1, errors), nullptr);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].key, "rule r64.header");
  rules.pop_back();
  EXPECT_NE(compiled(rules), nullptr);
}

/// Patterns just within the size that is allowed, of kinds that are hard for automata.
TEST(SignatureSet, HardPatternsAreTakenOrRefusedInBoundedTime) {
  const char* kHard[] = {"(a{1,40}b{1,40}){1,25}",
                         "([a-f]{0,40}.{0,40}x){25}y",
                         "(.{0,30}a.{0,30}b){16}c",
                         "[^\\n]{1,2000}z",
                         "(a|b|ab|ba|aab|bba){1,180}c",
                         "(\\w+\\s*){1,500}!",
                         "(x+x+)+y",
                         "(.*a){60}b",
                         ".*(a|b).{500}c.{500}d.{500}e"};
  for (const char* pattern : kHard) {
    std::vector<settings::Error> errors;
    const auto start = std::chrono::steady_clock::now();
    const auto set = SignatureSet::compile({rule("hard", RulePlace::kMessage, pattern)}, 1, errors);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(set == nullptr, !errors.empty());
    EXPECT_LT(took.count(), 30.0) << pattern;
  }
}

TEST(SignatureSet, TheShippedRulesFindWhatTheyAreFor) {
  RuleFile file = read_rules(GMESP_SHIPPED_RULES, RuleAction::kDrop);
  ASSERT_TRUE(file.errors.empty());
  const auto set = compiled(std::move(file.rules));
  const auto with = [](const std::string& header) {
    std::string text = kRegister;
    return text.insert(text.find("CSeq"), header + "\r\n");
  };
  EXPECT_EQ(scan(*set, kRegister).matches, 0u);
  EXPECT_EQ(scan(*set, kAnswer).matches, 0u);
  const std::pair<const char*, const char*> kCases[] = {
      {"User-Agent: friendly-scanner", "friendly-scanner"},
      {"user-agent:\r\n friendly-scanner", "friendly-scanner"},
      {"Subject: \"sipvicious\" <sip:100@1.1.1.1>", "sipvicious"},
      {"User-Agent: sipcli/v1.8", "sipcli"},
      {"User-Agent: sip-scan", "sip-scan"},
      {"User-Agent: sundayddr", "sundayddr"},
      {"User-Agent: pplsip", "pplsip"},
      {"User-Agent: VaxSIPUserAgent/3.5", "vaxsipuseragent"},
      {"User-Agent: vaxasip/3.0", "vaxasip"},
      {"User-Agent: VaxIPUserAgent/3.1", "vaxipuseragent"},
      {"User-Agent: sipsak 0.9.6", "sipsak"},
      {"User-Agent: iWar", "iwar"},
      {"User-Agent: SIPp", "sipp"},
      {"User-Agent: smap 0.6.0", "smap"},
      {"User-Agent: siparmyknife", "siparmyknife"},
      {"User-Agent: Gulp 1", "gulp"},
      {"User-Agent: SIVuS/1", "sivus"},
      {"User-Agent: eyeBeam release 3006o stamp 17551", "eyebeam-scan"},
      {"To: <sip:100@1.1.1.1>", "scan-target-100"},
      {"P-Asserted-Identity: <sip:boss@home1.net>", "p-asserted-identity"},
      {"p-asserted-service: urn:urn-7:3gpp-service.ims.icsi.mmtel", "p-asserted-service"},
      {"P-Charging-Vector: icid-value=1", "p-charging-vector"},
      {"P-Charging-Function-Addresses: ccf=1", "p-charging-addresses"},
      {"P-Visited-Network-ID: other", "p-visited-network-id"},
      {"P-Served-User: <sip:a@b>", "p-served-user"},
      {"P-User-Database: <aaa://h>", "p-user-database"},
      {"P-Profile-Key: <sip:a@b>", "p-profile-key"},
      {"P-Access-Network-Info: 3GPP-E-UTRAN-FDD; x=1;network-provided",
       "p-network-provided-access"},
      {"Authorization: Digest username=\"u\", integrity-protected=\"yes\"", "integrity-protected"},
  };
  EXPECT_EQ(std::size(kCases), set->rules().size() + 1) << "a shipped rule without a case here";
  for (const auto& [header, name] : kCases) {
    const ScanResult result = scan(*set, with(header));
    EXPECT_TRUE(result.is_dropped) << header;
    ASSERT_EQ(result.matches, 1u) << header;
    EXPECT_EQ(set->rules()[result.heaviest].name, name);
  }
  EXPECT_EQ(scan(*set, with("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;x=network")).matches, 0u);
  EXPECT_EQ(scan(*set, with("User-Agent: Ericsson IMS (sips; sipcli)")).matches, 0u);
}

/// What the speed of the screen rests on.
TEST(SignatureSet, TheShippedRulesReadNoMessageOfAPhone) {
  const auto set = compiled(read_rules(GMESP_SHIPPED_RULES, RuleAction::kCount).rules);
  const std::string headers =
      "Via: SIP/2.0/TCP [2001:db8::1]:5062;branch=z9hG4bKnashds7;rport\r\nMax-Forwards: 70\r\n"
      "Route: <sip:pcscf1.visited1.net:5062;lr>,<sip:orig@scscf1.home1.net;lr>\r\n"
      "From: <sip:user1_public1@home1.net>;tag=4fa3\r\nTo: <tel:+1-212-555-1111>\r\n"
      "Call-ID: apb03a0s09dkjdfglkj49111\r\nCSeq: 127 INVITE\r\n"
      "Contact: <sip:user1@[2001:db8::1]:5062>;+sip.instance=\"<urn:gsma:imei:35824005-944763-0>\""
      ";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";+g.3gpp.smsip\r\n"
      "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620112340000123\r\n"
      "P-Preferred-Identity: \"A. Nother\" <sip:user1_public1@home1.net>\r\n"
      "P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\r\nPrivacy: none\r\n"
      "Require: sec-agree\r\nProxy-Require: sec-agree\r\nSupported: precondition,100rel,gruu,timer"
      "\r\nSecurity-Verify: "
      "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=9;spi-s=7;port-s=5067\r\n"
      "Authorization: Digest username=\"user1@home1.net\",realm=\"home1.net\",nonce=\"\","
      "uri=\"sip:home1.net\",response=\"\",algorithm=AKAv1-MD5\r\n"
      "Accept: application/sdp,application/3gpp-ims+xml\r\nSession-Expires: 1800;refresher=uac\r\n"
      "Allow: INVITE,ACK,CANCEL,BYE,UPDATE,PRACK,NOTIFY,REFER,INFO,MESSAGE,OPTIONS\r\n"
      "User-Agent: Phone/14.2 (Linux; 4g) IMS-Client\r\nContent-Type: application/sdp\r\n";
  const std::string body = "v=0\r\no=- 298 298 IN IP6 2001:db8::1\r\n folded, and sipcli in it\r\n";
  const std::string text = "INVITE tel:+1-212-555-2222 SIP/2.0\r\n" + headers + "\r\n" + body;
  EXPECT_TRUE(set->sift(0, {text, true, true}).is_nothing());
  EXPECT_TRUE(
      set->sift(0, {"SIP/2.0 200 OK\r\n" + headers + "\r\n" + body, true, true}).is_nothing());
  EXPECT_FALSE(set->sift(0, {text, false, true}).is_nothing())
      << "a segment may hold more messages";
}

}  // namespace
}  // namespace gmesp::screen
