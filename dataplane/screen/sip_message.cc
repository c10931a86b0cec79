#include "dataplane/screen/sip_message.h"

#include <algorithm>
#include <array>

#include "dataplane/screen/sip_text.h"

namespace gmesp::screen {
namespace {

constexpr std::string_view kVersionSmall = "sip/2.0";
constexpr std::string_view kProtocolSmall = "sip/";

/// In the order of Method.
constexpr std::array<std::string_view, kMethods> kMethodNames = {
    "REGISTER", "INVITE", "ACK",     "BYE",       "CANCEL", "OPTIONS", "PRACK",
    "UPDATE",   "INFO",   "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER",
};

/// RFC 8489 5: two zero bits, 20 bytes of header, the magic cookie.
bool is_stun(std::string_view bytes) {
  constexpr size_t kHeaderBytes = 20, kCookieOffset = 4;
  constexpr std::string_view kCookie = "\x21\x12\xa4\x42";
  return bytes.size() >= kHeaderBytes && (static_cast<uint8_t>(bytes[0]) & 0xc0) == 0 &&
         bytes.substr(kCookieOffset, kCookie.size()) == kCookie;
}

/// What came of a line may grow into a start line.
bool may_become_start_line(std::string_view line) {
  if (line.size() > kStartLineBytesMax) return false;
  if (starts_with_word(line, kProtocolSmall)) return true;
  const std::string_view first = line.substr(0, line.find(' '));
  return is_token(first) || is_word(first, kProtocolSmall);
}

bool holds_only_visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c != 0x7f; });
}

