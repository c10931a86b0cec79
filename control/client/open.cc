// Opening and closing a connection: the client's end of the handshake.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/client/connect.h"
#include "control/client/dp.h"
#include "control/shm/handshake.h"

namespace gmesp::client {
namespace {

constexpr int kDefaultTimeoutMs = 5000;

int refusal(gmesp_dp& dp, const shm::Answer& answer) {
  const bool is_version = answer.status == static_cast<uint32_t>(shm::HandshakeStatus::kVersion);
  return fail(dp, is_version ? GMESP_E_VERSION : GMESP_E_REFUSED, "%s", answer.text);
}

/// Sends the Hello, waits for the Answer. `memory_fd` is the caller's to close, -1 for none.
int shake_hands(gmesp_dp& dp, const shm::Hello& hello, const Deadline& deadline,
                shm::Answer& answer, int& memory_fd) {
  // A refusal may have come before our hello went out: a failure here is not the last word.
  (void)send(dp.socket, &hello, sizeof hello, MSG_NOSIGNAL);
  for (int resets = 0;;) {
    const ptrdiff_t bytes = shm::receive_answer(dp.socket, answer, memory_fd);
    if (bytes == static_cast<ptrdiff_t>(sizeof answer)) break;
    if (bytes < 0 && errno == ECONNRESET && ++resets == 1) continue;
    if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR))
      return fail(dp, GMESP_E_DISCONNECTED, "gmespd closed the connection during the handshake");
    if (bytes > 0)
      return fail(dp, GMESP_E_PROTOCOL, "answer of %td bytes, expected are %zu", bytes,
                  sizeof answer);
    if (deadline.left_ms() == 0)
      return fail(dp, GMESP_E_TIMEOUT, "no answer to the hello within %d ms",
                  deadline.timeout_ms());
    pollfd readable{dp.socket, POLLIN, 0};
    poll(&readable, 1, deadline.left_ms());
  }
  if (answer.magic != shm::kMagic)
    return fail(dp, GMESP_E_PROTOCOL, "magic %#x, expected is %#x", answer.magic, shm::kMagic);
  if (answer.status != static_cast<uint32_t>(shm::HandshakeStatus::kAccepted))
    return refusal(dp, answer);
  if (answer.abi_version != shm::kAbiVersion)
    return fail(dp, GMESP_E_VERSION, "ABI version: gmespd has %u, client has %u",
                answer.abi_version, shm::kAbiVersion);
  return GMESP_OK;
}

