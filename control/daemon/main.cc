// gmesp-control: options and configuration first, then one event loop until SIGTERM or SIGINT.
// SIGHUP reads the configuration again.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "control/client/gmesp.h"
#include "control/daemon/config.h"
#include "control/daemon/control_plane.h"
#include "control/daemon/heap.h"
#include "control/daemon/version.h"

namespace gmesp::control {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitBadConfig = 3;
constexpr uint64_t kLongestWaitMs = 1000;

struct Options {
  std::string config_path;
  bool check_config = false;
  bool print_config = false;
};

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app(
      "gmesp-control: life cycle of the security associations of a P-CSCF (3GPP TS 33.203)",
      "gmesp-control");
  app.set_version_flag("--version", fmt::format("gmesp-control {}", kVersionText));
  app.add_option("-c,--config", options.config_path,
                 "TOML file; without it the built-in defaults hold");
  app.add_flag("--check-config", options.check_config,
               "report every error of the configuration, start nothing");
  app.add_flag("--print-config", options.print_config,
               "print the configuration in force, with comments, start nothing");
  app.footer(
      fmt::format("SIGHUP reads the configuration again.\n"
                  "Exit status: 0 stopped by SIGINT or SIGTERM, or configuration right; "
                  "{} could not start\nor run; {} wrong command line; {} wrong "
                  "configuration.",
                  kExitFailed, kExitUsage, kExitBadConfig));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    std::exit(app.exit(end) == 0 ? EXIT_SUCCESS : kExitUsage);
  }
  return options;
}

int make_signal_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

/// What is wrong with the new configuration, all of it; empty if it is in force now.
std::string reload(const std::string& path, ControlPlane& control_plane) {
  if (path.empty()) return "gmesp-control was started without a configuration file";
  const ConfigResult result = load_config(path);
  std::string wrong;
  for (const settings::Error& error : result.errors)
    wrong += (wrong.empty() ? "" : "; ") + to_string(error);
  if (!wrong.empty()) {
    spdlog::error("configuration not taken over: {}", wrong);
    return wrong;
  }
  control_plane.set_policy(policy_of(result.config));
  spdlog::info("configuration read again; sockets, state file, SPI range and resting time stay");
  return {};
}

/// 0: go on; else the signal that ends the program.
int take_signals(int descriptor, const std::string& path, ControlPlane& control_plane) {
  signalfd_siginfo signal;
  while (read(descriptor, &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    if (signal.ssi_signo != SIGHUP) return static_cast<int>(signal.ssi_signo);
    reload(path, control_plane);
  }
  return 0;
}

int run(const Options& options, const Config& config) {
  const int signals = make_signal_descriptor();
  // Keys pass through this process: no core dump, no other user's debugger.
  prctl(PR_SET_DUMPABLE, 0);
  ControlPlane control_plane(options_of(config));
  control_plane.on_reload([&] { return reload(options.config_path, control_plane); });
  spdlog::info("gmesp-control {} runs: control socket {}, gmespd at {}", kVersionText,
               config.control.socket, config.data_plane.socket);
  bool is_over = false;
  control_plane.watch(
      signals, [&] { is_over = take_signals(signals, options.config_path, control_plane) != 0; });
  while (!is_over) control_plane.run_once(kLongestWaitMs);
  spdlog::info("stopping; live SAs stay in gmespd");
  close(signals);
  return EXIT_SUCCESS;
}

int start(const Options& options, char** argv) {
  const ConfigResult result = options.config_path.empty() ? parse_config("", "built-in defaults")
                                                          : load_config(options.config_path);
  for (const settings::Error& error : result.errors)
    std::fprintf(stderr, "%s\n", to_string(error).c_str());
  if (!result.errors.empty()) return kExitBadConfig;
  if (options.print_config) std::fputs(config_text(result.config).c_str(), stdout);
  if (options.print_config || options.check_config) return EXIT_SUCCESS;
  settings::set_up_log("gmesp-control", result.config.log.level, result.config.log.format);
  take_huge_pages(argv);
  return run(options, result.config);
}

}  // namespace
}  // namespace gmesp::control

int main(int argc, char** argv) {
  gmesp::settings::set_up_log("gmesp-control", gmesp::settings::LogLevel::kInfo,
                              gmesp::settings::LogFormat::kText);
  try {
    return gmesp::control::start(gmesp::control::parse_options(argc, argv), argv);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return 1;
  }
}
