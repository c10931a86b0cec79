// What the pipeline asks before SIP reaches the host: may this packet pass, is it dropped, is it
// answered?
//
// The screen itself stands in dataplane/gate; the ESP core knows no SIP. A pipeline without one
// pays nothing. Counting, auditing and sending are the pipeline's.
//
// Threading: one screen per worker, called by that worker only. Errors: none.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/ipsec/packet.h"
#include "dataplane/ipsec/statistics.h"

namespace gmesp::ipsec {

struct ScreenVerdict {
  enum class Action : uint8_t {
    kPass,
    kDrop,   ///< under `reason`
    kReply,  ///< the same, and write_reply() has the answer
  };
  Action action = Action::kPass;
  DropReason reason = DropReason::kNone;
  std::optional<Statistic> counted = {};  ///< kPass: as what
  uint16_t status = 0;                    ///< kReply: of the answer
  bool is_event = false;                  ///< a rule wants this packet reported, passed or not
  uint32_t rule = 0;                      ///< its number
};

class Screen {
 public:
  virtual ~Screen() = default;

  /// Before the first packet of a burst; what the screen borrows from others it may keep until the
  /// burst ends.
  virtual void begin_burst(uint64_t now_ms) = 0;
  /// A clear UDP or TCP packet from the network, whole and parsed.
  virtual ScreenVerdict on_clear(const Packet& packet) = 0;
  /// A UDP or TCP packet that ESP gave, selectors checked.
  virtual ScreenVerdict on_protected(const Packet& packet) = 0;
  /// The answer to a `request` that was to be answered with `status`, as a frame for the access
  /// side, in the buffer of `reply` behind `headroom` bytes. Never larger than the request. False:
  /// there is none.
  virtual bool write_reply(const Packet& request, uint16_t status, uint32_t headroom,
                           Packet& reply) = 0;
};

}  // namespace gmesp::ipsec
