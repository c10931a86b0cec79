// gmespd for the length of one call: connect, look, change, leave.
//
// A proxy has many processes and gmespd one writer, so nobody keeps the role: it is taken when it
// is needed, waiting while another process has it, and given back at the end of the call. Nothing
// is kept between calls either, since any process may delete what any other has set up; gmespd's
// own table is the only one. Sets that came by here carry their proxy's sel.user in the cookie.
//
// Threading: one thread at a time per object. Errors: a Problem with errno, which names the setting
// where one is to be changed; after ETIMEDOUT and ECONNRESET an install may or may not hold.
#pragma once

#include <stdint.h>

#include "control/mnl/settings.h"
#include "control/mnl/turn.h"
#include "control/mnl/xfrm_request.h"

namespace gmesp::mnl {

/// Cookie of a set that came by here: a mark, and sel.user of its SAs.
inline constexpr uint64_t kCookieMark = uint64_t{0x6d6e6c31} << 32;
constexpr uint64_t cookie_of(uint32_t user) {
  return kCookieMark | user;
}
constexpr bool is_ours(uint64_t cookie) {
  return cookie >> 32 == kCookieMark >> 32;
}
/// sel.user for a dump. What came another way belongs to no proxy, as SAs that `ip xfrm` adds.
constexpr uint32_t user_of(uint64_t cookie) {
  return is_ours(cookie) ? static_cast<uint32_t>(cookie) : 0;
}

class DataPlane {
 public:
  DataPlane(const Settings& settings, gmesp_role role);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  /// Connects; waits for the writer's role, at most until the time of the call is over.
  bool open(Problem& problem);
  bool install(const gmesp_sa_set& set, Problem& problem);
  /// A set that is not there any more is no problem.
  bool remove(uint64_t set_id, Problem& problem);
  /// For each of `count` places from `first_place` on, the first live set there or behind, in the
  /// order of the places: GMESP_OK with view and next_index, or GMESP_E_END.
  bool look(uint64_t first_place, gmesp_completion* answers, unsigned count, Problem& problem);

 private:
  int left_ms() const;
  bool fail(int error, const char* what, Problem& problem) const;
  int next_answer(gmesp_completion& answer);

  const Settings& settings_;
  const gmesp_role role_;
  const uint64_t until_ms_;
  Turn turn_;  ///< of a writer; ends after the connection
  gmesp_dp* dp_ = nullptr;
};

}  // namespace gmesp::mnl
