// The public functions that change something, waiting and not waiting, and those that fetch.
#include <string.h>
#include <unistd.h>

#include "control/client/record.h"

namespace gmesp::client {
namespace {

using shm::Command;
using shm::CommandKind;
using shm::Completion;

Command make_argument(CommandKind kind, uint64_t set_id, uint64_t value) {
  Command command;
  memset(&command, 0, sizeof command);
  command.kind = static_cast<uint32_t>(kind);
  command.size = sizeof command.body.argument;
  command.body.argument.set_id = set_id;
  command.body.argument.value = value;
  return command;
}

int make_install(gmesp_dp& dp, const gmesp_sa_set* set, Command& command) {
  command.kind = static_cast<uint32_t>(CommandKind::kInstallSet);
  command.size = sizeof command.body.record;
  return to_record(dp, set, command.body.record);
}

int call_argument(gmesp_dp* dp, CommandKind kind, uint64_t set_id, uint64_t value, int timeout_ms) {
  const int error = begin(dp);
  if (error != GMESP_OK) return error;
  Command command = make_argument(kind, set_id, value);
  Completion answer;
  return call(*dp, command, timeout_ms, answer);
}

int submit_argument(gmesp_dp* dp, CommandKind kind, uint64_t set_id, uint64_t value, uint64_t tag) {
  const int error = begin(dp);
  if (error != GMESP_OK) return error;
  Command command = make_argument(kind, set_id, value);
  return submit(*dp, command, tag);
}

int add_rule_file(gmesp_dp& dp, const char* path, int timeout_ms) {
  Command command;
  memset(&command, 0, sizeof command);
  command.kind = static_cast<uint32_t>(CommandKind::kAddRuleFile);
  command.size = sizeof command.body.text;
  static_assert(sizeof command.body.text == GMESP_RULE_PATH_BYTES);
  const size_t bytes = path == nullptr ? 0 : strlen(path);
  if (bytes == 0 || bytes >= sizeof command.body.text)
    return fail(dp, GMESP_E_BAD_ARGUMENT, "path of %zu bytes, allowed are 1 to %zu", bytes,
                sizeof command.body.text - 1);
  memcpy(command.body.text, path, bytes);
  Completion answer;
  return call(dp, command, timeout_ms, answer);
}

int change_algorithm(gmesp_dp* dp, CommandKind kind, int integrity, int cipher, int remove_live,
                     int timeout_ms) {
  const int error = begin(dp);
  if (error != GMESP_OK) return error;
  if (integrity < 0 || cipher < 0)
    return fail(*dp, GMESP_E_BAD_ARGUMENT, "integrity %d, cipher %d", integrity, cipher);
  Command command = make_argument(kind, 0, 0);
  command.body.argument.integrity = static_cast<uint32_t>(integrity);
  command.body.argument.cipher = static_cast<uint32_t>(cipher);
  command.body.argument.remove_live = remove_live != 0 ? 1 : 0;
  Completion answer;
  return call(*dp, command, timeout_ms, answer);
}

}  // namespace
}  // namespace gmesp::client

using namespace gmesp::client;

int gmesp_dp_install(gmesp_dp* dp, const gmesp_sa_set* set, uint64_t* set_id, int timeout_ms) {
  int error = begin(dp);
  if (error != GMESP_OK) return error;
  Command command;
  Completion answer;
  error = make_install(*dp, set, command);
  if (error == GMESP_OK) error = call(*dp, command, timeout_ms, answer);
  if (error == GMESP_OK && set_id != nullptr) *set_id = answer.set_id;
  return error;
}

int gmesp_dp_remove(gmesp_dp* dp, uint64_t set_id, int timeout_ms) {
  return call_argument(dp, CommandKind::kRemoveSet, set_id, 0, timeout_ms);
}

int gmesp_dp_set_not_after(gmesp_dp* dp, uint64_t set_id, uint64_t not_after_ms, int timeout_ms) {
  return call_argument(dp, CommandKind::kSetNotAfter, set_id, not_after_ms, timeout_ms);
}

int gmesp_dp_set_peer_port(gmesp_dp* dp, uint64_t set_id, uint16_t port, int timeout_ms) {
  return call_argument(dp, CommandKind::kSetPeerPort, set_id, port, timeout_ms);
}

int gmesp_dp_remove_all(gmesp_dp* dp, uint64_t* removed_sets, int timeout_ms) {
  int error = begin(dp);
  if (error != GMESP_OK) return error;
  Command command = make_argument(CommandKind::kRemoveAll, 0, 0);
  Completion answer;
  error = call(*dp, command, timeout_ms, answer);
  if (error == GMESP_OK && removed_sets != nullptr) *removed_sets = answer.value;
  return error;
}

