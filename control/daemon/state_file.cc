#include "control/daemon/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "control/shm/folder.h"

namespace gmesp::control {
namespace {

constexpr uint64_t kMagic = 0x6574617473706d67;  // "gmpstate"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kSlotBytes = 512;
constexpr uint64_t kGrowBytes = uint64_t{4} << 20;
constexpr mode_t kFileMode = 0600;

std::array<char, 40> boot_id() {
  std::array<char, 40> id{};
  std::ifstream("/proc/sys/kernel/random/boot_id").read(id.data(), id.size() - 1);
  return id;
}

}  // namespace

/// Takes the place of slot 0.
struct StateFile::Header {
  uint64_t magic;
  uint32_t version;
  uint32_t slot_bytes;
  std::array<char, 40> boot_id;
};

struct StateFile::Slot {
  static constexpr uint32_t kRoom = kSlotBytes - 32;

  uint32_t checksum;  ///< of all behind it; a free slot is zero
  uint32_t next;      ///< slot of the next part, 0: none
  uint64_t version;   ///< of the record; 0: the slot is free
  uint32_t first;     ///< slot of the first part
  uint16_t part;
  uint16_t bytes;     ///< in this part
  uint64_t replaces;  ///< version of the record that this one takes the place of; 0: none
  uint8_t data[kRoom];

  uint32_t sum() const {
    return static_cast<uint32_t>(crc32(0, reinterpret_cast<const uint8_t*>(this) + sizeof checksum,
                                       offsetof(Slot, data) - sizeof checksum + bytes));
  }
  bool is_whole() const { return version != 0 && bytes <= kRoom && checksum == sum(); }
};

StateFile::StateFile(std::string path, uint64_t bytes_max)
    : path_(std::move(path)), bytes_max_(bytes_max) {
  static_assert(sizeof(Slot) == kSlotBytes && sizeof(Header) <= kSlotBytes);
  if (path_.empty()) return;
  open();
  read();
}

StateFile::~StateFile() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
  if (file_ >= 0) close(file_);
}

StateFile::Slot& StateFile::slot(uint32_t at) const {
  return *reinterpret_cast<Slot*>(memory_ + at * kSlotBytes);
}

uint32_t StateFile::slot_count() const {
  return static_cast<uint32_t>(bytes_ / kSlotBytes);
}

void StateFile::open() {
  const auto fail = [&](const char* why) {
    if (file_ >= 0) close(file_);
    file_ = -1;
    throw std::runtime_error("state file " + path_ + ": " + why);
  };
  try {
    shm::make_folder_of(path_);
  } catch (const std::system_error& error) {
    fail(error.what());
  }
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode);
  if (file_ < 0) fail(std::strerror(errno));
  if (flock(file_, LOCK_EX | LOCK_NB) != 0)
    fail(errno == EWOULDBLOCK ? "in use by another gmesp-control" : std::strerror(errno));
  struct stat status {};
  if (fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) fail("not a regular file");
  const auto file_bytes = static_cast<uint64_t>(status.st_size) / kSlotBytes * kSlotBytes;
  Header expected{kMagic, kVersion, kSlotBytes, boot_id()};
  if (file_bytes > bytes_max_) fail("larger than state.bytes_max allows");
  if (file_bytes >= kGrowBytes) {
    map(file_bytes);
    if (std::memcmp(memory_, &expected, sizeof expected) == 0) return;
    begun_anew_ = "the file is of another boot or release";
    munmap(memory_, bytes_);
    memory_ = nullptr;
  } else if (file_bytes != 0) {
    begun_anew_ = "the file is cut short";
  }
  if (ftruncate(file_, 0) != 0 || posix_fallocate(file_, 0, kGrowBytes) != 0)
    fail("no space for it");
  map(kGrowBytes);
  std::memcpy(memory_, &expected, sizeof expected);
}

void StateFile::map(uint64_t bytes) {
  void* at = memory_ == nullptr ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0)
                                : mremap(memory_, bytes_, bytes, MREMAP_MAYMOVE);
  if (at == MAP_FAILED)
    throw std::runtime_error("state file " + path_ + ": " + std::strerror(errno));
  memory_ = static_cast<uint8_t*>(at);
  bytes_ = bytes;
}

