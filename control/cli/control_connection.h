// gmespctl's connection to gmesp-control: opened on construction, errors as exceptions that main()
// turns into a line and an exit status.
//
// Ownership: closes in the destructor. Threading: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "control/client/gmesp_control.h"

namespace gmesp::cli {

class ControlConnection {
 public:
  /// How long one answer may take.
  static constexpr int kTimeoutMs = 10'000;

  /// Throws if gmesp-control cannot be reached.
  explicit ControlConnection(const std::string& socket);
  /// Empty if nobody listens there.
  static std::optional<ControlConnection> find(const std::string& socket);

  gmesp_control* get() const { return control_.get(); }
  /// Throws unless `error` is GMESP_OK; `what` begins the message.
  void require(int error, const std::string& what) const;

 private:
  struct Close {
    void operator()(gmesp_control* control) const { gmesp_control_close(control); }
  };

  explicit ControlConnection(gmesp_control* control) : control_(control) {}

  std::unique_ptr<gmesp_control, Close> control_;
};

}  // namespace gmesp::cli
