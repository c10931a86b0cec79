#include "dataplane/driver_log.h"

#include <rte_log.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>
#include <string_view>
#include <system_error>

namespace gmesp::dataplane {
namespace {

struct Complaints {
  std::mutex mutex;
  std::deque<std::string> lines;
};

Complaints& complaints() {
  static Complaints kept;
  return kept;
}

void keep(std::string_view line) {
  constexpr size_t kLinesMax = 4;
  Complaints& kept = complaints();
  const std::scoped_lock lock(kept.mutex);
  if (std::find(kept.lines.begin(), kept.lines.end(), line) != kept.lines.end()) return;
  if (kept.lines.size() == kLinesMax) kept.lines.pop_front();
  kept.lines.emplace_back(line);
}

/// fopencookie's write function: one call per message, because DPDK flushes after each.
ssize_t write_message(void*, const char* bytes, size_t size) {
  std::string_view text(bytes, size);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    spdlog::debug("dpdk: {}", line);
    if (rte_log_cur_msg_loglevel() <= static_cast<int>(RTE_LOG_ERR)) keep(line);
  }
  return static_cast<ssize_t>(size);
}

}  // namespace

DriverLog::DriverLog() {
  cookie_io_functions_t functions{};
  functions.write = write_message;
  stream_ = fopencookie(nullptr, "w", functions);
  if (stream_ == nullptr) throw std::system_error(errno, std::generic_category(), "fopencookie");
  rte_openlog_stream(stream_);
}

DriverLog::~DriverLog() {
  rte_openlog_stream(nullptr);
  std::fclose(stream_);
}

std::string take_complaints() {
  Complaints& kept = complaints();
  const std::scoped_lock lock(kept.mutex);
  std::string of_drivers;
  std::string of_eal;  // says again, in general, what a driver said first
  for (const std::string& line : kept.lines)
    (line.starts_with("EAL: ") ? of_eal : of_drivers) += "; " + line;
  kept.lines.clear();
  return of_drivers.empty() ? of_eal : of_drivers;
}

}  // namespace gmesp::dataplane
