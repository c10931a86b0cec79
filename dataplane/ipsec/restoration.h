// What became of the SA sets that a former process left in SA memory, for the start-up log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gmesp::ipsec {

/// Numbers of sets. Whatever was not restored is wiped.
struct Restoration {
  static constexpr uint32_t kDetailsMax = 16;

  uint32_t restored = 0;
  uint32_t expired = 0;     ///< not_after has passed
  uint32_t unfinished = 0;  ///< the process died while it installed or removed them
  uint32_t damaged = 0;     ///< fields that contradict one another or the seal
  uint32_t refused = 0;     ///< install() would refuse them now
  uint32_t exhausted = 0;   ///< no room for the jump of an outbound sequence number

  uint32_t lost() const { return expired + unfinished + damaged + refused + exhausted; }

  /// Which sets were damaged, refused or exhausted, and why: the first kDetailsMax. No keys.
  std::vector<std::string> details;
};

}  // namespace gmesp::ipsec
