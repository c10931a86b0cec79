// SAD and SPD of gmespd: SA sets installed and removed by one writer while workers look them up
// without locks.
//
// Look-ups: inbound by (SPI, destination address) (R-7.1-07), outbound by the exact (local, UE)
// addresses and ports (R-D-S1); the inbound selectors are in the SA (R-7.1-05). Tables hold SA
// indices with 32-bit fingerprints in cache-line buckets; they are ordinary memory, not SA memory.
//
// Restoring (R-D-A2, R-C-03): the constructor takes over the whole sets of an adopted SA memory,
// with their ids; see sa_restore.cc for what is believed.
//
// Threading: methods under "control thread" are called by one thread; methods under "workers" by
// any thread that reports quiescent states. unpublish() makes a set unfindable at once; its memory
// may be reclaim()ed only after every worker that could have found it before has passed a quiescent
// state.
// Errors: the constructor throws std::runtime_error naming the setting; install() returns a Status
// and changes nothing unless it is kOk.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "control/shm/layout.h"
#include "crypto/prefetch.h"
#include "dataplane/ipsec/free_list.h"
#include "dataplane/ipsec/lookup_hash.h"
#include "dataplane/ipsec/lookup_table.h"
#include "dataplane/ipsec/peer_index.h"
#include "dataplane/ipsec/port_set.h"
#include "dataplane/ipsec/restoration.h"
#include "dataplane/ipsec/sa.h"
#include "dataplane/ipsec/sa_memory.h"

namespace gmesp::ipsec {

struct SaDatabaseOptions {
  static constexpr uint32_t kCapacitySetsMax = 2'000'000;
  static constexpr uint32_t kWindowPacketsMin = 32;
  static constexpr uint32_t kWindowPacketsMax = 4096;
  static constexpr uint32_t kWindowPacketsStep = 32;

  uint32_t capacity_sets = 100'000;  ///< 1..kCapacitySetsMax
  uint32_t window_packets = 128;     ///< replay window: 32..4096, multiple of 32
  std::string memory_path;           ///< file on hugetlbfs or tmpfs; empty: anonymous memory
  PortSet protected_ports;
  bool keep_raw_keys = false;  ///< for keys_of()
  bool restore = false;        ///< take over the sets that a dead process left in memory_path
  uint64_t now_ms = 0;  ///< CLOCK_BOOTTIME of the start, for `restore`: older sets are not restored
};

class SaDatabase {
 public:
  /// How far outbound sequence numbers of a restored set jump ahead. A set that has no room for it
  /// is not restored: numbers never go round.
  static constexpr uint32_t kSequenceJump = 1u << 16;

  explicit SaDatabase(const SaDatabaseOptions& options);
  SaDatabase(const SaDatabase&) = delete;
  SaDatabase& operator=(const SaDatabase&) = delete;

  // --- control thread ---

