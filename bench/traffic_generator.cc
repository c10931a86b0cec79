// Phones and a SIP server before a running gmespd: ESP with fresh sequence numbers from one side,
// clear SIP from the other; rate, loss and latency of what comes back.
//
// Rates are packets per second of all that is sent. Every trial's packets are made ahead. Latencies
// are those of this machine's TSC, from before the burst is handed to the port to when it is seen;
// packets that were sent or came while this process was away from its core are counted apart.
#include <rte_cycles.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "control/settings/log.h"
#include "frame_options.h"
#include "set_writer.h"
#include "traffic_ports.h"
#include "trial.h"

namespace {

using namespace gmesp;
using namespace gmesp::bench;
using nlohmann::json;

struct Arguments {
  TrafficPortsOptions ports;
  std::string socket = GMESP_DEFAULT_SOCKET;
  bool has_sets = false;
  FrameStoreOptions frames;
  std::vector<uint32_t> sizes = {300};
  std::vector<Way> ways = {Way::kBoth};
  std::vector<double> rates;
  bool searches = false;
  std::vector<double> loads;
  RateSearchOptions search;
  double seconds = 1;
  uint32_t packets = 2'000'000;
  uint32_t repeat = 1;
  bool steps = false;
  TrialOptions trial;
  bool as_json = false;
};

constexpr const char* kWayNames[] = {"uplink", "downlink", "both"};

/// Trials of one generator, and what they printed.
class Generator {
 public:
  Generator(const Arguments& arguments, const TrafficPorts& ports)
      : arguments_(arguments),
        frames_(arguments.frames),
        trial_(frames_, arguments.frames.subscribers, ports.access(), ports.host(), ports.pool()),
        ns_per_tick_(1e9 / static_cast<double>(rte_get_tsc_hz())) {}

  void run(Way way, uint32_t ip_bytes) {
    way_ = way;
    ip_bytes_ = ip_bytes;
    warm_up();
    if (arguments_.steps) return step();
    for (uint32_t i = 0; i < arguments_.repeat; ++i) run_once();
  }
  const json& rows() const { return rows_; }

 private:
  /// Caches, page tables and the owners of SAs are not what is measured.
  void warm_up() {
    constexpr uint32_t kPackets = 50'000;
    frames_.make(std::min(kPackets, arguments_.packets), way_, ip_bytes_);
    TrialOptions options = arguments_.trial;
    options.rate_per_s = 0;
    const TrialResult result = trial_.run(options);
    if (result.count.received == 0)
      throw std::runtime_error(
          "nothing comes back; gmespctl drops says why (sets that are not there, sequence numbers "
          "used before: --sequence-from)");
  }

  void step() {
    for (std::string line; std::getline(std::cin, line);) {
      char* end = nullptr;
      const double rate = std::strtod(line.c_str(), &end);
      if (end == line.c_str() || !(rate >= 0))
        throw std::runtime_error("--step: found \"" + line + "\" on stdin, want a rate or 0");
      measure(rate, "rate");
    }
  }

  void run_once() {
    for (const double rate : arguments_.rates) measure(rate, "rate");
    if (!arguments_.searches && arguments_.loads.empty()) return;
    const double maximum = search();
    for (const double load : arguments_.loads)
      measure(maximum * load / 100, "load " + std::to_string(std::lround(load)) + " %");
  }

  double search() {
    RateSearchOptions options = arguments_.search;
    // What comes back at full speed bounds what can be had without loss.
    const TrialResult fastest = trial(0);
    options.highest_per_s = std::max(options.lowest_per_s, fastest.received_per_s * 1.2);
    const RateSearchResult found = find_loss_free_rate(options, [&](double rate) {
      const TrialResult result = trial(rate);
      if (!arguments_.as_json)
        std::printf("  %10.0f/s: %lu of %lu lost\n", rate, lost(result.count), result.count.sent);
      return result.count;
    });
    json row = row_of("maximum", fastest);
    row["loss_free_per_s"] = found.rate_per_s;
    row["trials"] = found.trials;
    row["loss_allowed"] = options.loss_max;
    row["is_limited_by_sender"] = found.is_limited_by_sender;
    emit(std::move(row));
    if (!arguments_.as_json)
      std::printf("  without loss: %.0f packets/s%s\n", found.rate_per_s,
                  found.is_limited_by_sender ? ", no more than this generator can send" : "");
    if (found.rate_per_s == 0 && !arguments_.loads.empty())
      throw std::runtime_error("no rate without loss was found, so --loads have no base");
    return found.rate_per_s;
  }

