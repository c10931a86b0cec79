// libgmesp's connection to gmesp-control for tests: opens or explains, and structs with every field
// set.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "control/client/gmesp_control.h"

namespace gmesp::test {

constexpr int kPatientMs = 10'000;

struct CloseControl {
  void operator()(gmesp_control* control) const { gmesp_control_close(control); }
};
using Control = std::unique_ptr<gmesp_control, CloseControl>;

struct OpenedControl {
  Control control;
  int error = 0;
  std::string detail;
};

inline OpenedControl try_control(const std::string& path, bool wants_events = false,
                                 int timeout_ms = kPatientMs) {
  gmesp_control_options options;
  GMESP_INIT(&options);
  options.wants_events = wants_events ? 1 : 0;
  options.timeout_ms = timeout_ms;
  options.socket_path = path.c_str();
  gmesp_control* control = nullptr;
  char detail[GMESP_DETAIL_BYTES];
  OpenedControl opened;
  opened.error = gmesp_control_open(&options, &control, detail, sizeof detail);
  opened.control.reset(control);
  opened.detail = detail;
  return opened;
}

inline Control open_control(const std::string& path, bool wants_events = false) {
  OpenedControl opened = try_control(path, wants_events);
  EXPECT_EQ(opened.error, GMESP_OK) << gmesp_strerror(opened.error) << ": " << opened.detail;
  return std::move(opened.control);
}

inline gmesp_verdict make_verdict() {
  gmesp_verdict verdict;
  GMESP_INIT(&verdict);
  return verdict;
}

inline gmesp_control_event make_control_event() {
  gmesp_control_event event;
  GMESP_INIT(&event);
  return event;
}

/// Asks where to send to `impi`: the smallest call.
inline int route(gmesp_control* control, const char* impi, gmesp_verdict& verdict,
                 int timeout_ms = kPatientMs) {
  gmesp_destination destination;
  GMESP_INIT(&destination);
  destination.impi = impi;
  return gmesp_route(control, &destination, &verdict, timeout_ms);
}

inline int submit_route(gmesp_control* control, const char* impi, uint64_t tag) {
  gmesp_destination destination;
  GMESP_INIT(&destination);
  destination.impi = impi;
  return gmesp_submit_route(control, &destination, tag);
}

inline std::string detail_of(const Control& control) {
  return gmesp_control_detail(control.get());
}

}  // namespace gmesp::test
