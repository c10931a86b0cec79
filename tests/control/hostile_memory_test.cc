// What a client may do to its memory, gmespd survives: the table is whole, other clients are
// served.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <random>

#include "dp_client.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

class HostileMemory : public ::testing::Test {
 protected:
  RunningServer server_{{.command_slots = 16, .completion_slots = 16, .event_slots = 16}};

  void expect_well() {
    const Dp dp = reader(server_.socket_path());
    gmesp_info info;
    GMESP_INIT(&info);
    EXPECT_EQ(gmesp_dp_get_info(dp.get(), &info, kTimeoutMs), GMESP_OK);
  }
  std::string last_reason() {
    return server_.locked([](ModelTable& table, shm::Server&) {
      return table.disconnected().empty() ? std::string() : table.disconnected().back();
    });
  }
};

// Shows: R-C-02
TEST_F(HostileMemory, LyingCommandIndexEndsTheConnection) {
  for (const uint32_t lie : {17u, 1000u, 1u << 31, UINT32_MAX}) {
    RawClient client(server_.socket_path());
    ASSERT_TRUE(client.open(shm::Role::kWriter));
    client.indices(client.header().command).tail = lie;
    client.ring();
    EXPECT_TRUE(client.sees_hang_up()) << lie;
    EXPECT_TRUE(server_.eventually([](ModelTable& t) { return !t.disconnected().empty(); }));
    EXPECT_EQ(last_reason(), "client corrupted the command ring's index");
  }
  expect_well();
}

// Shows: R-C-02
TEST_F(HostileMemory, LyingCompletionIndexEndsTheConnection) {
  for (const uint32_t lie : {17u, 1000u, 1u << 31, UINT32_MAX}) {
    RawClient client(server_.socket_path());
    ASSERT_TRUE(client.open(shm::Role::kReader));
    client.indices(client.header().completion).head = lie;
    shm::Command command{};
    command.kind = static_cast<uint32_t>(shm::CommandKind::kGetInfo);
    command.size = sizeof command.body.argument;
    // Free slots are counted anew only when they seem to run out.
    for (int i = 0; i < 16; ++i) (void)client.commands().push(command);
    client.ring();
    for (int i = 0; i < 16; ++i) {
      (void)client.commands().push(command);
      client.ring();
    }
    EXPECT_TRUE(client.sees_hang_up()) << lie;
    EXPECT_EQ(last_reason(), "client corrupted the completion ring's index");
  }
  expect_well();
}

// Shows: R-C-02
TEST_F(HostileMemory, LyingEventIndexEndsTheConnection) {
  RawClient client(server_.socket_path());
  ASSERT_TRUE(client.open(shm::Role::kReader, true));
  client.indices(client.header().event).head = 5000;
  for (int i = 0; i < 20; ++i)
    server_.locked([](ModelTable&, shm::Server& s) { s.publish(shm::Event{}); });
  EXPECT_TRUE(client.sees_hang_up());
  expect_well();
}

// Shows: R-C-02
TEST_F(HostileMemory, HeaderIsNotReadBack) {
  RawClient client(server_.socket_path());
  ASSERT_TRUE(client.open(shm::Role::kWriter));
  memset(client.base(), 0xff, sizeof(shm::MemoryHeader));
  ASSERT_EQ(client.commands().push(make_install(3, 4)), shm::RingResult::kDone);
  client.ring();
  shm::Completion completion{};
  const uint64_t until_ms = boottime_ms() + 2000;
  while (client.completions().pop(completion) != shm::RingResult::kDone)
    ASSERT_LT(boottime_ms(), until_ms);
  EXPECT_EQ(completion.tag, 4u);
  EXPECT_EQ(completion.status, 0u);
}

