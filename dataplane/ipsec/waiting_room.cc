#include "dataplane/ipsec/waiting_room.h"

#include <algorithm>

namespace gmesp::ipsec {

WaitingRoom::WaitingRoom(uint32_t company, uint32_t packets_max)
    : company_(company), guests_(company > 1 ? company + packets_max : 0) {}

void WaitingRoom::begin_call(uint32_t packets) {
  is_busy_ = packets >= kBusyPackets;
  had_company_ = seen_ >= company_;
  seen_ = 0;
  ++call_;
}

/// Where the last call brought enough of them, this one will too: then waiting would only mean to
/// look them up twice.
bool WaitingRoom::wants_next() {
  ++seen_;
  if (count_ != 0) return count_ < guests_.size();
  return company_ > 1 && is_busy_ && !had_company_;
}

void WaitingRoom::add(const Pending& pending) {
  Guest& guest = guests_[count_++];
  guest = {*pending.packet, pending, call_};
  guest.pending.has_waited = true;
}

/// Whole companies, since one packet more costs as much as all of them. The rest waits on, but not
/// for ever.
uint32_t WaitingRoom::due() const {
  if (count_ == 0) return 0;
  const bool is_over = !is_busy_ || call_ - guests_[0].arrived_in_call >= kCallsMax;
  return is_over ? count_ : count_ - count_ % company_;
}

Pending WaitingRoom::waiting(uint32_t at) {
  Pending pending = guests_[at].pending;
  pending.packet = &guests_[at].packet;
  return pending;
}

void WaitingRoom::leave(uint32_t count) {
  std::move(guests_.begin() + count, guests_.begin() + count_, guests_.begin());
  count_ -= count;
}

}  // namespace gmesp::ipsec
