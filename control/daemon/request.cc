#include "control/daemon/request.h"

#include <optional>

#include "control/client/gmesp_control.h"

namespace gmesp::control {
namespace {

using link::Field;
using link::Tag;

constexpr size_t kTransactionBytesMax = 1024;
constexpr size_t kMethodBytesMax = 64;
/// An IPv4 or IPv6 lifetime of ten years is a mistake, and sums of it must not overflow.
constexpr uint64_t kExpiresMsMax = uint64_t{10} * 366 * 24 * 3600 * 1000;

std::string_view text_of(const Field& field) {
  return {reinterpret_cast<const char*>(field.data), field.length};
}

/// Reads one kind of field, or says what is wrong with it.
struct FieldTaker {
  const Field& field;
  std::string& why;

  bool text(std::string_view& value, size_t bytes_max) {
    if (field.length > bytes_max) return refuse("bytes, at most " + std::to_string(bytes_max));
    // A text with a zero or a line break in it would read differently elsewhere.
    for (const char control : {'\0', '\n', '\r'})
      if (text_of(field).find(control) != std::string_view::npos)
        return refuse("with a control character");
    value = text_of(field);
    return true;
  }
  bool texts(std::vector<std::string_view>& values, size_t count_max, size_t bytes_max) {
    if (values.size() == count_max) return refuse("more than " + std::to_string(count_max));
    return text(values.emplace_back(), bytes_max);
  }
  bool number(uint64_t& value, uint64_t max) {
    uint64_t read;
    if (!field.number(read)) return refuse("bytes, expected is a number");
    if (read > max) return refuse(std::to_string(read) + ", at most " + std::to_string(max));
    value = read;
    return true;
  }
  bool port(uint16_t& value) {
    uint64_t read;
    if (!number(read, UINT16_MAX)) return false;
    value = static_cast<uint16_t>(read);
    return true;
  }
  bool address(sa::Address& value) {
    return field.address(value.data()) || refuse("bytes, expected is an address of 16");
  }
  bool refuse(const std::string& what) {
    why = "field " + std::to_string(static_cast<unsigned>(field.tag)) + " of " +
          std::to_string(field.length) + " bytes: " + what;
    return false;
  }
};

bool take(FieldTaker taker, Request& request) {
  constexpr size_t kIdentityBytesMax = GMESP_IDENTITY_BYTES - 1;
  uint64_t flag = 0;
  switch (taker.field.tag) {
    case Tag::kImpi:
      return taker.text(request.impi, kIdentityBytesMax);
    case Tag::kImpu:
      return taker.texts(request.impus, GMESP_IDENTITIES_MAX, kIdentityBytesMax);
    case Tag::kRegistrationKey:
      return taker.text(request.registration_key, kIdentityBytesMax);
    case Tag::kTransaction:
      return taker.text(request.transaction, kTransactionBytesMax);
    case Tag::kMethod:
      return taker.text(request.method, kMethodBytesMax);
    case Tag::kSource:
      return taker.address(request.arrival.source);
    case Tag::kSourcePort:
      return taker.port(request.arrival.source_port);
    case Tag::kLocal:
      return taker.address(request.arrival.local);
    case Tag::kLocalPort:
      return taker.port(request.arrival.local_port);
    case Tag::kIsTcp:
      if (!taker.number(flag, 1)) return false;
      request.arrival.is_tcp = flag != 0;
      return true;
    case Tag::kVia:
      return taker.address(request.via);
    case Tag::kSecurityClient:
      return taker.texts(request.security_client, GMESP_HEADER_LINES_MAX, UINT16_MAX);
    case Tag::kSecurityVerify:
      return taker.texts(request.security_verify, GMESP_HEADER_LINES_MAX, UINT16_MAX);
    case Tag::kAuthenticationAnswer:
      return taker.number(request.answer, GMESP_ANSWER_NETWORK_FAILURE);
    case Tag::kIk:
      request.ik = {taker.field.data, taker.field.length};
      return true;
    case Tag::kCk:
      request.ck = {taker.field.data, taker.field.length};
      return true;
    case Tag::kStatus:
      return taker.number(request.status, 699);
    case Tag::kExpiresMs:
      return taker.number(request.expires_ms, kExpiresMsMax);
    case Tag::kIsRequest:
      return taker.number(request.is_request, 1);
    case Tag::kIsEmergency:
      return taker.number(request.is_emergency, 1);
    case Tag::kSet:
      return taker.number(request.set, UINT64_MAX);
    case Tag::kUe:
      return taker.address(request.ue.address);
    case Tag::kUePort:
      return taker.port(request.ue.port);
    case Tag::kCursor:
      return taker.number(request.cursor, UINT64_MAX);
    case Tag::kIntegrity:
      return taker.number(request.integrity, GMESP_INTEGRITY_HMAC_SHA1_96);
    case Tag::kCipher:
      return taker.number(request.cipher, GMESP_CIPHER_DES_EDE3_CBC);
    case Tag::kRemovesLive:
      return taker.number(request.removes_live, 1);
    default:
      return true;  // of a newer release
  }
}

}  // namespace

bool Request::read(link::MessageReader& message, std::string& why) {
  kind = message.kind();
  tag = message.header().tag;
  Field field;
  while (message.next(field))
    if (!take({field, why}, *this)) return false;
  if (message.is_broken()) why = "a field is cut short";
  return !message.is_broken();
}

sa::RegisterRequest Request::register_request() const {
  return {.arrival = arrival,
          .impi = impi,
          .impu = impus.empty() ? std::string_view() : impus.front(),
          .registration_key = registration_key,
          .transaction = transaction,
          .via = via,
          .security_client = security_client,
          .security_verify = security_verify,
          .answer = static_cast<sa::AuthenticationAnswer>(answer)};
}

sa::Challenge Request::challenge() const {
  return {impi, registration_key, transaction, ik, ck};
}

sa::RegisterAnswer Request::register_answer() const {
  return {impi, registration_key, transaction, static_cast<uint16_t>(status), impus, expires_ms};
}

sa::Message Request::message() const {
  return {arrival, is_request != 0, method, static_cast<uint16_t>(status), is_emergency != 0};
}

}  // namespace gmesp::control
