#include "control/sa/transaction_hash.h"

#include <bit>
#include <cstring>

namespace gmesp::sa {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void take(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  uint64_t finish() {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

std::array<uint64_t, 2> hash_transaction(const std::array<uint64_t, 2>& key,
                                         std::string_view name) {
  SipState state = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee,
                    key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
  size_t at = 0;
  for (; name.size() - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, name.data() + at, 8);
    state.take(word);
  }
  uint64_t last = uint64_t{name.size()} << 56;
  for (size_t i = at; i < name.size(); ++i)
    last |= uint64_t{static_cast<uint8_t>(name[i])} << (8 * (i - at));
  state.take(last);
  state.v2 ^= 0xee;
  const uint64_t first = state.finish();
  state.v1 ^= 0xdd;
  return {first, state.finish()};
}

}  // namespace gmesp::sa
