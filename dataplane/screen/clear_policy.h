// Which SIP may come in clear: REGISTER, messages relating to emergency services, and error
// messages (TS 33.203 7.1 ports item 3); all others are discarded or rejected, as the operator
// chooses.
//
// Default without a known reason to pass is not to pass. What is passed has a complete head without
// a flaw; only a stream whose first message is cut is passed undecided, if so configured.
//
// TCP: the first message of a connection decides, and messages behind it in the same bytes are
// looked at too. A head cut across segments is passed by default and counted: a REGISTER with its
// Security headers is larger than 1,300 bytes (which is why RFC 3261 18.1.1 sends it over TCP), so
// cut ones are ordinary; keeping segments for every connection that anyone opens would give the
// attacker a table to fill; and the proxy asks gmesp-control about every message anyway. Who wants
// no gap has them discarded.
//
// Threading: pure functions. Errors: none.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/screen/sip_message.h"

namespace gmesp::screen {

// clang-format off
#define GMESP_CLEAR_REASONS(row)                                                                                            \
  /* to pass */                                                                                                             \
  row(kMethodAllowed,       "sip_method_allowed",       "TS 33.203 7.1",         "a REGISTER, or another method that the operator allows in clear") \
  row(kEmergency,           "sip_emergency",            "TS 33.203 7.1, RFC 5031", "Request-URI or Route names an emergency service") \
  row(kEmergencyDialog,     "sip_emergency_dialog",     "TS 33.203 7.1, TS 24.229 5.2.10", "message inside an emergency call")           \
  row(kResponseAllowed,     "sip_response_allowed",     "TS 33.203 7.1",         "an error response, or another class that the operator allows in clear") \
  row(kKeepAlive,           "sip_keep_alive",           "RFC 5626 3.5.1",        "line ends alone")                              \
  row(kStun,                "sip_stun",                 "RFC 5626 3.5.2",        "STUN on a SIP port")                           \
  row(kCutStream,           "sip_cut_stream",           "RFC 3261 18.3",         "the head of the first message goes on in a later segment") \
  /* not to pass */                                                                                                         \
  row(kMethodNotAllowed,    "sip_method_not_allowed",   "TS 33.203 7.1",         "a request that may not come in clear")         \
  row(kResponseNotAllowed,  "sip_response_not_allowed", "TS 33.203 7.1",         "a response that may not come in clear")        \
  row(kMalformed,           "sip_malformed",            "RFC 3261 7",            "SIP that readers may read differently")        \
  row(kHeaderFieldsTooMany, "sip_header_fields_too_many", "gmesp",               "more header fields than the screen reads")     \
  row(kCutDatagram,         "sip_cut_datagram",         "RFC 3261 18.3",         "the datagram ends inside the head of its message") \
  row(kNotSip,              "sip_not_sip",              "TS 33.203 7.1",         "neither SIP nor a keep-alive")
// clang-format on

enum class ClearReason : uint8_t {
#define GMESP_ENUMERATOR(enumerator, name, clause, text) enumerator,
  GMESP_CLEAR_REASONS(GMESP_ENUMERATOR)
#undef GMESP_ENUMERATOR
};

struct ClearReasonInfo {
  std::string_view name;
  std::string_view clause;
  std::string_view text;
};

inline constexpr ClearReasonInfo kClearReasons[] = {
#define GMESP_INFO(enumerator, name, clause, text) {name, clause, text},
    GMESP_CLEAR_REASONS(GMESP_INFO)
#undef GMESP_INFO
};
inline constexpr uint32_t kClearReasonCount = sizeof kClearReasons / sizeof kClearReasons[0];

constexpr const ClearReasonInfo& info(ClearReason reason) {
  return kClearReasons[static_cast<uint32_t>(reason)];
}

enum class ClearAction : uint8_t {
  kPass,
  kDiscard,
  kReject,  ///< answer with ClearVerdict::status and discard; only ever for a datagram's request
};

constexpr uint32_t method_bit(Method method) {
  return uint32_t{1} << static_cast<uint32_t>(method);
}

/// `hundreds` 1 to 6, as in 1xx to 6xx.
constexpr uint8_t response_class_bit(uint32_t hundreds) {
  return static_cast<uint8_t>(1 << hundreds);
}

struct ClearPolicy {
  uint32_t methods = method_bit(Method::kRegister);  ///< method_bit()s; kOther never passes
  /// Error messages: a response cannot tell which request it answers, so all of the failure
  /// classes, and no answer that would move a call.
  uint8_t response_classes = response_class_bit(4) | response_class_bit(5) | response_class_bit(6);
  bool passes_emergency = true;
  /// What follows in an emergency call. The proxy must know the call.
  bool passes_emergency_dialogs = true;
  /// Nothing that a proxy would act on; needed where a UE keeps its binding open before SM1.
  bool passes_keep_alive = true;
  /// Answered by few proxies, and the P-CSCF's NAT traversal (Annex M) does not use it.
  bool passes_stun = false;

  /// kDiscard or kReject. Responses, ACK and streams are discarded either way.
  ClearAction not_allowed = ClearAction::kDiscard;
  uint16_t not_allowed_status = 403;  ///< 400 to 699
  /// kDiscard or kReject, with 400 (505: another version).
  ClearAction malformed = ClearAction::kDiscard;

  /// kPass or kDiscard. Not kept for what follows: that would give an attacker memory to fill.
  ClearAction cut_stream = ClearAction::kPass;
};

struct ClearVerdict {
  ClearAction action;
  ClearReason reason;
  SipFlaw flaw;     ///< kMalformed, kHeaderFieldsTooMany: which
  uint16_t status;  ///< kReject
  /// Stream: the rest of the connection has this action too. False: ask again with what follows.
  bool decides_connection;
};

/// A datagram's message, as read_datagram() gave it.
ClearVerdict judge_datagram(const SipMessage& message, const ClearPolicy& policy);

/// The first bytes of a connection, all that came so far. An action other than kPass is that of the
/// first message that must not pass.
ClearVerdict judge_stream(std::span<const uint8_t> bytes, const ClearPolicy& policy);

}  // namespace gmesp::screen
