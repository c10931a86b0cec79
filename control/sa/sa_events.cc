// Everything but REGISTER: other messages, routing, transactions, identities, and what gmespd says
// (TS 33.203 7.1, 7.4.2a).
#include <algorithm>

#include "control/sa/sa_manager.h"

namespace gmesp::sa {
namespace {

/// Two sets that could not live side by side.
bool collide(const SaSet& a, const SaSet& b) {
  const auto has_spi_of_b = [&](uint32_t spi) { return spi == b.spi_pc || spi == b.spi_ps; };
  if (a.number == b.number || has_spi_of_b(a.spi_pc) || has_spi_of_b(a.spi_ps)) return true;
  return a.ue == b.ue && ((a.port_uc == b.port_uc && a.port_ps == b.port_ps) ||
                          (a.port_us == b.port_us && a.port_pc == b.port_pc));
}

Verdict unknown_user() {
  return {.action = Action::kReject,
          .refusal = Refusal::kUnknownUser,
          .status = info(Refusal::kUnknownUser).sip_status};
}

}  // namespace

/// 7.1: in clear only REGISTER, emergency and error messages; on an SA only what its state allows.
Verdict SaManager::on_message(const Message& message, uint64_t now_ms) {
  tick(now_ms);
  const Arrival& arrival = message.arrival;
  const SaTable::Found found =
      table_.find({arrival.source, arrival.source_port}, arrival.local_port);
  if (found.set == nullptr) {
    if (is_protected_port(arrival.local_port))
      return refuse(Refusal::kNoSa, arrival, nullptr, {}, now_ms);
    return on_clear_message(message, now_ms);
  }
  SaSet& set = *found.set;
  Context& context = *set.context;
  const bool was_good = set.number == context.latest || set.number == context.old;
  // After de-registration the last requests of the network may still be answered.
  const bool is_allowed = set.state == SetState::kLive ||
                          (set.state == SetState::kLingering && was_good && !message.is_request);
  if (!is_allowed) return refuse(Refusal::kWrongSet, arrival, &set, context.impi, now_ms);
  Verdict verdict = forward_on(set);
  verdict.arrived_on = set.number;
  verdict.send.on_same_connection = arrival.is_tcp;
  verdict.impus = context.impus;
  note_further_message(context, set, now_ms);
  return verdict;
}

Verdict SaManager::on_clear_message(const Message& message, uint64_t now_ms) {
  constexpr uint16_t kFirstError = 400;
  const bool is_error = !message.is_request && message.status >= kFirstError;
  if (message.is_emergency || is_error) {
    Verdict verdict;
    verdict.action = Action::kForward;
    verdict.send = send_clear(message.arrival);
    return verdict;
  }
  Verdict verdict = refuse(Refusal::kClearNotAllowed, message.arrival, nullptr, {}, now_ms);
  // Nobody answers a response, nor an ACK (RFC 3261 17).
  if (!policy_.rejects_clear || !message.is_request || message.method == "ACK")
    verdict.action = Action::kDiscard;
  return verdict;
}

Verdict SaManager::route_in(const Context& context, SetNumber began_on, uint64_t now_ms) const {
  const SaSet* set = find_set(began_on);
  const bool is_usable = set != nullptr && set->context == &context &&
                         (set->state == SetState::kLive || set->state == SetState::kLingering);
  if (!is_usable) set = outbound_set(context, now_ms);
  if (set == nullptr) return unknown_user();
  Verdict verdict = forward_on(*set);
  verdict.impus = context.impus;
  return verdict;
}

Verdict SaManager::route(std::string_view impi, std::string_view registration_key,
                         SetNumber began_on, uint64_t now_ms) {
  tick(now_ms);
  const Context* context = find_context(impi, registration_key);
  if (context == nullptr) return unknown_user();
  return route_in(*context, began_on, now_ms);
}

Verdict SaManager::route(const UePort& ue_server, SetNumber began_on, uint64_t now_ms) {
  tick(now_ms);
  const Context* context = table_.owner(ue_server);
  if (context == nullptr) return unknown_user();
  return route_in(*context, began_on, now_ms);
}

Verdict SaManager::on_transaction_begin(SetNumber number) {
  SaSet* set = find_set(number);
  if (set == nullptr) return {.action = Action::kDiscard, .refusal = Refusal::kNoSa};
  set->has_hints = true;
  ++set->pending_transactions;
  return forward_on(*set);
}

Verdict SaManager::on_transaction_end(SetNumber number, uint64_t now_ms) {
  tick(now_ms);
  SaSet* set = find_set(number);
  if (set == nullptr || set->pending_transactions == 0)
    return {.action = Action::kDiscard, .refusal = Refusal::kNoSa};
  --set->pending_transactions;
  Context& context = *set->context;
  settle_old_set(context, now_ms);
  drop_if_empty(context);
  return {.action = Action::kForward};
}

Verdict SaManager::on_identities(std::string_view impi, std::string_view registration_key,
                                 std::span<const std::string_view> impus) {
  Context* context = find_context(impi, registration_key);
  if (context == nullptr) return unknown_user();
  context->impus.assign(impus.begin(), impus.end());
  sink_.changed(*context);
  return {.action = Action::kForward, .impi = context->impi, .impus = context->impus};
}

Verdict SaManager::on_deregistered(std::string_view impi, std::string_view registration_key,
                                   uint64_t now_ms) {
  tick(now_ms);
  Context* context = find_context(impi, registration_key);
  if (context == nullptr) return unknown_user();
  Verdict verdict = route_in(*context, kClear, now_ms);
  context->impus.clear();
  linger_all(*context, now_ms);
  sink_.changed(*context);
  return verdict;
}

void SaManager::gone(SetNumber number, GoneBecause because, uint64_t now_ms) {
  SaSet* set = find_set(number);
  if (set == nullptr) return;
  set->data_plane_id = 0;  // there is nothing left to remove
  end_set(*set, because, now_ms);
}

void SaManager::peer_port(SetNumber number, uint16_t port) {
  SaSet* set = find_set(number);
  if (set == nullptr) return;
  set->peer_port = port;
  if (set->state == SetState::kLive) sink_.changed(*set->context);
}

void SaManager::found(SetNumber number, uint64_t data_plane_id, uint16_t peer_port) {
  SaSet* set = find_set(number);
  if (set == nullptr) return;
  set->data_plane_id = data_plane_id;
  if (peer_port != 0) set->peer_port = peer_port;
}

std::vector<SetNumber> SaManager::lost(const std::unordered_set<SetNumber>& found,
                                       SetNumber before) const {
  std::vector<SetNumber> lost;
  for (const auto& [number, set] : sets_)
    if (number < before && set->state != SetState::kInstalling && !found.contains(number))
      lost.push_back(number);
  std::sort(lost.begin(), lost.end());
  return lost;
}

/// Whole or not at all.
bool SaManager::restore(const Context& saved, std::span<const SaSet> sets) {
  for (const SaSet& set : sets) {
    const bool is_alone = std::none_of(sets.begin(), sets.end(), [&](const SaSet& other) {
      return &other != &set && collide(set, other);
    });
    const bool is_free = is_alone && find_set(set.number) == nullptr &&
                         table_.find({set.ue, set.port_uc}, set.port_ps).set == nullptr &&
                         table_.find({set.ue, set.port_us}, set.port_pc).set == nullptr &&
                         !spis_.is_taken(set.spi_pc) && !spis_.is_taken(set.spi_ps) &&
                         set.spi_pc != set.spi_ps;
    if (!is_free) return false;
  }
  auto fresh = std::make_unique<Context>(saved);
  fresh->sets.clear();
  fresh->procedures.clear();
  for (SetNumber* role : {&fresh->latest, &fresh->old})
    if (std::none_of(sets.begin(), sets.end(),
                     [&](const SaSet& set) { return set.number == *role; }))
      *role = kClear;
  Context& context = *fresh;
  contexts_.emplace(std::string_view(context.impi), std::move(fresh));
  for (const SaSet& set : sets) {
    auto copy = std::make_unique<SaSet>(set);
    copy->context = &context;
    copy->timer_ms = 0;
    copy->pending_transactions = 0;
    SaSet& taken = *copy;
    sets_.emplace(taken.number, std::move(copy));
    table_.insert(taken);
    spis_.reserve(taken.spi_pc);
    spis_.reserve(taken.spi_ps);
    context.sets.push_back(&taken);
    next_number_ = std::max(next_number_, taken.number + 1);
    watch(taken);
  }
  return true;
}

}  // namespace gmesp::sa
