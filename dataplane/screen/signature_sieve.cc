#include "dataplane/screen/signature_sieve.h"

#include "dataplane/screen/rule_pattern.h"

namespace gmesp::screen {
namespace {

/// What `rule` looks for, anywhere; empty: not known, or not to be had at a bounded cost.
std::string pattern_of(const Rule& rule, bool has_one_name) {
  if (rule.pattern.empty())
    return has_one_name ? "(?i)\\n\\Q" + rule.header + "\\E[ \\t]*:" : std::string();
  Rule anywhere = rule;
  anywhere.pattern = pattern_anywhere(rule.pattern);
  std::vector<settings::Error> errors;
  const bool is_good =
      !anywhere.pattern.empty() && check_pattern(anywhere, kSievePatternScanNsMax, errors);
  return is_good ? anywhere.pattern : std::string();
}

constexpr Contexts contexts_of(bool is_protected) {
  return context_bit(is_protected, false) | context_bit(is_protected, true);
}

}  // namespace

struct SignatureSieve::Look {
  const SignatureSieve& sieve;
  Contexts contexts;
  SieveResult result;
};

void SignatureSieve::let_through(Contexts contexts, PlaceSet place) {
  for (size_t side = 0; side < kSides; ++side)
    if ((contexts & contexts_of(side != 0)) != 0) always_[side] |= place;
}

void SignatureSieve::add(const Rule& rule, Contexts contexts, bool has_one_name) {
  const PlaceSet place = place_bit(rule.where);
  for (size_t side = 0; side < kSides; ++side)
    if ((contexts & contexts_of(side != 0)) != 0) places_[side] |= place;
  std::string pattern = pattern_of(rule, has_one_name);
  if (pattern.empty()) return let_through(contexts, place);
  filter_.add(rule.pattern.empty() ? rule.header : pattern_word(pattern));
  entries_.push_back({std::move(pattern), &rule, contexts, place});
}

void SignatureSieve::compile() {
  if (entries_.empty()) return;
  std::vector<SignatureDatabase::Pattern> patterns;
  for (const Entry& entry : entries_)
    patterns.push_back({entry.pattern.c_str(), static_cast<uint32_t>(patterns.size()), entry.rule});
  const auto fold = static_cast<uint32_t>(entries_.size());
  patterns.push_back({"\\n[ \\t]", fold, entries_.front().rule});
  std::vector<settings::Error> errors;
  if (database_.compile(patterns, errors)) return;
  for (const Entry& entry : entries_) let_through(entry.contexts, entry.place);
}

int SignatureSieve::on_match(unsigned number, unsigned long long, unsigned long long, unsigned,
                             void* look) {
  auto& found = *static_cast<Look*>(look);
  const auto& entries = found.sieve.entries_;
  if (number == entries.size()) {
    found.result.may_fold = true;
    return 0;
  }
  const Entry& entry = entries[number];
  if ((entry.contexts & found.contexts) != 0) found.result.places |= entry.place;
  return 0;
}

SieveResult SignatureSieve::look(const SieveInput& input, hs_scratch_t* scratch) const {
  constexpr PlaceSet kBehindHead = place_bit(RulePlace::kBody) | place_bit(RulePlace::kMessage);
  const size_t side = input.is_protected ? 1 : 0;
  if (places_[side] == always_[side]) return {always_[side], always_[side] != 0};
  const bool only_head = input.is_datagram && (places_[side] & kBehindHead) == 0;
  if (filter_.is_useful() && !filter_.may_hold(input.bytes, only_head))
    return {always_[side], false};
  Look look{*this, contexts_of(input.is_protected), {always_[side], false}};
  if (hs_scan(database_.get(), input.bytes.data(), static_cast<unsigned>(input.bytes.size()), 0,
              scratch, on_match, &look) != HS_SUCCESS)
    return {};
  return look.result;
}

}  // namespace gmesp::screen
