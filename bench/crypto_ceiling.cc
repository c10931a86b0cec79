// What ciphering costs: nanoseconds per packet by suite, direction, size and batch, on IPsec-MB and
// on OpenSSL called directly, through each of our two engines, and through the choice between them.
//
// One core, 64 SAs in turn with hot keys, every batch finished before the next, every packet's ICV
// genuine. Medians. Of 3DES only a batch of one is measured where IPsec-MB has no lanes for it
// (anything but AVX-512): it takes two microseconds for a byte there.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "bare_ipsec_mb.h"
#include "bare_openssl.h"
#include "crypto/engine.h"
#include "crypto/engine_choice.h"
#include "crypto/ipsec_mb_engine.h"
#include "crypto/job_check.h"
#include "crypto/openssl_engine.h"
#include "median.h"
#include "tsc.h"

namespace {

using namespace gmesp::crypto;
using gmesp::bench::BareOpenSsl;
using gmesp::bench::ready;
using gmesp::bench::ReadyKeys;
using gmesp::bench::run_fastest;

constexpr uint32_t kSaCount = 64;
constexpr uint32_t kPacketBytesMax = 2048;
/// From one packet to the next, as in a pool of DPDK's: 2,048 bytes apart, all would be in two sets
/// of the first cache, and lanes would take twice as long.
constexpr uint32_t kBufferBytes = 2368;
constexpr uint32_t kPayloadBytesMax = 1984;  ///< beside ESP header, IV, padding and ICV
constexpr double kRowSeconds = 0.004;
constexpr uint32_t kSamplesMin = 7;
constexpr uint32_t kSamplesMax = 2000;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "crypto_ceiling: %s\n", what);
  std::exit(1);
}

/// A batch of genuine packets of one kind.
class Workload {
 public:
  Workload(Suite suite, Direction direction, uint32_t payload_bytes, uint32_t batch)
      : keys_(kSaCount), packets_(batch * kBufferBytes), jobs_(batch) {
    for (uint32_t i = 0; i < kSaCount; ++i) expand_keys(suite, direction, i);
    const CipherInfo cipher = info(suite.cipher);
    const uint32_t blocks = (payload_bytes + 2 + cipher.block_bytes - 1) / cipher.block_bytes;
    const uint32_t esp_bytes = kEspHeaderBytes + cipher.iv_bytes + blocks * cipher.block_bytes;
    check(esp_bytes + kIcvBytes <= kPacketBytesMax, "packet too large");
    OpenSslEngine sealer;
    for (uint32_t i = 0; i < batch; ++i) {
      jobs_[i] = {&keys_[i % kSaCount],
                  packets_.data() + i * kBufferBytes,
                  esp_bytes,
                  suite,
                  Direction::kOutbound,
                  JobStatus::kPending};
      sealer.process(jobs_[i]);
      check(jobs_[i].status == JobStatus::kOk, "sealing failed");
      jobs_[i].direction = direction;
    }
    sealed_ = packets_;
  }

  std::span<CryptoJob> jobs() { return jobs_; }
  /// Of the SA of this job.
  BareOpenSsl& bare_openssl(uint32_t job) { return bare_openssl_[job % kSaCount]; }
  /// Undoes the deciphering in place, so that each round finds genuine packets.
  void restore() { std::copy(sealed_.begin(), sealed_.end(), packets_.begin()); }

 private:
  void expand_keys(Suite suite, Direction direction, uint32_t seed) {
    std::array<uint8_t, kCipherKeyBytesMax> key;
    std::iota(key.begin(), key.end(), static_cast<uint8_t>(seed * 7));
    const auto integrity_key = std::span(key).first(info(suite.integrity).key_bytes);
    const auto cipher_key = std::span(key).first(info(suite.cipher).key_bytes);
    SaKeys keys;
    const auto error = expand(suite, integrity_key, cipher_key, keys);
    check(error == KeyError::kOk, text(error));
    keys_[seed] = ready(keys, suite);
    bare_openssl_.emplace_back(suite, direction, integrity_key, cipher_key);
  }

