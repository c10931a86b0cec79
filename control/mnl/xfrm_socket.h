// A netlink socket of a proxy to the kernel's IPsec that leads to gmespd instead: what is sent is
// done when send() returns, what is received was looked up in gmespd.
//
// Threading: one thread at a time per socket, as with libmnl; different sockets are independent.
// Fork: a child may use a socket of its parent; a set that the parent had begun is not in it.
// Errors: -1 and errno, and a line by report(). No capability is needed.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/mnl/dump.h"
#include "control/mnl/pending_set.h"
#include "control/mnl/settings.h"
#include "control/mnl/xfrm_request.h"

namespace gmesp::mnl {

inline constexpr unsigned kSocketsMax = 64;  ///< open at the same time in one process

class XfrmSocket {
 public:
  /// NULL and errno: a setting is wrong, or kSocketsMax are open.
  static XfrmSocket* open();
  /// The socket behind a libmnl handle, NULL if the handle is not one of open().
  static XfrmSocket* of(const void* handle);
  int close();

  /// 0, if gmespd would let this process change sets now: a proxy that looks at the result tells
  /// its users of a failure here, and not of one later.
  int bind(unsigned groups, uint32_t port_id);
  uint32_t port_id() const { return port_id_; }
  ssize_t send(const void* bytes, size_t count);
  ssize_t receive(void* bytes, size_t room);

 private:
  bool take(const void* bytes, size_t count, Problem& problem);
  bool serve(const Request& request, Problem& problem);
  bool take_sa(const Request& new_sa, Problem& problem);
  bool take_policy(const Request& new_policy, Problem& problem);
  bool install(Problem& problem);
  bool remove(const void* bytes, size_t count, Problem& problem);
  bool are_gone(const void* bytes, size_t count) const;
  bool is_crossed_pair(const Request& request) const;
  void give_up_pending(const char* why);

  /// A set that this socket has just dealt with, without keys. Other processes deal with it too, so
  /// it is believed for as long only as a proxy needs for its parts.
  struct Recent {
    gmesp_sa_set set;
    uint64_t since_ms;

    void keep(const gmesp_sa_set& from);
    bool is_there() const;
  };

  int descriptor_;  ///< -1, and first: parts of libmnl that are not interposed then fail with EBADF
  uint32_t port_id_;
  Settings settings_;
  PendingSet* pending_;  ///< memory of its own, neither dumped nor inherited
  Recent installed_, removed_;
  Dump dump_;
};

}  // namespace gmesp::mnl
