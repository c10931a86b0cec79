#include "dataplane/ipsec/sa_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <random>
#include <stdexcept>

namespace gmesp::ipsec {
namespace {

constexpr mode_t kFileMode = 0600;

constexpr uint64_t round_up(uint64_t value, uint64_t step) {
  return (value + step - 1) / step * step;
}

/// Where the sections begin, in bytes from the start of the mapping, and where the last one ends.
struct Sections {
  uint64_t states;
  uint64_t hot;
  uint64_t windows;
  uint64_t raw_keys;
  uint64_t end;
};

constexpr Sections sections(uint64_t sets, uint32_t window_packets, bool keep_raw_keys) {
  const bool has_windows = window_packets > kInlineWindowPackets;
  constexpr uint64_t kInboundPerSet = 2;
  Sections at{};
  at.states = round_up(sizeof(SaMemoryHeader), alignof(SetState));
  at.hot = at.states + sets * sizeof(SetState);
  at.windows = at.hot + sets * sizeof(SetHot);
  at.raw_keys = at.windows;
  if (has_windows)
    at.raw_keys += sets * kInboundPerSet * window_words(window_packets) * sizeof(uint64_t);
  at.end = at.raw_keys + (keep_raw_keys ? sets * sizeof(RawIntegrityKey) : 0);
  return at;
}

/// FNV-1a over what makes two builds disagree about the same bytes.
constexpr uint64_t layout_hash() {
  const uint64_t numbers[] = {
      SaMemoryHeader::kVersion,
      sizeof(SaMemoryHeader),
      sizeof(SetState),
      offsetof(SetState, outer_local),
      offsetof(SetState, commit),
      offsetof(SetState, cookie),
      offsetof(SetState, seal),
      sizeof(SaHot),
      offsetof(SaHot, progress),
      offsetof(SaIdentity, not_after_ms),
      offsetof(SaIdentity, spi),
      offsetof(SaIdentity, suite),
      offsetof(SaIdentity, outer_ue_port),
      offsetof(SaIdentity, outer_is_inner),
      offsetof(SaProgress, packets),
      offsetof(SaProgress, window),
      sizeof(SetHot),
      offsetof(SetHot, keys),
      offsetof(crypto::SaKeys, hmac_inner),
      offsetof(crypto::SaKeys, cipher_key),
      sizeof(RawIntegrityKey),
  };
  uint64_t hash = 0xcbf29ce484222325;
  for (const uint64_t number : numbers) hash = (hash ^ number) * 0x100000001b3;
  return hash;
}

uint64_t clock_ms(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

BootId boot_id() {
  BootId id{};
  std::ifstream("/proc/sys/kernel/random/boot_id").read(id.data(), 36);
  return id;
}

}  // namespace

uint64_t SaMemory::bytes_needed(uint32_t capacity_sets, uint32_t window_packets, bool keep_raw_keys,
                                uint64_t page_bytes) {
  return round_up(sections(capacity_sets, window_packets, keep_raw_keys).end, page_bytes);
}

SaMemory::SaMemory(const SaMemoryOptions& options)
    : path_(options.path),
      capacity_sets_(options.capacity_sets),
      window_packets_(options.window_packets),
      keep_raw_keys_(options.keep_raw_keys),
      page_bytes_(static_cast<uint64_t>(sysconf(_SC_PAGESIZE))),
      may_adopt_(options.adopt),
      exceptions_at_start_(std::uncaught_exceptions()) {
  try {
    if (!path_.empty()) open_file();
    bytes_ = bytes_needed(capacity_sets_, window_packets_, keep_raw_keys_, page_bytes_);
    if (!path_.empty()) {
      settle_old_file();
      reserve_file();
    }
    map();
    protect();
    write_header();
  } catch (...) {
    release(is_adopted_);
    throw;
  }
}

SaMemory::~SaMemory() {
  release(is_adopted_ && std::uncaught_exceptions() > exceptions_at_start_);
}

void SaMemory::refuse_file(const std::string& why) {
  if (file_ >= 0) close(file_);
  file_ = -1;  // not ours: release() must not unlink it
  throw std::runtime_error("SA memory " + path_ + ": " + why);
}

/// Locks before it looks: only then does the content belong to nobody else.
void SaMemory::open_file() {
  struct stat status {};
  for (;;) {
    file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode);
    if (file_ < 0) refuse_file(std::strerror(errno));
    if (flock(file_, LOCK_EX | LOCK_NB) != 0)
      refuse_file(errno == EWOULDBLOCK ? "in use by another process; give each gmespd its own file"
                                       : std::strerror(errno));
    if (fstat(file_, &status) != 0) refuse_file(std::strerror(errno));
    if (status.st_nlink != 0) break;
    close(file_);  // its last owner has just unlinked it
  }
  if (!S_ISREG(status.st_mode)) refuse_file("not a regular file");
  // Who made it could read the keys, and could have put SAs there.
  if (status.st_uid != geteuid())
    refuse_file("belongs to user " + std::to_string(status.st_uid) + ", not to " +
                std::to_string(geteuid()) + "; remove it");
  struct statfs file_system {};
  if (fstatfs(file_, &file_system) != 0) refuse_file(std::strerror(errno));
  is_hugetlbfs_ = file_system.f_type == HUGETLBFS_MAGIC;
  // Keys must never reach a disk (R-D-K2).
  if (!is_hugetlbfs_ && file_system.f_type != TMPFS_MAGIC && file_system.f_type != RAMFS_MAGIC) {
    if (status.st_size == 0) unlink(path_.c_str());
    refuse_file("not on tmpfs or hugetlbfs; /dev/shm usually is");
  }
  if (is_hugetlbfs_) page_bytes_ = static_cast<uint64_t>(file_system.f_bsize);
}

/// Why the file cannot be adopted; empty if it can.
std::string SaMemory::misfit(const SaMemoryHeader& header, const struct stat& status) const {
  const auto differs = [](const char* name, uint64_t found, uint64_t wanted) {
    return std::string(name) + " was " + std::to_string(found) + ", is " + std::to_string(wanted);
  };
  if (!may_adopt_) return "restoring is switched off";
  if ((status.st_mode & 07777) != kFileMode) return "others could read or write it";
  if (header.magic == 0) return "its process died before the header was written";
  if (header.layout_hash != layout_hash()) return "another build of gmespd laid it out";
  if (header.boot_id != boot_id()) return "it is of another boot";
  if (header.capacity_sets != capacity_sets_)
    return differs("capacity_sets", header.capacity_sets, capacity_sets_);
  if (header.window_packets != window_packets_)
    return differs("replay window", header.window_packets, window_packets_);
  if (header.keeps_raw_keys != (keep_raw_keys_ ? 1u : 0u))
    return differs("key_export", header.keeps_raw_keys, keep_raw_keys_ ? 1 : 0);
  if (header.bytes != bytes_) return differs("size", header.bytes, bytes_);
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  if (file_bytes != bytes_) return differs("file size", file_bytes, bytes_);
  return "";
}

/// Adopts or wipes what a process left behind that died. Its epoch is carried on.
void SaMemory::settle_old_file() {
  struct stat status {};
  if (fstat(file_, &status) != 0) refuse_file(std::strerror(errno));
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  if (file_bytes != 0) {
    if (file_bytes < sizeof(SaMemoryHeader)) refuse_file("not an SA memory; remove it");
    void* old = mmap(nullptr, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (old == MAP_FAILED) refuse_file(std::strerror(errno));
    const auto* header = static_cast<const SaMemoryHeader*>(old);
    // Zero: it died between reserving the space and writing the header.
    const bool is_ours = header->magic == SaMemoryHeader::kMagic || header->magic == 0;
    if (is_ours) {
      old_epoch_ = header->epoch;
      wiped_because_ = misfit(*header, status);
      is_adopted_ = wiped_because_.empty();
      if (!is_adopted_) crypto::wipe({static_cast<uint8_t*>(old), file_bytes});
    }
    munmap(old, file_bytes);
    if (!is_ours) refuse_file("not an SA memory; remove it");
    if (!is_adopted_ && ftruncate(file_, 0) != 0) refuse_file(std::strerror(errno));
  }
  if (fchmod(file_, kFileMode) != 0) refuse_file(std::strerror(errno));
}

/// Takes all space now: a page that is missing later would kill the process (SIGBUS).
void SaMemory::reserve_file() {
  const int error = posix_fallocate(file_, 0, static_cast<off_t>(bytes_));
  if (error == 0) return;
  std::string text = "SA memory " + path_ + ": no space for " + std::to_string(bytes_) +
                     " bytes (" + std::to_string(capacity_sets_) +
                     " sets): " + std::strerror(error);
  if (is_hugetlbfs_)
    text += "; it takes " + std::to_string(bytes_ / page_bytes_) + " free hugepages of " +
            std::to_string(page_bytes_ / 1024) +
            " kB (sysctl vm.nr_hugepages, and size= of the mount), or a path on tmpfs";
  throw std::runtime_error(text);
}

void SaMemory::map() {
  const int flags = path_.empty() ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags, file_, 0);
  if (memory == MAP_FAILED)
    throw std::runtime_error("SA memory " + path_ + ": cannot map " + std::to_string(bytes_) +
                             " bytes: " + std::strerror(errno));
  const Sections at = sections(capacity_sets_, window_packets_, keep_raw_keys_);
  auto* base = static_cast<std::byte*>(memory);
  header_ = static_cast<SaMemoryHeader*>(memory);
  states_ = reinterpret_cast<SetState*>(base + at.states);
  hot_ = reinterpret_cast<SetHot*>(base + at.hot);
  if (at.raw_keys != at.windows) windows_ = reinterpret_cast<uint64_t*>(base + at.windows);
  if (keep_raw_keys_) raw_keys_ = reinterpret_cast<RawIntegrityKey*>(base + at.raw_keys);
}

/// Keys stay out of core dumps, and out of swap where the limits allow.
void SaMemory::protect() {
  if (madvise(header_, bytes_, MADV_DONTDUMP) != 0)
    throw std::runtime_error("SA memory " + path_ +
                             ": cannot keep it out of core dumps: " + std::strerror(errno));
  if (!is_hugetlbfs_) madvise(header_, bytes_, MADV_HUGEPAGE);
  if (mlock(header_, bytes_) == 0) return;
  rlimit limit{};
  const int error = errno;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  lock_failure_ = std::string("mlock of ") + std::to_string(bytes_) +
                  " bytes: " + std::strerror(error) + " (RLIMIT_MEMLOCK is " +
                  std::to_string(limit.rlim_cur) + ")";
  // Locking would have touched every page; without it packets would meet the page faults.
  madvise(header_, bytes_, MADV_POPULATE_WRITE);
}

void SaMemory::write_header() {
  // The wall clock carries on where a clean stop removed the file.
  header_->epoch = std::max(old_epoch_ + 1, clock_ms(CLOCK_REALTIME));
  if (is_adopted_) return;
  header_->layout_hash = layout_hash();
  header_->created_ms = clock_ms(CLOCK_BOOTTIME);
  header_->boot_id = boot_id();
  // So that ids of an earlier memory, which may still be in use somewhere, name nothing here.
  header_->generation = std::random_device{}();
  header_->capacity_sets = capacity_sets_;
  header_->window_packets = window_packets_;
  header_->bytes = bytes_;
  header_->keeps_raw_keys = keep_raw_keys_ ? 1 : 0;
  header_->magic = SaMemoryHeader::kMagic;
}

uint32_t SaMemory::next_generation() {
  if (++header_->generation == 0) ++header_->generation;
  return header_->generation;
}

/// `keep`: the next process adopts the file as it is.
void SaMemory::release(bool keep) {
  if (header_ != nullptr) {
    // The seals tell something about the keys.
    if (!keep) crypto::wipe({reinterpret_cast<uint8_t*>(header_), bytes_});
    munmap(header_, bytes_);
    header_ = nullptr;
  }
  if (file_ >= 0) {
    if (!keep) unlink(path_.c_str());
    close(file_);
    file_ = -1;
  }
}

}  // namespace gmesp::ipsec
