// The hash of the look-up tables: NH (RFC 4418 5.2.2) over 64-bit words, folded to 64 bits.
//
// UEs choose SPIs, ports and partly addresses. For any two different keys that were chosen without
// knowing the secret words, NH collides with a probability of 2^-64, and nothing outside sees what
// it computes; so nobody can fill a bucket on purpose. A fifth of SipHash's time, which matters
// once per packet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

namespace gmesp::ipsec {

class LookupHash {
 public:
  LookupHash() {
    std::random_device random;
    for (uint64_t& word : secret_) word = uint64_t{random()} << 32 | random();
  }

  /// Keys of different lengths never meet in one table.
  template <size_t kWords>
  uint64_t operator()(const std::array<uint64_t, kWords>& words) const {
    static_assert(kWords <= kWordsMax);
    Wide sum = 0;
    for (size_t i = 0; i < kWords; i += 2) {
      const uint64_t second = i + 1 < kWords ? words[i + 1] : 0;
      sum += Wide{words[i] + secret_[i]} * Wide{second + secret_[i + 1]};
    }
    const Wide product = Wide{static_cast<uint64_t>(sum) ^ secret_[kWordsMax]} *
                         Wide{static_cast<uint64_t>(sum >> 64) ^ secret_[kWordsMax + 1]};
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }

 private:
  __extension__ using Wide = unsigned __int128;
  static constexpr size_t kWordsMax = 6;

  std::array<uint64_t, kWordsMax + 2> secret_;
};

}  // namespace gmesp::ipsec
