// Steps into events.
#include "model_world.h"

#include <algorithm>
#include <cstring>

namespace gmesp::sa::model {
namespace {

constexpr Address make_address(uint8_t last) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last};
}
constexpr std::array<Address, 3> kUeAddresses = {make_address(1), make_address(2), make_address(3)};
constexpr Address kPrivateAddress = make_address(99);
constexpr Address kOwnAddress = make_address(200);
constexpr uint16_t kClearPort = 5060;

Arrival clear_arrival(const Address& source, bool is_tcp) {
  return {source, kOwnAddress, kClearPort, kClearPort, is_tcp};
}

std::array<uint8_t, 16> key_bytes(uint64_t number, bool is_weak) {
  Dice dice(number);
  const uint64_t halves[2] = {dice.next(), dice.next()};
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &halves[0], 8);
  std::memcpy(bytes.data() + 8, &halves[is_weak ? 0 : 1], 8);
  return bytes;
}

}  // namespace

World::World(uint64_t seed)
    : policy_(make_policy(Dice(seed))), manager_(policy_, data_plane_, 1, seed), model_(policy_) {
  Dice dice(~seed);
  for (size_t i = 0; i < ues_.size(); ++i) {
    ues_[i].impi = "user" + std::to_string(policy_.many_registrations ? i / 2 : i) + "@home";
    ues_[i].key = "contact" + std::to_string(i % 2);
    ues_[i].is_behind_nat = dice.one_in(3);
  }
}

