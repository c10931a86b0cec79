// What must hold after every event.
#include <algorithm>
#include <cstdio>

#include "model_world.h"

namespace gmesp::sa::model {
namespace {

void require(bool holds, const char* what) {
  if (!holds) throw Violation(what);
}

SetState as_product(State state) {
  switch (state) {
    case State::kInstalling:
      return SetState::kInstalling;
    case State::kRegistration:
      return SetState::kRegistration;
    case State::kLive:
      return SetState::kLive;
    case State::kLingering:
      break;
  }
  return SetState::kLingering;
}

bool is_within(uint16_t port, const std::vector<PortRange>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PortRange& range) {
    return range.first <= port && port <= range.last;
  });
}

}  // namespace

void World::send(const Register& request) {
  const std::array<std::string_view, 1> client = {request.client_text};
  const std::array<std::string_view, 1> verify = {request.verify_text};
  RegisterRequest event;
  event.arrival = request.arrival;
  event.impi = request.impi;
  event.impu = "sip:user@home";
  event.registration_key = request.key;
  event.transaction = request.transaction;
  event.via = request.via;
  if (!request.client_text.empty()) event.security_client = client;
  if (!request.verify_text.empty()) event.security_verify = verify;
  event.answer = request.answer;
  const bool came_clear = set_of(request.arrival) == kClear;
  const Expected expected = model_.on_register(request, now_ms_);
  const Verdict verdict = manager_.on_register(event, now_ms_);
  if (came_clear) check_clear(verdict, true);
  check(verdict, expected);
}

void World::check(const Verdict& verdict, const Expected& expected) {
  const auto mix = [&](uint64_t value) { trace_ = (trace_ ^ value) * 0x100000001b3; };
  mix(static_cast<uint64_t>(verdict.action) << 8 | static_cast<uint64_t>(verdict.refusal));
  mix(verdict.send.set);
  mix(uint64_t{verdict.send.local_port} << 16 | verdict.send.remote_port);
  mix(verdict.is_integrity_protected);
  if (verdict.action != expected.action) {
    char text[160];
    std::snprintf(text, sizeof text, "verdict %d (%s), the model says %d",
                  static_cast<int>(verdict.action), info(verdict.refusal).name,
                  static_cast<int>(expected.action));
    throw Violation(text);
  }
  if (expected.checks_way && verdict.action != Action::kDiscard)
    require(verdict.send.set == expected.set, "the verdict names another way than the model");
  if (verdict.action == Action::kForward) {
    require(verdict.is_integrity_protected == expected.is_integrity_protected,
            "the integrity-protection indicator is wrong (6.1.5)");
    require(verdict.is_repetition == expected.is_repetition, "a repetition was not told from news");
  }
  require((verdict.action == Action::kReject) <= (verdict.status >= 400),
          "a rejection without a status");
  check_way(verdict);
}

/// 7.1 item 1, 7.4: nothing goes out on a set that is gone, nothing in clear from a protected port.
void World::check_way(const Verdict& verdict) const {
  if (verdict.action != Action::kForward && verdict.action != Action::kReject) return;
  const Send& send = verdict.send;
  if (send.set == kClear) {
    require(send.local_port != policy_.port_ps && !is_within(send.local_port, policy_.ports_pc),
            "a message would leave in clear from a protected port");
    return;
  }
  const auto promised = data_plane_.promised().find(send.set);
  require(promised != data_plane_.promised().end(), "a message would leave on a set that is gone");
  const SaSet& set = promised->second;
  require(send.local == set.local && send.remote == set.ue && send.mode == set.mode &&
              send.local_port == set.port_pc && send.remote_port == set.port_us,
          "the way is not that of the set");
}

/// Told by what gmespd was asked to hold: clear is what belongs to no set of it.
SetNumber World::set_of(const Arrival& arrival) const {
  for (const auto& [number, set] : data_plane_.promised())
    if (set.ue == arrival.source &&
        ((set.port_uc == arrival.source_port && set.port_ps == arrival.local_port) ||
         (set.port_us == arrival.source_port && set.port_pc == arrival.local_port)))
      return number;
  return kClear;
}

/// 7.1 item 3, 6.1.5.
void World::check_clear(const Verdict& verdict, bool may_be_clear) const {
  require(may_be_clear || verdict.action != Action::kForward, "a clear message was let in");
  require(verdict.arrived_on == kClear && !verdict.is_integrity_protected && verdict.impus.empty(),
          "a clear message counts as protected");
}

/// 7.2, Annex H: SM6 has the SPIs and ports of the set in every entry, and every supported pair.
void World::check_server_text(const Verdict& verdict, const SaSet& set) {
  char sas[128];
  std::snprintf(sas, sizeof sas, ";spi-c=%010u;spi-s=%010u;port-c=%u;port-s=%u", set.spi_pc,
                set.spi_ps, set.port_pc, set.port_ps);
  size_t entries = 0, right = 0;
  for (size_t at = 0; (at = verdict.security_server.find("ipsec-3gpp", at)) != std::string::npos;
       ++at)
    ++entries;
  for (size_t at = 0; (at = verdict.security_server.find(sas, at)) != std::string::npos; ++at)
    ++right;
  require(entries > 0 && entries == right, "SM6 does not name the SPIs and ports of the set");
}

