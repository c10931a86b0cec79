// The process's log on stderr, by spdlog: set up once, then spdlog::info() and its sisters
// everywhere but on workers.
//
// Text: "2026-11-21T07:00:00.123Z info  what happened". JSON: one object per line with time, level
// and message. Threading: set_up_log() from the main thread before others start. Errors: none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gmesp::settings {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarning, kError };
enum class LogFormat : uint8_t { kText, kJson };

/// As they stand in a configuration.
inline constexpr std::pair<std::string_view, LogLevel> kLogLevelNames[] = {
    {"trace", LogLevel::kTrace},
    {"debug", LogLevel::kDebug},
    {"info", LogLevel::kInfo},
    {"warning", LogLevel::kWarning},
    {"error", LogLevel::kError}};
inline constexpr std::pair<std::string_view, LogFormat> kLogFormatNames[] = {
    {"text", LogFormat::kText}, {"json", LogFormat::kJson}};

void set_up_log(const char* program, LogLevel level, LogFormat format);

/// With quotes, as JSON wants it; bytes that are not UTF-8 become U+FFFD.
std::string json_quoted(std::string_view text);

}  // namespace gmesp::settings
