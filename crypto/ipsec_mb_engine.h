// The lane-filled engine: packets of any SAs share the vector lanes of one IPsec-MB manager.
//
// Threading: belongs to one core. Nothing is allocated after construction and nothing stays in the
// lanes between two calls.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "crypto/ipsec_mb_manager.h"
#include "crypto/job.h"

namespace gmesp::crypto {

class JobChain;
class JobStages;

class IpsecMbEngine {
 public:
  static constexpr uint32_t kJobsMax = 128;

  explicit IpsecMbEngine(VectorArch arch = VectorArch::kAuto);  ///< throws EngineError
  ~IpsecMbEngine();

  /// Runs up to kJobsMax jobs, each of which is_valid() (job_check.h). Every status is set on
  /// return.
  void process(std::span<CryptoJob* const> jobs) noexcept;

  VectorArch arch() const { return arch_of(*manager_); }

 private:
  Manager manager_;
  std::unique_ptr<JobStages> stages_;
  std::unique_ptr<JobChain> chain_;
};

}  // namespace gmesp::crypto
