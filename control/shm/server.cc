#include "control/shm/server.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <stdexcept>
#include <system_error>

#include "control/shm/command_shape.h"
#include "control/shm/connection.h"

namespace gmesp::shm {
namespace {

/// What an epoll entry is about: the low bits of its data; above them stands the connection's id,
/// or which of those that are watched for the caller.
enum class Source : uint64_t { kListener, kAgain, kSocket, kProcess, kWatched };
constexpr uint32_t kSourceBits = 3;

constexpr uint64_t epoll_data(ConnectionId id, Source source) {
  return id << kSourceBits | static_cast<uint64_t>(source);
}

uint64_t boottime_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

void copy_text(char* to, size_t bytes, const std::string& from) {
  const size_t count = std::min(from.size(), bytes - 1);
  memcpy(to, from.data(), count);
  to[count] = '\0';
}

/// Answers and closes. The client's end may still be sending its hello: reading is shut first, so
/// that nothing unread is left; else the kernel tells the client ECONNRESET instead of our text.
void refuse(int socket, HandshakeStatus status, const std::string& text) {
  Answer answer = make_answer(status, 0);
  copy_text(answer.text, sizeof answer.text, text);
  send_answer(socket, answer, -1);
  shutdown(socket, SHUT_RD);
  uint8_t unread[sizeof(Hello)];
  for (int i = 0; i < 16 && recv(socket, unread, sizeof unread, MSG_DONTWAIT) > 0;) ++i;
}

void check(const ServerOptions& options) {
  const auto check_ring = [](const char* name, uint32_t slots) {
    if (!is_ring_size(slots))
      throw std::invalid_argument(
          std::string(name) + " " + std::to_string(slots) + ", allowed are powers of two from " +
          std::to_string(kRingSlotsMin) + " to " + std::to_string(kRingSlotsMax));
  };
  check_ring("command_slots", options.command_slots);
  check_ring("completion_slots", options.completion_slots);
  check_ring("event_slots", options.event_slots);
  if (options.connections_max == 0)
    throw std::invalid_argument("connections_max 0, allowed is 1 and more");
}

}  // namespace

struct Server::Impl {
  Impl(const ServerOptions& wanted, CommandHandler& handler_of_commands);
  ~Impl();

  void watch(int fd, uint64_t data);
  void handle_ready(int wait_ms);
  void accept_all();
  std::string refusal_at_accept(const PeerCredentials& peer, HandshakeStatus& status) const;
  void hear(ConnectionId id);
  void read_hello(ConnectionId id, Connection& connection);
  HandshakeStatus admit(Connection& connection, const Hello& hello, Answer& answer);
  void open(ConnectionId id, Connection& connection, const Hello& hello);
  bool expire_handshakes(uint64_t now_ms);
  uint32_t deliver(uint32_t commands_max);
  void dispatch(ConnectionId id, Connection& connection, Command& command);
  void reap();
  void settle();
  void come_again() { eventfd_write(again_fd, 1); }

  const ServerOptions options;
  CommandHandler& handler;
  Listener listener;
  int epoll_fd = -1;
  int again_fd = -1;  ///< written when poll() leaves work for its next call
  bool polling = false;
  ConnectionId last_id = 0;
  std::map<ConnectionId, std::unique_ptr<Connection>> connections;
  std::vector<std::function<void()>> watchers;
};

Server::Impl::Impl(const ServerOptions& wanted, CommandHandler& handler_of_commands)
    : options((check(wanted), wanted)),
      handler(handler_of_commands),
      listener(options.socket_path, options.socket_mode) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  again_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (epoll_fd < 0 || again_fd < 0)
    throw std::system_error(errno, std::generic_category(), options.socket_path + ": epoll");
  watch(listener.fd(), epoll_data(0, Source::kListener));
  watch(again_fd, epoll_data(0, Source::kAgain));
}

Server::Impl::~Impl() {
  close(again_fd);
  close(epoll_fd);
}

void Server::Impl::watch(int fd, uint64_t data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = data;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::system_error(errno, std::generic_category(), options.socket_path + ": epoll_ctl");
}

void Server::Impl::handle_ready(int wait_ms) {
  constexpr int kEventsMax = 64;
  epoll_event events[kEventsMax];
  const int count = epoll_wait(epoll_fd, events, kEventsMax, wait_ms);
  for (int i = 0; i < count; ++i) {
    const ConnectionId id = events[i].data.u64 >> kSourceBits;
    const auto found = connections.find(id);
    eventfd_t ignored;
    switch (static_cast<Source>(events[i].data.u64 & ((1u << kSourceBits) - 1))) {
      case Source::kListener:
        accept_all();
        break;
      case Source::kAgain:
        eventfd_read(again_fd, &ignored);
        break;
      case Source::kSocket:
        hear(id);
        break;
      case Source::kProcess:
        if (found != connections.end()) found->second->kill("client's process ended");
        break;
      case Source::kWatched:
        watchers[id]();
        break;
    }
  }
}

