// Built into libgmesp too, hence no C++ run-time library.
#include "control/shm/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace gmesp::shm {
namespace {

HandshakeStatus refuse(HandshakeStatus status, Answer& answer, const char* what, unsigned found,
                       unsigned allowed) {
  snprintf(answer.text, sizeof answer.text, "%s: client has %u, gmespd has %u", what, found,
           allowed);
  return status;
}

}  // namespace

HandshakeStatus judge_hello(const uint8_t* message, size_t bytes, Hello& hello, Answer& answer) {
  constexpr size_t kVersionEnds = offsetof(Hello, role);
  // A Hello of another version may have another length: its numbers are named before its length.
  if (bytes < kVersionEnds)
    return refuse(HandshakeStatus::kMalformed, answer, "hello bytes", static_cast<unsigned>(bytes),
                  sizeof(Hello));
  hello = Hello{};
  memcpy(&hello, message, bytes < sizeof hello ? bytes : sizeof hello);
  if (hello.magic != kMagic)
    return refuse(HandshakeStatus::kMalformed, answer, "magic", hello.magic, kMagic);
  if (hello.abi_version != kAbiVersion)
    return refuse(HandshakeStatus::kVersion, answer, "ABI version", hello.abi_version, kAbiVersion);
  if (bytes != sizeof(Hello) || hello.size != sizeof(Hello))
    return refuse(HandshakeStatus::kMalformed, answer, "hello bytes", static_cast<unsigned>(bytes),
                  sizeof(Hello));
  if (hello.command_bytes != sizeof(Command))
    return refuse(HandshakeStatus::kVersion, answer, "command bytes", hello.command_bytes,
                  sizeof(Command));
  if (hello.completion_bytes != sizeof(Completion))
    return refuse(HandshakeStatus::kVersion, answer, "completion bytes", hello.completion_bytes,
                  sizeof(Completion));
  if (hello.event_bytes != sizeof(Event))
    return refuse(HandshakeStatus::kVersion, answer, "event bytes", hello.event_bytes,
                  sizeof(Event));
  const bool is_role = hello.role == static_cast<uint8_t>(Role::kReader) ||
                       hello.role == static_cast<uint8_t>(Role::kWriter);
  if (!is_role || hello.wants_events > 1 || hello.reserved != 0) {
    snprintf(answer.text, sizeof answer.text, "hello: role %u, events %u, reserved %u", hello.role,
             hello.wants_events, hello.reserved);
    return HandshakeStatus::kMalformed;
  }
  return HandshakeStatus::kAccepted;
}

Answer make_answer(HandshakeStatus status, uint64_t memory_bytes) {
  Answer answer{};
  answer.magic = kMagic;
  answer.size = sizeof(Answer);
  answer.abi_version = kAbiVersion;
  answer.status = static_cast<uint32_t>(status);
  answer.memory_bytes = memory_bytes;
  return answer;
}

bool send_answer(int socket, const Answer& answer, int fd) {
  iovec part{const_cast<Answer*>(&answer), sizeof answer};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof answer;
}

ptrdiff_t receive_answer(int socket, Answer& answer, int& fd) {
  fd = -1;
  answer = Answer{};
  iovec part{&answer, sizeof answer};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (bytes <= 0) return bytes;
  const cmsghdr* rights = CMSG_FIRSTHDR(&message);
  if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
      rights->cmsg_len == CMSG_LEN(sizeof fd))
    memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  answer.text[sizeof answer.text - 1] = '\0';
  return bytes;
}

bool make_address(const char* path, sockaddr_un& address) {
  address = sockaddr_un{};
  address.sun_family = AF_UNIX;
  const size_t length = strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, length);
  return true;
}

}  // namespace gmesp::shm
