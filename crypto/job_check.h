// Whether an engine may touch a job's bytes. Whatever a library could object to is refused here, so
// a bad job never reaches one.
#pragma once

#include <array>

#include "crypto/job.h"

namespace gmesp::crypto {

inline constexpr uint32_t kEspHeaderBytes = 8;
/// An IP datagram ends at 65,535 bytes; nothing larger can be ESP.
inline constexpr uint32_t kEspBytesMax = 65'535;

/// What a cipher demands of the lengths, by its number: looked up once for every packet.
struct CipherLengths {
  uint8_t clear_bytes;  ///< header and IV
  uint8_t block_bytes;
};
inline constexpr std::array<CipherLengths, 4> kCipherLengths = [] {
  std::array<CipherLengths, 4> lengths{};
  for (const Cipher cipher : {Cipher::kNull, Cipher::kAesCbc128, Cipher::kDesEde3Cbc})
    lengths[static_cast<uint8_t>(cipher)] = {
        static_cast<uint8_t>(kEspHeaderBytes + info(cipher).iv_bytes),
        static_cast<uint8_t>(info(cipher).block_bytes)};
  return lengths;
}();

/// At least one whole block behind the IV, whole blocks only (RFC 2406 2.4).
constexpr bool has_valid_lengths(const CryptoJob& job) {
  const CipherLengths cipher = kCipherLengths[static_cast<uint8_t>(job.suite.cipher)];
  const uint32_t least = uint32_t{cipher.clear_bytes} + cipher.block_bytes;
  return job.esp_bytes >= least && job.esp_bytes <= kEspBytesMax &&
         ((job.esp_bytes - cipher.clear_bytes) & (cipher.block_bytes - 1u)) == 0;
}

constexpr bool is_valid(const CryptoJob& job) {
  return job.keys != nullptr && job.esp != nullptr &&
         is_integrity(static_cast<uint8_t>(job.suite.integrity)) &&
         is_cipher(static_cast<uint8_t>(job.suite.cipher)) && has_valid_lengths(job);
}

}  // namespace gmesp::crypto
