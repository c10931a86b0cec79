// What the SIP screen takes of the packet path: through the whole pipeline of one core, without and
// with the screen, in turn, for packets of 600 bytes, decrypted MESSAGEs and a flood of clear
// REGISTERs, and for the shipped rules, 100 and 1,000 rules. Both pipelines take turns within a
// round, a few bursts each, so that a machine's changes of speed touch both alike; medians over
// rounds, the ratio too.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "dataplane/gate/rule_loader.h"
#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/pipeline.h"
#include "frame_memory.h"
#include "made_sip.h"
#include "median.h"
#include "phones.h"

namespace {

using namespace gmesp;
using ipsec::Packet;

constexpr uint32_t kBurst = 64;
constexpr uint32_t kTurnPackets = 4 * kBurst;
constexpr uint32_t kRounds = 101;
constexpr uint32_t kIpBytes = 600;
constexpr uint32_t kUes = 1000;
constexpr uint32_t kSipBytes = kIpBytes - ipsec::kIpv4HeaderBytesMin - ipsec::kUdpHeaderBytes;

struct Traffic {
  const char* name;
  const char* method;
  bool is_protected;
};

/// Frames of one kind of traffic, made outside of what is measured.
class Frames {
 public:
  explicit Frames(const Traffic& traffic)
      : traffic_(traffic), texts_(texts(traffic)), phones_({.ues = kUes, .texts = texts_}) {}

  bench::Phones& phones() { return phones_; }

  std::vector<Packet> make(bench::FrameMemory& memory) {
    std::vector<Packet> packets;
    for (uint32_t i = 0; i < bench::kRoundPackets; ++i) {
      packets.push_back(memory.packet(i, 0));
      packets.back().length = write(static_cast<uint32_t>(random_() % kUes), packets.back().data);
    }
    return packets;
  }

 private:
  static std::vector<std::string> texts(const Traffic& traffic) {
    std::mt19937 random(2);
    std::vector<std::string> texts;
    for (uint32_t i = 0; i < kUes; ++i)
      texts.push_back(bench::made_message(traffic.method, kSipBytes, random));
    return texts;
  }
  uint32_t write(uint32_t ue, uint8_t* frame) {
    uint32_t esp_offset = 0;
    if (traffic_.is_protected)
      return phones_.uplink(ue, bench::UeSide::kClient, kIpBytes, frame, esp_offset);
    return phones_.clear_sip(ue, kIpBytes, frame);
  }

  const Traffic traffic_;
  const std::vector<std::string> texts_;
  bench::Phones phones_;
  std::mt19937_64 random_{1};
};

double turn_ns(ipsec::Pipeline& pipeline, std::span<Packet> packets) {
  const auto start = std::chrono::steady_clock::now();
  for (size_t at = 0; at < packets.size(); at += kBurst)
    pipeline.process(packets.subspan(at, kBurst), {}, 1000);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

/// Nanoseconds a packet.
struct Round {
  double without_ns = 0, with_ns = 0;
};

Round measure_round(ipsec::Pipeline& without, ipsec::Pipeline& with, bench::FrameMemory& memory,
                    Frames& frames) {
  std::vector<Packet> packets = frames.make(memory);
  const uint64_t before = memory.sent;
  Round round;
  for (uint32_t turn = 0; turn < bench::kRoundPackets / kTurnPackets; ++turn) {
    const std::span some(packets.data() + turn * kTurnPackets, kTurnPackets);
    // without, with, with, without: a speed that rises or falls is no one's gain.
    if (turn % 4 == 0 || turn % 4 == 3)
      round.without_ns += turn_ns(without, some);
    else
      round.with_ns += turn_ns(with, some);
  }
  if (memory.sent - before != bench::kRoundPackets) {
    std::fprintf(stderr, "screen_path: %lu of %u packets went through\n", memory.sent - before,
                 bench::kRoundPackets);
    std::exit(EXIT_FAILURE);
  }
  constexpr double kHalf = bench::kRoundPackets / 2.0;
  return {round.without_ns / kHalf, round.with_ns / kHalf};
}

/// `count` 0: those that come with gmespd.
std::unique_ptr<screen::SignatureSet> compiled_rules(size_t count) {
  if (count == 0) return gate::compile_rules({{}, screen::RuleAction::kCount}, 1).set;
  std::vector<settings::Error> errors;
  return screen::SignatureSet::compile(bench::made_rules(count), 1, errors);
}

bool measure(const Traffic& traffic, size_t made) {
  std::unique_ptr<screen::SignatureSet> set = compiled_rules(made);
  if (set == nullptr) return false;
  const size_t rule_count = set->rules().size();
  screen::SignatureSwap rules;
  rules.publish(set);
  gate::GateOptions gate_options;
  gate_options.ports.add(bench::kSipPort);
  gate::SipGate gate(gate_options, rules);

  Frames frames(traffic);
  ipsec::SaDatabase database(bench::database_for(kUes));
  if (!frames.phones().install(database)) return false;
  bench::FrameMemory memory;
  ipsec::PipelineOptions options;
  ipsec::Pipeline without(options, database, memory);
  options.screen = &gate;
  ipsec::Pipeline with(options, database, memory);

  std::vector<double> without_ns, with_ns, ratios;
  for (uint32_t round = 0; round < kRounds; ++round) {
    const Round ns = measure_round(without, with, memory, frames);
    without_ns.push_back(ns.without_ns);
    with_ns.push_back(ns.with_ns);
    ratios.push_back(without_ns.back() / with_ns.back());
  }
  if (rules.current()->totals().scanned != uint64_t{kRounds} * bench::kRoundPackets / 2) {
    std::fprintf(stderr, "screen_path: the rules did not look at every packet of theirs\n");
    return false;
  }
  const double ratio = bench::median(ratios), ns = bench::median(with_ns);
  std::printf(
      "{\"traffic\": \"%s\", \"bytes\": %u, \"rules\": %zu, \"shipped\": %s, "
      "\"without_ns\": %.0f, \"with_ns\": %.0f, \"gbit_per_s\": %.2f, \"rate_ratio\": %.3f, "
      "\"screen_share_of_time\": %.3f}\n",
      traffic.name, kIpBytes, rule_count, made == 0 ? "true" : "false", bench::median(without_ns),
      ns, kIpBytes * 8 / ns, ratio, 1 - ratio);
  return true;
}

}  // namespace

int main() {
  const Traffic kinds[] = {{"decrypted MESSAGE", "MESSAGE", true},
                           {"clear REGISTER", "REGISTER", false}};
  for (const Traffic& traffic : kinds)
    for (const size_t made : {0, 100, 1000})
      if (!measure(traffic, made)) return EXIT_FAILURE;
  return EXIT_SUCCESS;
}
