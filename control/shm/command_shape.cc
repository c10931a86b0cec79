#include "control/shm/command_shape.h"

namespace gmesp::shm {
namespace {

struct Shape {
  bool known;
  bool changes;   ///< needs the writer's role
  uint32_t size;  ///< of the body
};

constexpr Shape shape_of(uint32_t kind) {
  constexpr uint32_t kArgumentBytes = sizeof(Command::Body::argument);
  switch (static_cast<CommandKind>(kind)) {
    case CommandKind::kInstallSet:
      return {true, true, sizeof(SaSetRecord)};
    case CommandKind::kRemoveSet:
    case CommandKind::kSetNotAfter:
    case CommandKind::kRemoveAll:
    case CommandKind::kWithdrawAlgorithm:
    case CommandKind::kRestoreAlgorithm:
    case CommandKind::kSetPeerPort:
      return {true, true, kArgumentBytes};
    case CommandKind::kAddRuleFile:
      return {true, false, sizeof(Command::Body::text)};
    case CommandKind::kGetSet:
    case CommandKind::kNextSet:
    case CommandKind::kGetReason:
    case CommandKind::kGetStatistic:
    case CommandKind::kGetPort:
    case CommandKind::kGetInfo:
    case CommandKind::kGetKeys:
    case CommandKind::kLoadRules:
    case CommandKind::kGetRule:
      return {true, false, kArgumentBytes};
  }
  return {false, false, 0};
}

}  // namespace

Status check_shape(const Command& command, bool may_write, std::string& detail) {
  const Shape shape = shape_of(command.kind);
  if (!shape.known) {
    detail = "command " + std::to_string(command.kind) + " is not known to this gmespd";
    return Status::kUnknownCommand;
  }
  if (shape.changes && !may_write) {
    detail = "the connection was opened as a reader";
    return Status::kNotWriter;
  }
  if (command.size != shape.size) {
    detail = "command of " + std::to_string(command.size) + " bytes, allowed is " +
             std::to_string(shape.size);
    return Status::kBadRecord;
  }
  return Status::kOk;
}

}  // namespace gmesp::shm
