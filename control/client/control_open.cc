// Opening and closing a connection to gmesp-control: connect, hello.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client/connect.h"
#include "control/client/control.h"
#include "control/client/control_reply.h"

namespace gmesp::client {
namespace {

/// One packet into control.packet.
int receive_packet(gmesp_control& control, const Deadline& deadline) {
  for (int resets = 0;;) {
    const ssize_t got = recv(control.socket, control.packet, sizeof control.packet, MSG_TRUNC);
    if (got > static_cast<ssize_t>(sizeof control.packet))
      return fail(control, GMESP_E_PROTOCOL, "reply of %zd bytes, allowed are %zu", got,
                  sizeof control.packet);
    if (got > 0) {
      control.packet_bytes = static_cast<uint32_t>(got);
      return GMESP_OK;
    }
    if (got < 0 && errno == EINTR) continue;
    // A reset is told once, before what came ahead of it.
    if (got < 0 && errno == ECONNRESET && ++resets == 1) continue;
    if (got == 0 || errno != EAGAIN)
      return fail(control, GMESP_E_DISCONNECTED,
                  "gmesp-control closed the connection at the hello");
    if (deadline.left_ms() == 0)
      return fail(control, GMESP_E_TIMEOUT, "no reply of gmesp-control to the hello within %d ms",
                  deadline.timeout_ms());
    pollfd readable{control.socket, POLLIN, 0};
    poll(&readable, 1, deadline.left_ms());
  }
}

/// A gmesp-control of another protocol version says so in the header, whatever stands behind it.
int read_hello_reply(gmesp_control& control) {
  link::Header header{};
  if (control.packet_bytes >= sizeof header) memcpy(&header, control.packet, sizeof header);
  if (header.magic != link::kMagic)
    return fail(control, GMESP_E_PROTOCOL, "magic %#x, expected is %#x", header.magic,
                link::kMagic);
  if (header.version != link::kVersion)
    return fail(control, GMESP_E_VERSION, "protocol version: gmesp-control has %u, client has %u",
                header.version, link::kVersion);
  link::MessageReader reply;
  uint8_t* message = nullptr;
  uint32_t bytes = 0;
  char text[GMESP_DETAIL_BYTES];
  if (!link::is_packet(control.packet, control.packet_bytes) ||
      !next_in_packet(control, message, bytes) || !reply.open(message, bytes) ||
      reply.kind() != link::Kind::kReply || header.error < 0 || !read_text(reply, text))
    return fail(control, GMESP_E_PROTOCOL, "reply to the hello is malformed");
  return header.error == GMESP_OK ? GMESP_OK : fail(control, header.error, "%s", text);
}

int say_hello(gmesp_control& control, const Deadline& deadline) {
  link::MessageWriter hello(control.request, sizeof control.request, link::Kind::kHello, 0);
  hello.number(link::Tag::kWantsEvents, control.wants_events ? 1 : 0);
  // A refusal may have come before our hello went out: a failure here is not the last word.
  (void)send(control.socket, control.request, hello.finish(), MSG_NOSIGNAL);
  const int error = receive_packet(control, deadline);
  return error == GMESP_OK ? read_hello_reply(control) : error;
}

int check(const gmesp_control_options* options, gmesp_control** control) {
  if (options == nullptr || control == nullptr) return GMESP_E_BAD_ARGUMENT;
  if (options->size < sizeof *options) return GMESP_E_STRUCT_SIZE;
  const bool is_known = options->wants_events <= 1 && options->reserved == 0;
  return is_known ? GMESP_OK : GMESP_E_BAD_ARGUMENT;
}

int open(gmesp_control& control, const gmesp_control_options& options) {
  // One for the call that waits.
  if (!control.pending.make(kSubmittedMax + 1))
    return fail(control, GMESP_E_NO_MEMORY, "memory for %u requests", kSubmittedMax + 1);
  const Deadline deadline(options.timeout_ms > 0 ? options.timeout_ms : kDefaultCallTimeoutMs);
  const char* path =
      options.socket_path != nullptr ? options.socket_path : GMESP_CONTROL_DEFAULT_SOCKET;
  control.wants_events = options.wants_events != 0;
  const int error = connect_socket(control, path, deadline);
  return error == GMESP_OK ? say_hello(control, deadline) : error;
}

}  // namespace
}  // namespace gmesp::client

int gmesp_control_open(const gmesp_control_options* options, gmesp_control** control, char* detail,
                       size_t detail_bytes) {
  if (detail != nullptr && detail_bytes != 0) detail[0] = '\0';
  if (control != nullptr) *control = nullptr;
  int error = gmesp::client::check(options, control);
  if (error != GMESP_OK) return error;
  auto* made = static_cast<gmesp_control*>(calloc(1, sizeof(gmesp_control)));
  if (made == nullptr) return GMESP_E_NO_MEMORY;
  made->owner.set();
  made->socket = -1;
  error = gmesp::client::open(*made, *options);
  if (error == GMESP_OK) {
    *control = made;
    return GMESP_OK;
  }
  if (detail != nullptr && detail_bytes != 0) snprintf(detail, detail_bytes, "%s", made->detail);
  gmesp_control_close(made);
  return error;
}

void gmesp_control_close(gmesp_control* control) {
  if (control == nullptr) return;
  if (control->socket >= 0) {
    // Children may hold the socket too: only a shutdown tells gmesp-control at once.
    if (control->owner.is_caller()) shutdown(control->socket, SHUT_RDWR);
    close(control->socket);
  }
  control->pending.free_memory();
  control->owner.free_memory();
  control->verdicts.clear();
  control->events.clear();
  free(control);
}

const char* gmesp_control_detail(const gmesp_control* control) {
  return control != nullptr ? control->detail : "";
}

int gmesp_control_fd(const gmesp_control* control) {
  return control != nullptr && control->owner.is_caller() ? control->socket : -1;
}

uint64_t gmesp_control_events_lost(const gmesp_control* control) {
  return control != nullptr ? control->events_lost : 0;
}
