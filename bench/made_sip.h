// SIP and rules made up for measuring the screen.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "dataplane/screen/rule.h"

namespace gmesp::bench {

/// A request as of an IMS phone, filled up to `bytes` with header fields it may have and a body.
std::string made_message(const char* method, size_t bytes, std::mt19937& random);

/// Names of scanners, numbers and hosts as operators block them, over all places; no made message
/// matches one.
std::vector<screen::Rule> made_rules(size_t count);

}  // namespace gmesp::bench
