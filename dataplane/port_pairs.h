// All ports of gmespd, opened in pairs, and which worker polls which of their queues.
//
// Ownership: the ports are open as long as the object lives; the buffers must outlive it.
// Threading: made and destroyed on the control thread while no worker runs. Errors:
// std::runtime_error naming the setting.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/buffers.h"
#include "dataplane/config.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

namespace gmesp::dataplane {

class PortPairs {
 public:
  PortPairs(const Config& config, uint32_t workers, Buffers& buffers);

  std::span<const std::unique_ptr<Port>> ports() const { return ports_; }
  /// One entry per pair, for `worker`.
  std::vector<PairQueues> queues_of(uint32_t worker) const;

 private:
  std::unique_ptr<Port> open(const Config& config, size_t index, PortRole role, uint32_t workers,
                             Buffers& buffers) const;

  /// Access and host of pair 0, access and host of pair 1, ...
  std::vector<std::unique_ptr<Port>> ports_;
  /// For ports with fewer transmit queues than workers, by port.
  std::vector<std::unique_ptr<std::atomic_flag>> transmit_locks_;
};

}  // namespace gmesp::dataplane
