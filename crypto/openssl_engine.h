// OpenSSL behind the engine contract, one packet after the other: for lone packets, for 3DES on
// CPUs without AVX-512, and as the second opinion in tests.
//
// Threading: one per core. Errors: the constructor throws EngineError. Nothing is allocated per
// packet.
#pragma once

#include <memory>

#include "crypto/job.h"

namespace gmesp::crypto {

class OpenSslEngine {
 public:
  OpenSslEngine();
  ~OpenSslEngine();
  OpenSslEngine(const OpenSslEngine&) = delete;
  OpenSslEngine& operator=(const OpenSslEngine&) = delete;

  /// Runs one job with valid lengths (job_check.h).
  void process(CryptoJob& job) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gmesp::crypto
