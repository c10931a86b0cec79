#include "control/mnl/turn.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

namespace gmesp::mnl {
namespace {

/// NULL if there was no memory for it: then processes meet at gmespd.
pthread_mutex_t* shared = nullptr;

[[gnu::constructor]] void make_shared() {
  void* memory = mmap(nullptr, sizeof(pthread_mutex_t), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  shared = static_cast<pthread_mutex_t*>(memory);
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(shared, &kind);
  pthread_mutexattr_destroy(&kind);
}

timespec moment_in(unsigned timeout_ms) {
  timespec moment;
  clock_gettime(CLOCK_MONOTONIC, &moment);
  moment.tv_sec += timeout_ms / 1000;
  moment.tv_nsec += static_cast<long>(timeout_ms % 1000) * 1000000;
  if (moment.tv_nsec >= 1000000000) {
    moment.tv_nsec -= 1000000000;
    ++moment.tv_sec;
  }
  return moment;
}

}  // namespace

bool Turn::take(unsigned timeout_ms) {
  if (shared == nullptr) return true;
  const timespec until = moment_in(timeout_ms);
  const int error = pthread_mutex_clocklock(shared, CLOCK_MONOTONIC, &until);
  if (error == EOWNERDEAD) pthread_mutex_consistent(shared);  // it guards no data, only order
  is_taken_ = error == 0 || error == EOWNERDEAD;
  return is_taken_;
}

Turn::~Turn() {
  if (is_taken_) pthread_mutex_unlock(shared);
}

}  // namespace gmesp::mnl
