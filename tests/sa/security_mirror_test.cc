// What is written and what comes back: TS 33.203 7.2, Annex H. What a UE takes out of SM6 is
// decided here on the text, apart from the parser.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

#include "security_lists.h"

namespace gmesp::sa {
namespace {

// --- writing ------------------------------------------------------------------------------------

SecurityEntry own_entry(AlgorithmPair pair) {
  SecurityEntry entry;
  entry.algorithms = pair;
  entry.spi_c = 65536;
  entry.spi_s = 4294967295;
  entry.port_c = 6100;
  entry.port_s = 5066;
  return entry;
}

SecurityList own_list(std::span<const AlgorithmPair> pairs) {
  SecurityList list;
  for (const AlgorithmPair pair : pairs) list.entries.push_back(own_entry(pair));
  rank_as_written(list.entries);
  return list;
}

// Shows: R-H-05, R-H-06, R-7.2-05
TEST(SecurityMirror, WrittenTextIsCanonical) {
  SecurityList list = own_list(std::vector{kSha1Aes, kMd5Null});
  list.entries[1].is_udp_encapsulated = true;
  EXPECT_EQ(write_security_list(list.entries),
            "ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;ealg=aes-cbc;prot=esp;mod=trans;"
            "spi-c=0000065536;spi-s=4294967295;port-c=6100;port-s=5066, "
            "ipsec-3gpp;q=0.1;alg=hmac-md5-96;prot=esp;mod=UDP-enc-tun;"
            "spi-c=0000065536;spi-s=4294967295;port-c=6100;port-s=5066");
  SecurityEntry entry = own_entry(kSha1Des);
  for (const auto& [q, text] : {std::pair{0, ";q=0;"},
                                {1000, ";q=1;"},
                                {7, ";q=0.007;"},
                                {120, ";q=0.12;"},
                                {999, ";q=0.999;"}}) {
    entry.q_thousandths = static_cast<uint16_t>(q);
    EXPECT_NE(write_security_list({&entry, 1}).find(text), std::string::npos) << text;
  }
  entry.q_thousandths = kNoPreference;
  EXPECT_EQ(write_security_list({&entry, 1}).find(";q="), std::string::npos);
}

// Shows: R-H-05
TEST(SecurityMirror, OwnListsOfAnyLengthCarryStrictlyFallingPreference) {
  for (size_t count = 1; count <= kEntriesMax; ++count) {
    std::vector<SecurityEntry> entries(count);
    rank_as_written(entries);
    EXPECT_LE(entries.front().q_thousandths, 1000);
    for (size_t i = 1; i < count; ++i)
      EXPECT_LT(entries[i].q_thousandths, entries[i - 1].q_thousandths);
  }
}

// --- mirrors ------------------------------------------------------------------------------------

// Shows: R-H-10
TEST(SecurityMirror, MirrorTestIsBlindForFormAlone) {
  const std::string aes = "ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;ealg=aes-cbc;prot=esp;mod=trans";
  const std::string null = "ipsec-3gpp;q=0.1;alg=hmac-sha-1-96";
  const SecurityList sent = parsed({aes + kSas + "," + null + kSas});
  EXPECT_TRUE(mirrors(sent, parsed({aes + kSas, null + kSas})));
  EXPECT_TRUE(
      mirrors(sent, parsed({"ipsec-3gpp;port-s=65535;port-c=6000;spi-s=4294967295;spi-c=300;"
                            "ealg=AES-CBC ; alg=HMAC-SHA-1-96;q=0.200 ," +
                            null + ";ealg=null;mod=trans;prot=esp" + kSas})));
  EXPECT_FALSE(mirrors(sent, parsed({null + kSas, aes + kSas})));
  EXPECT_FALSE(mirrors(sent, parsed({aes + kSas})));
  EXPECT_FALSE(mirrors(sent, parsed({aes + kSas, null + kSas, null + kSas})));
}

// Shows: R-H-09, R-H-10
TEST(SecurityMirror, MirrorTestKeepsWhatIsUnknown) {
  const std::string unknown = kPlain + ";ealg=aes-gmac;new=\"Text\"";
  EXPECT_TRUE(
      mirrors(parsed({unknown}), parsed({"IPSEC-3GPP ; new = \"Text\";mod=trans;ealg=AES-GMAC;"
                                         "alg=hmac-sha-1-96" +
                                         kSas})));
  for (const char* other :
       {";ealg=aes-gcm;new=\"Text\"", ";ealg=aes-gmac;new=\"text\"", ";ealg=aes-gmac",
        ";ealg=aes-gmac;new=\"Text\";more", ";ealg=aes-gmac;new=\"Text\";prot=ah"})
    EXPECT_FALSE(mirrors(parsed({unknown}), parsed({kPlain + other}))) << other;
  EXPECT_TRUE(mirrors(parsed({"tls;q=0.1;x"}), parsed({"TLS; X ;q=0.1"})));
  EXPECT_FALSE(mirrors(parsed({"tls;q=0.1"}), parsed({"tls;q=0.2"})));
  EXPECT_FALSE(mirrors(parsed({kPlain + ";prot=ah"}), parsed({kPlain + ";prot=esp;prot=ah"})));
}

// Shows: R-7.2-08
TEST(SecurityMirror, MirrorTestSeesEveryAlteredParameter) {
  const SecurityList sent = own_list(kAllPairs);
  const std::string text = write_security_list(sent.entries);
  ASSERT_TRUE(mirrors(sent, parsed({text})));
  const std::pair<const char*, const char*> alterations[] = {
      {"ipsec-3gpp", "ipsec-ike"},
      {"q=0.3", "q=0.31"},
      {";q=0.3", ""},
      {"hmac-sha-1-96", "hmac-md5-96"},
      {"aes-cbc", "null"},
      {"aes-cbc", "des-ede3-cbc"},
      {";ealg=aes-cbc", ""},
      {"prot=esp", "prot=ah"},
      {"mod=trans", "mod=tun"},
      {"mod=trans", "mod=UDP-enc-tun"},
      {"0000065536", "0000065537"},
      {"4294967295", "4294967294"},
      {"port-c=6100", "port-c=6101"},
      {"port-s=5066", "port-s=5067"},
      {"spi-c", "spi-s"},
      {";port-s=5066", ""},
      {";port-s=5066", ";port-s=5066;port-s=5066"},
      {";q=0.3", ";q=0.3;new=1"}};
  for (const auto& [from, to] : alterations) {
    size_t places = 0;
    for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + 1), ++places) {
      std::string altered = text;
      altered.replace(at, std::string_view(from).size(), to);
      EXPECT_FALSE(mirrors(sent, parsed({altered}))) << altered;
    }
    EXPECT_GT(places, 0u) << from;
  }
}

