// The life cycle of security associations at the P-CSCF (TS 33.203 7.2 to 7.5, M.7): events in,
// verdicts out.
//
// No I/O, no clock, no SIP stack: the caller passes CLOCK_BOOTTIME-like milliseconds with every
// event and carries out what the Sink is told. The same events at the same times give the same
// verdicts (R-C-05).
//
// Order: what the Sink is told goes to gmespd in that order; then a removed set's ports are free
// before the next set is installed.
// Threading: none. Errors: verdicts; nothing throws but std::bad_alloc.
// Bounds: procedures under way by the policy; sets three per context; refusals remembered a fixed
// number.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/sa/event.h"
#include "control/sa/policy.h"
#include "control/sa/registration.h"
#include "control/sa/sa_table.h"
#include "control/sa/spi_pool.h"

namespace gmesp::sa {

/// A set on its way into gmespd: ESP keys after the expansion of Annex I. Wiped by the SA manager
/// when install() returns.
struct NewSet {
  const SaSet* set;
  std::array<uint8_t, 20> integrity_key;
  std::array<uint8_t, 24> cipher_key;
  uint8_t integrity_key_bytes;
  uint8_t cipher_key_bytes;
};

/// Why a set went away, for the proxy and the operator.
enum class GoneBecause : uint8_t {
  kExpired = 1,
  kReplaced = 2,
  kFailed = 3,  ///< its authentication failed or was given up
  kDeregistered = 4,
  kEvicted = 5,
  kWithdrawn = 6,  ///< its algorithm
  kLost = 7,       ///< gmespd has it no more
};

/// What the SA manager asks of the world.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Answered later by installed() or install_failed(). False if gmespd is not there.
  virtual bool install(const NewSet& set) = 0;
  /// After this nothing may be accepted or sent on the set. The set is gone when the call returns.
  virtual void remove(const SaSet& set, GoneBecause because) = 0;
  virtual void set_not_after(const SaSet& set) = 0;
  /// The verdict of an on_challenge() that said kWait.
  virtual void answer(uint64_t request, const Verdict& verdict) = 0;
  /// What a restart must know of the context has changed; `context` may have no set left.
  virtual void changed(const Context& context) = 0;
  /// A keyed one-way function with a secret of this process: keys are compared, never kept
  /// (R-6.1.1-01).
  virtual KeyFingerprint fingerprint(std::span<const uint8_t> key) = 0;
};

struct RefusalRecord {
  uint64_t time_ms;
  Refusal refusal;
  Address source;
  uint16_t source_port;
  std::string impi;
};

struct SaManagerTotals {
  uint64_t registrations = 0;  ///< SM12 sent
  uint64_t authentication_failures = 0;
  uint64_t sets_installed = 0;
  uint64_t sets_removed = 0;
  uint64_t procedures_evicted = 0;  ///< by newer ones, for want of room
  std::array<uint64_t, kRefusalCount> refusals{};
};

class SaManager {
 public:
  /// `first_number`: greater than any SetNumber of an earlier process whose sets may live.
  SaManager(const Policy& policy, Sink& sink, SetNumber first_number, uint64_t seed);
  ~SaManager();

  /// So many registrations come without a pause for tables that grow.
  void expect(size_t registrations);

  // --- from the SIP side ---
  Verdict on_register(const RegisterRequest& request, uint64_t now_ms);
  /// kWait: the verdict comes by Sink::answer(`request`, …), and says where SM6 goes.
  Verdict on_challenge(const Challenge& challenge, uint64_t request, uint64_t now_ms);
  Verdict on_register_answer(const RegisterAnswer& answer, uint64_t now_ms);
  Verdict on_message(const Message& message, uint64_t now_ms);
  /// Where to send to this user: on `began_on` if it lives, the set that the message's transaction
  /// began on (7.4.2a); kClear: no pending transaction.
  Verdict route(std::string_view impi, std::string_view registration_key, SetNumber began_on,
                uint64_t now_ms);
  /// The same by the UE's protected server port, as it stands in Contact.
  Verdict route(const UePort& ue_server, SetNumber began_on, uint64_t now_ms);
  Verdict on_transaction_begin(SetNumber set);
  Verdict on_transaction_end(SetNumber set, uint64_t now_ms);
  Verdict on_identities(std::string_view impi, std::string_view registration_key,
                        std::span<const std::string_view> impus);
  /// By the network, or by expiry of the registration; the UE's own comes as a RegisterAnswer.
  Verdict on_deregistered(std::string_view impi, std::string_view registration_key,
                          uint64_t now_ms);

