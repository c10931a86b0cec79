// Counts every allocation of the process, in whatever library: malloc and its relatives are
// replaced, or hooked where a sanitizer has replaced them already.
#pragma once

#include <cstdint>

namespace gmesp::crypto::test {

/// Allocations since the process started, all threads together.
uint64_t allocations();

}  // namespace gmesp::crypto::test
