#include "dataplane/screen/clear_policy.h"

#include "dataplane/screen/emergency.h"

namespace gmesp::screen {
namespace {

constexpr uint16_t kStatusBadRequest = 400, kStatusVersionNotSupported = 505;

ClearVerdict pass(ClearReason reason, bool decides_connection = true) {
  return {ClearAction::kPass, reason, SipFlaw::kNone, 0, decides_connection};
}

ClearVerdict discard(ClearReason reason, SipFlaw flaw = SipFlaw::kNone) {
  return {ClearAction::kDiscard, reason, flaw, 0, true};
}

ClearVerdict refuse(const SipMessage& message, ClearAction action, uint16_t status,
                    ClearReason reason) {
  if (action != ClearAction::kReject || !is_answerable(message))
    return discard(reason, message.flaw);
  return {ClearAction::kReject, reason, message.flaw, status, true};
}

bool allows_method(const ClearPolicy& policy, Method method) {
  return method != Method::kOther && (policy.methods & method_bit(method)) != 0;
}

bool allows_status(const ClearPolicy& policy, uint16_t status) {
  return (policy.response_classes & response_class_bit(status / 100u)) != 0;
}

ClearVerdict judge_malformed(const SipMessage& message, const ClearPolicy& policy) {
  ClearReason reason = ClearReason::kMalformed;
  if (message.flaw == SipFlaw::kHeaderFieldsTooMany) reason = ClearReason::kHeaderFieldsTooMany;
  if (message.flaw == SipFlaw::kHeadUnfinished) reason = ClearReason::kCutDatagram;
  const uint16_t status =
      message.flaw == SipFlaw::kVersion ? kStatusVersionNotSupported : kStatusBadRequest;
  return refuse(message, policy.malformed, status, reason);
}

/// A whole head without a flaw.
ClearVerdict judge_request(const SipMessage& message, const ClearPolicy& policy) {
  if (allows_method(policy, message.method)) return pass(ClearReason::kMethodAllowed);
  const EmergencyMark mark =
      policy.passes_emergency ? emergency_mark(message) : EmergencyMark::kNone;
  if (mark == EmergencyMark::kRequestUri || mark == EmergencyMark::kRoute)
    return pass(ClearReason::kEmergency);
  if (mark == EmergencyMark::kDialog && policy.passes_emergency_dialogs)
    return pass(ClearReason::kEmergencyDialog);
  return refuse(message, policy.not_allowed, policy.not_allowed_status,
                ClearReason::kMethodNotAllowed);
}

bool passes_dialogs(const ClearPolicy& policy) {
  return policy.passes_emergency && policy.passes_emergency_dialogs;
}

ClearVerdict judge_response(const SipMessage& message, const ClearPolicy& policy) {
  if (allows_status(policy, message.status)) return pass(ClearReason::kResponseAllowed);
  if (passes_dialogs(policy) && emergency_mark(message) == EmergencyMark::kDialog)
    return pass(ClearReason::kEmergencyDialog);
  return discard(ClearReason::kResponseNotAllowed);
}

ClearVerdict judge(const SipMessage& message, const ClearPolicy& policy) {
  switch (message.kind) {
    case MessageKind::kRequest:
      return message.flaw == SipFlaw::kNone ? judge_request(message, policy)
                                            : judge_malformed(message, policy);
    case MessageKind::kResponse:
      return message.flaw == SipFlaw::kNone ? judge_response(message, policy)
                                            : judge_malformed(message, policy);
    case MessageKind::kKeepAlive:
      return policy.passes_keep_alive ? pass(ClearReason::kKeepAlive, false)
                                      : discard(ClearReason::kKeepAlive);
    case MessageKind::kStun:
      return policy.passes_stun ? pass(ClearReason::kStun, false) : discard(ClearReason::kStun);
    case MessageKind::kIncomplete:
      return discard(ClearReason::kCutDatagram);
    case MessageKind::kNotSip:
      break;
  }
  return discard(ClearReason::kNotSip);
}

/// More bytes may give it a reason to pass.
bool is_open(const SipMessage& message, const ClearPolicy& policy) {
  if (message.kind == MessageKind::kIncomplete) return true;
  if (message.flaw != SipFlaw::kNone || message.is_head_complete) return false;
  if (message.kind == MessageKind::kRequest)
    return policy.passes_emergency || allows_method(policy, message.method);
  return message.kind == MessageKind::kResponse &&
         (passes_dialogs(policy) || allows_status(policy, message.status));
}

ClearVerdict judge_in_stream(const SipMessage& message, const ClearPolicy& policy) {
  if (is_open(message, policy))
    return {policy.cut_stream, ClearReason::kCutStream, SipFlaw::kNone, 0, true};
  ClearVerdict verdict = judge(message, policy);
  if (verdict.action == ClearAction::kReject)
    verdict = discard(verdict.reason, verdict.flaw);  // no stateless answer in a TCP connection
  return verdict;
}

}  // namespace

ClearVerdict judge_datagram(const SipMessage& message, const ClearPolicy& policy) {
  return judge(message, policy);
}

ClearVerdict judge_stream(std::span<const uint8_t> bytes, const ClearPolicy& policy) {
  SipMessage message = read_stream(bytes);
  const ClearVerdict first = judge_in_stream(message, policy);
  if (first.action != ClearAction::kPass) return first;
  while (message.message_bytes != 0 && message.message_bytes < bytes.size()) {
    bytes = bytes.subspan(message.message_bytes);
    message = read_stream(bytes);
    if (is_open(message, policy)) break;  // the first message has decided
    const ClearVerdict later = judge_in_stream(message, policy);
    if (later.action != ClearAction::kPass) return later;
  }
  return first;
}

}  // namespace gmesp::screen
