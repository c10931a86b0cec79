#include "model_table.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace gmesp::test {

using shm::CommandKind;
using shm::Completion;
using shm::SaSetRecord;
using shm::Status;

void ModelTable::on_connected(shm::ConnectionId, uint32_t process_id, bool) {
  connected_.push_back(process_id);
}

void ModelTable::on_disconnected(shm::ConnectionId, const std::string& why) {
  disconnected_.push_back(why);
}

void ModelTable::on_refused(uint32_t, uint32_t, const std::string& why) {
  refused_.push_back(why);
}

void ModelTable::on_command(shm::ConnectionId connection, shm::Command& command) {
  ++commands_;
  Completion completion{};
  completion.tag = command.tag;
  completion.kind = command.kind;
  Status status;
  if (static_cast<CommandKind>(command.kind) == CommandKind::kInstallSet)
    status = install(command.body.record, completion);
  else if (command.kind < static_cast<uint32_t>(CommandKind::kGetSet))
    status = change(command, completion);
  else
    status = query(command, completion);
  completion.status = static_cast<uint32_t>(status);
  answer(connection, completion);
}

void ModelTable::answer(shm::ConnectionId connection, const Completion& completion) {
  if (holds_answers_)
    held_.emplace_back(connection, completion);
  else
    server_->complete(connection, completion);
}

void ModelTable::release_answers() {
  for (const auto& [connection, completion] : held_) server_->complete(connection, completion);
  held_.clear();
}

Status ModelTable::install(const SaSetRecord& record, Completion& answer) {
  if (record.size != sizeof record || record.version != shm::kRecordVersion) {
    snprintf(answer.body.detail, sizeof answer.body.detail, "record version %u, allowed is %u",
             record.version, shm::kRecordVersion);
    return Status::kBadVersion;
  }
  if (record.mode != 1 && record.mode != 2) return Status::kBadMode;
  if (record.integrity == 0) return Status::kIntegrityMissing;
  if (record.integrity > 2 || record.cipher == 0 || record.cipher > 3)
    return Status::kUnknownAlgorithm;
  if ((withdrawn_integrity_ >> record.integrity & 1) != 0 ||
      (withdrawn_cipher_ >> record.cipher & 1) != 0)
    return Status::kAlgorithmWithdrawn;
  for (const uint32_t spi : {record.spi_uc, record.spi_us, record.spi_pc, record.spi_ps}) {
    if (spi > 255) continue;
    snprintf(answer.body.detail, sizeof answer.body.detail, "SPI %u, allowed are 256 to 4294967295",
             spi);
    return Status::kSpiReserved;
  }
  if (index_by_spi_ps_.contains(record.spi_ps)) return Status::kSpiInUse;
  if (sets_.size() >= capacity_sets_) return Status::kTableFull;
  while (sets_.contains(next_index_)) next_index_ = (next_index_ + 1) % capacity_sets_;
  index_by_spi_ps_[record.spi_ps] = next_index_;
  answer.set_id = id_of(next_index_);
  ends_.emplace(record.not_after_ms, next_index_);
  sets_.emplace_hint(sets_.end(), next_index_, record);
  next_index_ = (next_index_ + 1) % capacity_sets_;
  return Status::kOk;
}

void ModelTable::erase(std::map<uint32_t, SaSetRecord>::iterator at, shm::EventKind why) {
  shm::Event event{};
  event.kind = static_cast<uint32_t>(why);
  event.set_id = id_of(at->first);
  event.cookie = at->second.cookie;
  index_by_spi_ps_.erase(at->second.spi_ps);
  ends_.erase({at->second.not_after_ms, at->first});
  sets_.erase(at);
  server_->publish(event);
}

Status ModelTable::change(const shm::Command& command, Completion& answer) {
  const auto& argument = command.body.argument;
  const auto at = sets_.find(static_cast<uint32_t>(argument.set_id));
  const bool found = at != sets_.end() && id_of(at->first) == argument.set_id;
  switch (static_cast<CommandKind>(command.kind)) {
    case CommandKind::kRemoveAll:
      answer.value = sets_.size();
      while (!sets_.empty()) erase(sets_.begin(), shm::EventKind::kSetRemoved);
      return Status::kOk;
    case CommandKind::kWithdrawAlgorithm:
      if (argument.integrity > 2 || argument.cipher > 3) return Status::kUnknownAlgorithm;
      withdrawn_integrity_ |= 1u << argument.integrity & ~1u;
      withdrawn_cipher_ |= 1u << argument.cipher & ~1u;
      return Status::kOk;
    case CommandKind::kRestoreAlgorithm:
      if (argument.integrity > 2 || argument.cipher > 3) return Status::kUnknownAlgorithm;
      withdrawn_integrity_ &= ~(1u << argument.integrity);
      withdrawn_cipher_ &= ~(1u << argument.cipher);
      return Status::kOk;
    case CommandKind::kRemoveSet:
      if (!found) return Status::kNotFound;
      answer.set_id = argument.set_id;
      erase(at, shm::EventKind::kSetRemoved);
      return Status::kOk;
    case CommandKind::kSetNotAfter:
      if (!found) return Status::kNotFound;
      if (argument.value < at->second.not_after_ms) return Status::kLifetimeShrinks;
      ends_.erase({at->second.not_after_ms, at->first});
      ends_.emplace(argument.value, at->first);
      at->second.not_after_ms = argument.value;
      return Status::kOk;
    case CommandKind::kSetPeerPort:
      if (!found) return Status::kNotFound;
      if (argument.value == 0 || argument.value > UINT16_MAX) return Status::kBadArgument;
      at->second.outer_ue_port = static_cast<uint16_t>(argument.value);
      return Status::kOk;
    default:
      return Status::kUnknownCommand;
  }
}