// Shows: R-H-10
TEST(SecurityMirror, BytewiseMirrorTestJoinsLinesAlone) {
  const auto same = [](std::string_view sent, std::initializer_list<std::string_view> returned) {
    return mirrors_bytewise(sent, std::span(returned.begin(), returned.size()));
  };
  EXPECT_TRUE(same("a;q=1, b", {"a;q=1, b"}));
  EXPECT_TRUE(same("a;q=1, b", {"a;q=1", "b"}));
  EXPECT_FALSE(same("a;q=1, b", {"a;q=1,b"}));
  EXPECT_FALSE(same("a;q=1, b", {"A;q=1, b"}));
  EXPECT_FALSE(same("a;q=1, b", {"a;q=1"}));
  EXPECT_FALSE(same("a;q=1, b", {"a;q=1", "b", ""}));
  EXPECT_FALSE(same("a;q=1, b", {"a;q=1, b, c"}));
  EXPECT_FALSE(same("a;q=1, b", {}));
}

// --- properties
// -----------------------------------------------------------------------------------

SecurityEntry any_usable_entry() {
  SecurityEntry entry;
  entry.algorithms = *rc::gen::elementOf(std::vector(std::begin(kAllPairs), std::end(kAllPairs)));
  entry.is_udp_encapsulated = *rc::gen::arbitrary<bool>();
  entry.q_thousandths =
      *rc::gen::oneOf(rc::gen::just(kNoPreference), rc::gen::inRange<uint16_t>(0, 1001));
  entry.spi_c = *rc::gen::arbitrary<uint32_t>();
  entry.spi_s = *rc::gen::arbitrary<uint32_t>();
  entry.port_c = *rc::gen::arbitrary<uint16_t>();
  entry.port_s = *rc::gen::arbitrary<uint16_t>();
  return entry;
}

