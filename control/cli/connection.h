// gmespctl's connection to gmespd: opened by role, errors as exceptions that main() turns into a
// line and an exit status.
//
// Ownership: closes in the destructor. Threading: one thread.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "control/client/gmesp.h"

namespace gmesp::cli {

/// Exit statuses, as `gmespctl --help` tells them.
enum ExitStatus : int {
  kDone = 0,
  kRefused = 1,       ///< gmespd answered no
  kUsage = 2,         ///< command line or input is wrong
  kNoConnection = 3,  ///< no gmespd, or it does not answer
};

struct Failure : std::runtime_error {
  Failure(ExitStatus exit_status, const std::string& text)
      : std::runtime_error(text), status(exit_status) {}
  ExitStatus status;
};

class Connection {
 public:
  /// How long one answer may take.
  static constexpr int kTimeoutMs = 10'000;

  Connection(const std::string& socket, gmesp_role role, bool wants_events = false);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  gmesp_dp* get() const { return dp_; }
  /// Throws unless `error` is GMESP_OK; `what` begins the message.
  void require(int error, const std::string& what) const;

  /// Fetches a completion if there is one. Throws if the connection ended.
  bool poll_completion(gmesp_completion& completion) const;
  /// Waits for a completion. Throws if none comes in kTimeoutMs.
  void next_completion(gmesp_completion& completion) const;

 private:
  gmesp_dp* dp_ = nullptr;
};

/// "what: error text: detail".
std::string failure_text(const std::string& what, int error, const std::string& detail);
ExitStatus exit_status_of(int error);

}  // namespace gmesp::cli
