// gmespctl refusals, control stats, evict, reload: what operators do with gmesp-control.
#include <fmt/chrono.h>
#include <fmt/core.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/control_connection.h"
#include "control/cli/printable.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

/// UTC of a moment on CLOCK_BOOTTIME, to the second.
std::string utc_text(uint64_t boottime_ms) {
  const auto ago_s = static_cast<int64_t>(gmesp_now_ms() - boottime_ms) / 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr) - ago_s));
}

ordered_json json_of(const struct gmesp_refusal& row) {
  return {
      {"time", utc_text(row.time_ms)},      {"time_ms", row.time_ms},         {"impi", row.impi},
      {"source", address_text(row.source)}, {"source_port", row.source_port}, {"reason", row.name},
      {"sip_status", row.sip_status},       {"clause", row.clause},           {"text", row.text}};
}

/// "-" for what came from the registrar and not from a UE.
std::string source_text(const struct gmesp_refusal& row) {
  if (row.source_port == 0) return "-";
  const std::string address = address_text(row.source);
  const bool is_ipv6 = address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_ipv6 ? "[" : "", address, is_ipv6 ? "]" : "", row.source_port);
}

void print_refusal(const struct gmesp_refusal& row) {
  fmt::print("{:<20} {:<32} {:<28} {:<26} {} ({})\n", utc_text(row.time_ms), printable(row.impi),
             source_text(row), printable(row.name), printable(row.text), printable(row.clause));
}

}  // namespace

void refusals(const Common& common, uint64_t rows_max) {
  const ControlConnection connection(common.control_socket);
  struct gmesp_refusal row;
  GMESP_INIT(&row);
  ordered_json rows = ordered_json::array();
  uint64_t shown = 0;
  for (uint64_t cursor = 0; rows_max == 0 || shown < rows_max; ++shown) {
    const int error =
        gmesp_next_refusal(connection.get(), &cursor, &row, ControlConnection::kTimeoutMs);
    if (error == GMESP_E_END) break;
    connection.require(error, "refusals");
    if (common.json) {
      rows.push_back(json_of(row));
      continue;
    }
    if (shown == 0)
      fmt::print("{:<20} {:<32} {:<28} {:<26} {}\n", "time", "user", "source", "reason",
                 "text (clause)");
    print_refusal(row);
  }
  if (common.json)
    fmt::print("{}\n", json_text(rows));
  else if (shown == 0)
    fmt::print("nothing was refused\n");
}

void control_stats(const Common& common) {
  const ControlConnection connection(common.control_socket);
  gmesp_statistic row;
  GMESP_INIT(&row);
  ordered_json rows = ordered_json::array();
  for (uint64_t number = 0;; ++number) {
    const int error =
        gmesp_control_get_statistic(connection.get(), number, &row, ControlConnection::kTimeoutMs);
    if (error == GMESP_E_END) break;
    connection.require(error, "control stats");
    rows.push_back(
        {{"name", row.name}, {"value", row.value}, {"unit", row.unit}, {"text", row.text}});
    if (!common.json)
      fmt::print("{:<34} {:>14} {:<12} {}\n", printable(row.name), row.value, printable(row.unit),
                 printable(row.text));
  }
  if (common.json) fmt::print("{}\n", json_text(rows));
}

void evict(const Common& common, const std::string& impi) {
  if (impi.empty()) throw InputError("evict: found \"\", allowed an IMPI");
  const ControlConnection connection(common.control_socket);
  connection.require(
      gmesp_control_evict(connection.get(), impi.c_str(), ControlConnection::kTimeoutMs),
      "evict " + printable(impi));
  if (common.json)
    fmt::print("{}\n", json_text({{"evicted", impi}}));
  else
    fmt::print("evicted {}\n", printable(impi));
}

void reload(const Common& common) {
  const ControlConnection connection(common.control_socket);
  connection.require(gmesp_control_reload(connection.get(), ControlConnection::kTimeoutMs),
                     "reload");
  if (common.json)
    fmt::print("{}\n", json_text({{"reloaded", true}}));
  else
    fmt::print("configuration is in force\n");
}

}  // namespace gmesp::cli