class MessageReader {
 public:
  MessageReader(std::span<const uint8_t> bytes, bool is_stream)
      : text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), is_stream_(is_stream) {}

  SipMessage read() {
    if (is_stun(text_)) {
      message_.kind = MessageKind::kStun;
      return message_;
    }
    at_ = std::min(text_.find_first_not_of("\r\n"), text_.size());
    if (at_ == text_.size()) {
      message_.kind = MessageKind::kKeepAlive;
      return message_;
    }
    if (read_start_line()) {
      read_header_fields();
      if (message_.is_head_complete) finish_head();
    }
    return message_;
  }

 private:
  void find(SipFlaw flaw) {
    if (message_.flaw == SipFlaw::kNone) message_.flaw = flaw;
  }

  /// False if no SIP message starts here.
  bool read_start_line() {
    const std::string_view rest = text_.substr(at_);
    const size_t end = rest.substr(0, kStartLineBytesMax).find('\n');
    if (end == rest.npos) {
      message_.kind = may_become_start_line(rest) ? MessageKind::kIncomplete : MessageKind::kNotSip;
      return false;
    }
    std::string_view line = rest.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    at_ += end + 1;
    if (starts_with_word(line, kProtocolSmall))
      read_status_line(line);
    else if (!read_request_line(line))
      return false;
    return true;
  }

  /// SIP-Version SP Status-Code SP Reason-Phrase; the blank behind the code may be missing.
  void read_status_line(std::string_view line) {
    constexpr size_t kCodeDigits = 3;
    message_.kind = MessageKind::kResponse;
    const size_t blank = line.find(' ');
    if (!is_word(line.substr(0, blank), kVersionSmall)) return find(SipFlaw::kVersion);
    line.remove_prefix(std::min(blank, line.size() - 1) + 1);
    uint32_t status = 0;
    const bool ends_there = line.size() <= kCodeDigits || line[kCodeDigits] == ' ';
    if (!ends_there || line.size() < kCodeDigits ||
        !read_number(line.substr(0, kCodeDigits), kCodeDigits, status) || status < 100 ||
        status > 699)
      return find(SipFlaw::kStartLine);
    message_.status = static_cast<uint16_t>(status);
  }

  /// Method SP Request-URI SP SIP-Version. False if this is no SIP at all.
  bool read_request_line(std::string_view line) {
    std::string_view trimmed = line;
    while (!trimmed.empty() && is_blank(trimmed.back())) trimmed.remove_suffix(1);
    const size_t first = trimmed.find(' ');
    const size_t last = trimmed.rfind(' ');
    if (first == trimmed.npos || !is_token(trimmed.substr(0, first))) return false;
    const std::string_view version = trimmed.substr(last + 1);
    if (!starts_with_word(version, kProtocolSmall)) return false;

    message_.kind = MessageKind::kRequest;
    message_.method_name = trimmed.substr(0, first);
    const auto known = std::ranges::find(kMethodNames, message_.method_name);
    message_.method = static_cast<Method>(known - kMethodNames.begin());
    if (!is_word(version, kVersionSmall)) find(SipFlaw::kVersion);
    const std::string_view uri =
        first == last ? std::string_view() : trimmed.substr(first + 1, last - first - 1);
    if (uri.empty() || uri[0] == '<' || !holds_only_visible(uri) || trimmed.size() != line.size())
      find(SipFlaw::kStartLine);
    else
      message_.request_uri = uri;
    return true;
  }

  void read_header_fields() {
    const size_t begin = at_;
    while (!message_.is_head_complete && take_field()) {
    }
    message_.header_block = text_.substr(begin, at_ - begin);
    if (message_.is_head_complete)
      at_ += text_[at_] == '\r' ? 2 : 1;
    else if (!is_stream_)
      find(SipFlaw::kHeadUnfinished);
  }

  /// False if the end of the field is not there, or it is one too many.
  bool take_field() {
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with('\n') || rest.starts_with("\r\n")) {
      message_.is_head_complete = true;
      return true;
    }
    const size_t bytes = field_bytes(rest);
    if (bytes == 0) return false;
    if (message_.header_fields == kHeaderFieldsMax) {
      find(SipFlaw::kHeaderFieldsTooMany);
      return false;
    }
    ++message_.header_fields;
    at_ += bytes;
    note(read_field(rest.substr(0, bytes)));
    return true;
  }

  void note(const HeaderField& field) {
    if (field.name.empty()) find(SipFlaw::kHeaderField);
    switch (field.id) {
      case HeaderId::kFrom:
        return note_single(field, message_.from);
      case HeaderId::kTo:
        return note_single(field, message_.to);
      case HeaderId::kCallId:
        return note_single(field, message_.call_id);
      case HeaderId::kCseq:
        return note_single(field, message_.cseq);
      case HeaderId::kRoute:
        message_.has_route = true;
        return;
      case HeaderId::kContentLength:
        note_single(field, content_length_text_);
        if (!read_number(field.value, kContentLengthDigitsMax, content_length_bytes_))
          find(SipFlaw::kContentLength);
        return;
      default:
        return;
    }
  }

  void note_single(const HeaderField& field, std::string_view& value) {
    if (value.data() != nullptr) return find(SipFlaw::kHeaderFieldDoubled);
    value = field.value;
  }

  void finish_head() {
    if (message_.kind == MessageKind::kRequest && !message_.cseq.empty()) {
      const std::string_view behind_number = message_.cseq.substr(
          std::min(message_.cseq.find_first_of(" \t\r\n"), message_.cseq.size()));
      if (without_blanks_before(behind_number) != message_.method_name)
        find(SipFlaw::kMethodDiffers);
    }
    read_body();
  }

  void read_body() {
    message_.body = text_.substr(at_);
    if (content_length_text_.data() == nullptr) {
      if (is_stream_) return find(SipFlaw::kContentLengthMissing);
      content_length_bytes_ = static_cast<uint32_t>(message_.body.size());
    }
    if (!is_stream_ && content_length_bytes_ > message_.body.size()) find(SipFlaw::kBodyUnfinished);
    message_.body = message_.body.substr(0, content_length_bytes_);
    message_.message_bytes = at_ + content_length_bytes_;
  }

  static constexpr size_t kContentLengthDigitsMax = 9;

  const std::string_view text_;
  const bool is_stream_;
  size_t at_ = 0;
  SipMessage message_;
  std::string_view content_length_text_;
  uint32_t content_length_bytes_ = 0;
};

}  // namespace

SipMessage read_datagram(std::span<const uint8_t> bytes) {
  return MessageReader(bytes, false).read();
}

SipMessage read_stream(std::span<const uint8_t> bytes) {
  return MessageReader(bytes, true).read();
}

bool is_answerable(const SipMessage& message) {
  return message.kind == MessageKind::kRequest && !is_word(message.method_name, "ack");
}

}  // namespace gmesp::screen
