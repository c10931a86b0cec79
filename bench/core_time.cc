#include "core_time.h"

#include <fstream>
#include <stdexcept>

namespace gmesp::bench {

CoreTime::CoreTime(pid_t process) : path_("/proc/" + std::to_string(process) + "/schedstat") {
  if (!std::ifstream(path_)) throw std::runtime_error(path_ + " cannot be read");
}

/// The first number: nanoseconds on a core.
double CoreTime::seconds() {
  double ns;
  if (std::ifstream(path_) >> ns) last_s_ = ns * 1e-9;
  return last_s_;
}

}  // namespace gmesp::bench
