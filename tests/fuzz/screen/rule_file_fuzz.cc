// Any bytes as a rule file: no crash, errors have a text, and what is accepted keeps the bounds.
// Patterns are sized, which is what stands between a file and Hyperscan's compiler.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dataplane/screen/rule_file.h"
#include "dataplane/screen/rule_pattern.h"

using namespace gmesp::screen;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (pattern_positions(text) > UINT32_MAX) std::abort();
  const RuleFile file = parse_rules(text, "fuzz.toml", RuleAction::kCount);
  for (const gmesp::settings::Error& error : file.errors)
    if (to_string(error).empty() || error.allowed.empty()) std::abort();
  if (!file.errors.empty() && !file.rules.empty()) std::abort();
  for (const Rule& rule : file.rules) {
    const bool has_header = rule.where == RulePlace::kHeader;
    if (rule.name.empty() || rule.name.size() > kRuleNameBytesMax || rule.comment.empty() ||
        rule.pattern.size() > kPatternBytesMax || rule.header.empty() == has_header ||
        (rule.pattern.empty() && !has_header) ||
        (rule.per_second != 0) != (rule.action == RuleAction::kRateLimit))
      std::abort();
    if (pattern_positions(rule.pattern) > UINT32_MAX) std::abort();
  }
  return 0;
}
