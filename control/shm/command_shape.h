// What gmespd's end checks of a command before its handler sees it: kind, size, and who may send
// it.
//
// Threading: pure function. The command is a private copy.
#pragma once

#include <string>

#include "control/shm/layout.h"

namespace gmesp::shm {

/// kOk, or why the command is refused; then `detail` says what was found and what is allowed.
Status check_shape(const Command& command, bool may_write, std::string& detail);

}  // namespace gmesp::shm
