// gmespctl stats, drops, ports, info, watch.
#include <fmt/core.h>
#include <poll.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

/// Rows of one kind until the last, by the library's getter.
template <class Row, class Get, class Take>
void each_row(const Connection& connection, Get get, Take take) {
  Row row;
  GMESP_INIT(&row);
  for (uint64_t number = 0;; ++number) {
    const int error = get(connection.get(), number, &row, Connection::kTimeoutMs);
    if (error == GMESP_E_END) return;
    connection.require(error, "query");
    take(row);
  }
}

struct EventName {
  gmesp_event_kind kind;
  const char* name;
};
constexpr EventName kEventNames[] = {
    {GMESP_EVENT_PEER_PORT_LEARNED, "peer_port_learned"},
    {GMESP_EVENT_PEER_PORT_CHANGED, "peer_port_changed"},
    {GMESP_EVENT_FIRST_INBOUND, "first_inbound"},
    {GMESP_EVENT_SEQUENCE_NEAR_END, "sequence_near_end"},
    {GMESP_EVENT_SEQUENCE_END, "sequence_end"},
    {GMESP_EVENT_SET_EXPIRED, "set_expired"},
    {GMESP_EVENT_SET_REMOVED, "set_removed"},
    {GMESP_EVENT_AUDIT, "audit"},
    {GMESP_EVENT_PATH_MTU_LEARNED, "path_mtu_learned"},
    {GMESP_EVENT_PORT_DOWN, "port_down"},
    {GMESP_EVENT_PORT_UP, "port_up"},
    {GMESP_EVENT_KEYS_EXPORTED, "keys_exported"},
    {GMESP_EVENT_SIP_RULE, "sip_rule"},
};

const char* event_name(uint32_t kind) {
  for (const EventName& event : kEventNames)
    if (event.kind == kind) return event.name;
  return "unknown";
}

ordered_json json_of(const gmesp_event& event, const std::vector<std::string>& reasons) {
  ordered_json out = {{"event", event_name(event.kind)}, {"time_ms", event.time_ms}};
  if (event.set_id != 0) {
    out["id"] = id_text(event.set_id);
    out["cookie"] = event.cookie;
  }
  if (event.kind == GMESP_EVENT_AUDIT) {
    out["reason"] = event.reason < reasons.size() ? reasons[event.reason] : "unknown";
    out["source"] = address_text(event.source);
    out["source_port"] = event.source_port;
    out["destination"] = address_text(event.destination);
    out["destination_port"] = event.destination_port;
    out["protocol"] = event.protocol;
    out["spi"] = event.spi;
    out["sequence"] = event.sequence;
    out["suppressed"] = event.suppressed;
  } else {
    out["value"] = event.value;
  }
  return out;
}

void print_event(const ordered_json& event) {
  std::string line;
  for (const auto& [field, value] : event.items())
    line += (line.empty() ? "" : " ") + field + "=" +
            (value.is_string() ? value.get<std::string>() : value.dump());
  fmt::print("{}\n", line);
}

}  // namespace

void stats(const Common& common) {
  const Connection connection(common.socket, GMESP_READER);
  ordered_json rows = ordered_json::array();
  each_row<gmesp_statistic>(connection, gmesp_dp_get_statistic, [&](const gmesp_statistic& row) {
    rows.push_back(
        {{"name", row.name}, {"value", row.value}, {"unit", row.unit}, {"text", row.text}});
    if (!common.json)
      fmt::print("{:<24} {:>14} {:<9} {}\n", row.name, row.value, row.unit, row.text);
  });
  if (common.json) fmt::print("{}\n", rows.dump());
}

void drops(const Common& common, bool all) {
  const Connection connection(common.socket, GMESP_READER);
  ordered_json rows = ordered_json::array();
  uint64_t shown = 0;
  each_row<gmesp_reason>(connection, gmesp_dp_get_reason, [&](const gmesp_reason& row) {
    if (row.packets == 0 && !all) return;
    ++shown;
    rows.push_back(
        {{"name", row.name}, {"packets", row.packets}, {"clause", row.clause}, {"text", row.text}});
    if (!common.json)
      fmt::print("{:>14} {:<28} {} ({})\n", row.packets, row.name, row.text, row.clause);
  });
  if (common.json)
    fmt::print("{}\n", rows.dump());
  else if (shown == 0)
    fmt::print("no packet was dropped\n");
}

