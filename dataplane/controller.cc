// Controller, first half: commands. Housekeeping is in controller_tick.cc.
#include "dataplane/controller.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace gmesp::dataplane {

using ipsec::DropReason;
using ipsec::Statistic;
using shm::CommandKind;
using shm::Status;

namespace {

template <size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  const size_t count = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), count);
  to[count] = '\0';
}

}  // namespace

Controller::Controller(const ControllerOptions& options, ipsec::SaDatabase& database,
                       rte_rcu_qsbr* readers, std::span<const std::unique_ptr<Worker>> workers,
                       std::span<const std::unique_ptr<Port>> ports, ScreenControl& screen,
                       AuditLog& audit_log)
    : options_(options),
      database_(database),
      readers_(readers),
      workers_(workers),
      ports_(ports),
      screen_(screen),
      audit_log_(audit_log),
      link_up_(ports.size(), true),
      started_ms_(boottime_ms()) {}

void Controller::on_connected(shm::ConnectionId connection, uint32_t process_id, bool writer) {
  spdlog::info("control connection {} from process {} ({})", connection, process_id,
               writer ? "writer" : "reader");
}

void Controller::on_disconnected(shm::ConnectionId connection, const std::string& why) {
  screen_.forget(connection);
  spdlog::info("control connection {} closed: {}", connection, why);
}

shm::Completion Controller::answer(const shm::Command& command, Status status) const {
  shm::Completion completion{};
  completion.tag = command.tag;
  completion.kind = command.kind;
  completion.status = static_cast<uint32_t>(status);
  return completion;
}

void Controller::complete(shm::ConnectionId connection, const shm::Completion& completion) {
  server_->complete(connection, completion);
}

void Controller::on_command(shm::ConnectionId connection, shm::Command& command) {
  now_ms_ = boottime_ms();
  const auto& argument = command.body.argument;
  switch (static_cast<CommandKind>(command.kind)) {
    case CommandKind::kInstallSet:
      return install(connection, command);
    case CommandKind::kRemoveSet:
      return remove(connection, command);
    case CommandKind::kRemoveAll:
      return remove_all(connection, command);
    case CommandKind::kSetNotAfter:
      return complete(connection,
                      answer(command, database_.set_not_after(argument.set_id, argument.value)));
    case CommandKind::kSetPeerPort: {
      const bool is_port = argument.value >= 1 && argument.value <= UINT16_MAX;
      const Status status =
          is_port ? database_.set_peer_port(argument.set_id, static_cast<uint16_t>(argument.value))
                  : Status::kBadArgument;
      return complete(connection, answer(command, status));
    }
    case CommandKind::kWithdrawAlgorithm:
    case CommandKind::kRestoreAlgorithm:
      return change_algorithm(connection, command);
    case CommandKind::kGetKeys:
      return export_keys(connection, command);
    case CommandKind::kAddRuleFile:
    case CommandKind::kLoadRules:
      return screen_command(connection, command);
    default:
      return query(connection, command);
  }
}

void Controller::install(shm::ConnectionId connection, shm::Command& command) {
  uint64_t set_id = 0;
  std::string detail;
  const Status status = database_.install(command.body.record, now_ms_, set_id, detail);
  crypto::wipe({reinterpret_cast<uint8_t*>(&command.body.record), sizeof command.body.record});
  shm::Completion completion = answer(command, status);
  completion.set_id = set_id;
  if (status == Status::kOk) {
    ++installed_;
  } else {
    ++refused_;
    copy_text(completion.body.detail, detail);
  }
  complete(connection, completion);
}

/// Unpublishes; the answer and the wiping come with reclaim(). False if the set is not live.
bool Controller::retire(const shm::SetView& view, Retired retired) {
  if (database_.unpublish(view.set_id) != Status::kOk) return false;
  retired.set = static_cast<ipsec::SetIndex>(view.set_id);
  retired.set_id = view.set_id;
  retired.cookie = view.record.cookie;
  retired.token = rte_rcu_qsbr_start(readers_);
  retired_.push_back(retired);
  ++removed_;
  return true;
}

void Controller::remove(shm::ConnectionId connection, const shm::Command& command) {
  shm::SetView view;
  const Status status = database_.view(command.body.argument.set_id, view);
  if (status != Status::kOk) return complete(connection, answer(command, status));
  retire(view, {.event = shm::EventKind::kSetRemoved,
                .connection = connection,
                .tag = command.tag,
                .command_kind = command.kind});
}

/// Removes every live set that `chosen` names; the last one carries the answer. Returns how many.
uint64_t Controller::remove_live(const std::function<bool(const shm::SetView&)>& chosen,
                                 shm::ConnectionId connection, const shm::Command& command) {
  uint64_t removed = 0;
  uint64_t at = 0;
  shm::SetView view;
  while (database_.next(at, view, at) == Status::kOk)
    if (chosen(view) && retire(view, {.event = shm::EventKind::kSetRemoved})) ++removed;
  if (removed != 0) {
    Retired& last = retired_.back();
    last.connection = connection;
    last.tag = command.tag;
    last.command_kind = command.kind;
    last.removed_sets = removed;
  }
  return removed;
}

