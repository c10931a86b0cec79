#include "crypto/ipsec_mb_engine.h"

#include <intel-ipsec-mb.h>

#include <array>

#include "crypto/engine.h"
#include "crypto/job_chain.h"
#include "crypto/job_stages.h"

namespace gmesp::crypto {

static_assert(IpsecMbEngine::kJobsMax == IMB_MAX_BURST_SIZE);
static_assert(IpsecMbEngine::kJobsMax == Engine::kJobsMax);

IpsecMbEngine::IpsecMbEngine(VectorArch arch)
    : manager_(make_manager(arch)),
      stages_(std::make_unique<JobStages>(manager_.get())),
      chain_(std::make_unique<JobChain>(manager_.get())) {}

IpsecMbEngine::~IpsecMbEngine() = default;

void IpsecMbEngine::process(std::span<CryptoJob* const> jobs) noexcept {
  std::array<CryptoJob*, kJobsMax> in_stages, chained;
  uint32_t stages_count = 0, chain_count = 0;
  for (CryptoJob* job : jobs) {
    if (stages_->takes(job->suite))
      in_stages[stages_count++] = job;
    else
      chained[chain_count++] = job;
  }
  if (stages_count != 0) stages_->process({in_stages.data(), stages_count});
  if (chain_count != 0) chain_->process({chained.data(), chain_count});
}

}  // namespace gmesp::crypto