  std::vector<ReadyKeys> keys_;
  std::vector<BareOpenSsl> bare_openssl_;  ///< by SA
  std::vector<uint8_t> packets_;
  std::vector<uint8_t> sealed_;
  std::vector<CryptoJob> jobs_;
};

/// Nanoseconds per packet, the median of many batches.
template <typename Run>
double measure(Workload& workload, double ticks_per_ns, Run run) {
  std::vector<double> samples;
  double total_ns = 0;
  while (samples.size() < kSamplesMin ||
         (total_ns < kRowSeconds * 1e9 && samples.size() < kSamplesMax)) {
    workload.restore();
    const uint64_t start = __rdtsc();
    run(workload.jobs());
    samples.push_back(static_cast<double>(__rdtsc() - start) / ticks_per_ns);
    total_ns += samples.back();
  }
  for (const CryptoJob& job : workload.jobs()) check(job.status == JobStatus::kOk, "job failed");
  return gmesp::bench::median(samples) / static_cast<double>(workload.jobs().size());
}

struct Arguments {
  VectorArch arch = VectorArch::kAuto;
  std::vector<uint32_t> sizes = {64, 300, 600, 1400, 1440};
  std::vector<uint32_t> batches = {1, 2, 3, 4, 6, 8, 16, 32, 64, 128};
  bool is_endless = false;
  bool as_json = false;
};

void print(const nlohmann::json& row) {
  std::printf("%-22s %-4s %5u %5u %12.0f %10.0f %12.0f %10.0f %10.0f\n",
              row["suite"].get<std::string>().c_str(), row["direction"].get<std::string>().c_str(),
              row["bytes"].get<uint32_t>(), row["batch"].get<uint32_t>(),
              row["ipsec_mb_direct_ns"].get<double>(), row["ipsec_mb_ns"].get<double>(),
              row["openssl_direct_ns"].get<double>(), row["openssl_ns"].get<double>(),
              row["engine_ns"].get<double>());
}

class Ceiling {
 public:
  explicit Ceiling(const Arguments& arguments)
      : arguments_(arguments), manager_(make_manager(arguments.arch)), lanes_(arguments.arch) {}

  nlohmann::json rows() {
    for (const uint32_t bytes : arguments_.sizes)
      for (uint32_t i = 0; i < kSuiteCount; ++i)
        for (const Direction direction : {Direction::kOutbound, Direction::kInbound})
          measure_batches(suite_at(i), direction, bytes);
    return rows_;
  }

 private:
  void measure_batches(Suite suite, Direction direction, uint32_t payload_bytes) {
    // Without lanes a packet of 3DES takes IPsec-MB most of a millisecond, however many there are.
    const bool has_lanes = break_even_jobs(lanes_.arch(), suite, direction) != kNeverOnLanes;
    for (const uint32_t batch : arguments_.batches) {
      if (batch > 1 && !has_lanes) continue;
      rows_.push_back(measure_batch(suite, direction, payload_bytes, batch));
      if (!arguments_.as_json) print(rows_.back());
    }
  }

  nlohmann::json measure_batch(Suite suite, Direction direction, uint32_t payload_bytes,
                               uint32_t batch) {
    Workload workload(suite, direction, payload_bytes, batch);
    std::vector<CryptoJob*> pointers;
    for (CryptoJob& job : workload.jobs()) pointers.push_back(&job);
    const auto cost = [&](auto run) { return measure(workload, ticks_, run); };
    return {{"suite", std::string(name(suite))},
            {"direction", direction == Direction::kOutbound ? "out" : "in"},
            {"bytes", payload_bytes},
            {"batch", batch},
            {"ipsec_mb_direct_ns", cost([&](auto jobs) {
               check(run_fastest(manager_.get(), jobs), "IPsec-MB took fewer packets");
             })},
            {"ipsec_mb_ns", cost([&](auto) { lanes_.process(pointers); })},
            {"openssl_direct_ns", cost([&](auto jobs) {
               for (uint32_t i = 0; i < batch; ++i) workload.bare_openssl(i).process(jobs[i]);
             })},
            {"openssl_ns", cost([&](auto jobs) {
               for (CryptoJob& job : jobs) single_.process(job);
             })},
            {"engine_ns", cost([&](auto jobs) { engine_.process(jobs); })}};
  }

