// How fast SA sets come and go at a running gmespd, and what they cost it in memory: fills its
// table, then exchanges sets (one in, one out) at full speed or at a given rate, then empties it.
//
// A set counts when gmespd has acknowledged it: then it is in force on all packet cores, or nothing
// passes on it any more. With --attach the table is somebody else's (a former run with --keep) and
// only sets of numbers behind it come and go.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "latency_histogram.h"
#include "set_writer.h"

namespace {

using namespace gmesp::bench;

struct Arguments {
  std::string socket = GMESP_DEFAULT_SOCKET;
  uint32_t table = 100'000;
  double seconds = 10;
  double rate = 0;
  bool keeps = false;
  bool attaches = false;
  bool as_json = false;
};

uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// What the process holds in memory, shared or not, hugepages included.
uint64_t memory_bytes(uint32_t process_id) {
  std::ifstream status("/proc/" + std::to_string(process_id) + "/status");
  uint64_t kilobytes = 0;
  for (std::string line; std::getline(status, line);)
    for (const char* name : {"VmRSS:", "HugetlbPages:"})
      if (line.starts_with(name)) kilobytes += std::stoull(line.substr(std::string(name).size()));
  if (kilobytes == 0)
    throw std::runtime_error("cannot read the memory of gmespd's process " +
                             std::to_string(process_id) + "; run as root or as its user");
  return kilobytes * 1024;
}

/// A phase in tenths, since rates may fall as the table fills.
class Tenths {
 public:
  explicit Tenths(uint32_t count) : count_(count), start_ns_(now_ns()), tenth_ns_(start_ns_) {}

  void done(uint32_t n) {
    if (uint64_t{n} * 10 / count_ == per_s_.size()) return;
    const uint64_t now = now_ns();
    per_s_.push_back((n - counted_) * 1e9 / static_cast<double>(now - tenth_ns_));
    counted_ = n;
    tenth_ns_ = now;
  }
  nlohmann::json json() const {
    return {{"sets", count_},
            {"per_s", count_ * 1e9 / static_cast<double>(now_ns() - start_ns_)},
            {"per_s_by_tenth", per_s_}};
  }

 private:
  const uint32_t count_;
  const uint64_t start_ns_;
  uint64_t tenth_ns_;
  uint32_t counted_ = 0;
  std::vector<double> per_s_;
};

/// Sets come in behind the table and the oldest ones go, each time one of either.
class Exchange {
 public:
  /// `room`: sets that the table can hold beside those that stay.
  Exchange(SetWriter& writer, uint32_t first_number, uint64_t room, double rate)
      : writer_(writer),
        rate_(rate),
        first_number_(first_number),
        in_flight_max_(std::min(room, kInFlightMax)),
        sent_ns_(in_flight_max_) {}

  nlohmann::json run(double seconds) {
    const uint64_t start = now_ns();
    const auto end = start + static_cast<uint64_t>(seconds * 1e9);
    for (uint64_t now = start; now < end; now = now_ns()) {
      send(now, rate_ == 0 ? UINT64_MAX : static_cast<uint64_t>((now - start) * 1e-9 * rate_));
      if (!take_answers()) writer_.wait(1);
    }
    const double passed_s = static_cast<double>(now_ns() - start) * 1e-9;
    const uint64_t installed = installed_, removed = removed_;
    drain();
    return {{"seconds", passed_s},
            {"wanted_per_s", rate_},
            {"installed_per_s", static_cast<double>(installed) / passed_s},
            {"removed_per_s", static_cast<double>(removed) / passed_s},
            {"install_p50_us", quantile_us(0.5)},
            {"install_p99_us", quantile_us(0.99)},
            {"install_max_us", static_cast<double>(install_ns_.max()) * 1e-3}};
  }

 private:
  static constexpr uint64_t kInFlightMax = 2048;
  static constexpr uint64_t kRemoval = uint64_t{1} << 63;

  double quantile_us(double share) const {
    return static_cast<double>(install_ns_.quantile(share)) * 1e-3;
  }

  void send(uint64_t now, uint64_t due) {
    while (sent_ < due && sent_ - removed_ < in_flight_max_) {
      const auto slot = static_cast<uint32_t>(sent_ % in_flight_max_);
      if (!writer_.try_install(set_of({}, first_number_ + slot), sent_)) break;
      sent_ns_[slot] = now;
      ++sent_;
    }
    while (!to_remove_.empty() && writer_.try_remove(to_remove_.front(), kRemoval))
      to_remove_.pop_front();
  }

