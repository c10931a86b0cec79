// gmespctl sa load: a file of sets, one JSON object a line, with as many installs under way as
// gmespd takes.
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

class Loader {
 public:
  Loader(const Common& common, const std::string& path, bool keep_going)
      : path_(path), keep_going_(keep_going), connection_(common.socket, GMESP_WRITER) {}

  void load(std::istream& in) {
    for (std::string line; !stopped_ && std::getline(in, line);) {
      ++lines_;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      submit(line);
      explicit_bzero(line.data(), line.size());
      while (under_way_ >= gmesp_dp_depth(connection_.get())) wait_for_answers();
      tell_progress();
    }
    while (under_way_ > 0) wait_for_answers();
  }

  uint64_t installed() const { return installed_; }
  uint64_t failed() const { return failed_; }

 private:
  void submit(const std::string& line) {
    gmesp_sa_set set;
    try {
      set_from_json(line, set);
    } catch (const InputError& error) {
      return fail(lines_, error.what());
    }
    const int error = gmesp_dp_submit_install(connection_.get(), &set, lines_);
    gmesp_sa_set_wipe(&set);
    connection_.require(error, path_);
    ++under_way_;
    take_answers();
  }

  void wait_for_answers() {
    const uint64_t before = under_way_;
    take_answers();
    if (under_way_ != before) return;
    pollfd waiting = {gmesp_dp_fd(connection_.get()), POLLIN, 0};
    if (poll(&waiting, 1, Connection::kTimeoutMs) == 0)
      throw Failure(kNoConnection, "gmespd did not answer in 10 s");
    take_answers();
  }

  void take_answers() {
    gmesp_completion completion;
    GMESP_INIT(&completion);
    for (;;) {
      const int error = gmesp_dp_poll_completion(connection_.get(), &completion);
      if (error == GMESP_E_AGAIN) {
        arm();
        return;
      }
      connection_.require(error, path_);
      --under_way_;
      if (completion.error == GMESP_OK)
        ++installed_;
      else
        fail(completion.tag, failure_text("install", completion.error, completion.detail));
    }
  }

  /// gmesp.h: the descriptor is armed when both polls have said "again".
  void arm() {
    gmesp_event event;
    GMESP_INIT(&event);
    while (gmesp_dp_poll_event(connection_.get(), &event) == GMESP_OK) {
    }
  }

  void fail(uint64_t line, const std::string& text) {
    ++failed_;
    fmt::print(stderr, "{}:{}: {}\n", path_, line, text);
    stopped_ = !keep_going_;
  }

  void tell_progress() {
    constexpr uint64_t kEveryLines = 100'000;
    if (lines_ % kEveryLines == 0)
      fmt::print(stderr, "{} lines read, {} sets installed\n", lines_, installed_);
  }

  const std::string path_;
  const bool keep_going_;
  Connection connection_;
  uint64_t lines_ = 0;
  uint64_t under_way_ = 0;
  uint64_t installed_ = 0;
  uint64_t failed_ = 0;
  bool stopped_ = false;
};

}  // namespace

int sa_load(const Common& common, const std::string& path, bool keep_going) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw InputError(fmt::format("{}: cannot be read", path));
  }
  Loader loader(common, path, keep_going);
  const uint64_t started_ms = gmesp_now_ms();
  loader.load(path == "-" ? std::cin : file);
  const double seconds = static_cast<double>(gmesp_now_ms() - started_ms + 1) / 1000;
  const double rate = static_cast<double>(loader.installed()) / seconds;
  if (common.json)
    fmt::print("{}\n", nlohmann::ordered_json{{"installed", loader.installed()},
                                              {"failed", loader.failed()},
                                              {"seconds", seconds},
                                              {"sets_per_second", rate}}
                           .dump());
  else
    fmt::print("installed {} sets, {} failed, in {:.2f} s ({:.0f} sets/s)\n", loader.installed(),
               loader.failed(), seconds, rate);
  return loader.failed() == 0 ? kDone : kRefused;
}

}  // namespace gmesp::cli