  const Arguments& arguments_;
  const double ticks_ = gmesp::bench::ticks_per_ns();
  const Manager manager_;
  IpsecMbEngine lanes_;
  OpenSslEngine single_;
  Engine engine_;
  nlohmann::json rows_ = nlohmann::json::array();
};

/// What goes out with AES-CBC and HMAC-SHA-1-96, by the library's fastest calls, until somebody
/// ends it. From time to time it says how many packets that were.
[[noreturn]] void run_endless(const Arguments& arguments) {
  constexpr double kSayNs = 5e6;
  const Manager manager = make_manager(arguments.arch);
  Workload workload({Integrity::kHmacSha1_96, Cipher::kAesCbc128}, Direction::kOutbound,
                    arguments.sizes.front(), arguments.batches.front());
  const auto ticks = static_cast<uint64_t>(kSayNs * gmesp::bench::ticks_per_ns());
  uint64_t packets = 0;
  for (uint64_t said = __rdtsc();;) {
    check(run_fastest(manager.get(), workload.jobs()), "IPsec-MB took fewer packets");
    packets += workload.jobs().size();
    if (__rdtsc() - said < ticks) continue;
    std::printf("packets %lu\n", packets);
    std::fflush(stdout);
    said = __rdtsc();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, VectorArch> archs = {{"sse", VectorArch::kSse},
                                                   {"avx", VectorArch::kAvx},
                                                   {"avx2", VectorArch::kAvx2},
                                                   {"avx512", VectorArch::kAvx512},
                                                   {"auto", VectorArch::kAuto}};
  CLI::App app("What ciphering costs by suite, direction, size and batch: nanoseconds per packet");
  Arguments arguments;
  app.add_option("--arch", arguments.arch, "that IPsec-MB runs on")
      ->transform(CLI::CheckedTransformer(archs).description("{sse,avx,avx2,avx512,auto}"));
  app.add_option("--sizes", arguments.sizes, "bytes of ESP payload")
      ->check(CLI::Range(1u, kPayloadBytesMax))
      ->capture_default_str();
  app.add_option("--batches", arguments.batches, "packets a call")
      ->check(CLI::Range(1u, Engine::kJobsMax))
      ->capture_default_str();
  CLI::Option* const endless =
      app.add_flag("--endless", arguments.is_endless,
                   "outbound AES-CBC with HMAC-SHA-1-96 by bare IPsec-MB alone, of the first size "
                   "and batch, until it is ended; prints how many packets so far");
  app.add_flag("--json", arguments.as_json)->excludes(endless);
  CLI11_PARSE(app, argc, argv);
  check(is_supported(arguments.arch), "this CPU lacks that vector extension");
  if (arguments.is_endless) run_endless(arguments);
  if (!arguments.as_json)
    std::printf(
        "# ns per packet; IPsec-MB on %s; 'engine' always chooses for this CPU's best\n"
        "%-22s %-4s %5s %5s %12s %10s %12s %10s %10s\n",
        std::string(name(IpsecMbEngine(arguments.arch).arch())).c_str(), "suite", "dir", "bytes",
        "batch", "bare IPsec-MB", "ipsec-mb", "bare OpenSSL", "openssl", "engine");
  const nlohmann::json rows = Ceiling(arguments).rows();
  if (arguments.as_json) std::puts(rows.dump(1).c_str());
}