/// Empty, or why nobody of this peer's kind gets in.
std::string Server::Impl::refusal_at_accept(const PeerCredentials& peer,
                                            HandshakeStatus& status) const {
  const auto& allowed = options.allowed_uids;
  if (peer.uid != 0 && peer.uid != geteuid() &&
      std::find(allowed.begin(), allowed.end(), peer.uid) == allowed.end()) {
    status = HandshakeStatus::kNotAllowed;
    return "user " + std::to_string(peer.uid) + " may not connect, allowed are root, " +
           std::to_string(geteuid()) + " and the configured ones";
  }
  if (connections.size() >= options.connections_max) {
    status = HandshakeStatus::kTooMany;
    return std::to_string(connections.size()) + " connections, allowed are " +
           std::to_string(options.connections_max);
  }
  return {};
}

void Server::Impl::accept_all() {
  constexpr int kAcceptsMax = 64;
  PeerCredentials peer;
  for (int i = 0; i < kAcceptsMax; ++i) {
    const int socket = listener.accept(peer);
    if (socket < 0) return;
    HandshakeStatus status = HandshakeStatus::kAccepted;
    const std::string refusal = refusal_at_accept(peer, status);
    if (!refusal.empty()) {
      refuse(socket, status, refusal);
      close(socket);
      handler.on_refused(peer.process_id, peer.uid, refusal);
      continue;
    }
    const ConnectionId id = ++last_id;
    connections[id] =
        std::make_unique<Connection>(socket, peer, boottime_ms() + options.handshake_timeout_ms);
    try {
      watch(socket, epoll_data(id, Source::kSocket));
    } catch (const std::system_error& error) {
      connections[id]->kill(error.what());
    }
  }
}

void Server::Impl::hear(ConnectionId id) {
  const auto found = connections.find(id);
  if (found == connections.end()) return;
  Connection& connection = *found->second;
  if (connection.is_open())
    connection.hear_bell();
  else if (!connection.dead())
    read_hello(id, connection);
}

void Server::Impl::read_hello(ConnectionId id, Connection& connection) {
  uint8_t message[sizeof(Hello) * 2];
  const ssize_t bytes = recv(connection.socket(), message, sizeof message, MSG_DONTWAIT);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes <= 0) return connection.kill("client hung up before its hello");
  Hello hello{};
  Answer answer{};
  HandshakeStatus status = judge_hello(message, static_cast<size_t>(bytes), hello, answer);
  if (status == HandshakeStatus::kAccepted) status = admit(connection, hello, answer);
  if (status == HandshakeStatus::kAccepted) return open(id, connection, hello);
  refuse(connection.socket(), status, answer.text);
  connection.kill(answer.text);
}

/// One writer at a time. Makes the memory of an admitted client and hands it over.
HandshakeStatus Server::Impl::admit(Connection& connection, const Hello& hello, Answer& answer) {
  if (hello.role == static_cast<uint8_t>(Role::kWriter)) {
    for (const auto& [other_id, other] : connections) {
      if (!other->is_writer()) continue;
      other->hear_hang_up();  // it may have hung up a moment ago
      if (other->dead()) continue;
      copy_text(answer.text, sizeof answer.text,
                "process " + std::to_string(other->peer().process_id) + " is the writer");
      return HandshakeStatus::kWriterTaken;
    }
  }
  try {
    const int memory_fd = connection.open(options, hello, boottime_ms());
    const Answer accepted = make_answer(HandshakeStatus::kAccepted, connection.memory_bytes());
    if (!send_answer(connection.socket(), accepted, memory_fd))
      connection.kill("client did not take the answer to its hello");
    return HandshakeStatus::kAccepted;
  } catch (const std::system_error& error) {
    copy_text(answer.text, sizeof answer.text, error.what());
    return HandshakeStatus::kNoResources;
  }
}

void Server::Impl::open(ConnectionId id, Connection& connection, const Hello& hello) {
  if (connection.dead()) return;
  // The handler hears of the old writer's end before it hears of the new one.
  if (connection.is_writer()) reap();
  const bool writer = hello.role == static_cast<uint8_t>(Role::kWriter);
  connection.announce();
  handler.on_connected(id, connection.peer().process_id, writer);
  if (connection.process_fd() < 0) return;
  try {
    watch(connection.process_fd(), epoll_data(id, Source::kProcess));
  } catch (const std::system_error& error) {
    connection.kill(error.what());
  }
}

