// The seal of an SA set: one number over everything that install() writes and nothing changes
// afterwards, kept in SetState::seal.
//
// It tells the next process that ids, selectors and keys in SA memory are as they were installed.
// It finds damage, not intent: whoever can write the memory has the keys anyway, so a set with a
// good seal is still checked like a record from control. Left out is what changes while the set
// lives: lifetime, port_Uenc, path MTU, owner and SaProgress.
// Threading: the control thread.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/sa_memory.h"

namespace gmesp::ipsec {

/// Any change within one 64-bit word of what is sealed gives another seal; so does another slot.
uint64_t seal_of(const SaMemory& memory, SetIndex set);

}  // namespace gmesp::ipsec
