#include "crypto/des_schedule.h"

#include <immintrin.h>
#include <intel-ipsec-mb.h>

#include <cstring>

#include "crypto/ipsec_mb_manager.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kRounds = 16;
constexpr uint32_t kHalfBits = 28;

/// Permuted choice 1 and 2 and the number of left shifts (FIPS 46-3, Appendix 1). Bits count from
/// 1, the highest of the first byte.
constexpr std::array<uint8_t, 2 * kHalfBits> kChoice1 = {
    57, 49, 41, 33, 25, 17, 9,  1,  58, 50, 42, 34, 26, 18, 10, 2,  59, 51, 43,
    35, 27, 19, 11, 3,  60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7,  62, 54,
    46, 38, 30, 22, 14, 6,  61, 53, 45, 37, 29, 21, 13, 5,  28, 20, 12, 4};
constexpr std::array<uint8_t, 48> kChoice2 = {
    14, 17, 11, 24, 1,  5,  3,  28, 15, 6,  21, 10, 23, 19, 12, 4,  26, 8,  16, 7,  27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32};
constexpr std::array<uint8_t, kRounds> kShifts = {1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1};

/// For each bit of a round key, as the library has them, where in the key it comes from: the byte,
/// and in it the bit. No bit where the library has none.
struct alignas(64) BitSource {
  std::array<uint8_t, 64> byte;
  std::array<uint8_t, 64> bit;
};

constexpr std::array<BitSource, kRounds> bit_sources() {
  constexpr uint32_t kBitsOfByte = 6;
  std::array<BitSource, kRounds> sources{};
  uint32_t shift = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    shift += kShifts[round];
    for (uint32_t i = 0; i < kChoice2.size(); ++i) {
      const uint32_t chosen = kChoice2[i] - 1u;
      const uint32_t half = chosen / kHalfBits * kHalfBits;
      const uint32_t from = kChoice1[half + (chosen - half + shift) % kHalfBits] - 1u;
      const uint32_t to = i / kBitsOfByte * 8 + i % kBitsOfByte;
      sources[round].byte[to] = static_cast<uint8_t>(from / 8);
      sources[round].bit[to] = static_cast<uint8_t>(0x80 >> from % 8);
    }
  }
  return sources;
}
constexpr std::array<BitSource, kRounds> kSources = bit_sources();

[[gnu::target("avx512f,avx512bw")]] void choose_bits(const uint8_t* key, DesSchedule& schedule) {
  uint64_t word;
  std::memcpy(&word, key, sizeof word);
  const __m512i keys = _mm512_set1_epi64(static_cast<long long>(word));
  for (uint32_t round = 0; round < kRounds; ++round) {
    const __m512i bytes = _mm512_shuffle_epi8(keys, _mm512_load_si512(&kSources[round].byte));
    schedule[round] = _mm512_test_epi8_mask(bytes, _mm512_load_si512(&kSources[round].bit));
  }
}

}  // namespace

void make_schedule(IMB_MGR* manager, const uint8_t* key, DesSchedule& schedule) noexcept {
  if (arch_of(*manager) == VectorArch::kAvx512)
    choose_bits(key, schedule);
  else
    IMB_DES_KEYSCHED(manager, schedule.data(), key);
}

}  // namespace gmesp::crypto
