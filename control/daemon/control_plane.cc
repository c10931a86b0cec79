// Events in both directions. What operators ask is in control_queries.cc.
#include "control/daemon/control_plane.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "control/client/gmesp_control.h"
#include "control/daemon/heap.h"
#include "control/daemon/saved_registration.h"

namespace gmesp::control {
namespace {

using link::Kind;
using link::Tag;

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

/// Numbers of this process are above those of every earlier one, whose sets may live: a clock that
/// does not go back while the machine is up, in microseconds.
sa::SetNumber first_number() {
  constexpr uint64_t kPerMs = 1024;
  return gmesp_now_ms() * kPerMs;
}

}  // namespace

ControlPlane::ControlPlane(const ControlPlaneOptions& options)
    : options_(options),
      configured_(options.policy),
      now_ms_(gmesp_now_ms()),
      state_file_(options.state_path, options.state_bytes_max),
      sa_manager_(options.policy, *this, first_number(), random_seed()),
      data_plane_(options.data_plane, *this),
      server_(options.server, *this) {
  constexpr uint64_t kRegistrationBytes = 1280;  // as bench/registrations tells them
  take_ahead(options.registrations_expected * kRegistrationBytes);
  sa_manager_.expect(options.registrations_expected);
  state_file_.expect(options.registrations_expected);
  restore_registrations();
}

ControlPlane::~ControlPlane() = default;

void ControlPlane::restore_registrations() {
  uint64_t restored = 0;
  uint64_t refused = 0;
  if (!state_file_.begun_anew().empty())
    spdlog::warn("registrations are not taken over: {}", state_file_.begun_anew());
  for (StateFile::Found& found : state_file_.take_found()) {
    sa::Context context;
    std::vector<sa::SaSet> sets;
    context.sink_record = found.record;
    const bool is_restored =
        read_registration(found.bytes, context, sets) && sa_manager_.restore(context, sets);
    ++(is_restored ? restored : refused);
    if (!is_restored) state_file_.erase(found.record);
  }
  if (restored != 0 || refused != 0 || state_file_.damaged_slots() != 0)
    spdlog::info("{} registrations taken over, {} could not be, {} damaged slots", restored,
                 refused, state_file_.damaged_slots());
}

void ControlPlane::run_once(uint64_t wait_ms) {
  const uint64_t deadline_ms = next_deadline_ms();
  now_ms_ = gmesp_now_ms();
  const uint64_t left_ms = deadline_ms <= now_ms_ ? 0 : std::min(deadline_ms - now_ms_, wait_ms);
  server_.wait(static_cast<int>(left_ms));
  now_ms_ = gmesp_now_ms();
  sa_manager_.tick(now_ms_);
  has_answers_ = false;
  server_.serve();
  data_plane_.poll(has_answers_, now_ms_);
  server_.flush();
}

uint64_t ControlPlane::next_deadline_ms() const {
  return std::min(sa_manager_.next_deadline_ms(), data_plane_.next_deadline_ms());
}

sa::Policy ControlPlane::without_withdrawn(sa::Policy policy) const {
  for (const sa::Integrity integrity : withdrawn_integrity_)
    std::erase(policy.integrity, integrity);
  for (const sa::Cipher cipher : withdrawn_ciphers_) std::erase(policy.ciphers, cipher);
  return policy;
}

void ControlPlane::set_policy(const sa::Policy& policy) {
  configured_ = policy;
  sa_manager_.set_policy(without_withdrawn(policy));
}

// --- what the SA manager asks for ---------------------------------------------------------------

bool ControlPlane::install(const sa::NewSet& set) {
  return data_plane_.install(set, now_ms_);
}

void ControlPlane::remove(const sa::SaSet& set, sa::GoneBecause because) {
  data_plane_.remove(set, now_ms_);
  send_event(GMESP_CONTROL_SET_GONE, set, static_cast<uint64_t>(because));
}

void ControlPlane::set_not_after(const sa::SaSet& set) {
  data_plane_.set_not_after(set, now_ms_);
}

void ControlPlane::answer(uint64_t request, const sa::Verdict& verdict) {
  const auto at = asked_.find(request);
  if (at == asked_.end()) return;  // who asked is gone
  Reply reply(at->second.tag);
  reply.verdict(verdict);
  send(at->second.client, reply);
  asked_.erase(at);
}

void ControlPlane::changed(const sa::Context& context) {
  const bool has_kept = std::ranges::any_of(context.sets, [](const sa::SaSet* set) {
    return set->state == sa::SetState::kLive || set->state == sa::SetState::kLingering;
  });
  if (!has_kept) {
    state_file_.erase(context.sink_record);
    context.sink_record = 0;
    return;
  }
  const bool is_saved = state_file_.put(context.sink_record, save_registration(context));
  if (!is_saved && !state_is_full_)
    spdlog::error(
        "state file is full (state.bytes_max): registrations from now on do not survive "
        "a restart of gmesp-control");
  state_is_full_ = !is_saved;
}

sa::KeyFingerprint ControlPlane::fingerprint(std::span<const uint8_t> key) {
  return key_digest_.of(key);
}

// --- what gmespd says ---------------------------------------------------------------------------

void ControlPlane::on_installed(sa::SetNumber set, uint64_t data_plane_id) {
  sa_manager_.installed(set, data_plane_id);
}

void ControlPlane::on_install_failed(sa::SetNumber set, sa::Refusal refusal) {
  sa_manager_.install_failed(set, refusal, now_ms_);
}

void ControlPlane::on_gone(sa::SetNumber set, sa::GoneBecause because) {
  sa_manager_.gone(set, because, now_ms_);
}

void ControlPlane::on_peer_port(sa::SetNumber number, uint16_t port) {
  sa_manager_.peer_port(number, port);
  if (const sa::SaSet* set = sa_manager_.find(number)) send_event(GMESP_CONTROL_PEER_PORT, *set, 0);
}

void ControlPlane::on_sequence_near_end(sa::SetNumber number) {
  if (const sa::SaSet* set = sa_manager_.find(number))
    send_event(GMESP_CONTROL_SEQUENCE_NEAR_END, *set, 0);
}

void ControlPlane::on_up() {
  spdlog::info("gmespd is connected; comparing its sets with {} here", sa_manager_.sets());
  watch(data_plane_.descriptor(), [this] { has_answers_ = true; });
  for (const sa::Integrity integrity : withdrawn_integrity_)
    data_plane_.withdraw(static_cast<int>(integrity), 0);
  for (const sa::Cipher cipher : withdrawn_ciphers_)
    data_plane_.withdraw(0, static_cast<int>(cipher));
  Reply event(Kind::kEvent, 0);
  event.number(Tag::kEventKind, GMESP_CONTROL_DATA_PLANE_UP);
  server_.send_event(event.data(), event.finish());
}

void ControlPlane::on_down(const std::string& why) {
  spdlog::error("gmespd is gone: {}", why);
  Reply event(Kind::kEvent, 0);
  event.number(Tag::kEventKind, GMESP_CONTROL_DATA_PLANE_DOWN);
  server_.send_event(event.data(), event.finish());
}

/// Ours if number and SPIs agree. Its name in gmespd and its lifetime there may be others by now.
bool ControlPlane::on_found(const gmesp_set_view& view) {
  const sa::SaSet* set = sa_manager_.find(view.set.cookie);
  const bool is_ours = set != nullptr && set->spi_pc == view.set.spi_pc &&
                       set->spi_ps == view.set.spi_ps && set->spi_uc == view.set.spi_uc &&
                       set->spi_us == view.set.spi_us;
  if (!is_ours) {
    ++sets_found_unknown_;
    return false;
  }
  sa_manager_.found(set->number, view.set_id, view.set.outer_ue_port);
  if (view.set.not_after_ms < set->not_after_ms) data_plane_.set_not_after(*set, now_ms_);
  return true;
}

/// What gmespd has lost is not set up again: its counters would start anew under old keys
/// (R-D-A2). The users register again.
void ControlPlane::on_compared(const std::unordered_set<sa::SetNumber>& found,
                               sa::SetNumber before) {
  const std::vector<sa::SetNumber> lost = sa_manager_.lost(found, before);
  for (const sa::SetNumber number : lost) sa_manager_.gone(number, sa::GoneBecause::kLost, now_ms_);
  sets_lost_ += lost.size();
  spdlog::info("compared with gmespd: {} sets live on, {} lost there, {} unknown ones removed",
               found.size(), lost.size(), std::exchange(sets_found_unknown_, 0));
}

// --- what proxies ask ---------------------------------------------------------------------------

void ControlPlane::on_request(ClientId client, link::MessageReader& message) {
  Request request;
  std::string why;
  if (!request.read(message, why)) {
    Reply reply(message.header().tag, GMESP_E_BAD_ARGUMENT);
    reply.text(Tag::kText, why);
    return send(client, reply);
  }
  if (request.kind == Kind::kChallenge) return take_challenge(client, request);
  if (request.kind >= Kind::kNextRegistration) return serve_operator(client, request);
  const sa::Verdict verdict = decide(request);
  Reply reply(request.tag,
              verdict.action == sa::Action::kWait ? GMESP_E_UNKNOWN_COMMAND : GMESP_OK);
  reply.verdict(verdict);
  send(client, reply);
}

/// kWait stands for a request that is none.
sa::Verdict ControlPlane::decide(const Request& request) {
  switch (request.kind) {
    case Kind::kRegister:
      return sa_manager_.on_register(request.register_request(), now_ms_);
    case Kind::kRegisterAnswer:
      return sa_manager_.on_register_answer(request.register_answer(), now_ms_);
    case Kind::kMessage:
      return sa_manager_.on_message(request.message(), now_ms_);
    case Kind::kRoute:
      return request.impi.empty()
                 ? sa_manager_.route(request.ue, request.set, now_ms_)
                 : sa_manager_.route(request.impi, request.registration_key, request.set, now_ms_);
    case Kind::kTransactionBegin:
      return sa_manager_.on_transaction_begin(request.set);
    case Kind::kTransactionEnd:
      return sa_manager_.on_transaction_end(request.set, now_ms_);
    case Kind::kIdentities:
      return sa_manager_.on_identities(request.impi, request.registration_key, request.impus);
    case Kind::kDeregistered:
      return sa_manager_.on_deregistered(request.impi, request.registration_key, now_ms_);
    default:
      return {.action = sa::Action::kWait};
  }
}

void ControlPlane::take_challenge(ClientId client, const Request& request) {
  const uint64_t number = next_request_++;
  asked_.emplace(number, Asked{client, request.tag});
  const sa::Verdict verdict = sa_manager_.on_challenge(request.challenge(), number, now_ms_);
  if (verdict.action == sa::Action::kWait) return;
  answer(number, verdict);
}

void ControlPlane::on_hang_up(ClientId client) {
  std::erase_if(asked_, [&](const auto& entry) { return entry.second.client == client; });
}

void ControlPlane::send(ClientId client, Reply& reply) {
  server_.send(client, reply.data(), reply.finish());
}

void ControlPlane::send_event(uint32_t kind, const sa::SaSet& set, uint64_t because) {
  if (!server_.has_listeners()) return;
  Reply event(Kind::kEvent, 0);
  event.number(Tag::kEventKind, kind).number(Tag::kGoneBecause, because);
  event.number(Tag::kSetNumber, set.number).number(Tag::kPeerPort, set.peer_port);
  event.number(Tag::kPortUc, set.port_uc).number(Tag::kPortUs, set.port_us);
  event.number(Tag::kPortPc, set.port_pc).number(Tag::kPortPs, set.port_ps);
  event.address(Tag::kUe, set.ue).address(Tag::kLocal, set.local);
  event.text(Tag::kImpi, set.context->impi);
  server_.send_event(event.data(), event.finish());
}

}  // namespace gmesp::control
