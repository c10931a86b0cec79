// Whether an engine may touch a job's bytes. Whatever a library could object to is refused here, so
// a bad job never reaches one.
#pragma once

#include "crypto/job.h"

namespace gmesp::crypto {

inline constexpr uint32_t kEspHeaderBytes = 8;
/// An IP datagram ends at 65,535 bytes; nothing larger can be ESP.
inline constexpr uint32_t kEspBytesMax = 65'535;

constexpr uint32_t ciphered_bytes(const CryptoJob& job) {
  return job.esp_bytes - kEspHeaderBytes - info(job.suite.cipher).iv_bytes;
}

/// At least one whole block behind the IV, whole blocks only (RFC 2406 2.4).
constexpr bool has_valid_lengths(const CryptoJob& job) {
  const CipherInfo cipher = info(job.suite.cipher);
  const uint32_t least = kEspHeaderBytes + cipher.iv_bytes + cipher.block_bytes;
  return job.esp_bytes >= least && job.esp_bytes <= kEspBytesMax &&
         (ciphered_bytes(job) & (cipher.block_bytes - 1)) == 0;
}

constexpr bool is_valid(const CryptoJob& job) {
  return job.keys != nullptr && job.esp != nullptr &&
         is_integrity(static_cast<uint8_t>(job.suite.integrity)) &&
         is_cipher(static_cast<uint8_t>(job.suite.cipher)) && has_valid_lengths(job);
}

}  // namespace gmesp::crypto
