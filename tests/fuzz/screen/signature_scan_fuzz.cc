// Any bytes as a message, in memory of exactly their size, against rules for every place: nothing
// is read beyond it, every match is of a rule, a datagram and a stream can both be scanned, and
// what is sifted out before changes nothing.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "dataplane/screen/signature_set.h"

using namespace gmesp::screen;

namespace {

void add(std::vector<Rule>& rules, RulePlace where, const char* pattern, const char* header = "") {
  Rule& rule = rules.emplace_back();
  rule.name = std::to_string(rules.size());
  rule.where = where;
  rule.pattern = pattern;
  rule.header = header;
}

std::unique_ptr<SignatureSet> compiled(const std::vector<Rule>& rules) {
  std::vector<gmesp::settings::Error> errors;
  auto set = SignatureSet::compile(rules, 1, errors);
  if (set == nullptr) std::abort();
  return set;
}

/// For every place, with every action.
std::unique_ptr<SignatureSet> rules() {
  std::vector<Rule> rules;
  add(rules, RulePlace::kRequestLine, "sip:.+@");
  add(rules, RulePlace::kHeader, "[^a-z]", "User-Agent");
  add(rules, RulePlace::kHeader, "[a-z]$", "Via");
  add(rules, RulePlace::kHeader, "", "P-Asserted-Identity");
  add(rules, RulePlace::kHeaders, "(?m)^\\w+: a");
  add(rules, RulePlace::kBody, "[^ ]");
  add(rules, RulePlace::kMessage, "(?s)SIP.*x");
  for (size_t i = 0; i < rules.size(); ++i) {
    rules[i].action = static_cast<RuleAction>(1 + (i + 1) % 4);
    rules[i].per_second = 1;
  }
  return compiled(rules);
}

/// Rules with a word each, and none that limits a rate.
std::unique_ptr<SignatureSet> word_rules() {
  std::vector<Rule> rules;
  add(rules, RulePlace::kRequestLine, "(?i)^INVITE\\b");
  add(rules, RulePlace::kHeader, "(?i)z9hG4b", "Via");
  add(rules, RulePlace::kHeader, "", "P-Asserted-Identity");
  add(rules, RulePlace::kHeaders, "tag=4[^5]");
  return compiled(rules);
}

void compare(SignatureSet& set, const SipMessage& message, std::string_view bytes,
             bool is_datagram) {
  const ScanResult all = set.scan(0, {message, bytes, false, 1, 1});
  const SieveResult left = set.sift(0, {bytes, is_datagram, false});
  const ScanResult sifted =
      left.is_nothing() ? ScanResult{} : set.scan(0, {message, bytes, false, 1, 1, left});
  if (all.matches != sifted.matches) std::abort();
}

void scan(SignatureSet& set, const SipMessage& message, std::string_view bytes) {
  for (const bool is_protected : {false, true}) {
    const ScanResult result = set.scan(0, {message, bytes, is_protected, 1, 1});
    if (result.matches > set.rules().size() || result.heaviest >= set.rules().size()) std::abort();
    if (result.matches == 0 && (result.is_dropped || result.has_event)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<SignatureSet> set = rules();
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  if (size > 0) std::memcpy(copy.get(), data, size);
  const std::string_view bytes(reinterpret_cast<const char*>(copy.get()), size);
  scan(*set, read_datagram({copy.get(), size}), bytes);
  scan(*set, read_stream({copy.get(), size}), bytes);
  static const std::unique_ptr<SignatureSet> words = word_rules();
  compare(*words, read_datagram({copy.get(), size}), bytes, true);
  compare(*words, read_stream({copy.get(), size}), bytes, false);
  return 0;
}
