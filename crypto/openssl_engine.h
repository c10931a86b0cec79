// The engine for lone packets, for CPUs without the needed vectors, and the oracle of the other
// one.
//
// One packet at a time. It reads one line of SaKeys, the last: a million SAs cannot each keep an
// EVP context, so a core has one per cipher and direction and gives it the key for each packet.
// Threading: belongs to one core. Nothing is allocated after construction.
#pragma once

#include <array>
#include <memory>

#include "crypto/job.h"

struct evp_cipher_ctx_st;

namespace gmesp::crypto {

class OpenSslEngine {
 public:
  OpenSslEngine();  ///< throws EngineError

  /// Runs a job that is_valid() (job_check.h). Its status is set on return.
  void process(CryptoJob& job) noexcept;

  /// The contexts hold the last key that each of them had; after this they hold none (R-D-K2).
  void forget_keys() noexcept;

 private:
  struct ContextDeleter {
    void operator()(evp_cipher_ctx_st* context) const noexcept;
  };
  using Context = std::unique_ptr<evp_cipher_ctx_st, ContextDeleter>;

  static Context make_context(const char* algorithm, Direction direction);
  bool cipher(const CryptoJob& job) noexcept;

  std::array<Context, 2> aes_;  ///< by Direction
  std::array<Context, 2> des_;
  bool holds_keys_ = false;
};

}  // namespace gmesp::crypto
