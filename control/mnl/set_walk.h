// All live sets of gmespd in the order of its table, many to a round trip.
//
// A proxy tells what to delete by address and SPI, and gmespd is asked by place in its table, so
// every delete is a walk. Where sets lie side by side the walk asks for as many places ahead as
// have proved useful, at most kWindowMax; in a sparse table it asks for one.
//
// Threading: one thread at a time; nothing else is asked of the connection during next(), between
// its calls anything may be. Errors: a Problem, as in data_plane.h.
#pragma once

#include <stdint.h>

#include "control/client/gmesp.h"
#include "control/mnl/data_plane.h"

namespace gmesp::mnl {

class SetWalk {
 public:
  static constexpr unsigned kWindowMax = 32;

  SetWalk(DataPlane& data_plane, uint64_t first_place)
      : data_plane_(data_plane), place_(first_place) {}

  /// The next set, NULL with `is_end` behind the last one and without it if something is wrong.
  /// Valid until the next call.
  const gmesp_set_view* next(bool& is_end, Problem& problem);
  /// Where to begin again for the set that next() would give.
  uint64_t place() const { return place_; }

 private:
  bool fill(Problem& problem);

  DataPlane& data_plane_;
  uint64_t place_;
  unsigned window_ = 1;   ///< places asked for at once
  unsigned answers_ = 0;  ///< in `answer_`
  unsigned read_ = 0;     ///< of them
  gmesp_completion answer_[kWindowMax];
};

}  // namespace gmesp::mnl
