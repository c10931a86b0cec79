// Many SA sets to gmespd, as many commands under way as its rings take.
//
// One connection as the writer (libgmesp). Threading: one thread. Errors: std::runtime_error with
// what gmespd answered; the outcome of commands still under way is then not known.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control/client/gmesp.h"
#include "subscriber.h"

namespace gmesp::bench {

class SetWriter {
 public:
  explicit SetWriter(const std::string& socket_path);
  ~SetWriter();
  SetWriter(const SetWriter&) = delete;
  SetWriter& operator=(const SetWriter&) = delete;

  gmesp_info info();

  /// Sends one command; false: fetch answers first. The answer carries the tag.
  bool try_install(const gmesp_sa_set& set, uint64_t tag);
  bool try_remove(uint64_t set_id, uint64_t tag);
  /// Fetches one answer; false: there is none yet. Throws if gmespd refused the command.
  bool next_answer(gmesp_completion& answer);
  /// Sleeps until there may be an answer, at most `timeout_ms`.
  void wait(int timeout_ms);

  /// Sets `first` and the `count - 1` behind it; `done(n)` after each answer. Returns their ids, by
  /// number.
  std::vector<uint64_t> install(
      const SubscriberOptions& subscribers, uint32_t first, uint32_t count,
      const std::function<void(uint32_t)>& done = [](uint32_t) {});
  void remove(
      const std::vector<uint64_t>& set_ids,
      const std::function<void(uint32_t)>& done = [](uint32_t) {});

 private:
  /// `count` commands, each sent by `send(n)` with n as its tag.
  void run(uint32_t count, const std::function<bool(uint32_t)>& send,
           const std::function<void(const gmesp_completion&)>& answered);
  bool sent(int error);
  [[noreturn]] void fail(int error, const char* detail) const;

  gmesp_dp* dp_ = nullptr;
};

}  // namespace gmesp::bench
