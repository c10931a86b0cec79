#include "raw_client.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "model_table.h"
#include "running_server.h"

namespace gmesp::test {

constexpr int kPatienceMs = 2000;

RawClient::RawClient(const std::string& socket_path) {
  sockaddr_un address;
  shm::make_address(socket_path.c_str(), address);
  socket_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;
  close(socket_);
  socket_ = -1;
}

RawClient::~RawClient() {
  if (base_ != nullptr) munmap(base_, bytes_);
  if (memory_fd_ >= 0) close(memory_fd_);
  if (socket_ >= 0) close(socket_);
}

bool RawClient::send(const void* message, size_t bytes) {
  return ::send(socket_, message, bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

bool RawClient::receive(shm::Answer& answer) {
  pollfd ready{socket_, POLLIN, 0};
  if (poll(&ready, 1, kPatienceMs) != 1) return false;
  return shm::receive_answer(socket_, answer, memory_fd_) == static_cast<ptrdiff_t>(sizeof answer);
}

bool RawClient::open(shm::Role role, bool wants_events) {
  return say_hello(role, wants_events) && map_answer();
}

bool RawClient::say_hello(shm::Role role, bool wants_events) {
  const shm::Hello hello = shm::make_hello(role, wants_events);
  return send(&hello, sizeof hello);
}

bool RawClient::map_answer() {
  shm::Answer answer;
  if (!receive(answer) || memory_fd_ < 0) return false;
  bytes_ = answer.memory_bytes;
  void* base = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd_, 0);
  if (base == MAP_FAILED) return false;
  base_ = static_cast<uint8_t*>(base);
  const shm::MemoryHeader& at = header();
  const auto slots = [this](const shm::RingPlace& place) {
    return static_cast<void*>(base_ + place.slots_at);
  };
  commands_ = {&indices(at.command), static_cast<shm::Command*>(slots(at.command)),
               at.command.slots};
  completions_ = {&indices(at.completion), static_cast<shm::Completion*>(slots(at.completion)),
                  at.completion.slots};
  events_ = {&indices(at.event), static_cast<shm::Event*>(slots(at.event)), at.event.slots};
  return true;
}

bool RawClient::sees_hang_up() {
  const uint64_t until_ms = boottime_ms() + kPatienceMs;
  while (boottime_ms() < until_ms) {
    pollfd ready{socket_, POLLIN, 0};
    poll(&ready, 1, 50);
    char byte;
    const ssize_t got = recv(socket_, &byte, 1, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
  }
  return false;
}

shm::Command make_install(uint32_t number, uint64_t tag) {
  shm::Command command;
  memset(&command, 0, sizeof command);
  command.kind = static_cast<uint32_t>(shm::CommandKind::kInstallSet);
  command.size = sizeof command.body.record;
  command.tag = tag;
  command.body.record = make_record(number);
  return command;
}

}  // namespace gmesp::test
