// Reading: the text is cut into parameters (HeaderText), and the parameters of an entry are given
// their meaning (EntryReader).
#include <algorithm>
#include <array>

#include "control/sa/security_header.h"

namespace gmesp::sa {
namespace {

constexpr std::string_view kMechanism = "ipsec-3gpp";

/// RFC 3261 25.1: blanks, with line folding.
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// RFC 3261 25.1: token, and what a host may hold beside (gen-value).
constexpr std::array<bool, 256> kIsTokenByte = [] {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (const char c : std::string_view("-.!%*_+`'~[]:")) table[static_cast<uint8_t>(c)] = true;
  return table;
}();

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// `small` is in small letters.
bool is_word(std::string_view text, std::string_view small) {
  return text.size() == small.size() &&
         std::equal(text.begin(), text.end(), small.begin(),
                    [](char one, char other) { return lower(one) == other; });
}

struct Parameter {
  std::string_view name;
  std::string_view value;  ///< with its quotes; empty: there is none
};

/// One header line, taken apart from left to right.
class HeaderText {
 public:
  explicit HeaderText(std::string_view line) : at_(line.data()), end_(line.data() + line.size()) {}

  bool is_at_end() {
    skip_blanks();
    return at_ == end_;
  }

  /// `separator`, with the blanks around it.
  bool take(char separator) {
    if (is_at_end() || *at_ != separator) return false;
    ++at_;
    skip_blanks();
    return true;
  }

  HeaderError take_token(std::string_view& token, HeaderError if_missing) {
    skip_blanks();
    const char* const begin = at_;
    const char* at = begin;
    while (at != end_ && kIsTokenByte[static_cast<uint8_t>(*at)]) ++at;
    at_ = at;
    return accept(begin, token, if_missing);
  }

  HeaderError take_parameter(Parameter& parameter) {
    parameter.value = {};
    if (const HeaderError error = take_token(parameter.name, HeaderError::kNameMissing);
        error != HeaderError::kNone)
      return error;
    if (!take('=')) return HeaderError::kNone;
    if (at_ != end_ && *at_ == '"') return take_quoted(parameter.value);
    return take_token(parameter.value, HeaderError::kValueMissing);
  }

 private:
  void skip_blanks() {
    while (at_ != end_ && is_blank(*at_)) ++at_;
  }

  HeaderError accept(const char* begin, std::string_view& token, HeaderError if_missing) {
    token = {begin, static_cast<size_t>(at_ - begin)};
    if (token.empty()) return if_missing;
    return token.size() <= kTokenBytesMax ? HeaderError::kNone : HeaderError::kTokenTooLong;
  }

  HeaderError take_quoted(std::string_view& token) {
    const char* begin = at_++;
    for (; at_ != end_ && *at_ != '"'; ++at_) {
      if (*at_ == '\\' && ++at_ == end_) return HeaderError::kQuoteBad;
      const auto byte = static_cast<uint8_t>(*at_);
      if ((byte < ' ' && byte != '\t') || byte == 0x7f) return HeaderError::kQuoteBad;
    }
    if (at_ == end_) return HeaderError::kQuoteBad;
    ++at_;
    return accept(begin, token, HeaderError::kValueMissing);
  }

  const char* at_;
  const char* end_;
};

/// Annex H: SPIs have ten digits, others send fewer; so ten are enough for ports too.
bool read_number(std::string_view text, uint64_t max, uint64_t& number) {
  constexpr size_t kDigitsMax = 10;
  if (text.empty() || text.size() > kDigitsMax) return false;
  number = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  return number <= max;
}

/// qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
bool read_preference(std::string_view text, uint16_t& q_thousandths) {
  constexpr size_t kBytesMax = 5;
  if (text.empty() || text.size() > kBytesMax || !is_digit(text[0])) return false;
  if (text.size() > 1 && text[1] != '.') return false;
  int q = (text[0] - '0') * 1000;
  int weight = 100;
  for (size_t i = 2; i < text.size(); ++i, weight /= 10) {
    if (!is_digit(text[i])) return false;
    q += (text[i] - '0') * weight;
  }
  q_thousandths = static_cast<uint16_t>(q);
  return q <= 1000;
}

/// What the parameters of one ipsec-3gpp entry mean.
class EntryReader {
 public:
  explicit EntryReader(SecurityEntry& entry) : entry_(entry) {}

