// DPDK's own log: goes to spdlog at debug level, and its last complaints are kept so that an error
// of ours can say what the driver said.
//
// Ownership: one at a time, made before rte_eal_init() and gone after rte_eal_cleanup(). Threading:
// DPDK may log on any thread. Errors: std::system_error if no stream can be made.
#pragma once

#include <cstdio>
#include <string>

namespace gmesp::dataplane {

class DriverLog {
 public:
  DriverLog();
  ~DriverLog();
  DriverLog(const DriverLog&) = delete;
  DriverLog& operator=(const DriverLog&) = delete;

 private:
  FILE* stream_;
};

/// The errors that DPDK logged since the last call, newest last, as "; what it said", or "".
std::string take_complaints();

}  // namespace gmesp::dataplane
