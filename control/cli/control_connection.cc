#include "control/cli/control_connection.h"

#include "control/cli/connection.h"
#include "control/cli/printable.h"

namespace gmesp::cli {
namespace {

int open(const std::string& socket, gmesp_control*& control, std::string& detail) {
  gmesp_control_options options;
  GMESP_INIT(&options);
  options.timeout_ms = ControlConnection::kTimeoutMs;
  options.socket_path = socket.c_str();
  char text[GMESP_DETAIL_BYTES] = "";
  const int error = gmesp_control_open(&options, &control, text, sizeof text);
  detail = printable(text);
  return error;
}

}  // namespace

ControlConnection::ControlConnection(const std::string& socket) {
  gmesp_control* control = nullptr;
  std::string detail;
  const int error = open(socket, control, detail);
  if (error != GMESP_OK) throw Failure(kNoConnection, failure_text(socket, error, detail));
  control_.reset(control);
}

std::optional<ControlConnection> ControlConnection::find(const std::string& socket) {
  gmesp_control* control = nullptr;
  std::string detail;
  const int error = open(socket, control, detail);
  if (error == GMESP_E_NOT_CONNECTED) return std::nullopt;
  if (error != GMESP_OK) throw Failure(kNoConnection, failure_text(socket, error, detail));
  return ControlConnection(control);
}

void ControlConnection::require(int error, const std::string& what) const {
  if (error == GMESP_OK) return;
  const ExitStatus status = exit_status_of(error);
  const std::string detail = printable(gmesp_control_detail(control_.get()));
  // The texts of gmesp-control's own answers are gmespd's: its detail says it better.
  if (status == kRefused && !detail.empty()) throw Failure(status, what + ": " + detail);
  throw Failure(status, failure_text(what, error, detail));
}

}  // namespace gmesp::cli
