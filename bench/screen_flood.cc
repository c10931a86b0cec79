// What a flood of clear SIP does to registered users on the same receive queue of one worker:
// protected packets lost and their latency, without a flood, and with one at ten times what the
// worker can take, with and without shedding.
//
// The queue is a list in memory with the room of a NIC's queue, and time is the worker's: packets
// arrive at fixed intervals, and the clock goes forward by the CPU time that the pipeline takes for
// each burst. So nothing else on the machine decides what is lost.
//
// Capacities are measured first: that of REGISTERs that the screen passes, and that of protected
// packets, each alone. Protected traffic is half of its capacity.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "dataplane/gate/rule_loader.h"
#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/load_watch.h"
#include "dataplane/ipsec/pipeline.h"
#include "frame_memory.h"
#include "phones.h"

namespace {

using namespace gmesp;
using ipsec::Packet;

constexpr uint32_t kBurst = 64, kUes = 1000, kIpBytes = 600;
constexpr uint32_t kCalibrationBursts = 500;
constexpr double kRunNs = 200e6;
constexpr uint16_t kSipPort = 5060;

/// Of this thread: what others do on a shared core does not count.
double cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::string register_text() {
  std::string text =
      "REGISTER sip:home1.net SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.1:5060;branch=z9hG4bKnashds7\r\n"
      "Max-Forwards: 70\r\nFrom: <sip:user1@home1.net>;tag=4fa3\r\nTo: <sip:user1@home1.net>\r\n"
      "Contact: <sip:10.9.0.1:5060>;expires=600000\r\nCall-ID: apb03a0s09dkjdfglkj49111\r\n"
      "Authorization: Digest username=\"user1@home1.net\",realm=\"home1.net\",nonce=\"\","
      "uri=\"sip:home1.net\",response=\"\"\r\nCSeq: 1 REGISTER\r\nSupported: path\r\n";
  constexpr uint32_t kSipBytes =
      kIpBytes - ipsec::kIpv4HeaderBytesMin - ipsec::kUdpHeaderBytes - 40;
  text += "User-Agent: " + std::string(kSipBytes - text.size(), 'p') + "\r\n";
  return text + "Content-Length: 0\r\n\r\n";
}

enum class Kind : uint8_t { kProtected, kClear };

struct Arrival {
  Kind kind;
  double at_ns;
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
    pipeline_ = std::make_unique<ipsec::Pipeline>(options, database_, memory_);
    const std::string text = register_text();
    const std::vector<std::string> texts = {text};
    bench::Phones clear({.ues = kUes, .texts = texts});
    register_.resize(bench::kFrameBufferBytes);
    register_.resize(clear.downlink(0, kIpBytes, register_.data()));
    uint8_t* udp = register_.data() + ipsec::kEthernetBytes + ipsec::kIpv4HeaderBytesMin;
    ipsec::store_be16(udp, kSipPort);
    ipsec::store_be16(udp + 2, kSipPort);
    ipsec::store_be16(udp + 6, 0);
  }

  /// CPU time of one burst. Frames are made outside of it.
  double process_ns(std::span<const Arrival> burst, bool is_overloaded) {
    std::vector<Packet> packets;
    for (const Arrival& arrival : burst) {
      packets.push_back(memory_.packet(static_cast<uint32_t>(packets.size()), 0));
      fill(packets.back(), arrival.kind);
    }
    pipeline_->set_overloaded(is_overloaded);
    const double start = cpu_ns();
    pipeline_->process(packets, {}, now_ms_);
    return cpu_ns() - start;
  }

  /// Nanoseconds a packet of one kind, in full bursts.
  double cost_ns(Kind kind) {
    const std::vector<Arrival> burst(kBurst, {kind, 0});
    std::vector<double> costs;
    for (uint32_t i = 0; i < kCalibrationBursts; ++i)
      costs.push_back(process_ns(burst, false) / kBurst);
    return bench::median(costs);
  }

  uint64_t count(ipsec::Statistic statistic) const { return pipeline_->counters().get(statistic); }

