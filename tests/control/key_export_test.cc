// gmesp_dp_get_keys: the set comes back whole, and nothing of its keys stays on the way.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "dp_client.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

/// How often `key` stands in the shared memories of connections of this process: server and client
/// are both in it.
int times_in_connections(const std::vector<uint8_t>& key) {
  std::ifstream maps("/proc/self/maps");
  int found = 0;
  int mappings = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("gmesp-connection") == std::string::npos) continue;
    unsigned long from = 0;
    unsigned long to = 0;
    if (sscanf(line.c_str(), "%lx-%lx", &from, &to) != 2) continue;
    ++mappings;
    const auto* at = reinterpret_cast<const uint8_t*>(from);
    const auto* end = reinterpret_cast<const uint8_t*>(to);
    while ((at = std::search(at, end, key.begin(), key.end())) != end) ++found, ++at;
  }
  EXPECT_GE(mappings, 2);
  return found;
}

class KeyExport : public ::testing::Test {
 protected:
  RunningServer server_;
  Dp dp_ = writer(server_.socket_path());
  gmesp_sa_set installed_ = make_set(3);
  uint64_t set_id_ = 0;

  void SetUp() override {
    for (uint8_t i = 0; i < 20; ++i)
      installed_.integrity_key[i] = static_cast<uint8_t>(0x51 + 7 * i);
    for (uint8_t i = 0; i < 16; ++i) installed_.cipher_key[i] = static_cast<uint8_t>(0x13 + 11 * i);
    ASSERT_EQ(gmesp_dp_install(dp_.get(), &installed_, &set_id_, kTimeoutMs), GMESP_OK);
  }
  std::vector<uint8_t> key() const {
    return {installed_.integrity_key, installed_.integrity_key + 20};
  }
  /// Between two rounds of the server, which writes its heartbeat into the same memory.
  int times_key_is_shared() {
    return server_.locked(
        [this](ModelTable&, shm::Server&) { return times_in_connections(key()); });
  }
};

// Shows: R-D-K2
TEST_F(KeyExport, GivesTheSetAsItCouldBeInstalledAgain) {
  const Dp dp = reader(server_.socket_path());
  gmesp_sa_set exported;
  GMESP_INIT(&exported);
  ASSERT_EQ(gmesp_dp_get_keys(dp.get(), set_id_, &exported, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(exported.size, sizeof exported);
  EXPECT_EQ(exported.integrity_key_bytes, 20);
  EXPECT_EQ(exported.cipher_key_bytes, 16);
  EXPECT_EQ(memcmp(exported.integrity_key, installed_.integrity_key, sizeof exported.integrity_key),
            0);
  EXPECT_EQ(memcmp(exported.cipher_key, installed_.cipher_key, sizeof exported.cipher_key), 0);
  EXPECT_EQ(exported.spi_ps, installed_.spi_ps);
  EXPECT_EQ(exported.cookie, installed_.cookie);
  ASSERT_EQ(gmesp_dp_remove(dp_.get(), set_id_, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &exported, &set_id_, kTimeoutMs), GMESP_OK);
}

// Shows: R-D-K2
TEST_F(KeyExport, LeavesNoKeyInSharedMemory) {
  gmesp_sa_set exported;
  GMESP_INIT(&exported);
  ASSERT_EQ(gmesp_dp_get_keys(dp_.get(), set_id_, &exported, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(times_key_is_shared(), 0);
}

/// An answer that comes when nobody waits any more is wiped when the next one is fetched.
// Shows: R-D-K2
TEST_F(KeyExport, LeavesNoKeyInSharedMemoryWhenTheAnswerIsLate) {
  server_.locked([](ModelTable& table, shm::Server&) { table.hold_answers(true); });
  gmesp_sa_set exported;
  GMESP_INIT(&exported);
  ASSERT_EQ(gmesp_dp_get_keys(dp_.get(), set_id_, &exported, 20), GMESP_E_TIMEOUT);
  EXPECT_EQ(exported.integrity_key_bytes, 0);
  server_.locked([](ModelTable& table, shm::Server&) {
    table.hold_answers(false);
    table.release_answers();
  });
  EXPECT_EQ(times_key_is_shared(), 2) << "the late answer stands in the ring";
  gmesp_set_view view = make_view();
  ASSERT_EQ(gmesp_dp_get_set(dp_.get(), set_id_, &view, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(times_key_is_shared(), 0);
}

/// Who hangs up before the answer came will not fetch it: gmespd wipes it.
// Shows: R-D-K2
TEST_F(KeyExport, LeavesNoKeyInTheMemoryOfAClientThatIsGone) {
  RawClient client(server_.socket_path());
  ASSERT_TRUE(client.open(shm::Role::kReader));
  shm::Command command{};
  command.kind = static_cast<uint32_t>(shm::CommandKind::kGetKeys);
  command.size = sizeof command.body.argument;
  command.body.argument.set_id = set_id_;
  ASSERT_EQ(client.commands().push(command), shm::RingResult::kDone);
  client.ring();
  const auto holds_key = [&] {
    const uint8_t* end = client.base() + client.bytes();
    const std::vector<uint8_t> secret = key();
    return std::search(const_cast<const uint8_t*>(client.base()), end, secret.begin(),
                       secret.end()) != end;
  };
  ASSERT_TRUE(server_.eventually([&](ModelTable&) { return holds_key(); }));
  shutdown(client.socket(), SHUT_RDWR);
  EXPECT_TRUE(server_.eventually(
      [&](ModelTable& table) { return !table.disconnected().empty() && !holds_key(); }));
}

// Shows: R-D-K2
TEST_F(KeyExport, AfterAnErrorHoldsNoKey) {
  gmesp_sa_set exported = installed_;
  EXPECT_EQ(gmesp_dp_get_keys(dp_.get(), set_id_ + 1, &exported, kTimeoutMs), GMESP_E_NOT_FOUND);
  const gmesp_sa_set zero{};
  EXPECT_EQ(memcmp(exported.integrity_key, zero.integrity_key, sizeof zero.integrity_key), 0);
  EXPECT_EQ(memcmp(exported.cipher_key, zero.cipher_key, sizeof zero.cipher_key), 0);
}

// Shows: R-C-01
TEST_F(KeyExport, TellsWrongArguments) {
  EXPECT_EQ(gmesp_dp_get_keys(dp_.get(), set_id_, nullptr, kTimeoutMs), GMESP_E_BAD_ARGUMENT);
  gmesp_sa_set no_size{};
  EXPECT_EQ(gmesp_dp_get_keys(dp_.get(), set_id_, &no_size, kTimeoutMs), GMESP_E_STRUCT_SIZE);
  EXPECT_EQ(gmesp_dp_get_keys(nullptr, set_id_, &no_size, kTimeoutMs), GMESP_E_BAD_ARGUMENT);
}

/// The kernel tells who a connection is, so that a table may refuse keys by user.
// Shows: R-D-K2
TEST_F(KeyExport, TheServerNamesThePeerOfAConnection) {
  const shm::PeerCredentials who = server_.locked([](ModelTable&, shm::Server& server) {
    const shm::PeerCredentials* peer = server.peer(1);
    return peer != nullptr ? *peer : shm::PeerCredentials{};
  });
  EXPECT_EQ(who.process_id, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(who.uid, geteuid());
  const bool unknown =
      server_.locked([](ModelTable&, shm::Server& server) { return server.peer(99) == nullptr; });
  EXPECT_TRUE(unknown);
}

}  // namespace
}  // namespace gmesp::test
