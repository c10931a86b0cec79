// The one door to ciphering: a batch of jobs of any SAs, suites and directions in, every job
// finished on return.
//
// Threading: an Engine belongs to one core; make one per worker. Nothing is allocated after
// construction. Errors: construction throws EngineError if the CPU or the libraries cannot serve;
// afterwards each job has a status.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

#include "crypto/job.h"

namespace gmesp::crypto {

struct EngineError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Which engine takes the jobs. `kAuto` chooses by algorithm, number of jobs of that kind in the
/// batch and CPU.
enum class EngineChoice : uint8_t { kAuto, kIpsecMb, kOpenSsl };

class Engine {
 public:
  /// The most jobs that one call may carry: what IPsec-MB takes in one burst.
  static constexpr uint32_t kJobsMax = 128;

  explicit Engine(EngineChoice choice = EngineChoice::kAuto);
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  /// Runs up to kJobsMax jobs in place. Every job's status is set on return and none is kept. A job
  /// that is not is_valid() (job_check.h) gets kFailed and does not disturb the others.
  void process(std::span<CryptoJob> jobs) noexcept;

  /// Call now and then, at the latest a while after an SA died: an engine may hold the last keys it
  /// used (R-D-K2). Cheap when it holds none.
  void forget_keys() noexcept;

  /// Where `jobs` jobs of this kind in one batch go: kIpsecMb or kOpenSsl.
  EngineChoice route(Suite suite, Direction direction, uint32_t jobs) const noexcept;

  /// How many jobs of one kind cost hardly more than one, so that few of them are worth waiting for
  /// others; 1: waiting gains nothing.
  uint32_t company(Suite suite, Direction direction) const noexcept;

  /// Human-readable: the vector extension IPsec-MB runs on and where each suite goes, for the
  /// start-up log.
  std::string describe() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gmesp::crypto
