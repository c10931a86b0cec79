#include "control/sa/key_expansion.h"

#include <algorithm>
#include <bit>

namespace gmesp::sa {
namespace {

constexpr size_t kDesKeyBytes = 8;
/// The lowest bit of each byte of a DES key only makes the number of ones odd.
constexpr uint8_t kDesParityBit = 0x01;

constexpr uint8_t with_odd_parity(uint8_t byte) {
  const auto key_bits = static_cast<uint8_t>(byte & ~kDesParityBit);
  return std::popcount(key_bits) % 2 == 0 ? key_bits | kDesParityBit : key_bits;
}

}  // namespace

void expand_md5_key(AkaKey ik, std::span<uint8_t, kMd5KeyBytes> key) {
  std::ranges::copy(ik, key.begin());
}

void expand_sha1_key(AkaKey ik, std::span<uint8_t, kSha1KeyBytes> key) {
  const auto end = std::ranges::copy(ik, key.begin()).out;
  std::fill(end, key.end(), uint8_t{0});
}

void expand_aes_key(AkaKey ck, std::span<uint8_t, kAesKeyBytes> key) {
  std::ranges::copy(ck, key.begin());
}

bool expand_des_ede3_key(AkaKey ck, std::span<uint8_t, kDesEde3KeyBytes> key) {
  uint8_t difference = 0;
  for (size_t i = 0; i < kDesKeyBytes; ++i)
    difference |= static_cast<uint8_t>((ck[i] ^ ck[kDesKeyBytes + i]) & ~kDesParityBit);
  if (difference == 0) return false;
  for (size_t i = 0; i < kDesEde3KeyBytes; ++i) key[i] = with_odd_parity(ck[i % kAkaKeyBytes]);
  return true;
}

}  // namespace gmesp::sa
