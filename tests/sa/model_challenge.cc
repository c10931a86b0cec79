// SM4 in the model: what must go, whether a set can be made, and whether the one made is right.
#include <algorithm>

#include "model.h"

namespace gmesp::sa::model {

/// 6.1.1: of all sets of the user, an unfinished one among them.
bool Model::are_keys_new(const std::string& impi, const Keys& keys) {
  return std::none_of(sets_.begin(), sets_.end(), [&](const Set& set) {
    return find_user(set.context)->impi == impi &&
           (set.keys.ik == keys.ik || (keys.ck != 0 && set.keys.ck == keys.ck));
  });
}

bool Model::can_make_set(const Procedure& procedure, const Keys& keys, uint64_t now_ms) const {
  const auto user = std::find_if(users_.begin(), users_.end(),
                                 [&](const User& other) { return other.id == procedure.context; });
  const Proposal& proposal = procedure.proposal;
  if (!table_allows(proposal, procedure.arrival.source, procedure.is_tunnel, procedure.arrived_on,
                    &*user))
    return false;
  std::vector<uint32_t> spis_used = {proposal.spi_c, proposal.spi_s};
  std::vector<uint16_t> ports_used;
  for (const Set& set : sets_) {
    spis_used.insert(spis_used.end(), {set.spi_pc, set.spi_ps});
    if (set.context == user->id) spis_used.insert(spis_used.end(), {set.spi_uc, set.spi_us});
    if (set.context == user->id ||
        (set.ue == procedure.arrival.source && set.port_us == proposal.port_s))
      ports_used.push_back(set.port_pc);
  }
  for (const Rest& rest : resting_) {
    if (rest.until_ms <= now_ms) continue;
    spis_used.insert(spis_used.end(), {rest.spi_pc, rest.spi_ps});
    if (rest.ue == procedure.arrival.source && rest.port_us == proposal.port_s)
      ports_used.push_back(rest.port_pc);
  }
  const std::optional<AlgorithmPair> pair = choice(proposal, keys.ck_is_weak_for_des);
  if (!pair || (pair->cipher != Cipher::kNull && keys.ck == 0)) return false;

  const auto count_free = [](const auto& used, uint64_t first, uint64_t last) {
    constexpr uint64_t kEnough = 64;  // a range that the sets of a test cannot use up
    uint64_t free = 0;
    for (uint64_t at = first; at <= last && free < kEnough; ++at)
      if (std::find(used.begin(), used.end(), at) == used.end()) ++free;
    return free;
  };
  uint64_t ports_free = 0;
  for (const PortRange& range : policy_.ports_pc)
    ports_free += count_free(ports_used, range.first, range.last);
  return ports_free >= 1 && count_free(spis_used, policy_.spi_min, policy_.spi_max) >= 2;
}

/// 7.1, 7.2, 7.4: what the P-CSCF chose, against everything that lives or rests.
void Model::check_made(const Procedure& procedure, const Keys& keys, const SaSet& made,
                       uint64_t now_ms) const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw Violation(std::string("a set was made with ") + what);
  };
  const Proposal& proposal = procedure.proposal;
  require(made.ue == procedure.arrival.source && made.local == procedure.arrival.local,
          "other addresses than those of SM1");
  require(made.port_uc == proposal.port_c && made.port_us == proposal.port_s &&
              made.spi_uc == proposal.spi_c && made.spi_us == proposal.spi_s,
          "other ports or SPIs than the UE's");
  require(made.algorithms == *choice(proposal, keys.ck_is_weak_for_des),
          "another pair of algorithms than the first common one");
  require(made.is_tunnel() == procedure.is_tunnel, "the wrong mode");
  require(made.port_ps == policy_.port_ps, "the wrong port_ps");
  require(made.port_pc != policy_.port_ps && is_protected_port(made.port_pc),
          "a port_pc out of its pool");
  require(made.not_after_ms == now_ms + policy_.temporary_lifetime_ms, "a wrong first lifetime");
  const auto is_own = [&](uint32_t spi) { return spi == made.spi_pc || spi == made.spi_ps; };
  require(made.spi_pc != made.spi_ps && !is_own(proposal.spi_c) && !is_own(proposal.spi_s),
          "SPIs that are not all different");
  for (const uint32_t spi : {made.spi_pc, made.spi_ps})
    require(policy_.spi_min <= spi && spi <= policy_.spi_max, "an SPI out of range");
  for (const Set& set : sets_) {
    require(set.number != made.number, "a number that lives");
    require(!is_own(set.spi_pc) && !is_own(set.spi_ps), "an SPI in use");
    if (set.context == procedure.context)
      require(!is_own(set.spi_uc) && !is_own(set.spi_us) && set.port_pc != made.port_pc,
              "an SPI or port_pc of a stored set of this UE");
    if (set.ue == made.ue && set.port_us == made.port_us)
      require(set.port_pc != made.port_pc, "a port_pc in use");
  }
  for (const Rest& rest : resting_) {
    require(!is_own(rest.spi_pc) && !is_own(rest.spi_ps), "an SPI that rests");
    if (rest.ue == made.ue && rest.port_us == made.port_us)
      require(rest.port_pc != made.port_pc, "a port_pc that rests");
  }
}