  bool take_answers() {
    bool any = false;
    for (gmesp_completion answer; writer_.next_answer(answer); any = true) {
      if (answer.tag == kRemoval) {
        ++removed_;
        continue;
      }
      ++installed_;
      install_ns_.add(now_ns() - sent_ns_[answer.tag % in_flight_max_]);
      to_remove_.push_back(answer.set_id);
    }
    return any;
  }

  void drain() {
    while (removed_ < sent_) {
      send(0, 0);
      if (!take_answers()) writer_.wait(10);
    }
  }

  SetWriter& writer_;
  const double rate_;
  const uint32_t first_number_;
  /// Sets that come or go at a time; their numbers are used again.
  const uint64_t in_flight_max_;
  uint64_t sent_ = 0, installed_ = 0, removed_ = 0;
  std::vector<uint64_t> sent_ns_;
  std::deque<uint64_t> to_remove_;
  LatencyHistogram install_ns_;
};

nlohmann::json measure(const Arguments& arguments) {
  SetWriter writer(arguments.socket);
  const gmesp_info info = writer.info();
  nlohmann::json result = {{"table", arguments.table}, {"workers", info.workers}};
  const uint64_t before_bytes = memory_bytes(info.process_id);
  std::vector<uint64_t> set_ids;
  if (!arguments.attaches && arguments.table > 0) {
    Tenths fill(arguments.table);
    set_ids = writer.install({}, 0, arguments.table, [&](uint32_t n) { fill.done(n); });
    result["fill"] = fill.json();
    const auto bytes = static_cast<double>(memory_bytes(info.process_id));
    const double sas = GMESP_SAS_PER_SET * static_cast<double>(arguments.table);
    result["memory"] = {{"bytes", bytes},
                        {"bytes_before", before_bytes},
                        {"bytes_per_sa", bytes / sas},
                        {"bytes_per_sa_added", (bytes - static_cast<double>(before_bytes)) / sas}};
  }
  if (arguments.seconds > 0) {
    const uint64_t live = writer.info().live_sets;
    if (live >= info.capacity_sets)
      throw std::runtime_error("no room for sets that come and go: all " +
                               std::to_string(info.capacity_sets) +
                               " of sa.capacity_sets are taken");
    Exchange exchange(writer, arguments.table, info.capacity_sets - live, arguments.rate);
    result["exchange"] = exchange.run(arguments.seconds);
  }
  if (!arguments.keeps && !set_ids.empty()) {
    Tenths empty(arguments.table);
    writer.remove(set_ids, [&](uint32_t n) { empty.done(n); });
    result["empty"] = empty.json();
  }
  return result;
}

void print(const nlohmann::json& result) {
  std::printf("%u sets in the table\n", result["table"].get<uint32_t>());
  for (const char* phase : {"fill", "empty"}) {
    if (!result.contains(phase)) continue;
    const nlohmann::json& row = result[phase];
    std::printf("%-9s %10.0f sets/s; first tenth %.0f, last %.0f\n", phase,
                row["per_s"].get<double>(), row["per_s_by_tenth"].front().get<double>(),
                row["per_s_by_tenth"].back().get<double>());
  }
  if (result.contains("exchange")) {
    const nlohmann::json& row = result["exchange"];
    std::printf("exchange  %10.0f installed/s, %.0f removed/s; answer p50 %.0f us, p99 %.0f us\n",
                row["installed_per_s"].get<double>(), row["removed_per_s"].get<double>(),
                row["install_p50_us"].get<double>(), row["install_p99_us"].get<double>());
  }
  if (result.contains("memory"))
    std::printf("memory    %10.0f bytes of gmespd per SA, everything included; %.0f added by SAs\n",
                result["memory"]["bytes_per_sa"].get<double>(),
                result["memory"]["bytes_per_sa_added"].get<double>());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("How many SA sets a second a running gmespd installs and removes, and its memory");
  Arguments arguments;
  app.add_option("--socket", arguments.socket, "gmespd's")->capture_default_str();
  app.add_option("--table", arguments.table, "sets in the table meanwhile")
      ->check(CLI::Range(0u, kSubscribersMax / 2))
      ->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "of exchange; 0: none")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  app.add_option("--rate", arguments.rate, "sets exchanged per second; 0: as fast as it goes")
      ->check(CLI::Range(0.0, 1e7))
      ->capture_default_str();
  app.add_flag("--keep", arguments.keeps, "leave the sets in the table");
  app.add_flag("--attach", arguments.attaches, "the table is filled already, by a run with --keep");
  app.add_flag("--json", arguments.as_json);
  CLI11_PARSE(app, argc, argv);
  try {
    const nlohmann::json result = measure(arguments);
    if (arguments.as_json)
      std::puts(result.dump(2).c_str());
    else
      print(result);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sa_churn: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
