#include "control/mnl/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include <atomic>

#include "control/client/gmesp.h"

namespace gmesp::mnl {
namespace {

struct Period {
  std::atomic<uint64_t> began_ms;
  std::atomic<unsigned> lines;
};

Period period;

/// Both ways, since a proxy may run in the foreground or as a daemon without stderr.
void write_line(const char* line) {
  syslog(LOG_ERR, "gmesp-mnl: %s", line);
  dprintf(STDERR_FILENO, "gmesp-mnl: %s\n", line);
}

/// Counts a line; false if the period has had its share. Says at a new period what the last lacked.
bool may_write() {
  const uint64_t now_ms = gmesp_now_ms();
  uint64_t began_ms = period.began_ms.load();
  if (now_ms - began_ms >= kReportPeriodMs &&
      period.began_ms.compare_exchange_strong(began_ms, now_ms)) {
    const unsigned lines = period.lines.exchange(0);
    char line[80];
    snprintf(line, sizeof line, "%u more lines were left out", lines - kReportsPerPeriod);
    if (lines > kReportsPerPeriod) write_line(line);
  }
  return period.lines.fetch_add(1) < kReportsPerPeriod;
}

}  // namespace

void report(const char* format, ...) {
  const int kept = errno;
  if (may_write()) {
    char line[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    write_line(line);
  }
  errno = kept;
}

}  // namespace gmesp::mnl
