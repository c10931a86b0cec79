// The lane-filled engine: packets of any SAs share the vector lanes of one IPsec-MB manager.
//
// Threading: belongs to one core. Nothing is allocated after construction and nothing stays in the
// lanes between two calls.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "crypto/ipsec_mb_manager.h"
#include "crypto/job.h"

namespace gmesp::crypto {

class IpsecMbEngine {
 public:
  static constexpr uint32_t kJobsMax = 128;

  explicit IpsecMbEngine(VectorArch arch = VectorArch::kAuto);  ///< throws EngineError

  /// Runs up to kJobsMax jobs, each of which is_valid() (job_check.h). Every status is set on
  /// return.
  void process(std::span<CryptoJob* const> jobs) noexcept;

  VectorArch arch() const { return arch_of(*manager_); }

 private:
  /// What the library reads and writes besides packet and SaKeys, for one job under way.
  struct alignas(64) Scratch {
    std::array<const void*, 3> des_schedules;
    std::array<uint8_t, kIcvBytes> inbound_icv;
  };

  Manager manager_;
  std::array<Scratch, kJobsMax> scratch_;
};

}  // namespace gmesp::crypto
