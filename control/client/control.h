// What stands behind the opaque gmesp_control: the socket, the requests without a reply, and the
// replies and events that nobody has fetched yet.
//
// A request goes out as one message with a tag of the pending table, so that the reply to a call
// that has given up is known when it comes, and skipped. Requests that are held back go out in one
// packet. Whatever gmesp-control sends is looked at through MessageReader and the bounded decoders
// of control_reply.h.
// Threading: one thread at a time. Errors: enum gmesp_error. libc only: no exceptions, no RTTI, no
// C++ run-time library.
#pragma once

#include <stdint.h>

#include "control/client/gmesp_control.h"
#include "control/client/message_queue.h"
#include "control/client/owner.h"
#include "control/client/pending.h"
#include "control/link/message.h"

namespace gmesp::client {

/// Submitted requests without a fetched verdict.
inline constexpr uint32_t kSubmittedMax = 256;
/// Events kept for gmesp_control_poll_event while other calls read the socket; more are counted.
inline constexpr uint32_t kEventsKeptMax = 1024;
inline constexpr int kDefaultCallTimeoutMs = 2000;

}  // namespace gmesp::client

struct gmesp_control {
  gmesp::client::Owner owner;
  int socket;
  int broken;              ///< why nothing more will come, GMESP_OK while all is well
  const char* broken_why;  ///< and as a text
  bool wants_events;
  gmesp::client::PendingTable pending;
  gmesp::client::MessageQueue verdicts;  ///< replies to submitted requests
  gmesp::client::MessageQueue events;
  uint64_t events_lost;
  uint64_t abandoned;  ///< replies still to come to calls that gave up
  uint32_t unfetched;  ///< submitted requests without a fetched verdict
  char detail[GMESP_DETAIL_BYTES];
  uint8_t request[gmesp::link::kMessageBytesMax];    ///< holds keys only while a call sends it
  uint8_t gathered[gmesp::link::kGatheredBytesMax];  ///< requests that have not gone out; likewise
  uint32_t gathered_bytes;
  uint32_t gathered_messages;
  bool is_held;  ///< by the caller: submitted requests wait in `gathered`
  uint8_t packet[gmesp::link::kMessageBytesMax];  ///< what was received last
  uint32_t packet_bytes;
  uint32_t packet_at;                           ///< here begins what nobody has looked at
  uint8_t kept[gmesp::link::kMessageBytesMax];  ///< what was dequeued last
};

namespace gmesp::client {

/// Begins a call: clears the detail; an error if the connection cannot be used (any more) by this
/// process.
int begin(gmesp_control* control);

/// Sets the detail and returns `error`.
int fail(gmesp_control& control, int error, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

/// Ends the connection for good: what came last makes no sense.
int break_protocol(gmesp_control& control, const char* why);

/// Sends `message`, which stands in control.request and is wiped there, and waits for its reply,
/// which then stands in `reply`. The reply's own error is not looked at.
int call(gmesp_control& control, link::MessageWriter& message, int timeout_ms,
         link::MessageReader& reply);

/// The next message of the packet received last; false if there is none.
bool next_in_packet(gmesp_control& control, uint8_t*& message, uint32_t& bytes);

/// Sends what is held back. GMESP_E_AGAIN: the socket is full.
int send_gathered(gmesp_control& control);

/// Sends `message`, likewise, or holds it back, for next_submitted().
int submit(gmesp_control& control, link::MessageWriter& message, uint64_t tag);

/// The next reply to a submitted request, with the caller's tag. GMESP_E_AGAIN: none there.
int next_submitted(gmesp_control& control, link::MessageReader& reply);

/// The next event. GMESP_E_AGAIN: none there.
int next_event(gmesp_control& control, link::MessageReader& event);

}  // namespace gmesp::client
