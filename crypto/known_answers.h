// One row of the known-answer test: keys, a clear ESP packet, and what it must become.
#pragma once

#include <span>
#include <vector>

#include "crypto/known_answer_test.h"

namespace gmesp::crypto {

/// All values in hexadecimal. `clear` is SPI, sequence number, IV and padded payload;
/// `protected_packet` the same with the payload ciphered, and the ICV behind it.
struct KnownAnswer {
  Suite suite;
  const char* integrity_key;
  const char* cipher_key;
  const char* clear;
  const char* protected_packet;
};

std::span<const KnownAnswer> known_answers();

/// The test against any table: known_answer_test() is this against known_answers().
std::vector<KnownAnswerFailure> known_answer_test(std::span<const KnownAnswer> answers);

}  // namespace gmesp::crypto
