// Which cache lines of a set's keys a job reads: on their way while other packets are prepared.
#pragma once

#include <cstdint>

#include "crypto/job.h"
#include "crypto/prefetch.h"
#include "crypto/sa_keys.h"

namespace gmesp::crypto {

inline void prefetch_keys(const SaKeys& keys, Cipher cipher, Direction direction) {
  constexpr uint32_t kLineBytes = 64;
  constexpr uint32_t kAesScheduleBytes = 176;
  uint32_t from = 0;
  uint32_t bytes = 0;
  if (cipher == Cipher::kAesCbc128) {
    bytes = kAesScheduleBytes;
    if (direction == Direction::kInbound) from = SaKeys::kAesDecryptOffset;
  } else if (cipher == Cipher::kDesEde3Cbc) {
    bytes = 3 * SaKeys::kDesScheduleBytes;
  }
  for (uint32_t at = from; at < from + bytes; at += kLineBytes)
    prefetch(keys.cipher_schedule.data() + at);
  prefetch(&keys.hmac_inner);
}

}  // namespace gmesp::crypto
