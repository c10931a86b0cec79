// MD5 and SHA-1 on many messages at once, a message in each 32-bit lane of AVX-512's registers.
//
// Shape: a state is kWords words, a block sixteen; each is the same word of sixteen messages, or of
// thirty-two in two registers. A step of either algorithm waits for the one before: two registers
// take half as long again as one, or in MD5 no longer. Units: bytes, 32-bit words.
// Threading: no state. Only where the CPU has AVX-512 F and BW. Source: RFC 1321 3.4, FIPS 180-4
// 6.1.2.
#pragma once

#include <immintrin.h>

#include <cstdint>

/// For each function with lanes in it, so that all others run anywhere.
#define GMESP_LANES gnu::target("avx512f,avx512bw"), gnu::always_inline

namespace gmesp::crypto {

inline constexpr uint32_t kLanesOfRegister = 16;
inline constexpr uint32_t kHashBlockBytes = 64;
inline constexpr uint32_t kHashBlockWords = kHashBlockBytes / sizeof(uint32_t);

/// A word of each message.
template <uint32_t registers>
struct Lanes {
  __m512i in[registers];
};

struct Sha1Lanes {
  static constexpr uint32_t kWords = 5;
  static constexpr uint32_t kLengthAt = 15;  ///< word with the count of bits, if below 2^32

  /// From words as they stand in memory to those that the algorithm counts with, and back: the
  /// first byte is the highest.
  [[GMESP_LANES]] static __m512i ordered(__m512i words) {
    const __m128i reversed = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    return _mm512_shuffle_epi8(words, _mm512_maskz_broadcast_i32x4(0xffff, reversed));
  }

  /// One block of each message. One or two registers.
  template <uint32_t registers>
  static void compress(Lanes<registers> (&state)[kWords],
                       const Lanes<registers> (&block)[kHashBlockWords]) noexcept;
};

struct Md5Lanes {
  static constexpr uint32_t kWords = 4;
  static constexpr uint32_t kLengthAt = 14;

  [[GMESP_LANES]] static __m512i ordered(__m512i words) { return words; }

  template <uint32_t registers>
  static void compress(Lanes<registers> (&state)[kWords],
                       const Lanes<registers> (&block)[kHashBlockWords]) noexcept;
};

}  // namespace gmesp::crypto
