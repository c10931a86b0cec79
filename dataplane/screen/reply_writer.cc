#include "dataplane/screen/reply_writer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "dataplane/screen/sip_address.h"
#include "dataplane/screen/sip_text.h"

namespace gmesp::screen {
namespace {

struct StatusPhrase {
  uint16_t status;
  std::string_view phrase;
};

/// RFC 3261 21: those that suit a refusal, then the classes.
constexpr StatusPhrase kPhrases[] = {
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {421, "Extension Required"},
    {480, "Temporarily Unavailable"},
    {488, "Not Acceptable Here"},
    {494, "Security Agreement Required"},
    {500, "Server Internal Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "Version Not Supported"},
    {603, "Decline"},
};

std::string_view phrase_of(uint16_t status) {
  const auto* const row = std::ranges::find(kPhrases, status, &StatusPhrase::status);
  return row != std::end(kPhrases) ? row->phrase : "Refused";
}

/// Bytes up to a bound; behind it nothing is written and the whole is void.
class BoundedText {
 public:
  explicit BoundedText(std::span<uint8_t> room) : room_(room) {}

  void add(std::string_view text) {
    if (text.size() > room_.size() - bytes_) {
      is_over_ = true;
      return;
    }
    // A fold becomes blanks (RFC 3261 7.3.1), so that each field leaves as one line.
    for (const char c : text) room_[bytes_++] = static_cast<uint8_t>(is_folding_blank(c) ? ' ' : c);
  }

  void add_line_end() {
    if (room_.size() - bytes_ < 2) {
      is_over_ = true;
      return;
    }
    room_[bytes_++] = '\r';
    room_[bytes_++] = '\n';
  }

  void add_number(uint32_t number) {
    std::array<char, 10> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    add({digits.data(), static_cast<size_t>(end - digits.data())});
  }

  bool is_over() const { return is_over_; }
  size_t bytes() const { return bytes_; }

 private:
  std::span<uint8_t> room_;
  size_t bytes_ = 0;
  bool is_over_ = false;
};

/// sent-by of a via-parm: `SIP / 2.0 / UDP host : port`.
struct SentBy {
  std::string_view host;
  uint16_t port;
};

bool take_word(std::string_view& text) {
  size_t bytes = 0;
  while (bytes < text.size() && kIsTokenByte[static_cast<uint8_t>(text[bytes])]) ++bytes;
  text = without_blanks_before(text.substr(bytes));
  return bytes != 0;
}

bool take_slash(std::string_view& text) {
  if (!text.starts_with('/')) return false;
  text = without_blanks_before(text.substr(1));
  return true;
}

bool read_sent_by(std::string_view text, SentBy& sent_by) {
  constexpr uint16_t kDefaultPort = 5060;
  if (!take_word(text) || !take_slash(text) || !take_word(text) || !take_slash(text) ||
      !take_word(text))
    return false;
  size_t end = text.find_first_of(": \t\r\n");
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    if (bracket == text.npos) return false;
    sent_by.host = text.substr(1, bracket - 1);
    end = bracket + 1;
  } else {
    sent_by.host = text.substr(0, end);
  }
  text = without_blanks_before(text.substr(std::min(end, text.size())));
  sent_by.port = kDefaultPort;
  if (text.empty()) return !sent_by.host.empty();
  constexpr size_t kPortDigits = 5;
  uint32_t port = 0;
  if (sent_by.host.empty() || text[0] != ':' ||
      !read_number(without_blanks_around(text.substr(1)), kPortDigits, port) || port == 0 ||
      port > UINT16_MAX)
    return false;
  sent_by.port = static_cast<uint16_t>(port);
  return true;
}

/// FNV-1a. Tags only have to differ and to be hard to foresee (RFC 3261 19.3).
class TagHash {
 public:
  explicit TagHash(uint64_t key) : state_(0xcbf29ce484222325 ^ key) {}

  void add(std::string_view text) {
    for (const char c : text) state_ = (state_ ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    state_ = (state_ ^ 0xff) * 0x100000001b3;
  }

  /// The upper half, which every byte has reached.
  uint32_t tag() const { return static_cast<uint32_t>(state_ >> 32); }

 private:
  uint64_t state_;
};

constexpr uint32_t id_bit(HeaderId id) {
  return uint32_t{1} << static_cast<uint32_t>(id);
}

/// RFC 3261 8.2.6.2.
constexpr uint32_t kAllCopied = id_bit(HeaderId::kVia) | id_bit(HeaderId::kFrom) |
                                id_bit(HeaderId::kTo) | id_bit(HeaderId::kCallId) |
                                id_bit(HeaderId::kCseq);

class ReplyWriter {
 public:
  ReplyWriter(const SipMessage& request, const ReplyOrigin& origin, std::span<uint8_t> room)
      : request_(request), origin_(origin), text_(room) {}