/// True if one was late.
bool Server::Impl::expire_handshakes(uint64_t now_ms) {
  bool any = false;
  for (const auto& [id, connection] : connections) {
    if (connection->is_open() || now_ms < connection->hello_until_ms()) continue;
    connection->kill("no hello within " + std::to_string(options.handshake_timeout_ms) + " ms");
    any = true;
  }
  return any;
}

/// In turns, so that a client with a full ring does not keep the others waiting.
uint32_t Server::Impl::deliver(uint32_t commands_max) {
  constexpr uint32_t kTurnMax = 32;
  const auto sharers = static_cast<uint32_t>(std::max<size_t>(1, connections.size()));
  const uint32_t turn = std::clamp(commands_max / sharers, 1u, kTurnMax);
  uint32_t delivered = 0;
  Command command;
  for (bool any = true; any && delivered < commands_max;) {
    any = false;
    for (const auto& [id, connection] : connections) {
      for (uint32_t i = 0; i < turn && delivered < commands_max; ++i) {
        if (!connection->take(command)) break;
        any = true;
        ++delivered;
        dispatch(id, *connection, command);
      }
    }
  }
  explicit_bzero(&command, sizeof command);
  return delivered;
}

void Server::Impl::dispatch(ConnectionId id, Connection& connection, Command& command) {
  std::string detail;
  const Status status = check_shape(command, connection.is_writer(), detail);
  if (status == Status::kOk) return handler.on_command(id, command);
  Completion completion{};
  completion.tag = command.tag;
  completion.kind = command.kind;
  completion.status = static_cast<uint32_t>(status);
  copy_text(completion.body.detail, sizeof completion.body.detail, detail);
  connection.complete(completion);
}

void Server::Impl::reap() {
  for (auto at = connections.begin(); at != connections.end();) {
    if (!at->second->dead()) {
      ++at;
      continue;
    }
    const ConnectionId id = at->first;
    const std::unique_ptr<Connection> connection = std::move(at->second);
    at = connections.erase(at);
    const PeerCredentials& peer = connection->peer();
    if (connection->is_announced())
      handler.on_disconnected(id, connection->why_dead());
    else
      handler.on_refused(peer.process_id, peer.uid, connection->why_dead());
  }
}

/// Rings who waits for us, asks to be rung, and asks to be called again if something is left.
void Server::Impl::settle() {
  bool more = false;
  for (const auto& [id, connection] : connections) {
    if (connection->is_open()) connection->ring();
    if (connection->arm() || connection->dead()) more = true;
  }
  if (more) come_again();
}

Server::Server(const ServerOptions& options, CommandHandler& handler)
    : impl_(std::make_unique<Impl>(options, handler)) {}

Server::~Server() = default;

int Server::poll_fd() const {
  return impl_->epoll_fd;
}

void Server::watch(int descriptor, std::function<void()> on_readable) {
  impl_->watch(descriptor, epoll_data(impl_->watchers.size(), Source::kWatched));
  impl_->watchers.push_back(std::move(on_readable));
}

uint32_t Server::poll(int wait_ms, uint32_t commands_max) {
  impl_->polling = true;
  impl_->handle_ready(wait_ms);
  impl_->expire_handshakes(boottime_ms());
  const uint32_t delivered = impl_->deliver(commands_max);
  impl_->reap();
  impl_->settle();
  impl_->polling = false;
  return delivered;
}

const PeerCredentials* Server::peer(ConnectionId id) const {
  const auto found = impl_->connections.find(id);
  return found != impl_->connections.end() ? &found->second->peer() : nullptr;
}

bool Server::complete(ConnectionId id, const Completion& completion) {
  const auto found = impl_->connections.find(id);
  if (found == impl_->connections.end()) return false;
  Connection& connection = *found->second;
  connection.complete(completion);
  if (connection.dead()) {
    impl_->come_again();
    return false;
  }
  if (!impl_->polling) connection.ring();
  return true;
}

void Server::publish(const Event& event) {
  for (const auto& [id, connection] : impl_->connections) {
    connection->publish(event);
    if (connection->dead())
      impl_->come_again();
    else if (connection->is_open() && !impl_->polling)
      connection->ring();
  }
}

void Server::heartbeat(uint64_t now_ms) {
  for (const auto& [id, connection] : impl_->connections)
    if (connection->is_open()) connection->heartbeat(now_ms);
  if (impl_->expire_handshakes(boottime_ms())) impl_->come_again();
}

}  // namespace gmesp::shm
