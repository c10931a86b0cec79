#include "control/mnl/xfrm_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "control/client/gmesp.h"
#include "control/mnl/data_plane.h"
#include "control/mnl/report.h"
#include "control/mnl/set_walk.h"

namespace gmesp::mnl {
namespace {

// A fixed place for each: whether a handle is one of ours is then a question of its address, and
// no handle of libmnl's own is ever read.
XfrmSocket sockets[kSocketsMax];
std::atomic<bool> is_open[kSocketsMax];

bool is_removal(const Request& request) {
  return request.kind == RequestKind::kDeleteSa || request.kind == RequestKind::kDeletePolicy ||
         request.kind == RequestKind::kFlush;
}

/// True if the request removes a set like this one, or what is left of it.
bool concerns(const Request& request, const gmesp_sa_set& set) {
  switch (request.kind) {
    case RequestKind::kDeleteSa:
      return is_sa_of(set, request.flow.destination, request.spi);
    case RequestKind::kDeletePolicy:
      return is_flow_of(set, request.flow);
    default:
      return request.kind == RequestKind::kFlush;
  }
}

bool is_any_concerned(const void* bytes, size_t count, const gmesp_sa_set& set) {
  RequestReader reader(bytes, count);
  Request request;
  Problem problem;
  while (!reader.is_at_end() && reader.read(request, problem))
    if (concerns(request, set)) return true;
  return false;
}

/// Keys wait here for the rest of their set: not for core dumps, and not for children.
PendingSet* make_pending() {
  void* memory =
      mmap(nullptr, sizeof(PendingSet), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (madvise(memory, sizeof(PendingSet), MADV_DONTDUMP) == 0 &&
      madvise(memory, sizeof(PendingSet), MADV_WIPEONFORK) == 0)
    return static_cast<PendingSet*>(memory);
  munmap(memory, sizeof(PendingSet));
  return nullptr;
}

ssize_t failed(const Problem& problem, const char* what) {
  report("%s: %s", what, problem.text);
  errno = problem.error_number;
  return -1;
}

}  // namespace

void XfrmSocket::Recent::keep(const gmesp_sa_set& from) {
  set = from;
  gmesp_sa_set_wipe(&set);
  since_ms = gmesp_now_ms();
}

bool XfrmSocket::Recent::is_there() const {
  return since_ms != 0 && gmesp_now_ms() - since_ms <= kPendingMs;
}

XfrmSocket* XfrmSocket::open() {
  Settings settings;
  if (!read_settings(settings)) {
    errno = EINVAL;
    return nullptr;
  }
  for (unsigned i = 0; i < kSocketsMax; ++i) {
    if (is_open[i].exchange(true)) continue;
    XfrmSocket& made = sockets[i];
    made = XfrmSocket{};
    made.descriptor_ = -1;
    made.settings_ = settings;
    made.pending_ = make_pending();
    if (made.pending_ != nullptr) return &made;
    report("no memory for the keys of a set: %m");
    is_open[i] = false;
    return nullptr;
  }
  report("%u sockets are open in this process, more are not allowed", kSocketsMax);
  errno = EMFILE;
  return nullptr;
}

XfrmSocket* XfrmSocket::of(const void* handle) {
  for (unsigned i = 0; i < kSocketsMax; ++i)
    if (handle == &sockets[i] && is_open[i]) return &sockets[i];
  return nullptr;
}

int XfrmSocket::close() {
  give_up_pending("the socket was closed");
  munmap(pending_, sizeof *pending_);
  is_open[this - sockets] = false;
  return 0;
}

int XfrmSocket::bind(unsigned groups, uint32_t port_id) {
  Problem problem;
  if (groups != 0) {
    problem.set(EOPNOTSUPP, "multicast groups %#x; gmespd tells events to libgmesp alone", groups);
    return static_cast<int>(failed(problem, "bind"));
  }
  port_id_ = port_id != 0 ? port_id : static_cast<uint32_t>(getpid());
  DataPlane data_plane(settings_, GMESP_WRITER);
  return data_plane.open(problem) ? 0 : static_cast<int>(failed(problem, settings_.socket_path));
}

ssize_t XfrmSocket::send(const void* bytes, size_t count) {
  Problem problem;
  if (take(bytes, count, problem)) return static_cast<ssize_t>(count);
  return failed(problem, settings_.socket_path);
}

/// All messages are read before the first is served, so a broken one changes nothing.
bool XfrmSocket::take(const void* bytes, size_t count, Problem& problem) {
  RequestReader trial(bytes, count);
  unsigned removals = 0, others = 0;
  while (!trial.is_at_end()) {
    Request request;
    if (!trial.read(request, problem)) return false;
    is_removal(request) ? ++removals : ++others;
    request.wipe();
  }
  if (removals != 0 && others != 0)
    return problem.set(EOPNOTSUPP,
                       "%u deletes and %u other messages in one send; they must be "
                       "apart",
                       removals, others);
  if (removals != 0) return remove(bytes, count, problem);
  RequestReader reader(bytes, count);
  while (!reader.is_at_end()) {
    Request request;
    const bool is_served = reader.read(request, problem) && serve(request, problem);
    request.wipe();
    if (!is_served) return false;
  }
  return true;
}

bool XfrmSocket::serve(const Request& request, Problem& problem) {
  switch (request.kind) {
    case RequestKind::kNewSa:
      return take_sa(request, problem);
    case RequestKind::kNewPolicy:
      return take_policy(request, problem);
    case RequestKind::kDumpSas:
      dump_.begin(DumpKind::kSas, request.sequence, port_id_);
      return true;
    default:
      dump_.begin(DumpKind::kPolicies, request.sequence, port_id_);
      return true;
  }
}

/// Newer proxies add client-to-client and server-to-server pairs under the SPIs of a set that is
/// in force. The kernel answers EEXIST, which they do not read; here the set simply stays.
bool XfrmSocket::is_crossed_pair(const Request& request) const {
  return installed_.is_there() && is_between_ports_of(installed_.set, request.flow) &&
         !is_flow_of(installed_.set, request.flow);
}

bool XfrmSocket::take_sa(const Request& new_sa, Problem& problem) {
  if (is_crossed_pair(new_sa)) return true;
  const uint64_t now_ms = gmesp_now_ms();
  if (pending_->is_over(now_ms)) give_up_pending("its other parts did not come in time");
  if (!pending_->can_take(new_sa)) give_up_pending("an SA of another set came");
  return pending_->take_sa(new_sa, now_ms, problem);
}

bool XfrmSocket::take_policy(const Request& new_policy, Problem& problem) {
  if (is_crossed_pair(new_policy)) return true;
  if (!pending_->take_policy(new_policy, problem)) return false;
  return !pending_->is_complete() || install(problem);
}

/// The set is in force on all packet cores when this returns, so the proxy's 401 comes after it.
bool XfrmSocket::install(Problem& problem) {
  gmesp_sa_set set;
  bool is_installed = pending_->build(set, problem);
  if (is_installed) {
    set.not_after_ms = gmesp_not_after_ms(uint64_t{settings_.lifetime_s} * 1000);
    set.cookie = cookie_of(pending_->user());
    DataPlane data_plane(settings_, GMESP_WRITER);
    is_installed = data_plane.open(problem) && data_plane.install(set, problem);
    if (is_installed) installed_.keep(set);
    removed_ = {};
    gmesp_sa_set_wipe(&set);
  }
  pending_->wipe();
  return is_installed;
}

void XfrmSocket::give_up_pending(const char* why) {
  if (!pending_->is_empty())
    report("a set with %u SAs and %u policies, of 4 and 4, is not installed: %s", pending_->sas(),
           pending_->policies(), why);
  pending_->wipe();
}

bool XfrmSocket::are_gone(const void* bytes, size_t count) const {
  if (!removed_.is_there()) return false;
  RequestReader reader(bytes, count);
  Request request;
  Problem problem;
  while (!reader.is_at_end() && reader.read(request, problem)) {
    const bool is_part = request.kind == RequestKind::kDeletePolicy
                             ? is_between_ports_of(removed_.set, request.flow)
                             : is_sa_of(removed_.set, request.flow.destination, request.spi);
    if (request.kind == RequestKind::kFlush || !is_part) return false;
  }
  return true;
}

/// A set goes with the first of its parts; that the others are gone then is no failure. One look
/// through gmespd's table serves all deletes of a send.
bool XfrmSocket::remove(const void* bytes, size_t count, Problem& problem) {
  if (are_gone(bytes, count)) return true;
  DataPlane data_plane(settings_, GMESP_WRITER);
  if (!data_plane.open(problem)) return false;
  SetWalk walk(data_plane, 0);
  bool is_end = false;
  while (const gmesp_set_view* view = walk.next(is_end, problem)) {
    if (!is_ours(view->set.cookie) || !is_any_concerned(bytes, count, view->set)) continue;
    if (!data_plane.remove(view->set_id, problem)) return false;
    removed_.keep(view->set);
    installed_ = {};
  }
  return is_end;
}

ssize_t XfrmSocket::receive(void* bytes, size_t room) {
  if (!dump_.is_active()) {
    errno = EAGAIN;  // nothing was asked, or all of it was received
    return -1;
  }
  Problem problem;
  DataPlane data_plane(settings_, GMESP_READER);
  const ptrdiff_t written =
      data_plane.open(problem) ? dump_.write(data_plane, bytes, room, problem) : -1;
  if (written >= 0) return written;
  dump_.end();
  return failed(problem, settings_.socket_path);
}

}  // namespace gmesp::mnl
