// A stand-in for gmespd's SA table behind the shared-memory server: a map that obeys the commands,
// with the checks that the tests of the control interface need.
//
// Threading: the server's thread. A test that looks inside holds RunningServer's lock.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/shm/server.h"

namespace gmesp::test {

class ModelTable final : public shm::CommandHandler {
 public:
  explicit ModelTable(uint32_t capacity_sets = 100'000) : capacity_sets_(capacity_sets) {}
  void attach(shm::Server& server) { server_ = &server; }

  void on_command(shm::ConnectionId connection, shm::Command& command) override;
  void on_connected(shm::ConnectionId connection, uint32_t process_id, bool writer) override;
  void on_disconnected(shm::ConnectionId connection, const std::string& why) override;
  void on_refused(uint32_t process_id, uint32_t uid, const std::string& why) override;

  /// Removes what is past its lifetime, as gmespd does with or without a client.
  void expire(uint64_t now_ms);
  /// While true, answers are kept back until release_answers().
  void hold_answers(bool hold) { holds_answers_ = hold; }
  void release_answers();

  size_t live_sets() const { return sets_.size(); }
  const std::map<uint32_t, shm::SaSetRecord>& sets() const { return sets_; }
  const std::vector<uint32_t>& connected() const { return connected_; }
  const std::vector<std::string>& disconnected() const { return disconnected_; }
  const std::vector<std::string>& refused() const { return refused_; }
  uint64_t commands() const { return commands_; }

  static uint64_t id_of(uint32_t index) { return kGeneration << 32 | index; }

 private:
  static constexpr uint64_t kGeneration = 7;

  shm::Status install(const shm::SaSetRecord& record, shm::Completion& answer);
  shm::Status change(const shm::Command& command, shm::Completion& answer);
  shm::Status query(const shm::Command& command, shm::Completion& answer) const;
  void fill_view(uint32_t index, const shm::SaSetRecord& record, shm::SetView& view) const;
  void erase(std::map<uint32_t, shm::SaSetRecord>::iterator at, shm::EventKind why);
  void answer(shm::ConnectionId connection, const shm::Completion& completion);

  const uint32_t capacity_sets_;
  shm::Server* server_ = nullptr;
  std::map<uint32_t, shm::SaSetRecord> sets_;  ///< by table index
  std::unordered_map<uint32_t, uint32_t> index_by_spi_ps_;
  std::set<std::pair<uint64_t, uint32_t>> ends_;  ///< (not_after_ms, table index)
  uint32_t next_index_ = 0;
  uint32_t withdrawn_integrity_ = 0;  ///< bit n: algorithm n
  uint32_t withdrawn_cipher_ = 0;
  bool holds_answers_ = false;
  std::deque<std::pair<shm::ConnectionId, shm::Completion>> held_;
  uint64_t commands_ = 0;
  std::vector<uint32_t> connected_;
  std::vector<std::string> disconnected_;
  std::vector<std::string> refused_;
};

/// A valid set, different for each number: IPv4, transport mode, AES and SHA-1, no expiry.
shm::SaSetRecord make_record(uint32_t number);

}  // namespace gmesp::test