  /// Validates every field, expands keys, writes SA memory, sets the commit mark, publishes.
  /// `detail` says on failure what was found and what is allowed (no keys). `record` is a copy that
  /// nobody else can change; wiping it is the caller's.
  shm::Status install(const shm::SaSetRecord& record, uint64_t now_ms, uint64_t& set_id,
                      std::string& detail);
  /// Takes the set out of the look-up tables and marks its SAs dead. The slot stays taken until
  /// reclaim().
  shm::Status unpublish(uint64_t set_id);
  /// After the grace period: wipes keys and state, frees the slot. Does nothing to a set that was
  /// not unpublished.
  void reclaim(SetIndex set);
  /// Lifetimes only grow (R-7.4.2a-08): kLifetimeShrinks otherwise.
  shm::Status set_not_after(uint64_t set_id, uint64_t not_after_ms);
  /// port_Uenc known to control (re-push). kBadArgument if `port` is 0, kBadMode without a tunnel.
  shm::Status set_peer_port(uint64_t set_id, uint16_t port);
  /// A worker reported that it learned port_Uenc: from now on find_outbound_by_peer_port() knows.
  void note_peer_port(uint64_t set_id);
  /// Lowers the path MTU of both outbound SAs until `expires_ms`; never raises one that still
  /// holds.
  void set_path_mtu(uint64_t set_id, uint16_t mtu_bytes, uint64_t expires_ms);
  /// Forgets a path MTU whose time has come.
  void clear_path_mtu(uint64_t set_id, uint64_t now_ms);
  shm::Status view(uint64_t set_id, shm::SetView& view) const;
  /// The live set as it could be installed again, with its raw keys: `record` is wiped by the
  /// caller. kKeyExportOff without SaDatabaseOptions::keep_raw_keys.
  shm::Status keys_of(uint64_t set_id, shm::SaSetRecord& record) const;
  /// First live set at or after table index `from`; kEnd if there is none. `next` is the index to
  /// go on from.
  shm::Status next(uint64_t from, shm::SetView& view, uint64_t& next) const;
  /// Id and cookie of the live set in this slot; 0 if there is none.
  uint64_t live_set_id(SetIndex set, uint64_t& cookie) const;
  /// Calls `expired(set_id)` for live sets whose not_after has passed, among the next `budget`
  /// slots of a circular scan. `expired` may unpublish the set.
  template <class Callback>
  void scan_expired(uint64_t now_ms, uint32_t budget, Callback&& expired);
  /// New installs with it are refused (R-7.1-04). Either number may be 0: not meant.
  void withdraw(uint8_t integrity, uint8_t cipher);
  void restore(uint8_t integrity, uint8_t cipher);
  bool is_withdrawn(crypto::Suite suite) const;
  /// Too-big messages: the outbound SA that the quoted packet was sent on. kNoSa if there is none,
  /// or if several fit: behind one NAT, UEs may have equal SPIs (R-M-11), but not equal ports.
  SaIndex find_outbound_by_spi(uint32_t spi, const Address& outer_ue) const;
  SaIndex find_outbound_by_peer_port(const Address& outer_ue, uint16_t port) const;
  uint64_t live_sets() const { return live_sets_; }
  uint32_t capacity_sets() const { return memory_.capacity_sets(); }
  /// Grows with every start. Ids of restored sets stay; other ids of before are dead.
  uint64_t epoch() const { return memory_.header().epoch; }
  /// For the start-up log: sizes, and whether the memory is locked.
  const SaMemory& memory() const { return memory_; }
  /// What became of the sets that a dead process left.
  const Restoration& restoration() const { return restoration_; }
  uint64_t table_bytes() const { return inbound_.bytes() + outbound_.bytes() + peers_.bytes(); }

  // --- workers ---

  uint64_t inbound_hash(uint32_t spi, const Address& destination) const {
    return hash_(std::array<uint64_t, 3>{destination.high(), destination.low(), spi});
  }
  uint64_t outbound_hash(const Address& local, uint16_t local_port, const Address& ue,
                         uint16_t ue_port) const {
    return hash_(std::array<uint64_t, 5>{local.high(), local.low(), ue.high(), ue.low(),
                                         uint64_t{local_port} << 16 | ue_port});
  }
  void prefetch_inbound(uint64_t hash) const { inbound_.prefetch_bucket(hash); }
  void prefetch_outbound(uint64_t hash) const { outbound_.prefetch_bucket(hash); }
  /// The SA most probably meant, for prefetch_sa() before find_*; kNoSa if the bucket has no
  /// candidate.
  SaIndex candidate_inbound(uint64_t hash) const { return inbound_.candidate(hash); }
  SaIndex candidate_outbound(uint64_t hash) const { return outbound_.candidate(hash); }
  /// Both lines of the SA and that of its keys.
  void prefetch_sa(SaIndex sa) const {
    crypto::prefetch(&memory_.hot(sa).identity);
    crypto::prefetch(&memory_.hot(sa).progress);
    crypto::prefetch(&keys(sa));
  }
  /// `candidate`: what candidate_inbound() found in the same burst, or kNoSa.
  SaIndex find_inbound(uint64_t hash, uint32_t spi, const Address& destination,
                       SaIndex candidate = kNoSa) const {
    const auto is_match = [&](SaIndex sa) { return is_inbound_sa(sa, spi, destination); };
    if (candidate != kNoSa && is_match(candidate)) return candidate;
    return inbound_.find(hash, is_match);
  }
  SaIndex find_outbound(uint64_t hash, const Address& local, uint16_t local_port, const Address& ue,
                        uint16_t ue_port, SaIndex candidate = kNoSa) const {
    const auto is_match = [&](SaIndex sa) {
      const SaIdentity& identity = memory_.hot(sa).identity;
      return identity.local_port == local_port && identity.ue_port == ue_port &&
             identity.local == local && identity.ue == ue;
    };
    if (candidate != kNoSa && is_match(candidate)) return candidate;
    return outbound_.find(hash, is_match);
  }
  SaHot& hot(SaIndex sa) const { return memory_.hot(sa); }
  SetState& set_state(SaIndex sa) const { return memory_.set_state(set_of(sa)); }
  const crypto::SaKeys& keys(SaIndex sa) const { return memory_.keys(set_of(sa)); }
  /// Words of an inbound SA's replay window, wherever they stand.
  uint64_t* window(SaIndex sa) const { return memory_.window(sa); }
  uint32_t window_packets() const { return memory_.window_packets(); }
  const Address& outer_ue(SaIndex sa) const {
    const SaIdentity& identity = memory_.hot(sa).identity;
    return identity.outer_is_inner ? identity.ue : set_state(sa).outer_ue;
  }
  const Address& outer_local(SaIndex sa) const {
    const SaIdentity& identity = memory_.hot(sa).identity;
    return identity.outer_is_inner ? identity.local : set_state(sa).outer_local;
  }
  const PortSet& protected_ports() const { return protected_ports_; }

