// What comes back from the registrar: SM4, and the final answers that become SM12 or a failure
// (TS 33.203 7.2, 7.3.1, 7.4.2a).
#include <string.h>

#include <algorithm>
#include <utility>

#include "control/sa/algorithm_choice.h"
#include "control/sa/key_expansion.h"
#include "control/sa/sa_manager.h"

namespace gmesp::sa {
namespace {

/// Expands IK and CK (Annex I). The caller wipes `fresh`.
void expand_keys(const AlgorithmPair& pair, const Challenge& challenge, NewSet& fresh) {
  const AkaKey ik = challenge.ik.first<kAkaKeyBytes>();
  if (pair.integrity == Integrity::kHmacMd5_96) {
    fresh.integrity_key_bytes = kMd5KeyBytes;
    expand_md5_key(ik, std::span(fresh.integrity_key).first<kMd5KeyBytes>());
  } else {
    fresh.integrity_key_bytes = kSha1KeyBytes;
    expand_sha1_key(ik, fresh.integrity_key);
  }
  if (pair.cipher == Cipher::kNull) return;
  const AkaKey ck = challenge.ck.first<kAkaKeyBytes>();
  if (pair.cipher == Cipher::kAesCbc) {
    fresh.cipher_key_bytes = kAesKeyBytes;
    expand_aes_key(ck, std::span(fresh.cipher_key).first<kAesKeyBytes>());
  } else {
    // False for weak keys only, with which this pair is not chosen.
    fresh.cipher_key_bytes =
        expand_des_ede3_key(ck, fresh.cipher_key) ? uint8_t{kDesEde3KeyBytes} : uint8_t{0};
  }
}

bool makes_weak_des(std::span<const uint8_t> ck) {
  if (ck.size() != kAkaKeyBytes) return false;
  std::array<uint8_t, kDesEde3KeyBytes> key;
  const bool is_weak = !expand_des_ede3_key(ck.first<kAkaKeyBytes>(), key);
  explicit_bzero(key.data(), key.size());
  return is_weak;
}

/// SM6: everything that is supported here, in our order (R-7.2-05).
SecurityList make_security_server(const std::vector<AlgorithmPair>& pairs, const SaSet& set) {
  SecurityList list;
  for (const AlgorithmPair pair : pairs) {
    SecurityEntry entry;
    entry.algorithms = pair;
    entry.is_udp_encapsulated = set.is_tunnel();
    entry.spi_c = set.spi_pc;
    entry.spi_s = set.spi_ps;
    entry.port_c = set.port_pc;
    entry.port_s = set.port_ps;
    list.entries.push_back(std::move(entry));
  }
  rank_as_written(list.entries);
  return list;
}

}  // namespace

// --- SM4 ----------------------------------------------------------------------------------------

Verdict SaManager::on_challenge(const Challenge& challenge, uint64_t request, uint64_t now_ms) {
  tick(now_ms);
  const TransactionHash transaction = hash_of(challenge.transaction);
  Procedure* procedure = find_procedure(challenge.impi, transaction);
  if (procedure == nullptr)
    return refuse(Refusal::kSuperseded, {}, nullptr, challenge.impi, now_ms);
  const SaSet* protecting = find_set(procedure->arrived_on);
  constexpr size_t kRequestsMax = 8;
  switch (procedure->state) {
    case ProcedureState::kWaitsForChallenge:
      break;
    case ProcedureState::kInstalling:
      if (procedure->waiting.size() == kRequestsMax)
        return refuse(Refusal::kOverload, procedure->arrival, protecting, challenge.impi, now_ms);
      procedure->waiting.push_back(request);
      return {.action = Action::kWait};
    case ProcedureState::kResponded:
      // The response was wrong and the network would try again: with the UE's parameters in use by
      // the set of this attempt, it must begin anew (7.4: every attempt makes new SAs).
      if (procedure->sm7 == transaction) return failed(*procedure, transaction, now_ms);
      [[fallthrough]];
    case ProcedureState::kChallenged: {
      Verdict verdict = challenged(*procedure);
      verdict.is_repetition = true;
      return verdict;
    }
  }
  const bool has_lost_its_way = procedure->arrived_on != kClear &&
                                (protecting == nullptr || protecting->state != SetState::kLive);
  const Refusal refusal =
      has_lost_its_way ? Refusal::kSuperseded : make_set(*procedure, challenge, now_ms);
  if (refusal == Refusal::kNone) {
    procedure->waiting.push_back(request);
    return {.action = Action::kWait};
  }
  Verdict verdict = refuse(refusal, procedure->arrival, protecting, challenge.impi, now_ms);
  Context& context = *procedure->context;
  close_procedure(*procedure, refusal);
  drop_if_empty(context);
  return verdict;
}

/// All or nothing: on any refusal nothing stays allocated (R-D-P2, R-D-E2).
Refusal SaManager::make_set(Procedure& procedure, const Challenge& challenge, uint64_t now_ms) {
  Context& context = *procedure.context;
  if (challenged_.size() >= policy_.procedures_max) return Refusal::kOverload;
  auto set = std::make_unique<SaSet>();
  // Before an unfinished set goes: its keys are used ones too.
  const Refusal keys = check_keys(context, challenge, set->ik_fingerprint, set->ck_fingerprint);
  // 7.3.1.4, 7.4.2a: a new challenge ends what was not completed before.
  close_older_procedures(procedure);
  if (SaSet* unfinished = registration_set(context); unfinished != nullptr) {
    remove_set(*unfinished, GoneBecause::kFailed, now_ms);
    close_orphans(context);
  }
  if (keys != Refusal::kNone) return keys;
  if (const Refusal refusal = check_against_table(procedure, &context); refusal != Refusal::kNone)
    return refusal;
  const bool des_is_weak = makes_weak_des(challenge.ck);
  if (const Refusal refusal = choose(policy_, procedure.offer, des_is_weak, set->algorithms);
      refusal != Refusal::kNone)
    return refusal;
  if (set->algorithms.cipher != Cipher::kNull && challenge.ck.empty()) return Refusal::kKeyMissing;
  if (const Refusal refusal = allocate(procedure, *set, now_ms); refusal != Refusal::kNone)
    return refusal;

  procedure.security_server = make_security_server(own_pairs(policy_, des_is_weak), *set);
  procedure.security_server_text = write_security_list(procedure.security_server.entries);
  make_room(context, now_ms);
  adopt_set(procedure, std::move(set), now_ms);
  NewSet fresh{};
  fresh.set = procedure.set;
  expand_keys(procedure.set->algorithms, challenge, fresh);
  const bool is_sent = sink_.install(fresh);
  explicit_bzero(&fresh, sizeof fresh);
  if (is_sent) return Refusal::kNone;
  remove_set(*procedure.set, GoneBecause::kFailed, now_ms);
  return Refusal::kDataPlaneDown;
}

/// R-6.1.1-01: a key that a stored set of this user has would start its numbers again.
Refusal SaManager::check_keys(const Context& context, const Challenge& challenge,
                              KeyFingerprint& ik, KeyFingerprint& ck) {
  if (challenge.ik.size() != kAkaKeyBytes) return Refusal::kKeyMissing;
  if (!challenge.ck.empty() && challenge.ck.size() != kAkaKeyBytes) return Refusal::kKeyMissing;
  ik = sink_.fingerprint(challenge.ik);
  ck = challenge.ck.empty() ? KeyFingerprint{} : sink_.fingerprint(challenge.ck);
  const auto [begin, end] = contexts_.equal_range(context.impi);
  for (auto at = begin; at != end; ++at)
    for (const SaSet* set : at->second->sets) {
      if (set->ik_fingerprint == ik) return Refusal::kKeyReused;
      if (ck != KeyFingerprint{} && set->ck_fingerprint == ck) return Refusal::kKeyReused;
    }
  return Refusal::kNone;
}

Refusal SaManager::allocate(const Procedure& procedure, SaSet& set, uint64_t now_ms) {
  Context& context = *procedure.context;
  const Offer& offer = procedure.offer;
  set.context = &context;
  set.mode = procedure.mode;
  set.ue = procedure.arrival.source;
  set.local = procedure.arrival.local;
  set.spi_uc = offer.spi_c;
  set.spi_us = offer.spi_s;
  set.port_uc = offer.port_c;
  set.port_us = offer.port_s;
  // 7.4: port_ps stays while the UE is registered, whatever the configuration says by now.
  set.port_ps = context.sets.empty() ? policy_.port_ps : context.sets.front()->port_ps;
  set.port_pc = table_.free_port_pc(policy_.ports_pc, {set.ue, set.port_us}, context.sets, now_ms);
  if (set.port_pc == 0) return Refusal::kPortsExhausted;
  std::vector<uint32_t> spis_of_ue = {offer.spi_c, offer.spi_s};
  for (const SaSet* stored : context.sets)
    spis_of_ue.insert(spis_of_ue.end(), {stored->spi_uc, stored->spi_us});
  return spis_.allocate(spis_of_ue, now_ms, set.spi_pc, set.spi_ps) ? Refusal::kNone
                                                                    : Refusal::kSpisExhausted;
}

/// Six SAs per direction are stored at most (7.1 rule 3): what only lingers goes first.
void SaManager::make_room(Context& context, uint64_t now_ms) {
  while (context.sets.size() >= kSetsPerContextMax) {
    const auto lingering =
        std::find_if(context.sets.begin(), context.sets.end(),
                     [](const SaSet* set) { return set->state == SetState::kLingering; });
    remove_set(**lingering, GoneBecause::kReplaced, now_ms);
  }
}

void SaManager::adopt_set(Procedure& procedure, std::unique_ptr<SaSet> set, uint64_t now_ms) {
  SaSet& adopted = *set;
  adopted.number = next_number_++;
  adopted.not_after_ms = now_ms + policy_.temporary_lifetime_ms;
  sets_.emplace(adopted.number, std::move(set));
  table_.insert(adopted);
  adopted.context->sets.push_back(&adopted);
  watch(adopted);
  procedure.set = &adopted;
  procedure.deadline_ms = adopted.not_after_ms;
  procedure.state = ProcedureState::kInstalling;
  const std::vector<ProcedureAt>& of_user = adopted.context->procedures;
  const auto at = std::find_if(of_user.begin(), of_user.end(),
                               [&](ProcedureAt other) { return &*other == &procedure; });
  challenged_.splice(challenged_.end(), waiting_, *at);
}

Verdict SaManager::challenged(const Procedure& procedure) const {
  Verdict verdict = answer_as_arrived(procedure);
  verdict.security_server = procedure.security_server_text;
  return verdict;
}

// --- from gmespd --------------------------------------------------------------------------------

void SaManager::installed(SetNumber number, uint64_t data_plane_id) {
  SaSet* set = find_set(number);
  if (set == nullptr || set->state != SetState::kInstalling) return;
  set->data_plane_id = data_plane_id;
  set->state = SetState::kRegistration;
  ++totals_.sets_installed;
  for (const ProcedureAt procedure : set->context->procedures) {
    if (procedure->set != set) continue;
    procedure->state = ProcedureState::kChallenged;
    const Verdict verdict = challenged(*procedure);
    for (const uint64_t request : std::exchange(procedure->waiting, {}))
      sink_.answer(request, verdict);
  }
}

/// R-D-E2: SM6 is not sent, nothing stays.
void SaManager::install_failed(SetNumber number, Refusal refusal, uint64_t now_ms) {
  SaSet* set = find_set(number);
  if (set == nullptr || set->state != SetState::kInstalling) return;
  Context& context = *set->context;
  Procedure* procedure = nullptr;
  for (const ProcedureAt other : context.procedures)
    if (other->set == set) procedure = &*other;
  refuse(refusal, procedure->arrival, nullptr, context.impi, now_ms);
  remove_set(*set, GoneBecause::kFailed, now_ms);
  close_procedure(*procedure, refusal);
  drop_if_empty(context);
}

// --- final answers ------------------------------------------------------------------------------

Verdict SaManager::on_register_answer(const RegisterAnswer& answer, uint64_t now_ms) {
  tick(now_ms);
  const TransactionHash transaction = hash_of(answer.transaction);
  Procedure* procedure = find_procedure(answer.impi, transaction);
  if (procedure == nullptr) return repeated_answer(answer.impi, transaction);
  const bool answers_sm7 =
      procedure->state == ProcedureState::kResponded && procedure->sm7 == transaction;
  const bool answers_sm1 =
      procedure->state == ProcedureState::kWaitsForChallenge && procedure->sm1 == transaction;
  if (!answers_sm7 && !answers_sm1)  // late, about what is over
    return refuse(Refusal::kSuperseded, procedure->arrival, nullptr, answer.impi, now_ms);
  constexpr uint16_t kFirstFailure = 300;
  if (answer.status >= kFirstFailure) return failed(*procedure, transaction, now_ms);
  return answers_sm7 ? registered(*procedure, answer, now_ms)
                     : refreshed(*procedure, answer, now_ms);
}

void SaManager::remember_answer(Context& context, const TransactionHash& transaction,
                                const SaSet* set) {
  context.last_answer = transaction;
  context.last_answer_set = set == nullptr ? kClear : set->number;
}

Verdict SaManager::repeated_answer(std::string_view impi,
                                   const TransactionHash& transaction) const {
  const auto [begin, end] = contexts_.equal_range(impi);
  for (auto at = begin; at != end; ++at) {
    const Context& context = *at->second;
    const SaSet* set = find_set(context.last_answer_set);
    if (context.last_answer != transaction || set == nullptr) continue;
    Verdict verdict = forward_on(*set);
    verdict.is_repetition = true;
    return verdict;
  }
  return {.action = Action::kDiscard, .refusal = Refusal::kSuperseded};
}

void SaManager::raise_lifetime(SaSet& set, uint64_t not_after_ms) {
  if (not_after_ms <= set.not_after_ms) return;  // 7.4.1a note: never decreased
  set.not_after_ms = not_after_ms;
  sink_.set_not_after(set);
}

/// SM12: the new set becomes the latest. SM1 in clear: the UE has no older ones any more, they go.
/// SM1 on a set: that one stays until the new one is taken into use; all others go (7.4.2a).
Verdict SaManager::registered(Procedure& procedure, const RegisterAnswer& answer, uint64_t now_ms) {
  Context& context = *procedure.context;
  SaSet& fresh = *procedure.set;
  uint64_t not_after_ms = now_ms + answer.expires_ms + policy_.margin_ms;
  for (const SaSet* set : context.sets)
    if (set->state == SetState::kLive) not_after_ms = std::max(not_after_ms, set->not_after_ms);
  const std::vector<SaSet*> stored = context.sets;
  for (SaSet* set : stored)
    if (set != &fresh && !(set->number == procedure.arrived_on && set->state == SetState::kLive))
      remove_set(*set, GoneBecause::kReplaced, now_ms);
  SaSet* old = find_set(procedure.arrived_on);
  if (old != nullptr) old->drop_at_ms = UINT64_MAX;
  context.old = old != nullptr ? old->number : kClear;
  context.latest = fresh.number;
  context.has_switched = false;
  context.last_sm7 = procedure.sm7;
  context.impus.assign(answer.impus.begin(), answer.impus.end());
  take_key(context, procedure.registration_key, now_ms);
  fresh.state = SetState::kLive;
  raise_lifetime(fresh, not_after_ms);
  ++totals_.registrations;

  Verdict verdict = forward_on(fresh);
  verdict.send.on_same_connection = procedure.is_sm7_by_tcp;
  verdict.impus = context.impus;
  remember_answer(context, procedure.sm7, &fresh);
  close_procedure(procedure, Refusal::kNone);
  if (answer.impus.empty()) linger_all(context, now_ms);
  sink_.changed(context);
  return verdict;
}

/// 200 without a challenge: raises the lifetime of the set of the latest authentication, no other
/// (7.4.2a).
Verdict SaManager::refreshed(Procedure& procedure, const RegisterAnswer& answer, uint64_t now_ms) {
  Context& context = *procedure.context;
  const SaSet* protecting = find_set(procedure.arrived_on);
  Verdict verdict = answer_as_arrived(procedure);
  remember_answer(context, procedure.sm1, protecting);
  close_procedure(procedure, Refusal::kNone);
  if (protecting == nullptr) {
    drop_if_empty(context);
    return verdict;
  }
  context.impus.assign(answer.impus.begin(), answer.impus.end());
  verdict.impus = context.impus;
  SaSet* latest = find_set(context.latest);
  if (answer.impus.empty())
    linger_all(context, now_ms);
  else if (latest != nullptr)
    raise_lifetime(*latest, now_ms + answer.expires_ms + policy_.margin_ms);
  sink_.changed(context);
  return verdict;
}

/// 7.3.1.1, 7.4.2a: what is told to the UE goes on the old set if SM1 came on it; else in clear,
/// but for a wrong response on the new set. Then the new set goes, others are not touched.
Verdict SaManager::failed(Procedure& procedure, const TransactionHash& transaction,
                          uint64_t now_ms) {
  Context& context = *procedure.context;
  Verdict verdict = answer_as_arrived(procedure);
  if (procedure.state == ProcedureState::kResponded) {
    ++totals_.authentication_failures;
    SaSet& fresh = *procedure.set;
    const SaSet* protecting = find_set(procedure.arrived_on);
    if (protecting == nullptr) verdict = forward_on(fresh);
    verdict.send.on_same_connection = procedure.is_sm7_by_tcp && protecting == nullptr;
    verdict.send.same_connection_possible = procedure.is_sm7_by_tcp && protecting != nullptr;
    remember_answer(context, transaction, find_set(verdict.send.set));
    procedure.set = nullptr;
    linger(fresh, now_ms);
    sink_.changed(context);
  }
  close_procedure(procedure, Refusal::kNone);
  drop_if_empty(context);
  return verdict;
}

}  // namespace gmesp::sa
