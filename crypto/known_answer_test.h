// Known answers of all six suites, both directions, for both engines: gmespd runs this at start and
// refuses to run if one fails (R-D-K3). The answers come from an independent implementation, never
// from the engine under test; RFC and NIST vectors are compared by tests/crypto.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "crypto/engine.h"

namespace gmesp::crypto {

struct KnownAnswer;

struct KnownAnswerFailure {
  std::string engine;  ///< "ipsec-mb", "openssl"
  std::string suite;
  std::string detail;  ///< which vector, direction and what differed
};

/// Empty if everything agrees. Takes a few milliseconds; without AVX-512 a few tens, because the
/// 3DES of IPsec-MB is slow there. Throws EngineError if an engine cannot be made.
std::vector<KnownAnswerFailure> known_answer_test();

/// The same with other answers, to show that a wrong one is noticed.
std::vector<KnownAnswerFailure> known_answer_test(std::span<const KnownAnswer> answers);

}  // namespace gmesp::crypto
