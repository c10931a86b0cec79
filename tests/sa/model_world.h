// UEs, a registrar and an operator who do what they may and what they may not, in any order: turns
// steps into events for the SA manager and for the model, and compares the two after each.
//
// A step is two numbers, so that a sequence of steps can be generated, shrunk and replayed; what it
// does depends on them and on what went before.
// Ownership: values. Threading: none. Errors: Violation. Units: milliseconds of a made-up clock.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "model.h"
#include "model_data_plane.h"

namespace gmesp::sa::model {

enum class Kind : uint8_t {
  kProceed,  ///< the next event of an undisturbed registration
  kSm1,
  kRepeatSm1,
  kChallenge,
  kSm7,
  kRegisterAnswer,
  kUeFailure,
  kMessage,
  kClearMessage,
  kRoute,
  kTransaction,
  kIdentities,
  kDeregistered,
  kDataPlane,  ///< carries out a command: done, refused, answer lost, command lost
  kGone,
  kTime,
  kOperator,
};
inline constexpr uint32_t kKinds = 17;

struct Step {
  Kind kind;
  uint32_t choice;
};

/// The same numbers for the same seed everywhere (SplitMix64).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }
  uint32_t below(uint64_t count) { return static_cast<uint32_t>(next() % count); }
  bool one_in(uint32_t count) { return below(count) == 0; }
  template <typename Things>
  const auto& one_of(const Things& things) {
    return things[below(std::size(things))];
  }

 private:
  uint64_t state_;
};

class World {
 public:
  explicit World(uint64_t seed);

  void apply(const Step& step);
  /// Everything ends and rests; then nothing may be left.
  void drain();
  /// Of every verdict so far.
  uint64_t trace() const { return trace_; }
  uint64_t registrations() const { return manager_.totals().registrations; }

 private:
  struct Attempt {
    Register sm1;
    std::string sm7_transaction;
    Keys keys;
    SetNumber set = kClear;
    std::string server_text;
  };
  struct Ue {
    std::string impi, key;
    bool is_behind_nat = false;
    std::deque<Attempt> attempts;  ///< the last few
  };

  // model_world.cc
  void proceed(Ue& ue, Dice& dice);
  void sm1(Ue& ue, Dice& dice, bool is_protected);
  Keys choose_keys(const Attempt& attempt, Dice& dice);
  void challenge(Attempt& attempt, bool is_for_sm7, Dice& dice);
  void sm7(const Attempt& attempt, Dice& dice, bool is_right);
  void register_answer(const Attempt& attempt, bool is_for_sm7, uint16_t status, Dice& dice);
  void ue_failure(Ue& ue, Dice& dice);
  void message(Dice& dice);
  void clear_message(Dice& dice);
  void route(Ue& ue, Dice& dice);
  void transaction(Dice& dice);
  void answer_from_gmespd(SetNumber number, bool refuses);
  void identities(const Ue& ue, Dice& dice);
  void deregistered(const Ue& ue);
  void data_plane(Dice& dice, bool is_well);
  void gone(Dice& dice);
  void pass_time(Dice& dice);
  void operate(const Ue& ue, Dice& dice);

  // model_proposal.cc
  Proposal propose(const Address& source, const Set* protecting, Dice& dice) const;
  uint16_t free_port(const Address& source, uint16_t other, Dice& dice) const;
  static Policy make_policy(Dice dice);

  // model_check.cc
  void send(const Register& request);
  void check(const Verdict& verdict, const Expected& expected);
  void check_way(const Verdict& verdict) const;
  SetNumber set_of(const Arrival& arrival) const;
  void check_clear(const Verdict& verdict, bool may_be_clear) const;
  std::vector<SaSet> snapshot() const;
  void check_untouched(const std::vector<SaSet>& before, SetNumber but) const;
  static void check_server_text(const Verdict& verdict, const SaSet& set);
  void compare();
  void compare_sets() const;
  void compare_users() const;
  void compare_data_plane() const;
  void compare_saved() const;
  void take_answers();

  static Attempt& any_attempt(Ue& ue, Dice& dice);
  SaSet any_set(Dice& dice) const;
  const Procedure* procedure_of(const Attempt& attempt) const;
  void remember(Ue& ue, Register request);
  Arrival arrival_on(const SaSet& set, bool is_sa_c, bool is_tcp) const;
  std::string new_transaction() { return "call-" + std::to_string(++transactions_); }

  Policy policy_;  ///< of the start
  DataPlane data_plane_;
  SaManager manager_;
  Model model_;
  std::array<Ue, 6> ues_;
  std::deque<SaSet> made_;       ///< the last few, dead or alive
  std::deque<SetNumber> begun_;  ///< transactions
  std::set<uint64_t> waits_;     ///< requests without an answer yet
  uint64_t now_ms_ = 1'000'000;
  uint64_t transactions_ = 0;
  uint64_t requests_ = 0;
  uint64_t keys_ = 0;
  std::deque<SetNumber> late_;  ///< installed, not reported yet
  uint64_t trace_ = 0xcbf29ce484222325;
  SetNumber lost_quietly_ = kClear;  ///< gmespd has it no more and did not say so yet
};

/// What a UE writes into Security-Client.
std::string write_client(const Proposal& proposal);

}  // namespace gmesp::sa::model
