// IPsec-MB with nothing around it: the least that a caller of the library must do to have a batch
// ciphered. What our engines are measured against.
#pragma once

#include <intel-ipsec-mb.h>

#include <span>

#include "crypto/job.h"

namespace gmesp::bench {

// All jobs of a call are of one suite and direction, at least one and at most IMB_MAX_BURST_SIZE.
// No ICV is compared. False if the library took fewer.

/// The library's burst of jobs, cipher and hash in each: what it has for every suite.
bool run_burst(IMB_MGR* manager, std::span<crypto::CryptoJob> jobs);

/// The fastest calls for the suite: where the library has bursts of each algorithm alone, these.
bool run_fastest(IMB_MGR* manager, std::span<crypto::CryptoJob> jobs);

}  // namespace gmesp::bench