void Controller::remove_all(shm::ConnectionId connection, const shm::Command& command) {
  if (remove_live([](const shm::SetView&) { return true; }, connection, command) == 0)
    complete(connection, answer(command, Status::kOk));
}

/// R-7.1-04: new sets are refused at once; live ones stay until replaced, or go now, as the
/// operator says (R-D-K1).
void Controller::change_algorithm(shm::ConnectionId connection, const shm::Command& command) {
  const auto& argument = command.body.argument;
  const bool names_integrity = argument.integrity <= UINT8_MAX &&
                               crypto::is_integrity(static_cast<uint8_t>(argument.integrity));
  const bool names_cipher =
      argument.cipher <= UINT8_MAX && crypto::is_cipher(static_cast<uint8_t>(argument.cipher));
  const bool valid = (names_integrity || argument.integrity == 0) &&
                     (names_cipher || argument.cipher == 0) && (names_integrity || names_cipher);
  if (!valid) return complete(connection, answer(command, Status::kUnknownAlgorithm));
  const auto integrity = static_cast<uint8_t>(argument.integrity);
  const auto cipher = static_cast<uint8_t>(argument.cipher);
  if (static_cast<CommandKind>(command.kind) == CommandKind::kRestoreAlgorithm) {
    database_.restore(integrity, cipher);
    return complete(connection, answer(command, Status::kOk));
  }
  database_.withdraw(integrity, cipher);
  const auto uses_it = [&](const shm::SetView& view) {
    return view.record.integrity == integrity || view.record.cipher == cipher;
  };
  if (argument.remove_live == 0 || remove_live(uses_it, connection, command) == 0)
    complete(connection, answer(command, Status::kOk));
}

void Controller::query(shm::ConnectionId connection, const shm::Command& command) {
  const auto& argument = command.body.argument;
  shm::Completion completion = answer(command, Status::kOk);
  Status status = Status::kOk;
  switch (static_cast<CommandKind>(command.kind)) {
    case CommandKind::kGetSet:
      status = database_.view(argument.set_id, completion.body.set);
      break;
    case CommandKind::kNextSet:
      status = database_.next(argument.value, completion.body.set, completion.value);
      if (status == Status::kOk) completion.set_id = completion.body.set.set_id;
      break;
    case CommandKind::kGetReason:
      status = fill_reason(argument.value, completion);
      break;
    case CommandKind::kGetStatistic:
      status = fill_statistic(argument.value, completion);
      break;
    case CommandKind::kGetPort:
      if (argument.value < ports_.size())
        completion.body.port = ports_[argument.value]->row();
      else
        status = Status::kEnd;
      break;
    case CommandKind::kGetRule:
      status = screen_.fill_rule(argument.value, completion);
      break;
    case CommandKind::kGetInfo:
      fill_info(completion.body.info);
      break;
    default:
      status = Status::kUnknownCommand;
  }
  completion.status = static_cast<uint32_t>(status);
  complete(connection, completion);
}

void Controller::screen_command(shm::ConnectionId connection, const shm::Command& command) {
  const shm::PeerCredentials* peer = server_->peer(connection);
  if (peer == nullptr) return;
  shm::Completion completion = answer(command, Status::kOk);
  if (screen_.on_command(connection, peer->uid, command, completion))
    complete(connection, completion);
}

/// R-D-K2: on request alone, only to root and to our own user (others that may connect need not be
/// ones that may read what users' traffic is protected with), and never unseen.
void Controller::export_keys(shm::ConnectionId connection, const shm::Command& command) {
  const shm::PeerCredentials* peer = server_->peer(connection);
  if (peer == nullptr) return;
  const shm::PeerCredentials who = *peer;  // the connection may end with the answer
  const uint64_t set_id = command.body.argument.set_id;
  shm::Completion completion = answer(command, Status::kKeysNotAllowed);
  std::string detail = fmt::format("user {}, allowed are 0 and {}", who.uid, geteuid());
  Status status = Status::kKeysNotAllowed;
  if (who.uid == 0 || who.uid == geteuid()) {
    status = database_.keys_of(set_id, completion.body.keys);
    detail = status == Status::kKeyExportOff
                 ? "found [sa] key_export = false; with true, gmespd keeps them from its start on"
                 : "";
  }
  completion.status = static_cast<uint32_t>(status);
  if (status != Status::kOk) copy_text(completion.body.detail, detail);
  complete(connection, completion);
  crypto::wipe({reinterpret_cast<uint8_t*>(&completion), sizeof completion});
  note_key_export(who, set_id, status);
}