  void read(const Parameter& parameter) {
    const uint32_t known = read_known(parameter.name, parameter.value);
    if ((seen_ & known) != 0) find(HeaderError::kParameterDoubled);
    seen_ |= known;
  }

  /// The heaviest flaw.
  HeaderError finish() {
    if ((seen_ & kAlg) == 0) find(HeaderError::kAlgorithmMissing);
    if ((seen_ & kSpiC) == 0 || (seen_ & kSpiS) == 0) find(HeaderError::kSpiMissing);
    if ((seen_ & kPortC) == 0 || (seen_ & kPortS) == 0) find(HeaderError::kPortMissing);
    return flaw_;
  }

 private:
  enum Known : uint32_t {
    kNothing = 0,
    kAlg = 1,
    kEalg = 2,
    kProt = 4,
    kMod = 8,
    kQ = 16,
    kSpiC = 32,
    kSpiS = 64,
    kPortC = 128,
    kPortS = 256,
  };

  void find(HeaderError flaw) { flaw_ = std::max(flaw_, flaw); }

  Known read_known(std::string_view name, std::string_view value) {
    if (is_word(name, "spi-c")) return read_spi(kSpiC, value, entry_.spi_c);
    if (is_word(name, "spi-s")) return read_spi(kSpiS, value, entry_.spi_s);
    if (is_word(name, "port-c")) return read_port(kPortC, value, entry_.port_c);
    if (is_word(name, "port-s")) return read_port(kPortS, value, entry_.port_s);
    if (is_word(name, "alg")) return read_integrity(value);
    if (is_word(name, "ealg")) return read_cipher(value);
    if (is_word(name, "mod")) return read_mode(value);
    if (is_word(name, "prot")) {
      if (!is_word(value, "esp")) find(HeaderError::kProtocolNotEsp);
      return kProt;
    }
    if (is_word(name, "q")) {
      if (!read_preference(value, entry_.q_thousandths)) find(HeaderError::kPreferenceBad);
      return kQ;
    }
    find(HeaderError::kUnknownParameter);
    return kNothing;
  }

  Known read_spi(Known which, std::string_view value, uint32_t& spi) {
    uint64_t number = 0;
    if (!read_number(value, UINT32_MAX, number)) find(HeaderError::kSpiUnreadable);
    spi = static_cast<uint32_t>(number);
    return which;
  }

  Known read_port(Known which, std::string_view value, uint16_t& port) {
    uint64_t number = 0;
    if (!read_number(value, UINT16_MAX, number)) find(HeaderError::kPortUnreadable);
    port = static_cast<uint16_t>(number);
    return which;
  }

  Known read_integrity(std::string_view value) {
    for (const Integrity integrity : {Integrity::kHmacSha1_96, Integrity::kHmacMd5_96})
      if (is_word(value, token(integrity))) {
        entry_.algorithms.integrity = integrity;
        return kAlg;
      }
    find(HeaderError::kUnknownValue);
    return kAlg;
  }

  Known read_cipher(std::string_view value) {
    for (const Cipher cipher : {Cipher::kAesCbc, Cipher::kDesEde3Cbc, Cipher::kNull})
      if (is_word(value, token(cipher))) {
        entry_.algorithms.cipher = cipher;
        return kEalg;
      }
    find(HeaderError::kUnknownValue);
    return kEalg;
  }

  Known read_mode(std::string_view value) {
    entry_.is_udp_encapsulated = is_word(value, "udp-enc-tun");
    if (!entry_.is_udp_encapsulated && !is_word(value, "trans")) find(HeaderError::kModeNotAllowed);
    return kMod;
  }

