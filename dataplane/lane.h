// One worker's share of one port pair: receive bursts become Packets, the Pipeline's frames become
// transmit bursts.
//
// Threading: the worker's thread only. Ownership: mbufs belong to the pipeline from receive to
// transmit, hand-off or release.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/ipsec/call_size.h"
#include "dataplane/ipsec/intake.h"
#include "dataplane/worker.h"

namespace gmesp::dataplane {

class Worker::Lane final : public ipsec::PacketIo {
 public:
  Lane(uint32_t pair, const PairQueues& queues, const ipsec::PipelineOptions& options,
       const ipsec::IntakeOptions& intake, ipsec::SaDatabase& database, Buffers& buffers,
       HandoffMatrix& handoffs);

  /// Receives from both ports and runs the pipeline. Returns the packets received.
  uint32_t poll(uint64_t now_ms);
  /// A packet handed off by another worker; process_handed_off() runs those taken so far.
  void take(const ipsec::HandedOff& entry);
  bool full() const;
  void process_handed_off(uint64_t now_ms);
  /// Frees what was received and nobody will process.
  void drain();

  ipsec::Pipeline& pipeline() { return pipeline_; }

  uint32_t transmit(ipsec::Side side, std::span<const ipsec::Outgoing> packets) override;
  bool allocate(uint32_t bytes, ipsec::Packet& packet) override;
  void release(std::span<void* const> owners) override;
  bool hand_off(uint8_t worker, ipsec::Side side, const ipsec::Packet& packet) override;

 private:
  static constexpr uint32_t kBurstMax = ipsec::Pipeline::kPacketsMax / 2;
  struct Batch {
    std::array<ipsec::Packet, ipsec::Pipeline::kPacketsMax> packets;
    uint32_t count = 0;
  };

  uint32_t receive(ipsec::Side side, std::span<ipsec::Packet> room);
  bool mend(rte_mbuf*& mbuf, ipsec::Side side);

  const uint32_t pair_;
  const PairQueues queues_;
  const uint32_t worker_;
  const uint32_t workers_;
  Buffers& buffers_;
  HandoffMatrix& handoffs_;
  ipsec::CallSize call_size_;
  ipsec::Intake from_access_;
  std::array<ipsec::Packet, 2 * kBurstMax> from_host_;
  Batch handed_off_[2];
  ipsec::Pipeline pipeline_;
};

}  // namespace gmesp::dataplane
