#include "dataplane/screen/emergency.h"

#include "dataplane/screen/sip_address.h"
#include "dataplane/screen/sip_text.h"

namespace gmesp::screen {
namespace {

int hexadecimal(char c) {
  if (is_digit(c)) return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/// The bytes of a URI with escapes resolved, in small letters.
class UriBytes {
 public:
  static constexpr int kEnd = -1, kBad = -2;

  explicit UriBytes(std::string_view uri) : rest_(uri) {}

  /// kEnd behind the last; kBad for what no URI holds.
  int next() {
    if (rest_.empty()) return kEnd;
    char c = rest_[0];
    if (c == '%') {
      if (rest_.size() < 3) return kBad;
      const int high = hexadecimal(rest_[1]), low = hexadecimal(rest_[2]);
      if (high < 0 || low < 0) return kBad;
      c = static_cast<char>(high * 16 + low);
      rest_.remove_prefix(2);
    }
    rest_.remove_prefix(1);
    return c > ' ' && c < 0x7f ? lower(c) : kBad;
  }

 private:
  std::string_view rest_;
};

constexpr bool is_label_byte(int c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

constexpr bool ends_urn(int c) {
  return c == UriBytes::kEnd || c == '?' || c == '#' || c == ';';
}

bool has_emergency_route(const SipMessage& message) {
  if (!message.has_route) return false;
  HeaderFields fields(message.header_block);
  for (HeaderField field; fields.next(field);) {
    if (field.id != HeaderId::kRoute) continue;
    SipAddress address;
    while (take_address(field.value, address))
      if (address.is_bracketed && is_emergency_urn(address.uri)) return true;
  }
  return false;
}

bool is_emergency_party(std::string_view from_or_to) {
  SipAddress address;
  return take_address(from_or_to, address) && is_emergency_urn(address.uri) &&
         has_parameter(address.parameters, "tag");
}

bool belongs_to_call(Method method) {
  switch (method) {
    case Method::kInvite:
    case Method::kAck:
    case Method::kBye:
    case Method::kCancel:
    case Method::kPrack:
    case Method::kUpdate:
    case Method::kInfo:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_emergency_urn(std::string_view uri) {
  UriBytes bytes(uri);
  for (const char expected : std::string_view("urn:service:sos"))
    if (bytes.next() != expected) return false;
  int c = bytes.next();
  while (c == '.') {
    c = bytes.next();
    if (!is_label_byte(c)) return false;
    while (is_label_byte(c)) c = bytes.next();
  }
  return ends_urn(c);
}

EmergencyMark emergency_mark(const SipMessage& message) {
  if (message.kind == MessageKind::kResponse)
    return is_emergency_party(message.from) ? EmergencyMark::kDialog : EmergencyMark::kNone;
  if (is_emergency_urn(message.request_uri)) return EmergencyMark::kRequestUri;
  if (has_emergency_route(message)) return EmergencyMark::kRoute;
  return belongs_to_call(message.method) && is_emergency_party(message.to) ? EmergencyMark::kDialog
                                                                           : EmergencyMark::kNone;
}

}  // namespace gmesp::screen
