#include "made_sip.h"

#include <algorithm>

namespace gmesp::bench {
namespace {

using screen::Rule;
using screen::RulePlace;

std::string word(std::mt19937& random) {
  std::string word;
  for (int i = 0; i < 8; ++i) word += static_cast<char>('a' + random() % 26);
  return word;
}

}  // namespace

std::string made_message(const char* method, size_t bytes, std::mt19937& random) {
  const std::string user = "user" + std::to_string(random() % 100'000);
  std::string head = std::string(method) + " sip:home1.net SIP/2.0\r\n" +
                     "Via: SIP/2.0/UDP [2001:db8::" + std::to_string(random() % 9999) +
                     "]:5062;branch=z9hG4bK" + std::to_string(random()) + "\r\nFrom: <sip:" + user +
                     "@home1.net>;tag=" + std::to_string(random()) + "\r\nTo: <sip:" + user +
                     "@home1.net>\r\nCall-ID: " + std::to_string(random()) + "\r\nCSeq: 1 " +
                     method + "\r\n";
  const std::string more[] = {
      "Max-Forwards: 70\r\n",
      "User-Agent: IMS Phone 14.2 (Linux; 4g)\r\n",
      "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620112340000123\r\n",
      "Contact: <sip:" + user +
          "@[2001:db8::1]:5062>;expires=600000;+sip.instance=\"<urn:gsma:"
          "imei:35824005-944763-0>\"\r\n",
      "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=12345;spi-s=23456;port-c="
      "5090;port-s=5091\r\n",
      "Supported: path,sec-agree,gruu\r\nRequire: sec-agree\r\nProxy-Require: sec-agree\r\n",
      "Authorization: Digest username=\"" + user +
          "@private.home1.net\",realm=\"home1.net\","
          "nonce=\"\",uri=\"sip:home1.net\",response=\"\"\r\n",
      "Allow: INVITE,ACK,CANCEL,BYE,UPDATE,PRACK,NOTIFY,REFER,INFO,MESSAGE,OPTIONS\r\n",
  };
  for (const std::string& field : more)
    if (head.size() + field.size() + 30 <= bytes) head += field;
  const auto length_field = [](size_t body) {
    return "Content-Length: " + std::to_string(body) + "\r\n\r\n";
  };
  size_t body = bytes - std::min(bytes, head.size());
  while (body > 0 && head.size() + length_field(body).size() + body > bytes) --body;
  std::string text = head + length_field(body);
  const size_t all = text.size() + body;
  while (text.size() < all) text += "a=rtpmap:97 AMR/8000/1\r\n";
  text.resize(all);
  return text;
}

std::vector<Rule> made_rules(size_t count) {
  std::mt19937 random(7);
  std::vector<Rule> rules;
  for (size_t i = 0; i < count; ++i) {
    Rule rule;
    rule.name = "made-" + std::to_string(i);
    switch (i % 5) {
      case 0:
        rule.where = RulePlace::kRequestLine;
        rule.pattern = "(?i)sip:" + word(random) + "@";
        break;
      case 1:
        rule.where = RulePlace::kHeader;
        rule.header = "User-Agent";
        rule.pattern = "(?i)^" + word(random) + "[/ ]\\d";
        break;
      case 2:
        rule.where = RulePlace::kHeader;
        rule.header = i % 2 == 0 ? "From" : "Contact";
        rule.pattern = "<sips?:\\+?[0-9]{6,12}@" + word(random) + "\\.";
        break;
      case 3:
        rule.where = RulePlace::kHeaders;
        rule.pattern = "(?i)" + word(random);
        break;
      default:
        rule.where = RulePlace::kBody;
        rule.pattern = word(random) + "[0-9]+";
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace gmesp::bench
