#include "population.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "crypto/engine_choice.h"
#include "tsc.h"

namespace gmesp::bench {
namespace {

constexpr uint64_t kSeed = 1;
/// What waits for the worker, and what the bare library gets at once: the most that a worker takes.
constexpr uint32_t kBatch = 128;
static_assert(Population::kRoundPackets % kBatch == 0);
/// Whose packets the crypto alone gets: their keys are in the cache.
constexpr uint32_t kFewUes = 1000;

dataplane::Config config() {
  dataplane::Config config;
  config.workers.idle = dataplane::Config::Idle::kPoll;
  config.screen.enabled = false;
  config.limits.audit_events_per_second = 0;
  return config;
}

void bring_to_cache(const crypto::CryptoJob& job) {
  constexpr uint32_t kLineBytes = 64;
  const auto read = [](const void* from, size_t bytes) {
    const volatile auto* at = static_cast<const volatile uint8_t*>(from);
    for (size_t i = 0; i < bytes; i += kLineBytes) static_cast<void>(at[i]);
  };
  read(job.keys, sizeof *job.keys);
  read(job.esp, job.esp_bytes + crypto::kIcvBytes);
}

}  // namespace

Population::Reader::Reader() {
  if (rte_rcu_qsbr_init(state_, 1) != 0) throw std::runtime_error("rte_rcu_qsbr");
}

/// Of mixed traffic the first half of each batch.
bool Population::Load::is_inbound(uint32_t at) const {
  return traffic == Traffic::kIn || (traffic == Traffic::kMixed && at % kBatch < kBatch / 2);
}

Population::Population(MemoryPorts& ports, const PhoneOptions& options, DrawKind draw)
    : options_(options),
      ticks_per_ns_(ticks_per_ns()),
      ports_(ports),
      phones_(options),
      database_(database_for(options.ues)),
      draw_(draw, options.ues, kSeed),
      few_draw_(draw, std::min(kFewUes, options.ues), kSeed),
      worker_(config(), 0, 1, {ports.queues()}, database_, no_rules_, ports.buffers(), no_handoffs_,
              reader_.get()),
      manager_(crypto::make_manager(crypto::VectorArch::kAuto)) {
  if (!phones_.install(database_)) throw std::runtime_error("a set was refused");
  for (uint32_t ue = 0; ue < std::min(kFewUes, options.ues); ++ue)
    keys_.push_back(ready(phones_.keys(ue), options.suite));
}

Round Population::round(uint32_t ip_bytes, Traffic traffic) {
  const Load load = {ip_bytes, traffic};
  Round round;
  round.bare_ns = run_bare(load, run_burst);
  round.fastest_ns = run_bare(load, run_fastest);
  round.ciphering_ns = run_engine(load);
  round.whole_ns = run_worker(load);
  return round;
}

/// Outbound packets of the round are clear, or ESP all the same. `draw`: among whom.
void Population::make_packets(const Load& load, UeDraw& draw, bool are_all_esp) {
  for (uint32_t i = 0; i < kRoundPackets; ++i) {
    ues_[i] = draw.ue();
    const auto side = draw.coin() ? UeSide::kServer : UeSide::kClient;
    packets_[i] = ports_.make();
    auto* frame = rte_pktmbuf_mtod(packets_[i], uint8_t*);
    const uint32_t length =
        are_all_esp || load.is_inbound(i)
            ? phones_.uplink(ues_[i], side, load.ip_bytes, frame, esp_offsets_[i])
            : phones_.downlink(ues_[i], side, load.ip_bytes, frame);
    packets_[i]->data_len = static_cast<uint16_t>(length);
    packets_[i]->pkt_len = length;
  }
}

/// Before each turn as much is put as the one before has sent: a batch always waits.
double Population::run_worker(const Load& load) {
  make_packets(load, draw_, false);
  uint64_t ticks = 0;
  uint32_t put = 0, sent = 0;
  for (uint32_t turns = 0; sent < kRoundPackets; ++turns) {
    if (turns == kRoundPackets)
      throw std::runtime_error(
          fmt::format("{} of {} packets came through the worker", sent, kRoundPackets));
    for (; put < std::min(kRoundPackets, sent + kBatch); ++put)
      ports_.put(load.is_inbound(put) ? ipsec::Side::kAccess : ipsec::Side::kHost, packets_[put]);
    const uint64_t start = __rdtsc();
    worker_.turn();
    ticks += __rdtsc() - start;
    sent += ports_.take_sent();
  }
  return ns_per_packet(ticks);
}

/// Of such packets, already ESP in both directions.
double Population::run_bare(const Load& load, bool (*run)(IMB_MGR*, std::span<crypto::CryptoJob>)) {
  const bool has_lanes =
      crypto::break_even_jobs(crypto::arch_of(*manager_), options_.suite,
                              crypto::Direction::kInbound) != crypto::kNeverOnLanes;
  make_jobs(load);
  uint64_t ticks = 0;
  for (const auto& batch : batches(load.traffic)) {
    const uint64_t start = __rdtsc();
    if (!has_lanes)
      for (crypto::CryptoJob& job : batch) openssl_.process(job);
    else if (!run(manager_.get(), batch))
      throw std::runtime_error("IPsec-MB took fewer packets than it was given");
    ticks += __rdtsc() - start;
  }
  release_packets();
  return ns_per_packet(ticks);
}

/// Of one direction each, as the library's calls are.
std::vector<std::span<crypto::CryptoJob>> Population::batches(Traffic traffic) {
  const uint32_t packets = traffic == Traffic::kMixed ? kBatch / 2 : kBatch;
  std::vector<std::span<crypto::CryptoJob>> all;
  for (uint32_t at = 0; at < kRoundPackets; at += packets)
    all.push_back(std::span(jobs_).subspan(at, packets));
  return all;
}

double Population::run_engine(const Load& load) {
  make_jobs(load);
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

void Population::make_jobs(const Load& load) {
  make_packets(load, few_draw_, true);
  for (uint32_t i = 0; i < kRoundPackets; ++i)
    jobs_[i] = {&keys_[ues_[i]],
                rte_pktmbuf_mtod_offset(packets_[i], uint8_t*, esp_offsets_[i]),
                packets_[i]->data_len - esp_offsets_[i] - crypto::kIcvBytes,
                options_.suite,
                load.is_inbound(i) ? crypto::Direction::kInbound : crypto::Direction::kOutbound,
                crypto::JobStatus::kPending};
}

void Population::release_packets() {
  rte_pktmbuf_free_bulk(packets_.data(), kRoundPackets);
}

double Population::ns_per_packet(uint64_t ticks) const {
  return static_cast<double>(ticks) / ticks_per_ns_ / kRoundPackets;
}

}  // namespace gmesp::bench
