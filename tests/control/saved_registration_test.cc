// A registration as the state file holds it.
#include "control/daemon/saved_registration.h"

#include <gtest/gtest.h>

namespace gmesp::control {
namespace {

sa::SaSet make_set(sa::SetNumber number, sa::SetState state) {
  sa::SaSet set{};
  set.number = number;
  set.data_plane_id = number << 8;
  set.not_after_ms = 1000 + number;
  set.drop_at_ms = 2000 + number;
  set.ue.fill(static_cast<uint8_t>(number));
  set.local.fill(9);
  set.ik_fingerprint.fill(3);
  set.ck_fingerprint.fill(4);
  set.spi_uc = 300;
  set.spi_us = 301;
  set.spi_pc = 302;
  set.spi_ps = 303;
  set.port_uc = 40;
  set.port_us = 41;
  set.port_pc = 42;
  set.port_ps = 43;
  set.peer_port = 44;
  set.mode = sa::Mode::kUdpEncapsulatedTunnel;
  set.algorithms = {sa::Integrity::kHmacMd5_96, sa::Cipher::kDesEde3Cbc};
  set.state = state;
  set.has_hints = true;
  return set;
}

// Shows: R-C-03
TEST(SavedRegistration, ReadsBackWhatWasSavedWithoutUnfinishedSets) {
  sa::SaSet live = make_set(7, sa::SetState::kLive);
  sa::SaSet lingering = make_set(8, sa::SetState::kLingering);
  sa::SaSet unfinished = make_set(9, sa::SetState::kRegistration);
  sa::Context context;
  context.impi = "user@ims.test";
  context.registration_key = "urn:uuid:1";
  context.impus = {"sip:user@ims.test", "tel:+1"};
  context.latest = 7;
  context.old = 8;
  context.has_switched = true;
  context.sets = {&live, &lingering, &unfinished};

  sa::Context read;
  std::vector<sa::SaSet> sets;
  ASSERT_TRUE(read_registration(save_registration(context), read, sets));
  EXPECT_EQ(read.impi, context.impi);
  EXPECT_EQ(read.registration_key, context.registration_key);
  EXPECT_EQ(read.impus, context.impus);
  EXPECT_EQ(read.latest, 7u);
  EXPECT_EQ(read.old, 8u);
  EXPECT_TRUE(read.has_switched);
  ASSERT_EQ(sets.size(), 2u);
  const sa::SaSet& set = sets[0];
  EXPECT_EQ(set.number, 7u);
  EXPECT_EQ(set.data_plane_id, live.data_plane_id);
  EXPECT_EQ(set.not_after_ms, live.not_after_ms);
  EXPECT_EQ(set.drop_at_ms, live.drop_at_ms);
  EXPECT_EQ(set.ue, live.ue);
  EXPECT_EQ(set.local, live.local);
  EXPECT_EQ(set.ik_fingerprint, live.ik_fingerprint);
  EXPECT_EQ(set.ck_fingerprint, live.ck_fingerprint);
  EXPECT_EQ(std::vector({set.spi_uc, set.spi_us, set.spi_pc, set.spi_ps}),
            std::vector<uint32_t>({300, 301, 302, 303}));
  EXPECT_EQ(std::vector({set.port_uc, set.port_us, set.port_pc, set.port_ps, set.peer_port}),
            std::vector<uint16_t>({40, 41, 42, 43, 44}));
  EXPECT_EQ(set.mode, live.mode);
  EXPECT_EQ(set.algorithms, live.algorithms);
  EXPECT_EQ(set.state, sa::SetState::kLive);
  EXPECT_TRUE(set.has_hints);
  EXPECT_EQ(sets[1].state, sa::SetState::kLingering);
}

TEST(SavedRegistration, IdentitiesThatFindNoRoomAreLeftOut) {
  sa::SaSet live = make_set(7, sa::SetState::kLive);
  sa::Context context;
  context.impi = "user@ims.test";
  context.sets = {&live};
  context.impus.assign(100, "sip:" + std::string(250, 'u'));
  sa::Context read;
  std::vector<sa::SaSet> sets;
  ASSERT_TRUE(read_registration(save_registration(context), read, sets));
  EXPECT_EQ(sets.size(), 1u);
  EXPECT_GT(read.impus.size(), 20u);
  EXPECT_LT(read.impus.size(), 100u);
}

TEST(SavedRegistration, WhatIsCutOrBentIsRefused) {
  sa::SaSet live = make_set(7, sa::SetState::kLive);
  sa::Context context;
  context.impi = "user@ims.test";
  context.sets = {&live};
  const std::string good = save_registration(context);
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    sa::Context read;
    std::vector<sa::SaSet> sets;
    EXPECT_FALSE(read_registration(good.substr(0, bytes), read, sets)) << bytes;
  }
  live.state = sa::SetState::kLive;
  live.mode = static_cast<sa::Mode>(9);
  sa::Context read;
  std::vector<sa::SaSet> sets;
  EXPECT_FALSE(read_registration(save_registration(context), read, sets));
}

}  // namespace
}  // namespace gmesp::control