// Shows: R-H-11
TEST(SecurityMirrorProperty, WhatIsWrittenReadsTheSame) {
  EXPECT_TRUE(rc::check([] {
    SecurityList list;
    const auto count = *rc::gen::inRange<size_t>(1, kEntriesMax + 1);
    while (list.entries.size() < count) list.entries.push_back(any_usable_entry());
    const std::string text = write_security_list(list.entries);
    const std::string_view line = text;
    SecurityList again;
    RC_ASSERT(parse_security_list({&line, 1}, again) == HeaderError::kNone);
    RC_ASSERT(again == list);
  }));
}

/// Small enough a choice that doubled and missing parameters are frequent.
std::string any_entry_text() {
  std::string text =
      *rc::gen::elementOf(std::vector<std::string>{"ipsec-3gpp", "IPSEC-3gpp", "tls"});
  for (auto count = *rc::gen::inRange<size_t>(0, kParametersMax + 1); count > 0; --count)
    text += *rc::gen::elementOf(std::vector<std::string>{
        ";alg=hmac-md5-96", ";alg=Sha", ";ealg=null",   ";ealg=aes-cbc", ";ealg=x",
        ";prot=esp",        ";prot=ah", ";mod=trans",   ";mod=tun",      ";mod=UDP-enc-tun",
        ";q=0.1",           ";q=7",     ";new=\"A b\"", ";new",          ";spi-c=300",
        ";spi-s=400",       ";spi-s=x", ";port-c=1",    ";port-s=2",     ";port-s=-2"});
  return text;
}

// Shows: R-H-09, R-H-11
TEST(SecurityMirrorProperty, WhatIsReadAndWrittenReadsTheSame) {
  EXPECT_TRUE(rc::check([] {
    const std::string text = any_entry_text() + "," + any_entry_text();
    const SecurityList list = parsed({text});
    RC_ASSERT(parsed({write_security_list(list.entries)}) == list);
  }));
}

std::string any_blanks() {
  return *rc::gen::elementOf(std::vector<std::string>{"", " ", "\t ", "\r\n "});
}

std::string in_any_case(std::string text) {
  for (char& c : text)
    if (*rc::gen::arbitrary<bool>()) c = static_cast<char>(std::toupper(c));
  return text;
}

/// `parameters` of one ipsec-3gpp entry in any form that means the same.
std::string any_form(std::vector<std::pair<std::string, std::string>> parameters) {
  for (size_t i = parameters.size(); i > 1; --i)
    std::swap(parameters[i - 1], parameters[*rc::gen::inRange<size_t>(0, i)]);
  std::string text = any_blanks() + in_any_case("ipsec-3gpp") + any_blanks();
  for (const auto& [name, value] : parameters)
    text += ";" + any_blanks() + in_any_case(name) + any_blanks() + "=" + any_blanks() +
            in_any_case(value) + any_blanks();
  return text;
}

