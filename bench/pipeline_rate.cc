// What a packet costs in the loop of one worker, from a port in memory to another; what of it is
// the crypto; and what IPsec-MB alone takes for the same packets in the same run, by its bursts of
// jobs and by its fastest calls. Where it has no lanes for 3DES, OpenSSL alone, which is fifty
// times as fast then.
//
// For every packet a UE is drawn, and one of the two SAs that it has in the packet's direction.
// Packets are made anew for every round, with fresh sequence numbers, outside the measured time.
// The worker always finds a batch waiting. Medians over rounds, the worker and the bare library in
// turn.
#include <fmt/format.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bare_ipsec_mb.h"
#include "crypto/engine.h"
#include "crypto/engine_choice.h"
#include "crypto/ipsec_mb_manager.h"
#include "crypto/openssl_engine.h"
#include "dataplane/worker.h"
#include "frame.h"
#include "median.h"
#include "memory_ports.h"
#include "phones.h"
#include "tsc.h"
#include "ue_draw.h"

namespace {

using namespace gmesp;
using bench::DrawKind;
using bench::median;
using bench::MemoryPorts;
using bench::PhoneOptions;
using bench::Phones;
using bench::UeDraw;
using bench::UeSide;
using dataplane::Worker;
using ipsec::Side;

constexpr uint32_t kRoundPackets = MemoryPorts::kPacketsMax;
/// What waits for the worker, and what the bare library gets at once: the most that a worker takes.
constexpr uint32_t kBatch = 128;
static_assert(kRoundPackets % kBatch == 0);

enum class Traffic : uint8_t { kIn, kOut, kMixed };
constexpr const char* kTrafficNames[] = {"in", "out", "mixed"};
constexpr const char* kDrawNames[] = {"random", "zipf"};

struct Case {
  PhoneOptions phones;
  DrawKind draw;
  uint32_t ip_bytes;
  Traffic traffic;

  /// Of mixed traffic the first half of each batch.
  bool is_inbound(uint32_t at) const {
    return traffic == Traffic::kIn || (traffic == Traffic::kMixed && at % kBatch < kBatch / 2);
  }
};

/// The quiescent states of one worker; nobody waits for them here.
class Reader {
 public:
  Reader() {
    if (rte_rcu_qsbr_init(state_, 1) != 0) throw std::runtime_error("rte_rcu_qsbr");
  }
  rte_rcu_qsbr* get() { return state_; }

 private:
  alignas(RTE_CACHE_LINE_SIZE) uint8_t memory_[4096];
  rte_rcu_qsbr* const state_ = reinterpret_cast<rte_rcu_qsbr*>(memory_);
};

class Measurement {
 public:
  Measurement(MemoryPorts& ports, Phones& phones, const PhoneOptions& options, DrawKind draw,
              ipsec::SaDatabase& database, double ticks)
      : ports_(ports),
        phones_(phones),
        draw_(draw, options.ues, kSeed),
        few_draw_(draw, std::min(kFewUes, options.ues), kSeed),
        worker_(config(), 0, 1, {ports.queues()}, database, no_rules_, ports.buffers(),
                no_handoffs_, reader_.get()),
        manager_(crypto::make_manager(crypto::VectorArch::kAuto)),
        ticks_(ticks) {
    for (uint32_t ue = 0; ue < std::min(kFewUes, options.ues); ++ue)
      keys_.push_back(bench::ready(phones_.keys(ue), options.suite));
  }

