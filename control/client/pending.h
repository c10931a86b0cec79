// Commands whose answers have not come yet, by the tag that stands in shared memory.
//
// The tag on the wire is (generation << 32) | index, so that an answer nobody asked for is told
// from a right one. Threading: the connection's. Errors: none but running out of entries.
#pragma once

#include <stdint.h>

namespace gmesp::client {

enum class Waiter : uint32_t {
  kNobody,     ///< the entry is free
  kPoll,       ///< submitted: gmesp_dp_poll_completion gives the answer
  kCall,       ///< a waiting call takes the answer
  kAbandoned,  ///< the waiting call gave up; the answer is dropped when it comes
};

struct Pending {
  uint64_t user_tag;
  uint32_t generation;
  uint32_t next_free;
  Waiter waiter;
  uint32_t reserved;
};

class PendingTable {
 public:
  /// False if memory is short. Call once, before anything else.
  bool make(uint32_t entries);
  void free_memory();

  /// False if every entry is taken.
  bool take(Waiter waiter, uint64_t user_tag, uint64_t& wire_tag);
  /// The entry of a tag, nullptr if there is none.
  Pending* find(uint64_t wire_tag);
  void release(uint64_t wire_tag);

 private:
  Pending* entries_ = nullptr;
  uint32_t count_ = 0;
  uint32_t first_free_ = 0;  ///< count_: none
};

}  // namespace gmesp::client
