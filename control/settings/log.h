// The process's log on stderr, by spdlog: set up once, then spdlog::info() and its sisters
// everywhere but on workers.
//
// Text: "2026-11-21T07:00:00.123Z info  what happened". JSON: one object per line with time, level
// and message. Threading: set_up_log() from the main thread before others start. Errors: none.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/config.h"

namespace gmesp::dataplane {

void set_up_log(const Config::Log& settings);

/// With quotes, as JSON wants it; bytes that are not UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace gmesp::dataplane
