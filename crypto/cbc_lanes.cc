#include "crypto/cbc_lanes.h"

#include <cpuid.h>

#include <algorithm>

#include "crypto/aes_lanes.h"

namespace gmesp::crypto {
namespace {

/// Of a message that are read and written at once: a register.
constexpr uint32_t kStepBlocks = 4, kStepBytes = kStepBlocks * kAesBlockBytes;
/// A batch of packets is in the second cache or farther; what comes soon, in the first. Not what
/// lies behind the packets.
constexpr uint32_t kStepsAhead = 3;

/// From four blocks of each of four messages to all first ones, all second ones and so on, and
/// back.
[[GMESP_AES]] inline void transpose(__m512i (&rows)[kStepBlocks]) {
  const __m512i low = _mm512_maskz_shuffle_i64x2(0xff, rows[0], rows[1], 0x44);
  const __m512i high = _mm512_maskz_shuffle_i64x2(0xff, rows[0], rows[1], 0xee);
  const __m512i more_low = _mm512_maskz_shuffle_i64x2(0xff, rows[2], rows[3], 0x44);
  const __m512i more_high = _mm512_maskz_shuffle_i64x2(0xff, rows[2], rows[3], 0xee);
  rows[0] = _mm512_maskz_shuffle_i64x2(0xff, low, more_low, 0x88);
  rows[1] = _mm512_maskz_shuffle_i64x2(0xff, low, more_low, 0xdd);
  rows[2] = _mm512_maskz_shuffle_i64x2(0xff, high, more_high, 0x88);
  rows[3] = _mm512_maskz_shuffle_i64x2(0xff, high, more_high, 0xdd);
}

/// Messages that are ciphered together, four in each of `n` registers.
template <uint32_t n>
class Group {
 public:
  static constexpr uint32_t kLanes = n * kAesLanesOfRegister;

  /// Of fewer than there are lanes, the first one is in all that are left over. Each step reads all
  /// of them before it writes any, so that the same is written again.
  [[GMESP_AES]] Group(const CbcMessage* messages, std::span<const uint8_t> order) {
    uintptr_t keys[kLanes];
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const CbcMessage& message = messages[order[lane < order.size() ? lane : 0]];
      keys[lane] = reinterpret_cast<uintptr_t>(message.key);
      ivs_[lane] = reinterpret_cast<uintptr_t>(message.iv);
      starts_[lane] = reinterpret_cast<uintptr_t>(message.bytes);
      blocks_[lane] = message.blocks;
    }
    for (uint32_t i = 0; i < n; ++i) keys_[i][0] = read_blocks({keys + i * kAesLanesOfRegister, 0});
    for (uint32_t round = 1; round <= kAesRounds; ++round)
#pragma GCC unroll 8
      for (uint32_t i = 0; i < n; ++i)
        keys_[i][round] = next_round_keys(keys_[i][round - 1], round);
  }

  [[GMESP_AES]] void encrypt() {
    uint32_t least = UINT32_MAX, most = 0;
    for (const uint32_t blocks : blocks_) {
      least = std::min(least, blocks / kStepBlocks);
      most = std::max(most, (blocks + kStepBlocks - 1) / kStepBlocks);
    }
    __m512i state[n];
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i) state[i] = read_blocks({ivs_ + i * kAesLanesOfRegister, 0});
    uint32_t at = 0;
    for (; at < least; ++at) {
      fetched_ = std::min(at + kStepsAhead, most - 1) * size_t{kStepBytes};
      take_step<false>(at, state);
    }
    for (; at < most; ++at) take_step<true>(at, state);
    erase_keys();
  }

 private:
  /// Four blocks of each message, or if this is among the last steps of any, those that are left of
  /// each. All registers in step, so that the waits of one are filled by the others.
  template <bool is_last>
  [[GMESP_AES]] void take_step(uint32_t at, __m512i (&state)[n]) {
    asm volatile("" : : : "memory");  // keys stay in memory: there are more than registers
    __m512i texts[n][kStepBlocks];
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i) {
#pragma GCC unroll 4
      for (uint32_t k = 0; k < kAesLanesOfRegister; ++k)
        texts[i][k] = read_text<is_last>(i * kAesLanesOfRegister + k, at);
      transpose(texts[i]);
    }
#pragma GCC unroll 4
    for (uint32_t block = 0; block < kStepBlocks; ++block) {
#pragma GCC unroll 8
      for (uint32_t i = 0; i < n; ++i)
        state[i] = _mm512_ternarylogic_epi64(texts[i][block], state[i], keys_[i][0], kSum);
      run_rounds(state);
#pragma GCC unroll 8
      for (uint32_t i = 0; i < n; ++i) texts[i][block] = state[i];
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; ++i) {
      transpose(texts[i]);
#pragma GCC unroll 4
      for (uint32_t k = 0; k < kAesLanesOfRegister; ++k)
        write_text<is_last>(i * kAesLanesOfRegister + k, at, texts[i][k]);
    }
  }

  template <bool is_last>
  [[GMESP_AES]] __m512i read_text(uint32_t lane, uint32_t at) const {
    const auto* const text = reinterpret_cast<const uint8_t*>(text_at(lane, at));
    if (is_last) return _mm512_maskz_loadu_epi64(words_left(lane, at), text);
    _mm_prefetch(reinterpret_cast<const char*>(starts_[lane] + fetched_), _MM_HINT_T0);
    return _mm512_loadu_si512(text);
  }
  template <bool is_last>
  [[GMESP_AES]] void write_text(uint32_t lane, uint32_t at, __m512i text) const {
    auto* const to = reinterpret_cast<uint8_t*>(text_at(lane, at));
    if (is_last)
      _mm512_mask_storeu_epi64(to, words_left(lane, at), text);
    else
      _mm512_storeu_si512(to, text);
  }

  uintptr_t text_at(uint32_t lane, uint32_t at) const {
    return starts_[lane] + size_t{at} * kStepBytes;
  }
  /// Of the message in this lane, at most a step: two for each block, none if it has ended.
  __mmask8 words_left(uint32_t lane, uint32_t at) const {
    const uint32_t past = std::min(at * kStepBlocks, blocks_[lane]);
    return static_cast<__mmask8>((1u << 2 * std::min(blocks_[lane] - past, kStepBlocks)) - 1);
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

  static constexpr int kSum = 0b10010110;  // of three

  __m512i keys_[n][kAesRounds + 1];
  uintptr_t starts_[kLanes];
  uintptr_t ivs_[kLanes];
  uint32_t blocks_[kLanes];
  size_t fetched_;  ///< behind each start: what is asked for in this step
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

void encrypt_cbc(LaneWidth width, std::span<const CbcMessage> messages) noexcept {
  LaneOrder order;
  const auto steps = [](const CbcMessage& message) {
    return (message.blocks + kStepBlocks - 1) / kStepBlocks;
  };
  order_by_length(messages, steps, order);
  const uint32_t most = width == LaneWidth::kWide ? Group<8>::kLanes : Group<4>::kLanes;
  std::span<const uint8_t> left(order.data(), messages.size());
  while (!left.empty()) {
    const auto group = left.first(std::min<size_t>(left.size(), most));
    if (group.size() > Group<4>::kLanes)
      encrypt_group<8>(messages.data(), group);
    else
      encrypt_group<4>(messages.data(), group);
    left = left.subspan(group.size());
  }
}

}  // namespace gmesp::crypto
