#include "control/daemon/proxy_server.h"

#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "control/client/gmesp.h"
#include "control/daemon/version.h"

namespace gmesp::control {
namespace {

using link::Kind;
using link::MessageReader;
using link::MessageWriter;
using link::Tag;

/// What an epoll entry is about: a client's id, the listener, or a watched descriptor below a bit.
constexpr uint64_t kListener = 0;
constexpr uint64_t kWatched = uint64_t{1} << 32;
/// A client that sends without end waits for its turn like the others.
constexpr uint32_t kMessagesPerTurn = 64;

}  // namespace

ProxyServer::ProxyServer(ProxyServerOptions options, Handler& handler)
    : options_(std::move(options)),
      handler_(handler),
      listener_(options_.socket, options_.socket_mode),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll");
  add_to_epoll(listener_.fd(), kListener, EPOLLIN);
}

ProxyServer::~ProxyServer() {
  for (const auto& [id, client] : clients_) close(client.socket);
  close(epoll_);
}

void ProxyServer::add_to_epoll(int descriptor, uint64_t data, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = data;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
}

void ProxyServer::watch(int descriptor, std::function<void()> on_readable) {
  watchers_[descriptor] = std::move(on_readable);
  add_to_epoll(descriptor, kWatched | static_cast<uint32_t>(descriptor), EPOLLIN);
}

void ProxyServer::wait(int wait_ms) {
  const int count = epoll_wait(epoll_, ready_.data(), static_cast<int>(ready_.size()), wait_ms);
  ready_count_ = static_cast<size_t>(std::max(count, 0));
}

void ProxyServer::serve() {
  for (const epoll_event& event : std::span(ready_).first(ready_count_)) {
    if (event.data.u64 == kListener)
      accept_clients();
    else if ((event.data.u64 & kWatched) != 0)
      watchers_.at(static_cast<int>(event.data.u64 & ~kWatched))();
    else
      serve(static_cast<ClientId>(event.data.u64), event.events);
  }
}

void ProxyServer::serve(ClientId id, uint32_t events) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  if ((events & EPOLLOUT) != 0) flush(id, at->second);
  if ((events & ~EPOLLOUT) == 0) return;
  if (const auto still = clients_.find(id); still != clients_.end()) receive(id, still->second);
}

void ProxyServer::accept_clients() {
  for (;;) {
    shm::PeerCredentials peer;
    const int socket = listener_.accept(peer);
    if (socket < 0) return;
    if (const std::string why = refusal(peer); !why.empty()) {
      spdlog::warn("control connection refused: {}", why);
      std::array<uint8_t, 512> answer;
      MessageWriter writer(answer.data(), answer.size(), Kind::kReply, 0);
      writer.set_error(GMESP_E_REFUSED);
      writer.text(Tag::kText, why.c_str());
      (void)::send(socket, answer.data(), writer.finish(), MSG_NOSIGNAL | MSG_DONTWAIT);
      close(socket);
      continue;
    }
    while (next_id_ == kListener || clients_.contains(next_id_)) ++next_id_;
    const ClientId id = next_id_++;
    clients_.emplace(id, Client{.socket = socket, .process_id = peer.process_id, .unread = {}});
    add_to_epoll(socket, id, EPOLLIN | EPOLLRDHUP);
  }
}

/// Why this client is not taken; empty if it is.
std::string ProxyServer::refusal(const shm::PeerCredentials& peer) const {
  const bool is_allowed =
      peer.uid == 0 || peer.uid == geteuid() ||
      std::ranges::find(options_.allowed_uids, peer.uid) != options_.allowed_uids.end();
  if (!is_allowed)
    return "user " + std::to_string(peer.uid) + " of process " + std::to_string(peer.process_id) +
           " is not in control.allowed_uids";
  if (clients_.size() >= options_.connections_max)
    return std::to_string(clients_.size()) + " connections, as many as control.connections_max";
  return {};
}

