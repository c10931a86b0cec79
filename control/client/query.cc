// The public functions that only read.
#include <string.h>

#include "control/client/record.h"

namespace gmesp::client {
namespace {

using shm::CommandKind;
using shm::Completion;

int query(gmesp_dp* dp, CommandKind kind, uint64_t set_id, uint64_t value, int timeout_ms,
          Completion& answer) {
  shm::Command command;
  memset(&command, 0, sizeof command);
  command.kind = static_cast<uint32_t>(kind);
  command.size = sizeof command.body.argument;
  command.body.argument.set_id = set_id;
  command.body.argument.value = value;
  return call(*dp, command, timeout_ms, answer);
}

/// Texts of gmespd end with a zero here whatever stood there.
template <size_t kBytes>
void copy_text(char (&to)[kBytes], const char (&from)[kBytes]) {
  memcpy(to, from, kBytes);
  to[kBytes - 1] = '\0';
}

void copy(const shm::ReasonRow& from, gmesp_reason& to) {
  to.packets = from.packets;
  copy_text(to.name, from.name);
  copy_text(to.clause, from.clause);
  copy_text(to.text, from.text);
}

void copy(const shm::StatisticRow& from, gmesp_statistic& to) {
  to.value = from.value;
  copy_text(to.name, from.name);
  copy_text(to.unit, from.unit);
  copy_text(to.text, from.text);
}

void copy(const shm::PortRow& from, gmesp_port& to) {
  to.link_up = from.link_up;
  to.role = from.role;
  to.mtu_bytes = from.mtu;
  copy_text(to.name, from.name);
  copy_text(to.device, from.device);
  copy_text(to.driver, from.driver);
  to.queues = from.queues;
  to.speed_mbps = from.speed_mbps;
  to.rx_packets = from.rx_packets;
  to.rx_bytes = from.rx_bytes;
  to.rx_missed = from.rx_missed;
  to.rx_errors = from.rx_errors;
  to.tx_packets = from.tx_packets;
  to.tx_bytes = from.tx_bytes;
  to.tx_errors = from.tx_errors;
  to.tx_full = from.tx_full;
}

void copy(const shm::InfoRow& from, gmesp_info& to) {
  to.process_id = from.process_id;
  to.workers = from.workers;
  to.window_packets = from.window_packets;
  to.started_ms = from.started_ms;
  to.capacity_sets = from.capacity_sets;
  to.live_sets = from.live_sets;
  to.epoch = from.epoch;
  copy_text(to.version, from.version);
  copy_text(to.engine, from.engine);
  to.restored_sets = from.restored_sets;
  to.lost_sets = from.lost_sets;
}

void copy(const shm::RuleRow& from, gmesp_rule& to) {
  to.matched = from.matched;
  to.dropped = from.dropped;
  copy_text(to.name, from.name);
  copy_text(to.action, from.action);
  copy_text(to.where, from.where);
  copy_text(to.sides, from.sides);
  copy_text(to.header, from.header);
  copy_text(to.comment, from.comment);
}

/// `row_of` picks the body's member of the answer.
template <class Struct, class RowOf>
int query_row(gmesp_dp* dp, CommandKind kind, uint64_t row, Struct* to, int timeout_ms,
              RowOf row_of) {
  int error = begin(dp);
  if (error == GMESP_OK) error = check_room(to);
  if (error != GMESP_OK) return error;
  Completion answer;
  error = query(dp, kind, 0, row, timeout_ms, answer);
  if (error != GMESP_OK) return error;
  GMESP_INIT(to);
  copy(row_of(answer.body), *to);
  return GMESP_OK;
}

}  // namespace
}  // namespace gmesp::client

using namespace gmesp::client;
using Body = gmesp::shm::Completion::Body;

int gmesp_dp_get_set(gmesp_dp* dp, uint64_t set_id, gmesp_set_view* view, int timeout_ms) {
  int error = begin(dp);
  if (error == GMESP_OK) error = check_room(view);
  if (error != GMESP_OK) return error;
  Completion answer;
  error = query(dp, CommandKind::kGetSet, set_id, 0, timeout_ms, answer);
  if (error == GMESP_OK) to_view(answer.body.set, *view);
  return error;
}

int gmesp_dp_next_set(gmesp_dp* dp, uint64_t* index, gmesp_set_view* view, int timeout_ms) {
  int error = begin(dp);
  if (error == GMESP_OK) error = index != nullptr ? check_room(view) : GMESP_E_BAD_ARGUMENT;
  if (error != GMESP_OK) return error;
  Completion answer;
  error = query(dp, CommandKind::kNextSet, 0, *index, timeout_ms, answer);
  if (error != GMESP_OK) return error;
  to_view(answer.body.set, *view);
  *index = answer.value;
  return GMESP_OK;
}

int gmesp_dp_get_keys(gmesp_dp* dp, uint64_t set_id, gmesp_sa_set* set, int timeout_ms) {
  int error = begin(dp);
  if (error == GMESP_OK) error = check_room(set);
  if (error != GMESP_OK) return error;
  gmesp_sa_set_wipe(set);
  Completion answer;
  error = query(dp, CommandKind::kGetKeys, set_id, 0, timeout_ms, answer);
  if (error == GMESP_OK && !to_set_with_keys(answer.body.keys, *set))
    error = fail(*dp, GMESP_E_PROTOCOL, "gmespd answered with a record of another version");
  explicit_bzero(&answer, sizeof answer);
  return error;
}

int gmesp_dp_get_reason(gmesp_dp* dp, uint64_t row, gmesp_reason* reason, int timeout_ms) {
  return query_row(dp, CommandKind::kGetReason, row, reason, timeout_ms,
                   [](const Body& body) { return body.reason; });
}

int gmesp_dp_get_statistic(gmesp_dp* dp, uint64_t row, gmesp_statistic* statistic, int timeout_ms) {
  return query_row(dp, CommandKind::kGetStatistic, row, statistic, timeout_ms,
                   [](const Body& body) { return body.statistic; });
}

int gmesp_dp_get_port(gmesp_dp* dp, uint64_t row, gmesp_port* port, int timeout_ms) {
  return query_row(dp, CommandKind::kGetPort, row, port, timeout_ms,
                   [](const Body& body) { return body.port; });
}

int gmesp_dp_get_rule(gmesp_dp* dp, uint64_t row, gmesp_rule* rule, int timeout_ms) {
  return query_row(dp, CommandKind::kGetRule, row, rule, timeout_ms,
                   [](const Body& body) { return body.rule; });
}

int gmesp_dp_get_info(gmesp_dp* dp, gmesp_info* info, int timeout_ms) {
  return query_row(dp, CommandKind::kGetInfo, 0, info, timeout_ms,
                   [](const Body& body) { return body.info; });
}
