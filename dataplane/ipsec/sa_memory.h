// The mapping that SAs live in: a file on tmpfs or hugetlbfs that the next process can find, or
// anonymous memory.
//
// Shape: a header, then one section each of SetState, SetHot and, if the replay window is larger
// than what stands in SaHot, window words (two inbound SAs per set); last, if raw keys are to be
// kept for export, one RawIntegrityKey per set (HMAC states do not give it back; the cipher key
// stands in crypto::SaKeys as given).
// Indices and offsets only, no pointers.
// A file that a dead process left is adopted if that is asked for and its header fits: records are
// then as they were, and SaDatabase judges each set. Else it is wiped and made anew, so that
// counters never restart under old keys (R-D-A2). The epoch is carried on either way.
// Keys: owner and mode 0600 are ours alone, locked to one process (flock), kept out of core dumps
// and, where the limits allow, out of swap; wiped and unlinked in the destructor. Only if an error
// ends the start, an adopted file stays for the next one: a missing port must not cost the sets.
// Threading: none; see sa.h for who writes what. Errors: the constructor throws std::runtime_error
// naming the file and what to do; lack of space is found then, not later.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "crypto/sa_keys.h"
#include "dataplane/ipsec/replay_window.h"
#include "dataplane/ipsec/sa.h"

namespace gmesp::ipsec {

struct SaMemoryOptions {
  std::string path;  ///< empty: anonymous memory
  uint32_t capacity_sets;
  uint32_t window_packets;
  bool adopt = false;          ///< what a dead process left in `path`, if it fits
  bool keep_raw_keys = false;  ///< integrity keys as given, beside their HMAC states
};

/// As the record gave it, zeros behind it.
struct RawIntegrityKey {
  std::array<uint8_t, 32> bytes;
};
static_assert(sizeof(RawIntegrityKey::bytes) == sizeof(shm::SaSetRecord::integrity_key));

/// Text and zeros.
using BootId = std::array<char, 40>;

/// First bytes of the mapping. What a process must compare before it believes the rest.
struct SaMemoryHeader {
  static constexpr uint64_t kMagic = 0x6d656d2d70736567;  // "gesp-mem"
  static constexpr uint32_t kVersion = 2;

  uint64_t magic;
  uint64_t layout_hash;  ///< of kVersion and every size and offset of the records
  uint64_t epoch;        ///< grows with every start
  uint64_t created_ms;   ///< CLOCK_BOOTTIME
  BootId boot_id;        ///< /proc/sys/kernel/random/boot_id: CLOCK_BOOTTIME values of
                         ///< another boot mean nothing
  uint32_t capacity_sets;
  uint32_t window_packets;
  uint64_t bytes;           ///< of the whole mapping
  uint32_t generation;      ///< of the newest set
  uint32_t keeps_raw_keys;  ///< 1: the mapping has a RawIntegrityKey per set
};

class SaMemory {
 public:
  /// Of a mapping in such pages.
  static uint64_t bytes_needed(uint32_t capacity_sets, uint32_t window_packets, bool keep_raw_keys,
                               uint64_t page_bytes);

  explicit SaMemory(const SaMemoryOptions& options);
  ~SaMemory();
  SaMemory(const SaMemory&) = delete;
  SaMemory& operator=(const SaMemory&) = delete;

  SetState& set_state(SetIndex set) const { return states_[set]; }
  SaHot& hot(SaIndex sa) const { return hot_[set_of(sa)].sas[sa % kSasPerSet]; }
  crypto::SaKeys& keys(SetIndex set) const { return hot_[set].keys; }
  /// The window_words(window_packets()) words of an inbound SA's replay window.
  uint64_t* window(SaIndex sa) const {
    if (windows_ == nullptr) return hot(sa).progress.window.data();
    const uint64_t row = uint64_t{set_of(sa)} * 2 + (role_of(sa) == shm::SaRole::kInUsPc ? 1 : 0);
    return windows_ + row * window_words(window_packets_);
  }

  bool keeps_raw_keys() const { return keep_raw_keys_; }
  /// Null unless raw keys are kept.
  RawIntegrityKey* raw_integrity_key(SetIndex set) const {
    return raw_keys_ != nullptr ? &raw_keys_[set] : nullptr;
  }

  const SaMemoryHeader& header() const { return *header_; }
  /// For a new set: never 0, and none that a set of this memory has had, whichever process made it.
  uint32_t next_generation();
  /// The records are those of a dead process.
  bool is_adopted() const { return is_adopted_; }
  /// Why what a dead process left was wiped; empty if it was not, or if there was nothing.
  const std::string& wiped_because() const { return wiped_because_; }
  uint32_t capacity_sets() const { return capacity_sets_; }
  uint32_t window_packets() const { return window_packets_; }
  uint64_t bytes() const { return bytes_; }
  /// Empty if the memory is locked against swapping; else why not, for the start-up log.
  const std::string& lock_failure() const { return lock_failure_; }

 private:
  void open_file();
  [[noreturn]] void refuse_file(const std::string& why);
  void settle_old_file();
  std::string misfit(const SaMemoryHeader& header, const struct stat& status) const;
  void reserve_file();
  void map();
  void protect();
  void write_header();
  void release(bool keep);

  const std::string path_;
  const uint32_t capacity_sets_;
  const uint32_t window_packets_;
  const bool keep_raw_keys_;
  int file_ = -1;  ///< open and locked, or -1
  uint64_t page_bytes_;
  bool is_hugetlbfs_ = false;
  uint64_t bytes_ = 0;
  const bool may_adopt_;
  bool is_adopted_ = false;
  std::string wiped_because_;
  uint64_t old_epoch_ = 0;
  SaMemoryHeader* header_ = nullptr;  ///< the start of the mapping
  SetState* states_ = nullptr;
  SetHot* hot_ = nullptr;
  uint64_t* windows_ = nullptr;          ///< null if windows stand in SaHot
  RawIntegrityKey* raw_keys_ = nullptr;  ///< null if they are not kept
  std::string lock_failure_;
  const int exceptions_at_start_;
};

}  // namespace gmesp::ipsec
