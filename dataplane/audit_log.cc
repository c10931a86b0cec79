#include "dataplane/audit_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "control/settings/log.h"
#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/drop_reason.h"

namespace gmesp::dataplane {
namespace {

uint64_t now_ms(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

/// Events carry CLOCK_BOOTTIME; people read the calendar.
uint64_t wall_time_ms(uint64_t boottime_ms) {
  return now_ms(CLOCK_REALTIME) - (now_ms(CLOCK_BOOTTIME) - boottime_ms);
}

std::string time_text(uint64_t wall_time_ms) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<time_t>(wall_time_ms / 1000)), wall_time_ms % 1000);
}

std::string address_text(const uint8_t (&bytes)[16]) {
  ipsec::Address address;
  std::copy(std::begin(bytes), std::end(bytes), address.bytes.begin());
  return ipsec::text(address);
}

/// Rows are numbered from 0 without kNone.
const ipsec::DropReasonInfo& reason_of(const shm::Event& event) {
  const uint32_t row = event.reason < ipsec::kDropReasonCount ? event.reason + 1u : 0u;
  return ipsec::kDropReasons[row];
}

}  // namespace

std::string audit_text(const shm::Event& event, uint64_t wall_time_ms) {
  const ipsec::DropReasonInfo& reason = reason_of(event);
  std::string line = fmt::format(
      "{} audit {}: {} ({}) from {} port {} to {} port {} protocol {}", time_text(wall_time_ms),
      reason.name, reason.text, reason.clause, address_text(event.source), event.source_port,
      address_text(event.destination), event.destination_port, event.protocol);
  if (event.spi != 0) line += fmt::format(" SPI {:#010x} sequence {}", event.spi, event.sequence);
  if (event.set_id != 0) line += fmt::format(" set {:#x}", event.set_id);
  if (event.suppressed != 0) line += fmt::format(" and {} more before it", event.suppressed);
  return line;
}

std::string audit_json(const shm::Event& event, uint64_t wall_time_ms) {
  const ipsec::DropReasonInfo& reason = reason_of(event);
  return fmt::format(
      R"({{"time":"{}","kind":"audit","reason":{},"clause":{},"text":{},"source":"{}",)"
      R"("source_port":{},"destination":"{}","destination_port":{},"protocol":{},"spi":{},)"
      R"("sequence":{},"set_id":{},"suppressed":{}}})",
      time_text(wall_time_ms), settings::json_quoted(reason.name),
      settings::json_quoted(reason.clause), settings::json_quoted(reason.text),
      address_text(event.source), event.source_port, address_text(event.destination),
      event.destination_port, event.protocol, event.spi, event.sequence, event.set_id,
      event.suppressed);
}

AuditLog::AuditLog(const Config::Log& settings, const std::string& instance)
    : json_(settings.format == Config::LogFormat::kJson),
      path_(settings.audit),
      instance_(instance) {
  if (path_ == "off") return;
  if (path_ == "syslog") {
    openlog(instance_.c_str(), LOG_PID | LOG_NDELAY, LOG_DAEMON);
    sink_ = Sink::kSyslog;
    return;
  }
  sink_ = Sink::kDescriptor;
  descriptor_ = STDERR_FILENO;
  if (path_ == "stderr") return;
  constexpr mode_t kOwnerAndGroup = 0640;  // the lines name users' addresses
  descriptor_ =
      open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, kOwnerAndGroup);
  if (descriptor_ < 0)
    throw std::runtime_error(
        fmt::format("log.audit: cannot append to {}: {}; name another file, "
                    "\"stderr\", \"syslog\" or \"off\"",
                    path_, std::strerror(errno)));
  owned_ = true;
}

AuditLog::~AuditLog() {
  if (owned_) ::close(descriptor_);
  if (sink_ == Sink::kSyslog) closelog();
}

void AuditLog::write(const shm::Event& event) {
  if (sink_ == Sink::kOff) return;
  const uint64_t time_ms = wall_time_ms(event.time_ms);
  std::string line = json_ ? audit_json(event, time_ms) : audit_text(event, time_ms);
  if (sink_ == Sink::kSyslog) return syslog(LOG_NOTICE, "%s", line.c_str());
  line += '\n';
  const bool written =
      ::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (written && failing_)
    spdlog::warn("log.audit: {} takes lines again, {} were lost", path_, lines_lost_);
  if (!written && !failing_)
    spdlog::error("log.audit: cannot write to {}: {}", path_, std::strerror(errno));
  failing_ = !written;
  if (!written) ++lines_lost_;
}

}  // namespace gmesp::dataplane
