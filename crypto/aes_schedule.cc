#include "crypto/aes_schedule.h"

#include <intel-ipsec-mb.h>

#include <algorithm>

#include "crypto/aes_lanes.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kRegisters = 4;
constexpr uint32_t kLanes = kRegisters * kAesLanesOfRegister;

/// What the rounds of a decryption add: all keys but the first and the last go through the inverse
/// of MixColumns (FIPS 197 5.3.5), which is what a round of decryption does to bytes that a last
/// round of encryption has been at.
[[GMESP_AES]] inline __m512i inverse_mixed(__m512i keys) {
  const __m512i zero = _mm512_setzero_si512();
  return _mm512_aesdec_epi128(_mm512_aesenclast_epi128(keys, zero), zero);
}

/// Of fewer keys than lanes, the last one is in all that are left over.
[[GMESP_VAES]] void make_group(std::span<const uint8_t* const> keys, AesSchedule* schedules) {
  uintptr_t from[kLanes], to[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const size_t at = std::min<size_t>(lane, keys.size() - 1);
    from[lane] = reinterpret_cast<uintptr_t>(keys[at]);
    to[lane] = reinterpret_cast<uintptr_t>(schedules[at].round_keys.data());
  }
  __m512i round_keys[kRegisters];
#pragma GCC unroll 4
  for (uint32_t i = 0; i < kRegisters; ++i)
    round_keys[i] = read_blocks({from + i * kAesLanesOfRegister, 0});
  for (uint32_t round = 0; round <= kAesRounds; ++round) {
    const bool is_mixed = round != 0 && round != kAesRounds;
#pragma GCC unroll 4
    for (uint32_t i = 0; i < kRegisters; ++i) {
      if (round != 0) round_keys[i] = next_round_keys(round_keys[i], round);
      write_blocks({to + i * kAesLanesOfRegister, (kAesRounds - round) * kAesBlockBytes},
                   is_mixed ? inverse_mixed(round_keys[i]) : round_keys[i]);
    }
  }
}

}  // namespace

void make_schedules(IMB_MGR* manager, const uint8_t* key, AesSchedule& encryption,
                    AesSchedule& decryption) noexcept {
  IMB_AES_KEYEXP_128(manager, key, encryption.round_keys.data(), decryption.round_keys.data());
}

void make_decryption_schedules(std::span<const uint8_t* const> keys,
                               AesSchedule* schedules) noexcept {
  while (!keys.empty()) {
    const size_t count = std::min<size_t>(keys.size(), kLanes);
    make_group(keys.first(count), schedules);
    keys = keys.subspan(count);
    schedules += count;
  }
}

}  // namespace gmesp::crypto
