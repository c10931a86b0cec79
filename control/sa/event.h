// What the SIP side tells the SA manager, and what it is told: events in, verdicts out.
//
// The names SM1 … SM12 are those of TS 33.203 6.1.1. Nothing here knows SIP syntax beyond the
// Security-* header lines.
// Ownership: views point into the caller's memory and are read during the call only.
// Units: milliseconds on one monotonic clock; ports and SPIs in host byte order.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/sa/address.h"
#include "control/sa/refusal.h"

namespace gmesp::sa {

/// Names one SA set for as long as this control process and its successors live; never reused.
using SetNumber = uint64_t;
inline constexpr SetNumber kClear = 0;

enum class Mode : uint8_t { kTransport = 1, kUdpEncapsulatedTunnel = 2 };

/// How a message came in; after decryption, so behind NAT these are the inner addresses.
struct Arrival {
  Address source{};
  Address local{};
  uint16_t source_port = 0;
  uint16_t local_port = 0;
  bool is_tcp = false;
};

/// Where to send a message to a UE. With UDP, or on a new TCP connection: from `local`:`local_port`
/// to `remote`:`remote_port`; gmespd protects it by these ports.
struct Send {
  SetNumber set = kClear;
  Mode mode = Mode::kTransport;
  Address local{};
  Address remote{};
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  /// The message it answers came by TCP: its connection is the right way.
  bool on_same_connection = false;
  /// The clause names another set than that of the TCP connection of the request; the connection
  /// is possible too.
  bool same_connection_possible = false;
};

enum class Action : uint8_t {
  kForward = 1,  ///< let the message go on its way
  kReject = 2,   ///< answer with `status`
  kDiscard = 3,  ///< drop without an answer
  kWait = 4,     ///< the verdict follows by Sink::answer()
};

struct Verdict {
  Action action = Action::kDiscard;
  Refusal refusal = Refusal::kNone;
  uint16_t status = 0;  ///< kReject: a SIP status that fits
  /// Where the message, or the answer that rejects it, goes when it goes to the UE.
  Send send = {};
  SetNumber arrived_on = kClear;
  /// Integrity-protection indicator towards the S-CSCF (6.1.5); REGISTER only.
  bool is_integrity_protected = false;
  /// A message seen before; nothing changed.
  bool is_repetition = false;
  std::string impi = {};                ///< of the user that the SA belongs to
  std::vector<std::string> impus = {};  ///< as registered
  std::string security_server = {};     ///< SM6: the header's value
};

/// What the Authorization header of a REGISTER holds.
enum class AuthenticationAnswer : uint8_t {
  kNone = 0,                    ///< SM1
  kResponse = 1,                ///< SM7
  kSynchronisationFailure = 2,  ///< AUTS (6.1.3)
  kNetworkFailure = 3,          ///< empty response: the UE does not accept the network (6.1.2.2)
};

struct RegisterRequest {
  Arrival arrival;
  std::string_view impi;
  std::string_view impu;
  std::string_view registration_key;  ///< tells registrations of one IMPI apart, see Policy
  std::string_view transaction;  ///< Call-ID and CSeq, or what else is the same in a repetition
  Address via{};                 ///< of the topmost Via, names resolved; unspecified: not known
  std::span<const std::string_view> security_client;
  std::span<const std::string_view> security_verify;
  AuthenticationAnswer answer = AuthenticationAnswer::kNone;
};

/// SM4: 401 of the S-CSCF, with the keys that are to be taken out of it (6.1.1).
struct Challenge {
  std::string_view impi;
  std::string_view registration_key;
  std::string_view transaction;  ///< that of SM1
  std::span<const uint8_t> ik;   ///< 16 bytes
  std::span<const uint8_t> ck;   ///< 16 bytes, or none
};

/// Final answer of the registrar to a REGISTER other than a challenge.
struct RegisterAnswer {
  std::string_view impi;
  std::string_view registration_key;
  std::string_view transaction;
  uint16_t status = 200;
  std::span<const std::string_view> impus;  ///< all that are registered now; none: de-registered
  uint64_t expires_ms = 0;                  ///< longest registration that the answer grants
};

/// Any other SIP message from a UE.
struct Message {
  Arrival arrival;
  bool is_request = true;
  std::string_view method;
  uint16_t status = 0;
  bool is_emergency = false;
};

}  // namespace gmesp::sa
