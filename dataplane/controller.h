// The control thread of gmespd: single writer of the SA database, answers commands, enforces
// lifetimes, tells events.
//
// Removal is in two steps: a set is unpublished at once, and its memory is wiped and its command
// answered after every worker has passed a quiescent state; so "removed" means that nothing is
// accepted or sent on it any more (R-7.4-04). Threading: everything on one thread, tick() by
// tick(). Errors: none after construction.
#pragma once

#include <rte_rcu_qsbr.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "control/shm/server.h"
#include "dataplane/audit_log.h"
#include "dataplane/ipsec/pipeline.h"
#include "dataplane/ipsec/sa_database.h"
#include "dataplane/port.h"
#include "dataplane/screen_control.h"
#include "dataplane/worker.h"

namespace gmesp::dataplane {

struct ControllerOptions {
  uint32_t path_mtu_age_s = 600;
  uint16_t access_mtu_bytes = 1500;
  std::string engine;  ///< Engine::describe(), for kGetInfo
  std::string version;
};

class Controller final : public shm::CommandHandler {
 public:
  Controller(const ControllerOptions& options, ipsec::SaDatabase& database, rte_rcu_qsbr* readers,
             std::span<const std::unique_ptr<Worker>> workers,
             std::span<const std::unique_ptr<Port>> ports, ScreenControl& screen,
             AuditLog& audit_log);

  /// The server delivers commands to this object and gets the answers.
  void attach(shm::Server& server) { server_ = &server; }

  /// One round of the housekeeping; call every few milliseconds and after each Server::poll.
  /// Returns true if something waits for a grace period, so that the caller comes back soon.
  bool tick(uint64_t now_ms);

  void on_command(shm::ConnectionId connection, shm::Command& command) override;
  void on_connected(shm::ConnectionId connection, uint32_t process_id, bool writer) override;
  void on_disconnected(shm::ConnectionId connection, const std::string& why) override;

 private:
  /// An unpublished set that waits for its readers.
  struct Retired {
    uint64_t token = 0;
    ipsec::SetIndex set = 0;
    uint64_t set_id = 0;
    uint64_t cookie = 0;
    shm::EventKind event = shm::EventKind::kSetRemoved;
    shm::ConnectionId connection = 0;  ///< 0: nobody waits for an answer
    uint64_t tag = 0;
    uint32_t command_kind = 0;
    uint64_t removed_sets = 0;  ///< kRemoveAll: answered with its last set
  };

  shm::Completion answer(const shm::Command& command, shm::Status status) const;
  void complete(shm::ConnectionId connection, const shm::Completion& completion);
  void install(shm::ConnectionId connection, shm::Command& command);
  void remove(shm::ConnectionId connection, const shm::Command& command);
  uint64_t remove_live(const std::function<bool(const shm::SetView&)>& chosen,
                       shm::ConnectionId connection, const shm::Command& command);
  void remove_all(shm::ConnectionId connection, const shm::Command& command);
  void change_algorithm(shm::ConnectionId connection, const shm::Command& command);
  void query(shm::ConnectionId connection, const shm::Command& command);
  void export_keys(shm::ConnectionId connection, const shm::Command& command);
  void note_key_export(const shm::PeerCredentials& who, uint64_t set_id, shm::Status status);
  shm::Status fill_reason(uint64_t row, shm::Completion& completion) const;
  shm::Status fill_statistic(uint64_t row, shm::Completion& completion) const;
  void fill_info(shm::InfoRow& info) const;
  bool retire(const shm::SetView& view, Retired retired);
  void reclaim();
  void expire(uint64_t now_ms);
  void drain_notices();
  void tell(const ipsec::Notice& notice);
  void screen_command(shm::ConnectionId connection, const shm::Command& command);
  void learn_path_mtu(const ipsec::Notice& notice);
  void age_path_mtus(uint64_t now_ms);
  void watch_ports(uint64_t now_ms);
  template <class Row>
  uint64_t sum(Row row) const;

  const ControllerOptions options_;
  ipsec::SaDatabase& database_;
  rte_rcu_qsbr* readers_;
  std::span<const std::unique_ptr<Worker>> workers_;
  std::span<const std::unique_ptr<Port>> ports_;
  ScreenControl& screen_;
  AuditLog& audit_log_;
  shm::Server* server_ = nullptr;
  std::deque<Retired> retired_;
  /// Sets with a learned path MTU, by when it ages out.
  std::multimap<uint64_t, uint64_t> path_mtus_;
  std::vector<bool> link_up_;
  uint64_t started_ms_;
  uint64_t now_ms_ = 0;
  uint64_t expiry_scanned_ms_ = 0;
  uint64_t ports_watched_ms_ = 0;
  uint64_t installed_ = 0;
  uint64_t removed_ = 0;
  uint64_t expired_ = 0;
  uint64_t refused_ = 0;
  uint64_t keys_exported_ = 0;
  uint64_t key_exports_refused_ = 0;
  uint64_t path_mtus_learned_ = 0;
  uint64_t path_mtus_unmatched_ = 0;
};

}  // namespace gmesp::dataplane