/// Several packets a call: with many small requests the calls are what costs.
void ProxyServer::receive(ClientId id, Client& client) {
  constexpr unsigned kPerCall = 16;
  alignas(8) static std::array<std::array<uint8_t, link::kMessageBytesMax>, kPerCall> packets;
  std::array<iovec, kPerCall> places;
  std::array<mmsghdr, kPerCall> headers{};
  for (unsigned i = 0; i < kPerCall; ++i) {
    places[i] = {packets[i].data(), packets[i].size()};
    headers[i].msg_hdr.msg_iov = &places[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  for (uint32_t messages = 0; messages < kMessagesPerTurn;) {
    const int count =
        recvmmsg(client.socket, headers.data(), kPerCall, MSG_DONTWAIT | MSG_TRUNC, nullptr);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return drop(id, "hung up");
    for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
      const uint32_t bytes = headers[i].msg_len;
      if (clients_.contains(id)) messages += take_packet(id, client, packets[i].data(), bytes);
      explicit_bzero(packets[i].data(), std::min<size_t>(bytes, packets[i].size()));  // keys pass
    }
    if (!clients_.contains(id) || count < static_cast<int>(kPerCall)) return;
  }
}

uint32_t ProxyServer::take_packet(ClientId id, Client& client, const uint8_t* packet,
                                  uint32_t bytes) {
  if (bytes == 0) return drop(id, "hung up"), 0;
  const bool is_packet = link::is_packet(packet, bytes);
  if (!is_packet && !client.has_said_hello)
    return refuse_version(id, packet, std::min(bytes, link::kMessageBytesMax)), 0;
  if (!is_packet) return drop(id, "sent what is no message"), 0;
  uint32_t messages = 0;
  for (const uint8_t* end = packet + bytes; packet != end && clients_.contains(id); ++messages) {
    const uint64_t message_bytes = link::first_message_bytes(packet);
    MessageReader message;
    message.open(packet, message_bytes);
    if (client.has_said_hello)
      handler_.on_request(id, message);
    else
      take_hello(id, client, message);
    packet += message_bytes;
  }
  return messages;
}

void ProxyServer::take_hello(ClientId id, Client& client, MessageReader& hello) {
  if (hello.kind() != Kind::kHello) return drop(id, "did not begin with a hello");
  link::Field field;
  uint64_t wants_events = 0;
  while (hello.next(field))
    if (field.tag == Tag::kWantsEvents && !field.number(wants_events))
      return drop(id, "said a hello that cannot be read");
  client.has_said_hello = true;
  client.wants_events = wants_events != 0;
  if (client.wants_events) ++listeners_;
  std::array<uint8_t, 256> answer;
  MessageWriter writer(answer.data(), answer.size(), Kind::kReply, hello.header().tag);
  writer.text(Tag::kText, kVersionText);
  push(id, client, answer.data(), writer.finish());
  spdlog::info("control connection {} from process {}{}", id, client.process_id,
               client.wants_events ? " (wants events)" : "");
}

/// Names both versions: ours stands in the header of the answer.
void ProxyServer::refuse_version(ClientId id, const uint8_t* message, size_t message_bytes) {
  link::Header header{};
  memcpy(&header, message, std::min(message_bytes, sizeof header));
  const std::string why = header.magic == link::kMagic && header.version != link::kVersion
                              ? "speaks version " + std::to_string(header.version) +
                                    ", here it is " + std::to_string(link::kVersion)
                              : "sent what is no hello";
  std::array<uint8_t, 512> answer;
  MessageWriter writer(answer.data(), answer.size(), Kind::kReply, header.tag);
  writer.set_error(GMESP_E_VERSION);
  writer.text(Tag::kText, why.c_str());
  push(id, clients_.at(id), answer.data(), writer.finish());
  flush();
  drop(id, why);
}

void ProxyServer::send(ClientId id, const uint8_t* message, uint32_t message_bytes) {
  const auto at = clients_.find(id);
  if (at != clients_.end()) push(id, at->second, message, message_bytes);
}

void ProxyServer::send_event(const uint8_t* message, uint32_t message_bytes) {
  std::vector<ClientId> listeners;
  for (const auto& [id, client] : clients_)
    if (client.wants_events) listeners.push_back(id);
  for (const ClientId id : listeners) send(id, message, message_bytes);
}

void ProxyServer::push(ClientId id, Client& client, const uint8_t* message,
                       uint32_t message_bytes) {
  if (client.unread_messages >= options_.unread_max)
    return drop(id, "leaves " + std::to_string(options_.unread_max) + " messages unread");
  ++client.unread_messages;
  const auto* text = reinterpret_cast<const char*>(message);
  const bool has_room =
      !client.unread.empty() && client.unread.back().messages < link::kGatheredMax &&
      client.unread.back().bytes.size() + message_bytes <= link::kGatheredBytesMax;
  if (!has_room) client.unread.emplace_back();
  Packet& packet = client.unread.back();
  packet.bytes.append(text, message_bytes);
  ++packet.messages;
  if (client.is_to_flush) return;
  client.is_to_flush = true;
  to_flush_.push_back(id);
}

void ProxyServer::flush() {
  for (const ClientId id : std::exchange(to_flush_, {}))
    if (const auto at = clients_.find(id); at != clients_.end()) {
      at->second.is_to_flush = false;
      if (!at->second.waits_for_room) flush(id, at->second);
    }
}

void ProxyServer::flush(ClientId id, Client& client) {
  constexpr unsigned kPerCall = 32;
  while (!client.unread.empty()) {
    std::array<iovec, kPerCall> places;
    std::array<mmsghdr, kPerCall> headers{};
    const auto count = static_cast<unsigned>(std::min<size_t>(kPerCall, client.unread.size()));
    for (unsigned i = 0; i < count; ++i) {
      places[i] = {client.unread[i].bytes.data(), client.unread[i].bytes.size()};
      headers[i].msg_hdr.msg_iov = &places[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
    const int sent = sendmmsg(client.socket, headers.data(), count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EAGAIN) return watch(id, client, true);
      return drop(id, strerror(errno));
    }
    for (int i = 0; i < sent; ++i) {
      client.unread_messages -= client.unread.front().messages;
      client.unread.pop_front();
    }
  }
  if (client.waits_for_room) watch(id, client, false);
}

void ProxyServer::watch(ClientId id, Client& client, bool wants_room) {
  client.waits_for_room = wants_room;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | (wants_room ? uint32_t{EPOLLOUT} : 0u);
  event.data.u64 = id;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, client.socket, &event);
}

void ProxyServer::drop(ClientId id, const std::string& why) {
  const auto at = clients_.find(id);
  if (at == clients_.end()) return;
  spdlog::info("control connection {} of process {} closed: {}", id, at->second.process_id, why);
  if (at->second.wants_events) --listeners_;
  close(at->second.socket);
  clients_.erase(at);
  handler_.on_hang_up(id);
}

}  // namespace gmesp::control
