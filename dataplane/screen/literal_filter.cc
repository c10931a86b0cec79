#include "dataplane/screen/literal_filter.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/screen/sip_text.h"

namespace gmesp::screen {
namespace {

constexpr size_t kLanes = 32;

/// Capital letters become small ones; what this does to other bytes makes a few of them alike.
constexpr uint32_t kSmall = 0x20202020;

/// How often bytes are in SIP: those of start lines and headers as phones write them.
constexpr std::string_view kSipLike =
    "REGISTER sip:home1.net SIP/2.0 Via: SIP/2.0/UDP "
    "[2001:db8::1]:5062;branch=z9hG4bKnashds7;rport "
    "Max-Forwards: 70 Route: <sip:pcscf1.home1.net:5062;lr> From: <sip:user1_public1@home1.net>;"
    "tag=4fa3 To: <sip:+12125551212@ims.mnc001.mcc001.3gppnetwork.org;user=phone> Call-ID: "
    "cb03a0s09a"
    " CSeq: 127 INVITE Contact: "
    "<sip:10.0.0.1:5060>;expires=600000;+sip.instance=\"<urn:gsma:imei:35"
    "824005-944763-0>\" P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620112340000123"
    " Security-Verify: ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=98;port-s=5067 Supported: "
    "100"
    "rel,path,sec-agree Allow: INVITE,ACK,CANCEL,BYE,UPDATE,PRACK,NOTIFY,MESSAGE Accept-Contact: "
    "*;+"
    "g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\" User-Agent: IMS Phone Content-"
    "Type: application/sdp Content-Length: 0 Authorization: Digest username realm nonce response "
    "P-Preferred-Identity: P-Preferred-Service: Privacy: Require: Session-Expires: Min-SE: Event: "
    "reg"
    " Subscription-State: Expires: RAck: RSeq: Reason: Refer-To: Referred-By: Record-Route: "
    "Accept: "
    "P-Early-Media: Geolocation: History-Info: P-Emergency-Info: Server: Warning: Retry-After: "
    "Path: "
    "Service-Route: P-Associated-URI: WWW-Authenticate: auth-int algorithm=AKAv1-MD5 "
    "Cellular-Network"
    "-Info: Target-Dialog: Replaces: Contact Feature-Caps: Resource-Priority: Session-ID: "
    "Timestamp:";

bool is_same(char a, char b) {
  return (a | 0x20) == (b | 0x20);
}

/// How near `bytes` is to what kSipLike says.
uint64_t likeness(std::string_view bytes) {
  const auto* at =
      std::search(kSipLike.begin(), kSipLike.end(), bytes.begin(), bytes.end(), is_same);
  if (at != kSipLike.end()) return UINT64_MAX;
  uint64_t likeness = 1;
  for (const char c : bytes)
    likeness *= 1 + static_cast<uint64_t>(std::ranges::count_if(
                        kSipLike, [c](char other) { return is_same(c, other); }));
  return likeness;
}

/// The `bytes` of `word` that are least like SIP.
std::string_view rarest(std::string_view word, size_t bytes) {
  std::string_view rarest = word.substr(0, bytes);
  for (size_t at = 1; at + bytes <= word.size(); ++at)
    if (likeness(word.substr(at, bytes)) < likeness(rarest)) rarest = word.substr(at, bytes);
  return rarest;
}

/// The bit of the line end before it; 0: there is none.
uint32_t first_empty_line(const char* text, uint32_t lines) {
  for (; lines != 0; lines &= lines - 1) {
    const char* next = text + std::countr_zero(lines) + 1;
    if (*next == '\n' || (*next == '\r' && next[1] == '\n')) return lines & -lines;
  }
  return 0;
}

uint32_t load(const char* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word | kSmall;
}

}  // namespace

LiteralFilter::LiteralFilter() {
  const auto put_lines = [this](char byte, size_t place) {
    lower_[place][byte & 0x0f] |= kLines;
    upper_[place][byte >> 4] |= kLines;
  };
  put_lines('\n', 0);
  for (const char byte : {' ', '\t', '\r', '\n'}) put_lines(byte, 1);
  for (size_t place = kUpperHalves; place < kWordBytesMin; ++place)
    for (Groups& groups : lower_[place]) groups |= kLines;
}

uint32_t LiteralFilter::key_of(uint32_t word) {
  constexpr uint32_t kOdd = 0x9e3779b1;
  return word * kOdd >> (32 - std::countr_zero(kKeys));
}

void LiteralFilter::add(std::string_view word) {
  const auto is_ascii = [](char c) { return static_cast<uint8_t>(c) < 0x80; };
  if (word.size() < kWordBytesMin || words_ == kWordsMax || !std::ranges::all_of(word, is_ascii))
    is_complete_ = false;
  if (!is_complete_) return;
  ++words_;
  const std::string_view bytes = rarest(word, kWordBytesMin);
  keys_.set(key_of(load(bytes.data())));
  LiteralFilter best;
  size_t fewest = SIZE_MAX;
  for (size_t group = 0; group < kGroups; ++group) {
    LiteralFilter with = *this;
    with.put(bytes, static_cast<Groups>(1 << group));
    if (const size_t candidates = with.candidates_in_sip(); candidates < fewest) {
      fewest = candidates;
      best = with;
    }
  }
  *this = best;
}

void LiteralFilter::put(std::string_view bytes, Groups group) {
  for (size_t place = 0; place < kWordBytesMin; ++place)
    for (const int byte : {bytes[place] | 0x20, bytes[place] & ~0x20}) {
      lower_[place][byte & 0x0f] |= group;
      if (place < kUpperHalves) upper_[place][byte >> 4] |= group;
    }
}

/// Places in kSipLike that the halves do not rule out.
size_t LiteralFilter::candidates_in_sip() const {
  size_t candidates = 0;
  for (size_t at = 0; at + kWordBytesMin <= kSipLike.size(); ++at) {
    Groups groups = 0xff;
    for (size_t place = 0; place < kWordBytesMin; ++place) {
      const auto byte = static_cast<uint8_t>(kSipLike[at + place]);
      groups &= lower_[place][byte & 0x0f];
      if (place < kUpperHalves) groups &= upper_[place][byte >> 4];
    }
    candidates += groups != 0;
  }
  return candidates;
}

bool LiteralFilter::is_useful() const {
  static const bool has_vectors = __builtin_cpu_supports("avx2");
  return is_complete_ && words_ != 0 && has_vectors;
}

/// Code of its own for CPUs that have it; the rest of the program needs none of them.
#define GMESP_AVX2 __attribute__((target("avx2"), always_inline)) inline

namespace {

using Halves = std::array<uint8_t, 16>;

GMESP_AVX2 __m256i table(const Halves& halves) {
  return _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(halves.data())));
}

