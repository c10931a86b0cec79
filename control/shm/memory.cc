#include "control/shm/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace gmesp::shm {
namespace {

constexpr uint64_t kPlaceAlignment = 64;

constexpr uint64_t aligned(uint64_t bytes) {
  return (bytes + kPlaceAlignment - 1) / kPlaceAlignment * kPlaceAlignment;
}

[[noreturn]] void fail(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

RingPlace Memory::place(uint32_t slots, uint32_t slot_bytes) {
  RingPlace place{};
  place.slots = slots;
  place.slot_bytes = slot_bytes;
  place.indices_at = plan_.memory_bytes;
  place.slots_at = place.indices_at + sizeof(RingIndices);
  plan_.memory_bytes = aligned(place.slots_at + uint64_t{slots} * slot_bytes);
  return place;
}

Memory::Memory(uint32_t command_slots, uint32_t completion_slots, uint32_t event_slots,
               uint64_t epoch) {
  plan_.memory_bytes = aligned(sizeof(MemoryHeader));
  plan_.command = place(command_slots, sizeof(Command));
  plan_.completion = place(completion_slots, sizeof(Completion));
  plan_.event = place(event_slots, sizeof(Event));
  make_file();
  write_header(epoch);
}

/// Sealed against shrinking, else a client could cut it and kill gmespd with SIGBUS; against new
/// seals, so that it stays writable.
void Memory::make_file() {
  fd_ = memfd_create("gmesp-connection", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) fail(errno, "memfd_create");
  const auto bytes = static_cast<off_t>(plan_.memory_bytes);
  int error = 0;
  // Allocated now: a page that cannot be had must fail here and not under a packet.
  if (ftruncate(fd_, bytes) != 0 || (error = posix_fallocate(fd_, 0, bytes)) != 0 ||
      fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    error = error != 0 ? error : errno;
    close(fd_);
    fail(error, "memfd of a connection");
  }
  void* base = mmap(nullptr, plan_.memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (base == MAP_FAILED) {
    error = errno;
    close(fd_);
    fail(error, "mmap of a connection");
  }
  base_ = static_cast<uint8_t*>(base);
  // Keys pass through the commands, and on request through the answers: not into core dumps, and
  // not onto swap where the limit on locked memory allows it (R-D-K2).
  madvise(base_, plan_.memory_bytes, MADV_DONTDUMP);
  const auto lock = [this](const RingPlace& ring) {
    mlock(base_ + ring.slots_at, uint64_t{ring.slots} * ring.slot_bytes);
  };
  lock(plan_.command);
  lock(plan_.completion);
}

void Memory::write_header(uint64_t epoch) {
  auto* header = new (base_) MemoryHeader{};
  header->magic = kMagic;
  header->abi_version = kAbiVersion;
  header->header_bytes = sizeof(MemoryHeader);
  header->memory_bytes = plan_.memory_bytes;
  header->epoch = epoch;
  header->command = plan_.command;
  header->completion = plan_.completion;
  header->event = plan_.event;
  for (const RingPlace* place : {&plan_.command, &plan_.completion, &plan_.event}) {
    auto* indices = new (base_ + place->indices_at) RingIndices{};
    // Until a consumer has looked for the first time it counts as asleep.
    indices->consumer_sleeps.store(1, std::memory_order_relaxed);
  }
}

void Memory::wipe(const RingPlace& ring) {
  explicit_bzero(base_ + ring.slots_at, uint64_t{ring.slots} * ring.slot_bytes);
}

Memory::~Memory() {
  wipe(plan_.command);
  munmap(base_, plan_.memory_bytes);
  close(fd_);
}

}  // namespace gmesp::shm
