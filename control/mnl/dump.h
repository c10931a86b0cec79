// The answer to a dump of SAs or of policies: gmespd's live sets as the kernel would show them,
// without algorithms and keys.
//
// Nothing is kept but a place: each receive looks at gmespd again. The table is gone through four
// times, once for each SA of a set, so that the first SAs of all sets come first: proxies delete
// what fits into one buffer, and with an SA its whole set goes.
//
// Threading: one thread at a time. Errors: a Problem, as in xfrm_request.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/mnl/data_plane.h"

namespace gmesp::mnl {

enum class DumpKind : uint8_t { kNone, kSas, kPolicies };

class Dump {
 public:
  bool is_active() const { return kind_ != DumpKind::kNone; }
  void begin(DumpKind kind, uint32_t sequence, uint32_t port_id);
  void end() { kind_ = DumpKind::kNone; }
  /// Fills a buffer with whole messages, the last one of all NLMSG_DONE. Bytes written, or -1.
  ptrdiff_t write(DataPlane& data_plane, void* buffer, size_t room, Problem& problem);

 private:
  DumpKind kind_;
  uint8_t role_;    ///< enum gmesp_sa_role, of this round through the table
  uint64_t place_;  ///< where to go on in the table
  uint32_t sequence_;
  uint32_t port_id_;
};

}  // namespace gmesp::mnl
