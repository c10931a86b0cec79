#include "dataplane/screen/signature_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <unordered_map>

#include "dataplane/screen/rule_pattern.h"
#include "dataplane/screen/signature_lane.h"

namespace gmesp::screen {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return lower;
}

/// The id that messages will have for a header of this name, long or compact.
HeaderId id_of(const std::string& name) {
  const std::string line = name + ": \r\n";
  HeaderField field{};
  HeaderFields(line).next(field);
  return field.id;
}

bool is_compiled(const Rule& rule) {
  return rule.action != RuleAction::kOff;
}

/// Names are unique in a file; rules of several files may be compiled together.
bool check_names(const std::vector<Rule>& rules, std::vector<settings::Error>& errors) {
  std::unordered_map<std::string_view, const Rule*> seen;
  for (const Rule& rule : rules) {
    const auto [first, is_new] = seen.emplace(rule.name, &rule);
    if (!is_new)
      errors.push_back({rule.file, rule.line, rule.column, "rule " + rule.name, "its name twice",
                        fmt::format("a name that the rule at {}:{} has not", first->second->file,
                                    first->second->line)});
  }
  return seen.size() == rules.size();
}

/// The bounds of a set that are known before anything is compiled.
bool check_size(const std::vector<Rule>& rules, std::vector<settings::Error>& errors) {
  if (rules.size() > kSetRulesMax) {
    const Rule& rule = rules[kSetRulesMax];
    errors.push_back({rule.file, rule.line, rule.column, "rule " + rule.name,
                      fmt::format("{} rules in all files", rules.size()),
                      fmt::format("at most {}", kSetRulesMax)});
    return false;
  }
  uint64_t positions = 0;
  for (const Rule& rule : rules) {
    // A pattern that is too large by itself is told as such.
    if (is_compiled(rule))
      positions += std::min(pattern_positions(rule.pattern), kPatternPositionsMax);
    if (positions <= kSetPositionsMax) continue;
    errors.push_back(pattern_error(
        rule, "more characters, with repeats written out, than all patterns may have together",
        fmt::format("at most {}", kSetPositionsMax)));
    return false;
  }
  return true;
}

/// All patterns one by one, so that every bad one is told, with its name.
bool check_patterns(const std::vector<Rule>& rules, std::vector<settings::Error>& errors) {
  const auto end = thread_cpu_time() + std::chrono::milliseconds(kSetCompileMsMax);
  const size_t errors_before = errors.size();
  for (const Rule& rule : rules) {
    if (!is_compiled(rule) || rule.pattern.empty()) continue;
    if (thread_cpu_time() > end) {
      errors.push_back(
          pattern_error(rule, fmt::format("patterns that took {} ms so far", kSetCompileMsMax),
                        fmt::format("at most {} ms for all", kSetCompileMsMax)));
      return false;
    }
    check_pattern(rule, kPatternScanNsMax, errors);
  }
  return errors.size() == errors_before;
}

}  // namespace

SignatureSet::SignatureSet(std::vector<Rule> rules, uint32_t workers)
    : rules_(std::move(rules)), counted_before_(rules_.size()) {
  for (const Rule& rule : rules_) hot_.push_back({contexts_of(rule), rule.action, rule.per_second});
  for (uint32_t i = 0; i < workers; ++i) lanes_.push_back(std::make_unique<Lane>(rules_.size()));
}

SignatureSet::~SignatureSet() = default;

std::unique_ptr<SignatureSet> SignatureSet::compile(std::vector<Rule> rules, uint32_t workers,
                                                    std::vector<settings::Error>& errors) {
  if (!check_names(rules, errors) || !check_size(rules, errors) || !check_patterns(rules, errors))
    return nullptr;
  std::unique_ptr<SignatureSet> set(new SignatureSet(std::move(rules), workers));
  if (!set->place_rules(errors) || !set->compile_places(errors)) return nullptr;
  set->compile_sieve();
  if (!set->give_scratch(errors)) return nullptr;
  return set;
}

Contexts SignatureSet::contexts_of(const Rule& rule) {
  Contexts contexts = 0;
  for (const uint8_t side : {Rule::kClear, Rule::kProtected})
    for (const uint8_t kind : {Rule::kRequest, Rule::kResponse})
      if ((rule.sides & side) != 0 && (rule.kinds & kind) != 0)
        contexts |= context_bit(side == Rule::kProtected, kind == Rule::kResponse);
  return contexts;
}

/// The rule's own, or a new one; null when there are too many.
SignatureSet::Header* SignatureSet::header_of(const Rule& rule) {
  const std::string name = lower_case(rule.header);
  const HeaderId id = id_of(name);
  for (const auto& header : headers_)
    if (header->id == id && (id != HeaderId::kOther || header->name == name)) return header.get();
  if (headers_.size() == kRuleHeadersMax) return nullptr;
  Header& header = *headers_.emplace_back(std::make_unique<Header>());
  header.id = id;
  header.name = name;
  if (id != HeaderId::kOther)
    header_by_id_[static_cast<uint8_t>(id)] = &header;
  else
    headers_by_name_[name_bucket(name)].push_back(&header);
  return &header;
}

