// A pair of ports that are rings in memory, for a worker of gmespd without a device or a kernel:
// frames are put before it, and what it sends is counted and thrown away.
//
// Threading: one thread, which becomes DPDK's main thread. One per process. Ownership: ports and
// packet buffers live until this goes; workers must go before it. Errors: std::runtime_error when
// DPDK has no memory.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/buffers.h"
#include "dataplane/eal.h"
#include "dataplane/ipsec/pending.h"
#include "dataplane/worker.h"

namespace gmesp::bench {

class MemoryPorts {
 public:
  static constexpr uint32_t kPacketsMax = 4096;  ///< that are made and not yet thrown away

  /// `uses_huge_pages`: if there are enough.
  explicit MemoryPorts(bool uses_huge_pages);
  ~MemoryPorts();

  /// For a worker that is alone.
  dataplane::PairQueues queues() const;
  dataplane::Buffers& buffers() { return *buffers_; }

  /// An empty packet of at most kFrameBytesMax.
  rte_mbuf* make();
  /// The port of this side has received it.
  void put(ipsec::Side side, rte_mbuf* packet);
  /// How many packets both ports have sent since the last time.
  uint32_t take_sent();

 private:
  struct Port {
    rte_ring* received;
    rte_ring* sent;
    uint16_t id;
  };

  Port make_port(ipsec::Side side);
  static rte_ring* make_ring(const std::string& name);

  std::unique_ptr<dataplane::Eal> eal_;
  std::unique_ptr<dataplane::Buffers> buffers_;
  std::array<Port, 2> ports_;  ///< by side
};

}  // namespace gmesp::bench