  Reply write(uint16_t status, uint64_t tag_key) {
    text_.add("SIP/2.0 ");
    text_.add_number(status);
    text_.add(" ");
    text_.add(phrase_of(status));
    text_.add_line_end();
    HeaderFields fields(request_.header_block);
    for (HeaderField field; fields.next(field);)
      if (const ReplyRefusal refusal = copy(field, tag_key); refusal != ReplyRefusal::kNone)
        return refused(refusal);
    if (copied_ != kAllCopied) return refused(ReplyRefusal::kHeaderMissing);
    text_.add("Content-Length: 0");
    text_.add_line_end();
    text_.add_line_end();
    if (text_.is_over()) return refused(ReplyRefusal::kTooLarge);
    return {ReplyRefusal::kNone, text_.bytes(), destination_port_};
  }

  static Reply refused(ReplyRefusal refusal) { return {refusal, 0, 0}; }

 private:
  /// Names stay as written, compact ones too: the answer grows no more than it must.
  ReplyRefusal copy(const HeaderField& field, uint64_t tag_key) {
    const uint32_t bit = id_bit(field.id);
    if ((kAllCopied & bit) == 0) return ReplyRefusal::kNone;
    const bool is_first = (copied_ & bit) == 0;
    copied_ |= bit;
    text_.add(field.name);
    text_.add(": ");
    if (field.id == HeaderId::kVia && is_first) {
      if (!write_topmost_via(field.value)) return ReplyRefusal::kViaUnreadable;
    } else {
      if (field.value.empty() || (!is_first && field.id != HeaderId::kVia))
        return ReplyRefusal::kHeaderMissing;
      text_.add(field.value);
    }
    if (field.id == HeaderId::kTo) add_tag(tag_key);
    text_.add_line_end();
    return ReplyRefusal::kNone;
  }

  /// RFC 3261 18.2.1 and RFC 3581 4: `received` if sent-by is not the source, and always with
  /// `rport`. What the sender wrote in their place is not believed.
  bool write_topmost_via(std::string_view list) {
    std::string_view via, sent_by_text;
    if (!take_element(list, ',', via)) return false;
    std::string_view parameters = via;
    SentBy sent_by;
    if (!take_element(parameters, ';', sent_by_text) || !read_sent_by(sent_by_text, sent_by))
      return false;
    text_.add(sent_by_text);
    bool has_rport = false;
    while (!parameters.empty()) {
      SipParameter parameter;
      if (!take_parameter(parameters, parameter)) return false;
      if (is_word(parameter.name, "received")) continue;
      text_.add(";");
      text_.add(parameter.name);
      if (is_word(parameter.name, "rport")) {
        has_rport = true;
        text_.add("=");
        text_.add_number(origin_.port);
      } else if (!parameter.value.empty()) {
        text_.add("=");
        text_.add(parameter.value);
      }
    }
    if (has_rport || sent_by.host != origin_.address) {
      text_.add(";received=");
      text_.add(origin_.address);
    }
    destination_port_ = has_rport ? origin_.port : sent_by.port;
    if (!list.empty()) {
      text_.add(",");
      text_.add(list);
    }
    return true;
  }

  void add_tag(uint64_t tag_key) {
    SipAddress to;
    std::string_view value = request_.to;
    if (take_address(value, to) && has_parameter(to.parameters, "tag")) return;
    TagHash hash(tag_key);
    hash.add(request_.call_id);
    hash.add(request_.from);
    std::array<char, 8> digits;
    digits.fill('0');
    uint32_t tag = hash.tag();
    for (size_t i = digits.size(); i-- > 0; tag >>= 4) digits[i] = "0123456789abcdef"[tag & 0xf];
    text_.add(";tag=");
    text_.add({digits.data(), digits.size()});
  }

  const SipMessage& request_;
  const ReplyOrigin& origin_;
  BoundedText text_;
  uint32_t copied_ = 0;  ///< id_bit()s
  uint16_t destination_port_ = 0;
};

}  // namespace

Reply write_reply(const SipMessage& request, size_t request_bytes, const ReplyOrigin& origin,
                  uint16_t status, uint64_t tag_key, std::span<uint8_t> room) {
  if (!is_answerable(request)) return ReplyWriter::refused(ReplyRefusal::kNotAnswerable);
  const std::span<uint8_t> bounded = room.first(std::min(room.size(), request_bytes));
  return ReplyWriter(request, origin, bounded).write(status, tag_key);
}

}  // namespace gmesp::screen
