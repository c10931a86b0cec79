// The set of rules in force, and how another takes its place while workers scan.
//
// Threading: workers call current() once a burst and keep what it gives for that burst only. One
// other thread publishes: a set that is replaced stays until that thread says that every worker has
// begun a new burst since, or is not scanning (gmespd asks rte_rcu_qsbr).
// Ownership: of all sets given to it. Errors: none.
#pragma once

#include <atomic>
#include <memory>

#include "dataplane/screen/signature_set.h"

namespace gmesp::screen {

class SignatureSwap {
 public:
  ~SignatureSwap();

  /// Null: no rules are in force.
  SignatureSet* current() const { return current_.load(std::memory_order_acquire); }

  /// `next` (null: no rules) is in force from now on. False, and nothing changes, while a replaced
  /// set still waits for its grace period.
  bool publish(std::unique_ptr<SignatureSet>& next);
  bool has_retired() const { return retired_ != nullptr; }
  /// The grace period begun after publish() is over: the last counts of the replaced set are taken
  /// over, and it is freed.
  void end_grace_period();

 private:
  std::atomic<SignatureSet*> current_{nullptr};
  std::unique_ptr<SignatureSet> owned_;    ///< what current_ points to
  std::unique_ptr<SignatureSet> retired_;  ///< may still be in use
};

}  // namespace gmesp::screen
