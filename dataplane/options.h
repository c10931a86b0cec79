// The command line of gmespd.
//
// Threading: main thread. Errors: a wrong command line ends the process with its message and status
// 2, --help and --version with status 0; that is the command line library's own way.
#pragma once

#include <string>

#include "dataplane/config.h"

namespace gmesp::dataplane {

/// Exit statuses, as --help tells them.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadConfig = 3;

struct Options {
  std::string config_path;  ///< empty: built-in defaults
  std::string socket;       ///< empty: as configured
  std::string log_level;    ///< empty: as configured
  bool check_config = false;
  bool print_config = false;
};

Options parse_options(int argc, char** argv);
/// Options that stand for settings take their places.
void override_settings(const Options& options, Config& config);

}  // namespace gmesp::dataplane
