// SipHash-2-4 over whole 64-bit words: a table indexed by it has no chain that a sender could fill
// on purpose, since the key is random and secret.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <random>

namespace gmesp::ipsec {

class KeyedHash {
 public:
  KeyedHash() {
    std::random_device random;
    for (uint64_t& word : key_) word = uint64_t{random()} << 32 | random();
  }
  explicit KeyedHash(const std::array<uint64_t, 2>& key) : key_(key) {}

  template <size_t kWords>
  uint64_t operator()(const std::array<uint64_t, kWords>& words) const {
    State v = {key_[0] ^ 0x736f6d6570736575, key_[1] ^ 0x646f72616e646f6d,
               key_[0] ^ 0x6c7967656e657261, key_[1] ^ 0x7465646279746573};
    for (const uint64_t word : words) absorb(v, word);
    absorb(v, uint64_t{kWords * 8} << 56);  // the empty rest and the length modulo 256
    v[2] ^= 0xff;
    for (uint32_t round = 0; round < 4; ++round) mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
  }

 private:
  using State = std::array<uint64_t, 4>;

  static void absorb(State& v, uint64_t word) {
    v[3] ^= word;
    mix(v);
    mix(v);
    v[0] ^= word;
  }

  static void mix(State& v) {
    v[0] += v[1];
    v[1] = std::rotl(v[1], 13) ^ v[0];
    v[0] = std::rotl(v[0], 32);
    v[2] += v[3];
    v[3] = std::rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = std::rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = std::rotl(v[1], 17) ^ v[2];
    v[2] = std::rotl(v[2], 32);
  }

  std::array<uint64_t, 2> key_;
};

}  // namespace gmesp::ipsec
