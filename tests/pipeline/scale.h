// How much of a long test to run: what the environment says, else what this build can do in
// seconds.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace gmesp::test {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GMESP_TEST_THREAD_SANITIZER 1
#elif __has_feature(address_sanitizer)
#define GMESP_TEST_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GMESP_TEST_THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#define GMESP_TEST_ADDRESS_SANITIZER 1
#endif

/// `plain` in an ordinary build, a share of it under a sanitizer, or what `variable` is set to.
inline uint64_t scaled(const char* variable, uint64_t plain) {
  if (const char* text = std::getenv(variable); text != nullptr)
    return std::strtoull(text, nullptr, 10);
#if defined(GMESP_TEST_THREAD_SANITIZER)
  return plain / 10;
#elif defined(GMESP_TEST_ADDRESS_SANITIZER)
  return plain / 4;
#else
  return plain;
#endif
}

}  // namespace gmesp::test
