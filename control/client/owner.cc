#include "control/client/owner.h"

#include <sys/mman.h>
#include <unistd.h>

namespace gmesp::client {

void Owner::set() {
  process_ = getpid();
  void* page =
      mmap(nullptr, sizeof(bool), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, sizeof(bool), MADV_WIPEONFORK) != 0) {
    munmap(page, sizeof(bool));
    return;
  }
  *static_cast<bool*>(page) = true;
  is_here_ = static_cast<bool*>(page);
}

void Owner::free_memory() {
  if (is_here_ != nullptr) munmap(const_cast<bool*>(is_here_), sizeof(bool));
}

bool Owner::is_caller() const {
  return is_here_ != nullptr ? *is_here_ : getpid() == process_;
}

}  // namespace gmesp::client