/// 6.1.1: a failed authentication never harms another set.
void World::check_untouched(const std::vector<SaSet>& before, SetNumber but) const {
  for (const SaSet& set : before) {
    if (set.number == but) continue;
    const SaSet* now = manager_.find(set.number);
    require(now != nullptr && now->state == set.state && now->not_after_ms == set.not_after_ms &&
                now->drop_at_ms == set.drop_at_ms &&
                now->pending_transactions == set.pending_transactions,
            "a failed authentication touched another set");
  }
}

std::vector<SaSet> World::snapshot() const {
  std::vector<SaSet> sets;
  for (const auto& [number, promised] : data_plane_.promised())
    sets.push_back(*manager_.find(number));
  return sets;
}

// --- state -----------------------------------------------------------------------------------

void World::compare() {
  take_answers();
  compare_sets();
  compare_users();
  compare_data_plane();
  compare_saved();
}

void World::take_answers() {
  const std::map<uint64_t, Expected> due = model_.take_answers();
  const std::map<uint64_t, Verdict> given = data_plane_.take_answers();
  for (const auto& [request, verdict] : given) {
    require(waits_.erase(request) == 1, "an answer to nobody's question");
    const auto expected = due.find(request);
    require(expected != due.end(), "an answer came too early");
    check(verdict, expected->second);
  }
  require(due.size() == given.size(), "an answer did not come");
}

void World::compare_sets() const {
  require(manager_.sets() == model_.sets().size(), "another number of sets than in the model");
  require(manager_.procedures() == model_.procedures().size(),
          "another number of procedures than in the model");
  require(manager_.table().entries() - manager_.table().resting() == 2 * manager_.sets(),
          "the SA table has not two entries a set");
  require(manager_.spis().taken() - manager_.spis().resting() == 2 * manager_.sets(),
          "not two SPIs are in use for each set");
  for (const Set& expected : model_.sets()) {
    const SaSet* set = manager_.find(expected.number);
    require(set != nullptr, "a set is missing");
    require(set->state == as_product(expected.state), "a set is in another state");
    require(set->not_after_ms == expected.not_after_ms, "a set has another lifetime");
    require(set->drop_at_ms == expected.drop_at_ms, "a set has another drop deadline");
    require(set->pending_transactions == expected.pending, "pending transactions are miscounted");
    const auto promised = data_plane_.promised().find(expected.number);
    require(promised != data_plane_.promised().end() &&
                promised->second.not_after_ms == expected.not_after_ms,
            "gmespd was not told the lifetime");
    const uint64_t end_ms = std::min(expected.not_after_ms, expected.drop_at_ms);
    require(manager_.next_deadline_ms() <= end_ms, "no timer waits for the end of a set");
  }
}

void World::compare_users() const {
  require(manager_.contexts() == model_.users().size(),
          "another number of users than in the model");
  uint64_t cursor = 0;
  while (const Context* visited = manager_.next_context(cursor)) {
    const Context& context = *visited;
    const auto expected =
        std::find_if(model_.users().begin(), model_.users().end(), [&](const User& user) {
          return user.impi == context.impi && user.key == context.registration_key;
        });
    require(expected != model_.users().end(), "a user that the model does not know");
    require(context.latest == expected->latest, "another latest set");
    require(context.old == expected->old, "another old set");
    require(context.old == kClear || context.has_switched == expected->has_switched,
            "outbound traffic goes another way");
  }
}

/// What was saved last is what stands now; else a restart would bring back something else.
void World::compare_saved() const {
  size_t kept = 0, saved = 0;
  for (const Set& set : model_.sets())
    if (set.state == State::kLive || set.state == State::kLingering) ++kept;
  for (const auto& [record, user] : data_plane_.saved()) {
    saved += user.sets.size();
    for (const auto& [number, set] : user.sets) {
      const SaSet* now = manager_.find(number);
      require(now != nullptr, "a set that is gone stayed saved");
      const Context& context = *now->context;
      require(context.latest == user.context.latest && context.old == user.context.old &&
                  (context.old == kClear || context.has_switched == user.context.has_switched) &&
                  context.registration_key == user.context.registration_key,
              "a change of a user was not saved");
      require(now->state == set.state && now->not_after_ms == set.not_after_ms &&
                  now->drop_at_ms == set.drop_at_ms,
              "a change of a set was not saved");
    }
  }
  require(saved == kept, "a set that is kept was not saved");
}

/// When gmespd has done what it was told, it holds what the SA manager believes it to hold.
void World::compare_data_plane() const {
  require(data_plane_.promised().size() == manager_.sets(),
          "gmespd was not told of every set, or of one too many");
  if (data_plane_.has_commands()) return;
  for (const HeldSet& held : data_plane_.held())
    require(manager_.find(held.set.number) != nullptr, "gmespd holds a set that is over");
  for (const Set& set : model_.sets())
    require(set.state == State::kInstalling || set.number == lost_quietly_ ||
                data_plane_.holds(set.number),
            "gmespd does not hold a set that is in use");
}

}  // namespace gmesp::sa::model
