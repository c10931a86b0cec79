// One SIP message as a view over received bytes: what it is, the parts of its start line, its
// header fields one after another, header block and body. Nothing is copied or unfolded.
//
// The screen stands before a proxy that may read more leniently than RFC 3261. So two readers must
// not differ where it matters: what is recognised here is read exactly, and everything else has a
// kind or a flaw of its own and is not passed as if it were something known.
//
// - A line ends with LF, with or without CR before it; a CR alone ends nothing.
// - A line that starts with a blank continues the one before (RFC 3261 7.3.1).
// - Line ends before the start line are skipped (7.5).
// - Method names are read by their case (7.1), "SIP/2.0", header names and compact forms by none.
// - The start line has single spaces and none at its end; anything else is a flaw (RFC 4475 3.1.2).
// - Blanks may stand between a header name and its colon.
// - A header field counts when its end is seen, that is the first byte of the line after it.
// - From, To, Call-ID, CSeq and Content-Length stand once; readers differ on which of two they
// take.
//
// Threading: pure functions. Ownership: every view points into the bytes given and lives as long as
// they. Errors: none are thrown, nothing is allocated. Lengths are bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/screen/sip_header.h"

namespace gmesp::screen {

/// More header fields than this are a flaw. RFC 4475's and real IMS messages have below 50.
inline constexpr uint32_t kHeaderFieldsMax = 128;
/// A longer start line is not waited for.
inline constexpr uint32_t kStartLineBytesMax = 4096;

enum class MessageKind : uint8_t {
  kRequest,
  kResponse,
  kKeepAlive,   ///< nothing, or line ends alone (RFC 5626 3.5.1)
  kStun,        ///< RFC 8489 5, with its magic cookie (RFC 5626 3.5.2)
  kIncomplete,  ///< ends inside what may be a start line
  kNotSip,
};

/// Registered methods. kOther: every other token, also one of these in other letters.
enum class Method : uint8_t {
  kRegister,
  kInvite,
  kAck,
  kBye,
  kCancel,
  kOptions,
  kPrack,
  kUpdate,
  kInfo,
  kMessage,
  kSubscribe,
  kNotify,
  kPublish,
  kRefer,
  kOther,
};

inline constexpr uint32_t kMethods = static_cast<uint32_t>(Method::kOther);

/// The first flaw found in a request or response.
enum class SipFlaw : uint8_t {
  kNone,
  kStartLine,             ///< starts or ends as SIP does, but is not of RFC 3261 7.1 or 7.2
  kVersion,               ///< not SIP/2.0
  kHeaderField,           ///< a line without name and colon
  kHeaderFieldsTooMany,   ///< more than kHeaderFieldsMax
  kHeaderFieldDoubled,    ///< one that may stand only once
  kHeadUnfinished,        ///< datagram: no empty line behind the header fields
  kContentLength,         ///< not a number of at most nine digits
  kContentLengthMissing,  ///< stream: where the message ends is not known (18.3)
  kMethodDiffers,         ///< CSeq names another than the start line (8.1.1.5)
  kBodyUnfinished,        ///< datagram: ends before its Content-Length (18.3)
};

struct SipMessage {
  MessageKind kind = MessageKind::kNotSip;
  SipFlaw flaw = SipFlaw::kNone;

  Method method = Method::kOther;
  std::string_view method_name;
  std::string_view request_uri;
  uint16_t status = 0;  ///< 100 to 699

  /// The empty line behind the header fields is there. Without it a stream may bring more fields.
  bool is_head_complete = false;
  bool has_route = false;
  uint16_t header_fields = 0;
  /// Whole fields with their line ends, without the start line and without the empty line.
  std::string_view header_block;
  /// Values of fields that stand once; empty: not there.
  std::string_view from, to, call_id, cseq;
  /// What is there of the body, cut at Content-Length.
  std::string_view body;
  /// Of the whole message with what stands before it; more than was given if the body goes on in
  /// a later segment. 0: not known.
  uint64_t message_bytes = 0;
};

/// One UDP datagram: one message, whose body reaches to the end if no Content-Length says
/// otherwise; what is behind Content-Length is nobody's (18.3).
SipMessage read_datagram(std::span<const uint8_t> bytes);

/// The message at the head of a TCP stream, of which more bytes may follow.
SipMessage read_stream(std::span<const uint8_t> bytes);

/// Nobody answers a response or an ACK (RFC 3261 17), be it written "ack".
bool is_answerable(const SipMessage& message);

}  // namespace gmesp::screen
