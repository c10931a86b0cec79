// IPsec-MB with nothing around it: the least that a caller of the library must do to have a batch
// ciphered. What our engines are measured against.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <span>

#include "crypto/aes_schedule.h"
#include "crypto/des_schedule.h"
#include "crypto/job.h"

namespace gmesp::bench {

/// Keys with their schedules ready, as a user of the library keeps them.
struct ReadyKeys : crypto::SaKeys {
  union {
    std::array<crypto::AesSchedule, 2> aes;  ///< for encryption, for decryption
    std::array<crypto::DesSchedule, 3> des;
  };
};
ReadyKeys ready(const crypto::SaKeys& keys, crypto::Suite suite);

// All jobs of a call are of one suite and direction, at least one and at most IMB_MAX_BURST_SIZE,
// and their keys are ReadyKeys. No ICV is compared. False if the library took fewer.

/// The library's burst of jobs, cipher and hash in each: what it has for every suite.
bool run_burst(IMB_MGR* manager, std::span<crypto::CryptoJob> jobs);

/// The fastest calls for the suite: where the library has bursts of each algorithm alone, these.
bool run_fastest(IMB_MGR* manager, std::span<crypto::CryptoJob> jobs);

}  // namespace gmesp::bench
