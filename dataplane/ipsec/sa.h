// The state of SAs, laid out for the packet path: what each packet touches stands in three cache
// lines, two of its SA and that of the keys.
//
// Shape: a set (the four SAs of one registration) has one SetState (cold) and one SetHot: four
// SaHot and the crypto::SaKeys that they share. All live in SA memory (sa_memory.h): plain records,
// indices instead of pointers, found again by the next process. SA index = 4 * set index + SaRole.
// Threading: SaIdentity is written by the control thread before the set is published, its atomics
// also by the workers; SaProgress is written by the owner worker alone and read by the control
// thread (relaxed atomics, so that a reader sees whole numbers).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <iterator>

#include "control/shm/layout.h"
#include "crypto/sa_keys.h"
#include "crypto/suite.h"
#include "dataplane/ipsec/address.h"

namespace gmesp::ipsec {

using SaIndex = uint32_t;
using SetIndex = uint32_t;
inline constexpr SaIndex kNoSa = UINT32_MAX;
inline constexpr uint32_t kSasPerSet = shm::kSasPerSet;
inline constexpr shm::SaRole kRoles[] = {shm::SaRole::kInUcPs, shm::SaRole::kOutPsUc,
                                         shm::SaRole::kInUsPc, shm::SaRole::kOutPcUs};
static_assert(std::size(kRoles) == kSasPerSet);

constexpr SetIndex set_of(SaIndex sa) {
  return sa / kSasPerSet;
}
constexpr SaIndex sa_of(SetIndex set, shm::SaRole role) {
  return set * kSasPerSet + static_cast<uint32_t>(role);
}
constexpr shm::SaRole role_of(SaIndex sa) {
  return static_cast<shm::SaRole>(sa % kSasPerSet);
}
constexpr bool is_inbound(shm::SaRole role) {
  return role == shm::SaRole::kInUcPs || role == shm::SaRole::kInUsPc;
}

/// No worker owns the SA yet; the first one to see a packet of it claims it (R-D-A1).
inline constexpr uint8_t kNoOwner = 0xff;

/// First line: what a packet is compared with. Read by every packet, written almost never.
struct alignas(64) SaIdentity {
  Address ue;                          ///< selector: remote address of the (inner) packet
  Address local;                       ///< selector: our address of the (inner) packet
  std::atomic<uint64_t> not_after_ms;  ///< CLOCK_BOOTTIME; 0: the SA is dead
  uint32_t spi;
  uint16_t ue_port;
  uint16_t local_port;
  crypto::Suite suite;
  shm::Mode mode;
  std::atomic<uint8_t> owner;  ///< worker index or kNoOwner
  /// Tunnel mode: port_Uenc, 0 while unknown (M.7.2). The same value stands in all four SAs of the
  /// set.
  std::atomic<uint16_t> outer_ue_port;
  /// Outbound: learned path MTU in bytes, 0: none.
  std::atomic<uint16_t> path_mtu;
  /// Inbound: the last port that was reported as a change of port_Uenc; 0: none.
  std::atomic<uint16_t> reported_ue_port;
  /// Outer addresses are the selectors' (always so in transport mode and where Annex M is followed
  /// to the letter): then no packet needs SetState.
  bool outer_is_inner;
};
static_assert(sizeof(SaIdentity) == 64);

/// Second line: what a packet changes. Replay windows of up to kInlineWindowPackets stand here;
/// larger ones have words of their own, see SaMemory::window().
struct alignas(64) SaProgress {
  static constexpr uint32_t kWindowWords = 3;
  std::atomic<uint32_t> sequence;  ///< highest accepted in, last used out (RFC 2406 2.2)
  std::atomic<uint32_t> icv_failures;
  std::atomic<uint64_t> packets;  ///< authenticated in, protected out
  std::atomic<uint64_t> bytes;    ///< of inner IP packets, delivered or protected
  std::atomic<uint32_t> replays;
  std::atomic<uint32_t> other_drops;
  std::atomic<uint32_t> last_use_s;  ///< CLOCK_BOOTTIME seconds of the last packet; 0: none yet
  uint32_t near_end_told;            ///< out: 1 once the warning about sequence numbers was given
  std::array<uint64_t, kWindowWords> window;
};
static_assert(sizeof(SaProgress) == 64);
/// RFC 6479: one word of the ring is always in the making, so 3 words remember 128 numbers.
inline constexpr uint32_t kInlineWindowPackets = (SaProgress::kWindowWords - 1) * 64;

struct SaHot {
  SaIdentity identity;
  SaProgress progress;
};
static_assert(sizeof(SaHot) == 128);

/// What packets touch of a set, side by side: at a million users each of its pages is a miss of the
/// TLB.
struct SetHot {
  std::array<SaHot, kSasPerSet> sas;
  crypto::SaKeys keys;
};
static_assert(sizeof(SetHot) == 576);

/// Adds to a counter that only the calling thread writes: no locked instruction is needed.
template <class Number>
void add(std::atomic<Number>& counter, Number amount) {
  counter.store(static_cast<Number>(counter.load(std::memory_order_relaxed) + amount),
                std::memory_order_relaxed);
}

/// Values of SetState::commit. Written last at install and first at removal, so that a process that
/// finds the memory knows what was whole.
enum class Commit : uint32_t {
  kFree = 0,
  kLive = 0x4c495645,     // "LIVE"
  kRetired = 0x52455449,  // unpublished, waiting for readers to pass
};

/// Cold part of a set: what only some tunnel headers, operators and the next process need.
struct alignas(64) SetState {
  Address outer_ue;  ///< tunnel mode; equal to the selector's in transport mode
  Address outer_local;
  std::atomic<uint32_t> commit;  ///< Commit
  uint32_t generation;           ///< part of the set id; grows with every use of this slot
  uint64_t installed_ms;
  uint64_t cookie;
  /// When the learned path MTU ages out (RFC 4301 8.2).
  std::atomic<uint64_t> path_mtu_expires_ms;
  uint64_t seal;  ///< seal_of() the set (set_seal.h)
  std::array<uint8_t, 56> reserved;
};
static_assert(sizeof(SetState) == 128);

constexpr uint64_t set_id_of(uint32_t generation, SetIndex set) {
  return uint64_t{generation} << 32 | set;
}

}  // namespace gmesp::ipsec
