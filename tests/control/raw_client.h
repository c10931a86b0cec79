// A client without libgmesp: it speaks the handshake byte by byte and may write anything anywhere.
//
// Threading: one thread.
#pragma once

#include <cstdint>
#include <string>

#include "control/shm/handshake.h"
#include "control/shm/memory.h"

namespace gmesp::test {

class RawClient {
 public:
  explicit RawClient(const std::string& socket_path);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  int socket() const { return socket_; }
  bool send(const void* message, size_t bytes);
  /// False at hang-up or after two seconds.
  bool receive(shm::Answer& answer);
  /// The whole handshake with a server on another thread; true if accepted and the memory mapped.
  bool open(shm::Role role, bool wants_events = false);
  /// Its halves, for a server that this thread polls in between.
  bool say_hello(shm::Role role, bool wants_events = false);
  bool map_answer();

  uint8_t* base() const { return base_; }
  uint64_t bytes() const { return bytes_; }
  shm::MemoryHeader& header() const { return *reinterpret_cast<shm::MemoryHeader*>(base_); }
  int memory_fd() const { return memory_fd_; }
  shm::RingIndices& indices(const shm::RingPlace& place) const {
    return *reinterpret_cast<shm::RingIndices*>(base_ + place.indices_at);
  }
  shm::Command& command_slot(uint32_t index) const {
    return reinterpret_cast<shm::Command*>(base_ + header().command.slots_at)[index];
  }
  shm::RingProducer<shm::Command>& commands() { return commands_; }
  shm::RingConsumer<shm::Completion>& completions() { return completions_; }
  shm::RingConsumer<shm::Event>& events() { return events_; }
  void ring() { shm::ring_bell(socket_); }
  /// True if the server closes the connection within two seconds.
  bool sees_hang_up();

 private:
  int socket_ = -1;
  int memory_fd_ = -1;
  uint8_t* base_ = nullptr;
  uint64_t bytes_ = 0;
  shm::RingProducer<shm::Command> commands_;
  shm::RingConsumer<shm::Completion> completions_;
  shm::RingConsumer<shm::Event> events_;
};

/// An install command of make_record(number).
shm::Command make_install(uint32_t number, uint64_t tag);

}  // namespace gmesp::test
