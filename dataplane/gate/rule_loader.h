// Reads and compiles rule files on a thread of its own, and puts them in force.
//
// Compiling takes up to seconds; neither a worker nor the control thread waits for it. Whatever is
// wrong with a file, the rules in force stay.
//
// Threading: one thread (gmespd's control thread) calls everything. Ownership: the set that waits
// to be published, and the thread. Errors: texts that name file, line and rule.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "control/settings/error.h"
#include "dataplane/screen/rule.h"
#include "dataplane/screen/signature_swap.h"

namespace gmesp::gate {

/// The rules that come with gmespd, as a rule file.
extern const std::string_view kShippedRules;
/// What errors and lists call it.
inline constexpr std::string_view kShippedFile = "shipped";

struct RuleSource {
  std::vector<std::string> files;  ///< the operator's
  /// Of the shipped rules, which name none; kOff: they are left out.
  screen::RuleAction shipped = screen::RuleAction::kCount;
};

struct CompiledRules {
  std::unique_ptr<screen::SignatureSet> set;  ///< null: no rules, or errors
  std::vector<settings::Error> errors;
};

/// On the caller's thread. Rules of files that name no action count.
CompiledRules compile_rules(const RuleSource& source, uint32_t workers);

class RuleLoader {
 public:
  RuleLoader(screen::SignatureSwap& swap, uint32_t workers) : swap_(swap), workers_(workers) {}
  /// Waits for a load that is under way.
  ~RuleLoader();
  RuleLoader(const RuleLoader&) = delete;
  RuleLoader& operator=(const RuleLoader&) = delete;

  /// False: a load is under way, or the set before still waits for its grace period.
  bool start(RuleSource source);
  /// True once per load, when it is over: the new rules are in force, from the next burst of each
  /// worker on, and end_grace_period() must follow; or `errors` says why the old ones stay.
  bool finish(std::vector<settings::Error>& errors);
  bool is_busy() const { return thread_.joinable(); }

 private:
  screen::SignatureSwap& swap_;
  const uint32_t workers_;
  std::thread thread_;
  std::atomic<bool> is_done_{false};
  CompiledRules result_;  ///< the thread's until is_done_
};

}  // namespace gmesp::gate
