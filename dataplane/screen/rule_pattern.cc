#include "dataplane/screen/rule_pattern.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <vector>

namespace gmesp::screen {
namespace {

constexpr uint64_t kLargest = UINT32_MAX;

uint64_t bounded(uint64_t positions) {
  return std::min(positions, kLargest);
}

/// "[]...]" and "[^]...]" hold the first bracket.
size_t class_bytes(std::string_view text) {
  size_t at = text.substr(1).starts_with('^') ? 2 : 1;
  if (at < text.size() && text[at] == ']') ++at;
  for (; at < text.size() && text[at] != ']'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

/// Of "(", "(?:", "(?i)" or "(?i-s:"; 0: another kind of group, or none.
size_t group_opening_bytes(std::string_view text) {
  if (!text.starts_with('(') || text.starts_with("(*")) return 0;
  if (!text.starts_with("(?")) return 1;
  const size_t end = text.find_first_not_of("ism-", 2);
  return end != text.npos && (text[end] == ':' || text[end] == ')') ? end + 1 : 0;
}

/// Of an atom or mark that means the same wherever it stands in a text; 0: one that may not.
size_t floating_bytes(std::string_view text) {
  constexpr std::string_view kSame = "wWdDsSbBxtrnfv";
  switch (text.front()) {
    case '^':
    case '$':
      return 0;
    case '(':
      return group_opening_bytes(text);
    case '[':
      return class_bytes(text);
    case '\\':
      if (text.size() < 2) return 0;
      return std::ispunct(static_cast<unsigned char>(text[1])) || kSame.find(text[1]) != kSame.npos
                 ? 2
                 : 0;
    default:
      return 1;
  }
}

bool is_boundary(std::string_view text) {
  return text.starts_with("\\b") || text.starts_with("\\B");
}

bool is_repeat(std::string_view text) {
  return !text.empty() && std::string_view("*+?{").find(text.front()) != std::string_view::npos;
}

/// Of floating_bytes(): stands for itself.
bool is_character(std::string_view atom) {
  if (atom.size() == 2) return std::ispunct(static_cast<unsigned char>(atom[1]));
  return atom.size() == 1 &&
         std::string_view(".|()[]{}*+?").find(atom[0]) == std::string_view::npos;
}

/// Walks over a pattern atom by atom; a repeat multiplies the atom or group before it.
class Walk {
 public:
  explicit Walk(std::string_view pattern) : rest_(pattern) {}

  uint64_t positions() {
    while (!rest_.empty()) step();
    while (groups_.size() > 1) close_group();
    return groups_.back();
  }

 private:
  void step() {
    switch (rest_.front()) {
      case '(':
        return open_group();
      case ')':
        skip(1);
        if (groups_.size() > 1) close_group();
        return;
      case '[':
        skip(class_bytes(rest_));
        return add(1);
      case '\\':
        return escape();
      case '{':
        return repeat();
      case '*':
      case '+':
      case '?':
      case '|':
        return skip(1);  // a loop or a choice has the positions of what it is about
      default:
        skip(1);
        add(1);
    }
  }

  void skip(size_t bytes) { rest_.remove_prefix(std::min(bytes, rest_.size())); }

  void add(uint64_t positions) {
    last_ = positions;
    groups_.back() = bounded(groups_.back() + positions);
  }

  void open_group() {
    skip(1);
    if (rest_.starts_with("?#")) return skip(bytes_until(')'));
    groups_.push_back(0);
    last_ = 0;
  }

  void close_group() {
    const uint64_t inside = groups_.back();
    groups_.pop_back();
    add(inside);
  }

  size_t bytes_until(char end) const {
    const size_t at = rest_.find(end);
    return at == rest_.npos ? rest_.size() : at + 1;
  }

  /// "\x{41}" is one position; what else follows a backslash is counted more than once at worst.
  void escape() {
    const bool has_braces =
        rest_.size() > 2 && rest_[2] == '{' && std::string_view("xopPN").find(rest_[1]) < 5;
    skip(has_braces ? bytes_until('}') : 2);
    add(1);
  }

  void repeat() {
    uint64_t first = 0;
    const char* end = rest_.data() + rest_.size();
    const auto [after_first, is_number] = std::from_chars(rest_.data() + 1, end, first);
    uint64_t most = first;
    const char* at = after_first;
    if (is_number == std::errc{} && at != end && *at == ',') {
      const auto [after_second, has_second] = std::from_chars(at + 1, end, most);
      at = has_second == std::errc{} ? after_second : at + 1;
    }
    if (is_number != std::errc{} || at == end || *at != '}') {
      skip(1);
      return add(1);  // a brace that repeats nothing is itself
    }
    skip(static_cast<size_t>(at - rest_.data()) + 1);
    multiply(std::max<uint64_t>(most, 1));
  }

  void multiply(uint64_t times) {
    const uint64_t all = bounded(bounded(times) * last_);
    groups_.back() = bounded(groups_.back() + all - last_);
    last_ = all;
  }

  std::string_view rest_;
  std::vector<uint64_t> groups_{0};  ///< positions so far, innermost group last
  uint64_t last_ = 0;                ///< of the atom or group that a repeat would be about
};

}  // namespace

uint64_t pattern_positions(std::string_view pattern) {
  return Walk(pattern).positions();
}

std::string pattern_anywhere(std::string_view pattern) {
  const size_t flags = group_opening_bytes(pattern);
  const bool has_flags = flags > 1 && pattern[flags - 1] == ')';
  std::string anywhere(has_flags ? pattern.substr(0, flags) : "");
  std::string_view rest = pattern.substr(anywhere.size());
  if (rest.starts_with('^')) rest.remove_prefix(1);
  while (!rest.empty()) {
    if (rest == "$") return anywhere;
    const bool is_left_out = is_boundary(rest);
    const size_t bytes = floating_bytes(rest);
    if (bytes == 0 || bytes > rest.size()) return "";
    if (!is_left_out) anywhere += rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    if (is_left_out && is_repeat(rest)) return "";  // it would be about what stands before
  }
  return anywhere;
}

std::string pattern_word(std::string_view anywhere) {
  std::string longest, word;
  size_t depth = 0;
  for (std::string_view rest = anywhere; !rest.empty();) {
    if (rest.front() == '|' && depth == 0) return "";
    const size_t bytes = rest.front() == ')' ? 1 : floating_bytes(rest);
    const std::string_view atom = rest.substr(0, bytes);
    rest.remove_prefix(atom.size());
    if (atom.front() == '(' && !atom.ends_with(')')) ++depth;
    if (atom == ")") --depth;
    if (depth == 0 && is_character(atom) && !is_repeat(rest)) {
      word += atom.back();
      if (word.size() > longest.size()) longest = word;
    } else {
      word.clear();
    }
  }
  return longest;
}

}  // namespace gmesp::screen