  // --- from gmespd ---
  void installed(SetNumber set, uint64_t data_plane_id);
  void install_failed(SetNumber set, Refusal refusal, uint64_t now_ms);
  /// gmespd has it no more: expired there, its counter at the end, or lost.
  void gone(SetNumber set, GoneBecause because, uint64_t now_ms);
  void peer_port(SetNumber set, uint16_t port);
  /// A set that gmespd has, under this name there now.
  void found(SetNumber set, uint64_t data_plane_id, uint16_t peer_port);
  /// Sets that gmespd should have but that are not among `found`; later ones than `before` were
  /// installed while it was looked for them.
  std::vector<SetNumber> lost(const std::unordered_set<SetNumber>& found, SetNumber before) const;

  // --- from the clock ---
  void tick(uint64_t now_ms);
  /// When tick() has something to do, UINT64_MAX: nothing.
  uint64_t next_deadline_ms() const;

  // --- from the operator ---
  void set_policy(const Policy& policy);
  const Policy& policy() const { return policy_; }
  /// New sets do without it from now on; `removes_live`: those that use it go now (R-D-K1).
  void withdraw(Integrity integrity, bool removes_live, uint64_t now_ms);
  void withdraw(Cipher cipher, bool removes_live, uint64_t now_ms);
  /// Removes all sets and procedures of a user at once. False: unknown.
  bool evict(std::string_view impi, uint64_t now_ms);

  // --- after a restart ---
  /// Takes up a context with live sets, as saved by Sink::changed(). False if a set of it does not
  /// fit into the table; then nothing of the context is taken up.
  bool restore(const Context& context, std::span<const SaSet> sets);

  const SaSet* find(SetNumber number) const;
  /// Walks all contexts: the next one behind `cursor`, which is moved; null at the end. Start with
  /// 0; what comes and goes meanwhile may be missed.
  const Context* next_context(uint64_t& cursor) const;
  /// Likewise, of one user.
  const Context* next_context(std::string_view impi, uint64_t& cursor) const;
  const SaSet* outbound(const Context& context, uint64_t now_ms) const {
    return outbound_set(context, now_ms);
  }
  SetNumber next_number() const { return next_number_; }
  const std::deque<RefusalRecord>& refusals() const { return refusals_; }
  const SaManagerTotals& totals() const { return totals_; }
  size_t contexts() const { return contexts_.size(); }
  size_t sets() const { return sets_.size(); }
  size_t procedures() const { return waiting_.size() + challenged_.size(); }
  const SpiPool& spis() const { return spis_; }
  const SaTable& table() const { return table_; }

 private:
  using ProcedureAt = std::list<Procedure>::iterator;
  struct Timer {
    uint64_t at_ms;
    SetNumber set;
    bool operator>(const Timer& other) const { return at_ms > other.at_ms; }
  };

  // register_in.cc
  struct Incoming;
  Verdict on_sm1(const Incoming& incoming, const Procedure* earlier);
  Verdict on_sm7(const Incoming& incoming);
  Verdict on_ue_failure(const Incoming& incoming);
  Verdict on_lingering(const Incoming& incoming);
  Verdict abort_sm7(const Incoming& incoming, Procedure& procedure);
  Refusal read_offer_of(const Incoming& incoming, Procedure& procedure) const;
  Refusal choose_mode(const Incoming& incoming, Procedure& procedure) const;
  Refusal check_against_table(const Procedure& procedure, const Context* context) const;
  Verdict forward_register(const Incoming& incoming) const;
  Verdict refuse(Refusal refusal, const Incoming& incoming);
  bool is_protected_port(uint16_t port) const;

