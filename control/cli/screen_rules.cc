// gmespctl screen load, list, stats: the rules in force in a running gmespd.
#include <fmt/core.h>
#include <limits.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/printable.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

/// Compiling many rules takes seconds.
constexpr int kLoadTimeoutMs = 60'000;

/// gmespd reads the file itself and has another working directory.
std::string absolute(const std::string& path) {
  char found[PATH_MAX];
  if (realpath(path.c_str(), found) == nullptr)
    throw InputError(fmt::format("{}: {}", path, std::strerror(errno)));
  return found;
}

std::vector<gmesp_rule> rules_of(const Connection& connection) {
  std::vector<gmesp_rule> rules;
  gmesp_rule row;
  GMESP_INIT(&row);
  for (uint64_t number = 0;; ++number) {
    const int error = gmesp_dp_get_rule(connection.get(), number, &row, Connection::kTimeoutMs);
    if (error == GMESP_E_END) return rules;
    connection.require(error, "screen");
    rules.push_back(row);
  }
}

ordered_json json_of(const gmesp_rule& rule) {
  return {{"name", rule.name},       {"action", rule.action},  {"where", rule.where},
          {"header", rule.header},   {"on", rule.sides},       {"matched", rule.matched},
          {"dropped", rule.dropped}, {"comment", rule.comment}};
}

bool is_of_screen(std::string_view name) {
  return name.starts_with("sip_") || name.starts_with("connection_");
}

/// Totals and drops of the screen, by name.
ordered_json counters_of(const Connection& connection) {
  ordered_json rows = ordered_json::array();
  gmesp_statistic statistic;
  GMESP_INIT(&statistic);
  for (uint64_t row = 0;; ++row) {
    const int error =
        gmesp_dp_get_statistic(connection.get(), row, &statistic, Connection::kTimeoutMs);
    if (error == GMESP_E_END) break;
    connection.require(error, "screen stats");
    if (is_of_screen(statistic.name))
      rows.push_back({{"name", statistic.name},
                      {"value", statistic.value},
                      {"verdict", "pass"},
                      {"text", statistic.text}});
  }
  gmesp_reason reason;
  GMESP_INIT(&reason);
  for (uint64_t row = 0;; ++row) {
    const int error = gmesp_dp_get_reason(connection.get(), row, &reason, Connection::kTimeoutMs);
    if (error == GMESP_E_END) break;
    connection.require(error, "screen stats");
    if (is_of_screen(reason.name))
      rows.push_back({{"name", reason.name},
                      {"value", reason.packets},
                      {"verdict", "drop"},
                      {"text", reason.text}});
  }
  return rows;
}

void print_rules(const std::vector<gmesp_rule>& rules) {
  fmt::print("{:>12} {:>12} {:<10} {:<9} {:<32} {}\n", "matched", "dropped", "action", "on", "rule",
             "comment");
  for (const gmesp_rule& rule : rules)
    fmt::print("{:>12} {:>12} {:<10} {:<9} {:<32} {}\n", rule.matched, rule.dropped, rule.action,
               rule.sides, rule.name, printable(rule.comment));
}

}  // namespace

void screen_load(const Common& common, const std::vector<std::string>& files, bool configured) {
  if (files.empty() != configured)
    throw InputError("screen load: one or more files, or --configured");
  std::vector<std::string> paths;
  for (const std::string& file : files) paths.push_back(absolute(file));
  std::vector<const char*> texts;
  for (const std::string& path : paths) texts.push_back(path.c_str());
  const Connection connection(common.socket, GMESP_READER);
  connection.require(gmesp_dp_load_rules(connection.get(), configured ? nullptr : texts.data(),
                                         texts.size(), kLoadTimeoutMs),
                     "screen load");
  const size_t rules = rules_of(connection).size();
  if (common.json)
    fmt::print("{}\n", ordered_json{{"rules", rules}}.dump());
  else
    fmt::print("{} rules in force\n", rules);
}

void screen_list(const Common& common) {
  const Connection connection(common.socket, GMESP_READER);
  const std::vector<gmesp_rule> rules = rules_of(connection);
  if (!common.json) return print_rules(rules);
  ordered_json rows = ordered_json::array();
  for (const gmesp_rule& rule : rules) rows.push_back(json_of(rule));
  fmt::print("{}\n", json_text(rows));
}

void screen_stats(const Common& common) {
  const Connection connection(common.socket, GMESP_READER);
  std::vector<gmesp_rule> rules = rules_of(connection);
  const ordered_json counters = counters_of(connection);
  if (common.json) {
    ordered_json rows = ordered_json::array();
    for (const gmesp_rule& rule : rules) rows.push_back(json_of(rule));
    fmt::print("{}\n", json_text({{"counters", counters}, {"rules", rows}}));
    return;
  }
  for (const ordered_json& row : counters)
    if (row["value"] != 0)
      fmt::print("{:>12} {:<5} {:<26} {}\n", row["value"].get<uint64_t>(),
                 row["verdict"].get<std::string>(), row["name"].get<std::string>(),
                 row["text"].get<std::string>());
  std::erase_if(rules, [](const gmesp_rule& rule) { return rule.matched == 0; });
  if (!rules.empty()) print_rules(rules);
}

}  // namespace gmesp::cli