 private:
  static gate::GateOptions gate_options() {
    gate::GateOptions options;
    options.ports.add(kSipPort);
    return options;
  }
  /// Sources are as many as a forger likes.
  void fill(Packet& packet, Kind kind) {
    if (kind == Kind::kProtected) {
      uint32_t esp_offset = 0;
      packet.length = phones_.uplink(++ue_ % kUes, kIpBytes, packet.data, esp_offset);
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
  bench::FrameMemory memory_;
  screen::SignatureSwap rules_;
  gate::SipGate gate_;
  std::unique_ptr<ipsec::Pipeline> pipeline_;
  std::vector<uint8_t> register_;
  uint32_t ue_ = 0, source_ = 0;
  uint64_t now_ms_ = 1000;
};

struct Load {
  double protected_every_ns;
  double clear_every_ns;  ///< 0: no flood
  uint32_t overload_polls;
  uint32_t queue_packets;
};

void run(const char* name, OneWorker& worker, const Load& load) {
  ipsec::LoadWatch watch(load.overload_polls);
  std::deque<Arrival> queue;
  std::vector<double> latencies;
  uint64_t protected_lost = 0, clear_lost = 0, sent = 0, clear_sent = 0;
  double now = 0, next_protected = 0, next_clear = 0, last_loss = 0;
  const uint64_t decrypted = worker.count(ipsec::Statistic::kEspInPackets);
  const uint64_t passed = worker.count(ipsec::Statistic::kSipMethodAllowed);
  const auto arrive = [&](Kind kind, double& at, double every, uint64_t& count, uint64_t& lost) {
    ++count;
    if (queue.size() < load.queue_packets) {
      queue.push_back({kind, at});
    } else {
      ++lost;
      if (kind == Kind::kProtected) last_loss = at;
    }
    at += every;
  };
  while (now < kRunNs) {
    while (std::min(next_protected, load.clear_every_ns > 0 ? next_clear : now + 1) <= now)
      if (load.clear_every_ns == 0 || next_protected <= next_clear)
        arrive(Kind::kProtected, next_protected, load.protected_every_ns, sent, protected_lost);
      else
        arrive(Kind::kClear, next_clear, load.clear_every_ns, clear_sent, clear_lost);
    const size_t count = std::min<size_t>(queue.size(), kBurst);
    const bool is_overloaded = watch.on_poll(count == kBurst, static_cast<uint64_t>(now / 1e6));
    if (count == 0) {
      now = load.clear_every_ns > 0 ? std::min(next_protected, next_clear) : next_protected;
      continue;
    }
    const std::vector<Arrival> burst(queue.begin(), queue.begin() + static_cast<long>(count));
    queue.erase(queue.begin(), queue.begin() + static_cast<long>(count));
    now += worker.process_ns(burst, is_overloaded);
    for (const Arrival& arrival : burst)
      if (arrival.kind == Kind::kProtected) latencies.push_back(now - arrival.at_ns);
  }
  std::ranges::sort(latencies);
  const auto at = [&](double part) {
    return latencies[static_cast<size_t>(part * static_cast<double>(latencies.size() - 1))] / 1e3;
  };
  const uint64_t behind_queue =
      latencies.size() - (worker.count(ipsec::Statistic::kEspInPackets) - decrypted);
  std::printf(
      "{\"load\": \"%s\", \"protected_sent\": %lu, \"lost_in_queue\": %lu, \"last_loss_ms\": %.1f, "
      "\"lost_behind_queue\": %lu, \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
      "\"clear_sent\": %lu, \"clear_lost_in_queue\": %lu, \"clear_passed\": %lu}\n",
      name, sent, protected_lost, last_loss / 1e6, behind_queue, at(0.5), at(0.99), at(1),
      clear_sent, clear_lost, worker.count(ipsec::Statistic::kSipMethodAllowed) - passed);
  const bool has_flood = load.clear_every_ns > 0;
  if (behind_queue != 0 ||
      (has_flood && worker.count(ipsec::Statistic::kSipMethodAllowed) == passed))
    std::exit(EXIT_FAILURE);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Registered users under a flood of clear SIP on the same receive queue, in JSON");
  uint32_t polls = 8, queue = 1024;
  app.add_option("--overload-polls", polls, "full bursts in a row that mean overload (limits)");
  app.add_option("--queue", queue, "packets")->check(CLI::Range(64u, 65'536u));
  CLI11_PARSE(app, argc, argv);
  OneWorker worker;
  const double protected_ns = worker.cost_ns(Kind::kProtected);
  const double clear_ns = worker.cost_ns(Kind::kClear);
  std::printf("{\"protected_ns\": %.0f, \"clear_ns\": %.0f}\n", protected_ns, clear_ns);
  const double half = 2 * protected_ns;
  run("protected alone", worker, {half, 0, polls, queue});
  for (const int times : {1, 3, 10}) {
    const std::string name = "clear flood of " + std::to_string(times) + " times";
    run(name.c_str(), worker, {half, clear_ns / times, polls, queue});
    run((name + ", nothing shed").c_str(), worker, {half, clear_ns / times, 0, queue});
  }
  return EXIT_SUCCESS;
}
