// DPDK's environment (EAL) as this machine allows: memory mode, cores, allowed PCI devices; from
// Config to a clean end.
//
// Virtual devices are not among the arguments: Port makes them, so that an error names its setting.
// Threading: the main thread makes and ends it, before and after everything else of DPDK. It
// becomes lcore 0 and keeps the cores it was allowed but those of workers, if any are left; worker
// i is lcore i + 1 on its one core. Errors: std::runtime_error that names the setting and what DPDK
// said. DPDK allows one Eal per process lifetime.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/config.h"

namespace gmesp::dataplane {

class DriverLog;

/// What the choice of memory and cores depends on.
struct Machine {
  std::vector<uint32_t> allowed_cores;  ///< ascending, never empty
  uint64_t free_huge_bytes = 0;
};
Machine inspect_machine();
/// In pages of one size that nobody has taken or reserved.
uint64_t free_huge_bytes(uint64_t page_bytes);

struct EalPlan {
  std::vector<std::string> arguments;  ///< without the program's name
  std::vector<uint32_t> worker_cores;  ///< by worker
  bool huge_pages = false;
  std::vector<std::string>
      lost;  ///< what this machine costs us and how to get it back, one sentence each
};
/// Pure: decides only. Throws if the configuration cannot be had on this machine.
EalPlan plan_eal(const Config& config, const Machine& machine);

class Eal {
 public:
  explicit Eal(const EalPlan& plan);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  uint32_t worker_lcore(uint32_t worker) const { return worker + 1; }

 private:
  std::unique_ptr<DriverLog> driver_log_;
};

}  // namespace gmesp::dataplane
