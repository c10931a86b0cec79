// What the readers of SIP text share: bytes, words whose case does not count, numbers (RFC
// 3261 25.1).
//
// Threading: pure functions. Errors: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gmesp::screen {

/// Blanks of a line (WSP).
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Blanks of a header value, whose folds are blanks too (LWS).
constexpr bool is_folding_blank(char c) {
  return is_blank(c) || c == '\r' || c == '\n';
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

inline constexpr std::array<bool, 256> kIsTokenByte = [] {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (const char c : std::string_view("-.!%*_+`'~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}();

constexpr bool is_token(std::string_view text) {
  for (const char c : text)
    if (!kIsTokenByte[static_cast<uint8_t>(c)]) return false;
  return !text.empty();
}

/// `small` is in small letters.
constexpr bool starts_with_word(std::string_view text, std::string_view small) {
  if (text.size() < small.size()) return false;
  for (size_t i = 0; i < small.size(); ++i)
    if (lower(text[i]) != small[i]) return false;
  return true;
}

/// `small` is in small letters.
constexpr bool is_word(std::string_view text, std::string_view small) {
  return text.size() == small.size() && starts_with_word(text, small);
}

constexpr std::string_view without_blanks_before(std::string_view text) {
  while (!text.empty() && is_folding_blank(text.front())) text.remove_prefix(1);
  return text;
}

constexpr std::string_view without_blanks_around(std::string_view text) {
  while (!text.empty() && is_folding_blank(text.back())) text.remove_suffix(1);
  return without_blanks_before(text);
}

/// One or more digits, `digits_max` (at most nine) of them at most.
constexpr bool read_number(std::string_view text, size_t digits_max, uint32_t& number) {
  if (text.empty() || text.size() > digits_max) return false;
  number = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  return true;
}

}  // namespace gmesp::screen
