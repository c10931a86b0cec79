#include "registration_phase.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace gmesp::bench {
namespace {

/// Reorders `values`, of which there is at least one.
double quantile(std::vector<double>& values, double share) {
  const auto at =
      values.begin() + static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

double now_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

RegistrationPhase::RegistrationPhase(std::string name, uint64_t users,
                                     const std::map<std::string, pid_t>& watched)
    : name_(std::move(name)), users_(users), begin_s_(now_s()), part_began_s_(begin_s_) {
  for (const auto& [who, process] : watched) clocks_.emplace(who, process);
  clocks_.emplace("load", getpid());
  for (auto& [who, clock] : clocks_) part_began_core_s_[who] = clock.seconds();
}

void RegistrationPhase::note_done(uint64_t users) {
  if (per_s_.size() == kParts || users < (per_s_.size() + 1) * (users_ / kParts)) return;
  const auto part = static_cast<double>(users_ / kParts);
  per_s_.push_back(part / (now_s() - part_began_s_));
  part_began_s_ = now_s();
  for (auto& [who, clock] : clocks_) {
    const double core_s = clock.seconds();
    core_us_[who].push_back((core_s - part_began_core_s_[who]) / part * 1e6);
    part_began_core_s_[who] = core_s;
  }
  if (isatty(STDERR_FILENO)) fprintf(stderr, "\r%s: %zu0 %%\r", name_.c_str(), per_s_.size());
}

nlohmann::json RegistrationPhase::result() {
  nlohmann::json result = {{"phase", name_},
                           {"registrations", users_},
                           {"seconds", elapsed_s()},
                           {"registrations_per_s", static_cast<double>(users_) / elapsed_s()},
                           {"per_s_by_tenth", per_s_},
                           {"core_us_by_tenth", core_us_},
                           {"sm4_wait_p50_us", quantile(waits_us_, 0.5)},
                           {"sm4_wait_p99_us", quantile(waits_us_, 0.99)},
                           {"sm4_wait_p999_us", quantile(waits_us_, 0.999)}};
  for (auto& [who, by_tenth] : core_us_) result["core_us"][who] = quantile(by_tenth, 0.5);
  return result;
}

}  // namespace gmesp::bench
