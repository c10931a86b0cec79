// The algorithms of TS 33.203 7.1 and their sizes. One table; every other file asks it.
//
// Threading: constants only. Units: bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gmesp::crypto {

/// Integrity algorithms (TS 33.203 7.1). The numbers are part of the shared-memory ABI: never
/// renumber.
enum class Integrity : uint8_t {
  kHmacMd5_96 = 1,   ///< RFC 2403
  kHmacSha1_96 = 2,  ///< RFC 2404
};

/// Confidentiality algorithms (TS 33.203 7.1). The numbers are part of the shared-memory ABI.
enum class Cipher : uint8_t {
  kNull = 1,        ///< RFC 2410
  kAesCbc128 = 2,   ///< RFC 3602
  kDesEde3Cbc = 3,  ///< RFC 2451
};

/// One of the six combinations an SA uses.
struct Suite {
  Integrity integrity;
  Cipher cipher;
  friend bool operator==(const Suite&, const Suite&) = default;
};

struct IntegrityInfo {
  std::string_view name;  ///< as in RFC 3329 / TS 33.203 Annex H: "hmac-md5-96"
  uint32_t key_bytes;
  std::string_view source;
};

struct CipherInfo {
  std::string_view name;  ///< as in TS 33.203 Annex H: "aes-cbc"
  uint32_t key_bytes;
  uint32_t iv_bytes;     ///< 0 for NULL
  uint32_t block_bytes;  ///< a power of two that divides the padded payload; 4 for NULL (RFC 2406
                         ///< 2.4)
  std::string_view source;
};

/// Both algorithms cut their tag to 96 bits (RFC 2403, RFC 2404).
inline constexpr uint32_t kIcvBytes = 12;
inline constexpr uint32_t kIvBytesMax = 16;
inline constexpr uint32_t kIntegrityKeyBytesMax = 20;
inline constexpr uint32_t kCipherKeyBytesMax = 24;
inline constexpr uint32_t kSuiteCount = 6;

/// The table rows, inline so that the packet path folds them to constants.
constexpr IntegrityInfo info(Integrity integrity) {
  return integrity == Integrity::kHmacMd5_96 ? IntegrityInfo{"hmac-md5-96", 16, "RFC 2403"}
                                             : IntegrityInfo{"hmac-sha-1-96", 20, "RFC 2404"};
}

constexpr CipherInfo info(Cipher cipher) {
  switch (cipher) {
    case Cipher::kAesCbc128:
      return {"aes-cbc", 16, 16, 16, "RFC 3602"};
    case Cipher::kDesEde3Cbc:
      return {"des-ede3-cbc", 24, 8, 8, "RFC 2451"};
    case Cipher::kNull:
      break;
  }
  return {"null", 0, 0, 4, "RFC 2410"};
}

/// True if the number, read from outside, names an algorithm.
constexpr bool is_integrity(uint8_t number) {
  return number == 1 || number == 2;
}
constexpr bool is_cipher(uint8_t number) {
  return number >= 1 && number <= 3;
}

/// 0..5, for tables with a row per suite.
constexpr uint32_t index_of(Suite suite) {
  return (static_cast<uint32_t>(suite.integrity) - 1) * 3 + static_cast<uint32_t>(suite.cipher) - 1;
}
constexpr Suite suite_at(uint32_t index) {
  return {static_cast<Integrity>(index / 3 + 1), static_cast<Cipher>(index % 3 + 1)};
}

/// "aes-cbc/hmac-sha-1-96", for messages and tables.
std::string_view name(Suite suite);

}  // namespace gmesp::crypto