 private:
  bool is_inbound_sa(SaIndex sa, uint32_t spi, const Address& destination) const {
    return memory_.hot(sa).identity.spi == spi && outer_local(sa) == destination;
  }
  bool is_live(SetIndex set) const {
    return memory_.set_state(set).commit.load(std::memory_order_relaxed) ==
           static_cast<uint32_t>(Commit::kLive);
  }
  /// The live set of that id, or null.
  SetState* live_state(uint64_t set_id) const;
  uint64_t id_of(SetIndex set) const { return set_id_of(memory_.set_state(set).generation, set); }
  uint64_t hash_of(SaIndex sa) const;
  LookupTable& table_of(SaIndex sa) { return is_inbound(role_of(sa)) ? inbound_ : outbound_; }
  shm::Status check_unique(const shm::SaSetRecord& record, std::string& detail) const;
  shm::Status check_room(const shm::SaSetRecord& record, std::string& detail) const;
  void write_set(SetIndex set, const shm::SaSetRecord& record, uint64_t now_ms);
  void publish(SetIndex set);
  void wipe_set(SetIndex set);
  void restore_sets(uint64_t now_ms);
  bool restore_set(SetIndex set, uint64_t now_ms);
  bool is_whole(SetIndex set, const shm::SaSetRecord& record) const;
  bool continue_numbers(SetIndex set);
  void forget_path(SetIndex set);
  void note_loss(uint32_t& count, SetIndex set, const std::string& why);
  void fill_view(SetIndex set, shm::SetView& view) const;

  SaMemory memory_;
  const LookupHash hash_;
  LookupTable inbound_;
  LookupTable outbound_;
  PeerIndex peers_;
  FreeList free_;
  const PortSet protected_ports_;
  Restoration restoration_;
  uint64_t live_sets_ = 0;
  SetIndex scanned_ = 0;  ///< where scan_expired() goes on
  /// One bit per number.
  uint32_t withdrawn_integrity_ = 0;
  uint32_t withdrawn_cipher_ = 0;
};

template <class Callback>
void SaDatabase::scan_expired(uint64_t now_ms, uint32_t budget, Callback&& expired) {
  for (uint32_t i = 0; i < std::min(budget, capacity_sets()); ++i) {
    const SetIndex set = scanned_;
    scanned_ = scanned_ + 1 == capacity_sets() ? 0 : scanned_ + 1;
    if (!is_live(set)) continue;
    const SaIdentity& identity = memory_.hot(set * kSasPerSet).identity;
    if (identity.not_after_ms.load(std::memory_order_relaxed) <= now_ms) expired(id_of(set));
  }
}

}  // namespace gmesp::ipsec
