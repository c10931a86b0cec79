#include "crypto/cbc_lanes.h"

#include <cpuid.h>

#include <algorithm>

#include "crypto/aes_lanes.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kCacheLineBytes = 64;
/// Of a message that are read and written at once: half as many addresses.
constexpr uint32_t kStepBlocks = 2, kStepBytes = kStepBlocks * kAesBlockBytes;

/// Two blocks of each: all first ones and all second ones.
struct Pairs {
  __m512i first;
  __m512i second;
};
[[GMESP_AES]] inline __m512i read_two_pairs(const Places& places, uint32_t lane) {
  const __m256i low = _mm256_loadu_si256(places.of<const __m256i>(lane));
  const __m256i high = _mm256_loadu_si256(places.of<const __m256i>(lane + 1));
  return _mm512_maskz_inserti64x4(0xff, _mm512_maskz_broadcast_i64x4(0xff, low), high, 1);
}
[[GMESP_AES]] inline Pairs read_pairs(const Places& places) {
  const __m512i ab = read_two_pairs(places, 0), cd = read_two_pairs(places, 2);
  return {_mm512_maskz_shuffle_i64x2(0xff, ab, cd, 0x88),
          _mm512_maskz_shuffle_i64x2(0xff, ab, cd, 0xdd)};
}
[[GMESP_AES]] inline void write_two_pairs(const Places& places, uint32_t lane, __m512i both) {
  both = _mm512_maskz_shuffle_i64x2(0xff, both, both, 0xd8);
  _mm256_storeu_si256(places.of<__m256i>(lane), _mm512_maskz_extracti64x4_epi64(0xf, both, 0));
  _mm256_storeu_si256(places.of<__m256i>(lane + 1), _mm512_maskz_extracti64x4_epi64(0xf, both, 1));
}
[[GMESP_AES]] inline void write_pairs(const Places& places, const Pairs& all) {
  write_two_pairs(places, 0, _mm512_maskz_shuffle_i64x2(0xff, all.first, all.second, 0x44));
  write_two_pairs(places, 2, _mm512_maskz_shuffle_i64x2(0xff, all.first, all.second, 0xee));
}

/// Messages that are ciphered together, four in each of `n` registers.
template <uint32_t n>
class Group {
 public:
  static constexpr uint32_t kLanes = n * kAesLanesOfRegister;

  /// Of fewer than there are lanes, the first one is in all that are left over and has ended there.
  [[GMESP_AES]] Group(const CbcMessage* messages, std::span<const uint8_t> order) {
    uintptr_t keys[kLanes], ivs[kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const bool is_used = lane < order.size();
      const CbcMessage& message = messages[order[is_used ? lane : 0]];
      keys[lane] = reinterpret_cast<uintptr_t>(message.key);
      ivs[lane] = reinterpret_cast<uintptr_t>(message.iv);
      starts_[lane] = reinterpret_cast<uintptr_t>(message.bytes);
      blocks_[lane] = is_used ? message.blocks : 0;
    }
    for (uint32_t i = 0; i < n; ++i) {
      states_[i] = read_blocks({ivs + i * kAesLanesOfRegister, 0});
      keys_[i][0] = read_blocks({keys + i * kAesLanesOfRegister, 0});
    }
    for (uint32_t round = 1; round <= kAesRounds; ++round)
#pragma GCC unroll 8
      for (uint32_t i = 0; i < n; ++i)
        keys_[i][round] = next_round_keys(keys_[i][round - 1], round);
  }

  [[GMESP_AES]] void encrypt() {
    encrypt_odd();
    uint32_t next_end = 0;
    for (uint32_t at = 0;; ++at) {
      if (at == next_end) next_end = find_ended(at);
      if (next_end == UINT32_MAX) break;
      encrypt_pairs(at);
    }
    erase_keys();
  }

