#include "trial.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace gmesp::bench {
namespace {

/// A device that gives nothing back for so long has lost what is missing.
constexpr double kSilence_s = 0.2;
/// How far a trial may lag behind its schedule before the schedule waits for it: a round of its
/// loop. The packets of a lost time slice would come as one flood, which is not the rate that was
/// asked for.
constexpr double kLag_s = 5e-6;
/// A round of the loop is shorter, but for full bursts of long packets both ways: this process was
/// away from its core.
constexpr double kAway_s = 10e-6;
/// In place of the time of sending, where nobody knows it.
constexpr uint64_t kUntimed = 1;
constexpr uint16_t kAccess = static_cast<uint16_t>(Way::kUplink);
constexpr uint16_t kHost = static_cast<uint16_t>(Way::kDownlink);

/// What a nap may take, being longer than it was asked to be.
double nap_max_s(const TrialOptions& options) {
  return options.pause_us * 4e-6;
}

uint64_t involuntary_switches() {
  rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<uint64_t>(usage.ru_nivcsw);
}

/// While it lives, this thread goes before all ordinary ones; without the privilege nothing
/// changes.
class RealTime {
 public:
  explicit RealTime(bool is_wanted) {
    constexpr sched_param kParameters = {.sched_priority = 10};
    is_set_ = is_wanted && sched_setscheduler(0, SCHED_FIFO, &kParameters) == 0;
  }
  ~RealTime() {
    constexpr sched_param kOrdinary = {.sched_priority = 0};
    if (is_set_) sched_setscheduler(0, SCHED_OTHER, &kOrdinary);
  }
  RealTime(const RealTime&) = delete;
  RealTime& operator=(const RealTime&) = delete;

 private:
  bool is_set_;
};

}  // namespace

Trial::Trial(FrameStore& frames, const SubscriberOptions& subscribers, uint16_t access_port,
             uint16_t host_port, rte_mempool* pool)
    : frames_(frames),
      subscribers_(subscribers),
      ports_{access_port, host_port},
      pool_(pool),
      ticks_per_s_(static_cast<double>(rte_get_tsc_hz())) {}

TrialResult Trial::run(const TrialOptions& options) {
  options_ = options;
  result_ = {};
  sent_ticks_.assign(frames_.count(), 0);
  next_ = shifted_ticks_ = written_off_ = 0;
  away_ticks_ = static_cast<uint64_t>((kAway_s + nap_max_s(options)) * ticks_per_s_);
  discard_leftovers();
  const RealTime priority(options.pause_us != 0);
  const uint64_t switches_before = involuntary_switches();
  const auto silence_ticks = static_cast<uint64_t>(kSilence_s * ticks_per_s_);
  is_late_[0] = is_late_[1] = false;
  start_ticks_ = last_receive_ticks_ = looked_ticks_[0] = looked_ticks_[1] = rte_rdtsc();
  uint64_t last_look = start_ticks_, longest_absence = 0, all_sent_ticks = start_ticks_;
  for (;;) {
    receive(kAccess);
    receive(kHost);
    const uint64_t now = rte_rdtsc();
    longest_absence = std::max(longest_absence, now - last_look);
    last_look = now;
    const bool is_silent = now - std::max(last_receive_ticks_, all_sent_ticks) > silence_ticks;
    if (next_ == frames_.count() && (is_silent || received() + written_off_ >= next_)) break;
    if (is_silent) write_off();
    if (const uint64_t wanted = due(now); wanted > next_) {
      send(wanted);
      all_sent_ticks = rte_rdtsc();
    } else if (options_.pause_us != 0) {
      usleep(options_.pause_us);
    }
  }
  const auto seconds = [&](uint64_t ticks) { return static_cast<double>(ticks) / ticks_per_s_; };
  const uint64_t end = std::max(last_receive_ticks_, start_ticks_ + 1);
  result_.count = {static_cast<double>(next_) / seconds(all_sent_ticks - start_ticks_), next_,
                   received()};
  result_.received_per_s = static_cast<double>(received()) / seconds(end - start_ticks_);
  result_.longest_absence_us = seconds(longest_absence) * 1e6;
  result_.context_switches = involuntary_switches() - switches_before;
  return std::move(result_);
}

/// What comes late belongs to no trial.
void Trial::discard_leftovers() {
  rte_mbuf* mbufs[kBurst];
  for (const uint16_t port : ports_)
    while (const uint16_t count = rte_eth_rx_burst(port, 0, mbufs, kBurst))
      rte_pktmbuf_free_bulk(mbufs, count);
}

