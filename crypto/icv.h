// The Integrity Check Value of an inbound packet against the one that was computed, in constant
// time (R-2406-08).
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "crypto/suite.h"

namespace gmesp::crypto {

/// Where a library writes its tag: the ICV, and zeros behind it. CRYPTO_memcmp takes sixteen bytes
/// as two words and any other number byte by byte, which is a thirtieth of a small packet.
struct alignas(16) ComputedIcv {
  std::array<uint8_t, 16> bytes{};

  bool equals(const uint8_t* received) const {
    std::array<uint64_t, 2> words{};
    static_assert(kIcvBytes == sizeof(uint64_t) + sizeof(uint32_t));
    uint32_t end;
    std::memcpy(&words[0], received, sizeof words[0]);
    std::memcpy(&end, received + sizeof words[0], sizeof end);
    words[1] = end;  // zeros behind it on a little-endian machine, as IPsec-MB's all are
    return CRYPTO_memcmp(words.data(), bytes.data(), sizeof words) == 0;
  }
};

}  // namespace gmesp::crypto
