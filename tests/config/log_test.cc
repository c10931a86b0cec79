// JSON log lines hold whatever a message says, be it hostile.
#include "control/settings/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace gmesp::settings {
namespace {

TEST(Log, JsonLineHoldsAnyMessage) {
  set_up_log("gmespd", LogLevel::kInfo, LogFormat::kJson);
  const std::string message = "a \"quoted\"\nline\t\\ \x01 {} \xff ü";
  testing::internal::CaptureStderr();
  spdlog::warn("{}", message);
  const auto line = nlohmann::json::parse(testing::internal::GetCapturedStderr());
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "a \"quoted\"\nline\t\\ \x01 {} \xef\xbf\xbd ü");
  EXPECT_EQ(line["time"].get<std::string>().back(), 'Z');
}

TEST(Log, LevelKeepsTheRestBack) {
  set_up_log("gmespd", LogLevel::kWarning, LogFormat::kText);
  testing::internal::CaptureStderr();
  spdlog::info("not this");
  spdlog::warn("this");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("not this"), std::string::npos);
  EXPECT_NE(text.find("warning this\n"), std::string::npos) << text;
  set_up_log("gmespd", LogLevel::kInfo, LogFormat::kText);
}

TEST(JsonQuoted, BytesThatAreNotUtf8AreReplaced) {
  struct Case {
    const char* bytes;
    const char* quoted;
  };
  const Case cases[] = {
      {"", "\"\""},
      {"\xc3\xa4", "\"\xc3\xa4\""},
      {"\xe2\x82\xac", "\"\xe2\x82\xac\""},
      {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
      {"\xc0\xaf", "\"\\ufffd\\ufffd\""},             // overlong
      {"\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\""},  // overlong
      {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},  // surrogate
      {"\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
      {"a\xe2\x82", "\"a\\ufffd\\ufffd\""},  // cut off
  };
  for (const Case& one : cases) EXPECT_EQ(json_quoted(one.bytes), one.quoted);
}

}  // namespace
}  // namespace gmesp::settings
