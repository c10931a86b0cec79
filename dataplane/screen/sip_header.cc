// Header fields: where one ends, and what its name means.
#include "dataplane/screen/sip_header.h"

#include <array>

#include "dataplane/screen/sip_text.h"

namespace gmesp::screen {
namespace {

struct HeaderName {
  std::string_view small;
  char compact;  ///< 0: has none
  HeaderId id;
};

/// By first letter, compact forms with theirs. Compact forms are those of the IANA registry.
constexpr HeaderName kHeaderNames[] = {
    {"accept-contact", 'a', HeaderId::kAcceptContact},
    {"allow-events", 'u', HeaderId::kAllowEvents},
    {"call-id", 'i', HeaderId::kCallId},
    {"contact", 'm', HeaderId::kContact},
    {"content-encoding", 'e', HeaderId::kContentEncoding},
    {"content-length", 'l', HeaderId::kContentLength},
    {"content-type", 'c', HeaderId::kContentType},
    {"cseq", 0, HeaderId::kCseq},
    {"event", 'o', HeaderId::kEvent},
    {"from", 'f', HeaderId::kFrom},
    {"identity", 'y', HeaderId::kIdentity},
    {"identity-info", 'n', HeaderId::kIdentityInfo},
    {"refer-to", 'r', HeaderId::kReferTo},
    {"referred-by", 'b', HeaderId::kReferredBy},
    {"reject-contact", 'j', HeaderId::kRejectContact},
    {"request-disposition", 'd', HeaderId::kRequestDisposition},
    {"route", 0, HeaderId::kRoute},
    {"session-expires", 'x', HeaderId::kSessionExpires},
    {"subject", 's', HeaderId::kSubject},
    {"supported", 'k', HeaderId::kSupported},
    {"to", 't', HeaderId::kTo},
    {"via", 'v', HeaderId::kVia},
};

constexpr size_t kLetters = 'z' - 'a' + 1;

constexpr std::array<HeaderId, kLetters> kCompact = [] {
  std::array<HeaderId, kLetters> ids{};
  for (const HeaderName& name : kHeaderNames)
    if (name.compact != 0) ids[static_cast<size_t>(name.compact - 'a')] = name.id;
  return ids;
}();

/// kHeaderNames of letter L are [kFirst[L], kFirst[L + 1]).
constexpr std::array<uint8_t, kLetters + 1> kFirst = [] {
  std::array<uint8_t, kLetters + 1> first{};
  for (const HeaderName& name : kHeaderNames) ++first[static_cast<size_t>(name.small[0] - 'a') + 1];
  for (size_t letter = 1; letter <= kLetters; ++letter)
    first[letter] = static_cast<uint8_t>(first[letter] + first[letter - 1]);
  return first;
}();

HeaderId id_of(std::string_view name) {
  const char initial = lower(name[0]);
  if (initial < 'a' || initial > 'z') return HeaderId::kOther;
  const auto letter = static_cast<size_t>(initial - 'a');
  if (name.size() == 1) return kCompact[letter];
  for (size_t i = kFirst[letter]; i < kFirst[letter + 1]; ++i)
    if (is_word(name, kHeaderNames[i].small)) return kHeaderNames[i].id;
  return HeaderId::kOther;
}

}  // namespace

size_t field_bytes(std::string_view rest) {
  size_t end = 0;
  do end = rest.find('\n', end) + 1;
  while (end != 0 && end < rest.size() && is_blank(rest[end]));
  return end < rest.size() ? end : 0;
}

HeaderField read_field(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == line.npos) return {HeaderId::kOther, {}, line};
  std::string_view name = line.substr(0, colon);
  while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
  if (!is_token(name)) return {HeaderId::kOther, {}, line};
  return {id_of(name), name, without_blanks_around(line.substr(colon + 1))};
}

bool HeaderFields::next(HeaderField& field) {
  if (rest_.empty()) return false;
  size_t bytes = field_bytes(rest_);
  if (bytes == 0) bytes = rest_.size();
  field = read_field(rest_.substr(0, bytes));
  rest_.remove_prefix(bytes);
  return true;
}

}  // namespace gmesp::screen
