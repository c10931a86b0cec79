// gmespd as a whole: ports, workers, SA database and control thread, from a validated configuration
// to a clean stop.
//
// Errors: throws std::runtime_error with a text that names the setting and what to do; everything
// opened so far is closed again. Threading: call run() from the main thread; it becomes the control
// thread.
#pragma once

#include "dataplane/config.h"

namespace gmesp::dataplane {

/// Runs until SIGINT or SIGTERM. Returns the process's exit status.
int run(const Config& config);

}  // namespace gmesp::dataplane
