// The Unix socket that SIP proxies and gmespctl connect to: for each message in, one out.
//
// Access: by the socket's file mode and the peer's user (SO_PEERCRED). A client that does not read
// its answers is dropped when its queue is full; it never makes others wait.
// Threading: the event loop only. Errors: the constructor throws std::system_error naming the
// socket.
#pragma once

#include <sys/epoll.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/link/message.h"
#include "control/shm/listener.h"

namespace gmesp::control {

using ClientId = uint32_t;

struct ProxyServerOptions {
  std::string socket;
  mode_t socket_mode = 0600;
  std::vector<uint32_t> allowed_uids;
  uint32_t connections_max = 256;
  uint32_t unread_max = 4096;  ///< answers and events that a client leaves unread
};

class ProxyServer {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_request(ClientId client, link::MessageReader& request) = 0;
    virtual void on_hang_up(ClientId client) = 0;
  };

  ProxyServer(ProxyServerOptions options, Handler& handler);
  ~ProxyServer();
  ProxyServer(const ProxyServer&) = delete;
  ProxyServer& operator=(const ProxyServer&) = delete;

  /// Waited for too: serve() calls `on_readable` if it is so. It may be closed at any time.
  void watch(int descriptor, std::function<void()> on_readable);
  /// Until something comes, but no longer than `wait_ms`.
  void wait(int wait_ms);
  /// Takes what wait() found.
  void serve();
  /// Goes out with flush(). To a client that is gone already: nothing.
  void send(ClientId client, const uint8_t* message, uint32_t message_bytes);
  /// To all who want events.
  void send_event(const uint8_t* message, uint32_t message_bytes);
  /// Sends what the clients have room for, many messages a call; the rest goes when they read.
  void flush();
  bool has_listeners() const { return listeners_ != 0; }
  size_t connections() const { return clients_.size(); }

 private:
  struct Packet {
    std::string bytes;
    uint32_t messages;
  };
  struct Client {
    int socket;
    uint32_t process_id;
    bool has_said_hello = false;
    bool wants_events = false;
    bool is_to_flush = false;
    bool waits_for_room = false;
    std::deque<Packet> unread;
    uint32_t unread_messages = 0;
  };

  void add_to_epoll(int descriptor, uint64_t data, uint32_t events);
  void serve(ClientId id, uint32_t events);
  void accept_clients();
  std::string refusal(const shm::PeerCredentials& peer) const;
  void receive(ClientId id, Client& client);
  /// How many messages were in it.
  uint32_t take_packet(ClientId id, Client& client, const uint8_t* packet, uint32_t bytes);
  void take_hello(ClientId id, Client& client, link::MessageReader& hello);
  void refuse_version(ClientId id, const uint8_t* message, size_t message_bytes);
  void push(ClientId id, Client& client, const uint8_t* message, uint32_t message_bytes);
  void flush(ClientId id, Client& client);
  void watch(ClientId id, Client& client, bool wants_room);
  void drop(ClientId id, const std::string& why);

  const ProxyServerOptions options_;
  Handler& handler_;
  shm::Listener listener_;
  const int epoll_;
  ClientId next_id_ = 1;
  uint32_t listeners_ = 0;
  std::unordered_map<ClientId, Client> clients_;
  std::vector<ClientId> to_flush_;
  std::array<epoll_event, 64> ready_;
  size_t ready_count_ = 0;
  std::unordered_map<int, std::function<void()>> watchers_;  ///< by descriptor
};

}  // namespace gmesp::control