/// Space is taken now, or a full disk would kill us by SIGBUS later.
bool StateFile::grow() {
  const uint32_t first = slot_count();
  const uint64_t bytes = bytes_ + std::max(kGrowBytes, bytes_ / 8 / kGrowBytes * kGrowBytes);
  if (bytes > bytes_max_) return false;
  if (posix_fallocate(file_, static_cast<off_t>(bytes_), static_cast<off_t>(bytes - bytes_)) != 0)
    return false;
  map(bytes);
  for (uint32_t at = slot_count(); at-- > first;) free_.push_back(at);
  return true;
}

void StateFile::expect(uint64_t records) {
  if (path_.empty()) return;
  while (slot_count() <= records && grow()) continue;
}

bool StateFile::belongs(uint32_t at, const Slot& first, uint32_t part) const {
  if (at == 0 || at >= slot_count()) return false;
  const Slot& other = slot(at);
  return other.is_whole() && other.version == first.version && other.first == first.first &&
         other.part == part;
}

/// Of a record that was being replaced when the process died, both versions may be whole: the one
/// that takes the other's place counts.
void StateFile::read() {
  std::vector<bool> is_kept(slot_count(), false);
  std::vector<uint64_t> replaced;
  for (uint32_t at = 1; at < slot_count(); ++at)
    if (const Slot& first = slot(at); first.is_whole() && first.part == 0 && first.replaces != 0)
      replaced.push_back(first.replaces);
  std::sort(replaced.begin(), replaced.end());
  for (uint32_t at = 1; at < slot_count(); ++at) {
    const Slot& first = slot(at);
    if (!first.is_whole()) continue;
    next_version_ = std::max(next_version_, first.version + 1);
    if (first.part != 0 || first.first != at ||
        std::binary_search(replaced.begin(), replaced.end(), first.version))
      continue;
    Found record{at, {}};
    std::vector<uint32_t> chain;
    uint32_t next = at;
    while (next != 0 && belongs(next, first, static_cast<uint32_t>(chain.size()))) {
      chain.push_back(next);
      record.bytes.append(reinterpret_cast<const char*>(slot(next).data), slot(next).bytes);
      next = slot(next).next;
    }
    if (next != 0) continue;  // not whole
    for (const uint32_t one : chain) is_kept[one] = true;
    found_.push_back(std::move(record));
  }
  for (uint32_t at = slot_count(); at-- > 1;) {
    if (is_kept[at]) {
      ++used_;
      continue;
    }
    if (slot(at).version != 0) ++damaged_slots_;
    std::memset(&slot(at), 0, kSlotBytes);
    free_.push_back(at);
  }
}

bool StateFile::put(uint32_t& record, std::string_view bytes) {
  if (path_.empty()) return true;
  const size_t parts = std::max<size_t>(1, (bytes.size() + Slot::kRoom - 1) / Slot::kRoom);
  while (free_.size() < parts)
    if (!grow()) return false;
  const uint64_t version = next_version_++;
  const uint32_t first = free_.back();
  // From the last part to the first: the record is whole when its first slot is.
  uint32_t next = 0;
  for (size_t part = parts; part-- > 0;) {
    const uint32_t at = free_[free_.size() - 1 - part];
    Slot& fresh = slot(at);
    const std::string_view piece = bytes.substr(part * Slot::kRoom, Slot::kRoom);
    fresh.next = next;
    fresh.version = version;
    fresh.first = first;
    fresh.part = static_cast<uint16_t>(part);
    fresh.bytes = static_cast<uint16_t>(piece.size());
    fresh.replaces = record == 0 || part != 0 ? 0 : slot(record).version;
    std::memcpy(fresh.data, piece.data(), piece.size());
    fresh.checksum = fresh.sum();
    next = at;
  }
  free_.resize(free_.size() - parts);
  used_ += parts;
  if (record != 0) free_chain(record);
  record = first;
  return true;
}

void StateFile::erase(uint32_t record) {
  if (!path_.empty() && record != 0) free_chain(record);
}

void StateFile::free_chain(uint32_t first) {
  for (uint32_t at = first; at != 0;) {
    const uint32_t next = slot(at).next;
    std::memset(&slot(at), 0, offsetof(Slot, data));
    free_.push_back(at);
    --used_;
    at = next;
  }
}

}  // namespace gmesp::control
