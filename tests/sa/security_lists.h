// Security-* header lines for the tests of their reader and writer.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "control/sa/security_header.h"

namespace gmesp::sa {

inline void PrintTo(HeaderError error, std::ostream* out) {
  *out << info(error).name;
}

inline HeaderError parse(std::initializer_list<std::string_view> lines, SecurityList& list) {
  return parse_security_list(std::span(lines.begin(), lines.size()), list);
}

inline SecurityList parsed(std::initializer_list<std::string_view> lines) {
  SecurityList list;
  EXPECT_EQ(parse(lines, list), HeaderError::kNone);
  return list;
}

inline Offer offered(std::initializer_list<std::string_view> lines) {
  Offer offer;
  EXPECT_EQ(read_offer(parsed(lines), offer), HeaderError::kNone);
  return offer;
}

inline const std::string kSas = ";spi-c=0000000300;spi-s=4294967295;port-c=6000;port-s=65535";
inline const std::string kPlain = "ipsec-3gpp;alg=hmac-sha-1-96" + kSas;

inline constexpr AlgorithmPair kSha1Aes = {Integrity::kHmacSha1_96, Cipher::kAesCbc};
inline constexpr AlgorithmPair kSha1Des = {Integrity::kHmacSha1_96, Cipher::kDesEde3Cbc};
inline constexpr AlgorithmPair kSha1Null = {Integrity::kHmacSha1_96, Cipher::kNull};
inline constexpr AlgorithmPair kMd5Aes = {Integrity::kHmacMd5_96, Cipher::kAesCbc};
inline constexpr AlgorithmPair kMd5Des = {Integrity::kHmacMd5_96, Cipher::kDesEde3Cbc};
inline constexpr AlgorithmPair kMd5Null = {Integrity::kHmacMd5_96, Cipher::kNull};
inline constexpr AlgorithmPair kAllPairs[] = {kSha1Aes, kSha1Des, kSha1Null,
                                              kMd5Aes,  kMd5Des,  kMd5Null};

}  // namespace gmesp::sa
