// The stateless answer to a request that is refused (RFC 3261 8.2.6, 8.2.7), for UDP.
//
// It goes to where the request came from and nowhere else (maddr is not followed), and is never
// larger than the request, so that nobody can use gmespd to amplify. How many are sent is the
// caller's to limit.
//
// Threading: pure function. Errors: a refusal; nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/screen/sip_message.h"

namespace gmesp::screen {

enum class ReplyRefusal : uint8_t {
  kNone,
  kNotAnswerable,  ///< a response, an ACK, no SIP
  kHeaderMissing,  ///< Via, From, To, Call-ID or CSeq is not there, or one of them twice
  kViaUnreadable,  ///< the topmost one
  kTooLarge,       ///< larger than the request, or than the room given
};

struct ReplyOrigin {
  std::string_view address;  ///< source of the request as text, IPv6 without brackets
  uint16_t port;             ///< its source port
};

struct Reply {
  ReplyRefusal refusal;
  size_t bytes;               ///< written; 0 if refused
  uint16_t destination_port;  ///< rport: the source port; else that of sent-by (RFC 3581 4, 18.2.2)
};

/// Writes an answer with `status` (400 to 699) to `request`, of which `request_bytes` came, into
/// `room`. The To tag comes from `tag_key`, a secret of the process, and from the request, so that
/// retransmissions get the same (8.2.7).
Reply write_reply(const SipMessage& request, size_t request_bytes, const ReplyOrigin& origin,
                  uint16_t status, uint64_t tag_key, std::span<uint8_t> room);

}  // namespace gmesp::screen
