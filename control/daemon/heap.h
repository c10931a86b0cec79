// The heap of a process that touches a gigabyte at random and may not stop to get more of it.
//
// Threading: before any other thread. Errors: see each.
#pragma once

#include <cstdint>

namespace gmesp::control {

/// With pages of 4 KiB nearly every touch misses the TLB. glibc's heap takes huge pages only if its
/// environment said so before it started: so the program starts itself again, unless the operator
/// has said something about it. Returns if it need not or cannot; then the log says why.
void take_huge_pages(char** argv);

/// Takes so much from the kernel now, and gives nothing back later: a page that is touched for the
/// first time can cost milliseconds. Throws std::bad_alloc.
void take_ahead(uint64_t bytes);

}  // namespace gmesp::control
