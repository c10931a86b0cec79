// gmespctl sa load: a file of sets, one JSON object a line, with as many installs under way as
// gmespd takes.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

/// Tells how far the load is: a line that renews itself for people, now and then one for logs.
class Progress {
 public:
  void tell(uint64_t lines, uint64_t installed) {
    if (lines % (is_terminal_ ? kTerminalEveryLines : kLogEveryLines) != 0) return;
    fmt::print(stderr, "{}{} lines read, {} sets installed{}", is_terminal_ ? "\r" : "", lines,
               installed, is_terminal_ ? "" : "\n");
    is_line_open_ = is_terminal_;
  }
  /// Before anything else is printed.
  void end_line() {
    if (is_line_open_) fmt::print(stderr, "\n");
    is_line_open_ = false;
  }

 private:
  static constexpr uint64_t kTerminalEveryLines = 10'000;
  static constexpr uint64_t kLogEveryLines = 100'000;
  const bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  bool is_line_open_ = false;
};

class Loader {
 public:
  Loader(const Common& common, const std::string& path, bool keep_going)
      : path_(path), keep_going_(keep_going), connection_(common.socket, GMESP_WRITER) {
    GMESP_INIT(&completion_);
  }

  void load(std::istream& in) {
    for (std::string line; !stopped_ && std::getline(in, line);) {
      ++lines_;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      submit(line);
      explicit_bzero(line.data(), line.size());
      progress_.tell(lines_, installed_);
    }
    while (under_way_ > 0) wait_for_answer();
    progress_.end_line();
  }

  uint64_t installed() const { return installed_; }
  uint64_t failed() const { return failed_; }

 private:
  void submit(const std::string& line) {
    gmesp_sa_set set;
    try {
      set_from_json(line, set);
    } catch (const InputError& error) {
      gmesp_sa_set_wipe(&set);
      return fail(lines_, error.what());
    }
    // Answers are fetched by the handful, so that neither side wakes the other for each of them.
    if (under_way_ >= gmesp_dp_depth(connection_.get())) take_answers();
    const int error = gmesp_dp_submit_install(connection_.get(), &set, lines_);
    gmesp_sa_set_wipe(&set);
    connection_.require(error, path_);
    ++under_way_;
  }

  /// Waits for one answer and takes all that are there.
  void take_answers() {
    wait_for_answer();
    while (under_way_ > 0 && connection_.poll_completion(completion_)) count_answer();
  }

  void wait_for_answer() {
    connection_.next_completion(completion_);
    count_answer();
  }

  void count_answer() {
    --under_way_;
    if (completion_.error == GMESP_OK)
      ++installed_;
    else
      fail(completion_.tag, failure_text("install", completion_.error, completion_.detail));
  }

  void fail(uint64_t line, const std::string& text) {
    ++failed_;
    progress_.end_line();
    fmt::print(stderr, "{}:{}: {}\n", path_, line, text);
    stopped_ = !keep_going_;
  }

  const std::string path_;
  const bool keep_going_;
  Connection connection_;
  Progress progress_;
  gmesp_completion completion_;
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
    if (!file) throw InputError(fmt::format("{}: {}", path, std::strerror(errno)));
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
