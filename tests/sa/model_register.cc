// REGISTER and its answers in the model: TS 33.203 7.2, 7.3, 7.4.2a, step by step.
#include <algorithm>

#include "model.h"

namespace gmesp::sa::model {
namespace {

bool contains(const std::vector<AlgorithmPair>& pairs, const AlgorithmPair& pair) {
  return std::find(pairs.begin(), pairs.end(), pair) != pairs.end();
}

}  // namespace

std::vector<AlgorithmPair> Model::own_pairs(bool without_des) const {
  std::vector<Cipher> ciphers = policy_.ciphers;
  if (policy_.confidentiality == Confidentiality::kNever) ciphers.clear();
  if (policy_.confidentiality != Confidentiality::kRequired) ciphers.push_back(Cipher::kNull);
  std::vector<AlgorithmPair> pairs;
  for (const Cipher cipher : ciphers)
    for (const Integrity integrity : policy_.integrity)
      if (!without_des || cipher != Cipher::kDesEde3Cbc) pairs.push_back({integrity, cipher});
  return pairs;
}

std::optional<AlgorithmPair> Model::choice(const Proposal& proposal, bool without_des) const {
  for (const AlgorithmPair& pair : own_pairs(without_des))
    if (contains(proposal.pairs, pair)) return pair;
  return {};
}

/// 6.1.5 (b); (a) is told apart in on_sm7().
Expected Model::forward(const Came& came) const {
  Expected expected{.action = Action::kForward, .checks_way = true};
  if (came.set == nullptr) return expected;
  expected.set = came.set->number;
  expected.is_integrity_protected = came.set->number == came.user->latest;
  return expected;
}

/// 7.4.2a: as SM1 came. If its set is gone there is no way: nothing clear leaves a protected port.
Expected Model::as_sm1_came(const Procedure& procedure) const {
  if (procedure.arrived_on != kClear && find(procedure.arrived_on) == nullptr)
    return {.action = Action::kDiscard};
  return {.action = Action::kForward, .set = procedure.arrived_on, .checks_way = true};
}

Expected Model::on_register(const Register& request, uint64_t now_ms) {
  tick(now_ms);
  Came came{request, now_ms, nullptr, false, nullptr};
  came.set = find_by_ports(request.arrival, came.is_sa_a);
  if (came.set == nullptr) {
    if (is_protected_port(request.arrival.local_port)) return {.action = Action::kDiscard};
    if (request.impi.empty()) return {.action = Action::kReject};
    const Procedure* known = find_procedure(request.impi, request.transaction);
    came.user = known != nullptr ? find_user(known->context)
                                 : find_user(request.impi, request.key, &request.arrival.source);
  } else {
    came.user = find_user(came.set->context);
    if (!request.impi.empty() && request.impi != came.user->impi)
      return {.action = Action::kReject};
    if (request.via != Address{} && request.via != request.arrival.source)
      return {.action = Action::kReject};
    if (came.set->state == State::kLingering) {
      if (request.transaction != came.user->last_answer) return {.action = Action::kDiscard};
      return {.action = Action::kForward,
              .set = came.set->number,
              .is_integrity_protected = request.answer == AuthenticationAnswer::kResponse,
              .is_repetition = true};
    }
  }
  Expected expected;
  if (request.answer == AuthenticationAnswer::kResponse)
    expected = on_sm7(came);
  else if (came.set != nullptr && came.set->state != State::kLive)
    expected = {.action = Action::kDiscard};
  else if (request.answer == AuthenticationAnswer::kNone)
    expected = on_sm1(came, nullptr);
  else
    expected = on_ue_failure(came);
  sweep();
  return expected;
}

/// 7.1 rules 3 and 4, 7.4, M.7.1.
bool Model::table_allows(const Proposal& proposal, const Address& ue, bool is_tunnel,
                         SetNumber arrived_on, const User* user) const {
  const Set* protecting = find(arrived_on);
  if (protecting != nullptr && protecting->port_us != proposal.port_s) return false;
  int live = 0;
  for (const Set& set : sets_) {
    const bool is_own = user != nullptr && set.context == user->id;
    if (set.ue == ue && (set.port_uc == proposal.port_c || set.port_us == proposal.port_c))
      return false;
    if (is_tunnel && !is_own && set.ue == ue &&
        (set.port_uc == proposal.port_s || set.port_us == proposal.port_s))
      return false;
    if (!is_own || set.state == State::kInstalling || set.state == State::kRegistration) continue;
    if (set.state == State::kLive) ++live;
    for (const uint32_t spi : {proposal.spi_c, proposal.spi_s})
      if (spi == set.spi_uc || spi == set.spi_us) return false;
  }
  return live < 3;
}

Expected Model::on_sm1(const Came& came, const Procedure* earlier) {
  const Register& request = came.request;
  const SetNumber arrived_on = came.set == nullptr ? kClear : came.set->number;
  Expected expected = forward(came);
  if (came.user != nullptr) {
    bool is_known = request.transaction == came.user->last_answer;
    for (const Procedure& procedure : procedures_)
      if (procedure.context == came.user->id && procedure.arrived_on == arrived_on &&
          (procedure.sm1 == request.transaction || procedure.sm7 == request.transaction))
        is_known = true;
    if (is_known) {
      expected.is_repetition = true;
      return expected;
    }
  }
  const bool is_tunnel = came.set != nullptr
                             ? came.set->is_tunnel
                             : request.via != Address{} && request.via != request.arrival.source;
  if (came.set != nullptr) further_message(*came.user, arrived_on, came.now_ms);

  const bool takes_earlier = earlier != nullptr && !request.proposal;
  if (!takes_earlier && !request.proposal) return {.action = Action::kReject};
  const Proposal& proposal = takes_earlier ? earlier->proposal : *request.proposal;
  for (const uint16_t port : policy_.unprotected_ports)
    if (proposal.port_c == port || proposal.port_s == port) return {.action = Action::kReject};
  if (!is_tunnel && !proposal.offers_transport) return {.action = Action::kReject};
  if (is_tunnel && !(proposal.offers_tunnel && policy_.allows_nat_traversal))
    return {.action = policy_.answers_missing_nat_capability ? Action::kReject : Action::kDiscard};
  if (!choice(proposal, false)) return {.action = Action::kReject};
  if (!table_allows(proposal, request.arrival.source, is_tunnel, arrived_on, came.user))
    return {.action = Action::kReject};

  if (came.user == nullptr) {
    users_.push_back({next_user_++, request.impi, policy_.many_registrations ? request.key : "",
                      kClear, kClear, false, "", "", kClear});
  }
  const uint32_t context = came.user != nullptr ? came.user->id : users_.back().id;
  Procedure fresh{context,
                  request.transaction,
                  "",
                  Procedure::kWaits,
                  came.now_ms + policy_.temporary_lifetime_ms,
                  request.arrival,
                  arrived_on,
                  is_tunnel,
                  proposal,
                  takes_earlier ? earlier->client_text : request.client_text,
                  "",
                  kClear,
                  {},
                  came.set != nullptr && request.key.empty() ? came.user->key : request.key};
  const auto waits = [](const Procedure& other) { return other.state == Procedure::kWaits; };
  const auto is_own_waiting = [&](const Procedure& other) {
    return other.context == context && waits(other);
  };
  const auto is_own = [&](const Procedure& other) { return other.context == context; };
  if (std::count_if(procedures_.begin(), procedures_.end(), is_own) >=
      policy_.procedures_per_context_max)
    if (const auto at = std::find_if(procedures_.begin(), procedures_.end(), is_own_waiting);
        at != procedures_.end())
      procedures_.erase(at);
  if (std::count_if(procedures_.begin(), procedures_.end(), waits) >= policy_.procedures_max)
    procedures_.erase(std::find_if(procedures_.begin(), procedures_.end(), waits));
  procedures_.push_back(std::move(fresh));
  return expected;
}

Expected Model::on_sm7(const Came& came) {
  if (came.set == nullptr) return {.action = Action::kDiscard};
  Expected expected = forward(came);
  expected.is_integrity_protected = true;
  if (came.set->number == came.user->latest && came.request.transaction == came.user->last_sm7) {
    expected.is_repetition = true;
    return expected;
  }
  if (came.set->state != State::kRegistration || !came.is_sa_a) return {.action = Action::kDiscard};
  for (Procedure& procedure : procedures_) {
    if (procedure.set != came.set->number) continue;
    if (procedure.state == Procedure::kResponded && procedure.sm7 == came.request.transaction) {
      expected.is_repetition = true;
      return expected;
    }
    if (!procedure.server_text.empty() && came.request.verify_text == procedure.server_text &&
        came.request.client_text == procedure.client_text) {
      procedure.sm7 = came.request.transaction;
      procedure.state = Procedure::kResponded;
      return expected;
    }
    const bool has_way = find(procedure.arrived_on) != nullptr;
    expected = {.action = Action::kReject,
                .set = has_way ? procedure.arrived_on : came.set->number,
                .checks_way = true};
    came.user->last_answer = came.request.transaction;
    came.user->last_answer_set = expected.set;
    close(procedure, Action::kDiscard);
    linger(*came.set, came.now_ms);
    return expected;
  }
  throw Violation("a registration set without a procedure");
}

/// 7.3.1.2, 7.3.1.3: the set of the challenge goes, and the rest is as for SM1.
Expected Model::on_ue_failure(const Came& came) {
  const SetNumber arrived_on = came.set == nullptr ? kClear : came.set->number;
  const Procedure* failed = nullptr;
  for (const Procedure& procedure : procedures_)
    if (came.user != nullptr && procedure.context == came.user->id &&
        procedure.state == Procedure::kChallenged && procedure.arrived_on == arrived_on &&
        procedure.arrival.source == came.request.arrival.source &&
        procedure.sm1 != came.request.transaction)
      failed = &procedure;
  if (failed == nullptr) return on_sm1(came, nullptr);
  const Procedure earlier = *failed;
  close(*failed, Action::kDiscard);
  remove(earlier.set, came.now_ms);
  Came again = came;
  again.set = find_set(arrived_on);
  return on_sm1(again, &earlier);
}

// --- what comes back -------------------------------------------------------------------------

Expected Model::on_register_answer(const std::string& impi, const std::string& transaction,
                                   uint16_t status, bool deregisters, uint64_t expires_ms,
                                   uint64_t now_ms) {
  tick(now_ms);
  const Procedure* found = find_procedure(impi, transaction);
  if (found == nullptr) {
    for (const User& user : users_)
      if (user.impi == impi && user.last_answer == transaction &&
          find(user.last_answer_set) != nullptr)
        return {.action = Action::kForward,
                .set = user.last_answer_set,
                .is_repetition = true,
                .checks_way = true};
    return {.action = Action::kDiscard};
  }
  const Procedure procedure = *found;
  const bool answers_sm7 = procedure.state == Procedure::kResponded && procedure.sm7 == transaction;
  const bool answers_sm1 = procedure.state == Procedure::kWaits && procedure.sm1 == transaction;
  if (!answers_sm7 && !answers_sm1) return {.action = Action::kDiscard};
  if (status >= 300) return failed(procedure, transaction, now_ms);
  close(*found, Action::kDiscard);
  const Expected expected = answers_sm7 ? registered(procedure, deregisters, expires_ms, now_ms)
                                        : refreshed(procedure, deregisters, expires_ms, now_ms);
  sweep();
  return expected;
}

Expected Model::registered(const Procedure& procedure, bool deregisters, uint64_t expires_ms,
                           uint64_t now_ms) {
  uint64_t not_after_ms = now_ms + expires_ms + policy_.margin_ms;
  SetNumber old = kClear;
  std::vector<SetNumber> others;
  for (Set& set : sets_) {
    if (set.context != procedure.context || set.number == procedure.set) continue;
    if (set.state == State::kLive) not_after_ms = std::max(not_after_ms, set.not_after_ms);
    if (set.number == procedure.arrived_on && set.state == State::kLive) {
      old = set.number;
      set.drop_at_ms = UINT64_MAX;
    } else {
      others.push_back(set.number);
    }
  }
  for (const SetNumber number : others) remove(number, now_ms);
  Set& fresh = *find_set(procedure.set);
  fresh.state = State::kLive;
  fresh.not_after_ms = std::max(fresh.not_after_ms, not_after_ms);
  User& user = *find_user(procedure.context);
  user.latest = user.last_answer_set = fresh.number;
  user.old = old;
  user.has_switched = false;
  user.last_sm7 = user.last_answer = procedure.sm7;
  take_key(user, procedure.key, now_ms);
  if (deregisters) linger_live(procedure.context, now_ms);
  return {.action = Action::kForward, .set = procedure.set, .checks_way = true};
}

Expected Model::refreshed(const Procedure& procedure, bool deregisters, uint64_t expires_ms,
                          uint64_t now_ms) {
  const Expected expected = as_sm1_came(procedure);
  User& user = *find_user(procedure.context);
  const bool is_there = find(procedure.arrived_on) != nullptr;
  user.last_answer = procedure.sm1;
  user.last_answer_set = is_there ? procedure.arrived_on : kClear;
  if (!is_there) return expected;
  if (deregisters) {
    linger_live(user.id, now_ms);
  } else if (Set* latest = find_set(user.latest)) {
    latest->not_after_ms = std::max(latest->not_after_ms, now_ms + expires_ms + policy_.margin_ms);
  }
  return expected;
}

Expected Model::failed(Procedure procedure, const std::string& transaction, uint64_t now_ms) {
  Expected expected = as_sm1_came(procedure);
  close(*find_procedure(find_user(procedure.context)->impi, transaction), Action::kDiscard);
  if (procedure.state == Procedure::kResponded) {
    const bool has_way = find(procedure.arrived_on) != nullptr;
    expected = {.action = Action::kForward,
                .set = has_way ? procedure.arrived_on : procedure.set,
                .checks_way = true};
    User& user = *find_user(procedure.context);
    user.last_answer = transaction;
    user.last_answer_set = expected.set;
    linger(*find_set(procedure.set), now_ms);
  }
  sweep();
  return expected;
}

}  // namespace gmesp::sa::model
