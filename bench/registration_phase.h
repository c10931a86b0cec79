// What is measured while a number of users register: rates, waiting times and what it costs
// gmesp-control, gmespd and the load itself, all of it by tenths of the users.
//
// Threading: one thread. Errors: those of CoreTime.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core_time.h"

namespace gmesp::bench {

double now_s();

class RegistrationPhase {
 public:
  RegistrationPhase(std::string name, uint64_t users, const std::map<std::string, pid_t>& watched);

  double elapsed_s() const { return now_s() - begin_s_; }
  /// `users` have registered by now.
  void note_done(uint64_t users);
  /// From SM4 to its verdict.
  void note_wait(double seconds) { waits_us_.push_back(seconds * 1e6); }
  /// Call once, at the end.
  nlohmann::json result();

 private:
  static constexpr uint64_t kParts = 10;

  const std::string name_;
  const uint64_t users_;
  std::map<std::string, CoreTime> clocks_;
  const double begin_s_;
  double part_began_s_;
  std::map<std::string, double> part_began_core_s_;
  std::vector<double> per_s_;                           ///< by tenth
  std::map<std::string, std::vector<double>> core_us_;  ///< of one registration, by tenth
  std::vector<double> waits_us_;
};

}  // namespace gmesp::bench
