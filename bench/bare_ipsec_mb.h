// IPsec-MB with nothing around it: the least that a caller of the library must do to have a batch
// ciphered. What our engines are measured against.
#pragma once

#include <intel-ipsec-mb.h>

#include <span>

#include "crypto/job.h"

namespace gmesp::bench {

/// Fills jobs and submits them by the fastest calls there are for the suite; no ICV is compared.
/// All jobs of one suite and direction, at least one and at most IMB_MAX_BURST_SIZE. False if the
/// library took fewer.
bool run_bare(IMB_MGR* manager, std::span<crypto::CryptoJob> jobs);

}  // namespace gmesp::bench
