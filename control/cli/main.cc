// gmespctl: what operators do with a running gmespd. Only the public C library is used.
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/screen_commands.h"
#include "control/cli/set_json.h"
#include "control/client/gmesp_control.h"

namespace gmesp::cli {
namespace {

constexpr const char* kFooter =
    "Exit status: 0 done; 1 refused, or a line of `sa load` failed; 2 wrong command line or "
    "input;\n"
    "3 no daemon at the socket, or it does not answer. Times are seconds (s), sizes bytes (B).";

/// Everything the command line can say; callbacks run the command and set `status`.
struct Program {
  CLI::App app{
      "Looks at and changes a running gmespd, the ESP data plane of a P-CSCF, and\n"
      "gmesp-control, which holds the registrations",
      "gmespctl"};
  Common common{.socket = GMESP_DEFAULT_SOCKET, .control_socket = GMESP_CONTROL_DEFAULT_SOCKET};
  std::string text;
  std::vector<std::string> ids;
  AddOptions add_options;
  ListFilter filter;
  ScreenTest screen_options;
  KeyExport key_export;
  uint64_t events_max = 0;
  uint64_t refusals_max = 20;
  bool flag = false;
  int status = kDone;

  Program() {
    app.footer(kFooter);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("--socket", common.socket, "gmespd's control socket")
        ->capture_default_str()
        ->each([this](const std::string&) { common.names_socket = true; });
    app.add_option("--control-socket", common.control_socket, "gmesp-control's socket")
        ->capture_default_str()
        ->each([this](const std::string&) { common.names_control_socket = true; });
    app.add_flag("--json", common.json, "machine-readable output");
    add_sa_commands();
    add_queries();
    add_algorithm_commands();
    add_control_commands();
    add_screen_commands();
  }

  CLI::App* command(CLI::App& parent, const char* name, const char* what,
                    std::function<void()> run) {
    CLI::App* sub = parent.add_subcommand(name, what);
    sub->callback(std::move(run));
    sub->fallthrough();
    return sub;
  }

  void add_sa_commands() {
    CLI::App& sa = *app.add_subcommand("sa", "SA sets: the four SAs of one registration");
    sa.require_subcommand(1);
    sa.fallthrough();
    add_sa_add(sa);
    add_export_keys(sa);
    auto* load = command(sa, "load", "install many sets, one JSON object a line",
                         [this] { status = sa_load(common, text, flag); });
    load->add_option("FILE", text, "path, or - for standard input")->required();
    load->add_flag("--keep-going", flag, "go on after a line that fails");
    auto* list = command(sa, "list", "all live sets", [this] { sa_list(common, filter); });
    list->add_option("--ue", filter.ue, "only sets of this UE address, inner or outer");
    list->add_option("--spi", filter.spi, "only sets with this SPI on either side");
    command(sa, "show", "one set with all counters", [this] { sa_show(common, text); })
        ->add_option("ID", text, "as `sa list` shows it")
        ->required();
    command(sa, "del", "remove sets; done when nothing passes on them any more",
            [this] { status = sa_del(common, ids); })
        ->add_option("ID", ids, "as `sa list` shows it")
        ->required();
    command(sa, "flush", "remove every set", [this] {
      sa_flush(common, flag);
    })->add_flag("--yes", flag, "do not ask");
  }

  void add_sa_add(CLI::App& sa) {
    auto* add = command(sa, "add", "install one set, given by a JSON object, by options, or both",
                        [this] { sa_add(common, add_options); });
    add->add_option("OBJECT", add_options.object,
                    "JSON object (control/cli/README.md), or - for standard input");
    add->add_option("--keys-file", add_options.keys_file,
                    "file with the keys as a JSON object, or - for standard input: other users "
                    "can see the keys of a command line");
    for (const AddField& field : kAddFields)
      add->add_option_function<std::string>(
          field.option,
          [this, &field](const std::string& value) { add_options.values[field.field] = value; },
          field.help);
  }

  void add_export_keys(CLI::App& sa) {
    auto* get = command(sa, "export-keys",
                        "keys of live sets, to decrypt a capture; gmespd must run with [sa] "
                        "key_export = true, and logs it",
                        [this] { sa_export_keys(common, key_export); });
    get->add_option("ID", key_export.ids, "as `sa list` shows it");
    get->add_flag("--all", key_export.all, "of every live set");
    get->add_flag("--i-want-keys", key_export.confirmed, "you do");
    get->add_option("--format", key_export.format,
                    "wireshark: lines of its esp_sa table; json: lines for `sa load`")
        ->check(CLI::IsMember({"wireshark", "json"}))
        ->capture_default_str();
    get->add_option("--output", key_export.output,
                    "a new file, for you alone (mode 0600); left out: standard output");
    get->add_flag("--show", key_export.show, "even if standard output is a terminal");
  }

