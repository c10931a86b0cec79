// What the shipped rules of the SIP screen cost the packet path: nanoseconds of a decrypted packet
// of 600 bytes, a SIP MESSAGE, through the whole pipeline of one core, without and with the screen,
// in turn. Medians over rounds; the ratio is that of the two rounds of a turn, which a machine's
// changes of speed touch alike.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dataplane/gate/rule_loader.h"
#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/pipeline.h"
#include "frame_memory.h"
#include "phones.h"

namespace {

using namespace gmesp;
using ipsec::Packet;

constexpr uint32_t kBurst = 64;
constexpr uint32_t kRounds = 101;
constexpr uint32_t kIpBytes = 600;
constexpr uint32_t kUes = 1000;
constexpr uint32_t kSipBytes = kIpBytes - ipsec::kIpv4HeaderBytesMin - ipsec::kUdpHeaderBytes;

std::string message(uint32_t number, size_t bytes) {
  const std::string user = "user" + std::to_string(number);
  std::string text =
      "MESSAGE sip:peer@home1.net SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5091;branch=z9hG4bK" +
      std::to_string(number) +
      "\r\nMax-Forwards: 70\r\nRoute: <sip:pcscf1.home1.net:5062;lr>\r\nFrom: <sip:" + user +
      "@home1.net>;tag=1\r\nTo: <sip:peer@home1.net>\r\nCall-ID: " + user +
      "\r\nCSeq: 1 MESSAGE\r\nUser-Agent: IMS Phone 14.2\r\nP-Access-Network-Info: "
      "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=2620112340000123\r\nContent-Type: text/plain\r\n"
      "Content-Length: ";
  const size_t body = bytes - text.size() - std::strlen("100\r\n\r\n");
  text += std::to_string(body) + "\r\n\r\n";
  return text + std::string(body, 'a');
}

double round_ns(ipsec::Pipeline& pipeline, bench::FrameMemory& memory, bench::Phones& phones,
                std::mt19937_64& random) {
  std::vector<Packet> packets;
  for (uint32_t i = 0; i < bench::kRoundPackets; ++i) {
    Packet packet = memory.packet(i, 0);
    uint32_t esp_offset = 0;
    packet.length =
        phones.uplink(static_cast<uint32_t>(random() % kUes), kIpBytes, packet.data, esp_offset);
    packets.push_back(packet);
  }
  const uint64_t before = memory.sent;
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t at = 0; at < bench::kRoundPackets; at += kBurst)
    pipeline.process({packets.data() + at, kBurst}, {}, 1000);
  const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
  if (memory.sent - before != bench::kRoundPackets) {
    std::fprintf(stderr, "screen_path: %lu of %u packets went through\n", memory.sent - before,
                 bench::kRoundPackets);
    std::exit(EXIT_FAILURE);
  }
  return passed.count() / bench::kRoundPackets;
}

}  // namespace

int main() {
  screen::SignatureSwap rules;
  gate::CompiledRules compiled = gate::compile_rules({{}, screen::RuleAction::kCount}, 1);
  if (compiled.set == nullptr) return EXIT_FAILURE;
  const size_t rule_count = compiled.set->rules().size();
  rules.publish(compiled.set);
  gate::SipGate gate({}, rules);

  std::vector<std::string> texts;
  for (uint32_t i = 0; i < kUes; ++i) texts.push_back(message(i, kSipBytes));
  ipsec::SaDatabase database(bench::database_for(kUes));
  bench::Phones phones({.ues = kUes, .texts = texts});
  if (!phones.install(database)) return EXIT_FAILURE;
  bench::FrameMemory memory;
  ipsec::PipelineOptions options;
  ipsec::Pipeline without(options, database, memory);
  options.screen = &gate;
  ipsec::Pipeline with(options, database, memory);

  std::mt19937_64 random(1);
  std::vector<double> without_ns, with_ns, ratios;
  for (uint32_t round = 0; round < kRounds; ++round) {
    without_ns.push_back(round_ns(without, memory, phones, random));
    with_ns.push_back(round_ns(with, memory, phones, random));
    ratios.push_back(without_ns.back() / with_ns.back());
  }
  if (rules.current()->totals().scanned != uint64_t{kRounds} * bench::kRoundPackets) {
    std::fprintf(stderr, "screen_path: the screen did not look at every packet\n");
    return EXIT_FAILURE;
  }
  std::printf(
      "{\"bytes\": %u, \"rules\": %zu, \"without_ns\": %.0f, \"with_ns\": %.0f, "
      "\"rate_ratio\": %.3f}\n",
      kIpBytes, rule_count, bench::median(without_ns), bench::median(with_ns),
      bench::median(ratios));
  return EXIT_SUCCESS;
}
