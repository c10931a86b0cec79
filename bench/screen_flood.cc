// What a flood of clear SIP does to registered users on the same receive queue of one worker:
// protected packets lost and their latency, without a flood, and with one at up to ten times what
// the worker can take, with and without shedding.
//
// The queue is a list in memory with the room of a NIC's queue, and time is the worker's: packets
// arrive at fixed intervals, and the clock goes forward by the CPU time that the worker's intake
// and its pipeline take. So nothing else on the machine decides what is lost; what a driver costs
// is left out.
//
// Capacities are measured right before each run: that of REGISTERs that the screen passes, and that
// of protected packets, each alone. Protected traffic is half of its capacity. A core of a shared
// machine may be half as fast from one moment to the next, or stand still: so they are measured
// behind the run too, and runs between which they differ by more than a tenth are thrown away, as
// are those that spent more than a fifth of their time in steps that took a third longer than their
// packets cost. What the queue refuses during such a step is told apart: no order of work can take
// packets out of a queue while the core does something else. Told are medians.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/gate/rule_loader.h"
#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/intake.h"
#include "dataplane/ipsec/pipeline.h"
#include "frame_memory.h"
#include "made_sip.h"
#include "median.h"
#include "phones.h"

namespace {

using namespace gmesp;
using ipsec::Packet;

constexpr uint32_t kBurst = 64, kUes = 1000, kIpBytes = 600;
constexpr uint32_t kCalibrationBursts = 60;
constexpr uint32_t kTriesPerRun = 10;
constexpr double kRunNs = 15e6;
constexpr uint64_t kStartMs = 1000;
/// What a small burst may cost more than its packets' share of a full one.
constexpr double kStepNs = 4e3;
/// Of what it costs to let one pass.
constexpr double kShedCost = 0.1;

/// Counts the CPU time of this thread, without its own: what others do on a shared core does not
/// count.
class Stopwatch {
 public:
  Stopwatch() {
    std::vector<double> own;
    for (int i = 0; i < 1000; ++i) {
      start();
      own.push_back(stop_ns());
    }
    own_ns_ = bench::median(own);
  }
  void start() { start_ns_ = cpu_ns(); }
  double stop_ns() const { return std::max(0.0, cpu_ns() - start_ns_ - own_ns_); }

 private:
  static double cpu_ns() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  }
  double own_ns_ = 0, start_ns_ = 0;
};

enum class Kind : uint8_t { kProtected, kClear };

struct Arrival {
  Kind kind;
  double at_ns;
};

/// Frames of which each is used again when the pipeline has given it back.
class FrameRing final : public bench::FrameMemory {
 public:
  Packet take() {
    do ++at_;
    while (taken_[at_ % bench::kRoundPackets]);
    taken_[at_ % bench::kRoundPackets] = true;
    return packet(at_ % bench::kRoundPackets, 0);
  }

  uint32_t transmit(ipsec::Side, std::span<const ipsec::Outgoing> packets) override {
    for (const ipsec::Outgoing& packet : packets) give_back(packet.owner);
    return static_cast<uint32_t>(packets.size());
  }
  void release(std::span<void* const> owners) override {
    std::ranges::for_each(owners, [this](void* owner) { give_back(owner); });
  }
  void give_back(void* owner) {
    const auto at = static_cast<uint8_t*>(owner) - static_cast<uint8_t*>(packet(0, 0).owner);
    taken_[static_cast<size_t>(at) / bench::kFrameBufferBytes] = false;
  }

 private:
  std::vector<uint8_t> taken_ = std::vector<uint8_t>(bench::kRoundPackets);
  uint32_t at_ = 0;
};

