// Audit lines: what RFC 2406 3.4 wants told (SPI, time, addresses, sequence number) and the reason.
#include "dataplane/audit_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/drop_reason.h"

namespace gmesp::dataplane {
namespace {

using ipsec::DropReason;

void set_address(const std::string& text, uint8_t (&bytes)[16]) {
  ipsec::Address address;
  ASSERT_TRUE(ipsec::parse_address(text, address));
  std::copy(address.bytes.begin(), address.bytes.end(), bytes);
}

shm::Event event_about(DropReason reason, const std::string& from, const std::string& to) {
  shm::Event event{};
  event.kind = static_cast<uint32_t>(shm::EventKind::kAudit);
  event.reason = static_cast<uint16_t>(static_cast<uint32_t>(reason) - 1);
  event.protocol = 50;
  event.spi = 0x00c0ffee;
  event.sequence = 4711;
  event.set_id = 0x1'00000002;
  event.suppressed = 12;
  set_address(from, event.source);
  set_address(to, event.destination);
  event.source_port = 4500;
  event.destination_port = 4501;
  return event;
}

constexpr uint64_t kTimeMs = 1'795'000'000'123;  // 2026-11-18T11:06:40.123Z

// Shows: R-2406-15
TEST(AuditLine, TextNamesReasonClauseTimeAddressesSpiAndSequence) {
  const auto event = event_about(DropReason::kReplaySeen, "198.51.100.7", "192.0.2.1");
  EXPECT_EQ(audit_text(event, kTimeMs),
            "2026-11-18T11:06:40.123Z audit replay_seen: sequence number was received before (RFC "
            "2406 3.4.3) from 198.51.100.7 port 4500 to 192.0.2.1 port 4501 protocol 50 SPI "
            "0x00c0ffee sequence 4711 set 0x100000002 and 12 more before it");
}

// Shows: R-2406-15
TEST(AuditLine, TextLeavesOutWhatDoesNotApply) {
  auto event = event_about(DropReason::kClearToProtectedPort, "2001:db8::7", "2001:db8::1");
  event.spi = event.suppressed = 0;
  event.set_id = 0;
  event.protocol = 17;
  EXPECT_EQ(audit_text(event, kTimeMs),
            "2026-11-18T11:06:40.123Z audit clear_to_protected_port: clear packet to a protected "
            "port (TS 33.203 7.1) from 2001:db8::7 port 4500 to 2001:db8::1 port 4501 protocol 17");
}

// Shows: R-2406-15
TEST(AuditLine, JsonCarriesTheSameForEveryReason) {
  for (uint32_t row = 0; row < ipsec::kDropReasonCount; ++row) {
    const auto reason = static_cast<DropReason>(row + 1);
    const auto event = event_about(reason, "198.51.100.7", "2001:db8::1");
    const auto line = nlohmann::json::parse(audit_json(event, kTimeMs));
    EXPECT_EQ(line["reason"], ipsec::info(reason).name);
    EXPECT_EQ(line["clause"], ipsec::info(reason).clause);
    EXPECT_EQ(line["text"], ipsec::info(reason).text);
    EXPECT_EQ(line["time"], "2026-11-18T11:06:40.123Z");
    EXPECT_EQ(line["source"], "198.51.100.7");
    EXPECT_EQ(line["destination"], "2001:db8::1");
    EXPECT_EQ(line["source_port"], 4500);
    EXPECT_EQ(line["destination_port"], 4501);
    EXPECT_EQ(line["protocol"], 50);
    EXPECT_EQ(line["spi"], 0x00c0ffee);
    EXPECT_EQ(line["sequence"], 4711);
    EXPECT_EQ(line["set_id"], 0x1'00000002);
    EXPECT_EQ(line["suppressed"], 12);
  }
}

TEST(AuditLine, AReasonBeyondTheTableIsNoneAndNotReadBeyondIt) {
  auto event = event_about(DropReason::kIcvWrong, "198.51.100.7", "192.0.2.1");
  event.reason = UINT16_MAX;
  EXPECT_NE(audit_text(event, kTimeMs).find("audit none:"), std::string::npos);
}

class AuditFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string shape = (std::filesystem::temp_directory_path() / "gmesp-audit-XXXXXX").string();
    ASSERT_NE(mkdtemp(shape.data()), nullptr);
    folder_ = shape;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::ifstream file(path());
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  std::string path() const { return folder_ / "audit.log"; }

  std::filesystem::path folder_;
};

TEST_F(AuditFile, IsAppendedToAndPrivate) {
  const auto event = event_about(DropReason::kIcvWrong, "198.51.100.7", "192.0.2.1");
  for (int start = 0; start < 2; ++start) {
    AuditLog log({Config::LogLevel::kInfo, Config::LogFormat::kText, path()}, "test");
    log.write(event);
    log.write(event);
    EXPECT_EQ(log.lines_lost(), 0u);
  }
  EXPECT_EQ(lines().size(), 4u);
  struct stat status;
  ASSERT_EQ(stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07, 0u) << "the lines name users' addresses";
}

TEST_F(AuditFile, TimeIsTheCalendarOfTheEvent) {
  timespec boottime, calendar;
  clock_gettime(CLOCK_BOOTTIME, &boottime);
  clock_gettime(CLOCK_REALTIME, &calendar);
  constexpr uint64_t kAgoS = 3600;
  ASSERT_GT(static_cast<uint64_t>(calendar.tv_sec), kAgoS);
  auto event = event_about(DropReason::kIcvWrong, "198.51.100.7", "192.0.2.1");
  // An hour before the event clock's now, which may lie before its zero: the sum wraps and is
  // right.
  event.time_ms = (static_cast<uint64_t>(boottime.tv_sec) - kAgoS) * 1000;
  AuditLog({Config::LogLevel::kInfo, Config::LogFormat::kText, path()}, "test").write(event);
  std::tm then{};
  ASSERT_EQ(lines().size(), 1u);
  ASSERT_NE(strptime(lines()[0].c_str(), "%Y-%m-%dT%H:%M:%S", &then), nullptr) << lines()[0];
  EXPECT_NEAR(static_cast<double>(timegm(&then)),
              static_cast<double>(calendar.tv_sec) - static_cast<double>(kAgoS), 3);
}

TEST_F(AuditFile, AFileThatCannotBeOpenedIsNamedWithItsSetting) {
  const std::string path = folder_ / "missing" / "audit.log";
  try {
    AuditLog({Config::LogLevel::kInfo, Config::LogFormat::kText, path}, "test");
    FAIL() << path << " cannot be opened";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("log.audit"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
  }
}

TEST_F(AuditFile, LinesThatCannotBeWrittenAreCounted) {
  AuditLog log({Config::LogLevel::kInfo, Config::LogFormat::kText, "/dev/full"}, "test");
  const auto event = event_about(DropReason::kIcvWrong, "198.51.100.7", "192.0.2.1");
  log.write(event);
  log.write(event);
  EXPECT_EQ(log.lines_lost(), 2u);
}

}  // namespace
}  // namespace gmesp::dataplane
