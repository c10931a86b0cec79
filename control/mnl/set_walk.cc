#include "control/mnl/set_walk.h"

namespace gmesp::mnl {

bool SetWalk::fill(Problem& problem) {
  const bool was_dense = answers_ != 0 && answer_[answers_ - 1].error == GMESP_OK &&
                         answer_[answers_ - 1].next_index == place_;
  window_ = !was_dense ? 1 : window_ * 2 < kWindowMax ? window_ * 2 : kWindowMax;
  read_ = answers_ = 0;
  if (!data_plane_.look(place_, answer_, window_, problem)) return false;
  answers_ = window_;
  return true;
}

const gmesp_set_view* SetWalk::next(bool& is_end, Problem& problem) {
  is_end = false;
  for (;;) {
    if (read_ == answers_ && !fill(problem)) return nullptr;
    const gmesp_completion& answer = answer_[read_];
    is_end = answer.error == GMESP_E_END;
    if (is_end) return nullptr;
    ++read_;
    // The first set at or after a place may have been given for an earlier place already.
    if (answer.next_index <= place_) continue;
    place_ = answer.next_index;
    return &answer.view;
  }
}

}  // namespace gmesp::mnl
