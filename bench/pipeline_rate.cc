// What a packet costs in the whole pipeline of one core, from memory to memory; what of it is the
// crypto; and what IPsec-MB alone takes for the same packets in the same run, by its bursts of jobs
// and by its fastest calls. Where it has no lanes for 3DES, OpenSSL alone, which is fifty times as
// fast then.
//
// UEs are drawn at random for every packet; inbound packets are made anew for every round, with
// fresh sequence numbers, outside the measured time. Medians over rounds, the pipeline and the bare
// library in turn.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "bare_ipsec_mb.h"
#include "crypto/engine.h"
#include "crypto/engine_choice.h"
#include "crypto/ipsec_mb_manager.h"
#include "crypto/openssl_engine.h"
#include "dataplane/ipsec/pipeline.h"
#include "frame_memory.h"
#include "phones.h"
#include "tsc.h"

namespace {

using namespace gmesp;
using bench::FrameMemory;
using bench::kRoundPackets;
using bench::median;
using bench::PhoneOptions;
using bench::Phones;
using ipsec::Packet;
using ipsec::Side;

constexpr uint32_t kBurst = 64;

struct Case {
  PhoneOptions phones;
  uint32_t ip_bytes;
  bool is_inbound;
};

class Measurement {
 public:
  Measurement(Phones& phones, ipsec::SaDatabase& database, double ticks)
      : phones_(phones),
        pipeline_(options(), database, memory_),
        manager_(crypto::make_manager(crypto::VectorArch::kAuto)),
        ticks_(ticks) {}

  nlohmann::json run(const Case& wanted, uint32_t rounds) {
    std::vector<double> pipeline_ns, bare_ns, fastest_ns, cipher_ns;
    for (uint32_t round = 0; round < rounds + 1; ++round) {
      const Bare bare = run_bare_round(wanted);
      const double ciphering = run_engine_round(wanted);
      const double whole = run_pipeline_round(wanted);
      if (round == 0) continue;  // caches and page tables
      bare_ns.push_back(bare.burst_ns);
      fastest_ns.push_back(bare.fastest_ns);
      cipher_ns.push_back(ciphering);
      pipeline_ns.push_back(whole);
    }
    const double whole = median(pipeline_ns);
    const double bare = median(bare_ns);
    const double fastest = median(fastest_ns);
    const double ciphering = median(cipher_ns);
    return {{"ues", wanted.phones.ues},
            {"bytes", wanted.ip_bytes},
            {"direction", wanted.is_inbound ? "in" : "out"},
            {"suite", std::string(crypto::info(wanted.phones.suite.cipher).name) + "/" +
                          std::string(crypto::info(wanted.phones.suite.integrity).name)},
            {"mode", wanted.phones.is_tunnel ? "udp-enc-tun" : "transport"},
            {"family", wanted.phones.is_ipv4 ? 4 : 6},
            {"pipeline_ns", whole},
            {"bare_ns", bare},
            {"fastest_ns", fastest},
            {"ciphering_ns", ciphering},
            {"packets_per_s", 1e9 / whole},
            {"rate_over_bare", bare / whole},
            {"rate_over_fastest", fastest / whole}};
  }

 private:
  static ipsec::PipelineOptions options() {
    ipsec::PipelineOptions options;
    options.audit_events_per_second = 0;
    return options;
  }

  void make_packets(const Case& wanted) {
    packets_.clear();
    esp_offsets_.resize(kRoundPackets);
    ues_.resize(kRoundPackets);
    for (uint32_t i = 0; i < kRoundPackets; ++i) {
      ues_[i] = static_cast<uint32_t>(random_() % wanted.phones.ues);
      const uint32_t length =
          wanted.is_inbound
              ? phones_.uplink(ues_[i], wanted.ip_bytes, memory_.frame(i), esp_offsets_[i])
              : phones_.downlink(ues_[i], wanted.ip_bytes, memory_.frame(i));
      packets_.push_back(memory_.packet(i, length));
    }
  }

