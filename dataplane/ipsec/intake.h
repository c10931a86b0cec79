// What waits in one receive queue of the access side, taken out ahead of the work: so a worker
// knows how far it is behind, and under a flood throws away what may not pass before it works on
// what may.
//
// A worker is overloaded when it finds `overload_packets` waiting. It must know before the queue is
// full, since what a full queue refuses is nobody's choice: so never more than a call's worth is
// given out between two looks. Shedding makes a worker faster, and a queue under a flood runs empty
// again and again; so the end is that for a while no look found so many.
//
// Of a flood's bursts little is left, and crypto is cheap in groups only: so an overloaded worker
// receives burst after burst until the queue is empty, and has all of the queue's room while it
// works on a group of what is left. Without a flood, when all that waits is protected, it receives
// what it works on and no more: packets taken out early would have left the cache by then.
//
// Threading: one worker. Ownership: packets given out are the caller's; those that wait are held
// here, drain() gives them all. Errors: none; memory is taken at construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/ipsec/call_size.h"
#include "dataplane/ipsec/pipeline.h"

namespace gmesp::ipsec {

struct IntakeOptions {
  uint32_t burst_packets = 64;
  uint32_t overload_packets = 512;  ///< 0: never overloaded
};

class Intake {
 public:
  static constexpr uint64_t kEndMs = 10;
  /// In a flood. More would let a queue of 1,024 fill up while the crypto runs.
  static constexpr uint32_t kGroupPackets = CallSize::kSmallPackets;
  /// Of one look under overload: the host's packets wait meanwhile.
  static constexpr uint32_t kLookPackets = 2048;

  explicit Intake(const IntakeOptions& options)
      : options_(options),
        packets_(2 * (std::max(options.overload_packets, kGroupPackets) + options.burst_packets)) {}

  /// Packets for the next call of process(), at most `most`, a group in a flood. `receive` fills
  /// the span that it is given, of a burst, and returns how many packets it got:
  /// uint32_t(std::span<Packet>).
  template <typename Receive>
  std::span<Packet> next(Pipeline& pipeline, uint64_t now_ms, Receive&& receive, uint32_t most);

  /// Those that wait. They are forgotten here.
  std::span<Packet> drain() { return take(waiting()); }

  uint32_t burst_packets() const { return options_.burst_packets; }
  uint32_t waiting() const { return end_ - begin_; }
  /// By the last look.
  uint32_t received() const { return received_; }

 private:
  std::span<Packet> all() { return {packets_.data() + begin_, waiting()}; }
  std::span<Packet> take(uint32_t count) {
    begin_ += count;
    return {packets_.data() + begin_ - count, count};
  }
  std::span<Packet> room();
  uint32_t shed(Pipeline& pipeline, std::span<Packet> packets, uint64_t now_ms);
  bool is_more_wanted(uint64_t now_ms, uint32_t most) const;

  const IntakeOptions options_;
  std::vector<Packet> packets_;
  uint32_t begin_ = 0, end_ = 0;
  uint32_t received_ = 0;
  uint64_t overloaded_until_ms_ = 0;
  uint64_t flooded_until_ms_ = 0;  ///< overloaded, and not by protected packets alone
};

/// For one more burst, behind those that wait.
inline std::span<Packet> Intake::room() {
  if (end_ + options_.burst_packets > packets_.size()) {
    std::ranges::copy(all(), packets_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  return {packets_.data() + end_, options_.burst_packets};
}

/// Returns how many are left.
inline uint32_t Intake::shed(Pipeline& pipeline, std::span<Packet> packets, uint64_t now_ms) {
  const uint32_t left = pipeline.shed(packets, now_ms);
  if (left != packets.size()) flooded_until_ms_ = now_ms + kEndMs;
  return left;
}

inline bool Intake::is_more_wanted(uint64_t now_ms, uint32_t most) const {
  if (now_ms >= overloaded_until_ms_) return waiting() < std::max(options_.overload_packets, 1u);
  if (now_ms >= flooded_until_ms_) return waiting() < most;
  return waiting() < std::max(options_.overload_packets, kGroupPackets) && received_ < kLookPackets;
}

template <typename Receive>
std::span<Packet> Intake::next(Pipeline& pipeline, uint64_t now_ms, Receive&& receive,
                               uint32_t most) {
  // Some drivers never give more at once, whatever is waiting.
  constexpr uint32_t kDriverBurst = 32;
  const bool was_overloaded = now_ms < overloaded_until_ms_;
  const uint32_t waited = waiting();
  if (waited == 0) begin_ = end_ = 0;
  received_ = 0;
  bool is_full = true;
  while (is_full && is_more_wanted(now_ms, most)) {
    const std::span<Packet> burst = room();
    const uint32_t count = receive(burst);
    is_full = count >= std::min(options_.burst_packets, kDriverBurst);
    received_ += count;
    end_ += was_overloaded ? shed(pipeline, burst.first(count), now_ms) : count;
  }
  if (options_.overload_packets != 0 && waited + received_ >= options_.overload_packets) {
    overloaded_until_ms_ = now_ms + kEndMs;
    if (!was_overloaded) end_ = begin_ + shed(pipeline, all(), now_ms);
  }
  pipeline.set_overloaded(now_ms < overloaded_until_ms_);
  if (now_ms < flooded_until_ms_) most = std::min(most, kGroupPackets);
  return take(std::min(waiting(), most));
}

}  // namespace gmesp::ipsec
