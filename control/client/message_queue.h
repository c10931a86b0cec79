// Messages that came while something else was waited for, oldest first.
//
// Ownership: copies of its own, freed by pop() and clear(). Threading: the connection's. Errors:
// false if memory is short. libc only.
#pragma once

#include <stdint.h>

namespace gmesp::client {

class MessageQueue {
 public:
  bool push(const uint8_t* message, uint32_t bytes);
  /// Moves the oldest message into `buffer`, which has room for any; its length, 0: there is none.
  uint32_t pop(uint8_t* buffer);
  uint32_t count() const { return count_; }
  void clear();

 private:
  struct Entry;
  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  uint32_t count_ = 0;
};

}  // namespace gmesp::client