void World::apply(const Step& step) {
  Dice dice(uint64_t{step.choice} * kKinds + static_cast<uint64_t>(step.kind));
  if (step.kind == Kind::kTime)
    pass_time(dice);
  else if (dice.one_in(3))
    now_ms_ += dice.below(2'000);
  manager_.tick(now_ms_);
  model_.tick(now_ms_);
  compare();
  Ue& ue = ues_[dice.below(ues_.size())];
  if (ue.attempts.empty()) sm1(ue, dice, false);
  switch (step.kind) {
    case Kind::kProceed:
      proceed(ue, dice);
      break;
    case Kind::kSm1:
      sm1(ue, dice, dice.one_in(2));
      break;
    case Kind::kRepeatSm1:
      send(any_attempt(ue, dice).sm1);
      break;
    case Kind::kChallenge:
      challenge(any_attempt(ue, dice), dice.one_in(8), dice);
      break;
    case Kind::kSm7:
      sm7(any_attempt(ue, dice), dice, dice.one_in(2));
      break;
    case Kind::kRegisterAnswer: {
      const uint16_t status =
          dice.one_in(2) ? 200 : dice.one_of(std::array<uint16_t, 3>{403, 408, 500});
      register_answer(any_attempt(ue, dice), !dice.one_in(3), status, dice);
      break;
    }
    case Kind::kUeFailure:
      ue_failure(ue, dice);
      break;
    case Kind::kMessage:
      message(dice);
      break;
    case Kind::kClearMessage:
      clear_message(dice);
      break;
    case Kind::kRoute:
      route(ue, dice);
      break;
    case Kind::kTransaction:
      transaction(dice);
      break;
    case Kind::kIdentities:
      identities(ue, dice);
      break;
    case Kind::kDeregistered:
      deregistered(ue);
      break;
    case Kind::kDataPlane:
      data_plane(dice, dice.one_in(2));
      break;
    case Kind::kGone:
      gone(dice);
      break;
    case Kind::kTime:
      break;
    case Kind::kOperator:
      operate(ue, dice);
      break;
  }
  compare();
}

World::Attempt& World::any_attempt(Ue& ue, Dice& dice) {
  return dice.one_in(2) ? ue.attempts.back() : ue.attempts[dice.below(ue.attempts.size())];
}

const Procedure* World::procedure_of(const Attempt& attempt) const {
  for (const Procedure& procedure : model_.procedures())
    if (procedure.sm1 == attempt.sm1.transaction) return &procedure;
  return nullptr;
}

/// One that lives, one of the last that were made, or before the first one that never was.
SaSet World::any_set(Dice& dice) const {
  if (!model_.sets().empty() && dice.one_in(2))
    return *manager_.find(dice.one_of(model_.sets()).number);
  if (!made_.empty()) return made_[dice.below(made_.size())];
  SaSet none{};
  none.ue = kUeAddresses[0];
  none.port_uc = 4000;
  none.port_us = 4001;
  none.port_ps = policy_.port_ps;
  none.port_pc = policy_.ports_pc[0].first;
  return none;
}

Arrival World::arrival_on(const SaSet& set, bool is_sa_c, bool is_tcp) const {
  if (is_sa_c) return {set.ue, kOwnAddress, set.port_us, set.port_pc, is_tcp};
  return {set.ue, kOwnAddress, set.port_uc, set.port_ps, is_tcp};
}

void World::remember(Ue& ue, Register request) {
  constexpr size_t kAttemptsKept = 4;
  if (ue.attempts.size() == kAttemptsKept) ue.attempts.pop_front();
  ue.attempts.push_back({std::move(request), new_transaction(), {}, kClear, ""});
}

// --- registrations ---------------------------------------------------------------------------

void World::proceed(Ue& ue, Dice& dice) {
  Attempt& attempt = ue.attempts.back();
  const Procedure* procedure = procedure_of(attempt);
  if (procedure == nullptr) return sm1(ue, dice, !dice.one_in(4));
  switch (procedure->state) {
    case Procedure::kWaits:
      return challenge(attempt, false, dice);
    case Procedure::kInstalling:
      if (!late_.empty() || !data_plane_.has_commands()) data_plane(dice, true);
      while (data_plane_.has_commands()) data_plane(dice, true);
      return;
    case Procedure::kChallenged:
      return sm7(attempt, dice, true);
    case Procedure::kResponded:
      return register_answer(attempt, true, 200, dice);
  }
}

void World::sm1(Ue& ue, Dice& dice, bool is_protected) {
  const Set* protecting = nullptr;
  for (const Set& set : model_.sets())
    for (const User& user : model_.users())
      if (is_protected && user.id == set.context && user.impi == ue.impi &&
          (set.state == State::kLive || dice.one_in(8)) &&
          (protecting == nullptr || dice.one_in(2)))
        protecting = &set;
  Register request;
  request.impi = ue.impi;
  request.key = ue.key;
  request.transaction = new_transaction();
  const bool is_tcp = dice.one_in(3);
  if (protecting != nullptr) {
    const SaSet& set = *manager_.find(protecting->number);
    request.arrival = arrival_on(set, dice.one_in(6), is_tcp);
    if (!dice.one_in(3)) request.via = dice.one_in(16) ? kPrivateAddress : set.ue;
    if (dice.one_in(4)) request.impi = dice.one_in(4) ? "somebody@home" : "";
  } else {
    request.arrival = clear_arrival(dice.one_of(kUeAddresses), is_tcp);
    if (ue.is_behind_nat)
      request.via = kPrivateAddress;
    else if (dice.one_in(2))
      request.via = request.arrival.source;
    if (dice.one_in(40)) request.impi = "";
  }
  if (!dice.one_in(30)) {
    request.proposal = propose(request.arrival.source, protecting, dice);
    request.client_text = write_client(*request.proposal);
  }
  remember(ue, request);
  send(request);
}

/// Fresh ones, those of before, sometimes those of a set that lives, sometimes no CK.
Keys World::choose_keys(const Attempt& attempt, Dice& dice) {
  if (attempt.keys.ik != 0 && dice.one_in(2)) return attempt.keys;
  Keys keys{++keys_, ++keys_, dice.one_in(4)};
  const std::vector<Set>& sets = model_.sets();
  if (!sets.empty() && dice.one_in(10)) {
    const Keys& used = dice.one_of(sets).keys;
    return dice.one_in(2)   ? used
           : dice.one_in(2) ? Keys{used.ik, keys.ck, keys.ck_is_weak_for_des}
                            : Keys{keys.ik, used.ck, used.ck_is_weak_for_des};
  }
  if (dice.one_in(12)) return {keys.ik, 0, false};
  return keys;
}

void World::challenge(Attempt& attempt, bool is_for_sm7, Dice& dice) {
  const Keys keys = choose_keys(attempt, dice);
  attempt.keys = keys;
  const auto ik = key_bytes(keys.ik, false);
  const auto ck = key_bytes(keys.ck, keys.ck_is_weak_for_des);
  const std::string& transaction = is_for_sm7 ? attempt.sm7_transaction : attempt.sm1.transaction;
  Challenge event{attempt.sm1.impi, attempt.sm1.key, transaction, ik, {}};
  if (keys.ck != 0) event.ck = ck;
  const uint64_t request = ++requests_;
  data_plane_.forget_last_made();
  const Verdict verdict = manager_.on_challenge(event, request, now_ms_);
  const SaSet* made = data_plane_.last_made();
  const Expected expected = model_.on_challenge(attempt.sm1.impi, transaction, keys, request, made,
                                                data_plane_.is_down, now_ms_);
  if (verdict.action == Action::kWait) waits_.insert(request);
  if (made != nullptr) {
    constexpr size_t kSetsKept = 12;
    if (made_.size() == kSetsKept) made_.pop_front();
    made_.push_back(*made);
    attempt.set = made->number;
  }
  check(verdict, expected);
}

void World::sm7(const Attempt& attempt, Dice& dice, bool is_right) {
  const auto set = std::find_if(made_.begin(), made_.end(),
                                [&](const SaSet& other) { return other.number == attempt.set; });
  if (set == made_.end()) return;
  Register request;
  request.arrival = arrival_on(*set, false, dice.one_in(3));
  request.impi = attempt.sm1.impi;
  request.key = attempt.sm1.key;
  request.transaction = attempt.sm7_transaction;
  request.via = set->ue;
  request.client_text = attempt.sm1.client_text;
  request.verify_text = attempt.server_text;
  request.answer = AuthenticationAnswer::kResponse;
  const std::vector<SaSet> before = snapshot();
  const auto alter = [](std::string& text) {
    if (!text.empty()) text.back() = text.back() == '9' ? '8' : '9';
  };
  switch (is_right ? 7 : dice.below(8)) {
    case 0:
      alter(request.verify_text);
      break;
    case 1:
      alter(request.client_text);
      break;
    case 2:
      request.arrival = arrival_on(*set, true, false);
      break;
    case 3:
      request.arrival = arrival_on(any_set(dice), false, false);
      break;
    case 4:
      request.arrival = clear_arrival(set->ue, false);
      break;
    case 5:
      request.impi = dice.one_in(2) ? "somebody@home" : "";
      break;
    case 6:
      request.transaction = new_transaction();
      break;
    default:
      break;
  }
  const SetNumber came_on = set_of(request.arrival);
  send(request);
  check_untouched(before, came_on);
}

void World::register_answer(const Attempt& attempt, bool is_for_sm7, uint16_t status, Dice& dice) {
  const std::array<std::string_view, 2> impus = {"sip:user@home", "tel:+1"};
  const bool deregisters = dice.one_in(16);
  RegisterAnswer event;
  event.impi = attempt.sm1.impi;
  event.registration_key = attempt.sm1.key;
  event.transaction = is_for_sm7 ? attempt.sm7_transaction : attempt.sm1.transaction;
  event.status = status;
  if (!deregisters) event.impus = impus;
  event.expires_ms = dice.one_of(std::array<uint64_t, 4>{0, 60'000, 600'000, 3'600'000});
  const std::vector<SaSet> before = snapshot();
  const Expected expected =
      model_.on_register_answer(attempt.sm1.impi, std::string(event.transaction), status,
                                deregisters, event.expires_ms, now_ms_);
  const Verdict verdict = manager_.on_register_answer(event, now_ms_);
  check(verdict, expected);
  if (status >= 300) check_untouched(before, attempt.set);
}

/// As SM1 came; sometimes from elsewhere, sometimes with a new proposal.
void World::ue_failure(Ue& ue, Dice& dice) {
  const Attempt& attempt = any_attempt(ue, dice);
  Register request = attempt.sm1;
  if (!dice.one_in(4)) request.transaction = new_transaction();
  request.answer = dice.one_in(2) ? AuthenticationAnswer::kSynchronisationFailure
                                  : AuthenticationAnswer::kNetworkFailure;
  if (dice.one_in(10)) request.arrival = clear_arrival(dice.one_of(kUeAddresses), false);
  if (dice.one_in(4)) {
    request.proposal = propose(request.arrival.source, nullptr, dice);
    request.client_text = write_client(*request.proposal);
  }
  Register kept = request;
  kept.answer = AuthenticationAnswer::kNone;
  if (dice.one_in(3)) {
    request.proposal.reset();
    request.client_text.clear();
  }
  if (request.transaction != attempt.sm1.transaction) remember(ue, std::move(kept));
  send(request);
}

}  // namespace gmesp::sa::model