void ModelTable::fill_view(uint32_t index, const SaSetRecord& record, shm::SetView& view) const {
  view.set_id = id_of(index);
  view.installed_ms = 1000;
  view.record = record;
  view.record.integrity_key_bytes = 0;
  view.record.cipher_key_bytes = 0;
  memset(view.record.integrity_key, 0, sizeof view.record.integrity_key);
  memset(view.record.cipher_key, 0, sizeof view.record.cipher_key);
  for (uint32_t role = 0; role < shm::kSasPerSet; ++role) view.sa[role].packets = 10 + role;
}

Status ModelTable::query(const shm::Command& command, Completion& answer) const {
  const auto& argument = command.body.argument;
  const auto kind = static_cast<CommandKind>(command.kind);
  const auto row = static_cast<unsigned>(argument.value);
  if (kind == CommandKind::kGetSet) {
    const auto at = sets_.find(static_cast<uint32_t>(argument.set_id));
    if (at == sets_.end() || id_of(at->first) != argument.set_id) return Status::kNotFound;
    fill_view(at->first, at->second, answer.body.set);
  } else if (kind == CommandKind::kGetKeys) {
    const auto at = sets_.find(static_cast<uint32_t>(argument.set_id));
    if (at == sets_.end() || id_of(at->first) != argument.set_id) return Status::kNotFound;
    answer.body.keys = at->second;
  } else if (kind == CommandKind::kNextSet) {
    if (argument.value > UINT32_MAX) return Status::kEnd;
    const auto at = sets_.lower_bound(row);
    if (at == sets_.end()) return Status::kEnd;
    fill_view(at->first, at->second, answer.body.set);
    answer.set_id = answer.body.set.set_id;
    answer.value = uint64_t{at->first} + 1;
  } else if (kind == CommandKind::kGetInfo) {
    snprintf(answer.body.info.version, sizeof answer.body.info.version, "model");
    snprintf(answer.body.info.engine, sizeof answer.body.info.engine, "none");
    answer.body.info.process_id = static_cast<uint32_t>(getpid());
    answer.body.info.capacity_sets = capacity_sets_;
    answer.body.info.live_sets = sets_.size();
    answer.body.info.epoch = 42;
  } else if (argument.value >= 3) {
    return Status::kEnd;
  } else if (kind == CommandKind::kGetReason) {
    answer.body.reason.packets = row;
    snprintf(answer.body.reason.name, sizeof answer.body.reason.name, "reason_%u", row);
    snprintf(answer.body.reason.clause, sizeof answer.body.reason.clause, "TS 33.203 7.%u", row);
    snprintf(answer.body.reason.text, sizeof answer.body.reason.text, "text of reason %u", row);
  } else if (kind == CommandKind::kGetStatistic) {
    answer.body.statistic.value = 100 + row;
    snprintf(answer.body.statistic.name, sizeof answer.body.statistic.name, "statistic_%u", row);
    snprintf(answer.body.statistic.unit, sizeof answer.body.statistic.unit, "packets");
  } else {
    answer.body.port.link_up = row != 2;
    answer.body.port.role = row == 0 ? 0 : 1;
    answer.body.port.mtu = 1500;
    snprintf(answer.body.port.name, sizeof answer.body.port.name, "port%u", row);
    snprintf(answer.body.port.device, sizeof answer.body.port.device, "net_tap%u", row);
  }
  return Status::kOk;
}

void ModelTable::expire(uint64_t now_ms) {
  while (!ends_.empty() && ends_.begin()->first <= now_ms)
    erase(sets_.find(ends_.begin()->second), shm::EventKind::kSetExpired);
}

SaSetRecord make_record(uint32_t number) {
  SaSetRecord record;
  memset(&record, 0, sizeof record);
  record.size = sizeof record;
  record.version = shm::kRecordVersion;
  record.mode = 1;
  record.integrity = 2;
  record.cipher = 2;
  record.port_uc = 5100;
  record.port_us = 5200;
  record.port_pc = 6100;
  record.port_ps = 6200;
  record.spi_uc = 1'000'000'000 + number;
  record.spi_us = 2'000'000'000 + number;
  record.spi_pc = 3'000'000'000 + number;
  record.spi_ps = 4'000'000'000 + number;
  const uint8_t ue[16] = {0,
                          0,
                          0,
                          0,
                          0,
                          0,
                          0,
                          0,
                          0,
                          0,
                          0xff,
                          0xff,
                          10,
                          static_cast<uint8_t>(number >> 16),
                          static_cast<uint8_t>(number >> 8),
                          static_cast<uint8_t>(number)};
  const uint8_t local[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  memcpy(record.ue_address, ue, sizeof ue);
  memcpy(record.local_address, local, sizeof local);
  record.not_after_ms = UINT64_MAX;
  record.cookie = number;
  record.integrity_key_bytes = 20;
  record.cipher_key_bytes = 16;
  memset(record.integrity_key, 0xa1, 20);
  memset(record.cipher_key, 0xc2, 16);
  return record;
}

}  // namespace gmesp::test
