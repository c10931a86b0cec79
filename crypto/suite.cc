#include "crypto/suite.h"

#include <array>

namespace gmesp::crypto {

std::string_view name(Suite suite) {
  static constexpr std::array<std::string_view, kSuiteCount> kNames = {
      "null/hmac-md5-96",   "aes-cbc/hmac-md5-96",   "des-ede3-cbc/hmac-md5-96",
      "null/hmac-sha-1-96", "aes-cbc/hmac-sha-1-96", "des-ede3-cbc/hmac-sha-1-96",
  };
  return kNames[index_of(suite)];
}

}  // namespace gmesp::crypto
