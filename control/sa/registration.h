// What the SA manager keeps: SA sets, the context they belong to, and registration procedures that
// are under way.
//
// Ownership: the SaManager owns all of them; pointers between them are good as long as it says so.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "control/sa/event.h"
#include "control/sa/security_header.h"

namespace gmesp::sa {

/// Tells key pairs apart without keeping them (see Sink::fingerprint()).
using KeyFingerprint = std::array<uint8_t, 16>;
/// Of a transaction's name, wide enough that nobody finds two with the same one.
using TransactionHash = std::array<uint64_t, 2>;

struct Context;

/// Six SAs per direction, two of them in every set (7.1 rule 3).
inline constexpr size_t kSetsPerContextMax = 3;

enum class SetState : uint8_t {
  kInstalling,    ///< gmespd has not acknowledged it yet
  kRegistration,  ///< installed before SM6, carries SM7 and SM12 only ("registration SAs")
  kLive,          ///< authenticated
  kLingering,     ///< over; stays for its last answer and repetitions of it (R-D-E1)
};

/// The four SAs of one authentication (7.1).
struct SaSet {
  SetNumber number;
  Context* context;
  uint64_t data_plane_id = 0;        ///< gmespd's name for it, 0 until installed
  uint64_t not_after_ms;             ///< lifetime; never shrinks
  uint64_t drop_at_ms = UINT64_MAX;  ///< 64*T1 deadline of an old set, end of lingering
  uint64_t timer_ms = 0;             ///< the deadline that is queued for it
  KeyFingerprint ik_fingerprint;
  KeyFingerprint ck_fingerprint;
  Address ue{};
  Address local{};
  uint32_t spi_uc, spi_us, spi_pc, spi_ps;
  uint16_t port_uc, port_us, port_pc, port_ps;
  uint16_t peer_port = 0;  ///< port_Uenc, as reported
  Mode mode;
  AlgorithmPair algorithms;
  SetState state = SetState::kInstalling;
  bool has_hints = false;  ///< the proxy tells when transactions on it begin and end
  uint32_t pending_transactions = 0;

  uint64_t deadline_ms() const { return drop_at_ms < not_after_ms ? drop_at_ms : not_after_ms; }
  bool is_tunnel() const { return mode == Mode::kUdpEncapsulatedTunnel; }
};

enum class ProcedureState : uint8_t {
  kWaitsForChallenge,  ///< after SM1
  kInstalling,         ///< after SM4
  kChallenged,         ///< SM6 is out
  kResponded,          ///< after SM7
};

/// One registration procedure: SM1 to SM12 (6.1.1).
struct Procedure {
  Context* context;
  TransactionHash sm1;
  TransactionHash sm7{};
  bool is_sm7_by_tcp = false;
  uint64_t deadline_ms;
  ProcedureState state = ProcedureState::kWaitsForChallenge;
  Mode mode;
  Arrival arrival;       ///< of SM1
  SetNumber arrived_on;  ///< kClear or the set that protected SM1
  std::string registration_key;
  Offer offer;  ///< what Security-Client of SM1 means
  SecurityList security_client;
  std::string security_client_text;
  SaSet* set = nullptr;  ///< made at SM4
  SecurityList security_server;
  std::string security_server_text;
  std::vector<uint64_t> waiting;  ///< requests that get their verdict when the set is installed
};

/// What stands under one IMPI, or with many registrations under (IMPI, registration key).
struct Context {
  std::string impi;
  std::string registration_key;
  std::vector<std::string> impus;
  /// By age; the registration set, if there is one, is last. Lingering sets are among them.
  std::vector<SaSet*> sets;
  std::vector<std::list<Procedure>::iterator> procedures;  ///< by age
  SetNumber latest = kClear;  ///< set of the latest successful authentication
  /// After SM12 with the old set alive: outbound goes on the old set until a further message on
  /// the new one (7.4.2a).
  SetNumber old = kClear;
  bool has_switched = false;
  TransactionHash last_sm7{};     ///< of the latest successful authentication
  TransactionHash last_answer{};  ///< of the last REGISTER answered for good, and on which set
  SetNumber last_answer_set = kClear;
  mutable uint32_t sink_record = 0;  ///< the Sink's own: where it keeps this context
};

}  // namespace gmesp::sa
