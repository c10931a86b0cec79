#include "dataplane/unmap_guard.h"

#include <rte_interrupts.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace gmesp::dataplane {
namespace {

std::atomic<rte_rcu_qsbr*> guarded_readers{nullptr};

}  // namespace

UnmapGuard::UnmapGuard(rte_rcu_qsbr* readers) {
  guarded_readers.store(readers, std::memory_order_release);
}

UnmapGuard::~UnmapGuard() {
  guarded_readers.store(nullptr, std::memory_order_release);
}

}  // namespace gmesp::dataplane

/// Comes before libc's for everything in this process, drivers included.
extern "C" int munmap(void* address, size_t bytes) noexcept {
  rte_rcu_qsbr* readers = gmesp::dataplane::guarded_readers.load(std::memory_order_acquire);
  if (readers != nullptr && rte_thread_is_intr() != 0)
    rte_rcu_qsbr_synchronize(readers, RTE_QSBR_THRID_INVALID);
  return static_cast<int>(syscall(SYS_munmap, address, bytes));
}