  static uint64_t lost(const TrialCount& count) {
    return count.sent - std::min(count.sent, count.received);
  }

  TrialResult trial(double rate) {
    const double wanted = rate == 0 ? arguments_.packets : rate * arguments_.seconds;
    const auto count = static_cast<uint32_t>(
        std::clamp<double>(wanted, 1000, static_cast<double>(arguments_.packets)));
    frames_.make(count, way_, ip_bytes_);
    TrialOptions options = arguments_.trial;
    options.rate_per_s = rate;
    return trial_.run(options);
  }

  void measure(double rate, const std::string& what) {
    const TrialResult result = trial(rate);
    json row = row_of(rate == 0 ? "full speed" : what, result);
    row["wanted_per_s"] = rate;
    emit(std::move(row));
  }

  json latency(const LatencyHistogram& ticks) const {
    const auto ns = [&](uint64_t value) { return static_cast<double>(value) * ns_per_tick_; };
    return {{"samples", ticks.count()},
            {"min_ns", ns(ticks.min())},
            {"p50_ns", ns(ticks.quantile(0.5))},
            {"p99_ns", ns(ticks.quantile(0.99))},
            {"p999_ns", ns(ticks.quantile(0.999))},
            {"max_ns", ns(ticks.max())}};
  }

  json row_of(const std::string& what, const TrialResult& result) const {
    const SubscriberOptions& subscribers = arguments_.frames.subscribers;
    json row = {{"what", what},
                {"ues", arguments_.frames.ues},
                {"bytes", ip_bytes_},
                {"way", kWayNames[static_cast<size_t>(way_)]},
                {"cipher", std::string(crypto::info(subscribers.suite.cipher).name)},
                {"integrity", std::string(crypto::info(subscribers.suite.integrity).name)},
                {"mode", subscribers.is_tunnel ? "udp-enc-tun" : "transport"},
                {"family", subscribers.is_ipv4 ? 4 : 6},
                {"offered_per_s", result.count.offered_per_s},
                {"received_per_s", result.received_per_s},
                {"sent", result.count.sent},
                {"received", result.count.received},
                {"lost", lost(result.count)},
                {"loss", result.count.loss()},
                {"refused_by_port", result.refused},
                {"foreign", result.foreign},
                {"untimed", result.untimed},
                {"latency", latency(result.latency_ticks)},
                {"longest_absence_us", result.longest_absence_us},
                {"context_switches", result.context_switches}};
    if (subscribers.other_every != 0) row["other_latency"] = latency(result.other_latency_ticks);
    return row;
  }

  void emit(json row) {
    if (!arguments_.as_json) {
      const json& ns = row["latency"];
      std::printf("%-11s %8u %6u %-9s %11.0f %11.0f %9lu %8.1f %8.1f %8.1f %8.0f\n",
                  row["what"].get<std::string>().c_str(), row["ues"].get<uint32_t>(), ip_bytes_,
                  row["way"].get<std::string>().c_str(), row["offered_per_s"].get<double>(),
                  row["received_per_s"].get<double>(), row["lost"].get<uint64_t>(),
                  ns["p50_ns"].get<double>() / 1e3, ns["p99_ns"].get<double>() / 1e3,
                  ns["p999_ns"].get<double>() / 1e3, row["longest_absence_us"].get<double>());
    } else if (arguments_.steps) {
      std::puts(row.dump().c_str());
    }
    std::fflush(stdout);
    rows_.push_back(std::move(row));
  }

