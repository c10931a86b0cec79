// Any bytes as clear SIP, datagram and stream: views stay inside the bytes, what passes shows why
// in plain text, a part passes for nothing that the whole is not, an answer is well-formed and
// never larger than its request.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "dataplane/screen/clear_policy.h"
#include "dataplane/screen/reply_writer.h"
#include "invariant.h"

namespace gmesp::screen {
namespace {

using Bytes = std::span<const uint8_t>;

bool is_inside(std::string_view view, Bytes bytes) {
  if (view.data() == nullptr) return view.empty();
  const auto* const begin = reinterpret_cast<const uint8_t*>(view.data());
  return std::less_equal<>()(bytes.data(), begin) &&
         std::less_equal<>()(begin + view.size(), bytes.data() + bytes.size());
}

void check_views(const SipMessage& message, Bytes bytes) {
  for (const std::string_view view :
       {message.method_name, message.request_uri, message.header_block, message.from, message.to,
        message.call_id, message.cseq, message.body})
    GMESP_INVARIANT(is_inside(view, bytes));
  uint32_t count = 0;
  HeaderFields fields(message.header_block);
  for (HeaderField field; fields.next(field); ++count)
    GMESP_INVARIANT(is_inside(field.name, bytes) && is_inside(field.value, bytes));
  GMESP_INVARIANT(count == message.header_fields && count <= kHeaderFieldsMax);
  GMESP_INVARIANT(message.message_bytes == 0 || message.is_head_complete);
}

/// Read in the simplest way: escapes resolved wherever they stand, small letters.
bool mentions_emergency(Bytes bytes) {
  const auto digit = [](uint8_t c) { return std::string_view("0123456789abcdef").find(c | 0x20); };
  std::string plain;
  for (size_t i = 0; i < bytes.size(); ++i) {
    uint8_t c = bytes[i];
    if (c == '%' && i + 2 < bytes.size() && digit(bytes[i + 1]) < 16 && digit(bytes[i + 2]) < 16) {
      c = static_cast<uint8_t>(digit(bytes[i + 1]) << 4 | digit(bytes[i + 2]));
      i += 2;
    }
    plain += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  }
  return plain.find("urn:service:sos") != plain.npos;
}

void check_reason(const ClearVerdict& verdict, Bytes bytes) {
  if (verdict.action != ClearAction::kPass) return;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t begin = std::min(text.find_first_not_of("\r\n"), text.size());
  switch (verdict.reason) {
    case ClearReason::kMethodAllowed:
      GMESP_INVARIANT(text.substr(begin).starts_with("REGISTER "));
      return;
    case ClearReason::kEmergency:
    case ClearReason::kEmergencyDialog:
      GMESP_INVARIANT(mentions_emergency(bytes));
      return;
    case ClearReason::kResponseAllowed:
      GMESP_INVARIANT(text[begin + 8] >= '4' && text[begin + 8] <= '6');
      return;
    case ClearReason::kKeepAlive:
      GMESP_INVARIANT(begin == text.size());
      return;
    default:
      GMESP_INVARIANT(verdict.reason == ClearReason::kCutStream);
  }
}

void check_answer(const SipMessage& request, Bytes bytes) {
  std::array<uint8_t, 4096> room;
  const Reply reply = write_reply(request, bytes.size(), {"192.0.2.7", 40000}, 403, 7, room);
  GMESP_INVARIANT(reply.bytes <= bytes.size());
  GMESP_INVARIANT((reply.bytes == 0) == (reply.refusal != ReplyRefusal::kNone));
  if (reply.bytes == 0) return;
  const SipMessage answer = read_datagram(std::span(room).first(reply.bytes));
  GMESP_INVARIANT(answer.kind == MessageKind::kResponse && answer.flaw == SipFlaw::kNone);
  GMESP_INVARIANT(answer.status == 403 && answer.message_bytes == reply.bytes);
}

void run(Bytes bytes) {
  const SipMessage message = read_datagram(bytes);
  check_views(message, bytes);
  check_views(read_stream(bytes), bytes);
  const ClearPolicy policy;
  const ClearVerdict whole = judge_datagram(message, policy);
  check_reason(whole, bytes);
  check_reason(judge_stream(bytes, policy), bytes);
  check_answer(message, bytes);
  if (bytes.empty()) return;
  const Bytes part = bytes.first(bytes.back() * bytes.size() / 256);
  const ClearVerdict of_part = judge_datagram(read_datagram(part), policy);
  GMESP_INVARIANT(of_part.action != ClearAction::kPass || whole.action == ClearAction::kPass ||
                  of_part.reason == ClearReason::kKeepAlive);
}

}  // namespace
}  // namespace gmesp::screen

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gmesp::screen::run({data, size});
  return 0;
}
