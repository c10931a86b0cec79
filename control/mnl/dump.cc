#include "control/mnl/dump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "control/client/gmesp.h"
#include "control/mnl/set_walk.h"

namespace gmesp::mnl {
namespace {

constexpr uint32_t kPolicyPriority = 2080;  // TS 33.203 has none; proxies set this one

/// An SA of a set with what its direction makes of it.
struct Sa {
  const uint8_t* source;
  const uint8_t* destination;
  uint16_t source_port, destination_port;
  uint32_t spi;
  uint8_t direction;
};

Sa sa_of(const gmesp_sa_set& set, uint8_t role) {
  const uint8_t *ue = set.ue_address, *local = set.local_address;
  switch (role) {
    case GMESP_SA_IN_UC_PS:
      return {ue, local, set.port_uc, set.port_ps, set.spi_ps, XFRM_POLICY_IN};
    case GMESP_SA_OUT_PS_UC:
      return {local, ue, set.port_ps, set.port_uc, set.spi_uc, XFRM_POLICY_OUT};
    case GMESP_SA_IN_US_PC:
      return {ue, local, set.port_us, set.port_pc, set.spi_pc, XFRM_POLICY_IN};
    default:
      return {local, ue, set.port_pc, set.port_us, set.spi_us, XFRM_POLICY_OUT};
  }
}

uint16_t family_of(const uint8_t* address) {
  static constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(address, kMappedPrefix, sizeof kMappedPrefix) == 0 ? AF_INET : AF_INET6;
}

void fill_address(const uint8_t* from, xfrm_address_t& to) {
  if (family_of(from) == AF_INET)
    memcpy(&to.a4, from + 12, sizeof to.a4);
  else
    memcpy(&to.a6, from, sizeof to.a6);
}

void fill_selector(const gmesp_set_view& view, const Sa& sa, xfrm_selector& to) {
  fill_address(sa.source, to.saddr);
  fill_address(sa.destination, to.daddr);
  to.family = family_of(sa.source);
  to.prefixlen_s = to.prefixlen_d = to.family == AF_INET ? 32 : 128;
  to.sport = htons(sa.source_port);
  to.dport = htons(sa.destination_port);
  to.sport_mask = to.dport_mask = 0xffff;
  to.user = user_of(view.set.cookie);
}

xfrm_lifetime_cfg no_limits() {
  xfrm_lifetime_cfg limits{};
  limits.soft_byte_limit = limits.hard_byte_limit = XFRM_INF;
  limits.soft_packet_limit = limits.hard_packet_limit = XFRM_INF;
  return limits;
}

xfrm_usersa_info entry_of_sa(const gmesp_set_view& view, const Sa& sa, uint8_t role) {
  xfrm_usersa_info info;
  memset(&info, 0, sizeof info);  // padding too: it leaves the process's memory
  fill_selector(view, sa, info.sel);
  fill_address(sa.destination, info.id.daddr);
  fill_address(sa.source, info.saddr);
  info.id.spi = htonl(sa.spi);
  info.id.proto = IPPROTO_ESP;
  info.lft = no_limits();
  const gmesp_sa_counters& counters = view.sa[role];
  info.curlft.bytes = counters.bytes;
  info.curlft.packets = counters.packets;
  info.stats.replay = counters.replays;
  info.stats.integrity_failed = counters.icv_failures;
  info.reqid = sa.spi;
  info.family = family_of(sa.source);
  info.mode = view.set.mode == GMESP_MODE_TRANSPORT ? XFRM_MODE_TRANSPORT : XFRM_MODE_TUNNEL;
  return info;
}

xfrm_userpolicy_info entry_of_policy(const gmesp_set_view& view, const Sa& sa) {
  xfrm_userpolicy_info info;
  memset(&info, 0, sizeof info);
  fill_selector(view, sa, info.sel);
  info.lft = no_limits();
  info.priority = kPolicyPriority;
  info.dir = sa.direction;
  info.action = XFRM_POLICY_ALLOW;
  info.share = XFRM_SHARE_ANY;
  return info;
}

/// A buffer of the caller, filled message by message.
class MessageBuffer {
 public:
  MessageBuffer(void* bytes, size_t room, uint32_t sequence, uint32_t port_id)
      : bytes_(static_cast<uint8_t*>(bytes)), room_(room), sequence_(sequence), port_id_(port_id) {}

  bool has_room(size_t body_bytes) const { return room_ - used_ >= NLMSG_SPACE(body_bytes); }

  template <class Struct>
  void add(uint16_t type, const Struct& body) {
    const nlmsghdr header{NLMSG_LENGTH(sizeof body), type, NLM_F_MULTI, sequence_, port_id_};
    memset(bytes_ + used_, 0, NLMSG_SPACE(sizeof body));
    memcpy(bytes_ + used_, &header, sizeof header);
    memcpy(bytes_ + used_ + NLMSG_HDRLEN, &body, sizeof body);
    used_ += NLMSG_SPACE(sizeof body);
  }

  size_t used() const { return used_; }

 private:
  uint8_t* bytes_;
  size_t room_, used_ = 0;
  uint32_t sequence_, port_id_;
};

size_t entry_bytes(DumpKind kind) {
  return kind == DumpKind::kSas ? sizeof(xfrm_usersa_info) : sizeof(xfrm_userpolicy_info);
}

/// Entries of one role for the sets from `place` on, until the buffer is full or the table ends.
bool add_entries(SetWalk& walk, DumpKind kind, uint8_t role, MessageBuffer& messages, bool& is_end,
                 Problem& problem) {
  is_end = false;
  while (messages.has_room(entry_bytes(kind))) {
    const gmesp_set_view* view = walk.next(is_end, problem);
    if (view == nullptr) return is_end;
    const Sa sa = sa_of(view->set, role);
    if (kind == DumpKind::kSas)
      messages.add(XFRM_MSG_NEWSA, entry_of_sa(*view, sa, role));
    else
      messages.add(XFRM_MSG_NEWPOLICY, entry_of_policy(*view, sa));
  }
  return true;
}

}  // namespace

void Dump::begin(DumpKind kind, uint32_t sequence, uint32_t port_id) {
  kind_ = kind;
  role_ = 0;
  place_ = 0;
  sequence_ = sequence;
  port_id_ = port_id;
}

ptrdiff_t Dump::write(DataPlane& data_plane, void* buffer, size_t room, Problem& problem) {
  const size_t needed = entry_bytes(kind_);
  MessageBuffer messages(buffer, room, sequence_, port_id_);
  while (role_ < GMESP_SAS_PER_SET && messages.has_room(needed)) {
    SetWalk walk(data_plane, place_);
    bool is_end = false;
    if (!add_entries(walk, kind_, role_, messages, is_end, problem)) return -1;
    place_ = is_end ? 0 : walk.place();
    role_ += is_end ? 1 : 0;
  }
  if (role_ == GMESP_SAS_PER_SET && messages.has_room(needed)) {
    messages.add(NLMSG_DONE, int32_t{0});
    end();
  }
  if (messages.used() != 0) return static_cast<ptrdiff_t>(messages.used());
  problem.set(ENOSPC, "a buffer of %zu bytes, an entry has %zu", room, NLMSG_SPACE(needed));
  return -1;
}

}  // namespace gmesp::mnl
