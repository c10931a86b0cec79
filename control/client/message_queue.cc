#include "control/client/message_queue.h"

#include <stdlib.h>
#include <string.h>

namespace gmesp::client {

/// The bytes of the message stand behind it.
struct MessageQueue::Entry {
  Entry* next;
  uint32_t bytes;
};

bool MessageQueue::push(const uint8_t* message, uint32_t bytes) {
  auto* entry = static_cast<Entry*>(malloc(sizeof(Entry) + bytes));
  if (entry == nullptr) return false;
  entry->next = nullptr;
  entry->bytes = bytes;
  memcpy(entry + 1, message, bytes);
  (last_ == nullptr ? first_ : last_->next) = entry;
  last_ = entry;
  ++count_;
  return true;
}

uint32_t MessageQueue::pop(uint8_t* buffer) {
  Entry* entry = first_;
  if (entry == nullptr) return 0;
  const uint32_t bytes = entry->bytes;
  memcpy(buffer, entry + 1, bytes);
  first_ = entry->next;
  if (first_ == nullptr) last_ = nullptr;
  --count_;
  free(entry);
  return bytes;
}

void MessageQueue::clear() {
  while (first_ != nullptr) {
    Entry* entry = first_;
    first_ = entry->next;
    free(entry);
  }
  last_ = nullptr;
  count_ = 0;
}

}  // namespace gmesp::client
