// Brings a cache line near without waiting for it.
#pragma once

namespace gmesp::crypto {

/// A fault-free hint; `line` need not point at anything. Volatile assembler, because g++ 12 drops
/// __builtin_prefetch from functions that do nothing else.
inline void prefetch(const void* line) {
#if defined(__x86_64__)
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(line)));
#else
  __builtin_prefetch(line);
#endif
}

}  // namespace gmesp::crypto