  void add_queries() {
    command(app, "stats", "totals", [this] { stats(common); });
    command(app, "drops", "dropped packets by reason", [this] {
      drops(common, flag);
    })->add_flag("--all", flag, "reasons without a packet too");
    command(app, "ports", "access and host ports", [this] { ports(common); });
    command(app, "info", "version, capacity, engine", [this] { info(common); });
    command(app, "watch", "events as they happen, until interrupted", [this] {
      watch(common, events_max);
    })->add_option("--count", events_max, "end after so many events");
  }

  void add_algorithm_commands() {
    CLI::App& algorithm = *app.add_subcommand("algorithm", "which algorithms new sets may use");
    algorithm.require_subcommand(1);
    algorithm.fallthrough();
    auto* withdraw = command(algorithm, "withdraw", "refuse it for new sets",
                             [this] { change_algorithm(common, text, true, flag); });
    withdraw->add_option("NAME", text, "hmac-md5-96, hmac-sha-1-96, null, aes-cbc or des-ede3-cbc")
        ->required();
    withdraw->add_flag("--remove-live", flag, "remove the live sets that use it, too");
    command(algorithm, "restore", "allow it again",
            [this] { change_algorithm(common, text, false, false); })
        ->add_option("NAME", text, "as for withdraw")
        ->required();
  }

  void add_screen_commands() {
    CLI::App& screen = *app.add_subcommand("screen", "rules of gmespd's SIP screen");
    screen.require_subcommand(1);
    screen.fallthrough();
    auto* load = command(screen, "load", "put other rules in force; after an error the old stay",
                         [this] { screen_load(common, ids, flag); });
    load->add_option("FILE", ids, "rule files, beside the shipped rules");
    load->add_flag("--configured", flag, "those of gmespd's configuration, read again");
    command(screen, "list", "the rules in force", [this] { screen_list(common); });
    command(screen, "stats", "what passed and what did not, and the rules that matched",
            [this] { screen_stats(common); });
    ScreenTest& options = screen_options;
    auto* test = command(screen, "test", "what would match in a capture; needs no gmespd",
                         [this] { status = screen_test(common, screen_options); });
    test->add_option("FILE", options.capture, "pcap or pcapng")->required();
    test->add_option("--rules", options.rules, "rule files, instead of the shipped one");
    test->add_option("--action", options.action, "of rules that name none")->capture_default_str();
    test->add_option("--protected-ports", options.protected_ports,
                     "messages to these ports came protected")
        ->capture_default_str();
    test->add_option("--to", options.to, "messages to this address only, as the P-CSCF's");
  }

  void add_control_commands() {
    command(app, "registrations", "users with their SA sets, as gmesp-control holds them", [this] {
      registrations(common, text);
    })->add_option("--impi", text, "of this user only");
    command(app, "refusals", "what gmesp-control refused lately, youngest first",
            [this] { refusals(common, refusals_max); })
        ->add_option("-n", refusals_max, "at most so many, 0: all that are kept")
        ->capture_default_str();
    CLI::App& control = *app.add_subcommand("control", "gmesp-control itself");
    control.require_subcommand(1);
    control.fallthrough();
    command(control, "stats", "its totals", [this] { control_stats(common); });
    command(app, "evict", "remove all SAs of a user at once", [this] { evict(common, text); })
        ->add_option("IMPI", text, "as `registrations` shows it")
        ->required();
    command(app, "reload", "have gmesp-control read its configuration again",
            [this] { reload(common); });
  }
};

/// Keys pass through this process (R-D-K2): no core dump, no debugger of the same user, and the C
/// library overwrites memory when it is freed, that of the JSON parser too.
void protect_keys() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_DUMPABLE, 0);
  constexpr int kFreedByte = 0xa5;
  mallopt(M_PERTURB, kFreedByte);
}

}  // namespace
}  // namespace gmesp::cli

int main(int argc, char** argv) {
  using namespace gmesp::cli;
  protect_keys();
  Program program;
  try {
    program.app.parse(argc, argv);
    return program.status;
  } catch (const CLI::ParseError& error) {
    return program.app.exit(error) == 0 ? kDone : kUsage;
  } catch (const InputError& error) {
    std::fprintf(stderr, "gmespctl: %s\n", error.what());
    return kUsage;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "gmespctl: %s\n", failure.what());
    return failure.status;
  }
}