  // register_out.cc
  Refusal make_set(Procedure& procedure, const Challenge& challenge, uint64_t now_ms);
  Refusal check_keys(const Context& context, const Challenge& challenge, KeyFingerprint& ik,
                     KeyFingerprint& ck);
  Refusal allocate(const Procedure& procedure, SaSet& set, uint64_t now_ms);
  void adopt_set(Procedure& procedure, std::unique_ptr<SaSet> set, uint64_t now_ms);
  void make_room(Context& context, uint64_t now_ms);
  Verdict challenged(const Procedure& procedure) const;
  Verdict registered(Procedure& procedure, const RegisterAnswer& answer, uint64_t now_ms);
  Verdict refreshed(Procedure& procedure, const RegisterAnswer& answer, uint64_t now_ms);
  Verdict failed(Procedure& procedure, const TransactionHash& transaction, uint64_t now_ms);
  Verdict repeated_answer(std::string_view impi, const TransactionHash& transaction) const;
  void remember_answer(Context& context, const TransactionHash& transaction, const SaSet* set);
  void raise_lifetime(SaSet& set, uint64_t not_after_ms);

  // sa_events.cc
  Verdict on_clear_message(const Message& message, uint64_t now_ms);

  // sa_manager.cc
  TransactionHash hash_of(std::string_view transaction) const;
  Context* find_context(std::string_view impi, std::string_view registration_key) const;
  Context* find_context(std::string_view impi, std::string_view registration_key,
                        const Address& ue) const;
  Context& make_context(const RegisterRequest& request);
  void take_key(Context& context, const std::string& registration_key, uint64_t now_ms);
  void end_context(Context& context, GoneBecause because, Refusal refusal, uint64_t now_ms);
  void drop_if_empty(Context& context);
  static Procedure* find_procedure(const Context& context, const TransactionHash& transaction);
  Procedure* find_procedure(std::string_view impi, const TransactionHash& transaction) const;
  void open_procedure(Procedure&& fresh);
  void close_procedure(Procedure& procedure, Refusal because);
  void close_older_procedures(const Procedure& keep);
  void close_orphans(const Context& context);
  void expire_procedures(std::list<Procedure>& procedures, uint64_t now_ms);
  SaSet* registration_set(const Context& context) const;
  SaSet* find_set(SetNumber number) const;
  void remove_set(SaSet& set, GoneBecause because, uint64_t now_ms);
  void remove_where(const std::function<bool(const SaSet&)>& chosen, uint64_t now_ms);
  /// With all that cannot be without it; the context may be gone then.
  void end_set(SaSet& set, GoneBecause because, uint64_t now_ms);
  void end_of_time(SaSet& set, uint64_t now_ms);
  void linger(SaSet& set, uint64_t now_ms);
  void linger_all(Context& context, uint64_t now_ms);
  void watch(SaSet& set);
  void note_further_message(Context& context, const SaSet& arrived_on, uint64_t now_ms);
  void settle_old_set(Context& context, uint64_t now_ms);
  SaSet* outbound_set(const Context& context, uint64_t now_ms) const;
  Send send_on(const SaSet& set) const;
  Verdict forward_on(const SaSet& set) const;
  Send send_clear(const Arrival& arrival) const;
  Verdict answer_as_arrived(const Procedure& procedure) const;
  Verdict route_in(const Context& context, SetNumber preferred, uint64_t now_ms) const;
  Verdict refuse(Refusal refusal, const Arrival& arrival, const SaSet* arrived_on,
                 std::string_view impi, uint64_t now_ms);

  Policy policy_;
  std::unordered_set<uint16_t> former_server_ports_;  ///< port_ps of earlier policies
  Sink& sink_;
  SetNumber next_number_;
  const std::array<uint64_t, 2> hash_key_;
  /// By IMPI; several with different registration keys if the policy has it so.
  std::unordered_multimap<std::string_view, std::unique_ptr<Context>> contexts_;
  std::unordered_map<SetNumber, std::unique_ptr<SaSet>> sets_;
  std::list<Procedure> waiting_;     ///< for a challenge; by age, which is by deadline too
  std::list<Procedure> challenged_;  ///< likewise
  SaTable table_;
  SpiPool spis_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::deque<RefusalRecord> refusals_;
  SaManagerTotals totals_;
};

/// What a proxy may use for R-7.1-23 and R-M-01: true if both name the same host.
inline bool same_host(const Address& source, const Address& via) {
  return source == via;
}

}  // namespace gmesp::sa
