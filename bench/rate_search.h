// The fastest rate without loss, by bisection (RFC 2544 26.1).
//
// What is measured is a function from a rate to what became of the packets: a generator in front of
// a device, or a model of one. Rates are packets per second.
#pragma once

#include <cstdint>
#include <functional>

namespace gmesp::bench {

struct TrialCount {
  double offered_per_s = 0;  ///< what the sender really reached
  uint64_t sent = 0;
  uint64_t received = 0;

  double loss() const {
    return sent == 0 || received >= sent
               ? 0
               : static_cast<double>(sent - received) / static_cast<double>(sent);
  }
};

struct RateSearchOptions {
  double lowest_per_s = 10'000;
  double highest_per_s = 10'000'000;
  double resolution = 0.01;  ///< stop when the bounds are this close, as a share of the upper one
  double loss_max = 0;       ///< share of packets that may be lost; RFC 2544: none
  /// Trials of a rate until one passes: a core that is taken away for a moment loses packets, or
  /// sends less of them, and that is not the fault of what is measured.
  uint32_t attempts = 2;
};

struct RateSearchResult {
  double rate_per_s = 0;  ///< 0: even the lowest rate lost packets
  uint32_t trials = 0;
  /// The sender could not go faster: the maximum is at least rate_per_s.
  bool is_limited_by_sender = false;
};

RateSearchResult find_loss_free_rate(const RateSearchOptions& options,
                                     const std::function<TrialCount(double rate_per_s)>& trial);

}  // namespace gmesp::bench
