// Which messages relate to emergency services (TS 33.203 7.1 ports item 3, TS 24.229 5.1.6 and
// 5.2.10, RFC 5031).
//
// Threading: pure functions. Errors: none; what cannot be read is no emergency.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/screen/sip_message.h"

namespace gmesp::screen {

enum class EmergencyMark : uint8_t {
  kNone,
  kRequestUri,  ///< the service is asked for
  kRoute,       ///< one of the Route entries leads to it
  kDialog,  ///< inside a call that began so; the rest of the route comes from the proxy's answer
};

/// `urn:service:sos` or a sub-service such as `urn:service:sos.fire`, in any case, bytes escaped as
/// %73 or not. Components of RFC 8141 (?+, ?=, #) may follow, and parameters.
bool is_emergency_urn(std::string_view uri);

/// A request of an emergency call knows it by its To, which stays the URN asked for; an answer to a
/// request that the network sends in the call, by its From (RFC 3261 12.2.1.1, 8.2.6.2). Without a
/// tag or with another method than those of a call, To and From are only claims.
EmergencyMark emergency_mark(const SipMessage& message);

}  // namespace gmesp::screen