/// Without the seal gmespd, or whoever sits at the socket, could kill us with SIGBUS.
bool is_sealed(int memory_fd, uint64_t bytes) {
  struct stat status;
  if (fstat(memory_fd, &status) != 0 || static_cast<uint64_t>(status.st_size) != bytes)
    return false;
  const int seals = fcntl(memory_fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

/// Maps the memory and finds the rings in it; every place is checked on a private copy.
int map_memory(gmesp_dp& dp, int memory_fd, uint64_t bytes) {
  if (memory_fd < 0 || bytes < sizeof(shm::MemoryHeader) || !is_sealed(memory_fd, bytes))
    return fail(dp, GMESP_E_PROTOCOL, "gmespd gave no sealed memory of %llu bytes",
                static_cast<unsigned long long>(bytes));
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
  if (base == MAP_FAILED) return fail(dp, GMESP_E_NO_MEMORY, "mmap: %m");
  dp.memory = static_cast<shm::MemoryHeader*>(base);
  dp.memory_bytes = bytes;
  // A child has no business here, and a core dump neither: keys pass through (R-D-K2).
  madvise(base, bytes, MADV_DONTFORK);
  madvise(base, bytes, MADV_DONTDUMP);
  const shm::MemoryHeader& header = *dp.memory;
  const shm::RingPlace command = header.command;
  const shm::RingPlace completion = header.completion;
  const shm::RingPlace event = header.event;
  if (header.magic != shm::kMagic || header.abi_version != shm::kAbiVersion ||
      !shm::is_inside(command, sizeof(shm::Command), bytes) ||
      !shm::is_inside(completion, sizeof(shm::Completion), bytes) ||
      !shm::is_inside(event, sizeof(shm::Event), bytes))
    return fail(dp, GMESP_E_PROTOCOL, "header of the shared memory makes no sense");
  const auto indices = [base](const shm::RingPlace& place) {
    return reinterpret_cast<shm::RingIndices*>(static_cast<uint8_t*>(base) + place.indices_at);
  };
  const auto slots = [base](const shm::RingPlace& place) {
    return static_cast<void*>(static_cast<uint8_t*>(base) + place.slots_at);
  };
  dp.commands = {indices(command), static_cast<shm::Command*>(slots(command)), command.slots};
  dp.completions = {indices(completion), static_cast<shm::Completion*>(slots(completion)),
                    completion.slots};
  dp.events = {indices(event), static_cast<shm::Event*>(slots(event)), event.slots};
  const uint32_t entries = command.slots < completion.slots ? command.slots : completion.slots;
  dp.depth = entries - 1;  // one is left for a call that waits
  dp.backlog = static_cast<shm::Completion*>(malloc(sizeof(shm::Completion) * dp.depth));
  if (dp.backlog == nullptr || !dp.pending.make(entries))
    return fail(dp, GMESP_E_NO_MEMORY, "memory for %u answers", entries);
  return GMESP_OK;
}

int open(gmesp_dp& dp, const gmesp_dp_options& options) {
  const Deadline deadline(options.timeout_ms > 0 ? options.timeout_ms : kDefaultTimeoutMs);
  const char* path = options.socket_path != nullptr ? options.socket_path : GMESP_DEFAULT_SOCKET;
  int error = connect_socket(dp, path, deadline);
  if (error != GMESP_OK) return error;
  const auto role = static_cast<shm::Role>(options.role);
  const shm::Hello hello = shm::make_hello(role, options.wants_events != 0);
  shm::Answer answer;
  int memory_fd = -1;
  error = shake_hands(dp, hello, deadline, answer, memory_fd);
  if (error == GMESP_OK) error = map_memory(dp, memory_fd, answer.memory_bytes);
  if (memory_fd >= 0) close(memory_fd);
  return error;
}

int check(const gmesp_dp_options* options, gmesp_dp** dp) {
  if (options == nullptr || dp == nullptr) return GMESP_E_BAD_ARGUMENT;
  if (options->size < sizeof *options) return GMESP_E_STRUCT_SIZE;
  const bool is_role = options->role == GMESP_READER || options->role == GMESP_WRITER;
  return is_role && options->wants_events <= 1 ? GMESP_OK : GMESP_E_BAD_ARGUMENT;
}

}  // namespace
}  // namespace gmesp::client

int gmesp_dp_open(const gmesp_dp_options* options, gmesp_dp** dp, char* detail,
                  size_t detail_bytes) {
  if (detail != nullptr && detail_bytes != 0) detail[0] = '\0';
  if (dp != nullptr) *dp = nullptr;
  int error = gmesp::client::check(options, dp);
  if (error != GMESP_OK) return error;
  auto* made = static_cast<gmesp_dp*>(calloc(1, sizeof(gmesp_dp)));
  if (made == nullptr) return GMESP_E_NO_MEMORY;
  made->owner.set();
  made->socket = -1;
  error = gmesp::client::open(*made, *options);
  if (error == GMESP_OK) {
    *dp = made;
    return GMESP_OK;
  }
  if (detail != nullptr && detail_bytes != 0) snprintf(detail, detail_bytes, "%s", made->detail);
  gmesp_dp_close(made);
  return error;
}

void gmesp_dp_close(gmesp_dp* dp) {
  if (dp == nullptr) return;
  const bool is_owner = dp->owner.is_caller();
  if (dp->socket >= 0) {
    // Children may hold the socket too: only a shutdown tells gmespd at once.
    if (is_owner) shutdown(dp->socket, SHUT_RDWR);
    close(dp->socket);
  }
  if (is_owner && dp->memory != nullptr) munmap(dp->memory, dp->memory_bytes);
  dp->pending.free_memory();
  dp->owner.free_memory();
  free(dp->backlog);
  free(dp);
}

const char* gmesp_dp_detail(const gmesp_dp* dp) {
  return dp != nullptr ? dp->detail : "";
}

int gmesp_dp_fd(const gmesp_dp* dp) {
  return dp != nullptr && dp->owner.is_caller() ? dp->socket : -1;
}

uint32_t gmesp_dp_depth(const gmesp_dp* dp) {
  return dp != nullptr ? dp->depth : 0;
}

uint64_t gmesp_dp_events_lost(const gmesp_dp* dp) {
  if (dp == nullptr || !dp->owner.is_caller()) return 0;
  return dp->memory->events_lost.load(std::memory_order_relaxed);
}