 private:
  /// The first block of messages with an odd number of them, so that pairs are left.
  [[GMESP_AES]] void encrypt_odd() {
    uintptr_t starts[kLanes];
    uint32_t are_odd = 0;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t is_odd = blocks_[lane] % kStepBlocks;
      starts[lane] = is_odd ? starts_[lane] : nowhere();
      starts_[lane] += is_odd * kAesBlockBytes;
      are_odd |= is_odd << lane;
    }
    if (are_odd == 0) return;
    for (uint32_t i = 0; i < n; ++i) {
      const Places places = {starts + i * kAesLanesOfRegister, 0};
      __m512i state = _mm512_ternarylogic_epi64(read_blocks(places), states_[i], keys_[i][0], kSum);
      for (uint32_t round = 1; round < kAesRounds; ++round)
        state = _mm512_aesenc_epi128(state, keys_[i][round]);
      state = _mm512_aesenclast_epi128(state, keys_[i][kAesRounds]);
      write_blocks(places, state);
      const auto mask = static_cast<__mmask8>(kTwice[are_odd >> i * kAesLanesOfRegister & 0xf]);
      states_[i] = _mm512_mask_mov_epi64(states_[i], mask, state);
    }
  }

  /// Those of which no pair is left behind the first `at`. Returns when the next one ends;
  /// UINT32_MAX: none is left.
  uint32_t find_ended(uint32_t at) {
    uint32_t next = UINT32_MAX;
    ended_ = 0;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint32_t pairs = blocks_[lane] / kStepBlocks;
      if (pairs > at)
        next = std::min(next, pairs);
      else
        ended_lanes_[ended_++] = static_cast<uint8_t>(lane);
    }
    return next;
  }

  /// All registers in step, so that the waits of one are filled by the others. Messages that have
  /// ended go on nowhere.
  [[GMESP_AES]] void encrypt_pairs(uint32_t at) {
    const size_t offset = size_t{at} * kStepBytes;
    for (uint32_t i = 0; i < ended_; ++i) starts_[ended_lanes_[i]] = nowhere() - offset;
    asm volatile("" : : : "memory");  // keys stay in memory: there are more than registers
    __m512i state[n], first[n], second[n];
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i) {
      const Pairs text = read_pairs({starts_ + i * kAesLanesOfRegister, offset});
      state[i] = _mm512_ternarylogic_epi64(text.first, states_[i], keys_[i][0], kSum);
      second[i] = text.second;
    }
    fetch(at % 2, offset + 2 * kCacheLineBytes);
    run_rounds(state);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i) {
      first[i] = state[i];
      state[i] = _mm512_ternarylogic_epi64(state[i], second[i], keys_[i][0], kSum);
    }
    run_rounds(state);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i) {
      states_[i] = state[i];
      write_pairs({starts_ + i * kAesLanesOfRegister, offset}, {first[i], state[i]});
    }
  }

  /// A batch of packets is in the second cache. A line of each message is two steps, so half of the
  /// lines that come soon are asked for in each.
  [[GMESP_AES]] void fetch(uint32_t half, size_t offset) const {
    const uint32_t from = half * (kLanes / 2);
#pragma GCC unroll 1
    for (uint32_t lane = from; lane < from + kLanes / 2; ++lane)
      _mm_prefetch(reinterpret_cast<const char*>(starts_[lane] + offset), _MM_HINT_T0);
  }

  [[GMESP_AES]] void run_rounds(__m512i (&state)[n]) const {
#pragma GCC unroll 9
    for (uint32_t round = 1; round < kAesRounds; ++round)
#pragma GCC unroll 8
      for (uint32_t i = 0; i < n; ++i) state[i] = _mm512_aesenc_epi128(state[i], keys_[i][round]);
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i)
      state[i] = _mm512_aesenclast_epi128(state[i], keys_[i][kAesRounds]);
  }

  [[GMESP_AES]] void erase_keys() {
    for (auto& of_register : keys_)
      for (__m512i& key : of_register) key = _mm512_setzero_si512();
    asm volatile("" : : "r"(keys_) : "memory");  // so that it happens
  }

  uintptr_t nowhere() {
    return reinterpret_cast<uintptr_t>(nowhere_);
  }

  static constexpr int kSum = 0b10010110;  // of three
  /// Four bits, each of them twice: a lane is two of a mask.
  static constexpr uint8_t kTwice[16] = {0x00, 0x03, 0x0c, 0x0f, 0x30, 0x33, 0x3c, 0x3f,
                                         0xc0, 0xc3, 0xcc, 0xcf, 0xf0, 0xf3, 0xfc, 0xff};

  __m512i keys_[n][kAesRounds + 1];
  __m512i states_[n];  ///< what the next block is added to
  uintptr_t starts_[kLanes];
  uint32_t blocks_[kLanes];
  uint8_t ended_lanes_[kLanes];
  uint32_t ended_ = 0;
  alignas(kStepBytes) uint8_t nowhere_[kStepBytes] = {};
};

/// CPUID leaf 7, ECX bit 9; clang 14 has no name for it.
bool has_vaes() {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 9)) != 0;
}

template <uint32_t n>
[[GMESP_VAES]] void encrypt_group(const CbcMessage* messages, std::span<const uint8_t> order) {
  Group<n>(messages, order).encrypt();
}

}  // namespace

bool has_cbc_lanes() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && has_vaes();
}

void encrypt_cbc(std::span<const CbcMessage> messages) noexcept {
  LaneOrder order;
  const auto pairs = [](const CbcMessage& message) { return message.blocks / kStepBlocks; };
  order_by_length(messages, pairs, order);
  std::span<const uint8_t> left(order.data(), messages.size());
  while (!left.empty()) {
    const auto group = left.first(std::min<size_t>(left.size(), Group<8>::kLanes));
    if (group.size() > Group<4>::kLanes)
      encrypt_group<8>(messages.data(), group);
    else
      encrypt_group<4>(messages.data(), group);
    left = left.subspan(group.size());
  }
}

}  // namespace gmesp::crypto
