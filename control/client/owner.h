// The process that opened a connection, which alone may use it.
//
// Every call asks, so it costs no system call: the kernel wipes a page in each child of a fork
// (MADV_WIPEONFORK, madvise(2)). Where it cannot, the process is asked for its number.
// Threading: the connection's. Errors: none. libc only.
#pragma once

#include <sys/types.h>

namespace gmesp::client {

class Owner {
 public:
  /// The calling process. Call once, before anything else.
  void set();
  void free_memory();

  bool is_caller() const;
  int process_id() const { return static_cast<int>(process_); }

 private:
  pid_t process_ = 0;
  const volatile bool* is_here_ =
      nullptr;  ///< in a page of its own; null: the kernel cannot wipe it
};

}  // namespace gmesp::client
