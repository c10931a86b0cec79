// The parts of one SA set on their way: a proxy tells the kernel four SAs and four policies one by
// one, gmespd takes the set or nothing.
//
// All zeros is an empty one, so memory that a fork wipes needs no more care. Ownership: keys are
// copied in and stay until wipe(). Threading: none here. Errors: a Problem, as in xfrm_request.h.
#pragma once

#include <stdint.h>

#include "control/mnl/xfrm_request.h"

namespace gmesp::mnl {

/// The parts follow each other within a call of the proxy; what is older was left unfinished.
inline constexpr uint64_t kPendingMs = 2000;

/// True if `flow` is one of the four of a set.
bool is_flow_of(const gmesp_sa_set& set, const Flow& flow);
/// True if `flow` lies between ports of a set, be it one of the four or not: newer proxies add the
/// crossed pairs, which 7.1 does not have.
bool is_between_ports_of(const gmesp_sa_set& set, const Flow& flow);
/// True if one of the four SAs has this destination and SPI.
bool is_sa_of(const gmesp_sa_set& set, const uint8_t destination[GMESP_ADDRESS_BYTES],
              uint32_t spi);

class PendingSet {
 public:
  bool is_empty() const { return sas_ == 0; }
  bool is_over(uint64_t now_ms) const { return now_ms - began_ms_ > kPendingMs; }
  /// False if the SA is no part of what has begun: that is to be given up first.
  bool can_take(const Request& new_sa) const;
  bool take_sa(const Request& new_sa, uint64_t now_ms, Problem& problem);
  bool take_policy(const Request& new_policy, Problem& problem);
  bool is_complete() const;
  /// The set with its keys, but for lifetime and cookie; false if the four do not fit together.
  bool build(gmesp_sa_set& set, Problem& problem) const;
  uint32_t user() const { return user_; }
  unsigned sas() const { return sas_; }
  unsigned policies() const;
  void wipe();

 private:
  struct Part {
    Flow flow;
    uint32_t spi;
    bool has_policy;
    Direction direction;
  };

  const Part* find(const Flow& flow) const;
  const Part* inbound(unsigned nth) const;

  Part parts_[GMESP_SAS_PER_SET];
  unsigned sas_;
  uint32_t user_;
  uint64_t began_ms_;
  Protection protection_;
};

}  // namespace gmesp::mnl