  double run_pipeline_round(const Case& wanted) {
    make_packets(wanted);
    const uint64_t sent_before = memory_.sent;
    const uint64_t start = __rdtsc();
    for (uint32_t at = 0; at < kRoundPackets; at += kBurst) {
      const std::span<Packet> burst(packets_.data() + at, kBurst);
      if (wanted.is_inbound)
        pipeline_.process(burst, {}, 1000);
      else
        pipeline_.process({}, burst, 1000);
    }
    const uint64_t ticks = __rdtsc() - start;
    if (memory_.sent - sent_before != kRoundPackets) {
      std::fprintf(stderr, "pipeline_rate: %lu of %u packets went through\n",
                   memory_.sent - sent_before, kRoundPackets);
      std::exit(EXIT_FAILURE);
    }
    return ns_per_packet(ticks);
  }

  /// What a library alone takes for such packets, already ESP in both directions; of as many UEs,
  /// at most 1,000.
  struct Bare {
    double burst_ns;    ///< each burst as it comes from memory, like the pipeline's
    double fastest_ns;  ///< the same by the fastest calls
  };

  Bare run_bare_round(const Case& wanted) {
    const bool has_lanes =
        crypto::break_even_jobs(crypto::arch_of(*manager_), wanted.phones.suite,
                                crypto::Direction::kInbound) != crypto::kNeverOnLanes;
    const auto ticks_of = [&](auto& run, uint32_t at) {
      const auto burst = std::span(jobs_).subspan(at, kBurst);
      const uint64_t start = __rdtsc();
      if (has_lanes)
        run(manager_.get(), burst);
      else
        for (crypto::CryptoJob& job : burst) openssl_.process(job);
      return __rdtsc() - start;
    };
    uint64_t by_bursts = 0, by_fastest = 0;
    make_jobs(wanted);
    for (uint32_t at = 0; at < kRoundPackets; at += kBurst)
      by_bursts += ticks_of(bench::run_burst, at);
    make_jobs(wanted);
    for (uint32_t at = 0; at < kRoundPackets; at += kBurst)
      by_fastest += ticks_of(bench::run_fastest, at);
    return {ns_per_packet(by_bursts), ns_per_packet(by_fastest)};
  }

  /// What of the pipeline's time is the crypto: our engine on packets that are in the cache.
  double run_engine_round(const Case& wanted) {
    make_jobs(wanted);
    uint64_t ticks = 0;
    for (uint32_t at = 0; at < kRoundPackets; at += kBurst) {
      const auto burst = std::span(jobs_).subspan(at, kBurst);
      for (const crypto::CryptoJob& job : burst) bring_to_cache(job);
      const uint64_t start = __rdtsc();
      engine_.process(burst);
      ticks += __rdtsc() - start;
      if (std::any_of(burst.begin(), burst.end(),
                      [](const auto& job) { return job.status != crypto::JobStatus::kOk; })) {
        std::fputs("pipeline_rate: the engine refused a packet\n", stderr);
        std::exit(EXIT_FAILURE);
      }
    }
    return ns_per_packet(ticks);
  }

  static void bring_to_cache(const crypto::CryptoJob& job) {
    constexpr uint32_t kLineBytes = 64;
    const auto read = [](const void* from, size_t bytes) {
      const volatile auto* at = static_cast<const volatile uint8_t*>(from);
      for (size_t i = 0; i < bytes; i += kLineBytes) static_cast<void>(at[i]);
    };
    read(job.keys, sizeof *job.keys);
    read(job.esp, job.esp_bytes + crypto::kIcvBytes);
  }

  void make_jobs(const Case& wanted) {
    constexpr uint32_t kUesMax = 1000;
    Case few = wanted;
    few.phones.ues = std::min(kUesMax, wanted.phones.ues);
    few.is_inbound = true;
    make_packets(few);
    if (keys_.size() != few.phones.ues) {
      keys_.resize(few.phones.ues);
      for (uint32_t ue = 0; ue < few.phones.ues; ++ue)
        keys_[ue] = bench::ready(phones_.keys(ue), wanted.phones.suite);
    }
    jobs_.resize(kRoundPackets);
    for (uint32_t i = 0; i < kRoundPackets; ++i) {
      const Packet& packet = packets_[i];
      jobs_[i] = {&keys_[ues_[i]],
                  packet.data + esp_offsets_[i],
                  packet.length - esp_offsets_[i] - crypto::kIcvBytes,
                  wanted.phones.suite,
                  wanted.is_inbound ? crypto::Direction::kInbound : crypto::Direction::kOutbound,
                  crypto::JobStatus::kPending};
    }
  }

