#include "dataplane/screen/signature_database.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include "control/settings/codec.h"
#include "dataplane/screen/rule_pattern.h"

namespace gmesp::screen {
namespace {

/// A rule is told once a text, however often it matches: the number of matches is then bounded.
constexpr unsigned kFlags = HS_FLAG_SINGLEMATCH;

struct FreeError {
  void operator()(hs_compile_error_t* error) const { hs_free_compile_error(error); }
};
using CompileError = std::unique_ptr<hs_compile_error_t, FreeError>;

struct FreeScratch {
  void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};

/// Texts on which patterns differ: words and marks as in SIP, and one byte over and over, which
/// keeps repeats busy.
std::string sip_like_text() {
  constexpr std::string_view kLine =
      "Via: SIP/2.0/UDP [2001:db8::1]:5062;branch=z9hG4bKnashds7;rport\r\n"
      "From: <sip:user1_public1@home1.net>;tag=4fa3\r\nUser-Agent: IMS Phone/1.0 (4g; 17)\r\n";
  std::string text;
  while (text.size() < kTrialBytes) text += kLine;
  text.resize(kTrialBytes);
  return text;
}

uint64_t scan_ns(const hs_database_t* database, const std::string& text, hs_scratch_t* scratch) {
  constexpr int kRuns = 5;
  auto best = std::chrono::nanoseconds::max();
  for (int run = 0; run < kRuns; ++run) {
    const auto start = thread_cpu_time();
    hs_scan(
        database, text.data(), static_cast<unsigned>(text.size()), 0, scratch,
        [](unsigned, unsigned long long, unsigned long long, unsigned, void*) { return 0; },
        nullptr);
    best = std::min(best, thread_cpu_time() - start);
  }
  return static_cast<uint64_t>(best.count());
}

bool is_quick(const Rule& rule, const hs_database_t* database, uint64_t scan_ns_max,
              std::vector<settings::Error>& errors) {
  hs_scratch_t* raw = nullptr;
  if (hs_alloc_scratch(database, &raw) != HS_SUCCESS) {
    errors.push_back(pattern_error(rule, "no memory to try it", "memory for a scratch area"));
    return false;
  }
  const std::unique_ptr<hs_scratch_t, FreeScratch> scratch(raw);
  static const std::string kTexts[] = {sip_like_text(), std::string(kTrialBytes, 'a'),
                                       std::string(kTrialBytes, '0')};
  for (const std::string& text : kTexts)
    if (const uint64_t ns = scan_ns(database, text, raw); ns > scan_ns_max) {
      errors.push_back(pattern_error(
          rule, fmt::format("a pattern that takes {} ns for {} bytes", ns, kTrialBytes),
          fmt::format("at most {} ns", scan_ns_max)));
      return false;
    }
  return true;
}

/// Hyperscan's own words; they hold the position where it has one ("... at index 4.").
std::string words_of(const hs_compile_error_t* error) {
  std::string_view words = error == nullptr ? "no memory" : error->message;
  while (words.ends_with('.') || words.ends_with(' ')) words.remove_suffix(1);
  return std::string(words);
}

settings::Error refusal(const Rule& rule, const hs_compile_error_t* error) {
  const toml::value<std::string> pattern(rule.pattern);
  return pattern_error(rule, settings::describe(pattern),
                       "a pattern that Hyperscan takes: " + words_of(error));
}

bool check_expression(const Rule& rule, std::vector<settings::Error>& errors) {
  const uint64_t positions = pattern_positions(rule.pattern);
  if (positions > kPatternPositionsMax) {
    errors.push_back(
        pattern_error(rule, fmt::format("{} characters with its repeats written out", positions),
                      fmt::format("at most {}", kPatternPositionsMax)));
    return false;
  }
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* raw = nullptr;
  const hs_error_t result = hs_expression_info(rule.pattern.c_str(), kFlags, &info, &raw);
  const CompileError error(raw);
  if (result != HS_SUCCESS) {
    errors.push_back(refusal(rule, error.get()));
    return false;
  }
  const bool matches_nothing = info->min_width == 0;
  std::free(info);
  if (!matches_nothing) return true;
  const toml::value<std::string> pattern(rule.pattern);
  errors.push_back(pattern_error(rule, settings::describe(pattern),
                                 "a pattern that does not match the empty text"));
  return false;
}

}  // namespace

std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

settings::Error pattern_error(const Rule& rule, std::string found, std::string allowed) {
  return {rule.file,        rule.line,         rule.column, "rule " + rule.name + ".pattern",
          std::move(found), std::move(allowed)};
}

bool check_pattern(const Rule& rule, uint32_t scan_ns_max, std::vector<settings::Error>& errors) {
  if (!check_expression(rule, errors)) return false;
  const auto start = thread_cpu_time();
  hs_database_t* raw = nullptr;
  hs_compile_error_t* raw_error = nullptr;
  const hs_error_t result =
      hs_compile(rule.pattern.c_str(), kFlags, HS_MODE_BLOCK, nullptr, &raw, &raw_error);
  const CompileError error(raw_error);
  if (result != HS_SUCCESS) {
    errors.push_back(refusal(rule, error.get()));
    return false;
  }
  const std::unique_ptr<hs_database_t, decltype(&hs_free_database)> database(raw, hs_free_database);
  const auto took = std::chrono::ceil<std::chrono::milliseconds>(thread_cpu_time() - start).count();
  if (took > kPatternCompileMsMax) {
    errors.push_back(pattern_error(rule, fmt::format("a pattern that took {} ms to compile", took),
                                   fmt::format("at most {} ms", kPatternCompileMsMax)));
    return false;
  }
  size_t bytes = 0;
  hs_database_size(raw, &bytes);
  if (bytes > kPatternDatabaseBytesMax) {
    errors.push_back(pattern_error(rule, fmt::format("a pattern of {} bytes compiled", bytes),
                                   fmt::format("at most {} bytes", kPatternDatabaseBytesMax)));
    return false;
  }
  return is_quick(rule, raw, scan_ns_max, errors);
}

bool SignatureDatabase::compile(std::span<const Pattern> patterns,
                                std::vector<settings::Error>& errors) {
  std::vector<const char*> texts;
  std::vector<unsigned> numbers;
  for (const Pattern& pattern : patterns) {
    texts.push_back(pattern.text);
    numbers.push_back(pattern.number);
  }
  const std::vector<unsigned> flags(patterns.size(), kFlags);
  hs_database_t* raw = nullptr;
  hs_compile_error_t* raw_error = nullptr;
  const hs_error_t result = hs_compile_multi(texts.data(), flags.data(), numbers.data(),
                                             static_cast<unsigned>(texts.size()), HS_MODE_BLOCK,
                                             nullptr, &raw, &raw_error);
  const CompileError error(raw_error);
  if (result != HS_SUCCESS) {
    const int at = error == nullptr ? 0 : std::max(error->expression, 0);
    errors.push_back(refusal(*patterns[static_cast<size_t>(at)].rule, error.get()));
    return false;
  }
  database_.reset(raw);
  if (bytes() <= kDatabaseBytesMax) return true;
  errors.push_back(pattern_error(
      *patterns.front().rule,
      fmt::format("{} bytes for the {} patterns of its place", bytes(), patterns.size()),
      fmt::format("at most {} bytes", kDatabaseBytesMax)));
  database_.reset();
  return false;
}

size_t SignatureDatabase::bytes() const {
  size_t bytes = 0;
  if (database_ != nullptr) hs_database_size(database_.get(), &bytes);
  return bytes;
}

}  // namespace gmesp::screen
