#include "control/daemon/data_plane.h"

#include <spdlog/spdlog.h>
#include <string.h>

#include <algorithm>

namespace gmesp::control {
namespace {

/// The kind of a command stands in the upper bits of its tag, what it is about in the others.
constexpr int kKindShift = 60;
constexpr uint64_t kSubject = (uint64_t{1} << kKindShift) - 1;
constexpr int kCallTimeoutMs = 200;
constexpr uint32_t kWalkers = 64;

gmesp_sa_set parameters_of(const sa::NewSet& fresh) {
  const sa::SaSet& set = *fresh.set;
  gmesp_sa_set parameters;
  GMESP_INIT(&parameters);
  parameters.mode = static_cast<uint8_t>(set.mode);
  parameters.integrity = static_cast<uint8_t>(set.algorithms.integrity);
  parameters.cipher = static_cast<uint8_t>(set.algorithms.cipher);
  parameters.integrity_key_bytes = fresh.integrity_key_bytes;
  parameters.cipher_key_bytes = fresh.cipher_key_bytes;
  parameters.port_uc = set.port_uc;
  parameters.port_us = set.port_us;
  parameters.port_pc = set.port_pc;
  parameters.port_ps = set.port_ps;
  parameters.spi_uc = set.spi_uc;
  parameters.spi_us = set.spi_us;
  parameters.spi_pc = set.spi_pc;
  parameters.spi_ps = set.spi_ps;
  std::ranges::copy(set.ue, parameters.ue_address);
  std::ranges::copy(set.local, parameters.local_address);
  // M.7.1: UE_IP is the public address, so the outer header has the same two.
  std::ranges::copy(set.ue, parameters.outer_ue_address);
  std::ranges::copy(set.local, parameters.outer_local_address);
  parameters.outer_ue_port = set.peer_port;
  parameters.not_after_ms = set.not_after_ms;
  parameters.cookie = set.number;
  std::copy_n(fresh.integrity_key.begin(), fresh.integrity_key_bytes, parameters.integrity_key);
  std::copy_n(fresh.cipher_key.begin(), fresh.cipher_key_bytes, parameters.cipher_key);
  return parameters;
}

}  // namespace

DataPlane::DataPlane(DataPlaneOptions options, Listener& listener)
    : options_(std::move(options)), listener_(listener) {}

DataPlane::~DataPlane() {
  gmesp_dp_close(dp_);
  for (Command& command : queue_) gmesp_sa_set_wipe(&command.set);
}

int DataPlane::descriptor() const {
  return dp_ == nullptr ? -1 : gmesp_dp_fd(dp_);
}

void DataPlane::connect(uint64_t now_ms) {
  gmesp_dp_options options;
  GMESP_INIT(&options);
  options.role = GMESP_WRITER;
  options.wants_events = 1;
  options.timeout_ms = kCallTimeoutMs;
  options.socket_path = options_.socket.c_str();
  char detail[GMESP_DETAIL_BYTES];
  const int error = gmesp_dp_open(&options, &dp_, detail, sizeof detail);
  if (error == GMESP_OK) {
    last_failure_.clear();
    listener_.on_up();
    start_walk();
    return;
  }
  retry_at_ms_ = now_ms + options_.retry_ms;
  const std::string failure = std::string(gmesp_strerror(error)) + ": " + detail;
  if (failure != last_failure_) spdlog::warn("gmespd cannot be reached: {}", failure);
  last_failure_ = failure;
}

/// What was in flight failed as far as the SIP side is concerned; if gmespd did take it, the
/// comparison finds it and has it removed.
void DataPlane::disconnect(const std::string& why, uint64_t now_ms) {
  gmesp_dp_close(dp_);
  dp_ = nullptr;
  retry_at_ms_ = now_ms + options_.retry_ms;
  for (Command& command : queue_) gmesp_sa_set_wipe(&command.set);
  queue_.clear();
  send_by_ms_ = kNever;
  waits_for_gmespd_ = false;
  std::vector<sa::SetNumber> lost;
  for (const auto& [number, in_flight] : in_flight_)
    if (!in_flight.is_cancelled) lost.push_back(number);
  std::sort(lost.begin(), lost.end());
  in_flight_.clear();
  in_flight_by_age_.clear();
  cancelled_ = 0;
  unanswered_ = 0;
  walkers_left_ = 0;
  listener_.on_down(why);
  for (const sa::SetNumber number : lost)
    listener_.on_install_failed(number, sa::Refusal::kDataPlaneDown);
}

void DataPlane::poll(bool is_readable, uint64_t now_ms) {
  if (dp_ == nullptr) {
    if (now_ms >= retry_at_ms_) connect(now_ms);
    if (dp_ == nullptr) return;
  }
  if (now_ms >= send_by_ms_) drain_queue();
  // The rings are armed: a bell would have been heard.
  if (!is_readable && unanswered_ == 0) return;
  gmesp_completion completion;
  GMESP_INIT(&completion);
  int error;
  while ((error = gmesp_dp_poll_completion(dp_, &completion)) == GMESP_OK) {
    --unanswered_;
    take(completion);
  }
  gmesp_event event;
  GMESP_INIT(&event);
  int event_error;
  while ((event_error = gmesp_dp_poll_event(dp_, &event)) == GMESP_OK) take(event);
  if (waits_for_gmespd_ || now_ms >= send_by_ms_) drain_queue();
  if (error == GMESP_E_AGAIN) error = event_error;
  if (error != GMESP_E_AGAIN) return disconnect(gmesp_strerror(error), now_ms);
  while (!in_flight_by_age_.empty() && !in_flight_.contains(in_flight_by_age_.front().second))
    in_flight_by_age_.pop_front();
  if (!in_flight_by_age_.empty() && now_ms >= in_flight_by_age_.front().first + options_.answer_ms)
    disconnect("no answer for " + std::to_string(options_.answer_ms) + " ms", now_ms);
}

uint64_t DataPlane::next_deadline_ms() const {
  if (dp_ == nullptr) return retry_at_ms_;
  if (in_flight_by_age_.empty()) return send_by_ms_;
  return std::min(send_by_ms_, in_flight_by_age_.front().first + options_.answer_ms);
}

// --- commands -----------------------------------------------------------------------------------

bool DataPlane::install(const sa::NewSet& fresh, uint64_t now_ms) {
  if (dp_ == nullptr || queue_.size() >= options_.queue_max) return false;
  const sa::SetNumber number = fresh.set->number;
  in_flight_.emplace(number, InFlight{now_ms, false});
  in_flight_by_age_.emplace_back(now_ms, number);
  send({Kind::kInstall, number, 0, 0, parameters_of(fresh)}, kAtOnce);
  return true;
}

/// gmespd's name of a set that is still being installed is not known yet: it goes when that comes.
/// Until then nothing else is sent, or the next set could find its ports taken.
void DataPlane::remove(const sa::SaSet& set, uint64_t now_ms) {
  if (dp_ == nullptr) return;  // the comparison removes what nobody knows
  if (set.data_plane_id != 0)
    return send({Kind::kRemove, set.number, set.data_plane_id, 0, {}}, now_ms + kLazyMs);
  const auto at = in_flight_.find(set.number);
  if (at == in_flight_.end() || at->second.is_cancelled) return;
  at->second.is_cancelled = true;
  ++cancelled_;
}

void DataPlane::set_not_after(const sa::SaSet& set, uint64_t now_ms) {
  if (dp_ == nullptr || set.data_plane_id == 0) return;
  send({Kind::kNotAfter, set.number, set.data_plane_id, set.not_after_ms, {}}, now_ms + kLazyMs);
}

void DataPlane::withdraw(int integrity, int cipher) {
  if (dp_ != nullptr) gmesp_dp_withdraw(dp_, integrity, cipher, 0, kCallTimeoutMs);
}

void DataPlane::restore(int integrity, int cipher) {
  if (dp_ != nullptr) gmesp_dp_restore(dp_, integrity, cipher, kCallTimeoutMs);
}

/// Commands go out together, in poll().
void DataPlane::send(Command&& command, uint64_t by_ms) {
  queue_.push_back(command);
  send_by_ms_ = std::min(send_by_ms_, by_ms);
  gmesp_sa_set_wipe(&command.set);
}

/// gmespd wakes once for many commands, not for each.
void DataPlane::drain_queue() {
  gmesp_dp_hold(dp_, 1);
  submit_queue();
  gmesp_dp_hold(dp_, 0);
  send_by_ms_ = kNever;
  waits_for_gmespd_ = !queue_.empty();
}

void DataPlane::submit_queue() {
  while (!queue_.empty()) {
    Command& command = queue_.front();
    // The removal of the cancelled set itself is put in front by take_install().
    if (cancelled_ != 0 && command.kind != Kind::kWalk) return;
    const int error = submit(command);
    if (error == GMESP_E_AGAIN) return;  // poll() finds out about any other
    if (error == GMESP_OK) ++unanswered_;
    gmesp_sa_set_wipe(&command.set);
    queue_.pop_front();
  }
}

int DataPlane::submit(const Command& command) {
  const uint64_t tag = static_cast<uint64_t>(command.kind) << kKindShift | command.tag;
  switch (command.kind) {
    case Kind::kInstall:
      return gmesp_dp_submit_install(dp_, &command.set, tag);
    case Kind::kRemove:
      return gmesp_dp_submit_remove(dp_, command.set_id, tag);
    case Kind::kNotAfter:
      return gmesp_dp_submit_set_not_after(dp_, command.set_id, command.value, tag);
    case Kind::kWalk:
      return gmesp_dp_submit_next_set(dp_, command.set_id, tag);
  }
  return GMESP_E_BAD_ARGUMENT;
}

// --- answers ------------------------------------------------------------------------------------

void DataPlane::take(const gmesp_completion& completion) {
  const auto kind = static_cast<Kind>(completion.tag >> kKindShift);
  const uint64_t subject = completion.tag & kSubject;
  if (kind == Kind::kInstall) return take_install(subject, completion);
  if (kind == Kind::kWalk) return take_walk(static_cast<uint32_t>(subject), completion);
  // A set that expired or was removed before the command came is not there any more: as wanted.
  if (completion.error != GMESP_OK && completion.error != GMESP_E_NOT_FOUND)
    spdlog::error("gmespd refused to {} set {}: {}: {}",
                  kind == Kind::kRemove ? "remove" : "prolong", subject,
                  gmesp_strerror(completion.error), completion.detail);
}

void DataPlane::take_install(sa::SetNumber number, const gmesp_completion& completion) {
  const auto at = in_flight_.find(number);
  const bool is_cancelled = at == in_flight_.end() || at->second.is_cancelled;
  if (at != in_flight_.end()) {
    if (at->second.is_cancelled) --cancelled_;
    in_flight_.erase(at);
  }
  if (completion.error == GMESP_OK && is_cancelled) {
    queue_.push_front({Kind::kRemove, number, completion.set_id, 0, {}});
    send_by_ms_ = kAtOnce;
    return;
  }
  if (completion.error == GMESP_OK) return listener_.on_installed(number, completion.set_id);
  spdlog::error("gmespd refused set {}: {}: {}", number, gmesp_strerror(completion.error),
                completion.detail);
  if (!is_cancelled) listener_.on_install_failed(number, sa::Refusal::kDataPlaneRefused);
}

void DataPlane::take(const gmesp_event& event) {
  switch (event.kind) {
    case GMESP_EVENT_PEER_PORT_LEARNED:
    case GMESP_EVENT_PEER_PORT_CHANGED:
      return listener_.on_peer_port(event.cookie, static_cast<uint16_t>(event.value));
    case GMESP_EVENT_SEQUENCE_NEAR_END:
      return listener_.on_sequence_near_end(event.cookie);
    case GMESP_EVENT_SET_EXPIRED:
      return listener_.on_gone(event.cookie, sa::GoneBecause::kExpired);
    case GMESP_EVENT_SEQUENCE_END:
    case GMESP_EVENT_SET_REMOVED:
      // Our own removals come back too; by then the set is not known any more.
      if (listener_.is_known(event.cookie)) listener_.on_gone(event.cookie, sa::GoneBecause::kLost);
      return;
    default:
      return;
  }
}

// --- comparison ---------------------------------------------------------------------------------

/// Reads all live sets, in parallel ranges of the table, so that a million take seconds.
void DataPlane::start_walk() {
  gmesp_info info;
  GMESP_INIT(&info);
  if (gmesp_dp_get_info(dp_, &info, kCallTimeoutMs) != GMESP_OK) return;
  found_.clear();
  compared_before_ = listener_.next_number();
  walkers_.assign(kWalkers, {});
  walkers_left_ = kWalkers;
  for (uint32_t i = 0; i < kWalkers; ++i) {
    walkers_[i].end_index = info.capacity_sets * (i + 1) / kWalkers;
    send({Kind::kWalk, i, info.capacity_sets * i / kWalkers, 0, {}}, kAtOnce);
  }
}

void DataPlane::take_walk(uint32_t walker, const gmesp_completion& completion) {
  if (walker >= walkers_.size() || walkers_left_ == 0) return;
  const auto index = static_cast<uint32_t>(completion.set_id);
  const bool is_found = completion.error == GMESP_OK && index < walkers_[walker].end_index;
  if (is_found) {
    const sa::SetNumber number = completion.view.set.cookie;
    if (listener_.on_found(completion.view))
      found_.insert(number);
    else if (!in_flight_.contains(number))
      send({Kind::kRemove, number, completion.set_id, 0, {}}, kAtOnce);
    if (completion.next_index < walkers_[walker].end_index)
      return send({Kind::kWalk, walker, completion.next_index, 0, {}}, kAtOnce);
  }
  if (--walkers_left_ != 0) return;
  listener_.on_compared(found_, compared_before_);
  found_.clear();
}

}  // namespace gmesp::control