void Controller::note_key_export(const shm::PeerCredentials& who, uint64_t set_id, Status status) {
  if (status != Status::kOk) {
    ++key_exports_refused_;
    spdlog::warn("audit: keys of set {:#x} refused to process {} of user {}: {}", set_id,
                 who.process_id, who.uid, shm::status_text(status));
    return;
  }
  ++keys_exported_;
  spdlog::warn("audit: keys of set {:#x} exported to process {} of user {}", set_id, who.process_id,
               who.uid);
  shm::Event event{};
  event.kind = static_cast<uint32_t>(shm::EventKind::kKeysExported);
  event.time_ms = now_ms_;
  event.set_id = database_.live_set_id(static_cast<ipsec::SetIndex>(set_id), event.cookie);
  event.value = who.process_id;
  server_->publish(event);
}

template <class Row>
uint64_t Controller::sum(Row row) const {
  uint64_t total = 0;
  for (const auto& worker : workers_)
    for (uint32_t pair = 0; pair < worker->pair_count(); ++pair)
      total += worker->pipeline(pair).counters().get(row);
  return total;
}

Status Controller::fill_reason(uint64_t row, shm::Completion& completion) const {
  if (row >= ipsec::kDropReasonCount) return Status::kEnd;
  const auto reason = static_cast<DropReason>(row + 1);  // row 0 of the table is kNone
  const ipsec::DropReasonInfo& info = ipsec::info(reason);
  completion.body.reason.packets = sum(reason);
  copy_text(completion.body.reason.name, info.name);
  copy_text(completion.body.reason.clause, info.clause);
  copy_text(completion.body.reason.text, info.text);
  return Status::kOk;
}

Status Controller::fill_statistic(uint64_t row, shm::Completion& completion) const {
  struct Own {
    ipsec::StatisticInfo info;
    uint64_t value;
  };
  uint64_t notices_lost = 0;
  for (const auto& worker : workers_)
    for (uint32_t pair = 0; pair < worker->pair_count(); ++pair)
      notices_lost += worker->pipeline(pair).notices().lost();
  const Own own[] = {
      {{"live_sets", "sets", "SA sets in the tables now"}, database_.live_sets()},
      {{"sets_installed", "sets", "SA sets installed since the start"}, installed_},
      {{"sets_removed", "sets", "SA sets removed, expired ones included"}, removed_},
      {{"sets_expired", "sets", "SA sets whose lifetime ended"}, expired_},
      {{"installs_refused", "commands", "install commands refused"}, refused_},
      {{"keys_exported", "sets", "SA sets whose keys were given out on request"}, keys_exported_},
      {{"key_exports_refused", "commands", "requests for keys refused"}, key_exports_refused_},
      {{"path_mtus_learned", "messages", "too-big messages that changed a path MTU"},
       path_mtus_learned_},
      {{"path_mtus_unmatched", "messages", "too-big messages that matched no SA"},
       path_mtus_unmatched_},
      {{"notices_lost", "events", "worker events lost because the control thread was behind"},
       notices_lost},
  };
  const screen::ScanTotals scans = screen_.totals();
  const Own of_screen[] = {
      {{"sip_scanned", "messages", "looked at by the rules of the screen"}, scans.scanned},
      {{"sip_matched", "messages", "that matched a rule"}, scans.matched},
      {{"sip_rule_dropped", "messages", "that a rule dropped"}, scans.dropped},
      {{"sip_rule_events", "messages", "that matched a rule with action event"}, scans.events},
      {{"sip_scans_failed", "messages", "that went on because the scan ended with an error"},
       scans.failed},
      {{"sip_rule_loads", "loads", "rule sets put in force on command"}, screen_.loads()},
      {{"sip_rule_loads_refused", "loads", "rule sets refused"}, screen_.loads_refused()},
  };
  ipsec::StatisticInfo info;
  uint64_t value = 0;
  if (row < ipsec::kStatisticCount) {
    info = ipsec::kStatistics[row];
    value = sum(static_cast<Statistic>(row));
  } else if (row - ipsec::kStatisticCount < std::size(own)) {
    info = own[row - ipsec::kStatisticCount].info;
    value = own[row - ipsec::kStatisticCount].value;
  } else if (row - ipsec::kStatisticCount - std::size(own) < std::size(of_screen)) {
    const Own& found = of_screen[row - ipsec::kStatisticCount - std::size(own)];
    info = found.info;
    value = found.value;
  } else {
    return Status::kEnd;
  }
  completion.body.statistic.value = value;
  copy_text(completion.body.statistic.name, info.name);
  copy_text(completion.body.statistic.unit, info.unit);
  copy_text(completion.body.statistic.text, info.text);
  return Status::kOk;
}

void Controller::fill_info(shm::InfoRow& info) const {
  copy_text(info.version, options_.version);
  copy_text(info.engine, options_.engine);
  info.process_id = static_cast<uint32_t>(getpid());
  info.workers = static_cast<uint32_t>(workers_.size());
  info.started_ms = started_ms_;
  info.capacity_sets = database_.capacity_sets();
  info.live_sets = database_.live_sets();
  info.epoch = database_.epoch();
  info.window_packets = database_.window_packets();
  info.restored_sets = database_.restoration().restored;
  info.lost_sets = database_.restoration().lost();
}

}  // namespace gmesp::dataplane
