// gmespd: options and configuration first, everything else only if they are right.
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "control/settings/log.h"
#include "dataplane/config.h"
#include "dataplane/daemon.h"
#include "dataplane/options.h"

namespace gmesp::dataplane {
namespace {

int start(const Options& options) {
  ConfigResult result = options.config_path.empty() ? parse_config("", "built-in defaults")
                                                    : load_config(options.config_path);
  for (const auto& error : result.errors) std::fprintf(stderr, "%s\n", to_string(error).c_str());
  if (!result.errors.empty()) return kExitBadConfig;
  override_settings(options, result.config);
  if (options.print_config) std::fputs(config_text(result.config).c_str(), stdout);
  if (options.print_config || options.check_config) return EXIT_SUCCESS;
  settings::set_up_log("gmespd", result.config.log.level, result.config.log.format);
  return run(result.config);
}

}  // namespace
}  // namespace gmesp::dataplane

int main(int argc, char** argv) {
  using gmesp::dataplane::Config;
  gmesp::settings::set_up_log("gmespd", Config::Log{}.level,
                              Config::Log{}.format);  // until the configuration says how
  // virtio-user and memif write to sockets whose other end may die.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return gmesp::dataplane::start(gmesp::dataplane::parse_options(argc, argv));
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return gmesp::dataplane::kExitFailed;
  }
}
