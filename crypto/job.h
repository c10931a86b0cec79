// One ESP packet for an engine: where it stands, what to do, how it went.
//
// Shape: `esp` points at the SPI; from there, contiguous: SPI and sequence number (8 bytes, clear),
// IV (info(cipher).iv_bytes), ciphered bytes up to and including pad length and next header, then
// room for the ICV (kIcvBytes). `esp_bytes` counts from the SPI through next header: exactly what
// the ICV covers (RFC 2406 2.7). Ownership: points into a packet and into SA memory; owns nothing.
// In place.
#pragma once

#include <cstdint>

#include "crypto/sa_keys.h"
#include "crypto/suite.h"

namespace gmesp::crypto {

enum class Direction : uint8_t {
  kInbound,   ///< check the ICV, then decipher
  kOutbound,  ///< cipher, then write the ICV
};

enum class JobStatus : uint8_t {
  kPending,
  kOk,
  kIcvMismatch,  ///< inbound only; the payload bytes are then undefined and must not be read
  kFailed,       ///< the engine refused the job (sizes it cannot take)
};

struct CryptoJob {
  const SaKeys* keys;
  uint8_t* esp;
  uint32_t esp_bytes;
  Suite suite;
  Direction direction;
  JobStatus status;
};
static_assert(sizeof(CryptoJob) == 24);

}  // namespace gmesp::crypto
