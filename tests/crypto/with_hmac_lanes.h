// For tests of ICVs in lanes: once for each algorithm, where the CPU has the lanes.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "crypto/hmac_lanes.h"
#include "reference.h"

namespace gmesp::crypto::test {

class WithHmacLanes : public testing::TestWithParam<Integrity> {
 public:
  static auto algorithms() {
    return testing::Values(Integrity::kHmacMd5_96, Integrity::kHmacSha1_96);
  }
  static std::string name(const testing::TestParamInfo<Integrity>& integrity) {
    return integrity.param == Integrity::kHmacMd5_96 ? "Md5" : "Sha1";
  }

 protected:
  void SetUp() override {
    if (!has_hmac_lanes()) GTEST_SKIP() << "no AVX-512 on this CPU";
  }
  Random random_{7};
};

}  // namespace gmesp::crypto::test
