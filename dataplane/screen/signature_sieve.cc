#include "dataplane/screen/signature_sieve.h"

#include <bit>

#include "dataplane/screen/rule_pattern.h"

namespace gmesp::screen {
namespace {

/// What `rule` looks for, anywhere; empty: not known, or not to be had at a bounded cost.
std::string pattern_of(const Rule& rule, bool has_one_name) {
  if (rule.pattern.empty())
    return has_one_name ? "(?im)^\\Q" + rule.header + "\\E[ \\t]*:" : std::string();
  Rule anywhere = rule;
  anywhere.pattern = pattern_anywhere(rule.pattern);
  std::vector<settings::Error> errors;
  const bool is_good =
      !anywhere.pattern.empty() && check_pattern(anywhere, kSievePatternScanNsMax, errors);
  return is_good ? anywhere.pattern : std::string();
}

size_t index_of(Contexts context) {
  return static_cast<size_t>(std::countr_zero(context));
}

}  // namespace

struct SignatureSieve::Look {
  const SignatureSieve& sieve;
  Contexts context;
  SieveResult result;
};

void SignatureSieve::let_through(Contexts contexts, PlaceSet place) {
  for (size_t i = 0; i < kContexts; ++i)
    if ((contexts >> i & 1) != 0) always_[i] = static_cast<PlaceSet>(always_[i] | place);
}

void SignatureSieve::add(const Rule& rule, Contexts contexts, bool has_one_name) {
  const PlaceSet place = place_bit(rule.where);
  for (size_t i = 0; i < kContexts; ++i)
    if ((contexts >> i & 1) != 0) places_[i] = static_cast<PlaceSet>(places_[i] | place);
  std::string pattern = pattern_of(rule, has_one_name);
  if (pattern.empty())
    let_through(contexts, place);
  else
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
  if ((entry.contexts & found.context) == 0) return 0;
  found.result.places = static_cast<PlaceSet>(found.result.places | entry.place);
  return 0;
}

SieveResult SignatureSieve::look(std::string_view bytes, Contexts context,
                                 hs_scratch_t* scratch) const {
  const size_t index = index_of(context);
  Look look{*this, context, {always_[index], false}};
  if (!database_ || places_[index] == always_[index]) return look.result;
  if (hs_scan(database_.get(), bytes.data(), static_cast<unsigned>(bytes.size()), 0, scratch,
              on_match, &look) != HS_SUCCESS)
    look.result = {kAllPlaces, true};
  return look.result;
}

}  // namespace gmesp::screen
