// The bookkeeping of the model, the clock, and everything but REGISTER.
#include "model.h"

#include <algorithm>

namespace gmesp::sa::model {

const Set* Model::find(SetNumber number) const {
  for (const Set& set : sets_)
    if (set.number == number) return &set;
  return nullptr;
}

Set* Model::find_set(SetNumber number) {
  return const_cast<Set*>(find(number));
}

/// 7.1 rule 4: by address and ports alone.
Set* Model::find_by_ports(const Arrival& arrival, bool& is_sa_a) {
  Set* found = nullptr;
  for (Set& set : sets_) {
    if (set.ue != arrival.source) continue;
    const bool is_a = set.port_uc == arrival.source_port && set.port_ps == arrival.local_port;
    const bool is_c = set.port_us == arrival.source_port && set.port_pc == arrival.local_port;
    if (!is_a && !is_c) continue;
    if (found != nullptr) throw Violation("two SAs have one triple of address and ports");
    found = &set;
    is_sa_a = is_a;
  }
  return found;
}

User* Model::find_user(uint32_t id) {
  for (User& user : users_)
    if (user.id == id) return &user;
  return nullptr;
}

/// Seed 000: the registration of the same address first, then that of the key.
User* Model::find_user(const std::string& impi, const std::string& key, const Address* ue) {
  for (User& user : users_) {
    if (ue == nullptr || user.impi != impi) continue;
    for (const Set& set : sets_)
      if (set.context == user.id && set.ue == *ue && set.state != State::kLingering) return &user;
    for (const Procedure& procedure : procedures_)
      if (procedure.context == user.id && procedure.arrival.source == *ue) return &user;
  }
  for (User& user : users_)
    if (user.impi == impi && (!policy_.many_registrations || user.key == key)) return &user;
  return nullptr;
}

Procedure* Model::find_procedure(const std::string& impi, const std::string& transaction) {
  for (Procedure& procedure : procedures_)
    if (find_user(procedure.context)->impi == impi &&
        (procedure.sm1 == transaction || procedure.sm7 == transaction))
      return &procedure;
  return nullptr;
}

bool Model::is_protected_port(uint16_t port) const {
  if (port == policy_.port_ps) return true;
  for (const PortRange& range : policy_.ports_pc)
    if (range.first <= port && port <= range.last) return true;
  return false;
}

void Model::remove(SetNumber number, uint64_t now_ms) {
  const Set set = *find(number);
  resting_.push_back(
      {now_ms + policy_.rest_ms, set.ue, set.port_us, set.port_pc, set.spi_pc, set.spi_ps});
  for (Procedure& procedure : procedures_)
    if (procedure.set == number) procedure.set = kClear;
  for (User& user : users_) {
    if (user.latest == number) user.latest = kClear;
    if (user.old == number) user.old = kClear;
  }
  std::erase_if(sets_, [&](const Set& other) { return other.number == number; });
}

void Model::close(const Procedure& doomed, Action answer) {
  for (const uint64_t request : doomed.waiting) answers_[request] = {.action = answer};
  procedures_.erase(procedures_.begin() + (&doomed - procedures_.data()));
}

/// Seed 000: who had this key elsewhere is here now.
void Model::take_key(User& user, const std::string& key, uint64_t now_ms) {
  if (!policy_.many_registrations || user.key == key) return;
  if (const User* former = find_user(user.impi, key, nullptr); former != nullptr) {
    for (const Set& set : std::vector<Set>(sets_))
      if (set.context == former->id) remove(set.number, now_ms);
    for (size_t i = procedures_.size(); i-- > 0;)
      if (procedures_[i].context == former->id) close(procedures_[i], Action::kDiscard);
  }
  user.key = key;
}

/// 7.3.1.4: no procedure is without the set it made, and nobody is remembered for nothing.
void Model::sweep() {
  for (size_t i = 0; i < procedures_.size();)
    if (procedures_[i].state != Procedure::kWaits && procedures_[i].set == kClear)
      close(procedures_[i], Action::kDiscard);
    else
      ++i;
  std::erase_if(users_, [&](const User& user) {
    const auto is_of_user = [&](const auto& thing) { return thing.context == user.id; };
    return std::none_of(sets_.begin(), sets_.end(), is_of_user) &&
           std::none_of(procedures_.begin(), procedures_.end(), is_of_user);
  });
}

void Model::tick(uint64_t now_ms) {
  std::erase_if(resting_, [&](const Rest& rest) { return rest.until_ms <= now_ms; });
  for (size_t i = 0; i < procedures_.size();) {
    if (procedures_[i].deadline_ms > now_ms) {
      ++i;
      continue;
    }
    if (const SetNumber set = procedures_[i].set; set != kClear) remove(set, now_ms);
    close(procedures_[i], Action::kDiscard);
  }
  std::vector<SetNumber> over;
  for (const Set& set : sets_)
    if (set.not_after_ms <= now_ms || set.drop_at_ms <= now_ms) over.push_back(set.number);
  for (const SetNumber number : over) remove(number, now_ms);
  sweep();
}

void Model::linger(Set& set, uint64_t now_ms) {
  set.state = State::kLingering;
  set.drop_at_ms = std::min(set.drop_at_ms, now_ms + policy_.linger_ms);
}

/// A registration that is under way has its own end.
void Model::linger_live(uint32_t context, uint64_t now_ms) {
  for (Set& set : sets_)
    if (set.context == context && set.state == State::kLive) linger(set, now_ms);
}

void Model::further_message(User& user, SetNumber arrived_on, uint64_t now_ms) {
  if (arrived_on != user.latest || user.old == kClear || user.has_switched) return;
  user.has_switched = true;
  Set& old = *find_set(user.old);
  old.drop_at_ms = std::min(old.drop_at_ms, now_ms + policy_.drop_ms);
  settle(user, now_ms);
}

void Model::settle(const User& user, uint64_t now_ms) {
  if (user.old == kClear || !user.has_switched) return;
  const Set& old = *find(user.old);
  if (old.state == State::kLive && old.has_hints && old.pending == 0) remove(old.number, now_ms);
}

const Set* Model::outbound(const User& user, uint64_t now_ms) const {
  const Set* old = find(user.old);
  const Set* latest = find(user.latest);
  if (old == nullptr || latest == nullptr) return latest != nullptr ? latest : old;
  const bool is_old_near_its_end = old->not_after_ms <= now_ms + policy_.near_expiry_ms;
  return user.has_switched || is_old_near_its_end ? latest : old;
}

// --- messages --------------------------------------------------------------------------------

Expected Model::on_message(const Message& message, uint64_t now_ms) {
  tick(now_ms);
  bool is_sa_a = false;
  const Set* set = find_by_ports(message.arrival, is_sa_a);
  if (set == nullptr) {
    if (is_protected_port(message.arrival.local_port)) return {.action = Action::kDiscard};
    if (message.is_emergency || (!message.is_request && message.status >= 400))
      return {.action = Action::kForward};
    const bool is_answered = policy_.rejects_clear && message.is_request && message.method != "ACK";
    return {.action = is_answered ? Action::kReject : Action::kDiscard};
  }
  User& user = *find_user(set->context);
  const bool was_good = set->number == user.latest || set->number == user.old;
  const bool is_late_response = set->state == State::kLingering && was_good && !message.is_request;
  if (set->state != State::kLive && !is_late_response) return {.action = Action::kDiscard};
  const SetNumber number = set->number;
  further_message(user, number, now_ms);
  sweep();
  return {.action = Action::kForward, .set = number};
}

Expected Model::route(const std::string& impi, const std::string& key, SetNumber began_on,
                      uint64_t now_ms) const {
  for (const User& user : users_) {
    if (user.impi != impi || (policy_.many_registrations && user.key != key)) continue;
    const Set* began = find(began_on);
    const bool may_end_there = began != nullptr && began->context == user.id &&
                               (began->state == State::kLive || began->state == State::kLingering);
    const Set* set = may_end_there ? began : outbound(user, now_ms);
    if (set == nullptr) break;
    return {.action = Action::kForward, .set = set->number, .checks_way = true};
  }
  return {.action = Action::kReject};
}

Expected Model::route(const UePort& ue_server, SetNumber began_on, uint64_t now_ms) const {
  uint32_t owner = 0;
  for (const Set& set : sets_) {
    if (set.ue != ue_server.address || set.port_us != ue_server.port) continue;
    if (owner != 0 && owner != set.context) return {.action = Action::kReject};
    owner = set.context;
  }
  for (const User& user : users_)
    if (user.id == owner) return route(user.impi, user.key, began_on, now_ms);
  return {.action = Action::kReject};
}

bool Model::on_transaction_begin(SetNumber number) {
  Set* set = find_set(number);
  if (set == nullptr) return false;
  set->has_hints = true;
  ++set->pending;
  return true;
}

bool Model::on_transaction_end(SetNumber number, uint64_t now_ms) {
  tick(now_ms);
  Set* set = find_set(number);
  if (set == nullptr || set->pending == 0) return false;
  --set->pending;
  settle(*find_user(set->context), now_ms);
  sweep();
  return true;
}

Expected Model::on_deregistered(const std::string& impi, const std::string& key, uint64_t now_ms) {
  tick(now_ms);
  const Expected way = route(impi, key, kClear, now_ms);
  if (const User* user = find_user(impi, key, nullptr)) linger_live(user->id, now_ms);
  return way;
}

// --- gmespd and the operator -----------------------------------------------------------------

void Model::installed(SetNumber number, const std::string& security_server) {
  Set* set = find_set(number);
  if (set == nullptr || set->state != State::kInstalling) return;
  set->state = State::kRegistration;
  for (Procedure& procedure : procedures_) {
    if (procedure.set != number) continue;
    procedure.state = Procedure::kChallenged;
    procedure.server_text = security_server;
    for (const uint64_t request : std::exchange(procedure.waiting, {}))
      answers_[request] = as_sm1_came(procedure);
  }
}

void Model::install_failed(SetNumber number, uint64_t now_ms) {
  const Set* set = find(number);
  if (set == nullptr || set->state != State::kInstalling) return;
  const auto procedure = std::find_if(procedures_.begin(), procedures_.end(),
                                      [&](const Procedure& other) { return other.set == number; });
  const Action answer =
      as_sm1_came(*procedure).action == Action::kForward ? Action::kReject : Action::kDiscard;
  close(*procedure, answer);
  remove(number, now_ms);
  sweep();
}

void Model::gone(SetNumber number, uint64_t now_ms) {
  if (find(number) == nullptr) return;
  remove(number, now_ms);
  sweep();
}

void Model::withdraw(std::optional<Integrity> integrity, std::optional<Cipher> cipher,
                     bool removes_live, uint64_t now_ms) {
  if (integrity) std::erase(policy_.integrity, *integrity);
  if (cipher) std::erase(policy_.ciphers, *cipher);
  std::vector<SetNumber> doomed;
  for (const Set& set : sets_)
    if (removes_live && (set.algorithms.integrity == integrity || set.algorithms.cipher == cipher))
      doomed.push_back(set.number);
  for (const SetNumber number : doomed) remove(number, now_ms);
  sweep();
}

bool Model::evict(const std::string& impi, uint64_t now_ms) {
  bool is_known = false;
  for (const User& user : std::vector<User>(users_)) {
    if (user.impi != impi) continue;
    is_known = true;
    for (const Set& set : std::vector<Set>(sets_))
      if (set.context == user.id) remove(set.number, now_ms);
    for (size_t i = 0; i < procedures_.size();)
      if (procedures_[i].context == user.id)
        close(procedures_[i], Action::kDiscard);
      else
        ++i;
  }
  sweep();
  return is_known;
}

}  // namespace gmesp::sa::model