/// One worker, its screen and its pipeline, and frames for it.
class OneWorker {
 public:
  OneWorker()
      : database_(bench::database_for(kUes)),
        phones_({.ues = kUes}),
        gate_(gate_options(), rules_) {
    gate::CompiledRules compiled = gate::compile_rules({{}, screen::RuleAction::kCount}, 1);
    if (compiled.set == nullptr || !phones_.install(database_)) std::exit(EXIT_FAILURE);
    rules_.publish(compiled.set);
    ipsec::PipelineOptions options;
    options.screen = &gate_;
    pipeline_ = std::make_unique<ipsec::Pipeline>(options, database_, frames_);
    std::mt19937 random(1);
    const std::vector<std::string> texts = {bench::made_message(
        "REGISTER", kIpBytes - ipsec::kIpv4HeaderBytesMin - ipsec::kUdpHeaderBytes, random)};
    bench::Phones clear({.ues = kUes, .texts = texts});
    register_.resize(bench::kFrameBufferBytes);
    register_.resize(clear.clear_sip(0, kIpBytes, register_.data()));
  }

  ipsec::Pipeline& pipeline() { return *pipeline_; }
  void release(std::span<Packet> packets) {
    for (const Packet& packet : packets) frames_.give_back(packet.owner);
  }

  /// The next frame of a kind. Sources of clear ones are as many as a forger likes.
  Packet packet(Kind kind) {
    Packet packet = frames_.take();
    fill(packet, kind);
    return packet;
  }

  /// Nanoseconds a packet of one kind, in full bursts.
  double cost_ns(Kind kind) {
    std::vector<double> costs;
    Stopwatch stopwatch;
    for (uint32_t i = 0; i < kCalibrationBursts; ++i) {
      std::vector<Packet> packets;
      for (uint32_t at = 0; at < kBurst; ++at) packets.push_back(packet(kind));
      stopwatch.start();
      pipeline_->process(packets, {}, kStartMs);
      costs.push_back(stopwatch.stop_ns() / kBurst);
    }
    return bench::median(costs);
  }

  uint64_t count(ipsec::Statistic statistic) const { return pipeline_->counters().get(statistic); }

 private:
  static gate::GateOptions gate_options() {
    gate::GateOptions options;
    options.ports.add(bench::kSipPort);
    return options;
  }
  void fill(Packet& packet, Kind kind) {
    if (kind == Kind::kProtected) {
      uint32_t esp_offset = 0;
      packet.length =
          phones_.uplink(++ue_ % kUes, bench::UeSide::kClient, kIpBytes, packet.data, esp_offset);
      return;
    }
    packet.length = static_cast<uint32_t>(register_.size());
    std::memcpy(packet.data, register_.data(), register_.size());
    uint8_t* ip = packet.data + ipsec::kEthernetBytes;
    ipsec::store_be32(ip + ipsec::kIpv4SourceAt, 0x0b000000 + ++source_ % 10'000'000);
    ipsec::set_ipv4_checksum(ip);
  }

  ipsec::SaDatabase database_;
  bench::Phones phones_;
  FrameRing frames_;
  screen::SignatureSwap rules_;
  gate::SipGate gate_;
  std::unique_ptr<ipsec::Pipeline> pipeline_;
  std::vector<uint8_t> register_;
  uint32_t ue_ = 0, source_ = 0;
};

struct Load {
  double protected_ns, clear_ns;  ///< what a packet costs
  double protected_every_ns;
  double clear_every_ns;  ///< 0: no flood
  uint32_t overload_packets;
  uint32_t queue_packets;
};

struct Result {
  double lost_share;         ///< of protected packets, in the queue
  double interrupted_share;  ///< the same, while the core did something else
  double slow_share;         ///< of the time, that such steps took
  double p50_us, p99_us, max_us;
  double clear_passed_per_s;
};

/// Packets that arrive at fixed times, and the queue that they wait in.
class Wire {
 public:
  explicit Wire(const Load& load) : load_(load) {}