int gmesp_dp_withdraw(gmesp_dp* dp, int integrity, int cipher, int remove_live, int timeout_ms) {
  return change_algorithm(dp, CommandKind::kWithdrawAlgorithm, integrity, cipher, remove_live,
                          timeout_ms);
}

int gmesp_dp_restore(gmesp_dp* dp, int integrity, int cipher, int timeout_ms) {
  return change_algorithm(dp, CommandKind::kRestoreAlgorithm, integrity, cipher, 0, timeout_ms);
}

int gmesp_dp_load_rules(gmesp_dp* dp, const char* const* paths, size_t count, int timeout_ms) {
  int error = begin(dp);
  if (paths == nullptr) count = 0;
  if (error == GMESP_OK && count > GMESP_RULE_FILES_MAX)
    return fail(*dp, GMESP_E_BAD_ARGUMENT, "%zu files, allowed are at most %d", count,
                GMESP_RULE_FILES_MAX);
  for (size_t i = 0; i < count && error == GMESP_OK; ++i)
    error = add_rule_file(*dp, paths[i], timeout_ms);
  if (error != GMESP_OK) return error;
  const auto load =
      paths == nullptr ? gmesp::shm::RuleLoad::kConfigured : gmesp::shm::RuleLoad::kAdded;
  return call_argument(dp, CommandKind::kLoadRules, 0, static_cast<uint64_t>(load), timeout_ms);
}

int gmesp_dp_submit_install(gmesp_dp* dp, const gmesp_sa_set* set, uint64_t tag) {
  int error = begin(dp);
  if (error != GMESP_OK) return error;
  Command command;
  error = make_install(*dp, set, command);
  return error == GMESP_OK ? submit(*dp, command, tag) : error;
}

int gmesp_dp_submit_remove(gmesp_dp* dp, uint64_t set_id, uint64_t tag) {
  return submit_argument(dp, CommandKind::kRemoveSet, set_id, 0, tag);
}

int gmesp_dp_submit_set_not_after(gmesp_dp* dp, uint64_t set_id, uint64_t not_after_ms,
                                  uint64_t tag) {
  return submit_argument(dp, CommandKind::kSetNotAfter, set_id, not_after_ms, tag);
}

int gmesp_dp_submit_set_peer_port(gmesp_dp* dp, uint64_t set_id, uint16_t port, uint64_t tag) {
  return submit_argument(dp, CommandKind::kSetPeerPort, set_id, port, tag);
}

int gmesp_dp_submit_get_set(gmesp_dp* dp, uint64_t set_id, uint64_t tag) {
  return submit_argument(dp, CommandKind::kGetSet, set_id, 0, tag);
}

int gmesp_dp_submit_next_set(gmesp_dp* dp, uint64_t index, uint64_t tag) {
  return submit_argument(dp, CommandKind::kNextSet, 0, index, tag);
}

void gmesp_dp_hold(gmesp_dp* dp, int is_held) {
  if (dp == nullptr || !dp->owner.is_caller() || dp->broken != GMESP_OK) return;
  dp->is_held = is_held != 0;
  if (!dp->is_held) wake(*dp);
}

int gmesp_dp_poll_completion(gmesp_dp* dp, gmesp_completion* completion) {
  int error = begin(dp);
  if (error == GMESP_OK) error = check_room(completion);
  if (error != GMESP_OK) return error;
  Completion answer;
  error = next_submitted(*dp, answer);
  if (error != GMESP_OK) return error;
  GMESP_INIT(completion);
  completion->tag = answer.tag;
  completion->error = error_of(*dp, answer);
  completion->set_id = answer.set_id;
  completion->next_index = answer.value;
  const auto kind = static_cast<CommandKind>(answer.kind);
  if (completion->error != GMESP_OK)
    memcpy(completion->detail, dp->detail, sizeof completion->detail);
  else if (kind == CommandKind::kGetSet || kind == CommandKind::kNextSet)
    to_view(answer.body.set, completion->view);
  return GMESP_OK;
}

int gmesp_dp_poll_event(gmesp_dp* dp, gmesp_event* event) {
  int error = begin(dp);
  if (error == GMESP_OK) error = check_room(event);
  if (error != GMESP_OK) return error;
  gmesp::shm::Event found;
  error = next_event(*dp, found);
  if (error == GMESP_OK) to_event(found, *event);
  return error;
}
