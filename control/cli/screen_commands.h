// gmespctl screen: the rules of gmespd's SIP screen tried on captures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/cli/commands.h"

namespace gmesp::cli {

struct ScreenTest {
  std::string capture;
  std::vector<std::string> rules = {GMESP_SHIPPED_RULES};  ///< files
  std::string action = "count";                            ///< of rules that name none
  std::string protected_ports = "5062-5099";
  std::string to;  ///< messages to this address only; empty: all
};

/// Shows what would match, without a running gmespd and without a byte of any message. Returns the
/// exit status.
int screen_test(const Common& common, const ScreenTest& options);

}  // namespace gmesp::cli
