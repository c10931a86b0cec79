// One client of gmespd: its socket, its memory and its rings.
//
// A command is taken only when a completion slot is free for its answer: so an answer always finds
// room, and a client that does not read its answers stops being served (nobody else notices).
// A client that breaks the rules is killed: dead() from then on, with a reason; the server reaps
// it. Threading: the server's thread. Errors: open() throws std::system_error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "control/shm/handshake.h"
#include "control/shm/listener.h"
#include "control/shm/memory.h"
#include "control/shm/server.h"

namespace gmesp::shm {

class Connection {
 public:
  /// Takes `socket`. The peer has until `hello_until_ms` (CLOCK_BOOTTIME) to send its Hello.
  Connection(int socket, const PeerCredentials& peer, uint64_t hello_until_ms);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Makes the memory; is_open() from now on. Returns what to hand to the client: the memfd.
  int open(const ServerOptions& options, const Hello& hello, uint64_t now_ms);

  bool is_open() const { return memory_ != nullptr; }
  bool is_writer() const { return is_writer_; }
  /// The handler was told of this connection, and must be told of its end.
  void announce() { is_announced_ = true; }
  bool is_announced() const { return is_announced_; }
  bool dead() const { return !why_dead_.empty(); }
  const std::string& why_dead() const { return why_dead_; }
  int socket() const { return socket_; }
  const PeerCredentials& peer() const { return peer_; }
  uint64_t hello_until_ms() const { return hello_until_ms_; }
  uint64_t memory_bytes() const { return memory_->bytes(); }
  /// Readable when the peer's process has ended, even if a child of it still holds the socket.
  /// -1 if the kernel cannot say.
  int process_fd() const { return process_fd_; }

  void kill(const std::string& why);
  /// Swallows what came on the socket; a hang-up kills.
  void hear_bell();
  /// A hang-up kills, whatever is unread before it.
  void hear_hang_up();
  /// The next command, and room reserved for its answer. False: none now.
  bool take(Command& command);
  /// Answers one command that was taken.
  void complete(const Completion& completion);
  void publish(const Event& event);
  /// Wakes the client if it sleeps and something was pushed since the last call.
  void ring();
  /// Asks to be rung; true if there is something to do already.
  bool arm();
  void heartbeat(uint64_t now_ms) { memory_->heartbeat_ms().store(now_ms); }

 private:
  bool done(RingResult result, const char* ring);

  const int socket_;
  const PeerCredentials peer_;
  const uint64_t hello_until_ms_;
  int process_fd_ = -1;
  bool is_writer_ = false;
  bool wants_events_ = false;
  bool is_announced_ = false;
  bool is_unrung_ = false;
  uint32_t unanswered_ = 0;  ///< commands taken and not completed
  uint64_t events_lost_ = 0;
  std::string why_dead_;
  std::unique_ptr<Memory> memory_;
  RingConsumer<Command> commands_;
  RingProducer<Completion> completions_;
  RingProducer<Event> events_;
};

}  // namespace gmesp::shm