void ports(const Common& common) {
  const Connection connection(common.socket, GMESP_READER);
  ordered_json rows = ordered_json::array();
  if (!common.json)
    fmt::print("{:<9} {:<30} {:<5} {:>5} {:>6} {:>12} {:>12} {:>9} {:>9}\n", "port", "device",
               "link", "mtu B", "queues", "rx packets", "tx packets", "rx missed", "tx full");
  each_row<gmesp_port>(connection, gmesp_dp_get_port, [&](const gmesp_port& row) {
    rows.push_back({{"name", row.name},
                    {"role", row.role == 0 ? "access" : "host"},
                    {"device", row.device},
                    {"driver", row.driver},
                    {"link_up", row.link_up != 0},
                    {"mtu_bytes", row.mtu_bytes},
                    {"queues", row.queues},
                    {"speed_mbps", row.speed_mbps},
                    {"rx_packets", row.rx_packets},
                    {"rx_bytes", row.rx_bytes},
                    {"rx_missed", row.rx_missed},
                    {"rx_errors", row.rx_errors},
                    {"tx_packets", row.tx_packets},
                    {"tx_bytes", row.tx_bytes},
                    {"tx_errors", row.tx_errors},
                    {"tx_full", row.tx_full}});
    if (!common.json)
      fmt::print("{:<9} {:<30} {:<5} {:>5} {:>6} {:>12} {:>12} {:>9} {:>9}\n", row.name, row.device,
                 row.link_up ? "up" : "down", row.mtu_bytes, row.queues, row.rx_packets,
                 row.tx_packets, row.rx_missed, row.tx_full);
  });
  if (common.json) fmt::print("{}\n", rows.dump());
}

void info(const Common& common) {
  const Connection connection(common.socket, GMESP_READER);
  gmesp_info row;
  GMESP_INIT(&row);
  connection.require(gmesp_dp_get_info(connection.get(), &row, Connection::kTimeoutMs), "info");
  const ordered_json out = {{"version", row.version},
                            {"process_id", row.process_id},
                            {"up_s", (gmesp_now_ms() - row.started_ms) / 1000},
                            {"workers", row.workers},
                            {"live_sets", row.live_sets},
                            {"capacity_sets", row.capacity_sets},
                            {"replay_window_packets", row.window_packets},
                            {"epoch", row.epoch},
                            {"restored_sets", row.restored_sets},
                            {"lost_sets", row.lost_sets},
                            {"engine", row.engine}};
  if (common.json) return fmt::print("{}\n", out.dump());
  for (const auto& [field, value] : out.items())
    fmt::print("{:<22} {}\n", field, value.is_string() ? value.get<std::string>() : value.dump());
}

void watch(const Common& common, uint64_t events_max) {
  const Connection connection(common.socket, GMESP_READER, true);
  std::vector<std::string> reasons;
  each_row<gmesp_reason>(connection, gmesp_dp_get_reason,
                         [&](const gmesp_reason& row) { reasons.emplace_back(row.name); });
  const auto print = [&common](const ordered_json& event) {
    if (common.json)
      fmt::print("{}\n", event.dump());
    else
      print_event(event);
  };
  gmesp_event event;
  GMESP_INIT(&event);
  gmesp_completion completion;
  GMESP_INIT(&completion);
  uint64_t lost = 0;
  for (uint64_t shown = 0;;) {
    if (const uint64_t now_lost = gmesp_dp_events_lost(connection.get()); now_lost != lost)
      print({{"event", "events_lost"}, {"value", now_lost - std::exchange(lost, now_lost)}});
    const int error = gmesp_dp_poll_event(connection.get(), &event);
    if (error == GMESP_OK) {
      print(json_of(event, reasons));
      if (++shown == events_max) return;
      continue;
    }
    std::fflush(stdout);
    if (error != GMESP_E_AGAIN) connection.require(error, "watch");
    connection.poll_completion(completion);
    pollfd readable{gmesp_dp_fd(connection.get()), POLLIN, 0};
    poll(&readable, 1, -1);
  }
}

}  // namespace gmesp::cli