/// 7.3.1.4: what was begun before is over, and its set goes.
void Model::forget_earlier(const Procedure& procedure, uint64_t now_ms) {
  for (size_t i = 0;
       procedures_[i].sm1 != procedure.sm1 || procedures_[i].context != procedure.context;)
    if (procedures_[i].context == procedure.context)
      close(procedures_[i], Action::kDiscard);
    else
      ++i;
  for (const Set& set : std::vector<Set>(sets_))
    if (set.context == procedure.context &&
        (set.state == State::kInstalling || set.state == State::kRegistration))
      remove(set.number, now_ms);
  sweep();
}

/// 7.1 rule 3: three sets of a user at most; those that only linger make room.
void Model::store(const Procedure& procedure, const Keys& keys, const SaSet& made,
                  uint64_t now_ms) {
  const auto is_own = [&](const Set& set) { return set.context == procedure.context; };
  const auto lingers = [&](const Set& set) {
    return is_own(set) && set.state == State::kLingering;
  };
  while (std::count_if(sets_.begin(), sets_.end(), is_own) >= 3)
    remove(std::find_if(sets_.begin(), sets_.end(), lingers)->number, now_ms);
  sets_.push_back({made.number, procedure.context, made.ue, made.port_uc, made.port_us,
                   made.port_pc, made.port_ps, made.spi_uc, made.spi_us, made.spi_pc, made.spi_ps,
                   keys, made.algorithms, made.is_tunnel(), State::kInstalling, made.not_after_ms,
                   UINT64_MAX, false, 0});
}

Expected Model::on_challenge(const std::string& impi, const std::string& transaction,
                             const Keys& keys, uint64_t request, const SaSet* made, bool is_down,
                             uint64_t now_ms) {
  tick(now_ms);
  Procedure* found = find_procedure(impi, transaction);
  if (found == nullptr) return {.action = Action::kDiscard};
  if (found->state == Procedure::kInstalling) {
    constexpr size_t kRequestsMax = 8;
    if (found->waiting.size() == kRequestsMax) return {.action = Action::kReject};
    found->waiting.push_back(request);
    return {.action = Action::kWait};
  }
  if (found->state == Procedure::kResponded && found->sm7 == transaction)
    return failed(*found, transaction, now_ms);
  if (found->state != Procedure::kWaits) {
    Expected expected = as_sm1_came(*found);
    expected.is_repetition = true;
    return expected;
  }
  const Set* protecting = find(found->arrived_on);
  if (found->arrived_on != kClear && (protecting == nullptr || protecting->state != State::kLive)) {
    close(*found, Action::kDiscard);
    sweep();
    return {.action = Action::kDiscard};
  }
  const Procedure procedure = *found;
  const bool has_room =
      std::count_if(procedures_.begin(), procedures_.end(), [](const Procedure& other) {
        return other.state != Procedure::kWaits;
      }) < policy_.procedures_max;
  const bool has_new_keys = are_keys_new(impi, keys);
  if (has_room) forget_earlier(procedure, now_ms);
  const bool is_possible = has_room && has_new_keys && can_make_set(procedure, keys, now_ms);
  if (is_possible != (made != nullptr))
    throw Violation(is_possible ? "no set was made though one could be"
                                : "a set was made though none may be");
  if (is_possible) {
    check_made(procedure, keys, *made, now_ms);
    store(procedure, keys, *made, now_ms);
  }
  found = find_procedure(impi, transaction);
  if (is_possible && !is_down) {
    found->state = Procedure::kInstalling;
    found->set = made->number;
    found->deadline_ms = made->not_after_ms;
    found->waiting = {request};
    return {.action = Action::kWait};
  }
  close(*found, Action::kDiscard);
  if (is_possible) remove(made->number, now_ms);
  sweep();
  return {.action = Action::kReject, .set = procedure.arrived_on, .checks_way = true};
}

}  // namespace gmesp::sa::model
