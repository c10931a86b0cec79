// Controller, second half: grace periods, lifetimes, events, path MTUs, ports.
#include <spdlog/spdlog.h>

#include "dataplane/controller.h"

namespace gmesp::dataplane {

using shm::EventKind;
using shm::Status;

bool Controller::tick(uint64_t now_ms) {
  now_ms_ = now_ms;
  reclaim();
  expire(now_ms);
  drain_notices();
  screen_.tick([this](shm::ConnectionId connection, const shm::Completion& completion) {
    complete(connection, completion);
  });
  age_path_mtus(now_ms);
  watch_ports(now_ms);
  server_->heartbeat(now_ms);
  return !retired_.empty() || screen_.waits();
}

/// Grace periods end in the order in which they began.
void Controller::reclaim() {
  while (!retired_.empty() && rte_rcu_qsbr_check(readers_, retired_.front().token, false) == 1) {
    const Retired retired = retired_.front();
    retired_.pop_front();
    database_.reclaim(retired.set);
    shm::Event event{};
    event.kind = static_cast<uint32_t>(retired.event);
    event.time_ms = now_ms_;
    event.set_id = retired.set_id;
    event.cookie = retired.cookie;
    server_->publish(event);
    if (retired.connection == 0) continue;
    shm::Completion completion{};
    completion.tag = retired.tag;
    completion.kind = retired.command_kind;
    completion.set_id = retired.set_id;
    completion.value = retired.removed_sets;
    complete(retired.connection, completion);
  }
}

/// Workers refuse an SA from its very millisecond on; this only gives its memory back and tells the
/// owner. The whole table in a second, however often commands wake us.
void Controller::expire(uint64_t now_ms) {
  constexpr uint64_t kPeriodMs = 1000;
  const uint64_t elapsed_ms = std::min(now_ms - expiry_scanned_ms_, kPeriodMs);
  expiry_scanned_ms_ = now_ms;
  const uint64_t sets = (database_.capacity_sets() * elapsed_ms + kPeriodMs - 1) / kPeriodMs;
  database_.scan_expired(now_ms, static_cast<uint32_t>(sets), [&](uint64_t set_id) {
    shm::SetView view;
    if (database_.view(set_id, view) != Status::kOk) return;
    if (retire(view, {.event = EventKind::kSetExpired})) ++expired_;
  });
}

void Controller::drain_notices() {
  constexpr uint32_t kPerTick = 8192;
  ipsec::Notice notice;
  for (const auto& worker : workers_)
    for (uint32_t pair = 0; pair < worker->pair_count(); ++pair)
      for (uint32_t n = 0; n < kPerTick && worker->pipeline(pair).notices().pop(notice); ++n)
        if (notice.kind == EventKind::kPathMtuLearned)
          learn_path_mtu(notice);
        else
          tell(notice);
}

void Controller::tell(const ipsec::Notice& notice) {
  shm::Event event{};
  event.kind = static_cast<uint32_t>(notice.kind);
  event.protocol = notice.protocol;
  event.time_ms = notice.time_ms;
  event.value = notice.value;
  event.spi = notice.spi;
  event.sequence = notice.sequence;
  event.suppressed = notice.suppressed;
  event.source_port = notice.source_port;
  event.destination_port = notice.destination_port;
  if (notice.kind == EventKind::kAudit)
    event.reason = static_cast<uint16_t>(static_cast<uint32_t>(notice.reason) - 1);
  std::copy(notice.source.bytes.begin(), notice.source.bytes.end(), event.source);
  std::copy(notice.destination.bytes.begin(), notice.destination.bytes.end(), event.destination);
  if (notice.sa != ipsec::kNoSa) {
    event.role = static_cast<uint8_t>(ipsec::role_of(notice.sa));
    // The set may be gone since, or its slot be another's: then the event names no set.
    event.set_id = database_.live_set_id(ipsec::set_of(notice.sa), event.cookie);
    const bool tells_port =
        notice.kind == EventKind::kPeerPortLearned || notice.kind == EventKind::kPeerPortChanged;
    if (event.set_id != 0 && tells_port) database_.note_peer_port(event.set_id);
  }
  if (notice.kind == EventKind::kAudit) audit_log_.write(event);
  if (notice.kind == EventKind::kSipRule)
    spdlog::warn("audit: SIP from {} port {} matches rule {}; {} such left out before",
                 ipsec::text(notice.source), notice.source_port, screen_.rule_name(notice.value),
                 notice.suppressed);
  server_->publish(event);
}

/// RFC 4301 8.2: believed only if it names an SA of ours, and only to lower what we send; ages out.
void Controller::learn_path_mtu(const ipsec::Notice& notice) {
  ipsec::SaIndex sa = ipsec::kNoSa;
  if (notice.spi != 0) sa = database_.find_outbound_by_spi(notice.spi, notice.destination);
  // Behind one NAT, SPIs may be equal (R-M-11), and routers may quote no more than the UDP header.
  if (sa == ipsec::kNoSa)
    sa = database_.find_outbound_by_peer_port(notice.destination, notice.destination_port);
  if (sa == ipsec::kNoSa || notice.value >= options_.access_mtu_bytes) {
    ++path_mtus_unmatched_;
    return;
  }
  uint64_t cookie = 0;
  const uint64_t set_id = database_.live_set_id(ipsec::set_of(sa), cookie);
  if (set_id == 0) return;
  const uint64_t expires_ms = now_ms_ + uint64_t{options_.path_mtu_age_s} * 1000;
  database_.set_path_mtu(set_id, static_cast<uint16_t>(notice.value), expires_ms);
  path_mtus_.emplace(expires_ms, set_id);
  ++path_mtus_learned_;
  shm::Event event{};
  event.kind = static_cast<uint32_t>(EventKind::kPathMtuLearned);
  event.time_ms = now_ms_;
  event.set_id = set_id;
  event.cookie = cookie;
  event.value = notice.value;
  server_->publish(event);
}

void Controller::age_path_mtus(uint64_t now_ms) {
  while (!path_mtus_.empty() && path_mtus_.begin()->first <= now_ms) {
    database_.clear_path_mtu(path_mtus_.begin()->second, now_ms);
    path_mtus_.erase(path_mtus_.begin());
  }
}

void Controller::watch_ports(uint64_t now_ms) {
  constexpr uint64_t kPeriodMs = 500;
  if (now_ms - ports_watched_ms_ < kPeriodMs) return;
  ports_watched_ms_ = now_ms;
  for (size_t i = 0; i < ports_.size(); ++i) {
    const bool up = ports_[i]->link_up();
    if (up == link_up_[i]) continue;
    link_up_[i] = up;
    spdlog::warn("port {} ({}): link {}", i, ports_[i]->device(), up ? "up" : "down");
    shm::Event event{};
    event.kind = static_cast<uint32_t>(up ? EventKind::kPortUp : EventKind::kPortDown);
    event.time_ms = now_ms;
    event.value = i;
    server_->publish(event);
  }
}

}  // namespace gmesp::dataplane
