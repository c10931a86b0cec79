#include "crypto/hash_lanes.h"

namespace gmesp::crypto {
namespace {

template <uint32_t n>
[[GMESP_LANES]] inline Lanes<n> sum(Lanes<n> a, const Lanes<n>& b) {
#pragma GCC unroll 2
  for (uint32_t i = 0; i < n; ++i) a.in[i] = _mm512_add_epi32(a.in[i], b.in[i]);
  return a;
}
template <uint32_t n>
[[GMESP_LANES]] inline Lanes<n> sum(Lanes<n> a, uint32_t constant) {
#pragma GCC unroll 2
  for (uint32_t i = 0; i < n; ++i)
    a.in[i] = _mm512_add_epi32(a.in[i], _mm512_set1_epi32(static_cast<int>(constant)));
  return a;
}
template <uint32_t n>
[[GMESP_LANES]] inline Lanes<n> difference(Lanes<n> a, const Lanes<n>& b) {
#pragma GCC unroll 2
  for (uint32_t i = 0; i < n; ++i) a.in[i] = _mm512_xor_si512(a.in[i], b.in[i]);
  return a;
}
/// As one value, which the compiler does not take apart to add in another order.
template <uint32_t n>
[[GMESP_LANES]] inline Lanes<n> whole(Lanes<n> a) {
#pragma GCC unroll 2
  for (uint32_t i = 0; i < n; ++i) asm("" : "+v"(a.in[i]));
  return a;
}
/// To the left.
template <uint32_t n>
[[GMESP_LANES]] inline Lanes<n> turned(Lanes<n> a, uint32_t bits) {
  using Words = uint32_t __attribute__((vector_size(sizeof(__m512i))));
#pragma GCC unroll 2
  for (uint32_t i = 0; i < n; ++i) {
    const auto words = reinterpret_cast<Words>(a.in[i]);
    a.in[i] = reinterpret_cast<__m512i>((words << bits) | (words >> (32 - bits)));
  }
  return a;
}

/// Bit by bit what stands in a table of three bits, the first of them highest.
template <int table, uint32_t n>
[[GMESP_LANES]] inline Lanes<n> looked_up(Lanes<n> a, const Lanes<n>& b, const Lanes<n>& c) {
#pragma GCC unroll 2
  for (uint32_t i = 0; i < n; ++i)
    a.in[i] = _mm512_ternarylogic_epi32(a.in[i], b.in[i], c.in[i], table);
  return a;
}
constexpr int kChoice = 0b11001010;  // a ? b : c
constexpr int kParity = 0b10010110;
constexpr int kMajority = 0b11101000;
constexpr int kMd5Last = 0b00111001;  // b ^ (a | ~c)

/// Which word of the block comes in a step of MD5, and how far the sum is turned: four quarters of
/// sixteen steps.
template <uint32_t quarter>
constexpr uint32_t md5_word(uint32_t step) {
  constexpr uint32_t kStarts[4] = {0, 1, 5, 0}, kStrides[4] = {1, 5, 3, 7};
  return (kStarts[quarter] + step * kStrides[quarter]) % kHashBlockWords;
}
constexpr uint32_t kMd5Bits[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

/// 2^32 times the sines of 1 to 64 radians, without their signs.
constexpr uint32_t kSines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

/// Of SHA-1, for each quarter of twenty steps.
constexpr int kMixing[4] = {kChoice, kParity, kMajority, kParity};
constexpr uint32_t kConstants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};

/// A step of SHA-1. `v` stays where it is: a is v[0] in the first of five steps, then v[4], and so
/// on.
template <uint32_t quarter, uint32_t n>
[[GMESP_LANES]] inline void take_step(Lanes<n> (&v)[5], uint32_t step, const Lanes<n>& word) {
  const uint32_t i = step % 5;
  const Lanes<n>&a = v[(5 - i) % 5], &c = v[(7 - i) % 5], &d = v[(8 - i) % 5];
  Lanes<n>&b = v[(6 - i) % 5], &e = v[(9 - i) % 5];
  // What the step before has just made, a, comes last, and what is mixed from it before that.
  const Lanes<n> known = whole(sum(sum(e, word), kConstants[quarter]));
  const Lanes<n> rest = whole(sum(known, looked_up<kMixing[quarter]>(b, c, d)));
  b = turned(b, 30);
  e = sum(rest, turned(a, 5));
}

/// Of SHA-1 in one register: twenty steps. The sixteen words that others are made of stay in
/// registers, each new one in the place of the oldest: two thirds of the instructions that a
/// register of two takes.
template <uint32_t quarter>
[[GMESP_LANES]] inline void run_quarter(Lanes<1> (&v)[5], Lanes<1> (&w)[kHashBlockWords],
                                        BlockReader<Sha1Lanes, 1>& reader) {
#pragma GCC unroll 20
  for (uint32_t i = 0; i < 20; ++i) {
    const uint32_t step = quarter * 20 + i;
    Lanes<1>& word = w[step % 16];
    if (step >= 16) {
      const Lanes<1> others = looked_up<kParity>(word, w[(step + 2) % 16], w[(step + 8) % 16]);
      word = turned(difference(others, w[(step + 13) % 16]), 1);
    }
    take_step<quarter>(v, i, word);
    if (i % 5 == 4) reader.template step<quarter>(i / 5);
  }
}

/// Of SHA-1 in more registers, whose words are in memory: five steps. `w`: word of the first; the
/// first `made` steps make the words sixteen behind theirs.
///
/// Steps are in loops, six kilobytes of code in all. Eighty in a row are twenty kilobytes, and by
/// where its pages happened to lie in memory, the same program took up to twice as long.
template <uint32_t quarter, uint32_t made, uint32_t n>
[[GMESP_LANES]] inline void five_steps(Lanes<n> (&v)[5], Lanes<n>* w) {
  asm("" : "+r"(w) : : "memory");  // what was read before is in memory, not in registers
  constexpr uint32_t kRead = made == 0 ? 5 : made + 2;
  Lanes<n> words[kRead], new_words[5];
#pragma GCC unroll 7
  for (uint32_t i = 0; i < kRead; ++i) words[i] = whole(w[i]);
#pragma GCC unroll 5
  for (uint32_t i = 0; i < 5; ++i) {
    if (i < made) {
      const Lanes<n> others =
          looked_up<kParity>(words[i + 2], w[i + 8], i < 3 ? w[i + 13] : new_words[i - 3]);
      w[i + 16] = new_words[i] = turned(difference(others, words[i]), 1);
    }
    take_step<quarter>(v, i, words[i]);
  }
}

/// Of SHA-1: twenty steps.
template <uint32_t quarter, uint32_t n>
[[GMESP_LANES]] inline void run_quarter(Lanes<n> (&v)[5], Lanes<n> (&words)[Sha1Lanes::kBlockWords],
                                        BlockReader<Sha1Lanes, n>& reader) {
  Lanes<n>* w = words + quarter * 20;
  // The last sixteen of the eighty words are those that no other is made of.
  constexpr bool kIsLast = quarter == 3;
  uint32_t turn = 0;
  if (kIsLast) {
    five_steps<quarter, 4>(v, w);
    reader.template step<quarter>(turn++);
  }
#pragma GCC unroll 1
  for (; turn < reader.kTurns; ++turn) {
    five_steps<quarter, kIsLast ? 0 : 5>(v, w + turn * 5);
    reader.template step<quarter>(turn);
  }
}

/// Of MD5: sixteen steps.
template <uint32_t quarter, uint32_t n>
[[GMESP_LANES]] inline void run_quarter(Lanes<n> (&v)[4], const Lanes<n>* block,
                                        BlockReader<Md5Lanes, n>& reader) {
  constexpr int kMd5Mixing[4] = {kChoice, kChoice, kParity, kMd5Last};
#pragma GCC unroll 1
  for (uint32_t turn = 0; turn < reader.kTurns; ++turn) {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < 4; ++i) {
      const Lanes<n>&b = v[(5 - i) % 4], &c = v[(6 - i) % 4], &d = v[(7 - i) % 4];
      Lanes<n>& a = v[(4 - i) % 4];
      const uint32_t step = turn * 4 + i;
      const Lanes<n> mixed = quarter == 1 ? looked_up<kMd5Mixing[quarter]>(d, b, c)
                                          : looked_up<kMd5Mixing[quarter]>(b, c, d);
      const Lanes<n> rest =
          whole(sum(sum(a, block[md5_word<quarter>(step)]), kSines[quarter * 16 + step]));
      a = sum(b, turned(sum(rest, mixed), kMd5Bits[quarter][i]));
    }
    reader.template step<quarter>(turn);
  }
}

/// Four quarters, and what comes out is added to what went in.
template <class Hash, uint32_t n, class Words>
[[GMESP_LANES]] inline void compress_in_quarters(Lanes<n> (&state)[Hash::kWords], Words& words,
                                                 const BlockPlace<n>& next) {
  BlockReader<Hash, n> reader(next);
  Lanes<n> v[Hash::kWords];
#pragma GCC unroll 5
  for (uint32_t i = 0; i < Hash::kWords; ++i) v[i] = state[i];
  run_quarter<0>(v, words, reader);
  run_quarter<1>(v, words, reader);
  run_quarter<2>(v, words, reader);
  run_quarter<3>(v, words, reader);
#pragma GCC unroll 5
  for (uint32_t i = 0; i < Hash::kWords; ++i) state[i] = sum(state[i], v[i]);
}

}  // namespace

