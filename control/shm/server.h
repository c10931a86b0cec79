// gmespd's end of the shared memory: accepts connections, hands out rings, delivers commands,
// survives any client.
//
// A command takes effect once it was delivered: a client that ends before that has changed nothing,
// and one that ends after it loses only the answer.
// Threading: everything on one thread (gmespd's control thread). No call blocks.
// Errors: the constructor throws std::system_error naming the path, std::invalid_argument naming
// the option; afterwards a misbehaving client only loses its connection, with a reason in
// on_refused or on_disconnected. Handlers may call complete() and publish(), and do not throw.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/shm/layout.h"
#include "control/shm/listener.h"

namespace gmesp::shm {

struct ServerOptions {
  std::string socket_path = "/run/gmesp/gmespd.sock";
  uint32_t socket_mode = 0600;
  /// Users besides root and our own that may connect (SO_PEERCRED); `socket_mode` must let them.
  std::vector<uint32_t> allowed_uids = {};
  uint32_t connections_max = 16;
  uint32_t command_slots = 4096;  ///< powers of two
  uint32_t completion_slots = 4096;
  uint32_t event_slots = 4096;
  uint32_t handshake_timeout_ms = 2000;  ///< from connect to hello
  uint64_t epoch = 0;                    ///< told to clients: InfoRow::epoch
};

using ConnectionId = uint64_t;  ///< never reused

class CommandHandler {
 public:
  virtual ~CommandHandler() = default;
  /// One validated-in-shape command of one connection: `command` is a private copy (keys already
  /// wiped in the ring, and here after the call). Answer it exactly once with Server::complete, now
  /// or later. Its kind is known and its size right. Commands that change something never arrive
  /// from connections without the writer's role (the server answers kNotWriter itself).
  virtual void on_command(ConnectionId connection, Command& command) = 0;
  virtual void on_connected(ConnectionId connection, uint32_t process_id, bool writer) = 0;
  /// Only for connections that on_connected() named.
  virtual void on_disconnected(ConnectionId connection, const std::string& why) = 0;
  /// A process that did not get as far as on_connected(): for the log.
  virtual void on_refused(uint32_t process_id, uint32_t uid, const std::string& why) {
    (void)process_id, (void)uid, (void)why;
  }
};

class Server {
 public:
  Server(const ServerOptions& options, CommandHandler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Readable when poll() has something to do: for a caller that waits by itself. A hello that does
  /// not come is noticed by poll() or heartbeat() alone.
  int poll_fd() const;
  /// poll() waits for this too, and calls `on_readable` each time that it finds it so.
  void watch(int descriptor, std::function<void()> on_readable);
  /// Accepts, reaps, and delivers at most `commands_max` commands, after a wait of at most
  /// `wait_ms` for something to do. Returns how many were delivered.
  uint32_t poll(int wait_ms = 0, uint32_t commands_max = 1024);

  /// Whose process the connection is, as the kernel saw it at connect; null if it is gone.
  const PeerCredentials* peer(ConnectionId connection) const;
  /// Answers a command. False if the connection is gone (the answer is dropped).
  bool complete(ConnectionId connection, const Completion& completion);
  /// To every connection that asked for events; counted as lost per connection when its ring is
  /// full.
  void publish(const Event& event);
  /// Advances the heartbeat that clients read to tell a hung gmespd from a slow one; call about
  /// every 100 ms.
  void heartbeat(uint64_t now_ms);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gmesp::shm