GMESP_AVX2 __m256i bytes_at(const char* text) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
}

/// By their lower halves; none for what is not ASCII.
GMESP_AVX2 __m256i lower_groups(__m256i bytes, __m256i lower) {
  return _mm256_shuffle_epi8(lower, bytes);
}

GMESP_AVX2 __m256i groups_of(__m256i bytes, __m256i lower, __m256i upper) {
  const __m256i upper_half = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
  return _mm256_and_si256(lower_groups(bytes, lower), _mm256_shuffle_epi8(upper, upper_half));
}

GMESP_AVX2 uint32_t mask_of(__m256i lanes) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(lanes));
}

}  // namespace

/// Words and lines that begin at one of the first `starts` bytes, a multiple of kLanes; three bytes
/// behind them are read.
__attribute__((target("avx2"))) LiteralFilter::Answer LiteralFilter::look_at(const char* text,
                                                                             size_t starts,
                                                                             bool only_head) const {
  static_assert(kWordBytesMin == 4 && kUpperHalves == 2);
  const __m256i lower0 = table(lower_[0]), upper0 = table(upper_[0]), lower1 = table(lower_[1]),
                upper1 = table(upper_[1]), lower2 = table(lower_[2]), lower3 = table(lower_[3]);
  for (const char* at = text; at < text + starts; at += kLanes) {
    const __m256i first = bytes_at(at), second = bytes_at(at + 1);
    const __m256i groups = _mm256_and_si256(
        _mm256_and_si256(groups_of(first, lower0, upper0), groups_of(second, lower1, upper1)),
        _mm256_and_si256(lower_groups(bytes_at(at + 2), lower2),
                         lower_groups(bytes_at(at + 3), lower3)));
    if (_mm256_testz_si256(groups, groups)) continue;
    const __m256i of_words = _mm256_and_si256(groups, _mm256_set1_epi8(kLines - 1));
    const uint32_t words = ~mask_of(_mm256_cmpeq_epi8(of_words, _mm256_setzero_si256()));
    const Answer answer = look_closely(at, words, mask_of(groups), only_head);
    if (answer != Answer::kGoOn) return answer;
  }
  return Answer::kGoOn;
}

/// `words`: a bit for each place where one may begin; `lines`: for each line end behind which a
/// header field may not begin.
LiteralFilter::Answer LiteralFilter::look_closely(const char* text, uint32_t words, uint32_t lines,
                                                  bool only_head) const {
  const uint32_t head_end = only_head ? first_empty_line(text, lines) : 0;
  if (head_end != 0) {
    words &= head_end - 1;
    lines &= head_end - 1;
  }
  for (; words != 0; words &= words - 1)
    if (keys_[key_of(load(text + std::countr_zero(words)))]) return Answer::kSomething;
  for (; lines != 0; lines &= lines - 1)
    if (is_blank(text[std::countr_zero(lines) + 1])) return Answer::kSomething;
  return head_end != 0 ? Answer::kNothing : Answer::kGoOn;
}

bool LiteralFilter::may_hold(std::string_view text, bool only_head) const {
  constexpr size_t kBehind = kWordBytesMin - 1;
  if (only_head) text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
  const size_t starts = text.size() < kBehind ? 0 : (text.size() - kBehind) / kLanes * kLanes;
  const Answer answer = look_at(text.data(), starts, only_head);
  if (answer != Answer::kGoOn) return answer == Answer::kSomething;
  text.remove_prefix(starts);
  char rest[2 * kLanes + kLanes] = {};
  std::copy(text.begin(), text.end(), rest);
  return look_at(rest, 2 * kLanes, only_head) == Answer::kSomething;
}

}  // namespace gmesp::screen
