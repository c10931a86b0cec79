// The Unix socket at which a daemon waits for clients, and its file.
//
// A socket file left by a dead process is replaced; one at which somebody listens is not. The file
// goes with the object, unless somebody else has put another one there since.
// Threading: one thread. Errors: the constructor throws std::system_error naming the path.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace gmesp::shm {

/// Who is at the other end, as the kernel says (SO_PEERCRED).
struct PeerCredentials {
  uint32_t process_id = 0;
  uint32_t uid = 0;
};

class Listener {
 public:
  /// Makes the folder of `path` (mode 0755) if it is missing.
  Listener(const std::string& path, uint32_t mode);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return fd_; }
  /// The next waiting client as a non-blocking socket, -1 if there is none.
  int accept(PeerCredentials& peer);

 private:
  std::string path_;
  int fd_ = -1;
  dev_t device_ = 0;  ///< with inode_: the file that is ours
  ino_t inode_ = 0;
};

}  // namespace gmesp::shm
