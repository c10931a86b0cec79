// Commands out, answers and events in, and waiting for them.
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client/dp.h"
#include "control/shm/handshake.h"

namespace gmesp::client {
namespace {

/// How long a wait lasts before the heartbeat is believed to say anything: after a suspend it is
/// old although gmespd is well.
constexpr uint64_t kHeartbeatGraceMs = 1000;
constexpr uint64_t kWaitSliceMs = 250;

int break_connection(gmesp_dp& dp, int error, const char* why) {
  if (dp.broken == GMESP_OK) dp.broken = error;
  return fail(dp, dp.broken, "%s", why);
}

bool is_heartbeat_stale(const gmesp_dp& dp) {
  const uint64_t beat_ms = dp.memory->heartbeat_ms.load(std::memory_order_relaxed);
  const uint64_t now_ms = gmesp_now_ms();
  return now_ms > beat_ms && now_ms - beat_ms > shm::kHeartbeatStaleMs;
}

/// Swallows bells; notices the hang-up. There is rarely more than one: one call finds that out too.
void drain_bells(gmesp_dp& dp) {
  constexpr unsigned kPerCall = 4;
  char bell[16];
  iovec place{bell, sizeof bell};
  mmsghdr bells[kPerCall]{};
  for (mmsghdr& each : bells) {
    each.msg_hdr.msg_iov = &place;
    each.msg_hdr.msg_iovlen = 1;
  }
  for (;;) {
    const int count = recvmmsg(dp.socket, bells, kPerCall, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    // A closed connection gives messages of no bytes.
    if (count < 0 || bells[count - 1].msg_len == 0)
      return void(break_connection(dp, GMESP_E_DISCONNECTED, "gmespd closed the connection"));
    if (count < static_cast<int>(kPerCall)) return;
  }
}

/// The next answer of the ring and who waits for it. GMESP_E_AGAIN: none there.
int pop_answer(gmesp_dp& dp, shm::Completion& answer, Waiter& waiter) {
  for (;;) {
    const shm::RingResult result = dp.completions.pop_and_wipe(answer);
    if (result == shm::RingResult::kBusy) return GMESP_E_AGAIN;
    if (result == shm::RingResult::kCorrupt)
      return break_connection(dp, GMESP_E_PROTOCOL, "index of the completion ring is corrupt");
    if (dp.completions.peer_waits()) shm::ring_bell(dp.socket);
    const uint64_t wire_tag = answer.tag;
    const Pending* pending = dp.pending.find(wire_tag);
    if (pending == nullptr)
      return break_connection(dp, GMESP_E_PROTOCOL, "gmespd answered a command nobody sent");
    waiter = pending->waiter;
    answer.tag = pending->user_tag;
    dp.pending.release(wire_tag);
    if (waiter != Waiter::kAbandoned) return GMESP_OK;
    explicit_bzero(&answer, sizeof answer);  // it may carry keys
  }
}

/// Never full: it has an entry for every command that may be without an answer.
void keep(gmesp_dp& dp, const shm::Completion& answer) {
  dp.backlog[(dp.backlog_first + dp.backlog_count++) % dp.depth] = answer;
}

/// Before sleeping: true if there is nothing in the ring and the bell will tell. Bells must have
/// been drained before, so that one that rings from now on is found by poll().
template <class Slot>
bool arm(shm::RingConsumer<Slot>& ring) {
  ring.arm();
  return ring.refill() == shm::RingResult::kBusy;
}

/// Sleeps until the bell, or for one slice. GMESP_OK: look again.
int wait_for_bell(gmesp_dp& dp, uint64_t since_ms, int timeout_ms) {
  drain_bells(dp);
  if (!arm(dp.completions)) return GMESP_OK;
  if (dp.broken != GMESP_OK) return dp.broken;
  const uint64_t waited_ms = monotonic_ms() - since_ms;
  const bool is_over = timeout_ms >= 0 && waited_ms >= static_cast<uint64_t>(timeout_ms);
  if ((is_over || waited_ms >= kHeartbeatGraceMs) && is_heartbeat_stale(dp))
    return fail(dp, GMESP_E_HUNG, "heartbeat of gmespd is older than %llu ms",
                static_cast<unsigned long long>(shm::kHeartbeatStaleMs));
  if (is_over) return fail(dp, GMESP_E_TIMEOUT, "no answer within %d ms", timeout_ms);
  uint64_t slice_ms = kWaitSliceMs;
  if (timeout_ms >= 0 && static_cast<uint64_t>(timeout_ms) - waited_ms < slice_ms)
    slice_ms = static_cast<uint64_t>(timeout_ms) - waited_ms;
  pollfd readable{dp.socket, POLLIN, 0};
  poll(&readable, 1, static_cast<int>(slice_ms));
  return GMESP_OK;
}

int send_command(gmesp_dp& dp, shm::Command& command, Waiter waiter, uint64_t user_tag,
                 uint64_t& wire_tag) {
  if (!dp.pending.take(waiter, user_tag, wire_tag))
    return fail(dp, GMESP_E_AGAIN, "too many commands without an answer");
  command.tag = wire_tag;
  const shm::RingResult result = dp.commands.push(command);
  if (result != shm::RingResult::kDone) {
    dp.pending.release(wire_tag);
    if (result == shm::RingResult::kBusy) return fail(dp, GMESP_E_AGAIN, "command ring is full");
    return break_connection(dp, GMESP_E_PROTOCOL, "index of the command ring is corrupt");
  }
  dp.is_bell_due = true;
  if (!dp.is_held || waiter != Waiter::kPoll) wake(dp);
  return GMESP_OK;
}

/// The answer a call waits for; others are kept.
int await(gmesp_dp& dp, int timeout_ms, shm::Completion& answer) {
  const uint64_t since_ms = monotonic_ms();
  for (bool is_last_look = false;;) {
    Waiter waiter;
    int error;
    while ((error = pop_answer(dp, answer, waiter)) == GMESP_OK) {
      if (waiter == Waiter::kCall) return GMESP_OK;
      keep(dp, answer);
    }
    if (error != GMESP_E_AGAIN || is_last_look) return error == GMESP_E_AGAIN ? dp.broken : error;
    error = wait_for_bell(dp, since_ms, timeout_ms);
    if (error == GMESP_OK) continue;
    if (error != GMESP_E_DISCONNECTED) return error;
    is_last_look = true;  // gmespd may have answered and then ended
  }
}

}  // namespace

void wake(gmesp_dp& dp) {
  if (!dp.is_bell_due) return;
  dp.is_bell_due = false;
  if (dp.commands.peer_sleeps()) shm::ring_bell(dp.socket);
}

int begin(gmesp_dp* dp) {
  if (dp == nullptr) return GMESP_E_BAD_ARGUMENT;
  dp->detail[0] = '\0';
  if (!dp->owner.is_caller())
    return fail(*dp, GMESP_E_FORKED, "opened by process %d, used by %d", dp->owner.process_id(),
                static_cast<int>(getpid()));
  return dp->broken == GMESP_E_PROTOCOL ? GMESP_E_PROTOCOL : GMESP_OK;
}

int fail(gmesp_dp& dp, int error, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(dp.detail, sizeof dp.detail, format, arguments);
  va_end(arguments);
  return error;
}

int error_of(gmesp_dp& dp, const shm::Completion& answer) {
  if (answer.status == 0) return GMESP_OK;
  if (answer.status >= GMESP_E_NOT_CONNECTED)
    return fail(dp, GMESP_E_PROTOCOL, "status %u is not gmespd's", answer.status);
  return fail(dp, static_cast<int>(answer.status), "%.*s",
              static_cast<int>(sizeof answer.body.detail - 1), answer.body.detail);
}

int submit(gmesp_dp& dp, shm::Command& command, uint64_t tag) {
  int error = dp.broken;
  uint64_t wire_tag;
  if (error == GMESP_OK && dp.unfetched >= dp.depth)
    error = fail(dp, GMESP_E_AGAIN, "%u commands without a fetched completion, allowed are %u",
                 dp.unfetched, dp.depth);
  if (error == GMESP_OK) error = send_command(dp, command, Waiter::kPoll, tag, wire_tag);
  explicit_bzero(&command, sizeof command);
  if (error == GMESP_OK) ++dp.unfetched;
  return error;
}

int call(gmesp_dp& dp, shm::Command& command, int timeout_ms, shm::Completion& answer) {
  uint64_t wire_tag = 0;
  int error = dp.broken;
  if (error == GMESP_OK) error = send_command(dp, command, Waiter::kCall, 0, wire_tag);
  explicit_bzero(&command, sizeof command);
  if (error != GMESP_OK) return error;
  error = await(dp, timeout_ms, answer);
  if (error == GMESP_OK) return error_of(dp, answer);
  if (Pending* pending = dp.pending.find(wire_tag)) pending->waiter = Waiter::kAbandoned;
  return error;
}

int next_submitted(gmesp_dp& dp, shm::Completion& answer) {
  if (dp.backlog_count != 0) {
    answer = dp.backlog[dp.backlog_first];
    dp.backlog_first = (dp.backlog_first + 1) % dp.depth;
    --dp.backlog_count;
    --dp.unfetched;
    return GMESP_OK;
  }
  for (;;) {
    Waiter waiter;
    const int error = pop_answer(dp, answer, waiter);
    if (error == GMESP_OK) {
      --dp.unfetched;
      return GMESP_OK;
    }
    if (error != GMESP_E_AGAIN) return error;
    wake(dp);
    drain_bells(dp);
    if (arm(dp.completions)) return dp.broken != GMESP_OK ? dp.broken : GMESP_E_AGAIN;
  }
}

/// The bell of a completion must not be drained here: who waits for one drains it there.
int next_event(gmesp_dp& dp, shm::Event& event) {
  for (;;) {
    const shm::RingResult result = dp.events.pop(event);
    if (result == shm::RingResult::kDone) return GMESP_OK;
    if (result == shm::RingResult::kCorrupt)
      return break_connection(dp, GMESP_E_PROTOCOL, "index of the event ring is corrupt");
    if (dp.unfetched == 0) drain_bells(dp);
    if (arm(dp.events)) return dp.broken != GMESP_OK ? dp.broken : GMESP_E_AGAIN;
  }
}

}  // namespace gmesp::client
