// What a packet costs in the loop of one worker, from a port in memory to another; what of it is
// the crypto; and what IPsec-MB alone takes for the same packets in the same run, by its bursts of
// jobs and by its fastest calls. Where it has no lanes for 3DES, OpenSSL alone, which is fifty
// times as fast then.
//
// All populations take turns, round by round, and a ratio is one of neighbours in time: a machine
// that others share is of another speed in the next second. What is told is the median.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "frame.h"
#include "median.h"
#include "population.h"

namespace {

using namespace gmesp;
using bench::DrawKind;
using bench::MemoryPorts;
using bench::PhoneOptions;
using bench::Population;
using bench::Round;
using bench::Traffic;

constexpr const char* kTrafficNames[] = {"in", "out", "mixed"};
constexpr const char* kDrawNames[] = {"random", "zipf"};

struct Arguments {
  std::vector<uint32_t> ues = {1, 1000, 100'000};
  std::vector<uint32_t> sizes = {300, 600, 1400};
  std::vector<Traffic> traffic = {Traffic::kIn, Traffic::kOut};
  DrawKind draw = DrawKind::kRandom;
  PhoneOptions phones;
  uint32_t rounds = 15;
  bool has_reference = false;
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
  app.add_flag("--reference", arguments.has_reference,
               "hold all against 1,000 UEs with AES-CBC and HMAC-SHA-1-96 in transport mode, IPv4");
  app.add_flag("!--small-pages", arguments.uses_huge_pages, "do without hugepages");
  app.add_flag("--json", arguments.as_json);
}

void print_heads(const Arguments& arguments) {
  std::printf("%8s %6s  %-6s %-5s %-24s %-12s %-2s %10s %10s %10s %10s %12s %8s%s\n", "UEs",
              "bytes", "draw", "dir", "suite", "mode", "IP", "ns", "bare ns", "fastest",
              "crypto ns", "packets/s", "of bare", arguments.has_reference ? "   of ref." : "");
}

void print(const nlohmann::json& row) {
  std::printf("%8u %6u  %-6s %-5s %-24s %-12s v%d %10.0f %10.0f %10.0f %10.0f %12.0f %8.2f",
              row["ues"].get<uint32_t>(), row["bytes"].get<uint32_t>(),
              row["draw"].get<std::string>().c_str(), row["direction"].get<std::string>().c_str(),
              row["suite"].get<std::string>().c_str(), row["mode"].get<std::string>().c_str(),
              row["family"].get<int>(), row["pipeline_ns"].get<double>(),
              row["bare_ns"].get<double>(), row["fastest_ns"].get<double>(),
              row["ciphering_ns"].get<double>(), row["packets_per_s"].get<double>(),
              row["rate_over_bare"].get<double>());
  if (row.contains("rate_over_reference"))
    std::printf(" %10.2f", row["rate_over_reference"].get<double>());
  std::puts("");
}

/// Of what each round gives.
double median_of(const std::vector<Round>& rounds, const std::function<double(const Round&)>& of) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(of(round));
  return bench::median(std::move(values));
}

/// Of what each round gives beside the reference's.
double median_beside(const std::vector<Round>& rounds, const std::vector<Round>& reference,
                     const std::function<double(const Round&, const Round&)>& of) {
  std::vector<double> values;
  for (size_t i = 0; i < rounds.size(); ++i) values.push_back(of(rounds[i], reference[i]));
  return bench::median(std::move(values));
}

nlohmann::json row_of(const PhoneOptions& phones, const std::vector<Round>& rounds) {
  const double whole_ns = median_of(rounds, [](const Round& round) { return round.whole_ns; });
  return {
      {"ues", phones.ues},
      {"suite", std::string(crypto::info(phones.suite.cipher).name) + "/" +
                    std::string(crypto::info(phones.suite.integrity).name)},
      {"mode", phones.is_tunnel ? "udp-enc-tun" : "transport"},
      {"family", phones.is_ipv4 ? 4 : 6},
      {"pipeline_ns", whole_ns},
      {"bare_ns", median_of(rounds, [](const Round& round) { return round.bare_ns; })},
      {"fastest_ns", median_of(rounds, [](const Round& round) { return round.fastest_ns; })},
      {"ciphering_ns", median_of(rounds, [](const Round& round) { return round.ciphering_ns; })},
      {"packets_per_s", 1e9 / whole_ns},
      {"rate_over_bare",
       median_of(rounds, [](const Round& round) { return round.bare_ns / round.whole_ns; })},
      {"rate_over_fastest",
       median_of(rounds, [](const Round& round) { return round.fastest_ns / round.whole_ns; })}};
}

/// A deque: a Population stays where it is.
std::deque<Population> make_populations(MemoryPorts& ports, const Arguments& arguments) {
  std::deque<Population> populations;
  if (arguments.has_reference) populations.emplace_back(ports, PhoneOptions{}, arguments.draw);
  for (const uint32_t ues : arguments.ues) {
    PhoneOptions options = arguments.phones;
    options.ues = ues;
    populations.emplace_back(ports, options, arguments.draw);
  }
  return populations;
}

/// Rows of all populations but the reference.
std::vector<nlohmann::json> measure(std::deque<Population>& populations, uint32_t ip_bytes,
                                    Traffic traffic, const Arguments& arguments) {
  std::vector<std::vector<Round>> rounds(populations.size());
  for (Population& population : populations)
    population.round(ip_bytes, traffic);  // caches and page tables
  for (uint32_t i = 0; i < arguments.rounds; ++i)
    for (size_t at = 0; at < populations.size(); ++at)
      rounds[at].push_back(populations[at].round(ip_bytes, traffic));

  std::vector<nlohmann::json> rows;
  for (size_t at = arguments.has_reference ? 1 : 0; at < populations.size(); ++at) {
    nlohmann::json& row = rows.emplace_back(row_of(populations[at].options(), rounds[at]));
    row["bytes"] = ip_bytes;
    row["direction"] = kTrafficNames[static_cast<size_t>(traffic)];
    row["draw"] = kDrawNames[static_cast<size_t>(arguments.draw)];
    if (!arguments.has_reference) continue;
    row["rate_over_reference"] =
        median_beside(rounds[at], rounds[0], [](const Round& round, const Round& reference) {
          return reference.whole_ns / round.whole_ns;
        });
    row["beyond_over_reference"] =
        median_beside(rounds[at], rounds[0], [](const Round& round, const Round& reference) {
          return round.beyond_ns() / reference.beyond_ns();
        });
  }
  return rows;
}

void measure_all(const Arguments& arguments) {
  MemoryPorts ports(arguments.uses_huge_pages);
  std::deque<Population> populations = make_populations(ports, arguments);
  if (!arguments.as_json) print_heads(arguments);
  nlohmann::json rows = nlohmann::json::array();
  for (const uint32_t bytes : arguments.sizes)
    for (const Traffic traffic : arguments.traffic)
      for (nlohmann::json& row : measure(populations, bytes, traffic, arguments)) {
        if (!arguments.as_json) print(row);
        rows.push_back(std::move(row));
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
    measure_all(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pipeline_rate: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
