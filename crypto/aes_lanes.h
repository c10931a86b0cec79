// AES-128 on four packets in each register of AVX-512: their blocks, and the round keys of each.
//
// Shape: a register is one block of each packet, or one round key. Units: bytes.
// Threading: no state. Only where the CPU has AVX-512 F and BW, and AES for them. Source: FIPS 197
// 5.2.
#pragma once

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

// For each function with lanes in it, so that all others run anywhere; the second is for those that
// become part of their caller.
#define GMESP_VAES gnu::target("avx512f,avx512bw,vaes")
#define GMESP_AES GMESP_VAES, gnu::always_inline

namespace gmesp::crypto {

inline constexpr uint32_t kAesRounds = 10;
inline constexpr uint32_t kAesBlockBytes = 16;
inline constexpr uint32_t kAesLanesOfRegister = 4;

// With masks of ones, since GCC 12 takes the forms without for reads of what was never written.

/// Where four messages are: addresses, and how far behind them.
struct Places {
  const uintptr_t* starts;
  size_t offset;

  template <class Bytes>
  [[GMESP_AES]] Bytes* of(uint32_t lane) const {
    return reinterpret_cast<Bytes*>(starts[lane] + offset);
  }
};

/// A block of each.
[[GMESP_AES]] inline __m512i read_blocks(const Places& places) {
  __m512i all = _mm512_maskz_broadcast_i32x4(0xffff, _mm_loadu_si128(places.of<const __m128i>(0)));
  all = _mm512_maskz_inserti32x4(0xffff, all, _mm_loadu_si128(places.of<const __m128i>(1)), 1);
  all = _mm512_maskz_inserti32x4(0xffff, all, _mm_loadu_si128(places.of<const __m128i>(2)), 2);
  return _mm512_maskz_inserti32x4(0xffff, all, _mm_loadu_si128(places.of<const __m128i>(3)), 3);
}
[[GMESP_AES]] inline void write_blocks(const Places& places, __m512i all) {
  _mm_storeu_si128(places.of<__m128i>(0), _mm512_maskz_extracti32x4_epi32(0xf, all, 0));
  _mm_storeu_si128(places.of<__m128i>(1), _mm512_maskz_extracti32x4_epi32(0xf, all, 1));
  _mm_storeu_si128(places.of<__m128i>(2), _mm512_maskz_extracti32x4_epi32(0xf, all, 2));
  _mm_storeu_si128(places.of<__m128i>(3), _mm512_maskz_extracti32x4_epi32(0xf, all, 3));
}

/// The round keys of `round`, 1 to 10, from those of the round before.
[[GMESP_AES]] inline __m512i next_round_keys(__m512i keys, uint32_t round) {
  constexpr std::array<int, kAesRounds> kConstants = {0x01, 0x02, 0x04, 0x08, 0x10,
                                                      0x20, 0x40, 0x80, 0x1b, 0x36};
  // The last word, turned, in all four places: then the shifted rows of a last round are alike, and
  // what it does is to look up the S-box and to add the constant.
  const __m512i turned = _mm512_shuffle_epi8(keys, _mm512_set1_epi32(0x0c0f0e0d));
  const __m512i words = _mm512_aesenclast_epi128(turned, _mm512_set1_epi32(kConstants[round - 1]));
  // Each word is added to all behind it.
  keys = _mm512_xor_si512(keys, _mm512_bslli_epi128(keys, 4));
  keys = _mm512_xor_si512(keys, _mm512_bslli_epi128(keys, 8));
  return _mm512_xor_si512(keys, words);
}

}  // namespace gmesp::crypto