// Shows: R-H-01, R-H-10
TEST(SecurityMirrorProperty, FormDoesNotMatter) {
  EXPECT_TRUE(rc::check([] {
    std::vector<std::string> lines;
    SecurityList wanted;
    const auto count = *rc::gen::inRange<size_t>(1, 9);
    while (wanted.entries.size() < count) {
      const auto spi = *rc::gen::arbitrary<uint32_t>();
      const auto port = *rc::gen::arbitrary<uint16_t>();
      const auto shape = *rc::gen::inRange<int>(0, 8);
      std::vector<std::pair<std::string, std::string>> parameters = {
          {"alg", "hmac-md5-96"},
          {"spi-c", std::to_string(spi)},
          {"spi-s", "0000000256"},
          {"port-c", std::to_string(port)},
          {"port-s", "0"}};
      if ((shape & 1) != 0) parameters.push_back({"mod", "trans"});
      if ((shape & 2) != 0) parameters.push_back({"prot", "esp"});
      if ((shape & 4) != 0) parameters.push_back({"ealg", "null"});
      const std::string text = any_form(parameters);
      if (!lines.empty() && *rc::gen::arbitrary<bool>())
        lines.back() += "," + text;
      else
        lines.push_back(text);
      SecurityEntry entry;
      entry.algorithms = kMd5Null;
      entry.spi_c = spi;
      entry.spi_s = 256;
      entry.port_c = port;
      wanted.entries.push_back(entry);
    }
    const std::vector<std::string_view> views(lines.begin(), lines.end());
    SecurityList list;
    RC_ASSERT(parse_security_list(views, list) == HeaderError::kNone);
    RC_ASSERT(list == wanted);
  }));
}

/// A UE as 7.2 describes it, on bare text: the first entry of SM6 all of whose algorithms it has.
std::string ue_takes(const std::string& security_server,
                     const std::set<std::string>& capabilities) {
  std::istringstream entries(security_server);
  for (std::string entry; std::getline(entries, entry, ',');) {
    std::istringstream parameters(entry);
    std::string alg = "none", ealg = "null";
    for (std::string parameter; std::getline(parameters, parameter, ';');) {
      if (parameter.starts_with("alg=")) alg = parameter.substr(4);
      if (parameter.starts_with("ealg=")) ealg = parameter.substr(5);
    }
    if (capabilities.contains(alg + "+" + ealg)) return alg + "+" + ealg;
  }
  return "";
}

// Shows: R-7.2-03, R-7.2-06
TEST(SecurityMirrorProperty, UeTakesThePairThatWasChosenForAllCapabilities) {
  constexpr AlgorithmPair kOwn[] = {kSha1Aes, kMd5Aes, kSha1Des, kMd5Des, kSha1Null, kMd5Null};
  constexpr unsigned kSubsets = 1 << std::size(kOwn);
  const auto name = [](AlgorithmPair pair) {
    return std::string(token(pair.integrity)) + "+" + std::string(token(pair.cipher));
  };
  for (unsigned own = 1; own < kSubsets; ++own) {
    std::vector<AlgorithmPair> supported;
    for (size_t i = 0; i < std::size(kOwn); ++i)
      if ((own >> i & 1) != 0) supported.push_back(kOwn[i]);
    const std::string security_server = write_security_list(own_list(supported).entries);
    for (unsigned ue = 1; ue < kSubsets; ++ue) {
      std::set<std::string> capabilities;
      std::string security_client;
      for (size_t i = 0; i < std::size(kOwn); ++i) {
        if ((ue >> i & 1) == 0) continue;
        capabilities.insert(name(kOwn[i]));
        const std::string entry = "ipsec-3gpp;alg=" + std::string(token(kOwn[i].integrity)) +
                                  ";ealg=" + std::string(token(kOwn[i].cipher)) + kSas;
        // UEs list null first.
        security_client = entry + (security_client.empty() ? "" : "," + security_client);
      }
      const Offer offer = offered({security_client});
      const auto chosen = std::find_if(supported.begin(), supported.end(),
                                       [&](AlgorithmPair pair) { return offer.has(pair); });
      EXPECT_EQ(ue_takes(security_server, capabilities),
                chosen == supported.end() ? "" : name(*chosen));
    }
  }
}

}  // namespace
}  // namespace gmesp::sa
