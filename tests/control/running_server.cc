#include "running_server.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include <chrono>
#include <filesystem>

namespace gmesp::test {

uint64_t boottime_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

TemporaryFolder::TemporaryFolder() {
  char name[] = "/tmp/gmesp-control-XXXXXX";
  path_ = mkdtemp(name);
}

TemporaryFolder::~TemporaryFolder() {
  std::filesystem::remove_all(path_);
}

RunningServer::RunningServer(shm::ServerOptions options, uint32_t capacity_sets)
    : options_(std::move(options)), table_(std::make_unique<ModelTable>(capacity_sets)) {
  options_.socket_path = folder_.path() + "/gmespd.sock";
  server_ = std::make_unique<shm::Server>(options_, *table_);
  table_->attach(*server_);
  thread_ = std::thread([this] { run(); });
}

RunningServer::~RunningServer() {
  stop();
}

void RunningServer::stop() {
  stops_ = true;
  if (thread_.joinable()) thread_.join();
  server_.reset();
}

void RunningServer::run() {
  constexpr int kRoundMs = 5;
  const int poll_fd = server_->poll_fd();
  while (!stops_) {
    pollfd ready{poll_fd, POLLIN, 0};
    poll(&ready, 1, kRoundMs);
    if (!run_round()) std::this_thread::sleep_for(std::chrono::milliseconds(kRoundMs));
  }
}

/// False while hung.
bool RunningServer::run_round() {
  const std::lock_guard guard(mutex_);
  if (hangs_) return false;
  server_->poll();
  table_->expire(boottime_ms());
  server_->heartbeat(boottime_ms());
  return true;
}

bool RunningServer::eventually(const std::function<bool(ModelTable&)>& holds) {
  const uint64_t until_ms = boottime_ms() + 5000;
  while (!locked([&](ModelTable& table, shm::Server&) { return holds(table); })) {
    if (boottime_ms() > until_ms) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace gmesp::test