  double ns_per_packet(uint64_t ticks) const {
    return static_cast<double>(ticks) / ticks_ / kRoundPackets;
  }

  Phones& phones_;
  FrameMemory memory_;
  ipsec::Pipeline pipeline_;
  crypto::Manager manager_;
  crypto::OpenSslEngine openssl_;
  crypto::Engine engine_;
  const double ticks_;
  std::mt19937_64 random_{1};
  std::vector<Packet> packets_;
  std::vector<uint32_t> esp_offsets_;
  std::vector<uint32_t> ues_;
  std::vector<bench::ReadyKeys> keys_;
  std::vector<crypto::CryptoJob> jobs_;
};

void print(const nlohmann::json& row) {
  std::printf("%8u %6u  %-4s %-24s %-12s v%d %10.0f %10.0f %10.0f %10.0f %12.0f %8.2f\n",
              row["ues"].get<uint32_t>(), row["bytes"].get<uint32_t>(),
              row["direction"].get<std::string>().c_str(), row["suite"].get<std::string>().c_str(),
              row["mode"].get<std::string>().c_str(), row["family"].get<int>(),
              row["pipeline_ns"].get<double>(), row["bare_ns"].get<double>(),
              row["fastest_ns"].get<double>(), row["ciphering_ns"].get<double>(),
              row["packets_per_s"].get<double>(), row["rate_over_bare"].get<double>());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Cost of a packet in the pipeline of one core, and of its crypto alone");
  std::vector<uint32_t> ues = {1, 1000, 100'000};
  std::vector<uint32_t> sizes = {300, 600, 1400};
  std::string integrity = "hmac-sha-1-96", cipher = "aes-cbc", mode = "transport";
  int family = 4;
  uint32_t rounds = 15;
  bool as_json = false;
  app.add_option("--ues", ues, "numbers of UEs, one SA set each");
  app.add_option("--sizes", sizes, "bytes of the clear IP packet")->check(CLI::Range(100u, 1400u));
  app.add_option("--integrity", integrity)->check(CLI::IsMember({"hmac-sha-1-96", "hmac-md5-96"}));
  app.add_option("--cipher", cipher)->check(CLI::IsMember({"aes-cbc", "des-ede3-cbc", "null"}));
  app.add_option("--mode", mode)->check(CLI::IsMember({"transport", "udp-enc-tun"}));
  app.add_option("--family", family)->check(CLI::IsMember({4, 6}));
  app.add_option("--rounds", rounds, "of 4,096 packets each")->check(CLI::Range(3u, 10'000u));
  app.add_flag("--json", as_json);
  CLI11_PARSE(app, argc, argv);

  PhoneOptions options;
  options.suite = {
      integrity == "hmac-md5-96" ? crypto::Integrity::kHmacMd5_96 : crypto::Integrity::kHmacSha1_96,
      cipher == "aes-cbc"        ? crypto::Cipher::kAesCbc128
      : cipher == "des-ede3-cbc" ? crypto::Cipher::kDesEde3Cbc
                                 : crypto::Cipher::kNull};
  options.is_tunnel = mode == "udp-enc-tun";
  options.is_ipv4 = family == 4;
  const double ticks = bench::ticks_per_ns();
  if (!as_json)
    std::printf("%8s %6s  %-4s %-24s %-12s %-2s %10s %10s %10s %10s %12s %8s\n", "UEs", "bytes",
                "dir", "suite", "mode", "IP", "ns", "bare ns", "fastest", "crypto ns", "packets/s",
                "of bare");
  nlohmann::json rows = nlohmann::json::array();
  for (const uint32_t count : ues) {
    options.ues = count;
    Phones phones(options);
    ipsec::SaDatabase database(bench::database_for(count));
    if (!phones.install(database)) return EXIT_FAILURE;
    Measurement measurement(phones, database, ticks);
    for (const uint32_t bytes : sizes)
      for (const bool is_inbound : {true, false}) {
        rows.push_back(measurement.run({options, bytes, is_inbound}, rounds));
        if (!as_json) print(rows.back());
      }
  }
  if (as_json) std::puts(rows.dump(2).c_str());
}
