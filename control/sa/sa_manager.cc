// The bookkeeping under all events: contexts, sets, timers. The events themselves are in
// register_in.cc, register_out.cc and sa_events.cc.
#include "control/sa/sa_manager.h"

#include <algorithm>

#include "control/sa/transaction_hash.h"

namespace gmesp::sa {
namespace {

constexpr size_t kRefusalsKept = 1000;

std::array<uint64_t, 2> hash_key(uint64_t seed) {
  return {seed * 0x9e3779b97f4a7c15 + 1, (seed ^ 0xc2b2ae3d27d4eb4f) * 0xff51afd7ed558ccd};
}

}  // namespace

SaManager::SaManager(const Policy& policy, Sink& sink, SetNumber first_number, uint64_t seed)
    : policy_(policy),
      sink_(sink),
      next_number_(std::max<SetNumber>(first_number, 1)),
      hash_key_(hash_key(seed)),
      table_(policy.rest_ms),
      spis_(policy.spi_min, policy.spi_max, policy.rest_ms, seed) {}

SaManager::~SaManager() = default;

void SaManager::expect(size_t registrations) {
  const size_t sets = registrations + registrations / 8;  // old ones beside new ones
  contexts_.reserve(registrations);
  sets_.reserve(sets);
  table_.expect(sets);
  spis_.expect(2 * sets);
}

// --- contexts -----------------------------------------------------------------------------------

TransactionHash SaManager::hash_of(std::string_view transaction) const {
  return hash_transaction(hash_key_, transaction);
}

Context* SaManager::find_context(std::string_view impi, std::string_view registration_key) const {
  const auto [begin, end] = contexts_.equal_range(impi);
  for (auto at = begin; at != end; ++at)
    if (!policy_.many_registrations || at->second->registration_key == registration_key)
      return at->second.get();
  return nullptr;
}

/// Of the registrations of one IMPI, one from the same address is always the same, be it still
/// under way (R-000-02).
Context* SaManager::find_context(std::string_view impi, std::string_view registration_key,
                                 const Address& ue) const {
  const auto [begin, end] = contexts_.equal_range(impi);
  for (auto at = begin; at != end; ++at) {
    const Context& context = *at->second;
    const bool has_set = std::any_of(
        context.sets.begin(), context.sets.end(),
        [&](const SaSet* set) { return set->ue == ue && set->state != SetState::kLingering; });
    const bool has_procedure =
        std::any_of(context.procedures.begin(), context.procedures.end(),
                    [&](ProcedureAt procedure) { return procedure->arrival.source == ue; });
    if (has_set || has_procedure) return at->second.get();
  }
  return find_context(impi, registration_key);
}

Context& SaManager::make_context(const RegisterRequest& request) {
  auto fresh = std::make_unique<Context>();
  fresh->impi = request.impi;
  if (policy_.many_registrations) fresh->registration_key = request.registration_key;
  Context& context = *fresh;
  contexts_.emplace(std::string_view(context.impi), std::move(fresh));
  return context;
}

/// A registration that took the place of another one at its address (R-000-02) is found under its
/// own key from now on, and leaves the place it had before (7.5).
void SaManager::take_key(Context& context, const std::string& registration_key, uint64_t now_ms) {
  if (!policy_.many_registrations || context.registration_key == registration_key) return;
  if (Context* former = find_context(context.impi, registration_key); former != nullptr)
    end_context(*former, GoneBecause::kReplaced, Refusal::kSuperseded, now_ms);
  context.registration_key = registration_key;
}

void SaManager::end_context(Context& context, GoneBecause because, Refusal refusal,
                            uint64_t now_ms) {
  while (!context.sets.empty()) remove_set(*context.sets.back(), because, now_ms);
  while (!context.procedures.empty()) close_procedure(*context.procedures.back(), refusal);
  drop_if_empty(context);
}

void SaManager::drop_if_empty(Context& context) {
  if (!context.sets.empty() || !context.procedures.empty()) return;
  const auto [begin, end] = contexts_.equal_range(context.impi);
  for (auto at = begin; at != end; ++at)
    if (at->second.get() == &context) {
      contexts_.erase(at);
      return;
    }
}

// --- procedures ---------------------------------------------------------------------------------

Procedure* SaManager::find_procedure(const Context& context, const TransactionHash& transaction) {
  for (const ProcedureAt procedure : context.procedures)
    if (procedure->sm1 == transaction || procedure->sm7 == transaction) return &*procedure;
  return nullptr;
}

/// The registrar's answers do not tell which of several registrations they belong to.
Procedure* SaManager::find_procedure(std::string_view impi,
                                     const TransactionHash& transaction) const {
  const auto [begin, end] = contexts_.equal_range(impi);
  for (auto at = begin; at != end; ++at)
    if (Procedure* procedure = find_procedure(*at->second, transaction)) return procedure;
  return nullptr;
}

/// Room is made at the cost of the oldest that is still without a challenge: live sets and
/// challenged procedures are never touched by a flood (R-D-F3).
void SaManager::open_procedure(Procedure&& fresh) {
  Context& context = *fresh.context;
  if (context.procedures.size() >= policy_.procedures_per_context_max) {
    for (const ProcedureAt procedure : context.procedures)
      if (procedure->state == ProcedureState::kWaitsForChallenge) {
        close_procedure(*procedure, Refusal::kSuperseded);
        break;
      }
  }
  if (waiting_.size() >= policy_.procedures_max) {
    Context& victim = *waiting_.front().context;
    close_procedure(waiting_.front(), Refusal::kOverload);
    ++totals_.procedures_evicted;
    if (&victim != &context) drop_if_empty(victim);
  }
  waiting_.push_back(std::move(fresh));
  context.procedures.push_back(std::prev(waiting_.end()));
}

/// Forgets a procedure; its set, if it has one that is not live, is the caller's business.
void SaManager::close_procedure(Procedure& procedure, Refusal because) {
  Verdict verdict = answer_as_arrived(procedure);
  verdict.refusal = because;
  verdict.status = info(because).sip_status;
  if (verdict.action == Action::kForward)
    verdict.action = verdict.status == 0 ? Action::kDiscard : Action::kReject;
  for (const uint64_t request : procedure.waiting) sink_.answer(request, verdict);
  Context& context = *procedure.context;
  const auto at = std::find_if(context.procedures.begin(), context.procedures.end(),
                               [&](ProcedureAt other) { return &*other == &procedure; });
  const ProcedureAt doomed = *at;
  context.procedures.erase(at);
  (procedure.state == ProcedureState::kWaitsForChallenge ? waiting_ : challenged_).erase(doomed);
}

/// 7.3.1.4: a new challenge ends every earlier procedure of the user.
void SaManager::close_older_procedures(const Procedure& keep) {
  const Context& context = *keep.context;
  while (&*context.procedures.front() != &keep)
    close_procedure(*context.procedures.front(), Refusal::kSuperseded);
}

/// 7.3.1.4: what belongs to a registration set that is gone goes with it.
void SaManager::close_orphans(const Context& context) {
  for (size_t i = 0; i < context.procedures.size();) {
    Procedure& procedure = *context.procedures[i];
    if (procedure.state != ProcedureState::kWaitsForChallenge && procedure.set == nullptr)
      close_procedure(procedure, Refusal::kSuperseded);
    else
      ++i;
  }
}

// --- sets ---------------------------------------------------------------------------------------

SaSet* SaManager::find_set(SetNumber number) const {
  const auto at = sets_.find(number);
  return at == sets_.end() ? nullptr : at->second.get();
}

const SaSet* SaManager::find(SetNumber number) const {
  return find_set(number);
}

SaSet* SaManager::registration_set(const Context& context) const {
  for (SaSet* set : context.sets)
    if (set->state == SetState::kInstalling || set->state == SetState::kRegistration) return set;
  return nullptr;
}

void SaManager::remove_set(SaSet& set, GoneBecause because, uint64_t now_ms) {
  Context& context = *set.context;
  sink_.remove(set, because);
  ++totals_.sets_removed;
  table_.remove(set, now_ms);
  spis_.release(set.spi_pc, now_ms);
  spis_.release(set.spi_ps, now_ms);
  for (const ProcedureAt procedure : context.procedures)
    if (procedure->set == &set) procedure->set = nullptr;
  std::erase(context.sets, &set);
  if (context.latest == set.number) context.latest = kClear;
  if (context.old == set.number) context.old = kClear;
  const bool was_kept = set.state == SetState::kLive || set.state == SetState::kLingering;
  sets_.erase(set.number);
  if (was_kept) sink_.changed(context);
}

void SaManager::end_set(SaSet& set, GoneBecause because, uint64_t now_ms) {
  Context& context = *set.context;
  remove_set(set, because, now_ms);
  close_orphans(context);
  drop_if_empty(context);
}

/// The set stays for its last answer and repetitions of it only (R-D-E1).
void SaManager::linger(SaSet& set, uint64_t now_ms) {
  if (set.state == SetState::kLingering) return;
  set.state = SetState::kLingering;
  set.drop_at_ms = std::min(set.drop_at_ms, now_ms + policy_.linger_ms);
  watch(set);
}

/// A registration that is under way ends by itself.
void SaManager::linger_all(Context& context, uint64_t now_ms) {
  for (SaSet* set : context.sets)
    if (set->state == SetState::kLive) linger(*set, now_ms);
}

/// A timer is queued for the earliest deadline known; one that comes too early is queued again.
void SaManager::watch(SaSet& set) {
  const uint64_t deadline_ms = set.deadline_ms();
  if (set.timer_ms != 0 && set.timer_ms <= deadline_ms) return;
  set.timer_ms = deadline_ms;
  if (deadline_ms != UINT64_MAX) timers_.push({deadline_ms, set.number});
}

// --- which set ----------------------------------------------------------------------------------

/// 7.4.2a: the first further message on the new set, request or response, moves outbound traffic
/// there. The old set goes when its transactions are over, at the latest after 64*T1 (seed 002
/// paragraph 1). What the proxy does not tell is waited for that long.
void SaManager::note_further_message(Context& context, const SaSet& arrived_on, uint64_t now_ms) {
  if (arrived_on.number != context.latest || context.old == kClear || context.has_switched) return;
  context.has_switched = true;
  SaSet& old = *find_set(context.old);
  old.drop_at_ms = std::min(old.drop_at_ms, now_ms + policy_.drop_ms);
  watch(old);
  settle_old_set(context, now_ms);
  if (context.old != kClear) sink_.changed(context);
}

void SaManager::settle_old_set(Context& context, uint64_t now_ms) {
  if (context.old == kClear || !context.has_switched) return;
  SaSet& old = *find_set(context.old);
  if (old.state == SetState::kLive && old.has_hints && old.pending_transactions == 0)
    remove_set(old, GoneBecause::kReplaced, now_ms);
}

/// 7.4.2a, seed 002 paragraphs 1 and 4.
SaSet* SaManager::outbound_set(const Context& context, uint64_t now_ms) const {
  SaSet* old = find_set(context.old);
  SaSet* latest = find_set(context.latest);
  if (old == nullptr || latest == nullptr) return latest != nullptr ? latest : old;
  const bool is_old_near_its_end = old->not_after_ms <= now_ms + policy_.near_expiry_ms;
  return context.has_switched || is_old_near_its_end ? latest : old;
}

Send SaManager::send_on(const SaSet& set) const {
  Send send;
  send.set = set.number;
  send.mode = set.mode;
  send.local = set.local;
  send.local_port = set.port_pc;
  send.remote = set.ue;
  send.remote_port = set.port_us;
  return send;
}

Verdict SaManager::forward_on(const SaSet& set) const {
  return {.action = Action::kForward, .send = send_on(set), .impi = set.context->impi};
}

Send SaManager::send_clear(const Arrival& arrival) const {
  Send send;
  send.local = arrival.local;
  send.local_port = arrival.local_port;
  send.remote = arrival.source;
  send.remote_port = arrival.source_port;
  send.on_same_connection = arrival.is_tcp;
  return send;
}

/// 7.4.2a: SM6 and failures go as SM1 came. If its set is gone there is no way: nothing leaves in
/// clear from a protected port (7.1).
Verdict SaManager::answer_as_arrived(const Procedure& procedure) const {
  const SaSet* set = find_set(procedure.arrived_on);
  if (set == nullptr && procedure.arrived_on != kClear)
    return {.action = Action::kDiscard, .refusal = Refusal::kSuperseded};
  Verdict verdict;
  verdict.action = Action::kForward;
  verdict.send = set != nullptr ? send_on(*set) : send_clear(procedure.arrival);
  verdict.send.on_same_connection = procedure.arrival.is_tcp;
  verdict.impi = procedure.context->impi;
  return verdict;
}

Verdict SaManager::refuse(Refusal refusal, const Arrival& arrival, const SaSet* arrived_on,
                          std::string_view impi, uint64_t now_ms) {
  Verdict verdict;
  verdict.refusal = refusal;
  verdict.status = info(refusal).sip_status;
  verdict.action = verdict.status == 0 ? Action::kDiscard : Action::kReject;
  verdict.send = arrived_on != nullptr ? send_on(*arrived_on) : send_clear(arrival);
  verdict.send.on_same_connection = arrival.is_tcp;
  if (arrived_on != nullptr) verdict.arrived_on = arrived_on->number;
  ++totals_.refusals[static_cast<uint32_t>(refusal)];
  if (refusals_.size() == kRefusalsKept) refusals_.pop_front();
  constexpr size_t kImpiBytesKept = 256;
  refusals_.push_back({now_ms, refusal, arrival.source, arrival.source_port,
                       std::string(impi.substr(0, kImpiBytesKept))});
  return verdict;
}

// --- clock --------------------------------------------------------------------------------------

void SaManager::tick(uint64_t now_ms) {
  table_.wake(now_ms);
  spis_.wake(now_ms);
  expire_procedures(waiting_, now_ms);
  expire_procedures(challenged_, now_ms);
  while (!timers_.empty() && timers_.top().at_ms <= now_ms) {
    const Timer timer = timers_.top();
    timers_.pop();
    SaSet* set = find_set(timer.set);
    if (set == nullptr || set->timer_ms != timer.at_ms) continue;
    set->timer_ms = 0;
    if (set->deadline_ms() > now_ms)
      watch(*set);
    else
      end_of_time(*set, now_ms);
  }
}

/// R-7.3-05: the registration set goes with its procedure.
void SaManager::expire_procedures(std::list<Procedure>& procedures, uint64_t now_ms) {
  while (!procedures.empty() && procedures.front().deadline_ms <= now_ms) {
    Procedure& procedure = procedures.front();
    Context& context = *procedure.context;
    if (procedure.set != nullptr) remove_set(*procedure.set, GoneBecause::kFailed, now_ms);
    close_procedure(procedure, Refusal::kSuperseded);
    drop_if_empty(context);
  }
}

void SaManager::end_of_time(SaSet& set, uint64_t now_ms) {
  const Context& context = *set.context;
  if (set.not_after_ms <= now_ms) return end_set(set, GoneBecause::kExpired, now_ms);
  if (set.state != SetState::kLingering) return end_set(set, GoneBecause::kReplaced, now_ms);
  const bool was_good = context.latest == set.number || context.old == set.number;
  end_set(set, was_good ? GoneBecause::kDeregistered : GoneBecause::kFailed, now_ms);
}

uint64_t SaManager::next_deadline_ms() const {
  uint64_t next_ms = UINT64_MAX;
  if (!waiting_.empty()) next_ms = waiting_.front().deadline_ms;
  if (!challenged_.empty()) next_ms = std::min(next_ms, challenged_.front().deadline_ms);
  if (!timers_.empty()) next_ms = std::min(next_ms, timers_.top().at_ms);
  return next_ms;
}

// --- operator -----------------------------------------------------------------------------------

/// Ranges of SPIs and resting times are those of the start; the rest is taken over at once.
void SaManager::set_policy(const Policy& policy) {
  // Registered UEs keep it (R-7.1-16), so it stays a protected port.
  if (policy.port_ps != policy_.port_ps) former_server_ports_.insert(policy_.port_ps);
  // A shorter lifetime holds for what is under way too: so the lists stay in order of deadlines.
  if (policy.temporary_lifetime_ms < policy_.temporary_lifetime_ms)
    for (std::list<Procedure>* procedures : {&waiting_, &challenged_})
      for (Procedure& procedure : *procedures)
        procedure.deadline_ms -= policy_.temporary_lifetime_ms - policy.temporary_lifetime_ms;
  policy_ = policy;
}

void SaManager::withdraw(Integrity integrity, bool removes_live, uint64_t now_ms) {
  std::erase(policy_.integrity, integrity);
  if (removes_live)
    remove_where([&](const SaSet& set) { return set.algorithms.integrity == integrity; }, now_ms);
}

void SaManager::withdraw(Cipher cipher, bool removes_live, uint64_t now_ms) {
  std::erase(policy_.ciphers, cipher);
  if (removes_live)
    remove_where([&](const SaSet& set) { return set.algorithms.cipher == cipher; }, now_ms);
}

void SaManager::remove_where(const std::function<bool(const SaSet&)>& chosen, uint64_t now_ms) {
  std::vector<SetNumber> doomed;
  for (const auto& [number, set] : sets_)
    if (chosen(*set)) doomed.push_back(number);
  std::sort(doomed.begin(), doomed.end());
  for (const SetNumber number : doomed)
    if (SaSet* set = find_set(number)) end_set(*set, GoneBecause::kWithdrawn, now_ms);
}

bool SaManager::evict(std::string_view impi, uint64_t now_ms) {
  std::vector<Context*> doomed;
  const auto [begin, end] = contexts_.equal_range(impi);
  for (auto at = begin; at != end; ++at) doomed.push_back(at->second.get());
  for (Context* context : doomed)
    end_context(*context, GoneBecause::kEvicted, Refusal::kEvicted, now_ms);
  return !doomed.empty();
}

/// The cursor is a bucket of the map and a place in it.
const Context* SaManager::next_context(uint64_t& cursor) const {
  constexpr uint32_t kPlaceBits = 16;
  uint64_t place = cursor & ((1 << kPlaceBits) - 1);
  for (size_t bucket = cursor >> kPlaceBits; bucket < contexts_.bucket_count(); ++bucket) {
    auto at = contexts_.begin(bucket);
    for (uint64_t i = 0; i < place && at != contexts_.end(bucket); ++i) ++at;
    if (at != contexts_.end(bucket)) {
      cursor = uint64_t{bucket} << kPlaceBits | (place + 1);
      return at->second.get();
    }
    place = 0;
  }
  return nullptr;
}

const Context* SaManager::next_context(std::string_view impi, uint64_t& cursor) const {
  auto [at, end] = contexts_.equal_range(impi);
  for (uint64_t i = 0; i < cursor && at != end; ++i) ++at;
  if (at == end) return nullptr;
  ++cursor;
  return at->second.get();
}

}  // namespace gmesp::sa
