// Registered users under a flood of clear SIP on the same receive queue: nothing of theirs is lost
// and none of it waits long.
//
// Time is made up: every packet costs a fixed number of nanoseconds, those that screen_flood of
// bench/ measures on a core of 2.45 GHz, so the outcome hangs on the order of work alone and is the
// same on every machine. The worker's intake and its pipeline with the screen are the real ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "dataplane/ipsec/intake.h"
#include "screen_lab.h"

namespace gmesp::test {
namespace {

using ipsec::Side;
using ipsec::Statistic;

constexpr uint32_t kQueuePackets = 1024;  // the default of queue_descriptors
constexpr double kLookNs = 60, kStepNs = 1'500;
constexpr double kReceiveNs = 24, kProtectedNs = 640, kClearNs = 515;
constexpr double kRunNs = 20e6;
constexpr double kLatencyMaxNs = 300e3;

/// What a packet costs when a worker has nothing else and full bursts of it.
double in_bursts(double packet_ns) {
  return kReceiveNs + packet_ns + (kLookNs + kStepNs) / ipsec::IntakeOptions{}.burst_packets;
}

struct Flood {
  double times;  ///< of what a worker can take of it alone
  bool is_random;
};

void PrintTo(const Flood& flood, std::ostream* out) {
  *out << flood.times << " times, at " << (flood.is_random ? "random" : "fixed") << " intervals";
}

/// Packets of one kind on their way to the worker.
class Stream {
 public:
  Stream(double every_ns, bool is_random, uint32_t seed)
      : every_ns_(every_ns), is_random_(is_random), random_(seed) {}
  double next_ns() const { return next_ns_; }
  void go_on() { next_ns_ += is_random_ ? every_ns_ * gap_(random_) : every_ns_; }

 private:
  const double every_ns_;
  const bool is_random_;
  std::mt19937 random_;
  std::exponential_distribution<double> gap_{1};
  double next_ns_ = 0;
};

struct Arrival {
  double at_ns;
  bool is_protected;
};

/// The port's receive queue. Half of what a worker can take of protected packets comes to it, and
/// the flood.
class Queue {
 public:
  Queue(const Flood& flood, double protected_ns, double clear_ns)
      : protected_(2 * protected_ns, flood.is_random, 1),
        clear_(clear_ns / flood.times, flood.is_random, 2) {}

  void arrive_until(double now_ns) {
    for (;;) {
      const bool is_protected = protected_.next_ns() <= clear_.next_ns();
      Stream& stream = is_protected ? protected_ : clear_;
      if (stream.next_ns() > std::min(now_ns, kRunNs)) return;
      const bool has_room = waiting_.size() < kQueuePackets;
      if (has_room) waiting_.push_back({stream.next_ns(), is_protected});
      sent_protected += is_protected;
      lost_protected += is_protected && !has_room;
      stream.go_on();
    }
  }
  bool is_empty() const { return waiting_.empty(); }
  Arrival take() {
    const Arrival arrival = waiting_.front();
    waiting_.pop_front();
    return arrival;
  }

  uint64_t sent_protected = 0, lost_protected = 0;

 private:
  Stream protected_, clear_;
  std::deque<Arrival> waiting_;
};

class FloodTest : public testing::TestWithParam<Flood> {
 protected:
  FloodTest() {
    LabOptions options;
    add_screen(options);
    lab = std::make_unique<Lab>(options);
    lab->install(ue);
  }

  void run(const ipsec::IntakeOptions& options) {
    ipsec::Intake intake(options);
    const uint64_t start_ms = lab->now_ms;
    const auto next = [this](Bytes& frame) { return receive(frame); };
    while (now_ns < kRunNs || !queue.is_empty() || intake.waiting() != 0) {
      lab->now_ms = start_ms + static_cast<uint64_t>(now_ns / 1e6);
      now_ns += kLookNs;
      work_on(to(lab->poll(intake, next), Side::kHost));
    }
  }

  bool receive(Bytes& frame) {
    queue.arrive_until(now_ns);
    if (queue.is_empty()) return false;
    now_ns += kReceiveNs;
    const Arrival arrival = queue.take();
    if (arrival.is_protected) in_work.push_back(arrival.at_ns);
    frame = arrival.is_protected ? ue.uplink(shm::SaRole::kInUcPs, ++sequence, text) : clear_frame;
    return true;
  }

  /// What came out of one poll. Protected packets come out in order.
  void work_on(const std::vector<Bytes>& frames) {
    if (!frames.empty()) now_ns += kStepNs;
    size_t protected_count = 0;
    for (const Bytes& frame : frames) {
      const bool is_protected = frame.size() != clear_frame.size();
      protected_count += is_protected;
      now_ns += is_protected ? kProtectedNs : kClearNs;
    }
    ASSERT_LE(protected_count, in_work.size());
    for (; protected_count != 0; --protected_count) {
      latency_max_ns = std::max(latency_max_ns, now_ns - in_work.front());
      in_work.pop_front();
    }
  }

  const Registration ue = make_registration(1);
  const Bytes text = pattern(100);
  const Bytes clear_frame = frame_of(clear_sip(ue, sip_request("REGISTER")));
  std::unique_ptr<Lab> lab;
  Queue queue{GetParam(), in_bursts(kProtectedNs), in_bursts(kClearNs)};
  std::deque<double> in_work;  ///< when each protected packet that is received had arrived
  double now_ns = 0, latency_max_ns = 0;
  uint32_t sequence = 0;
};

// Shows: R-7.1-21
TEST_P(FloodTest, NothingProtectedIsLostAndNoneWaitsLong) {
  run({});
  EXPECT_EQ(queue.lost_protected, 0u) << "of " << queue.sent_protected;
  EXPECT_EQ(lab->count(Statistic::kEspInPackets), queue.sent_protected);
  EXPECT_LE(latency_max_ns, kLatencyMaxNs);
  EXPECT_GT(lab->count(Statistic::kSipMethodAllowed), 0u) << "a flood does not shut new users out";
}

TEST_P(FloodTest, WithoutSheddingTheQueueLosesThem) {
  run({.overload_packets = 0});
  EXPECT_GT(queue.lost_protected, queue.sent_protected / 5);
}

INSTANTIATE_TEST_SUITE_P(Floods, FloodTest,
                         testing::Values(Flood{1, false}, Flood{1, true}, Flood{3, false},
                                         Flood{3, true}, Flood{10, false}, Flood{10, true}));

}  // namespace
}  // namespace gmesp::test
