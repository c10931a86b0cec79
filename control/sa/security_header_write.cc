// Writing: canonical text of a list.
#include <charconv>

#include "control/sa/security_header.h"

namespace gmesp::sa {
namespace {

constexpr std::string_view kBetweenEntries = ", ";

void append_number(std::string& text, uint32_t number, size_t digits_min) {
  char digits[10];  // of 4294967295
  const char* end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  const auto count = static_cast<size_t>(end - digits);
  if (count < digits_min) text.append(digits_min - count, '0');
  text.append(digits, count);
}

/// As few decimals as do.
void append_preference(std::string& text, uint16_t q_thousandths) {
  append_number(text, q_thousandths / 1000u, 1);
  if (q_thousandths % 1000u == 0) return;
  text += '.';
  append_number(text, q_thousandths % 1000u, 3);
  text.erase(text.find_last_not_of('0') + 1);
}

void append_entry(std::string& text, const SecurityEntry& entry) {
  if (!entry.is_usable()) {
    text += entry.unusable_text;
    return;
  }
  constexpr size_t kSpiDigits = 10;
  text += "ipsec-3gpp";
  if (entry.q_thousandths != kNoPreference) {
    text += ";q=";
    append_preference(text, entry.q_thousandths);
  }
  text += ";alg=";
  text += token(entry.algorithms.integrity);
  if (entry.algorithms.cipher != Cipher::kNull) {
    text += ";ealg=";
    text += token(entry.algorithms.cipher);
  }
  text += entry.is_udp_encapsulated ? ";prot=esp;mod=UDP-enc-tun" : ";prot=esp;mod=trans";
  text += ";spi-c=";
  append_number(text, entry.spi_c, kSpiDigits);
  text += ";spi-s=";
  append_number(text, entry.spi_s, kSpiDigits);
  text += ";port-c=";
  append_number(text, entry.port_c, 1);
  text += ";port-s=";
  append_number(text, entry.port_s, 1);
}

}  // namespace

void rank_as_written(std::span<SecurityEntry> entries) {
  const size_t step = entries.size() < 10 ? 100 : 10;
  size_t rank = entries.size();
  for (SecurityEntry& entry : entries) entry.q_thousandths = static_cast<uint16_t>(step * rank--);
}

std::string write_security_list(std::span<const SecurityEntry> entries) {
  constexpr size_t kEntryBytesUsual = 160;
  std::string text;
  text.reserve(entries.size() * kEntryBytesUsual);
  for (const SecurityEntry& entry : entries) {
    if (!text.empty()) text += kBetweenEntries;
    append_entry(text, entry);
  }
  return text;
}

bool mirrors_bytewise(std::string_view sent, std::span<const std::string_view> returned) {
  bool is_first = true;
  for (const std::string_view line : returned) {
    if (!is_first) {
      if (!sent.starts_with(kBetweenEntries)) return false;
      sent.remove_prefix(kBetweenEntries.size());
    }
    is_first = false;
    if (!sent.starts_with(line)) return false;
    sent.remove_prefix(line.size());
  }
  return sent.empty();
}

}  // namespace gmesp::sa
