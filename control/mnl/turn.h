// Whose turn it is to be gmespd's writer, among the processes of one proxy: they wait in the kernel
// for each other and do not all knock at gmespd. The lock was made when the library was loaded, so
// all processes that the proxy forked share it. Other writers (gmespctl) are met at gmespd.
//
// Threading: any thread; one Turn per call. A process that dies in its turn ends it.
#pragma once

#include <stdint.h>

namespace gmesp::mnl {

class Turn {
 public:
  Turn() = default;
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  /// False if others had their turns for all that time.
  bool take(unsigned timeout_ms);

 private:
  bool is_taken_ = false;
};

}  // namespace gmesp::mnl
