// A shm::Server with a ModelTable behind it, on a thread of its own, at a socket in a folder of its
// own that goes away with it.
//
// Threading: locked() runs something between two rounds of the server's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "control/shm/server.h"
#include "model_table.h"

namespace gmesp::test {

/// A new folder under /tmp, removed with what is in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class RunningServer {
 public:
  explicit RunningServer(shm::ServerOptions options = {}, uint32_t capacity_sets = 100'000);
  ~RunningServer();

  const std::string& socket_path() const { return options_.socket_path; }
  /// Runs `look` while the server's thread is between two rounds.
  template <class Look>
  auto locked(Look look) {
    const std::lock_guard guard(mutex_);
    return look(*table_, *server_);
  }
  /// True if `holds` becomes true within five seconds.
  bool eventually(const std::function<bool(ModelTable&)>& holds);
  /// While true the server's thread does nothing, as in a hung gmespd.
  void hang(bool hangs) {
    const std::lock_guard guard(mutex_);
    hangs_ = hangs;
  }
  /// As if gmespd had died.
  void stop();

 private:
  void run();
  bool run_round();

  TemporaryFolder folder_;
  shm::ServerOptions options_;
  std::unique_ptr<ModelTable> table_;
  std::unique_ptr<shm::Server> server_;
  std::mutex mutex_;
  std::atomic<bool> stops_ = false;
  bool hangs_ = false;
  std::thread thread_;
};

uint64_t boottime_ms();

}  // namespace gmesp::test
