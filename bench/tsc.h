// The time stamp counter against the clock.
#pragma once

#include <x86intrin.h>

#include <chrono>
#include <cstdint>

namespace gmesp::bench {

/// Takes 50 ms.
inline double ticks_per_ns() {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const uint64_t ticks = __rdtsc();
  while (Clock::now() - start < std::chrono::milliseconds(50)) continue;
  const std::chrono::duration<double, std::nano> passed = Clock::now() - start;
  return static_cast<double>(__rdtsc() - ticks) / passed.count();
}

}  // namespace gmesp::bench
