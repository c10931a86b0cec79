// libgmesp for tests: opens or explains, and sets that gmespd would take.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "control/client/gmesp.h"

namespace gmesp::test {

struct CloseDp {
  void operator()(gmesp_dp* dp) const { gmesp_dp_close(dp); }
};
using Dp = std::unique_ptr<gmesp_dp, CloseDp>;

constexpr int kTimeoutMs = 10'000;

struct Opened {
  Dp dp;
  int error = 0;
  std::string detail;
};

inline Opened open_dp(const std::string& socket_path, gmesp_role role, bool wants_events = false,
                      int timeout_ms = kTimeoutMs) {
  gmesp_dp_options options;
  GMESP_INIT(&options);
  options.role = role;
  options.wants_events = wants_events ? 1 : 0;
  options.timeout_ms = timeout_ms;
  options.socket_path = socket_path.c_str();
  gmesp_dp* dp = nullptr;
  char detail[GMESP_DETAIL_BYTES];
  Opened opened;
  opened.error = gmesp_dp_open(&options, &dp, detail, sizeof detail);
  opened.dp.reset(dp);
  opened.detail = detail;
  return opened;
}

inline Dp writer(const std::string& socket_path, bool wants_events = false) {
  Opened opened = open_dp(socket_path, GMESP_WRITER, wants_events);
  EXPECT_EQ(opened.error, GMESP_OK) << gmesp_strerror(opened.error) << ": " << opened.detail;
  return std::move(opened.dp);
}

inline Dp reader(const std::string& socket_path, bool wants_events = false) {
  Opened opened = open_dp(socket_path, GMESP_READER, wants_events);
  EXPECT_EQ(opened.error, GMESP_OK) << gmesp_strerror(opened.error) << ": " << opened.detail;
  return std::move(opened.dp);
}

/// A set different for each number.
inline gmesp_sa_set make_set(uint32_t number) {
  gmesp_sa_set set;
  GMESP_INIT(&set);
  set.mode = GMESP_MODE_TRANSPORT;
  set.integrity = GMESP_INTEGRITY_HMAC_SHA1_96;
  set.cipher = GMESP_CIPHER_AES_CBC;
  set.port_uc = 5100;
  set.port_us = 5200;
  set.port_pc = 6100;
  set.port_ps = 6200;
  set.spi_uc = 0x10000000 + number;
  set.spi_us = 0x20000000 + number;
  set.spi_pc = 0x30000000 + number;
  set.spi_ps = 0x40000000 + number;
  EXPECT_EQ(gmesp_address_from_text("10.0.0.2", set.ue_address), GMESP_OK);
  EXPECT_EQ(gmesp_address_from_text("192.0.2.1", set.local_address), GMESP_OK);
  set.not_after_ms = GMESP_FOREVER;
  set.cookie = number;
  set.integrity_key_bytes = 20;
  set.cipher_key_bytes = 16;
  memset(set.integrity_key, 0xa1, 20);
  memset(set.cipher_key, 0xc2, 16);
  return set;
}

inline gmesp_set_view make_view() {
  gmesp_set_view view;
  GMESP_INIT(&view);
  return view;
}

inline gmesp_completion make_completion() {
  gmesp_completion completion;
  GMESP_INIT(&completion);
  return completion;
}

inline gmesp_event make_event() {
  gmesp_event event;
  GMESP_INIT(&event);
  return event;
}

}  // namespace gmesp::test
