// How long a core is away from a thread that never waits: ticks, interrupts, other threads, and a
// hypervisor that runs others.
//
// What comes to the core at a random moment waits for the end of the gap that it falls into, and
// for all that came before it in the gap. At load r of what the thread can do, the backlog of a gap
// of g is gone g / (1 - r) after its begin, and waits fall from g to 0 in that time. No program can
// have better quantiles.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "tsc.h"

namespace {

constexpr double kGapMinUs = 1;

struct Watch {
  double seen_us = 0;
  std::vector<double> gaps_us;

  void run(double seconds) {
    const double ticks = 1e3 * gmesp::bench::ticks_per_ns();
    const uint64_t start = __rdtsc();
    uint64_t last = start;
    gaps_us.reserve(1 << 20);
    while (seen_us < seconds * 1e6) {
      const uint64_t now = __rdtsc();
      const double gap = static_cast<double>(now - last) / ticks;
      if (gap > kGapMinUs) gaps_us.push_back(gap);
      last = now;
      seen_us = static_cast<double>(now - start) / ticks;
    }
  }

  /// Of all that comes, the share that waits longer than `us`.
  double share_waiting_longer(double us, double load) const {
    double sum = 0;
    for (const double gap : gaps_us) sum += std::max(0.0, gap - us);
    return sum / seen_us / (1 - load);
  }

  double p99_us(double load) const {
    double low = 0, high = 1e7;
    for (int step = 0; step < 60; ++step) {
      const double middle = (low + high) / 2;
      (share_waiting_longer(middle, load) > 0.01 ? low : high) = middle;
    }
    return high;
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("How long a core is away from a thread that never waits");
  double seconds = 5;
  std::vector<double> loads = {0.1, 0.5, 0.8};
  app.add_option("--seconds", seconds)->check(CLI::Range(0.01, 600.0));
  app.add_option("--loads", loads, "shares of what a program can do: a p99 for each")
      ->check(CLI::Range(0.0, 0.99));
  CLI11_PARSE(app, argc, argv);
  Watch watch;
  watch.run(seconds);
  nlohmann::json result = {{"seconds", watch.seen_us / 1e6},
                           {"gaps", watch.gaps_us.size()},
                           {"away_share", watch.share_waiting_longer(0, 0)},
                           {"loads", loads},
                           {"p99_us", nlohmann::json::array()}};
  for (const double load : loads) result["p99_us"].push_back(watch.p99_us(load));
  std::puts(result.dump(2).c_str());
}