  SecurityEntry& entry_;
  uint32_t seen_ = kNothing;
  HeaderError flaw_ = HeaderError::kNone;
};

void append_small(std::string& text, std::string_view token) {
  const bool is_quoted = !token.empty() && token.front() == '"';
  for (const char c : token) text += is_quoted ? c : lower(c);
}

bool states_default(const Parameter& parameter) {
  return (is_word(parameter.name, "prot") && is_word(parameter.value, "esp")) ||
         (is_word(parameter.name, "mod") && is_word(parameter.value, "trans")) ||
         (is_word(parameter.name, "ealg") && is_word(parameter.value, "null"));
}

/// SecurityEntry::unusable_text. Doubled parameters all stay, in their order.
std::string unusable_text(std::string_view mechanism, std::span<Parameter> parameters,
                          HeaderError flaw) {
  const bool has_defaults =
      flaw != HeaderError::kOtherMechanism && flaw != HeaderError::kParameterDoubled;
  std::stable_sort(
      parameters.begin(), parameters.end(), [](const Parameter& one, const Parameter& other) {
        return std::ranges::lexicographical_compare(one.name, other.name, {}, lower, lower);
      });
  std::string text;
  append_small(text, mechanism);
  for (const Parameter& parameter : parameters) {
    if (has_defaults && states_default(parameter)) continue;
    text += ';';
    append_small(text, parameter.name);
    if (parameter.value.empty()) continue;
    text += '=';
    append_small(text, parameter.value);
  }
  return text;
}

SecurityEntry make_entry(std::string_view mechanism, std::span<Parameter> parameters) {
  SecurityEntry entry;
  HeaderError flaw = HeaderError::kOtherMechanism;
  if (is_word(mechanism, kMechanism)) {
    EntryReader reader(entry);
    for (const Parameter& parameter : parameters) reader.read(parameter);
    flaw = reader.finish();
  }
  if (flaw == HeaderError::kNone) return entry;
  SecurityEntry unusable;
  unusable.flaw = flaw;
  unusable.unusable_text = unusable_text(mechanism, parameters, flaw);
  return unusable;
}

HeaderError parse_line(HeaderText text, std::vector<SecurityEntry>& entries) {
  std::array<Parameter, kParametersMax> parameters;
  do {
    if (entries.size() == kEntriesMax) return HeaderError::kTooManyEntries;
    std::string_view mechanism;
    if (const HeaderError error = text.take_token(mechanism, HeaderError::kNameMissing);
        error != HeaderError::kNone)
      return error;
    size_t count = 0;
    while (text.take(';')) {
      if (count == parameters.size()) return HeaderError::kTooManyParameters;
      if (const HeaderError error = text.take_parameter(parameters[count++]);
          error != HeaderError::kNone)
        return error;
    }
    entries.push_back(make_entry(mechanism, std::span(parameters).first(count)));
  } while (text.take(','));
  return text.is_at_end() ? HeaderError::kNone : HeaderError::kSeparatorMissing;
}

}  // namespace

HeaderError parse_security_list(std::span<const std::string_view> header_lines,
                                SecurityList& list) {
  list.entries.clear();
  if (header_lines.empty()) return HeaderError::kEmpty;
  size_t bytes = 0;
  for (const std::string_view line : header_lines)
    if (line.size() > kHeaderBytesMax || (bytes += line.size()) > kHeaderBytesMax)
      return HeaderError::kTextTooLong;
  constexpr size_t kEntriesUsual = 8;
  list.entries.reserve(kEntriesUsual);
  for (const std::string_view line : header_lines)
    if (const HeaderError error = parse_line(HeaderText(line), list.entries);
        error != HeaderError::kNone) {
      list.entries.clear();
      return error;
    }
  return HeaderError::kNone;
}

}  // namespace gmesp::sa
