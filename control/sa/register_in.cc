// REGISTER requests from UEs: SM1, SM7, and the failures that a UE reports (TS 33.203 7.2, 7.3,
// M.7).
#include <algorithm>

#include "control/sa/algorithm_choice.h"
#include "control/sa/sa_manager.h"

namespace gmesp::sa {
namespace {

std::string joined(std::span<const std::string_view> lines) {
  std::string text;
  for (const std::string_view line : lines) {
    if (!text.empty()) text += ", ";
    text += line;
  }
  return text;
}

bool contains(std::span<const uint16_t> ports, uint16_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

}  // namespace

/// A REGISTER with what was found out about it so far.
struct SaManager::Incoming {
  const RegisterRequest& request;
  const TransactionHash transaction;
  const uint64_t now_ms;
  SaSet* set = nullptr;  ///< it came on; null: in clear
  InboundSa sa = InboundSa::kUcToPs;
  Context* context = nullptr;  ///< null: user not known

  SetNumber arrived_on() const { return set == nullptr ? kClear : set->number; }
};

Verdict SaManager::on_register(const RegisterRequest& request, uint64_t now_ms) {
  tick(now_ms);
  Incoming incoming{request, hash_of(request.transaction), now_ms};
  const Arrival& arrival = request.arrival;
  const SaTable::Found found =
      table_.find({arrival.source, arrival.source_port}, arrival.local_port);
  incoming.set = found.set;
  incoming.sa = found.sa;
  if (found.set == nullptr) {
    if (is_protected_port(arrival.local_port)) return refuse(Refusal::kNoSa, incoming);
    if (request.impi.empty()) return refuse(Refusal::kBadRequest, incoming);
    const Procedure* known = find_procedure(request.impi, incoming.transaction);
    incoming.context = known != nullptr
                           ? known->context
                           : find_context(request.impi, request.registration_key, arrival.source);
  } else {
    incoming.context = found.set->context;
    if (!request.impi.empty() && request.impi != incoming.context->impi)
      return refuse(Refusal::kIdentityForeign, incoming);
    // 7.1 rule 2. Behind NAT both are the inner, that is the public address.
    if (!is_unspecified(request.via) && request.via != arrival.source)
      return refuse(Refusal::kViaMismatch, incoming);
    if (found.set->state == SetState::kLingering) return on_lingering(incoming);
  }
  switch (request.answer) {
    case AuthenticationAnswer::kResponse:
      return on_sm7(incoming);
    case AuthenticationAnswer::kSynchronisationFailure:
    case AuthenticationAnswer::kNetworkFailure:
      return on_ue_failure(incoming);
    case AuthenticationAnswer::kNone:
      break;
  }
  return on_sm1(incoming, nullptr);
}

bool SaManager::is_protected_port(uint16_t port) const {
  return port == policy_.port_ps || former_server_ports_.contains(port) ||
         std::any_of(policy_.ports_pc.begin(), policy_.ports_pc.end(), [&](const PortRange& range) {
           return range.first <= port && port <= range.last;
         });
}

Verdict SaManager::refuse(Refusal refusal, const Incoming& incoming) {
  return refuse(refusal, incoming.request.arrival, incoming.set, incoming.request.impi,
                incoming.now_ms);
}

/// 6.1.5: yes if it has no response and came on the set of the latest successful authentication;
/// on_sm7() adds the other case.
Verdict SaManager::forward_register(const Incoming& incoming) const {
  Verdict verdict;
  verdict.action = Action::kForward;
  verdict.arrived_on = incoming.arrived_on();
  verdict.send =
      incoming.set != nullptr ? send_on(*incoming.set) : send_clear(incoming.request.arrival);
  verdict.send.on_same_connection = incoming.request.arrival.is_tcp;
  verdict.is_integrity_protected =
      incoming.set != nullptr && incoming.set->number == incoming.context->latest;
  verdict.impi = incoming.context != nullptr ? incoming.context->impi : incoming.request.impi;
  if (incoming.set != nullptr) verdict.impus = incoming.context->impus;
  return verdict;
}

/// Nothing is accepted any more but what was answered already (R-D-E1).
Verdict SaManager::on_lingering(const Incoming& incoming) {
  if (incoming.transaction != incoming.context->last_answer)
    return refuse(Refusal::kWrongSet, incoming);
  Verdict verdict = forward_register(incoming);
  verdict.is_integrity_protected = incoming.request.answer == AuthenticationAnswer::kResponse;
  verdict.is_repetition = true;
  return verdict;
}

// --- SM1 ----------------------------------------------------------------------------------------

/// `earlier`: a procedure of the same UE whose offer holds if this request brings none.
Verdict SaManager::on_sm1(const Incoming& incoming, const Procedure* earlier) {
  if (incoming.set != nullptr && incoming.set->state != SetState::kLive)
    return refuse(Refusal::kWrongSet, incoming);
  if (incoming.context != nullptr) {
    const Procedure* known = find_procedure(*incoming.context, incoming.transaction);
    const bool is_known = known != nullptr && known->arrived_on == incoming.arrived_on();
    if (is_known || incoming.transaction == incoming.context->last_answer) {
      Verdict verdict = forward_register(incoming);
      verdict.is_repetition = true;
      return verdict;
    }
  }
  // Seed 002 case 4: a REGISTER on the new set is a further message like any other.
  if (incoming.set != nullptr)
    note_further_message(*incoming.context, *incoming.set, incoming.now_ms);

  Procedure fresh{};
  fresh.sm1 = incoming.transaction;
  fresh.deadline_ms = incoming.now_ms + policy_.temporary_lifetime_ms;
  fresh.arrival = incoming.request.arrival;
  fresh.arrived_on = incoming.arrived_on();
  // On a set the proxy need not say again which registration it is.
  fresh.registration_key = incoming.set != nullptr && incoming.request.registration_key.empty()
                               ? incoming.context->registration_key
                               : std::string(incoming.request.registration_key);
  Refusal refusal = Refusal::kNone;
  if (earlier != nullptr && incoming.request.security_client.empty()) {
    fresh.offer = earlier->offer;
    fresh.security_client = earlier->security_client;
    fresh.security_client_text = earlier->security_client_text;
  } else {
    refusal = read_offer_of(incoming, fresh);
  }
  if (refusal == Refusal::kNone) refusal = choose_mode(incoming, fresh);
  AlgorithmPair chosen;
  if (refusal == Refusal::kNone) refusal = choose(policy_, fresh.offer, false, chosen);
  if (refusal == Refusal::kNone) refusal = check_against_table(fresh, incoming.context);
  if (refusal != Refusal::kNone) {
    Verdict verdict = refuse(refusal, incoming);
    if (refusal == Refusal::kNatWithoutCapability && !policy_.answers_missing_nat_capability)
      verdict.action = Action::kDiscard;
    if (incoming.context != nullptr) drop_if_empty(*incoming.context);
    return verdict;
  }
  const Verdict verdict = forward_register(incoming);
  fresh.context = incoming.context != nullptr ? incoming.context : &make_context(incoming.request);
  open_procedure(std::move(fresh));
  return verdict;
}

Refusal SaManager::read_offer_of(const Incoming& incoming, Procedure& procedure) const {
  const std::span<const std::string_view> lines = incoming.request.security_client;
  if (lines.empty()) return Refusal::kNoAgreement;
  if (parse_security_list(lines, procedure.security_client) != HeaderError::kNone)
    return Refusal::kHeaderBad;
  procedure.security_client_text = joined(lines);
  switch (read_offer(procedure.security_client, procedure.offer)) {
    case HeaderError::kNone:
      break;
    case HeaderError::kNoUsableEntry:
      return Refusal::kNoAgreement;
    case HeaderError::kSpiReserved:
    case HeaderError::kSpisEqual:
      return Refusal::kUeSpiBad;
    case HeaderError::kPortBad:
    case HeaderError::kPortsEqual:
      return Refusal::kUePortBad;
    default:
      return Refusal::kHeaderBad;
  }
  if (contains(policy_.unprotected_ports, procedure.offer.port_c) ||
      contains(policy_.unprotected_ports, procedure.offer.port_s))
    return Refusal::kUePortBad;
  return Refusal::kNone;
}

/// M.7.2: a clear SM1 whose source is not what its Via says came through a NAT. A protected one is
/// of the kind of its set.
Refusal SaManager::choose_mode(const Incoming& incoming, Procedure& procedure) const {
  bool is_behind_nat;
  if (incoming.set != nullptr)
    is_behind_nat = incoming.set->is_tunnel();
  else
    is_behind_nat =
        !is_unspecified(incoming.request.via) && incoming.request.via != procedure.arrival.source;
  procedure.mode = is_behind_nat ? Mode::kUdpEncapsulatedTunnel : Mode::kTransport;
  if (!is_behind_nat)
    return procedure.offer.offers_transport ? Refusal::kNone : Refusal::kModeNotOffered;
  return procedure.offer.offers_udp_encapsulation && policy_.allows_nat_traversal
             ? Refusal::kNone
             : Refusal::kNatWithoutCapability;
}

/// 7.1 rules 3 and 4, 7.4, M.7.1: what the table says about the ports and SPIs that the UE chose.
/// Asked at SM1 and again at SM4, never at SM7 or for a repetition.
Refusal SaManager::check_against_table(const Procedure& procedure, const Context* context) const {
  const Offer& offer = procedure.offer;
  const Address& ue = procedure.arrival.source;
  if (const SaSet* protecting = find_set(procedure.arrived_on);
      protecting != nullptr && protecting->port_us != offer.port_s)
    return Refusal::kServerPortChanged;
  if (table_.has({ue, offer.port_c})) return Refusal::kUePortInUse;
  if (procedure.mode == Mode::kUdpEncapsulatedTunnel &&
      table_.has_other({ue, offer.port_s}, context))
    return Refusal::kServerPortTaken;
  if (context == nullptr) return Refusal::kNone;
  const SaSet* unfinished = registration_set(*context);
  size_t stored = 0;
  for (const SaSet* set : context->sets) {
    if (set == unfinished) continue;  // it goes when the new one comes
    if (set->state == SetState::kLive) ++stored;
    for (const uint32_t spi : {offer.spi_c, offer.spi_s})
      if (spi == set->spi_uc || spi == set->spi_us) return Refusal::kUeSpiBad;
  }
  return stored < kSetsPerContextMax ? Refusal::kNone : Refusal::kTooManySas;
}

// --- SM7 ----------------------------------------------------------------------------------------

/// 7.4.2a: counts only on the inbound SA from port_uc to port_ps of the registration set.
Verdict SaManager::on_sm7(const Incoming& incoming) {
  if (incoming.set == nullptr) return refuse(Refusal::kWrongSet, incoming);
  Context& context = *incoming.context;
  if (incoming.set->number == context.latest && incoming.transaction == context.last_sm7) {
    Verdict verdict = forward_register(incoming);  // R-D-R2: not a further message
    verdict.is_integrity_protected = true;
    verdict.is_repetition = true;
    return verdict;
  }
  if (incoming.set->state != SetState::kRegistration || incoming.sa != InboundSa::kUcToPs)
    return refuse(Refusal::kWrongSet, incoming);
  const auto at = std::find_if(context.procedures.begin(), context.procedures.end(),
                               [&](ProcedureAt other) { return other->set == incoming.set; });
  Procedure& procedure = **at;  // a registration set never outlives its procedure

  Verdict verdict = forward_register(incoming);
  verdict.is_integrity_protected = true;
  if (procedure.state == ProcedureState::kResponded && procedure.sm7 == incoming.transaction) {
    verdict.is_repetition = true;
    return verdict;
  }
  const std::span<const std::string_view> verify = incoming.request.security_verify;
  const std::span<const std::string_view> client = incoming.request.security_client;
  // A UE that gives back the same bytes, as most do, need not be understood.
  bool is_mirrored = mirrors_bytewise(procedure.security_server_text, verify) &&
                     mirrors_bytewise(procedure.security_client_text, client);
  if (!is_mirrored && !policy_.verifies_bytewise) {
    SecurityList returned, repeated;
    is_mirrored = parse_security_list(verify, returned) == HeaderError::kNone &&
                  parse_security_list(client, repeated) == HeaderError::kNone &&
                  mirrors(procedure.security_server, returned) &&
                  mirrors(procedure.security_client, repeated);
  }
  if (!is_mirrored) return abort_sm7(incoming, procedure);
  procedure.sm7 = incoming.transaction;
  procedure.is_sm7_by_tcp = incoming.request.arrival.is_tcp;
  procedure.state = ProcedureState::kResponded;
  return verdict;
}

/// 7.2: the registration is aborted; earlier sets are not touched.
Verdict SaManager::abort_sm7(const Incoming& incoming, Procedure& procedure) {
  Verdict verdict = refuse(Refusal::kVerifyMismatch, incoming);
  const SaSet* protecting = find_set(procedure.arrived_on);
  if (protecting != nullptr) {
    verdict.send = send_on(*protecting);
    verdict.send.same_connection_possible = incoming.request.arrival.is_tcp;
  }
  remember_answer(*incoming.context, incoming.transaction,
                  protecting != nullptr ? protecting : incoming.set);
  procedure.set = nullptr;
  close_procedure(procedure, Refusal::kVerifyMismatch);
  linger(*incoming.set, incoming.now_ms);
  sink_.changed(*incoming.context);
  return verdict;
}

// --- failures that the UE reports ---------------------------------------------------------------

/// 7.3.1.2, 7.3.1.3: comes as SM1 came. The registration set goes. It is a transaction like SM1:
/// the registrar answers it with a failure or with another challenge (6.1.2.2, 6.1.3).
Verdict SaManager::on_ue_failure(const Incoming& incoming) {
  if (incoming.set != nullptr && incoming.set->state != SetState::kLive)
    return refuse(Refusal::kWrongSet, incoming);
  Procedure* failed = nullptr;
  if (incoming.context != nullptr)
    for (const ProcedureAt procedure : incoming.context->procedures)
      if (procedure->state == ProcedureState::kChallenged &&
          procedure->arrived_on == incoming.arrived_on() &&
          procedure->arrival.source == incoming.request.arrival.source &&
          procedure->sm1 != incoming.transaction)
        failed = &*procedure;
  if (failed == nullptr) return on_sm1(incoming, nullptr);
  ++totals_.authentication_failures;
  remove_set(*failed->set, GoneBecause::kFailed, incoming.now_ms);
  const Procedure earlier = *failed;
  close_procedure(*failed, Refusal::kSuperseded);
  return on_sm1(incoming, &earlier);
}

}  // namespace gmesp::sa