bool SignatureSet::place_rules(std::vector<settings::Error>& errors) {
  for (uint32_t number = 0; number < rules_.size(); ++number) {
    const Rule& rule = rules_[number];
    if (!is_compiled(rule)) continue;
    const bool in_header = rule.where == RulePlace::kHeader;
    Header* header = in_header ? header_of(rule) : nullptr;
    if (in_header && header == nullptr) {
      errors.push_back({rule.file, rule.line, rule.column, "rule " + rule.name + ".header",
                        fmt::format("{} headers before it", kRuleHeadersMax),
                        fmt::format("at most {} different headers", kRuleHeadersMax)});
      return false;
    }
    Place& place = in_header                               ? static_cast<Place&>(*header)
                   : rule.where == RulePlace::kRequestLine ? request_line_
                   : rule.where == RulePlace::kHeaders     ? header_block_
                   : rule.where == RulePlace::kBody        ? body_
                                                           : message_;
    place.contexts |= hot_[number].contexts;
    (rule.pattern.empty() ? header->present : place.rules).push_back(number);
  }
  for (const auto& header : headers_) header_contexts_ |= header->contexts;
  return true;
}

std::vector<SignatureSet::Place*> SignatureSet::places() {
  std::vector<Place*> places{&request_line_, &header_block_, &body_, &message_};
  for (const auto& header : headers_) places.push_back(header.get());
  std::erase_if(places, [](const Place* place) { return place->rules.empty(); });
  return places;
}

bool SignatureSet::compile_places(std::vector<settings::Error>& errors) {
  return std::ranges::all_of(places(), [&](Place* place) {
    std::vector<SignatureDatabase::Pattern> patterns;
    for (const uint32_t number : place->rules)
      patterns.push_back({rules_[number].pattern.c_str(), number, &rules_[number]});
    return place->database.compile(patterns, errors);
  });
}

void SignatureSet::compile_sieve() {
  for (uint32_t number = 0; number < rules_.size(); ++number) {
    const Rule& rule = rules_[number];
    if (!is_compiled(rule)) continue;
    const bool has_one_name =
        rule.where == RulePlace::kHeader && id_of(rule.header) == HeaderId::kOther;
    sieve_.add(rule, hot_[number].contexts, has_one_name);
  }
  sieve_.compile();
}

std::vector<const hs_database_t*> SignatureSet::databases() {
  std::vector<const hs_database_t*> databases;
  for (const Place* place : places()) databases.push_back(place->database.get());
  if (sieve_.database()) databases.push_back(sieve_.database().get());
  return databases;
}

/// One scratch that serves all places, and a copy of it for every worker.
bool SignatureSet::give_scratch(std::vector<settings::Error>& errors) {
  const auto failed = [&](const std::string& found, const std::string& allowed) {
    errors.push_back({rules_.front().file, 0, 0, "", found, allowed});
    return false;
  };
  hs_scratch_t* first = nullptr;
  for (const hs_database_t* database : databases()) {
    const hs_error_t result = hs_alloc_scratch(database, &first);
    lanes_.front()->scratch.release();
    lanes_.front()->scratch.reset(first);
    if (result != HS_SUCCESS)
      return failed("no memory for scratch areas", "memory for one a worker");
  }
  if (const size_t bytes = scratch_bytes(); bytes > kScratchBytesMax)
    return failed(fmt::format("rules that need {} bytes of scratch a worker", bytes),
                  fmt::format("at most {} bytes", kScratchBytesMax));
  for (size_t i = 1; i < lanes_.size() && first != nullptr; ++i) {
    hs_scratch_t* copy = nullptr;
    if (hs_clone_scratch(first, &copy) != HS_SUCCESS)
      return failed("no memory for scratch areas", "memory for one a worker");
    lanes_[i]->scratch.reset(copy);
  }
  return true;
}

RuleCount SignatureSet::count(size_t rule) const {
  RuleCount sum = counted_before_[rule];
  for (const auto& lane : lanes_) {
    sum.matched += lane->counts[rule].matched.get();
    sum.dropped += lane->counts[rule].dropped.get();
  }
  return sum;
}

ScanTotals SignatureSet::totals() const {
  ScanTotals sum = totals_before_;
  for (const auto& lane : lanes_) {
    sum.scanned += lane->scanned.get();
    sum.matched += lane->matched.get();
    sum.dropped += lane->dropped.get();
    sum.events += lane->events.get();
    sum.failed += lane->failed.get();
  }
  return sum;
}

void SignatureSet::count_on_from(const SignatureSet& before) {
  totals_before_ = before.totals();
  std::unordered_map<std::string_view, size_t> numbers;
  for (size_t i = 0; i < before.rules_.size(); ++i) numbers.emplace(before.rules_[i].name, i);
  for (size_t i = 0; i < rules_.size(); ++i)
    if (const auto found = numbers.find(rules_[i].name); found != numbers.end())
      counted_before_[i] = before.count(found->second);
}

size_t SignatureSet::database_bytes() const {
  size_t bytes = sieve_.database().bytes() + request_line_.database.bytes() +
                 header_block_.database.bytes() + body_.database.bytes() +
                 message_.database.bytes();
  for (const auto& header : headers_) bytes += header->database.bytes();
  return bytes;
}

size_t SignatureSet::scratch_bytes() const {
  size_t bytes = 0;
  if (lanes_.front()->scratch) hs_scratch_size(lanes_.front()->scratch.get(), &bytes);
  return bytes;
}

}  // namespace gmesp::screen
