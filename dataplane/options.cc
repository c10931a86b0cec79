#include "dataplane/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "dataplane/config_schema.h"
#include "dataplane/version.h"

namespace gmesp::dataplane {

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("gmespd: ESP data plane of a P-CSCF (3GPP TS 33.203)", "gmespd");
  app.set_version_flag("--version", fmt::format("gmespd {}", kVersion));
  app.add_option("-c,--config", options.config_path,
                 "TOML file; without it the built-in defaults hold");
  app.add_flag("--check-config", options.check_config,
               "report every error of the configuration, start nothing");
  app.add_flag("--print-config", options.print_config,
               "print the configuration in force, with comments, start nothing");
  app.add_option("--socket", options.socket, "instead of control.socket")
      ->check([](const std::string& path) {
        return is_path(path) && path.size() <= settings::kSocketPathBytesMax
                   ? std::string()
                   : fmt::format("found {}, allowed an absolute path of at most {} bytes", path,
                                 settings::kSocketPathBytesMax);
      });
  std::vector<std::string> levels;
  for (const auto& [name, level] : kLogLevelNames) levels.emplace_back(name);
  app.add_option("--log-level", options.log_level, "instead of log.level")
      ->check(CLI::IsMember(levels));
  app.footer(
      fmt::format("Exit status: 0 stopped by SIGINT or SIGTERM, or configuration right; "
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

void override_settings(const Options& options, Config& config) {
  if (!options.socket.empty()) config.control.socket = options.socket;
  for (const auto& [name, level] : kLogLevelNames)
    if (name == options.log_level) config.log.level = level;
}

}  // namespace gmesp::dataplane
