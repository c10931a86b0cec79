// What TS 33.203 7.1 to 7.5 and M.7 ask of the SA manager, told a second time as naively as can be:
// lists, linear searches, and a clock that looks at everything at every event.
//
// It shares only the plain types of events with the product, never its look-up, its timers or its
// header parser. SPIs, ports and set numbers are the product's choice; the model checks the choice.
// Ownership: values. Threading: none. Errors: Violation.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "control/sa/sa_manager.h"

namespace gmesp::sa::model {

/// The product did what it must not do.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What a UE's Security-Client says, as the UE meant it.
struct Proposal {
  uint32_t spi_c, spi_s;
  uint16_t port_c, port_s;
  std::vector<AlgorithmPair> pairs;
  bool offers_transport, offers_tunnel;
};

struct Register {
  Arrival arrival;
  std::string impi, key, transaction;
  Address via{};
  std::optional<Proposal> proposal;
  std::string client_text, verify_text;
  AuthenticationAnswer answer = AuthenticationAnswer::kNone;
};

/// IK and CK by number; equal numbers are equal keys.
struct Keys {
  uint64_t ik = 0;
  uint64_t ck = 0;  ///< 0: none came
  bool ck_is_weak_for_des = false;
};

/// What a verdict must say. kForward, and kReject where `checks_way`: where it goes.
struct Expected {
  Action action = Action::kDiscard;
  SetNumber set = kClear;
  bool is_integrity_protected = false;
  bool is_repetition = false;
  bool checks_way = false;
};

enum class State { kInstalling, kRegistration, kLive, kLingering };

struct Set {
  SetNumber number;
  uint32_t context;
  Address ue;
  uint16_t port_uc, port_us, port_pc, port_ps;
  uint32_t spi_uc, spi_us, spi_pc, spi_ps;
  Keys keys;
  AlgorithmPair algorithms;
  bool is_tunnel;
  State state;
  uint64_t not_after_ms, drop_at_ms;
  bool has_hints;
  uint32_t pending;
};

struct Procedure {
  uint32_t context;
  std::string sm1, sm7;
  enum { kWaits, kInstalling, kChallenged, kResponded } state;
  uint64_t deadline_ms;
  Arrival arrival;
  SetNumber arrived_on;
  bool is_tunnel;
  Proposal proposal;
  std::string client_text, server_text;
  SetNumber set;
  std::vector<uint64_t> waiting;
  std::string key;
};

struct User {
  uint32_t id;
  std::string impi, key;
  SetNumber latest, old;
  bool has_switched;
  std::string last_sm7, last_answer;
  SetNumber last_answer_set;
};

/// Something that a removed set leaves behind for a while.
struct Rest {
  uint64_t until_ms;
  Address ue;
  uint16_t port_us, port_pc;
  uint32_t spi_pc, spi_ps;
};

class Model {
 public:
  explicit Model(const Policy& policy) : policy_(policy) {}

  void tick(uint64_t now_ms);

  Expected on_register(const Register& request, uint64_t now_ms);
  /// `made`: the set that the product made, null if none; `is_down`: gmespd is not there.
  Expected on_challenge(const std::string& impi, const std::string& transaction, const Keys& keys,
                        uint64_t request, const SaSet* made, bool is_down, uint64_t now_ms);
  Expected on_register_answer(const std::string& impi, const std::string& transaction,
                              uint16_t status, bool deregisters, uint64_t expires_ms,
                              uint64_t now_ms);
  Expected on_message(const Message& message, uint64_t now_ms);
  Expected route(const std::string& impi, const std::string& key, SetNumber began_on,
                 uint64_t now_ms) const;
  Expected route(const UePort& ue_server, SetNumber began_on, uint64_t now_ms) const;
  bool on_transaction_begin(SetNumber number);
  bool on_transaction_end(SetNumber number, uint64_t now_ms);
  Expected on_deregistered(const std::string& impi, const std::string& key, uint64_t now_ms);

  void installed(SetNumber number, const std::string& security_server);
  void install_failed(SetNumber number, uint64_t now_ms);
  void gone(SetNumber number, uint64_t now_ms);
  void withdraw(std::optional<Integrity> integrity, std::optional<Cipher> cipher, bool removes_live,
                uint64_t now_ms);
  bool evict(const std::string& impi, uint64_t now_ms);
  void set_policy(const Policy& policy) { policy_ = policy; }

  /// What on_challenge() promised to answer later, and must have answered by now.
  std::map<uint64_t, Expected> take_answers() { return std::exchange(answers_, {}); }

  const std::vector<Set>& sets() const { return sets_; }
  const std::vector<Procedure>& procedures() const { return procedures_; }
  const std::vector<User>& users() const { return users_; }
  const Set* find(SetNumber number) const;
  /// Every pair that may be in SM6, in order (7.2).
  std::vector<AlgorithmPair> own_pairs(bool without_des) const;

 private:
  struct Came {
    const Register& request;
    uint64_t now_ms;
    Set* set;
    bool is_sa_a;
    User* user;
  };

  // model_register.cc
  Expected on_sm1(const Came& came, const Procedure* earlier);
  Expected on_sm7(const Came& came);
  Expected on_ue_failure(const Came& came);
  Expected forward(const Came& came) const;
  bool table_allows(const Proposal& proposal, const Address& ue, bool is_tunnel,
                    SetNumber arrived_on, const User* user) const;
  std::optional<AlgorithmPair> choice(const Proposal& proposal, bool without_des) const;
  bool are_keys_new(const std::string& impi, const Keys& keys);
  bool can_make_set(const Procedure& procedure, const Keys& keys, uint64_t now_ms) const;
  void check_made(const Procedure& procedure, const Keys& keys, const SaSet& made,
                  uint64_t now_ms) const;
  void forget_earlier(const Procedure& procedure, uint64_t now_ms);
  void store(const Procedure& procedure, const Keys& keys, const SaSet& made, uint64_t now_ms);
  Expected failed(Procedure procedure, const std::string& transaction, uint64_t now_ms);
  Expected registered(const Procedure& procedure, bool deregisters, uint64_t expires_ms,
                      uint64_t now_ms);
  Expected refreshed(const Procedure& procedure, bool deregisters, uint64_t expires_ms,
                     uint64_t now_ms);
  Expected as_sm1_came(const Procedure& procedure) const;

  // model.cc
  Set* find_set(SetNumber number);
  Set* find_by_ports(const Arrival& arrival, bool& is_sa_a);
  User* find_user(uint32_t id);
  User* find_user(const std::string& impi, const std::string& key, const Address* ue);
  Procedure* find_procedure(const std::string& impi, const std::string& transaction);
  bool is_protected_port(uint16_t port) const;
  void remove(SetNumber number, uint64_t now_ms);
  void close(const Procedure& doomed, Action answer);
  void take_key(User& user, const std::string& key, uint64_t now_ms);
  void sweep();
  void linger(Set& set, uint64_t now_ms);
  void linger_live(uint32_t context, uint64_t now_ms);
  void further_message(User& user, SetNumber arrived_on, uint64_t now_ms);
  void settle(const User& user, uint64_t now_ms);
  const Set* outbound(const User& user, uint64_t now_ms) const;

  Policy policy_;
  std::vector<User> users_;
  std::vector<Set> sets_;              ///< by age
  std::vector<Procedure> procedures_;  ///< by age
  std::vector<Rest> resting_;
  std::map<uint64_t, Expected> answers_;
  uint32_t next_user_ = 1;
};

}  // namespace gmesp::sa::model
