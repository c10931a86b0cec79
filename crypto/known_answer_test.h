// Known answers of all six suites, both directions, for every engine: gmespd runs this at start and
// refuses to run if one fails (R-D-K3). Answers come from RFC 2202, RFC 3602 and NIST vectors and
// from an independent implementation, never from the engine under test.
#pragma once

#include <string>
#include <vector>

#include "crypto/engine.h"

namespace gmesp::crypto {

struct KnownAnswerFailure {
  std::string engine;  ///< "ipsec-mb", "openssl"
  std::string suite;
  std::string detail;  ///< which vector, direction and what differed
};

/// Empty if everything agrees. Takes a few milliseconds.
std::vector<KnownAnswerFailure> known_answer_test();

}  // namespace gmesp::crypto
