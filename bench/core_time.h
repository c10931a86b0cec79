// How long the first thread of a process has been on a core: what its work costs, whoever else is
// on the machine.
//
// gmesp-control has one thread; the first one of gmespd is its control thread, not a packet core.
// Errors: the constructor throws std::runtime_error if there is no such process here; a process
// that ends keeps its last time.
#pragma once

#include <sys/types.h>

#include <string>

namespace gmesp::bench {

class CoreTime {
 public:
  explicit CoreTime(pid_t process);
  double seconds();

 private:
  const std::string path_;
  double last_s_ = 0;
};

}  // namespace gmesp::bench
