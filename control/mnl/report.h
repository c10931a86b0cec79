// What went wrong, for the operator: a line to syslog and to stderr, "gmesp-mnl: ...".
//
// A proxy under attack must not fill its log through us, so a process writes at most
// kReportsPerPeriod lines in a period and then says how many it left out. Threading: any thread.
// Errors: none. errno stays as it is.
#pragma once

namespace gmesp::mnl {

inline constexpr unsigned kReportsPerPeriod = 10;
inline constexpr unsigned kReportPeriodMs = 10000;

[[gnu::format(printf, 1, 2)]] void report(const char* format, ...);

}  // namespace gmesp::mnl
