// CLOCK_BOOTTIME in milliseconds for a busy loop: reads the cycle counter, and the system clock
// once per millisecond.
//
// Threading: one per thread.
#pragma once

#include <rte_cycles.h>
#include <time.h>

#include <cstdint>

namespace gmesp::dataplane {

inline uint64_t boottime_ms() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

class CoarseClock {
 public:
  uint64_t now_ms() {
    const uint64_t cycles = rte_rdtsc();
    if (cycles - read_at_cycles_ >= cycles_per_ms_) {
      read_at_cycles_ = cycles;
      now_ms_ = boottime_ms();
    }
    return now_ms_;
  }

 private:
  uint64_t cycles_per_ms_ = rte_get_tsc_hz() / 1000;
  uint64_t read_at_cycles_ = rte_rdtsc();
  uint64_t now_ms_ = boottime_ms();
};

}  // namespace gmesp::dataplane