template <uint32_t n>
[[GMESP_AVX512]] void Sha1Lanes::compress(Lanes<n> (&state)[kWords], Lanes<n> (&block)[kBlockWords],
                                          const BlockPlace<n>& next) noexcept {
  if constexpr (n == 1) {
    Lanes<n> words[kHashBlockWords];
#pragma GCC unroll 16
    for (uint32_t i = 0; i < kHashBlockWords; ++i) words[i] = block[i];
    compress_in_quarters<Sha1Lanes>(state, words, next);
  } else {
    compress_in_quarters<Sha1Lanes>(state, block, next);
  }
}

template <uint32_t n>
[[GMESP_AVX512]] void Md5Lanes::compress(Lanes<n> (&state)[kWords], Lanes<n> (&block)[kBlockWords],
                                         const BlockPlace<n>& next) noexcept {
  compress_in_quarters<Md5Lanes>(state, block, next);
}

template void Sha1Lanes::compress(Lanes<1> (&)[kWords], Lanes<1> (&)[kBlockWords],
                                  const BlockPlace<1>&) noexcept;
template void Sha1Lanes::compress(Lanes<2> (&)[kWords], Lanes<2> (&)[kBlockWords],
                                  const BlockPlace<2>&) noexcept;
template void Md5Lanes::compress(Lanes<1> (&)[kWords], Lanes<1> (&)[kBlockWords],
                                 const BlockPlace<1>&) noexcept;
template void Md5Lanes::compress(Lanes<2> (&)[kWords], Lanes<2> (&)[kBlockWords],
                                 const BlockPlace<2>&) noexcept;

}  // namespace gmesp::crypto
