#include "crypto/engine.h"

#include <intel-ipsec-mb.h>

#include <algorithm>
#include <array>

#include "crypto/engine_choice.h"
#include "crypto/ipsec_mb_engine.h"
#include "crypto/job_check.h"
#include "crypto/openssl_engine.h"

namespace gmesp::crypto {
namespace {

/// Suites times directions: what the choice counts by.
constexpr uint8_t kKinds = kSuiteCount * 2;
constexpr uint8_t kNoKind = kKinds;  ///< of jobs that are refused

constexpr uint8_t kind_of(Suite suite, Direction direction) {
  return static_cast<uint8_t>(index_of(suite) * 2 + static_cast<uint32_t>(direction));
}

}  // namespace

struct Engine::Impl {
  IpsecMbEngine ipsec_mb;
  OpenSslEngine openssl;
  /// By kind: the least number of jobs in a batch that goes to IPsec-MB.
  std::array<uint32_t, kKinds> lanes_from;

  explicit Impl(EngineChoice choice);
  void process(std::span<CryptoJob> jobs) noexcept;
};

Engine::Impl::Impl(EngineChoice choice) {
  for (uint32_t suite = 0; suite < kSuiteCount; ++suite) {
    for (const Direction direction : {Direction::kInbound, Direction::kOutbound}) {
      uint32_t& jobs = lanes_from[kind_of(suite_at(suite), direction)];
      switch (choice) {
        case EngineChoice::kAuto:
          jobs = break_even_jobs(ipsec_mb.arch(), suite_at(suite), direction);
          break;
        case EngineChoice::kIpsecMb:
          jobs = 1;
          break;
        case EngineChoice::kOpenSsl:
          jobs = kNeverOnLanes;
          break;
      }
    }
  }
}

void Engine::Impl::process(std::span<CryptoJob> jobs) noexcept {
  std::array<uint8_t, kJobsMax> kinds;
  std::array<uint32_t, kKinds + 1> counts{};
  for (size_t i = 0; i < jobs.size(); ++i) {
    const CryptoJob& job = jobs[i];
    kinds[i] = is_valid(job) ? kind_of(job.suite, job.direction) : kNoKind;
    ++counts[kinds[i]];
  }
  std::array<CryptoJob*, kJobsMax> for_lanes;
  uint32_t lane_jobs = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (kinds[i] == kNoKind)
      jobs[i].status = JobStatus::kFailed;
    else if (counts[kinds[i]] >= lanes_from[kinds[i]])
      for_lanes[lane_jobs++] = &jobs[i];
    else
      openssl.process(jobs[i]);
  }
  ipsec_mb.process(std::span(for_lanes).first(lane_jobs));
}

Engine::Engine(EngineChoice choice) : impl_(std::make_unique<Impl>(choice)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

void Engine::process(std::span<CryptoJob> jobs) noexcept {
  while (!jobs.empty()) {
    const size_t count = std::min<size_t>(jobs.size(), kJobsMax);
    impl_->process(jobs.first(count));
    jobs = jobs.subspan(count);
  }
}

void Engine::forget_keys() noexcept {
  impl_->openssl.forget_keys();
}

EngineChoice Engine::route(Suite suite, Direction direction, uint32_t jobs) const noexcept {
  return jobs >= impl_->lanes_from[kind_of(suite, direction)] ? EngineChoice::kIpsecMb
                                                              : EngineChoice::kOpenSsl;
}

/// IPsec-MB goes through its lanes of 3DES in one pass, however many of them are taken.
uint32_t Engine::company(Suite suite, Direction direction) const noexcept {
  constexpr uint32_t kDesLanes = 16;
  const bool has_lanes = break_even_jobs(impl_->ipsec_mb.arch(), suite, direction) != kNeverOnLanes;
  const bool is_for_lanes = route(suite, direction, kDesLanes) == EngineChoice::kIpsecMb;
  return suite.cipher == Cipher::kDesEde3Cbc && has_lanes && is_for_lanes ? kDesLanes : 1;
}

std::string Engine::describe() const {
  std::string text = "IPsec-MB " + std::string(imb_get_version_str()) + " on " +
                     std::string(name(impl_->ipsec_mb.arch()));
  for (uint32_t i = 0; i < kSuiteCount; ++i) {
    text += "; " + std::string(name(suite_at(i))) + " from";
    for (const Direction direction : {Direction::kInbound, Direction::kOutbound}) {
      const uint32_t jobs = impl_->lanes_from[kind_of(suite_at(i), direction)];
      text += direction == Direction::kInbound ? " in " : ", out ";
      text += jobs == kNeverOnLanes ? "never" : std::to_string(jobs);
    }
  }
  return text + "; the rest on OpenSSL";
}

}  // namespace gmesp::crypto