/// How many frames should have been sent by now.
uint64_t Trial::due(uint64_t now) {
  if (options_.rate_per_s == 0)
    return std::min<uint64_t>(frames_.count(), received() + written_off_ + options_.window);
  const double per_tick = options_.rate_per_s / ticks_per_s_;
  const auto since = static_cast<double>(now - start_ticks_ - shifted_ticks_);
  auto wanted = static_cast<uint64_t>(since * per_tick);
  const double lag_s = kLag_s + nap_max_s(options_);
  const uint64_t lag_max = 1 + static_cast<uint64_t>(options_.rate_per_s * lag_s);
  if (wanted > next_ + lag_max) {
    shifted_ticks_ +=
        static_cast<uint64_t>(static_cast<double>(wanted - next_ - lag_max) / per_tick);
    wanted = next_ + lag_max;
  }
  return std::min<uint64_t>(frames_.count(), wanted);
}

void Trial::send(uint64_t due) {
  const auto count = static_cast<uint16_t>(std::min<uint64_t>(kBurst, due - next_));
  rte_mbuf* fresh[kBurst];
  if (rte_pktmbuf_alloc_bulk(pool_, fresh, count) != 0) return;  // all are on their way still
  rte_mbuf* bursts[2][kBurst];
  uint16_t counts[2] = {0, 0};
  for (uint16_t i = 0; i < count; ++i) {
    const auto at = static_cast<uint32_t>(next_ + i);
    const auto frame = frames_.frame(at);
    std::memcpy(rte_pktmbuf_mtod(fresh[i], uint8_t*), frame.data(), frame.size());
    fresh[i]->data_len = static_cast<uint16_t>(frame.size());
    fresh[i]->pkt_len = static_cast<uint32_t>(frame.size());
    const uint16_t way = frames_.is_uplink(at) ? kAccess : kHost;
    bursts[way][counts[way]++] = fresh[i];
  }
  const uint64_t now = rte_rdtsc();
  transmit(Way::kUplink, bursts[kAccess], counts[kAccess]);
  transmit(Way::kDownlink, bursts[kHost], counts[kHost]);
  const bool is_timed = rte_rdtsc() - now < away_ticks_;
  std::fill_n(&sent_ticks_[next_], count, is_timed ? now : kUntimed);
  next_ += count;
}

void Trial::transmit(Way way, rte_mbuf** mbufs, uint16_t count) {
  if (count == 0) return;
  const auto index = static_cast<uint16_t>(way);
  const uint16_t taken = rte_eth_tx_burst(ports_[index], 0, mbufs, count);
  result_.refused += count - taken;
  rte_pktmbuf_free_bulk(mbufs + taken, count - taken);
}

/// What has come to a port while this process was away came at a time that nobody knows. That ends
/// with a burst that empties the port.
void Trial::receive(uint16_t side) {
  rte_mbuf* mbufs[kBurst];
  const uint64_t before = rte_rdtsc();
  const uint16_t count = rte_eth_rx_burst(ports_[side], 0, mbufs, kBurst);
  const uint64_t now = rte_rdtsc();
  if (now - looked_ticks_[side] > away_ticks_) is_late_[side] = true;
  looked_ticks_[side] = before;
  for (uint16_t i = 0; i < count; ++i) take(mbufs[i], side, now);
  if (count < kBurst) is_late_[side] = false;
  if (count == 0) return;
  rte_pktmbuf_free_bulk(mbufs, count);
  last_receive_ticks_ = now;
}

/// What comes on the access port went down, what comes on the host port went up.
void Trial::take(rte_mbuf* mbuf, uint16_t side, uint64_t now) {
  const bool is_access = side == kAccess;
  auto* frame = rte_pktmbuf_mtod(mbuf, uint8_t*);
  const Way way = is_access ? Way::kDownlink : Way::kUplink;
  uint64_t& received = result_.received[static_cast<uint16_t>(way)];
  uint64_t mark = 0;
  if (is_access && received % options_.opened_every != 0) {
    find_esp(frame, mbuf->data_len) != 0 ? ++received : ++result_.foreign;
    return;
  }
  const bool is_ours = is_access ? frames_.open(frame, mbuf->data_len, mark)
                                 : read_mark(frame, mbuf->data_len, mark);
  // A mark without a time of sending came twice, or from a trial before.
  if (!is_ours || mark >= sent_ticks_.size() || sent_ticks_[mark] == 0) {
    ++result_.foreign;
    return;
  }
  ++received;
  const uint64_t sent = std::exchange(sent_ticks_[mark], 0);
  if (is_late_[side] || sent == kUntimed) {
    ++result_.untimed;
    return;
  }
  const uint32_t ue = frames_.ue(static_cast<uint32_t>(mark));
  const bool is_other = !(suite_of(subscribers_, ue) == subscribers_.suite);
  (is_other ? result_.other_latency_ticks : result_.latency_ticks).add(now - sent);
}

/// Lost packets must not hold the window shut.
void Trial::write_off() {
  written_off_ = next_ - received();
  last_receive_ticks_ = rte_rdtsc();
}

}  // namespace gmesp::bench
