// Steps into events: everything but registrations.
#include <algorithm>

#include "model_world.h"

namespace gmesp::sa::model {
namespace {

void require(bool holds, const char* what) {
  if (!holds) throw Violation(what);
}

}  // namespace

void World::message(Dice& dice) {
  const SaSet set = any_set(dice);
  Message event;
  event.arrival = arrival_on(set, dice.one_in(3), dice.one_in(2));
  if (dice.one_in(20)) ++event.arrival.source_port;
  event.is_request = dice.one_in(2);
  event.method = event.is_request ? "INVITE" : "";
  event.status = event.is_request ? 0 : 200;
  const bool came_clear = set_of(event.arrival) == kClear;
  const Expected expected = model_.on_message(event, now_ms_);
  const Verdict verdict = manager_.on_message(event, now_ms_);
  if (came_clear) check_clear(verdict, false);
  check(verdict, expected);
}

void World::clear_message(Dice& dice) {
  const SaSet set = any_set(dice);
  Message event;
  const uint16_t local_port =
      dice.one_of(std::array<uint16_t, 4>{5060, 5061, set.port_ps, set.port_pc});
  event.arrival = {set.ue, set.local, static_cast<uint16_t>(5060 + dice.below(3)), local_port,
                   dice.one_in(2)};
  event.is_request = dice.one_in(2);
  event.method = event.is_request ? dice.one_of(std::array{"INVITE", "ACK", "MESSAGE"}) : "";
  event.status = event.is_request ? 0 : dice.one_of(std::array<uint16_t, 4>{180, 200, 302, 486});
  event.is_emergency = dice.one_in(4);
  const bool came_clear = set_of(event.arrival) == kClear;
  const bool is_protected_port = local_port == set.port_ps || local_port == set.port_pc;
  const bool is_error = !event.is_request && event.status >= 400;
  const Expected expected = model_.on_message(event, now_ms_);
  const Verdict verdict = manager_.on_message(event, now_ms_);
  if (came_clear) check_clear(verdict, !is_protected_port && (event.is_emergency || is_error));
  check(verdict, expected);
}

void World::route(Ue& ue, Dice& dice) {
  const SetNumber began_on = dice.one_in(2) ? kClear : any_set(dice).number;
  if (dice.one_in(2)) {
    check(manager_.route(ue.impi, ue.key, began_on, now_ms_),
          model_.route(ue.impi, ue.key, began_on, now_ms_));
    return;
  }
  const SaSet set = any_set(dice);
  const UePort ue_server = {set.ue, set.port_us};
  check(manager_.route(ue_server, began_on, now_ms_), model_.route(ue_server, began_on, now_ms_));
}

void World::transaction(Dice& dice) {
  if (begun_.empty() || dice.one_in(2)) {
    const SetNumber set = any_set(dice).number;
    const bool is_known = manager_.on_transaction_begin(set).action == Action::kForward;
    require(is_known == model_.on_transaction_begin(set), "a transaction began on no set");
    if (is_known) begun_.push_back(set);
    constexpr size_t kTransactionsKept = 10;
    if (begun_.size() > kTransactionsKept) begun_.pop_front();
    return;
  }
  const size_t at = dice.below(begun_.size());
  const SetNumber set = begun_[at];
  begun_.erase(begun_.begin() + static_cast<ptrdiff_t>(at));
  const bool is_known = manager_.on_transaction_end(set, now_ms_).action == Action::kForward;
  require(is_known == model_.on_transaction_end(set, now_ms_), "a transaction ended on no set");
}

void World::identities(const Ue& ue, Dice& dice) {
  const std::array<std::string_view, 2> impus = {"sip:user@home", "sip:other@home"};
  const Verdict verdict =
      manager_.on_identities(ue.impi, ue.key, std::span(impus).first(1 + dice.below(impus.size())));
  const bool is_known =
      std::any_of(model_.users().begin(), model_.users().end(), [&](const User& user) {
        return user.impi == ue.impi && (!policy_.many_registrations || user.key == ue.key);
      });
  require(is_known == (verdict.action == Action::kForward), "identities of nobody were taken");
}

void World::deregistered(const Ue& ue) {
  const Expected expected = model_.on_deregistered(ue.impi, ue.key, now_ms_);
  check(manager_.on_deregistered(ue.impi, ue.key, now_ms_), expected);
}

// --- gmespd ----------------------------------------------------------------------------------

/// A command done, refused, done without an answer, or done with a late answer.
void World::data_plane(Dice& dice, bool is_well) {
  if (!late_.empty() && (is_well || dice.one_in(2))) {
    const SetNumber number = late_.front();
    late_.pop_front();
    answer_from_gmespd(number, false);
  }
  if (!data_plane_.has_commands()) return;
  const uint32_t fate = is_well ? 0 : dice.below(4);
  const SetNumber number = data_plane_.carry_out(fate == 1);
  if (number == kClear) return;
  if (fate <= 1) answer_from_gmespd(number, fate == 1);
  if (fate == 2) late_.push_back(number);
}

void World::answer_from_gmespd(SetNumber number, bool refuses) {
  if (refuses) {
    const std::vector<SaSet> before = snapshot();
    model_.install_failed(number, now_ms_);
    manager_.install_failed(number, Refusal::kDataPlaneRefused, now_ms_);
    check_untouched(before, number);
    take_answers();
    return;
  }
  const SaSet* set = manager_.find(number);
  const bool is_new = set != nullptr && set->state == SetState::kInstalling;
  manager_.installed(number, number + 1'000'000);
  std::string security_server;
  for (const auto& [request, verdict] : data_plane_.answers()) {
    if (verdict.action != Action::kForward || !is_new) continue;
    check_server_text(verdict, *set);
    security_server = verdict.security_server;
  }
  if (is_new)
    for (Ue& ue : ues_)
      for (Attempt& attempt : ue.attempts)
        if (attempt.set == number) attempt.server_text = security_server;
  model_.installed(number, security_server);
  take_answers();
}

/// Lost in gmespd, at once or some time before it says so.
void World::gone(Dice& dice) {
  if (lost_quietly_ != kClear) {
    const SetNumber number = std::exchange(lost_quietly_, kClear);
    model_.gone(number, now_ms_);
    manager_.gone(number, GoneBecause::kLost, now_ms_);
    return;
  }
  const SetNumber number = any_set(dice).number;
  if (dice.one_in(2)) {
    manager_.peer_port(number, 4500);
    return;
  }
  data_plane_.lose(number);
  lost_quietly_ = number;
  if (dice.one_in(2)) gone(dice);
}

// --- clock and operator ----------------------------------------------------------------------

/// A little, much, or to just before, at or after the end of something.
void World::pass_time(Dice& dice) {
  switch (dice.below(8)) {
    case 0:
      now_ms_ += dice.below(600'000);
      return;
    case 1:
      if (dice.one_in(4)) now_ms_ += dice.below(7'200'000);
      return;
    case 2:
    case 3:
      now_ms_ += dice.below(20'000);
      return;
    default:
      break;
  }
  std::vector<uint64_t> ends_ms;
  for (const Set& set : model_.sets())
    ends_ms.push_back(std::min(set.not_after_ms, set.drop_at_ms));
  for (const Procedure& procedure : model_.procedures()) ends_ms.push_back(procedure.deadline_ms);
  if (ends_ms.empty()) return;
  const uint64_t end_ms = dice.one_of(ends_ms) + dice.below(3) - 1;
  now_ms_ = std::max(now_ms_, end_ms);
}

void World::operate(const Ue& ue, Dice& dice) {
  switch (dice.below(6)) {
    case 0: {
      const Integrity integrity = dice.one_in(2) ? Integrity::kHmacMd5_96 : Integrity::kHmacSha1_96;
      const bool removes_live = dice.one_in(2);
      model_.withdraw(integrity, {}, removes_live, now_ms_);
      manager_.withdraw(integrity, removes_live, now_ms_);
      return;
    }
    case 1: {
      const Cipher cipher = dice.one_in(2) ? Cipher::kAesCbc : Cipher::kDesEde3Cbc;
      const bool removes_live = dice.one_in(2);
      model_.withdraw({}, cipher, removes_live, now_ms_);
      manager_.withdraw(cipher, removes_live, now_ms_);
      return;
    }
    case 2: {
      const bool is_known = model_.evict(ue.impi, now_ms_);
      require(manager_.evict(ue.impi, now_ms_) == is_known, "eviction of nobody");
      return;
    }
    case 3:
      data_plane_.is_down = dice.one_in(2);
      return;
    default:
      data_plane_.is_down = false;
      model_.set_policy(policy_);
      manager_.set_policy(policy_);
  }
}

void World::drain() {
  constexpr uint64_t kLongerThanAnything_ms = 1'000'000'000;
  now_ms_ += kLongerThanAnything_ms;
  manager_.tick(now_ms_);
  model_.tick(now_ms_);
  compare();
  while (data_plane_.has_commands()) data_plane_.carry_out(false);
  compare();
  require(data_plane_.held().empty(), "gmespd holds a set when all are over");
  require(waits_.empty(), "a request never got its answer");
  require(manager_.contexts() == 0 && manager_.sets() == 0 && manager_.procedures() == 0,
          "a user, set or procedure leaked");
  now_ms_ += policy_.rest_ms;
  manager_.tick(now_ms_);
  require(manager_.spis().taken() == 0 && manager_.spis().resting() == 0, "an SPI leaked");
  require(manager_.table().entries() == 0 && manager_.table().resting() == 0,
          "an entry of the SA table leaked");
  require(manager_.next_deadline_ms() == UINT64_MAX, "a timer waits for nothing");
}

}  // namespace gmesp::sa::model