// Shows: R-C-02
TEST_F(HostileMemory, BellsByTheThousandHurtNobody) {
  RawClient client(server_.socket_path());
  ASSERT_TRUE(client.open(shm::Role::kReader));
  for (int i = 0; i < 20'000; ++i) client.ring();
  const char large[4096] = {};
  for (int i = 0; i < 100; ++i) (void)send(client.socket(), large, sizeof large, MSG_DONTWAIT);
  expect_well();
}

// Shows: R-C-02
TEST_F(HostileMemory, AClientThatSwitchesTheSocketToBlockingDoesNotStopTheServer) {
  RawClient client(server_.socket_path());  // a blocking socket that nobody reads
  ASSERT_TRUE(client.open(shm::Role::kReader, true));
  for (int i = 0; i < 20'000; ++i) {
    client.indices(client.header().event).consumer_sleeps = 1;
    client.indices(client.header().event).head = client.indices(client.header().event).tail.load();
    server_.locked([](ModelTable&, shm::Server& s) { s.publish(shm::Event{}); });
  }
  expect_well();
}

/// Seeds a command of a random but sometimes plausible shape into the ring.
shm::Command random_command(std::mt19937& random) {
  shm::Command command = make_install(random() % 64, random());
  auto* bytes = reinterpret_cast<uint8_t*>(&command);
  const uint32_t flips = random() % 8;
  for (uint32_t i = 0; i < flips; ++i)
    bytes[random() % sizeof command] = static_cast<uint8_t>(random());
  if (random() % 4 == 0) command.kind = random() % 24;
  if (random() % 4 == 0) command.size = random() % 2 ? 32 : random();
  return command;
}

// Shows: R-C-02
TEST_F(HostileMemory, SeededGarbageOverEverything) {
  constexpr uint32_t kRounds = 400;
  for (uint32_t seed = 0; seed < kRounds; ++seed) {
    std::mt19937 random(seed);
    RawClient client(server_.socket_path());
    ASSERT_TRUE(client.open(shm::Role::kWriter)) << "seed " << seed;
    for (int i = 0; i < 12; ++i) (void)client.commands().push(random_command(random));
    client.ring();
    const uint64_t places = seed % 3 == 0 ? client.bytes() / 8 : 1 + random() % 64;
    for (uint64_t i = 0; i < places; ++i) {
      const uint64_t at = seed % 3 == 0 ? i * 8 : random() % (client.bytes() / 8) * 8;
      const uint64_t word = uint64_t{random()} << 32 | random();
      memcpy(client.base() + at, &word, sizeof word);
    }
    client.ring();
    if (seed % 50 == 0) expect_well();
  }
  server_.locked([](ModelTable& table, shm::Server&) {
    for (const auto& [index, record] : table.sets()) {
      EXPECT_EQ(record.size, sizeof record);
      EXPECT_GT(record.spi_ps, 255u);
    }
  });
  expect_well();
}

/// How often `needle` stands in this process's mappings of connection memory: both ends' views.
uint32_t count_in_shared_memory(const std::string& needle, uint32_t& mappings) {
  std::ifstream maps("/proc/self/maps");
  uint32_t found = 0;
  mappings = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:gmesp-connection") == std::string::npos) continue;
    ++mappings;
    char* end = nullptr;
    const uint64_t from = std::strtoull(line.c_str(), &end, 16);
    const uint64_t to = std::strtoull(end + 1, nullptr, 16);
    const std::string_view bytes(reinterpret_cast<const char*>(from), to - from);
    for (size_t at = bytes.find(needle); at != bytes.npos; at = bytes.find(needle, at + 1)) ++found;
  }
  return found;
}

// Shows: R-D-K2
TEST_F(HostileMemory, KeysAreGoneFromTheRingOnceTaken) {
  const Dp dp = writer(server_.socket_path());
  const std::string needle("\x13\x37gmesp-k\x99y", 11);
  uint32_t mappings = 0;
  const auto count = [&] {  // gmespd's end of the memory is in this process too
    return server_.locked(
        [&](ModelTable&, shm::Server&) { return count_in_shared_memory(needle, mappings); });
  };
  server_.hang(true);
  for (uint32_t i = 0; i < 10; ++i) {
    gmesp_sa_set set = make_set(i);
    memcpy(set.integrity_key, needle.data(), needle.size());
    memcpy(set.cipher_key, needle.data(), needle.size());
    ASSERT_EQ(gmesp_dp_submit_install(dp.get(), &set, i), GMESP_OK);
  }
  EXPECT_GT(count(), 0u) << "the search itself does not work";
  EXPECT_GE(mappings, 2u);
  server_.hang(false);
  gmesp_completion completion = make_completion();
  for (uint32_t i = 0; i < 10;) {
    const int error = gmesp_dp_poll_completion(dp.get(), &completion);
    ASSERT_TRUE(error == GMESP_OK || error == GMESP_E_AGAIN);
    i += error == GMESP_OK;
  }
  EXPECT_EQ(count(), 0u);
  EXPECT_GE(mappings, 2u);
}

}  // namespace
}  // namespace gmesp::test
