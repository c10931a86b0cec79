// From how many packets of one suite and direction on the lanes of IPsec-MB beat OpenSSL.
//
// Threading: constants only. Units: jobs in one batch.
#pragma once

#include <cstdint>

#include "crypto/ipsec_mb_manager.h"
#include "crypto/job.h"

namespace gmesp::crypto {

/// More jobs than a batch holds: OpenSSL always.
inline constexpr uint32_t kNeverOnLanes = UINT32_MAX;

/// The least number of jobs of this kind in one batch that goes to IPsec-MB. `arch` is never kAuto.
uint32_t break_even_jobs(VectorArch arch, Suite suite, Direction direction);

}  // namespace gmesp::crypto