  /// `lost`: counts the protected ones that the queue has no room for.
  void arrive_until(double now_ns, uint64_t& lost) {
    while (next_ns() <= now_ns)
      if (load_.clear_every_ns == 0 || next_protected_ns_ <= next_clear_ns_) {
        ++protected_sent;
        lost += !arrive(Kind::kProtected, next_protected_ns_, load_.protected_every_ns);
      } else {
        arrive(Kind::kClear, next_clear_ns_, load_.clear_every_ns);
      }
  }
  double next_ns() const {
    return load_.clear_every_ns == 0 ? next_protected_ns_
                                     : std::min(next_protected_ns_, next_clear_ns_);
  }
  bool take(Arrival& arrival) {
    if (queue_.empty()) return false;
    arrival = queue_.front();
    queue_.pop_front();
    return true;
  }

  uint64_t protected_sent = 0;

 private:
  bool arrive(Kind kind, double& at_ns, double every_ns) {
    const bool has_room = queue_.size() < load_.queue_packets;
    if (has_room) queue_.push_back({kind, at_ns});
    at_ns += every_ns;
    return has_room;
  }

  const Load load_;
  std::deque<Arrival> queue_;
  double next_protected_ns_ = 0, next_clear_ns_ = 0;
};

Result run(OneWorker& worker, const Load& load) {
  Wire wire(load);
  ipsec::Intake intake({kBurst, load.overload_packets});
  Stopwatch stopwatch;
  std::unordered_map<void*, Arrival> arrivals;  // by frame
  std::vector<double> latencies;
  double now_ns = 0;
  uint64_t lost = 0, lost_interrupted = 0;
  double slow_ns = 0;
  // A step that should take `cost_ns` is over.
  const auto pass_time = [&](double cost_ns) {
    const double took_ns = stopwatch.stop_ns();
    now_ns += took_ns;
    const bool is_slow = took_ns > 4.0 / 3 * cost_ns + kStepNs;
    if (is_slow) slow_ns += took_ns;
    wire.arrive_until(now_ns, is_slow ? lost_interrupted : lost);
  };
  const uint64_t decrypted = worker.count(ipsec::Statistic::kEspInPackets);
  const uint64_t passed = worker.count(ipsec::Statistic::kSipMethodAllowed);
  // The clock stands while frames are made.
  const auto receive = [&](std::span<Packet> room) {
    pass_time(kBurst * kShedCost * load.clear_ns);
    uint32_t count = 0;
    for (Arrival arrival; count < room.size() && wire.take(arrival); ++count) {
      room[count] = worker.packet(arrival.kind);
      arrivals[room[count].owner] = arrival;
    }
    stopwatch.start();
    return count;
  };
  const auto cost_ns = [&](std::span<const Packet> burst) {
    double cost_ns = 0;
    for (const Packet& packet : burst)
      cost_ns +=
          arrivals.at(packet.owner).kind == Kind::kProtected ? load.protected_ns : load.clear_ns;
    return cost_ns;
  };
  while (now_ns < kRunNs) {
    const uint64_t now_ms = kStartMs + static_cast<uint64_t>(now_ns / 1e6);
    stopwatch.start();
    const std::span<Packet> burst =
        intake.next(worker.pipeline(), now_ms, receive, intake.burst_packets());
    worker.pipeline().process(burst, {}, now_ms);
    pass_time(cost_ns(burst));
    for (const Packet& packet : burst)
      if (const Arrival& arrival = arrivals.at(packet.owner); arrival.kind == Kind::kProtected)
        latencies.push_back(now_ns - arrival.at_ns);
    if (intake.received() == 0 && burst.empty()) now_ns = std::max(now_ns, wire.next_ns());
  }
  worker.release(intake.drain());
  std::ranges::sort(latencies);
  const auto at = [&](double part) {
    return latencies[static_cast<size_t>(part * static_cast<double>(latencies.size() - 1))] / 1e3;
  };
  const uint64_t behind_queue =
      latencies.size() - (worker.count(ipsec::Statistic::kEspInPackets) - decrypted);
  const uint64_t clear_passed = worker.count(ipsec::Statistic::kSipMethodAllowed) - passed;
  // Behind the queue nothing protected may get lost, and a flood does not shut new users out.
  if (behind_queue != 0 || (load.clear_every_ns > 0 && clear_passed == 0)) std::exit(EXIT_FAILURE);
  const auto sent = static_cast<double>(wire.protected_sent);
  return {static_cast<double>(lost) / sent,
          static_cast<double>(lost_interrupted) / sent,
          slow_ns / now_ns,
          at(0.5),
          at(0.99),
          at(1),
          static_cast<double>(clear_passed) / now_ns * 1e9};
}

