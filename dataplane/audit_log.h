// Audit lines (RFC 2406 3.4; R-2406-15): what was dropped, why, from whom, and how many like it
// went unsaid.
//
// Threading: the control thread, never a worker. Ownership: the file stays open until the object
// goes; it is opened for appending, so that logrotate's copytruncate works. Errors: the constructor
// throws std::runtime_error naming log.audit; later a line that cannot be written is counted and
// reported once per outage.
#pragma once

#include <cstdint>
#include <string>

#include "control/shm/layout.h"
#include "dataplane/config.h"

namespace gmesp::dataplane {

/// One line without its end; `wall_time_ms` is milliseconds since 1970 (UTC).
std::string audit_text(const shm::Event& event, uint64_t wall_time_ms);
std::string audit_json(const shm::Event& event, uint64_t wall_time_ms);

class AuditLog {
 public:
  AuditLog(const Config::Log& settings, const std::string& instance);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  void write(const shm::Event& event);
  uint64_t lines_lost() const { return lines_lost_; }

 private:
  enum class Sink : uint8_t { kOff, kDescriptor, kSyslog };

  const bool json_;
  const std::string path_;
  const std::string instance_;  ///< syslog keeps a pointer to it
  Sink sink_ = Sink::kOff;
  int descriptor_ = -1;
  bool owned_ = false;
  bool failing_ = false;
  uint64_t lines_lost_ = 0;
};

}  // namespace gmesp::dataplane
