// What ciphering costs: nanoseconds per packet by suite, direction, size and batch, on IPsec-MB
// called directly, through each of our two engines, and through the choice between them.
//
// One core, 64 SAs in turn with hot keys, every batch finished before the next, every packet's ICV
// genuine. Medians. Usage: crypto_ceiling [sse|avx|avx2|avx512|auto [ESP payload bytes ...]]
// 3DES is left out where IPsec-MB has no lanes for it (anything but AVX-512): it takes two
// microseconds for a byte there.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <vector>

#include "bare_ipsec_mb.h"
#include "crypto/engine.h"
#include "crypto/engine_choice.h"
#include "crypto/ipsec_mb_engine.h"
#include "crypto/job_check.h"
#include "crypto/openssl_engine.h"
#include "tsc.h"

namespace {

using namespace gmesp::crypto;
using gmesp::bench::ready;
using gmesp::bench::ReadyKeys;
using gmesp::bench::run_fastest;

constexpr uint32_t kSaCount = 64;
constexpr uint32_t kPacketBytesMax = 2048;
constexpr double kRowSeconds = 0.004;
constexpr uint32_t kSamplesMin = 7;
constexpr uint32_t kSamplesMax = 2000;
constexpr std::array<uint32_t, 8> kBatches = {1, 2, 3, 4, 6, 8, 32, 128};

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "crypto_ceiling: %s\n", what);
  std::exit(1);
}

/// A batch of genuine packets of one kind.
class Workload {
 public:
  Workload(Suite suite, Direction direction, uint32_t payload_bytes, uint32_t batch)
      : keys_(kSaCount), packets_(batch * kPacketBytesMax), jobs_(batch) {
    for (uint32_t i = 0; i < kSaCount; ++i) expand_keys(suite, i);
    const CipherInfo cipher = info(suite.cipher);
    const uint32_t blocks = (payload_bytes + 2 + cipher.block_bytes - 1) / cipher.block_bytes;
    const uint32_t esp_bytes = kEspHeaderBytes + cipher.iv_bytes + blocks * cipher.block_bytes;
    check(esp_bytes + kIcvBytes <= kPacketBytesMax, "packet too large");
    OpenSslEngine sealer;
    for (uint32_t i = 0; i < batch; ++i) {
      jobs_[i] = {&keys_[i % kSaCount],
                  packets_.data() + i * kPacketBytesMax,
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
  /// Undoes the deciphering in place, so that each round finds genuine packets.
  void restore() { std::copy(sealed_.begin(), sealed_.end(), packets_.begin()); }

 private:
  void expand_keys(Suite suite, uint32_t seed) {
    std::array<uint8_t, kCipherKeyBytesMax> key;
    std::iota(key.begin(), key.end(), static_cast<uint8_t>(seed * 7));
    SaKeys keys;
    const auto error = expand(suite, std::span(key).first(info(suite.integrity).key_bytes),
                              std::span(key).first(info(suite.cipher).key_bytes), keys);
    check(error == KeyError::kOk, text(error));
    keys_[seed] = ready(keys, suite);
  }

  std::vector<ReadyKeys> keys_;
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
  const auto middle = samples.begin() + static_cast<ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  for (const CryptoJob& job : workload.jobs()) check(job.status == JobStatus::kOk, "job failed");
  return *middle / static_cast<double>(workload.jobs().size());
}

VectorArch arch_named(std::string_view text) {
  if (text == "sse") return VectorArch::kSse;
  if (text == "avx") return VectorArch::kAvx;
  if (text == "avx2") return VectorArch::kAvx2;
  if (text == "avx512") return VectorArch::kAvx512;
  check(text == "auto", "unknown vector extension");
  return VectorArch::kAuto;
}

void print_rows(Suite suite, Direction direction, uint32_t payload_bytes, VectorArch arch) {
  static const double ticks_per_ns = gmesp::bench::ticks_per_ns();
  const Manager manager = make_manager(arch);
  IpsecMbEngine lanes(arch);
  OpenSslEngine single;
  Engine engine;
  // Without lanes a packet of 3DES takes IPsec-MB most of a millisecond, however many there are.
  const bool has_lanes = break_even_jobs(lanes.arch(), suite, direction) != kNeverOnLanes;
  for (const uint32_t batch : kBatches) {
    if (batch > 1 && !has_lanes) break;
    Workload workload(suite, direction, payload_bytes, batch);
    std::vector<CryptoJob*> pointers;
    for (CryptoJob& job : workload.jobs()) pointers.push_back(&job);
    const auto cost = [&](auto run) { return measure(workload, ticks_per_ns, run); };
    const double direct = cost([&](auto jobs) { run_fastest(manager.get(), jobs); });
    const double ipsec_mb = cost([&](auto) { lanes.process(pointers); });
    const double openssl = cost([&](auto jobs) {
      for (CryptoJob& job : jobs) single.process(job);
    });
    const double chosen = cost([&](auto jobs) { engine.process(jobs); });
    const std::string suite_name(name(suite));
    std::printf("%-22s %-4s %5u %5u %10.0f %10.0f %10.0f %10.0f\n", suite_name.c_str(),
                direction == Direction::kOutbound ? "out" : "in", payload_bytes, batch, direct,
                ipsec_mb, openssl, chosen);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const VectorArch arch = arch_named(argc > 1 ? argv[1] : "auto");
  check(is_supported(arch), "this CPU lacks that vector extension");
  std::vector<uint32_t> sizes;
  for (int i = 2; i < argc; ++i) sizes.push_back(static_cast<uint32_t>(std::atoi(argv[i])));
  if (sizes.empty()) sizes = {64, 300, 1400};
  std::printf("# ns per packet; IPsec-MB on %s; 'engine' always chooses for this CPU's best\n",
              std::string(name(IpsecMbEngine(arch).arch())).c_str());
  std::printf("%-22s %-4s %5s %5s %10s %10s %10s %10s\n", "suite", "dir", "bytes", "batch",
              "direct", "ipsec-mb", "openssl", "engine");
  for (const uint32_t bytes : sizes) {
    for (uint32_t i = 0; i < kSuiteCount; ++i) {
      print_rows(suite_at(i), Direction::kOutbound, bytes, arch);
      print_rows(suite_at(i), Direction::kInbound, bytes, arch);
    }
  }
}
