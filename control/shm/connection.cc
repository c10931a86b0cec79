#include "control/shm/connection.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

namespace gmesp::shm {

Connection::Connection(int socket, const PeerCredentials& peer, uint64_t hello_until_ms)
    : socket_(socket), peer_(peer), hello_until_ms_(hello_until_ms) {}

Connection::~Connection() {
  if (dead() && is_open()) memory_->wipe_answers();
  close(socket_);
  if (process_fd_ >= 0) close(process_fd_);
}

int Connection::open(const ServerOptions& options, const Hello& hello, uint64_t now_ms) {
  auto memory = std::make_unique<Memory>(options.command_slots, options.completion_slots,
                                         options.event_slots, options.epoch);
  memory->heartbeat_ms().store(now_ms);
  commands_ = memory->commands();
  completions_ = memory->completions();
  events_ = memory->events();
  memory_ = std::move(memory);
  is_writer_ = hello.role == static_cast<uint8_t>(Role::kWriter);
  wants_events_ = hello.wants_events != 0;
  process_fd_ = static_cast<int>(syscall(SYS_pidfd_open, peer_.process_id, 0));
  return memory_->fd();
}

void Connection::kill(const std::string& why) {
  if (!dead()) why_dead_ = why;
}

/// A few at a time: a client that floods the socket waits for its turn like the others.
void Connection::hear_bell() {
  constexpr unsigned kBellsMax = 16;
  char bells[kBellsMax];
  iovec places[kBellsMax];
  mmsghdr messages[kBellsMax]{};
  for (unsigned i = 0; i < kBellsMax; ++i) {
    places[i] = {&bells[i], 1};
    messages[i].msg_hdr.msg_iov = &places[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = recvmmsg(socket_, messages, kBellsMax, MSG_DONTWAIT, nullptr);
  if (count < 0 && errno != EAGAIN && errno != EINTR)
    return kill("client hung up (" + std::to_string(errno) + ")");
  for (int i = 0; i < count; ++i)
    if (messages[i].msg_len == 0) return kill("client hung up");
}

/// Asked for by itself, because unread bells hide it.
void Connection::hear_hang_up() {
  pollfd hang_up{socket_, POLLRDHUP, 0};
  // A signal interrupts even a poll that does not wait.
  int found = 0;
  do found = poll(&hang_up, 1, 0);
  while (found < 0 && errno == EINTR);
  if (found != 0) kill("client hung up");
}

bool Connection::done(RingResult result, const char* ring) {
  if (result == RingResult::kCorrupt)
    kill(std::string("client corrupted the ") + ring + " ring's index");
  return result == RingResult::kDone;
}

bool Connection::take(Command& command) {
  if (!is_open() || dead()) return false;
  if (!done(completions_.refill(unanswered_ + 1), "completion")) return false;
  if (!done(commands_.pop_and_wipe(command), "command")) return false;
  ++unanswered_;
  return true;
}

void Connection::complete(const Completion& completion) {
  assert(unanswered_ != 0);  // else the handler answered a command twice
  if (dead()) return;
  // Full although a slot was reserved: the client moved its index back.
  if (completions_.push(completion) != RingResult::kDone)
    return kill("client corrupted the completion ring's index");
  --unanswered_;
  is_unrung_ = true;
}

void Connection::publish(const Event& event) {
  if (!is_open() || dead() || !wants_events_) return;
  const RingResult result = events_.push(event);
  if (result == RingResult::kBusy)
    memory_->events_lost().store(++events_lost_, std::memory_order_relaxed);
  else if (done(result, "event"))
    is_unrung_ = true;
}

void Connection::ring() {
  if (!is_unrung_) return;
  is_unrung_ = false;
  const bool waits_for_answer = completions_.peer_sleeps();
  const bool waits_for_event = events_.peer_sleeps();
  if (waits_for_answer || waits_for_event) ring_bell(socket_);
}

bool Connection::arm() {
  if (!is_open() || dead()) return false;
  commands_.arm();
  RingResult room = completions_.refill(unanswered_ + 1);
  if (room == RingResult::kBusy) {
    completions_.arm();
    room = completions_.refill(unanswered_ + 1);
  }
  if (room == RingResult::kBusy) return false;
  // What is corrupt is found by take() in the next round.
  return room == RingResult::kCorrupt || commands_.refill() != RingResult::kBusy;
}

}  // namespace gmesp::shm
