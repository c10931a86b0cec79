// The control thread's end of the SIP screen: rules at the start, on command, and their counts.
//
// A load is compiled on a thread of its own (gate/rule_loader.h), taken over in a tick, and
// answered when every worker uses it. Whatever fails, the rules in force stay.
//
// Threading: the control thread. Ownership: of the rules; outlives the workers. Errors: the
// constructor throws std::runtime_error with file, line and rule; afterwards they are answers.
#pragma once

#include <rte_rcu_qsbr.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/shm/server.h"
#include "dataplane/config.h"
#include "dataplane/gate/rule_loader.h"
#include "dataplane/screen/signature_swap.h"

namespace gmesp::dataplane {

class ScreenControl {
 public:
  using Answer = std::function<void(shm::ConnectionId, const shm::Completion&)>;

  /// Compiles the configured rules.
  ScreenControl(const Config& config, uint32_t workers, rte_rcu_qsbr* readers);

  const screen::SignatureSwap& rules() const { return swap_; }

  /// kAddRuleFile, kLoadRules. True: `completion` is the answer; false: it comes with a tick.
  bool on_command(shm::ConnectionId connection, uint32_t uid, const shm::Command& command,
                  shm::Completion& completion);
  shm::Status fill_rule(uint64_t row, shm::Completion& completion) const;
  /// "gone" if the rules were replaced since.
  std::string rule_name(uint64_t row) const;
  screen::ScanTotals totals() const;
  uint64_t loads() const { return loads_; }
  uint64_t loads_refused() const { return loads_refused_; }

  void tick(const Answer& answer);
  /// A tick will have something to do soon.
  bool waits() const { return loader_.is_busy() || swap_.has_retired() || is_swapping_; }
  void forget(shm::ConnectionId connection) { added_.erase(connection); }

 private:
  shm::Status add_file(shm::ConnectionId connection, const shm::Command& command,
                       std::string& detail);
  shm::Status load(shm::ConnectionId connection, const shm::Command& command, std::string& detail);
  void refuse(const std::vector<settings::Error>& errors, const Answer& answer);

  const bool is_on_;
  const gate::RuleSource configured_;
  rte_rcu_qsbr* readers_;
  screen::SignatureSwap swap_;
  gate::RuleLoader loader_;
  std::map<shm::ConnectionId, std::vector<std::string>> added_;
  shm::ConnectionId asked_by_ = 0;
  shm::Completion pending_{};  ///< of the load that is under way
  bool is_swapping_ = false;   ///< `token_` runs
  uint64_t token_ = 0;
  uint64_t loads_ = 0;
  uint64_t loads_refused_ = 0;
};

}  // namespace gmesp::dataplane
