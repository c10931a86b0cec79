// Until when something may take: a time-out that several waits share.
//
// Units: milliseconds of CLOCK_MONOTONIC. Threading: a plain value. Errors: none. libc only.
#pragma once

#include <stdint.h>

namespace gmesp::client {

uint64_t monotonic_ms();

class Deadline {
 public:
  /// `timeout_ms` from now, not negative.
  explicit Deadline(int timeout_ms) : since_ms_(monotonic_ms()), timeout_ms_(timeout_ms) {}

  int timeout_ms() const { return timeout_ms_; }
  int left_ms() const {
    const uint64_t waited_ms = monotonic_ms() - since_ms_;
    const auto timeout_ms = static_cast<uint64_t>(timeout_ms_);
    return waited_ms >= timeout_ms ? 0 : static_cast<int>(timeout_ms - waited_ms);
  }

 private:
  uint64_t since_ms_;
  int timeout_ms_;
};

}  // namespace gmesp::client