  nlohmann::json run(const Case& wanted, uint32_t rounds) {
    std::vector<double> pipeline_ns, bare_ns, fastest_ns, cipher_ns;
    for (uint32_t round = 0; round < rounds + 1; ++round) {
      const Bare bare = run_bare_round(wanted);
      const double ciphering = run_engine_round(wanted);
      const double whole = run_worker_round(wanted);
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
            {"direction", kTrafficNames[static_cast<size_t>(wanted.traffic)]},
            {"draw", kDrawNames[static_cast<size_t>(wanted.draw)]},
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
  static constexpr uint64_t kSeed = 1;
  static constexpr uint32_t kFewUes = 1000;  ///< whose packets the crypto alone gets

  static dataplane::Config config() {
    dataplane::Config config;
    config.workers.idle = dataplane::Config::Idle::kPoll;
    config.screen.enabled = false;
    config.limits.audit_events_per_second = 0;
    return config;
  }

  /// Outbound packets of the round are clear, or ESP all the same. `draw`: among whom.
  void make_packets(const Case& wanted, UeDraw& draw, bool are_all_esp) {
    for (uint32_t i = 0; i < kRoundPackets; ++i) {
      ues_[i] = draw.ue();
      const auto side = draw.coin() ? UeSide::kServer : UeSide::kClient;
      packets_[i] = ports_.make();
      auto* frame = rte_pktmbuf_mtod(packets_[i], uint8_t*);
      const uint32_t length =
          are_all_esp || wanted.is_inbound(i)
              ? phones_.uplink(ues_[i], side, wanted.ip_bytes, frame, esp_offsets_[i])
              : phones_.downlink(ues_[i], side, wanted.ip_bytes, frame);
      packets_[i]->data_len = static_cast<uint16_t>(length);
      packets_[i]->pkt_len = length;
    }
  }

  /// Before each turn as much is put as the one before has sent.
  double run_worker_round(const Case& wanted) {
    make_packets(wanted, draw_, false);
    uint64_t ticks = 0;
    uint32_t put = 0, sent = 0;
    for (uint32_t turns = 0; sent < kRoundPackets; ++turns) {
      if (turns == kRoundPackets)
        throw std::runtime_error(
            fmt::format("{} of {} packets came through the worker", sent, kRoundPackets));
      for (; put < std::min(kRoundPackets, sent + kBatch); ++put)
        ports_.put(wanted.is_inbound(put) ? Side::kAccess : Side::kHost, packets_[put]);
      const uint64_t start = __rdtsc();
      worker_.turn();
      ticks += __rdtsc() - start;
      sent += ports_.take_sent();
    }
    return ns_per_packet(ticks);
  }

  /// What a library alone takes for such packets, already ESP in both directions; of as many UEs,
  /// at most kFewUes.
  struct Bare {
    double burst_ns;    ///< each burst as it comes from memory, like the pipeline's
    double fastest_ns;  ///< the same by the fastest calls
  };

  Bare run_bare_round(const Case& wanted) {
    const bool has_lanes =
        crypto::break_even_jobs(crypto::arch_of(*manager_), wanted.phones.suite,
                                crypto::Direction::kInbound) != crypto::kNeverOnLanes;
    const auto ticks_of = [&](auto& run, std::span<crypto::CryptoJob> jobs) {
      const uint64_t start = __rdtsc();
      if (!has_lanes)
        for (crypto::CryptoJob& job : jobs) openssl_.process(job);
      else if (!run(manager_.get(), jobs))
        throw std::runtime_error("IPsec-MB took fewer packets than it was given");
      return __rdtsc() - start;
    };
    const auto ticks_of_round = [&](auto& run) {
      make_jobs(wanted);
      uint64_t ticks = 0;
      for (const auto& batch : batches(wanted)) ticks += ticks_of(run, batch);
      release_packets();
      return ticks;
    };
    const uint64_t by_bursts = ticks_of_round(bench::run_burst);
    const uint64_t by_fastest = ticks_of_round(bench::run_fastest);
    return {ns_per_packet(by_bursts), ns_per_packet(by_fastest)};
  }

  /// Of one direction each, as the library's calls are.
  std::vector<std::span<crypto::CryptoJob>> batches(const Case& wanted) {
    const uint32_t packets = wanted.traffic == Traffic::kMixed ? kBatch / 2 : kBatch;
    std::vector<std::span<crypto::CryptoJob>> all;
    for (uint32_t at = 0; at < kRoundPackets; at += packets)
      all.push_back(std::span(jobs_).subspan(at, packets));
    return all;
  }

  /// What of the worker's time is the crypto: our engine on packets that are in the cache.
  double run_engine_round(const Case& wanted) {
    make_jobs(wanted);
    uint64_t ticks = 0;
    for (uint32_t at = 0; at < kRoundPackets; at += kBatch) {
      const auto batch = std::span(jobs_).subspan(at, kBatch);
      for (const crypto::CryptoJob& job : batch) bring_to_cache(job);
      const uint64_t start = __rdtsc();
      engine_.process(batch);
      ticks += __rdtsc() - start;
      if (std::ranges::any_of(batch,
                              [](const auto& job) { return job.status != crypto::JobStatus::kOk; }))
        throw std::runtime_error("the engine refused a packet");
    }
    release_packets();
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
    make_packets(wanted, few_draw_, true);
    for (uint32_t i = 0; i < kRoundPackets; ++i)
      jobs_[i] = {&keys_[ues_[i]],
                  rte_pktmbuf_mtod_offset(packets_[i], uint8_t*, esp_offsets_[i]),
                  packets_[i]->data_len - esp_offsets_[i] - crypto::kIcvBytes,
                  wanted.phones.suite,
                  wanted.is_inbound(i) ? crypto::Direction::kInbound : crypto::Direction::kOutbound,
                  crypto::JobStatus::kPending};
  }
  void release_packets() { rte_pktmbuf_free_bulk(packets_.data(), kRoundPackets); }

  double ns_per_packet(uint64_t ticks) const {
    return static_cast<double>(ticks) / ticks_ / kRoundPackets;
  }

  MemoryPorts& ports_;
  Phones& phones_;
  UeDraw draw_, few_draw_;
  Reader reader_;
  screen::SignatureSwap no_rules_;
  dataplane::HandoffMatrix no_handoffs_;
  Worker worker_;
  crypto::Manager manager_;
  crypto::OpenSslEngine openssl_;
  crypto::Engine engine_;
  const double ticks_;
  std::vector<rte_mbuf*> packets_ = std::vector<rte_mbuf*>(kRoundPackets);
  std::vector<uint32_t> esp_offsets_ = std::vector<uint32_t>(kRoundPackets);
  std::vector<uint32_t> ues_ = std::vector<uint32_t>(kRoundPackets);
  std::vector<bench::ReadyKeys> keys_;
  std::vector<crypto::CryptoJob> jobs_ = std::vector<crypto::CryptoJob>(kRoundPackets);
};

struct Arguments {
  std::vector<uint32_t> ues = {1, 1000, 100'000};
  std::vector<uint32_t> sizes = {300, 600, 1400};
  std::vector<Traffic> traffic = {Traffic::kIn, Traffic::kOut};
  DrawKind draw = DrawKind::kRandom;
  PhoneOptions phones;
  uint32_t rounds = 15;
  bool uses_huge_pages = true;
  bool as_json = false;
};

/// A choice by name; the names are told in --help.
template <typename Value>
void add_choice(CLI::App& app, const char* name, auto& value, const char* text,
                const std::map<std::string, Value>& names) {
  std::string all;
  for (const auto& [of_one, _] : names) all += (all.empty() ? "{" : ",") + of_one;
  app.add_option(name, value, text)
      ->transform(CLI::CheckedTransformer(names).description(all + "}"));
}

void add_options(CLI::App& app, Arguments& arguments) {
  PhoneOptions& phones = arguments.phones;
  app.add_option("--ues", arguments.ues, "numbers of UEs, one SA set each")
      ->check(CLI::Range(1u, 4'000'000u))
      ->capture_default_str();
  app.add_option("--sizes", arguments.sizes, "bytes of the clear IP packet")
      ->check(CLI::Range(bench::kIpBytesMin, bench::kIpBytesMax))
      ->capture_default_str();
  add_choice<Traffic>(app, "--direction", arguments.traffic,
                      "ESP in, ESP out, or both in each batch",
                      {{"in", Traffic::kIn}, {"out", Traffic::kOut}, {"mixed", Traffic::kMixed}});
  add_choice<DrawKind>(app, "--draw", arguments.draw,
                       "whose a packet is: anybody's, or the nth one's 1/n as often",
                       {{"random", DrawKind::kRandom}, {"zipf", DrawKind::kZipf}});
  add_choice<crypto::Integrity>(app, "--integrity", phones.suite.integrity, "",
                                {{"hmac-sha-1-96", crypto::Integrity::kHmacSha1_96},
                                 {"hmac-md5-96", crypto::Integrity::kHmacMd5_96}});
  add_choice<crypto::Cipher>(app, "--cipher", phones.suite.cipher, "",
                             {{"aes-cbc", crypto::Cipher::kAesCbc128},
                              {"des-ede3-cbc", crypto::Cipher::kDesEde3Cbc},
                              {"null", crypto::Cipher::kNull}});
  add_choice<bool>(app, "--mode", phones.is_tunnel, "",
                   {{"transport", false}, {"udp-enc-tun", true}});
  add_choice<bool>(app, "--family", phones.is_ipv4, "of IP", {{"4", true}, {"6", false}});
  app.add_option("--rounds", arguments.rounds, "of 4,096 packets each")
      ->check(CLI::Range(3u, 10'000u))
      ->capture_default_str();
  app.add_flag("!--small-pages", arguments.uses_huge_pages, "do without hugepages");
  app.add_flag("--json", arguments.as_json);
}

void print(const nlohmann::json& row) {
  std::printf("%8u %6u  %-6s %-5s %-24s %-12s v%d %10.0f %10.0f %10.0f %10.0f %12.0f %8.2f\n",
              row["ues"].get<uint32_t>(), row["bytes"].get<uint32_t>(),
              row["draw"].get<std::string>().c_str(), row["direction"].get<std::string>().c_str(),
              row["suite"].get<std::string>().c_str(), row["mode"].get<std::string>().c_str(),
              row["family"].get<int>(), row["pipeline_ns"].get<double>(),
              row["bare_ns"].get<double>(), row["fastest_ns"].get<double>(),
              row["ciphering_ns"].get<double>(), row["packets_per_s"].get<double>(),
              row["rate_over_bare"].get<double>());
}

void measure(const Arguments& arguments) {
  const double ticks = bench::ticks_per_ns();
  MemoryPorts ports(arguments.uses_huge_pages);
  if (!arguments.as_json)
    std::printf("%8s %6s  %-6s %-5s %-24s %-12s %-2s %10s %10s %10s %10s %12s %8s\n", "UEs",
                "bytes", "draw", "dir", "suite", "mode", "IP", "ns", "bare ns", "fastest",
                "crypto ns", "packets/s", "of bare");
  nlohmann::json rows = nlohmann::json::array();
  for (const uint32_t ues : arguments.ues) {
    PhoneOptions options = arguments.phones;
    options.ues = ues;
    Phones phones(options);
    ipsec::SaDatabase database(bench::database_for(ues));
    if (!phones.install(database)) throw std::runtime_error("a set was refused");
    Measurement measurement(ports, phones, options, arguments.draw, database, ticks);
    for (const uint32_t bytes : arguments.sizes)
      for (const Traffic traffic : arguments.traffic) {
        rows.push_back(
            measurement.run({options, arguments.draw, bytes, traffic}, arguments.rounds));
        if (!arguments.as_json) print(rows.back());
      }
  }
  if (arguments.as_json) std::puts(rows.dump(2).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Cost of a packet in the loop of one worker, and of its crypto alone");
  Arguments arguments;
  add_options(app, arguments);
  CLI11_PARSE(app, argc, argv);
  settings::set_up_log("pipeline_rate", settings::LogLevel::kWarning, settings::LogFormat::kText);
  try {
    measure(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pipeline_rate: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
