// One packet core: polls its queues of every port pair, runs a Pipeline per pair, hands packets to
// their owners.
//
// Threading: run() occupies one EAL thread until stop(); the other methods are for the control
// thread. The SaDatabase's grace periods are told through `readers` (rte_rcu_qsbr), as reader
// number `index`. Errors: construction throws; run() does not fail.
#pragma once

#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/buffers.h"
#include "dataplane/coarse_clock.h"
#include "dataplane/config.h"
#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/handoff.h"
#include "dataplane/ipsec/pipeline.h"

namespace gmesp::dataplane {

/// A worker's part of one port pair. A port with fewer queues than workers leaves some workers
/// without: they live from hand-offs.
struct PairQueues {
  static constexpr uint16_t kNone = UINT16_MAX;
  uint16_t port[2];      ///< DPDK port ids, by ipsec::Side
  uint16_t rx_queue[2];  ///< kNone: receives nothing
  uint16_t tx_queue[2];
  /// The queue is shared with other workers (devices with one transmit queue): guarded by this
  /// lock, else nullptr.
  std::atomic_flag* tx_lock[2];
  uint16_t access_mtu_bytes;
  uint16_t host_mtu_bytes;
};

/// Hand-off rings between all workers: [from * workers + to].
using HandoffMatrix = std::vector<std::unique_ptr<ipsec::HandoffRing>>;

class Worker {
 public:
  Worker(const Config& config, uint32_t index, uint32_t workers, std::vector<PairQueues> pairs,
         ipsec::SaDatabase& database, const screen::SignatureSwap& rules, Buffers& buffers,
         HandoffMatrix& handoffs, rte_rcu_qsbr* readers);
  ~Worker();

  void run();
  /// What run() does until stop(): everything that waits, once. Holds no reference into the SA
  /// database on return. Returns the packets received.
  uint32_t turn();
  void stop() { stopping_.store(true, std::memory_order_relaxed); }

  /// After every worker was told to stop: waits for run() to return, then frees what was received
  /// or handed over and nobody will process.
  void drain();

  uint32_t pair_count() const { return static_cast<uint32_t>(lanes_.size()); }
  ipsec::Pipeline& pipeline(uint32_t pair);

 private:
  class Lane;

  uint32_t poll();
  uint32_t take_handed_off();
  void idle();
  void expire();

  const uint32_t index_;
  const uint32_t workers_;
  const Config::Workers settings_;
  std::unique_ptr<gate::SipGate> gate_;  ///< null: the screen is off
  std::vector<std::unique_ptr<Lane>> lanes_;
  HandoffMatrix& handoffs_;
  rte_rcu_qsbr* readers_;
  CoarseClock clock_;
  uint32_t polls_ = 0;
  uint32_t empty_polls_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> has_returned_{false};
};

}  // namespace gmesp::dataplane
