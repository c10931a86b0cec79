#include "control/cli/connection.h"

#include <poll.h>

namespace gmesp::cli {

std::string failure_text(const std::string& what, int error, const std::string& detail) {
  std::string text = what + ": " + gmesp_strerror(error);
  if (!detail.empty()) text += ": " + detail;
  return text;
}

/// 1 to 99 are gmespd's own answers (gmesp.h).
ExitStatus exit_status_of(int error) {
  return error < 100 ? kRefused : kNoConnection;
}

Connection::Connection(const std::string& socket, gmesp_role role, bool wants_events) {
  gmesp_dp_options options;
  GMESP_INIT(&options);
  options.role = role;
  options.wants_events = wants_events ? 1 : 0;
  options.socket_path = socket.c_str();
  char detail[GMESP_DETAIL_BYTES] = "";
  const int error = gmesp_dp_open(&options, &dp_, detail, sizeof detail);
  if (error != GMESP_OK) throw Failure(kNoConnection, failure_text(socket, error, detail));
}

Connection::~Connection() {
  gmesp_dp_close(dp_);
}

void Connection::require(int error, const std::string& what) const {
  if (error == GMESP_OK) return;
  throw Failure(exit_status_of(error), failure_text(what, error, gmesp_dp_detail(dp_)));
}

bool Connection::poll_completion(gmesp_completion& completion) const {
  const int error = gmesp_dp_poll_completion(dp_, &completion);
  if (error == GMESP_E_AGAIN) return false;
  require(error, "gmespd");
  return true;
}

void Connection::next_completion(gmesp_completion& completion) const {
  const uint64_t until_ms = gmesp_now_ms() + kTimeoutMs;
  while (!poll_completion(completion)) {
    const uint64_t now_ms = gmesp_now_ms();
    if (now_ms >= until_ms) require(GMESP_E_TIMEOUT, "gmespd");
    pollfd readable{gmesp_dp_fd(dp_), POLLIN, 0};
    poll(&readable, 1, static_cast<int>(until_ms - now_ms));
  }
}

}  // namespace gmesp::cli
