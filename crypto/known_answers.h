// The table of known answers that known_answer_test() compares the engines with.
//
// Each row is one outbound packet: SPI c0ffee01, sequence number 1, IV and text made by the
// patterns below, keys as below (cut to the algorithm's size). tests/crypto/make_known_answers.py
// computes the answers; the ICV covers every ciphered byte, so the last block stands for the
// others only to tell a wrong cipher from a wrong hash.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "crypto/suite.h"

namespace gmesp::crypto {

struct KnownAnswer {
  Suite suite;
  uint32_t text_bytes;          ///< ciphered bytes, trailer included
  std::string_view last_block;  ///< of the ciphered bytes, hexadecimal
  std::string_view icv;         ///< hexadecimal, kIcvBytes
};

constexpr uint8_t known_answer_integrity_key(uint32_t i) {
  return static_cast<uint8_t>(0x10 + i);
}
constexpr uint8_t known_answer_cipher_key(uint32_t i) {
  return static_cast<uint8_t>(0x31 + i * 7);
}
constexpr uint8_t known_answer_iv(uint32_t i) {
  return static_cast<uint8_t>(0xa5 + i * 11);
}
constexpr uint8_t known_answer_text(uint32_t i) {
  return static_cast<uint8_t>(i * 7 + 3);
}

std::span<const KnownAnswer> known_answers();

}  // namespace gmesp::crypto
