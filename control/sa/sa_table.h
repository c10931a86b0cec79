// SA_table (TS 33.203 7.1 rule 1): finds the set of a message by (UE address, UE port, P-CSCF
// port), which is unique at all times (rule 4), and tells which ports are taken.
//
// Threading: none. Ownership: of nothing; a set must be taken out before it dies.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <unordered_map>

#include "control/sa/policy.h"
#include "control/sa/registration.h"

namespace gmesp::sa {

/// The inbound SA that a message came on.
enum class InboundSa : uint8_t {
  kUcToPs,  ///< SA-a
  kUsToPc,  ///< SA-c
};

class SaTable {
 public:
  /// A freed port_pc is not given to the same (UE address, port_us) again before it rested.
  explicit SaTable(uint64_t rest_ms) : rest_ms_(rest_ms) { entries_.max_load_factor(kLoadMax); }

  /// So many sets come without a pause for the table that grows.
  void expect(size_t sets) { entries_.reserve(kEntriesPerSet * sets); }

  struct Found {
    SaSet* set = nullptr;
    InboundSa sa = InboundSa::kUcToPs;
  };
  Found find(const UePort& ue, uint16_t local_port) const;

  /// Whose server port this is; null: nobody's, or that of several users without NAT (R-D-P1).
  const Context* owner(const UePort& ue_server) const;

  void insert(SaSet& set);
  void remove(SaSet& set, uint64_t now_ms);

  /// True if any SA has this address and port of a UE (7.1 rule 3).
  bool has(const UePort& ue) const;
  /// True if a set of another context has this address and port of a UE (M.7.1 rule 3).
  bool has_other(const UePort& ue, const Context* own) const;

  /// A port_pc of `pool` that is free for the UE's server port and in none of `stored`
  /// (R-7.4-02, R-D-P1); 0 if there is none.
  uint16_t free_port_pc(std::span<const PortRange> pool, const UePort& ue_server,
                        std::span<SaSet* const> stored, uint64_t now_ms);

  /// Lets go of the ports that have rested.
  void wake(uint64_t now_ms);

  size_t resting() const { return resting_.size(); }
  size_t entries() const { return entries_.size(); }

 private:
  struct Entry {
    SaSet* set;  ///< null: a port that rests
    uint16_t local_port;
    InboundSa sa;
  };
  struct Resting {
    uint64_t until_ms;
    UePort ue;
    uint16_t local_port;
  };

  /// Most questions are about ports that nobody has: with a million users each entry that stands in
  /// the way of the answer is a line from memory.
  static constexpr float kLoadMax = 0.5F;
  static constexpr size_t kEntriesPerSet = 2;

  void erase(const UePort& ue, uint16_t local_port);
  bool is_taken(const UePort& ue, uint16_t local_port) const;

  const uint64_t rest_ms_;
  std::unordered_multimap<UePort, Entry, UePortHash> entries_;
  std::deque<Resting> resting_;  ///< in order of time
};

}  // namespace gmesp::sa
