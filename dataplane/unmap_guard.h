// Keeps shared memory of a port mapped until no packet core can be in it any more.
//
// Why: when the peer of a memif port goes away, DPDK's driver (22.11) marks the port disconnected
// and unmaps the rings at once, in the EAL's interrupt thread, while a worker may be copying a
// packet out of them; gmespd would die with its peer. So munmap() of that thread waits here for one
// grace period of the workers: who begins a burst after the mark does not touch the rings.
//
// Threading: make it once, while no worker runs yet, and let it go when none runs any more.
#pragma once

#include <rte_rcu_qsbr.h>

namespace gmesp::dataplane {

class UnmapGuard {
 public:
  /// `readers` are the workers' quiescent states; they outlive the guard.
  explicit UnmapGuard(rte_rcu_qsbr* readers);
  ~UnmapGuard();
  UnmapGuard(const UnmapGuard&) = delete;
  UnmapGuard& operator=(const UnmapGuard&) = delete;
};

}  // namespace gmesp::dataplane