  const Arguments& arguments_;
  FrameStore frames_;
  Trial trial_;
  const double ns_per_tick_;
  Way way_ = Way::kBoth;
  uint32_t ip_bytes_ = 0;
  json rows_ = json::array();
};

void add_port_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--access", arguments.ports.access,
                 "DPDK device at the other end of gmespd's access port: "
                 "net_memif0,role=client,id=0,socket=FILE,socket-abstract=no,rsize=14")
      ->required();
  app.add_option("--host", arguments.ports.host, "likewise for its host port")->required();
  app.add_option("--core", arguments.ports.core, "CPU to run on")->capture_default_str();
  app.add_flag("!--small-pages", arguments.ports.uses_huge_pages, "do without hugepages");
  app.add_option("--socket", arguments.socket, "gmespd's, to install the sets of the UEs")
      ->capture_default_str();
  app.add_flag("--has-sets", arguments.has_sets,
               "the device has the sets already (sa_churn --keep, gmespctl sa load, ipsec-secgw)");
}

void add_traffic_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--sizes", arguments.sizes, "bytes of the clear IP packet")
      ->check(CLI::Range(kIpBytesMin, kIpBytesMax));
  add_direction_option(app, arguments.ways, true);
  add_frame_options(app, arguments.frames);
}

void add_trial_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--rates", arguments.rates, "packets/s to try; 0: as fast as they come back")
      ->check(CLI::Range(0.0, 1e9));
  app.add_flag("--search", arguments.searches, "the fastest rate without loss (RFC 2544 26.1)");
  app.add_option("--loads", arguments.loads, "percent of that rate to try, with latencies")
      ->check(CLI::Range(0.1, 200.0));
  app.add_option("--loss-max", arguments.search.loss_max, "share that the search lets pass")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
  app.add_option("--resolution", arguments.search.resolution, "of the search")
      ->check(CLI::Range(0.001, 0.5))
      ->capture_default_str();
  app.add_option("--attempts", arguments.search.attempts, "trials of a rate until one passes")
      ->check(CLI::Range(1u, 20u))
      ->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "of a trial")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--packets", arguments.packets, "of a trial at most: they are made ahead")
      ->check(CLI::Range(1000u, 100'000'000u))
      ->capture_default_str();
  app.add_option("--window", arguments.trial.window, "packets on their way at full speed")
      ->check(CLI::Range(1u, 16'384u))
      ->capture_default_str();
  app.add_option("--pause-us", arguments.trial.pause_us,
                 "sleep between bursts, to leave the core to others; spoils latencies")
      ->check(CLI::Range(0u, 10'000u));
  app.add_option("--repeat", arguments.repeat)->check(CLI::Range(1u, 100'000u));
  app.add_flag("--step", arguments.steps,
               "take rates from stdin, a line for each trial; with --json answer with a line");
  app.add_flag("--json", arguments.as_json);
}

void generate(Arguments& arguments) {
  if (arguments.rates.empty() && !arguments.searches && arguments.loads.empty())
    arguments.rates = {0};
  const TrafficPorts ports(arguments.ports);
  std::vector<uint64_t> set_ids;
  if (!arguments.has_sets)
    set_ids =
        SetWriter(arguments.socket)
            .install(arguments.frames.subscribers, arguments.frames.first_ue, arguments.frames.ues);
  if (!arguments.as_json)
    std::printf("%-11s %8s %6s %-9s %11s %11s %9s %8s %8s %8s %8s\n", "", "UEs", "bytes", "way",
                "offered/s", "received/s", "lost", "p50 us", "p99 us", "p99.9 us", "absent");
  Generator generator(arguments, ports);
  for (const Way way : arguments.ways)
    for (const uint32_t bytes : arguments.sizes) generator.run(way, bytes);
  if (arguments.as_json && !arguments.steps) std::puts(generator.rows().dump(2).c_str());
  if (!set_ids.empty()) SetWriter(arguments.socket).remove(set_ids);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Traffic through a running gmespd: rate, loss, latency, and the loss-free maximum");
  Arguments arguments;
  add_port_options(app, arguments);
  add_traffic_options(app, arguments);
  add_trial_options(app, arguments);
  CLI11_PARSE(app, argc, argv);
  settings::set_up_log("traffic_generator", settings::LogLevel::kWarning,
                       settings::LogFormat::kText);
  try {
    generate(arguments);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "traffic_generator: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
