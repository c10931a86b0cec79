// The first step of both kinds of connection: to a daemon's Unix socket.
//
// Threading: one thread at a time per connection. Errors: enum gmesp_error, told by the
// connection's own fail(). libc only.
#pragma once

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "control/client/control.h"
#include "control/client/deadline.h"
#include "control/client/dp.h"
#include "control/shm/handshake.h"

namespace gmesp::client {

inline constexpr int kConnectPauseMs = 10;

/// `connection.socket` is open afterwards, or -1; it is the connection's to close.
template <class Connection>
int connect_socket(Connection& connection, const char* path, const Deadline& deadline) {
  sockaddr_un address;
  if (!shm::make_address(path, address))
    return fail(connection, GMESP_E_NOT_CONNECTED, "socket path of %zu bytes, allowed are 1 to %zu",
                strlen(path), sizeof address.sun_path - 1);
  connection.socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (connection.socket < 0) return fail(connection, GMESP_E_NOT_CONNECTED, "socket: %m");
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  while (connect(connection.socket, to, sizeof address) != 0) {
    if (errno == EINTR) continue;
    // EAGAIN: the daemon has not accepted those before us yet.
    if (errno != EAGAIN || deadline.left_ms() == 0)
      return fail(connection, GMESP_E_NOT_CONNECTED, "%.180s: %m", path);
    poll(nullptr, 0, kConnectPauseMs);
  }
  return GMESP_OK;
}

}  // namespace gmesp::client
