// Why the SA manager does not do what a message asks for: one row a reason, with its clause, the
// SIP status a proxy may answer with, and a text for people.
//
// Numbers are part of the C ABI (gmesp_control.h): only append.
#pragma once

#include <cstdint>
#include <iterator>

namespace gmesp::sa {

// clang-format off
#define GMESP_REFUSALS(row) \
  row(kNone,                     "none",                       0,   "",                     "nothing was refused") \
  row(kNoAgreement,              "no_agreement",               494, "RFC 3329 2.3.1",       "REGISTER brings no usable ipsec-3gpp offer in Security-Client") \
  row(kHeaderBad,                "header_bad",                 400, "TS 33.203 Annex H",    "a Security-* header line cannot be read") \
  row(kNoCommonAlgorithm,        "no_common_algorithm",        494, "TS 33.203 7.3.2.1",    "no pair of algorithms is both offered by the UE and supported here") \
  row(kConfidentialityRequired,  "confidentiality_required",   494, "TS 33.203 7.2",        "policy requires confidentiality and the UE offers none") \
  row(kModeNotOffered,           "mode_not_offered",           494, "TS 33.203 7.3.2.1",    "without NAT transport mode is needed, which the UE does not offer") \
  row(kNatWithoutCapability,     "nat_without_capability",     494, "TS 33.203 M.7.3.2.4",  "the UE is behind NAT, and UDP encapsulation is not offered or not allowed") \
  row(kUeSpiBad,                 "ue_spi_bad",                 400, "TS 33.203 7.1",        "an SPI of the UE is reserved, repeated or in use by it") \
  row(kUePortBad,                "ue_port_bad",                400, "TS 33.203 7.1",        "a protected port of the UE is 0, an unprotected SIP port, or equal to the other one") \
  row(kUePortInUse,              "ue_port_in_use",             400, "TS 33.203 7.1 rule 3", "address and client port of the UE are in the SA table already") \
  row(kServerPortChanged,        "server_port_changed",        400, "TS 33.203 7.4",        "a protected re-registration must keep port_us") \
  row(kServerPortTaken,          "server_port_taken",          400, "TS 33.203 M.7.1",      "behind this NAT another registration has the same port_us") \
  row(kTooManySas,               "too_many_sas",               500, "TS 33.203 7.1 rule 3", "six SAs per direction are stored for this IMPI") \
  row(kIdentityForeign,          "identity_foreign",           403, "TS 33.203 7.1 rule 4", "the SA belongs to another user than the message") \
  row(kViaMismatch,              "via_mismatch",               403, "TS 33.203 7.1 rule 2", "packet source and Via of a protected REGISTER differ") \
  row(kWrongSet,                 "wrong_set",                  0,   "TS 33.203 7.4.2a",     "message came on an SA that may not carry it at this step") \
  row(kNoSa,                     "no_sa",                      0,   "TS 33.203 7.1 rule 4", "no SA belongs to these addresses and ports") \
  row(kClearNotAllowed,          "clear_not_allowed",          403, "TS 33.203 7.1",        "only REGISTER, emergency and error messages may come in clear") \
  row(kVerifyMismatch,           "verify_mismatch",            494, "TS 33.203 7.2",        "Security-Verify or Security-Client of SM7 differ from SM6 or SM1") \
  row(kSuperseded,               "superseded",                 0,   "TS 33.203 7.3.1.4",    "this registration procedure is over or was replaced by a newer one") \
  row(kKeyReused,                "key_reused",                 500, "TS 33.203 6.1.1",      "IK or CK are those of a stored SA set: its counters would start again under an old key") \
  row(kKeyMissing,               "key_missing",                500, "TS 33.203 8.1",        "IK, or CK for the chosen cipher, did not come with the challenge") \
  row(kSpisExhausted,            "spis_exhausted",             503, "TS 33.203 7.1",        "every SPI of the configured range is in use or resting") \
  row(kPortsExhausted,           "ports_exhausted",            503, "TS 33.203 7.4",        "every port_pc of the configured pool is in use or resting for this UE") \
  row(kDataPlaneDown,            "data_plane_down",            503, "TS 33.203 7.2",        "gmespd is not there, so no SA can be set up") \
  row(kDataPlaneRefused,         "data_plane_refused",         500, "TS 33.203 7.2",        "gmespd refused the SA set") \
  row(kOverload,                 "overload",                   503, "",                     "too many registrations are under way") \
  row(kUnknownUser,              "unknown_user",               404, "",                     "no registration of this user is known here") \
  row(kEvicted,                  "evicted",                    0,   "",                     "the operator removed this user's SAs") \
  row(kBadRequest,               "bad_request",                400, "",                     "the proxy's own call lacks what it must say")
// clang-format on

enum class Refusal : uint8_t {
#define GMESP_ROW(name, text_name, status, clause, text) name,
  GMESP_REFUSALS(GMESP_ROW)
#undef GMESP_ROW
};

struct RefusalInfo {
  const char* name;
  uint16_t sip_status;  ///< 0: no answer is due, the message is discarded
  const char* clause;
  const char* text;
};

inline constexpr RefusalInfo kRefusals[] = {
#define GMESP_ROW(name, text_name, status, clause, text) {text_name, status, clause, text},
    GMESP_REFUSALS(GMESP_ROW)
#undef GMESP_ROW
};
inline constexpr uint32_t kRefusalCount = std::size(kRefusals);

constexpr const RefusalInfo& info(Refusal refusal) {
  return kRefusals[static_cast<uint32_t>(refusal)];
}

}  // namespace gmesp::sa
