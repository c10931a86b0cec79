// One trial: a store's frames sent at a given rate, or as fast as they come back, and what became
// of them.
//
// Frames are sent on two DPDK ports, ESP on the access side and clear SIP on the host side, and are
// known again on the other one by their marks; times of sending are kept by mark. What is ciphered
// is opened now and then for that, the rest is counted. Threading: one EAL thread, which the trial
// occupies. Times are TSC ticks. Errors: none; a port that takes nothing shows as loss.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <vector>

#include "frame_store.h"
#include "latency_histogram.h"
#include "rate_search.h"

namespace gmesp::bench {

struct TrialOptions {
  /// 0: as fast as the device gives packets back, with `window` of them on their way.
  double rate_per_s = 0;
  uint32_t window = 512;
  uint32_t opened_every = 16;  ///< ESP packets that come back
  /// Sleeps between bursts instead of polling: leaves its core to others, at the price of latency.
  /// Then it has real-time priority, if it may, so that it wakes in time.
  uint32_t pause_us = 0;
};

struct TrialResult {
  TrialCount count;
  double received_per_s = 0;
  uint64_t received[2] = {0, 0};  ///< by Way
  uint64_t refused = 0;  ///< of those sent: the port had no room, so the device was too slow
  uint64_t foreign = 0;  ///< received, but not ours or not genuine
  /// Received, but sent or seen while this process was away from its core: how long they took is
  /// not known, and they are in no histogram.
  uint64_t untimed = 0;
  LatencyHistogram latency_ticks;        ///< of the first cipher
  LatencyHistogram other_latency_ticks;  ///< of SubscriberOptions::other_cipher
  /// The longest time between two looks at the ports: when it is long, this process was without
  /// its core, and losses and latencies are not the device's.
  double longest_absence_us = 0;
  uint64_t context_switches = 0;  ///< involuntary
};

class Trial {
 public:
  Trial(FrameStore& frames, const SubscriberOptions& subscribers, uint16_t access_port,
        uint16_t host_port, rte_mempool* pool);

  /// Sends every frame of the store once.
  TrialResult run(const TrialOptions& options);

 private:
  static constexpr uint16_t kBurst = 32;

  void discard_leftovers();
  uint64_t due(uint64_t now);
  void send(uint64_t due);
  void transmit(Way way, rte_mbuf** mbufs, uint16_t count);
  void receive(uint16_t side);
  void take(rte_mbuf* mbuf, uint16_t side, uint64_t now);
  void write_off();
  uint64_t received() const { return result_.received[0] + result_.received[1]; }

  FrameStore& frames_;
  const SubscriberOptions subscribers_;
  const uint16_t ports_[2];  ///< where a Way is sent: access, host
  rte_mempool* pool_;
  const double ticks_per_s_;

  TrialOptions options_;
  TrialResult result_;
  std::vector<uint64_t> sent_ticks_;  ///< by mark
  uint64_t next_ = 0;                 ///< frame to be sent
  uint64_t start_ticks_ = 0;
  uint64_t shifted_ticks_ = 0;  ///< the schedule waited for this process so long
  uint64_t last_receive_ticks_ = 0;
  uint64_t written_off_ = 0;
  uint64_t away_ticks_ = 0;            ///< a round that takes longer was interrupted
  uint64_t looked_ticks_[2] = {0, 0};  ///< at each port, before it was asked
  bool is_late_[2] = {false, false};
};

}  // namespace gmesp::bench
