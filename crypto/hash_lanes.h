// MD5 and SHA-1 on many messages at once, a message in each 32-bit lane of AVX-512's registers.
//
// Shape: a state is kWords words, a block sixteen; each is the same word of sixteen messages, or of
// thirty-two in two registers. A step of either algorithm waits for the one before. On CPUs with
// four units of 512 bits, two registers take half as long again as one; on those with two, one
// register of SHA-1 fills them, and one and a half of MD5. Units: bytes, 32-bit words.
// Threading: no state. Only where the CPU has AVX-512 F and BW. Source: RFC 1321 3.4, FIPS 180-4
// 6.1.2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

// For each function with lanes in it, so that all others run anywhere; the second is for those that
// become part of their caller.
#define GMESP_AVX512 gnu::target("avx512f,avx512bw")
#define GMESP_LANES GMESP_AVX512, gnu::always_inline

namespace gmesp::crypto {

inline constexpr uint32_t kLanesOfRegister = 16;
inline constexpr uint32_t kHashBlockBytes = 64;
inline constexpr uint32_t kHashBlockWords = kHashBlockBytes / sizeof(uint32_t);

/// A word of each message.
template <uint32_t registers>
struct Lanes {
  __m512i in[registers];
};

/// Where a block comes from, 64 bytes `offset` bytes behind each start, and where it goes.
template <uint32_t n>
struct BlockPlace {
  const uint8_t* const* starts;  ///< one for each lane
  size_t offset;
  size_t fetched;   ///< offset of what is asked for meanwhile
  Lanes<n>* block;  ///< kHashBlockWords
};

/// From rows, sixteen words of each message, to a block. In quarters of four turns each, since by
/// itself it would wait for memory, and the hash of the block before it leaves room between its own
/// steps. A local object of whoever takes the turns: of any other, the compiler would read the
/// members again and again.
template <class Hash, uint32_t n>
class BlockReader {
 public:
  static constexpr uint32_t kTurns = 4;

  explicit BlockReader(const BlockPlace<n>& place) : place_(place) {}

  /// Each once, in order. A register takes two quarters: four messages in a turn, then four words.
  template <uint32_t quarter>
  [[GMESP_LANES]] void step(uint32_t turn) {
    constexpr uint32_t kRegister = quarter / 2;
    if constexpr (kRegister < n && quarter % 2 == 0)
      read_rows(kRegister, turn);
    else if constexpr (kRegister < n)
      write_words(kRegister, turn);
  }

 private:
  // With masks of ones, since GCC 12 takes the forms without for reads of what was never written.

  [[GMESP_LANES]] void read_rows(uint32_t i, uint32_t part) {
    const uint8_t* const* starts = place_.starts + i * kLanesOfRegister + part * 4;
    const __m512i a = _mm512_loadu_si512(starts[0] + place_.offset);
    const __m512i b = _mm512_loadu_si512(starts[1] + place_.offset);
    const __m512i c = _mm512_loadu_si512(starts[2] + place_.offset);
    const __m512i d = _mm512_loadu_si512(starts[3] + place_.offset);
    for (uint32_t row = 0; row < 4; ++row) _mm_prefetch(starts[row] + place_.fetched, _MM_HINT_T0);
    const __m512i ab_low = _mm512_maskz_unpacklo_epi32(0xffff, a, b);
    const __m512i ab_high = _mm512_maskz_unpackhi_epi32(0xffff, a, b);
    const __m512i cd_low = _mm512_maskz_unpacklo_epi32(0xffff, c, d);
    const __m512i cd_high = _mm512_maskz_unpackhi_epi32(0xffff, c, d);
    fours_[0][part] = _mm512_maskz_unpacklo_epi64(0xff, ab_low, cd_low);
    fours_[1][part] = _mm512_maskz_unpackhi_epi64(0xff, ab_low, cd_low);
    fours_[2][part] = _mm512_maskz_unpacklo_epi64(0xff, ab_high, cd_high);
    fours_[3][part] = _mm512_maskz_unpackhi_epi64(0xff, ab_high, cd_high);
  }

  /// Quarter q of fours_[c][r] is word 4 * q + c of messages 4 * r to 4 * r + 3.
  [[GMESP_LANES]] void write_words(uint32_t i, uint32_t c) {
    const __m512i(&fours)[4] = fours_[c];
    const __m512i low = _mm512_maskz_shuffle_i32x4(0xffff, fours[0], fours[1], 0x44);
    const __m512i high = _mm512_maskz_shuffle_i32x4(0xffff, fours[0], fours[1], 0xee);
    const __m512i more_low = _mm512_maskz_shuffle_i32x4(0xffff, fours[2], fours[3], 0x44);
    const __m512i more_high = _mm512_maskz_shuffle_i32x4(0xffff, fours[2], fours[3], 0xee);
    place_.block[c].in[i] = Hash::ordered(_mm512_maskz_shuffle_i32x4(0xffff, low, more_low, 0x88));
    place_.block[4 + c].in[i] =
        Hash::ordered(_mm512_maskz_shuffle_i32x4(0xffff, low, more_low, 0xdd));
    place_.block[8 + c].in[i] =
        Hash::ordered(_mm512_maskz_shuffle_i32x4(0xffff, high, more_high, 0x88));
    place_.block[12 + c].in[i] =
        Hash::ordered(_mm512_maskz_shuffle_i32x4(0xffff, high, more_high, 0xdd));
  }

  const BlockPlace<n> place_;
  __m512i fours_[4][4];
};

struct Sha1Lanes {
  static constexpr uint32_t kWords = 5;
  static constexpr uint32_t kBlockWords = 80;  ///< sixteen, and those that are made of them
  /// The next block may be read over this one: by then, other words have been made of all sixteen.
  static constexpr bool kIsOverwritten = true;
  static constexpr uint32_t kLengthAt = 15;  ///< word with the count of bits, if below 2^32

  /// From words as they stand in memory to those that the algorithm counts with, and back: the
  /// first byte is the highest.
  [[GMESP_LANES]] static __m512i ordered(__m512i words) {
    const __m128i reversed = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    return _mm512_shuffle_epi8(words, _mm512_maskz_broadcast_i32x4(0xffff, reversed));
  }
  static uint32_t ordered(uint32_t word) { return __builtin_bswap32(word); }

  /// One block of each message, while `next` is read. One or two registers.
  template <uint32_t n>
  static void compress(Lanes<n> (&state)[kWords], Lanes<n> (&block)[kBlockWords],
                       const BlockPlace<n>& next) noexcept;
};

struct Md5Lanes {
  static constexpr uint32_t kWords = 4;
  static constexpr uint32_t kBlockWords = kHashBlockWords;
  static constexpr bool kIsOverwritten = false;
  static constexpr uint32_t kLengthAt = 14;

  [[GMESP_LANES]] static __m512i ordered(__m512i words) { return words; }
  static uint32_t ordered(uint32_t word) { return word; }

  template <uint32_t n>
  static void compress(Lanes<n> (&state)[kWords], Lanes<n> (&block)[kBlockWords],
                       const BlockPlace<n>& next) noexcept;
};

}  // namespace gmesp::crypto
