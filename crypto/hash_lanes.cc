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

constexpr uint32_t sha1_constant(uint32_t step) {
  return step < 20 ? 0x5a827999 : step < 40 ? 0x6ed9eba1 : step < 60 ? 0x8f1bbcdc : 0xca62c1d6;
}

/// Which word of the block comes in a step of MD5, and how far the sum is turned.
constexpr uint32_t md5_word(uint32_t step) {
  constexpr uint32_t kStarts[4] = {0, 1, 5, 0}, kStrides[4] = {1, 5, 3, 7};
  return (kStarts[step / 16] + step * kStrides[step / 16]) % kHashBlockWords;
}
constexpr uint32_t md5_bits(uint32_t step) {
  constexpr uint32_t kBits[4][4] = {
      {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  return kBits[step / 16][step % 4];
}

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

}  // namespace

template <uint32_t n>
[[GMESP_AVX512]] void Sha1Lanes::compress(Lanes<n> (&state)[kWords],
                                          const Lanes<n> (&block)[kHashBlockWords],
                                          const BlockPlace<n>& next) noexcept {
  BlockReader<Sha1Lanes, n> reader(next);
  Lanes<n> w[kHashBlockWords];  // the last sixteen of eighty
#pragma GCC unroll 16
  for (uint32_t i = 0; i < kHashBlockWords; ++i) w[i] = block[i];
  Lanes<n> a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
#pragma GCC unroll 80
  for (uint32_t step = 0; step < 80; ++step) {
    Lanes<n>& word = w[step % 16];
    if (step >= 16) {
      const Lanes<n> others =
          looked_up<kParity>(w[(step - 3) % 16], w[(step - 8) % 16], w[(step - 14) % 16]);
      word = turned(difference(others, word), 1);
    }
    const Lanes<n> mixed = step < 20                 ? looked_up<kChoice>(b, c, d)
                           : step < 40 || step >= 60 ? looked_up<kParity>(b, c, d)
                                                     : looked_up<kMajority>(b, c, d);
    // What the step before has just made, a, comes last, and what is mixed from it before that.
    const Lanes<n> known = whole(sum(sum(e, word), sha1_constant(step)));
    const Lanes<n> rest = whole(sum(known, mixed));
    e = d;
    d = c;
    c = turned(b, 30);
    b = a;
    a = sum(rest, turned(a, 5));
    constexpr uint32_t kStride = 64 / BlockReader<Sha1Lanes, n>::kSteps;
    if (step >= 16 && step % kStride == 0) reader.step((step - 16) / kStride);
  }
  state[0] = sum(state[0], a);
  state[1] = sum(state[1], b);
  state[2] = sum(state[2], c);
  state[3] = sum(state[3], d);
  state[4] = sum(state[4], e);
}

template <uint32_t n>
[[GMESP_AVX512]] void Md5Lanes::compress(Lanes<n> (&state)[kWords],
                                         const Lanes<n> (&block)[kHashBlockWords],
                                         const BlockPlace<n>& next) noexcept {
  BlockReader<Md5Lanes, n> reader(next);
  Lanes<n> a = state[0], b = state[1], c = state[2], d = state[3];
#pragma GCC unroll 64
  for (uint32_t step = 0; step < 64; ++step) {
    const Lanes<n> mixed = step < 16   ? looked_up<kChoice>(b, c, d)
                           : step < 32 ? looked_up<kChoice>(d, b, c)
                           : step < 48 ? looked_up<kParity>(b, c, d)
                                       : looked_up<kMd5Last>(b, c, d);
    const Lanes<n> rest = whole(sum(sum(a, block[md5_word(step)]), kSines[step]));
    const Lanes<n> added = turned(sum(rest, mixed), md5_bits(step));
    a = d;
    d = c;
    c = b;
    b = sum(b, added);
    constexpr uint32_t kStride = 64 / BlockReader<Md5Lanes, n>::kSteps;
    if (step % kStride == 0) reader.step(step / kStride);
  }
  state[0] = sum(state[0], a);
  state[1] = sum(state[1], b);
  state[2] = sum(state[2], c);
  state[3] = sum(state[3], d);
}

template void Sha1Lanes::compress(Lanes<1> (&)[kWords], const Lanes<1> (&)[kHashBlockWords],
                                  const BlockPlace<1>&) noexcept;
template void Sha1Lanes::compress(Lanes<2> (&)[kWords], const Lanes<2> (&)[kHashBlockWords],
                                  const BlockPlace<2>&) noexcept;
template void Md5Lanes::compress(Lanes<1> (&)[kWords], const Lanes<1> (&)[kHashBlockWords],
                                 const BlockPlace<1>&) noexcept;
template void Md5Lanes::compress(Lanes<2> (&)[kWords], const Lanes<2> (&)[kHashBlockWords],
                                 const BlockPlace<2>&) noexcept;

}  // namespace gmesp::crypto
