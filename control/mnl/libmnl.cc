// The functions of libmnl that a proxy calls for its IPsec, found by the dynamic linker before
// libmnl's own (LD_PRELOAD). Sockets of NETLINK_XFRM lead to gmespd; all others are libmnl's, and
// so is every function that only makes or reads messages.
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "control/mnl/report.h"
#include "control/mnl/xfrm_socket.h"

using gmesp::mnl::XfrmSocket;

namespace {

/// libmnl's own function. RTLD_NEXT does not see a libmnl that came in with a module of the proxy
/// which keeps its symbols to itself; asking for the library by name does.
void* find(const char* name) {
  if (void* next = dlsym(RTLD_NEXT, name)) return next;
  void* library = dlopen("libmnl.so.0", RTLD_NOW | RTLD_LOCAL);
  void* found = library != nullptr ? dlsym(library, name) : nullptr;
  if (found == nullptr) gmesp::mnl::report("%s of libmnl.so.0 is missing: %s", name, dlerror());
  return found;
}

template <class Function>
Function* libmnl(const char* name) {
  return reinterpret_cast<Function*>(find(name));
}

struct mnl_socket* as_handle(XfrmSocket* socket) {
  return reinterpret_cast<struct mnl_socket*>(socket);
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED struct mnl_socket* mnl_socket_open(int bus) {
  if (bus == NETLINK_XFRM) return as_handle(XfrmSocket::open());
  auto* real = libmnl<struct mnl_socket*(int)>(__func__);
  if (real != nullptr) return real(bus);
  errno = ENOSYS;
  return nullptr;
}

EXPORTED struct mnl_socket* mnl_socket_open2(int bus, int flags) {
  if (bus == NETLINK_XFRM) return as_handle(XfrmSocket::open());
  auto* real = libmnl<struct mnl_socket*(int, int)>(__func__);
  if (real != nullptr) return real(bus, flags);
  errno = ENOSYS;
  return nullptr;
}

EXPORTED int mnl_socket_bind(struct mnl_socket* handle, unsigned groups, pid_t port_id) {
  if (XfrmSocket* ours = XfrmSocket::of(handle))
    return ours->bind(groups, static_cast<uint32_t>(port_id));
  auto* real = libmnl<int(struct mnl_socket*, unsigned, pid_t)>(__func__);
  if (real != nullptr) return real(handle, groups, port_id);
  errno = ENOSYS;
  return -1;
}

EXPORTED ssize_t mnl_socket_sendto(const struct mnl_socket* handle, const void* bytes,
                                   size_t count) {
  if (XfrmSocket* ours = XfrmSocket::of(handle)) return ours->send(bytes, count);
  auto* real = libmnl<ssize_t(const struct mnl_socket*, const void*, size_t)>(__func__);
  if (real != nullptr) return real(handle, bytes, count);
  errno = ENOSYS;
  return -1;
}

EXPORTED ssize_t mnl_socket_recvfrom(const struct mnl_socket* handle, void* bytes, size_t room) {
  if (XfrmSocket* ours = XfrmSocket::of(handle)) return ours->receive(bytes, room);
  auto* real = libmnl<ssize_t(const struct mnl_socket*, void*, size_t)>(__func__);
  if (real != nullptr) return real(handle, bytes, room);
  errno = ENOSYS;
  return -1;
}

EXPORTED unsigned mnl_socket_get_portid(const struct mnl_socket* handle) {
  if (XfrmSocket* ours = XfrmSocket::of(handle)) return ours->port_id();
  auto* real = libmnl<unsigned(const struct mnl_socket*)>(__func__);
  return real != nullptr ? real(handle) : 0;
}

EXPORTED int mnl_socket_close(struct mnl_socket* handle) {
  if (XfrmSocket* ours = XfrmSocket::of(handle)) return ours->close();
  auto* real = libmnl<int(struct mnl_socket*)>(__func__);
  if (real != nullptr) return real(handle);
  errno = ENOSYS;
  return -1;
}
