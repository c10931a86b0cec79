// The two messages on the Unix socket (SOCK_SEQPACKET) before the shared memory is used.
//
// The client connects and sends one Hello. gmespd looks at the peer's credentials (SO_PEERCRED) and
// at the Hello and sends one Answer; an accepted one carries the memfd as SCM_RIGHTS. From then on
// the socket carries only the bell: any message of one byte, either way, means "look at the rings",
// and its hang-up ends the connection. The bell is the socket and not an eventfd because O_NONBLOCK
// of an eventfd belongs to both ends: a hostile client could clear it, fill the counter, and stop
// gmespd's control thread in write(2). MSG_DONTWAIT belongs to the call.
//
// Units: bytes. Threading: none of its own. Needs no C++ run-time library.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>

#include "control/shm/layout.h"

namespace gmesp::shm {

enum class Role : uint8_t {
  kReader = 1,  ///< queries and events
  kWriter = 2,  ///< may change SA sets; one at a time
};

struct Hello {
  uint32_t magic;        ///< kMagic
  uint16_t size;         ///< sizeof(Hello) of the client
  uint16_t abi_version;  ///< kAbiVersion of the client
  uint8_t role;          ///< Role
  uint8_t wants_events;  ///< 0 or 1
  uint16_t reserved;     ///< zero
  uint32_t command_bytes;
  uint32_t completion_bytes;
  uint32_t event_bytes;
};
static_assert(sizeof(Hello) == 24);

enum class HandshakeStatus : uint32_t {
  kAccepted = 0,
  kMalformed = 1,    ///< wrong length, magic or reserved bytes
  kVersion = 2,      ///< ABI version or slot sizes differ
  kNotAllowed = 3,   ///< the peer's user may not connect
  kWriterTaken = 4,  ///< another process is the writer
  kTooMany = 5,      ///< connections_max reached
  kNoResources = 6,  ///< gmespd could not make the memory
};

inline constexpr size_t kAnswerTextBytes = 208;

struct Answer {
  uint32_t magic;
  uint16_t size;         ///< sizeof(Answer) of gmespd
  uint16_t abi_version;  ///< kAbiVersion of gmespd
  uint32_t status;       ///< HandshakeStatus
  uint32_t reserved;
  uint64_t memory_bytes;        ///< of the memfd
  char text[kAnswerTextBytes];  ///< refusals: what was found and what is allowed, zero-terminated
};
static_assert(sizeof(Answer) == 232);

/// The sizes of this build.
inline Hello make_hello(Role role, bool wants_events) {
  Hello hello{};
  hello.magic = kMagic;
  hello.size = sizeof(Hello);
  hello.abi_version = kAbiVersion;
  hello.role = static_cast<uint8_t>(role);
  hello.wants_events = wants_events ? 1 : 0;
  hello.command_bytes = sizeof(Command);
  hello.completion_bytes = sizeof(Completion);
  hello.event_bytes = sizeof(Event);
  return hello;
}

/// Looks at `bytes` bytes that came from a peer. kAccepted, and `hello` filled; or the refusal, and
/// its reason in answer.text.
HandshakeStatus judge_hello(const uint8_t* message, size_t bytes, Hello& hello, Answer& answer);

/// An answer with everything but its text.
Answer make_answer(HandshakeStatus status, uint64_t memory_bytes);

/// One message, with `fd` as SCM_RIGHTS unless it is -1. False: the peer cannot take it now.
bool send_answer(int socket, const Answer& answer, int fd);

/// Reads one answer. Returns its bytes, 0 at hang-up, -1 with errno; `fd` is -1 if none came.
ptrdiff_t receive_answer(int socket, Answer& answer, int& fd);

/// Rings. Never blocks; a bell that is not heard yet need not ring twice.
inline void ring_bell(int socket) {
  const char bell = 1;
  (void)send(socket, &bell, sizeof bell, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Fills a Unix socket's address. False if `path` is empty or longer than the address has room for.
bool make_address(const char* path, sockaddr_un& address);

}  // namespace gmesp::shm
