// What stands behind the opaque gmesp_dp: the mapped memory, the rings, and the answers on their
// way.
//
// Threading: one thread at a time. Errors: enum gmesp_error. libc only: no exceptions, no RTTI, no
// C++ run-time library.
#pragma once

#include <stdint.h>

#include "control/client/deadline.h"
#include "control/client/gmesp.h"
#include "control/client/owner.h"
#include "control/client/pending.h"
#include "control/shm/memory.h"

struct gmesp_dp {
  gmesp::client::Owner owner;
  int socket;
  bool is_held;      ///< submitted commands do not wake gmespd by themselves
  bool is_bell_due;  ///< commands wait that gmespd was not woken for
  int broken;        ///< why no further answer will come, GMESP_OK while all is well
  gmesp::shm::MemoryHeader* memory;
  uint64_t memory_bytes;
  gmesp::shm::RingProducer<gmesp::shm::Command> commands;
  gmesp::shm::RingConsumer<gmesp::shm::Completion> completions;
  gmesp::shm::RingConsumer<gmesp::shm::Event> events;
  gmesp::client::PendingTable pending;
  /// Answers to submitted commands that came while a call waited for another one; a ring.
  gmesp::shm::Completion* backlog;
  uint32_t backlog_first;
  uint32_t backlog_count;
  uint32_t depth;      ///< submitted commands without a fetched answer: at most
  uint32_t unfetched;  ///< and now
  char detail[GMESP_DETAIL_BYTES];
};

namespace gmesp::client {

/// Begins a call: clears the detail; an error if the connection cannot be used (any more) by this
/// process.
int begin(gmesp_dp* dp);

/// Sets the detail and returns `error`.
int fail(gmesp_dp& dp, int error, const char* format, ...) __attribute__((format(printf, 3, 4)));

/// The result of an answer, with its detail.
int error_of(gmesp_dp& dp, const shm::Completion& answer);

/// Sends the command for gmesp_dp_poll_completion. The command's keys are wiped here.
int submit(gmesp_dp& dp, shm::Command& command, uint64_t tag);

/// Wakes gmespd if it sleeps over commands that wait for it.
void wake(gmesp_dp& dp);

/// Sends the command and waits for its answer. The command's keys are wiped here. The result is
/// error_of(answer) if an answer came.
int call(gmesp_dp& dp, shm::Command& command, int timeout_ms, shm::Completion& answer);

/// Fetches the next answer to a submitted command.
int next_submitted(gmesp_dp& dp, shm::Completion& answer);

/// Fetches the next event.
int next_event(gmesp_dp& dp, shm::Event& event);

}  // namespace gmesp::client
