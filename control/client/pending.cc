#include "control/client/pending.h"

#include <stdlib.h>

namespace gmesp::client {
namespace {

constexpr uint32_t index_of(uint64_t wire_tag) {
  return static_cast<uint32_t>(wire_tag);
}
constexpr uint32_t generation_of(uint64_t wire_tag) {
  return static_cast<uint32_t>(wire_tag >> 32);
}

}  // namespace

bool PendingTable::make(uint32_t entries) {
  entries_ = static_cast<Pending*>(calloc(entries, sizeof(Pending)));
  if (entries_ == nullptr) return false;
  count_ = entries;
  for (uint32_t i = 0; i < entries; ++i) entries_[i].next_free = i + 1;
  return true;
}

void PendingTable::free_memory() {
  free(entries_);
}

bool PendingTable::take(Waiter waiter, uint64_t user_tag, uint64_t& wire_tag) {
  if (first_free_ == count_) return false;
  const uint32_t index = first_free_;
  Pending& entry = entries_[index];
  first_free_ = entry.next_free;
  entry.waiter = waiter;
  entry.user_tag = user_tag;
  ++entry.generation;
  wire_tag = uint64_t{entry.generation} << 32 | index;
  return true;
}

Pending* PendingTable::find(uint64_t wire_tag) {
  if (index_of(wire_tag) >= count_) return nullptr;
  Pending& entry = entries_[index_of(wire_tag)];
  if (entry.waiter == Waiter::kNobody || entry.generation != generation_of(wire_tag))
    return nullptr;
  return &entry;
}

void PendingTable::release(uint64_t wire_tag) {
  Pending& entry = entries_[index_of(wire_tag)];
  entry.waiter = Waiter::kNobody;
  entry.next_free = first_free_;
  first_free_ = index_of(wire_tag);
}

}  // namespace gmesp::client
