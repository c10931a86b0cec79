#include "dataplane/screen/rule_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "control/settings/codec.h"
#include "control/settings/file.h"
#include "control/settings/reader.h"
#include "control/settings/text.h"

namespace gmesp::screen {
namespace {

constexpr std::pair<std::string_view, RuleAction> kActionNames[] = {
    {"off", RuleAction::kOff},
    {"count", RuleAction::kCount},
    {"event", RuleAction::kEvent},
    {"rate-limit", RuleAction::kRateLimit},
    {"drop", RuleAction::kDrop}};
constexpr std::pair<std::string_view, RulePlace> kPlaceNames[] = {
    {"request-line", RulePlace::kRequestLine},
    {"header", RulePlace::kHeader},
    {"headers", RulePlace::kHeaders},
    {"body", RulePlace::kBody},
    {"message", RulePlace::kMessage}};
constexpr std::pair<std::string_view, uint8_t> kSideNames[] = {
    {"clear", Rule::kClear},
    {"protected", Rule::kProtected},
    {"both", Rule::kClear | Rule::kProtected}};
constexpr std::pair<std::string_view, uint8_t> kKindNames[] = {
    {"requests", Rule::kRequest},
    {"responses", Rule::kResponse},
    {"both", Rule::kRequest | Rule::kResponse}};

bool is_pattern(std::string_view text) {
  return !text.empty() && text.size() <= kPatternBytesMax;
}

/// RFC 3261 25.1, `token`.
bool is_header_name(std::string_view text) {
  constexpr std::string_view kMarks = "-.!%*_+`'~";
  return !text.empty() && text.size() <= kHeaderNameBytesMax &&
         std::ranges::all_of(text, [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kMarks.find(c) != kMarks.npos;
         });
}

/// Comments reach terminals and logs.
bool is_comment(std::string_view text) {
  return !text.empty() && text.size() <= kCommentBytesMax &&
         std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

/// A rule and which of its keys the file has.
struct Entry {
  Rule rule;
  std::optional<RuleAction> action;
  std::optional<RulePlace> where;
  std::optional<uint32_t> per_second;
};

template <class Codec>
struct Optional {
  Codec codec;
  template <class Value>
  bool read(const toml::node& node, std::optional<Value>& value) const {
    Value found{};
    if (!codec.read(node, found)) return false;
    value = found;
    return true;
  }
  std::string allowed() const { return codec.allowed(); }
};

template <class Codec>
Optional(Codec) -> Optional<Codec>;

void read_entry(settings::Reader& reader, Entry& entry) {
  using namespace settings;
  Rule& rule = entry.rule;
  reader.key("name", rule.name, Text{is_instance_name, "1 to 32 letters, digits, '-' or '_'"}, "");
  reader.key("pattern", rule.pattern, Text{is_pattern, "1 to 1024 bytes of Hyperscan syntax"}, "");
  reader.key("where", entry.where, Optional{Choice<RulePlace>{kPlaceNames}}, "");
  reader.key("header", rule.header,
             Text{is_header_name, "the name of a header, a token of at most 64 bytes"}, "");
  reader.key("on", rule.sides, Choice<uint8_t>{kSideNames}, "");
  reader.key("messages", rule.kinds, Choice<uint8_t>{kKindNames}, "");
  reader.key("action", entry.action, Optional{Choice<RuleAction>{kActionNames}}, "");
  reader.key("per_second", entry.per_second, Optional{WholeNumber{1, kPerSecondMax}}, "");
  reader.key("comment", rule.comment,
             Text{is_comment, "1 to 400 bytes without control characters: why this rule"}, "");
}

/// What is wrong with keys that are each fine, or with one that is not there.
void check_entry(Entry& entry, const std::string& path, settings::Reader& reader) {
  Rule& rule = entry.rule;
  const auto missing = [&](const char* key, bool is_missing, const char* allowed) {
    const std::string full = path + '.' + key;
    if (is_missing && !reader.has_error_under(full)) reader.add(full, "nothing", allowed);
  };
  missing("name", rule.name.empty(), "a name for the rule");
  missing("comment", rule.comment.empty(), "why there is such a rule");
  missing("where", !entry.where, "the place to look at");
  if (!entry.where) return;
  const bool in_header = *entry.where == RulePlace::kHeader;
  missing("header", in_header && rule.header.empty(), "the name of a header");
  missing("pattern", !in_header && rule.pattern.empty(), "a pattern; only a header may have none");
  if (!in_header && !rule.header.empty())
    reader.add(path + ".header", settings::toml_quoted(rule.header),
               "no header without where = \"header\"");
  const bool is_limit = rule.action == RuleAction::kRateLimit;
  missing("per_second", is_limit && !entry.per_second, "a rate for action = \"rate-limit\"");
  if (!is_limit && entry.per_second)
    reader.add(path + ".per_second", std::to_string(*entry.per_second),
               "no rate without action = \"rate-limit\"");
  if (*entry.where == RulePlace::kRequestLine && rule.kinds == Rule::kResponse)
    reader.add(path + ".messages", "\"responses\"",
               "requests for where = \"request-line\", which responses have not");
}

std::string path_of(size_t index) {
  return fmt::format("rule[{}]", index);
}

void check_names(const std::vector<Entry>& entries, settings::Reader& reader) {
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string& name = entries[i].rule.name;
    if (name.empty()) continue;
    const auto [first, is_new] = seen.emplace(name, i);
    if (!is_new)
      reader.add(path_of(i) + ".name", settings::toml_quoted(name),
                 "a name that " + path_of(first->second) + " has not");
  }
}

/// "rule[3].where" says little in a file of hundreds: "rule[3] friendly-scanner.where".
void name_rules(std::vector<settings::Error>& errors, const std::vector<Entry>& entries) {
  constexpr std::string_view kBefore = "rule[";
  for (settings::Error& error : errors) {
    if (!error.key.starts_with(kBefore)) continue;
    size_t index = 0;
    const char* end = error.key.data() + error.key.size();
    const auto [stop, problem] = std::from_chars(error.key.data() + kBefore.size(), end, index);
    if (problem != std::errc{} || index >= entries.size()) continue;
    const std::string& name = entries[index].rule.name;
    const auto after = static_cast<size_t>(stop - error.key.data()) + 1;  // the bracket
    if (!name.empty()) error.key.insert(after, ' ' + name);
  }
}

void note_position(Rule& rule, const toml::table& table, const std::string& file) {
  const toml::node* pattern = table.get("pattern");
  const toml::source_position at = (pattern != nullptr ? pattern->source() : table.source()).begin;
  rule.file = file;
  rule.line = at.line;
  rule.column = at.column;
}

void finish_entries(std::vector<Entry>& entries, const toml::table& root, const std::string& file,
                    RuleAction action, settings::Reader& reader) {
  for (size_t i = 0; i < entries.size(); ++i) {
    Entry& entry = entries[i];
    entry.rule.action = entry.action.value_or(action);
    check_entry(entry, path_of(i), reader);
    entry.rule.where = entry.where.value_or(RulePlace::kMessage);
    entry.rule.per_second = entry.per_second.value_or(0);
    note_position(entry.rule, *root["rule"][i].as_table(), file);
  }
  check_names(entries, reader);
}

template <class Value, size_t kCount>
std::string_view name_of(const std::pair<std::string_view, Value> (&names)[kCount], Value value) {
  for (const auto& [name, meaning] : names)
    if (meaning == value) return name;
  return "";
}

}  // namespace

RuleFile parse_rules(std::string_view text, const std::string& file, RuleAction action) {
  RuleFile result;
  toml::table root;
  if (!settings::parse_toml(text, file, root, result.errors)) return result;
  const toml::array* tables = root["rule"].as_array();
  if (tables != nullptr && tables->size() > kRulesMax) {
    const toml::source_position at = tables->get(kRulesMax)->source().begin;
    result.errors.push_back({file, at.line, at.column, "rule",
                             fmt::format("{} rules", tables->size()),
                             fmt::format("at most {} rules", kRulesMax)});
    return result;
  }
  settings::Reader reader(root, file);
  std::vector<Entry> entries;
  reader.tables("rule", entries, "", [&](Entry& entry) { read_entry(reader, entry); });
  reader.finish();
  finish_entries(entries, root, file, action, reader);
  result.errors = reader.take_errors();
  name_rules(result.errors, entries);
  if (!result.errors.empty()) return result;
  result.rules.reserve(entries.size());
  for (Entry& entry : entries) result.rules.push_back(std::move(entry.rule));
  return result;
}

RuleFile read_rules(const std::string& path, RuleAction action) {
  RuleFile result;
  std::string text;
  if (!settings::read_file(path, text, result.errors)) return result;
  return parse_rules(text, path, action);
}

std::string_view action_name(RuleAction action) {
  return name_of(kActionNames, action);
}

bool action_of(std::string_view name, RuleAction& action) {
  for (const auto& [known, meaning] : kActionNames)
    if (name == known && meaning != RuleAction::kRateLimit) {
      action = meaning;
      return true;
    }
  return false;
}

std::string_view place_name(RulePlace place) {
  return name_of(kPlaceNames, place);
}

std::string_view sides_name(uint8_t sides) {
  return name_of(kSideNames, sides);
}

}  // namespace gmesp::screen
