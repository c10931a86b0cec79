#include "control/shm/listener.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "control/shm/folder.h"
#include "control/shm/handshake.h"

namespace gmesp::shm {
namespace {

constexpr int kBacklog = 64;
constexpr int kSocketType = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

/// Unlinks what a dead process left at `path`.
void remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) fail(EEXIST, path + " exists and is not a socket");
  const int probe = socket(AF_UNIX, kSocketType, 0);
  if (probe < 0) fail(errno, "socket");
  const int result = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = result == 0 ? 0 : errno;
  close(probe);
  if (error == ENOENT) return;
  if (error != ECONNREFUSED) fail(EADDRINUSE, path + ": another process listens there");
  if (unlink(path.c_str()) != 0 && errno != ENOENT) fail(errno, "stale socket " + path);
}

}  // namespace

Listener::Listener(const std::string& path, uint32_t mode) : path_(path) {
  sockaddr_un address{};
  if (!make_address(path.c_str(), address))
    fail(ENAMETOOLONG, "socket path '" + path + "': " + std::to_string(path.size()) +
                           " bytes, allowed are 1 to " +
                           std::to_string(sizeof address.sun_path - 1));
  make_folder_of(path);
  remove_stale(path, address);
  fd_ = socket(AF_UNIX, kSocketType, 0);
  if (fd_ < 0) fail(errno, "socket");
  struct stat status {};
  // The mode is set before listen(): nobody connects under another one.
  const bool bound = bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!bound || chmod(path.c_str(), mode) != 0 || lstat(path.c_str(), &status) != 0 ||
      listen(fd_, kBacklog) != 0) {
    const int error = errno;
    close(fd_);
    if (bound) unlink(path.c_str());
    fail(error, "socket " + path);
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

Listener::~Listener() {
  close(fd_);
  struct stat status {};
  if (lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
    unlink(path_.c_str());
}

int Listener::accept(PeerCredentials& peer) {
  for (;;) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return -1;
    }
    ucred credentials{};
    socklen_t bytes = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) == 0) {
      peer = {static_cast<uint32_t>(credentials.pid), credentials.uid};
      return fd;
    }
    close(fd);
  }
}

}  // namespace gmesp::shm