double median(const std::vector<Result>& results, double Result::*figure) {
  std::vector<double> values;
  for (const Result& result : results) values.push_back(result.*figure);
  return bench::median(values);
}

struct Settings {
  uint32_t overload_packets = ipsec::IntakeOptions{}.overload_packets;
  uint32_t queue_packets = 1024;
  uint32_t runs = 21;
};

constexpr double kChange = 0.1, kSlowShareMax = 0.2;

bool is_same_speed(double before_ns, double after_ns) {
  return std::max(before_ns, after_ns) < (1 + kChange) * std::min(before_ns, after_ns);
}

/// `times` 0: no flood.
void measure(OneWorker& worker, int times, uint32_t overload_packets, const Settings& settings) {
  std::vector<Result> results;
  uint32_t tries = 0;
  double protected_ns = 0, clear_ns = 0;
  for (; results.size() < settings.runs && tries < kTriesPerRun * settings.runs; ++tries) {
    protected_ns = worker.cost_ns(Kind::kProtected);
    clear_ns = worker.cost_ns(Kind::kClear);
    const Result result =
        run(worker, {protected_ns, clear_ns, 2 * protected_ns, times == 0 ? 0 : clear_ns / times,
                     overload_packets, settings.queue_packets});
    if (result.slow_share < kSlowShareMax &&
        is_same_speed(protected_ns, worker.cost_ns(Kind::kProtected)) &&
        is_same_speed(clear_ns, worker.cost_ns(Kind::kClear)))
      results.push_back(result);
  }
  if (results.empty()) {
    std::fprintf(stderr, "screen_flood: %u runs, and this core changed its speed in all of them\n",
                 tries);
    std::exit(EXIT_FAILURE);
  }
  std::printf(
      "{\"flood_times\": %d, \"overload_packets\": %u, \"runs\": %zu, \"thrown_away\": %zu, "
      "\"protected_ns\": %.0f, \"clear_ns\": %.0f, \"protected_lost_share\": %.5f, "
      "\"lost_while_interrupted_share\": %.5f, \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, "
      "\"max\": %.1f}, \"clear_passed_per_s\": %.0f}\n",
      times, overload_packets, results.size(), tries - results.size(), protected_ns, clear_ns,
      median(results, &Result::lost_share), median(results, &Result::interrupted_share),
      median(results, &Result::p50_us), median(results, &Result::p99_us),
      median(results, &Result::max_us), median(results, &Result::clear_passed_per_s));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Registered users under a flood of clear SIP on the same receive queue, in JSON");
  Settings settings;
  app.add_option("--overload-packets", settings.overload_packets, "limits.overload_packets")
      ->check(CLI::Range(1u, 8192u));
  app.add_option("--queue", settings.queue_packets, "packets")->check(CLI::Range(64u, 65'536u));
  app.add_option("--runs", settings.runs, "of each load")->check(CLI::Range(1u, 1000u));
  CLI11_PARSE(app, argc, argv);
  OneWorker worker;
  measure(worker, 0, settings.overload_packets, settings);
  for (const int times : {1, 3, 10}) {
    measure(worker, times, settings.overload_packets, settings);
    measure(worker, times, 0, settings);
  }
  return EXIT_SUCCESS;
}
