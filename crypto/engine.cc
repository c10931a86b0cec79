#include "crypto/engine.h"

#include <array>

#include "crypto/ipsec_mb_engine.h"
#include "crypto/job_check.h"
#include "crypto/openssl_engine.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kNever = UINT32_MAX;
constexpr uint32_t kKinds = kSuiteCount * 2;

uint32_t kind_of(const CryptoJob& job) {
  return index_of(job.suite) * 2 + static_cast<uint32_t>(job.direction);
}

/// From how many jobs of one suite and direction on IPsec-MB's lanes beat OpenSSL's single packets;
/// `bench/crypto_ceiling
/// --break-even` measures them.
uint32_t lane_jobs_min(Suite suite, VectorSet set) {
  if (suite.cipher == Cipher::kDesEde3Cbc) return set == VectorSet::kAvx512 ? 5 : kNever;
  if (suite.integrity == Integrity::kHmacMd5_96) return 4;
  return 3;
}

}  // namespace

struct Engine::Impl {
  EngineChoice choice;
  std::unique_ptr<IpsecMbEngine> lanes;
  std::unique_ptr<OpenSslEngine> single;
  std::array<uint32_t, kKinds> lane_jobs_min{};

  explicit Impl(EngineChoice wanted) : choice(wanted) {
    if (choice != EngineChoice::kOpenSsl) lanes = std::make_unique<IpsecMbEngine>();
    if (choice != EngineChoice::kIpsecMb) single = std::make_unique<OpenSslEngine>();
    for (uint32_t kind = 0; kind < kKinds; ++kind) {
      if (choice == EngineChoice::kAuto)
        lane_jobs_min[kind] = crypto::lane_jobs_min(suite_at(kind / 2), lanes->vector_set());
      else
        lane_jobs_min[kind] = choice == EngineChoice::kOpenSsl ? kNever : 0;
    }
  }
};

Engine::Engine(EngineChoice choice) : impl_(std::make_unique<Impl>(choice)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

void Engine::process(std::span<CryptoJob> jobs) noexcept {
  std::array<uint32_t, kKinds> count{};
  for (const CryptoJob& job : jobs) ++count[kind_of(job)];
  std::array<CryptoJob*, kJobsMax> laned;
  uint32_t laned_count = 0;
  for (CryptoJob& job : jobs) {
    const uint32_t kind = kind_of(job);
    if (!has_valid_lengths(job))
      job.status = JobStatus::kFailed;
    else if (count[kind] < impl_->lane_jobs_min[kind])
      impl_->single->process(job);
    else
      laned[laned_count++] = &job;
  }
  if (laned_count != 0) impl_->lanes->process({laned.data(), laned_count});
}

uint32_t Engine::lane_jobs_min(Suite suite, Direction direction) const {
  return impl_->lane_jobs_min[index_of(suite) * 2 + static_cast<uint32_t>(direction)];
}

std::string Engine::describe() const {
  if (impl_->lanes == nullptr) return "OpenSSL, one packet at a time";
  std::string text = std::string("IPsec-MB ") + name(impl_->lanes->vector_set());
  if (impl_->single == nullptr) return text;
  text += "; OpenSSL for small groups";
  if (impl_->lanes->vector_set() != VectorSet::kAvx512) text += " and all 3DES";
  return text;
}

}  // namespace gmesp::crypto
