// For tests of ICVs in lanes: once for each algorithm and width, where the CPU has the lanes.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "crypto/hmac_lanes.h"
#include "lane_widths.h"
#include "reference.h"

namespace gmesp::crypto::test {

class WithHmacLanes : public testing::TestWithParam<std::tuple<Integrity, LaneWidth>> {
 public:
  static auto algorithms() {
    return testing::Combine(testing::Values(Integrity::kHmacMd5_96, Integrity::kHmacSha1_96),
                            lane_widths());
  }
  static std::string name(const testing::TestParamInfo<ParamType>& info) {
    const auto [integrity, width] = info.param;
    return (integrity == Integrity::kHmacMd5_96 ? "Md5" : "Sha1") + lane_width_name(width);
  }

 protected:
  static Integrity integrity() { return std::get<Integrity>(GetParam()); }
  static LaneWidth width() { return std::get<LaneWidth>(GetParam()); }

  void SetUp() override {
    if (!has_hmac_lanes()) GTEST_SKIP() << "no AVX-512 on this CPU";
  }
  Random random_{7};
};

}  // namespace gmesp::crypto::test
