// Rules of the SIP screen as a TOML file of [[rule]] tables.
//
// Threading: pure functions. Errors: all of a file at once, returned; a file with one error gives
// no rule at all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/settings/error.h"
#include "dataplane/screen/rule.h"

namespace gmesp::screen {

inline constexpr size_t kRulesMax = 2000;
inline constexpr size_t kRuleNameBytesMax = 32;
inline constexpr size_t kPatternBytesMax = 1024;
inline constexpr size_t kHeaderNameBytesMax = 64;
inline constexpr size_t kCommentBytesMax = 400;
inline constexpr uint32_t kPerSecondMax = 100'000;

struct RuleFile {
  std::vector<Rule> rules;
  std::vector<settings::Error> errors;
};

/// `file` is what errors name. Rules without an action of their own take `action`, which is how the
/// shipped rules are turned off, counted or dropped as a whole.
RuleFile parse_rules(std::string_view text, const std::string& file, RuleAction action);

/// The same for a file of at most settings::kFileBytesMax.
RuleFile read_rules(const std::string& path, RuleAction action);

std::string_view action_name(RuleAction action);
/// An action that rules without one may take: all but "rate-limit". False: `name` is none.
bool action_of(std::string_view name, RuleAction& action);
std::string_view place_name(RulePlace place);
/// "clear", "protected" or "both".
std::string_view sides_name(uint8_t sides);

}  // namespace gmesp::screen
