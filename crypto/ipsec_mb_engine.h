// Intel IPsec-MB behind the engine contract: up to 128 jobs of any suites and directions fill its
// lanes together.
//
// Threading: one per core. Errors: the constructor throws EngineError. Every job is finished on
// return.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "crypto/job.h"

namespace gmesp::crypto {

/// Vector extensions IPsec-MB runs on; kBest lets it choose.
enum class VectorSet : uint8_t { kBest, kSse, kAvx2, kAvx512 };

class IpsecMbEngine {
 public:
  static constexpr uint32_t kJobsMax = 128;

  explicit IpsecMbEngine(VectorSet wanted = VectorSet::kBest);
  ~IpsecMbEngine();
  IpsecMbEngine(const IpsecMbEngine&) = delete;
  IpsecMbEngine& operator=(const IpsecMbEngine&) = delete;

  /// Runs the jobs that `chosen` points at; each has valid lengths (job_check.h).
  void process(std::span<CryptoJob* const> chosen) noexcept;

  VectorSet vector_set() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

const char* name(VectorSet set);

}  // namespace gmesp::crypto
