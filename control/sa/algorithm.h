// ESP algorithms as TS 33.203 Annex H names them.
//
// Threading: pure values and functions. The numbers are those of the SA record (control/shm) and of
// the crypto layer; they never change.
#pragma once

#include <cstdint>
#include <string_view>

namespace gmesp::sa {

enum class Integrity : uint8_t { kHmacMd5_96 = 1, kHmacSha1_96 = 2 };
enum class Cipher : uint8_t { kNull = 1, kAesCbc = 2, kDesEde3Cbc = 3 };

/// Integrity is never optional (TS 33.203 7.1); `kNull` is no confidentiality.
struct AlgorithmPair {
  Integrity integrity = Integrity::kHmacSha1_96;
  Cipher cipher = Cipher::kNull;
  friend bool operator==(const AlgorithmPair&, const AlgorithmPair&) = default;
};

/// The value of `alg`.
constexpr std::string_view token(Integrity integrity) {
  return integrity == Integrity::kHmacMd5_96 ? "hmac-md5-96" : "hmac-sha-1-96";
}

/// The value of `ealg`.
constexpr std::string_view token(Cipher cipher) {
  switch (cipher) {
    case Cipher::kAesCbc:
      return "aes-cbc";
    case Cipher::kDesEde3Cbc:
      return "des-ede3-cbc";
    case Cipher::kNull:
      break;
  }
  return "null";
}

}  // namespace gmesp::sa
