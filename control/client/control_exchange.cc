// Requests out, replies and events in, and waiting for them.
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client/control.h"
#include "control/client/deadline.h"

namespace gmesp::client {
namespace {

using link::Kind;
using link::MessageReader;

/// Whom a received message is for.
enum class For { kNobody, kCall, kPoll, kEvents };

/// How many messages one look at the socket takes, so that a gmesp-control that never stops sending
/// cannot hold a caller.
constexpr uint32_t kMessagesPerLook = 4096;

int break_connection(gmesp_control& control, int error, const char* why) {
  if (control.broken == GMESP_OK) {
    control.broken = error;
    control.broken_why = why;
  }
  return fail(control, control.broken, "%s", control.broken_why);
}

/// One packet of the socket into control.packet. GMESP_E_AGAIN: none there.
int receive_packet(gmesp_control& control) {
  for (int resets = 0;;) {
    const ssize_t got =
        recv(control.socket, control.packet, sizeof control.packet, MSG_DONTWAIT | MSG_TRUNC);
    if (got > 0) {
      if (!link::is_packet(control.packet, static_cast<uint64_t>(got)))
        return break_protocol(control, "message of gmesp-control is malformed");
      control.packet_at = 0;
      control.packet_bytes = static_cast<uint32_t>(got);
      return GMESP_OK;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return GMESP_E_AGAIN;
    // A reset is told once, before what came ahead of it.
    if (got < 0 && errno == ECONNRESET && ++resets == 1) continue;
    return break_connection(control, GMESP_E_DISCONNECTED, "gmesp-control closed the connection");
  }
}

/// One message that has come. It stays until the next look. GMESP_E_AGAIN: none there.
int receive(gmesp_control& control, uint8_t*& message, uint32_t& bytes) {
  if (control.broken != GMESP_OK) return fail(control, control.broken, "%s", control.broken_why);
  if (next_in_packet(control, message, bytes)) return GMESP_OK;
  const int error = receive_packet(control);
  if (error == GMESP_OK) next_in_packet(control, message, bytes);
  return error;
}

/// Whose reply it is; nobody's if its call gave up. A submitted request's gets the caller's tag in
/// place of ours.
int find_waiter(gmesp_control& control, uint8_t* message, uint32_t bytes, MessageReader& reply,
                For& whom) {
  const uint64_t wire_tag = reply.header().tag;
  const Pending* pending = control.pending.find(wire_tag);
  if (pending == nullptr) {
    if (control.abandoned == 0)
      return break_protocol(control, "gmesp-control replied to a request nobody sent");
    --control.abandoned;
    return GMESP_OK;
  }
  whom = pending->waiter == Waiter::kCall ? For::kCall : For::kPoll;
  memcpy(message + offsetof(link::Header, tag), &pending->user_tag, sizeof(uint64_t));
  reply.open(message, bytes);
  control.pending.release(wire_tag);
  return GMESP_OK;
}

/// For a later poll: what came while something else was waited for.
int keep(gmesp_control& control, const uint8_t* message, uint32_t bytes, For whom) {
  if (whom == For::kNobody) return GMESP_OK;
  if (whom == For::kEvents && control.events.count() == kEventsKeptMax) {
    ++control.events_lost;
    return GMESP_OK;
  }
  MessageQueue& queue = whom == For::kEvents ? control.events : control.verdicts;
  if (queue.push(message, bytes)) return GMESP_OK;
  return break_connection(control, GMESP_E_NO_MEMORY, "no memory to keep a message");
}

/// One message that has come, which is kept if it is not for `whom`: then `found` says so.
int take(gmesp_control& control, MessageReader& reader, For whom, For& found) {
  found = For::kNobody;
  uint8_t* message = nullptr;
  uint32_t bytes = 0;
  int error = receive(control, message, bytes);
  if (error != GMESP_OK) return error;
  reader.open(message, bytes);
  if (reader.kind() == Kind::kReply) error = find_waiter(control, message, bytes, reader, found);
  // Other kinds may be those of a younger gmesp-control.
  if (reader.kind() == Kind::kEvent && control.wants_events) found = For::kEvents;
  return error != GMESP_OK || found == whom ? error : keep(control, message, bytes, found);
}

/// The next message for `whom` among those that have come; others are kept.
int next(gmesp_control& control, MessageReader& message, For whom) {
  for (uint32_t looked = 0; looked < kMessagesPerLook; ++looked) {
    For found;
    const int error = take(control, message, whom, found);
    if (error != GMESP_OK || found == whom) return error;
  }
  return GMESP_E_AGAIN;
}

/// The same among those kept, and then those that have come. If there is none, nothing is held
/// back any more.
int next_kept(gmesp_control& control, MessageQueue& queue, MessageReader& message, For whom) {
  if (const uint32_t bytes = queue.pop(control.kept); bytes != 0) {
    message.open(control.kept, bytes);
    return GMESP_OK;
  }
  const int error = next(control, message, whom);
  if (error == GMESP_E_AGAIN) send_gathered(control);
  return error;
}

/// Sleeps until one of `events` or the deadline. GMESP_OK: look again.
int wait_for(gmesp_control& control, short events, const Deadline& deadline) {
  const int left_ms = deadline.left_ms();
  if (left_ms == 0)
    return fail(control, GMESP_E_TIMEOUT, "no answer of gmesp-control within %d ms",
                deadline.timeout_ms());
  pollfd ready{control.socket, events, 0};
  poll(&ready, 1, left_ms);
  return GMESP_OK;
}

/// Keeps what comes while a request cannot go out.
int take_in(gmesp_control& control) {
  MessageReader message;
  const int error = next(control, message, For::kCall);
  if (error == GMESP_E_AGAIN) return GMESP_OK;
  if (error == GMESP_OK)
    return break_protocol(control, "gmesp-control replied before it was asked");
  return error;
}

/// GMESP_E_AGAIN: the socket is full.
int send_packet(gmesp_control& control, const uint8_t* packet, uint32_t bytes) {
  for (;;) {
    if (send(control.socket, packet, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return GMESP_OK;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS)
      return fail(control, GMESP_E_AGAIN, "gmesp-control has not read earlier requests yet");
    // Replies that came before the end can still be fetched: reading will find it.
    return fail(control, GMESP_E_DISCONNECTED, "cannot send to gmesp-control: %m");
  }
}

/// The request, behind those that are held back. GMESP_E_AGAIN: the socket is full.
int send_once(gmesp_control& control, uint32_t bytes) {
  const int error = send_gathered(control);
  return error == GMESP_OK ? send_packet(control, control.request, bytes) : error;
}

/// The same as soon as there is room; a gmesp-control that waits for us to read is read meanwhile.
int send_by(gmesp_control& control, uint32_t bytes, const Deadline& deadline) {
  for (;;) {
    int error = send_once(control, bytes);
    if (error != GMESP_E_AGAIN) return error;
    error = wait_for(control, POLLIN | POLLOUT, deadline);
    if (error == GMESP_OK) error = take_in(control);
    if (error != GMESP_OK) return error;
  }
}

/// The request goes out with others later, if they have room for it.
int gather(gmesp_control& control, uint32_t bytes) {
  if (bytes > sizeof control.gathered) return send_once(control, bytes);
  if (control.gathered_bytes + bytes > sizeof control.gathered ||
      control.gathered_messages == link::kGatheredMax)
    if (const int error = send_gathered(control); error != GMESP_OK) return error;
  memcpy(control.gathered + control.gathered_bytes, control.request, bytes);
  control.gathered_bytes += bytes;
  ++control.gathered_messages;
  return GMESP_OK;
}

/// Sends at once, or with a deadline as soon as there is room. The request is wiped.
int send_request(gmesp_control& control, link::MessageWriter& message, Waiter waiter,
                 uint64_t user_tag, const Deadline* deadline, uint64_t& wire_tag) {
  const uint32_t bytes = message.finish();
  int error = control.broken;
  if (error != GMESP_OK) {
    fail(control, error, "%s", control.broken_why);
  } else if (!control.pending.take(waiter, user_tag, wire_tag)) {
    error = fail(control, GMESP_E_AGAIN, "too many requests without a reply");
  } else {
    memcpy(control.request + offsetof(link::Header, tag), &wire_tag, sizeof wire_tag);
    error = deadline != nullptr ? send_by(control, bytes, *deadline)
            : control.is_held   ? gather(control, bytes)
                                : send_once(control, bytes);
    if (error != GMESP_OK && control.pending.find(wire_tag) != nullptr)
      control.pending.release(wire_tag);
  }
  explicit_bzero(control.request, bytes);
  return error;
}

}  // namespace

int begin(gmesp_control* control) {
  if (control == nullptr) return GMESP_E_BAD_ARGUMENT;
  control->detail[0] = '\0';
  if (!control->owner.is_caller())
    return fail(*control, GMESP_E_FORKED, "opened by process %d, used by %d",
                control->owner.process_id(), static_cast<int>(getpid()));
  if (control->broken == GMESP_E_PROTOCOL)
    return fail(*control, GMESP_E_PROTOCOL, "%s", control->broken_why);
  return GMESP_OK;
}

int fail(gmesp_control& control, int error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(control.detail, sizeof control.detail, format, arguments);
  va_end(arguments);
  return error;
}

int break_protocol(gmesp_control& control, const char* why) {
  return break_connection(control, GMESP_E_PROTOCOL, why);
}

bool next_in_packet(gmesp_control& control, uint8_t*& message, uint32_t& bytes) {
  if (control.packet_at == control.packet_bytes) return false;
  message = control.packet + control.packet_at;
  bytes = static_cast<uint32_t>(link::first_message_bytes(message));
  control.packet_at += bytes;
  return true;
}

int send_gathered(gmesp_control& control) {
  if (control.gathered_bytes == 0) return GMESP_OK;
  const int error = send_packet(control, control.gathered, control.gathered_bytes);
  if (error == GMESP_E_AGAIN) return error;
  explicit_bzero(control.gathered, control.gathered_bytes);
  control.gathered_bytes = control.gathered_messages = 0;
  return error;
}

int call(gmesp_control& control, link::MessageWriter& message, int timeout_ms,
         MessageReader& reply) {
  const Deadline deadline(timeout_ms < 0 ? kDefaultCallTimeoutMs : timeout_ms);
  uint64_t wire_tag;
  int error = send_request(control, message, Waiter::kCall, 0, &deadline, wire_tag);
  if (error != GMESP_OK) return error;
  do {  // the reply is never there yet
    error = wait_for(control, POLLIN, deadline);
    if (error == GMESP_OK) error = next(control, reply, For::kCall);
  } while (error == GMESP_E_AGAIN);
  if (error == GMESP_E_TIMEOUT) {
    control.pending.release(wire_tag);
    ++control.abandoned;
  }
  return error;
}

int submit(gmesp_control& control, link::MessageWriter& message, uint64_t tag) {
  uint64_t wire_tag;
  int error = GMESP_OK;
  if (control.unfetched == kSubmittedMax) {
    explicit_bzero(control.request, message.finish());
    error = fail(control, GMESP_E_AGAIN, "%u requests without a fetched verdict, allowed are %u",
                 control.unfetched, kSubmittedMax);
  } else {
    error = send_request(control, message, Waiter::kPoll, tag, nullptr, wire_tag);
  }
  if (error == GMESP_OK) ++control.unfetched;
  return error;
}

int next_submitted(gmesp_control& control, MessageReader& reply) {
  const int error = next_kept(control, control.verdicts, reply, For::kPoll);
  if (error == GMESP_OK) --control.unfetched;
  return error;
}

int next_event(gmesp_control& control, MessageReader& event) {
  return next_kept(control, control.events, event, For::kEvents);
}

}  // namespace gmesp::client
