// A client that dies anywhere inside a command leaves the table whole or unchanged.
//
// Method: a child opens a connection, stops, and is then single-stepped by ptrace through one
// blocking command of libgmesp and killed after n instructions, for n from 0 to past the end. The
// server is polled here, between the steps, so that it sees every state on the way.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "dp_client.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

enum class Action { kInstall, kRemove, kRemoveAll };

/// Server and table on the test's own thread.
struct Bench {
  TemporaryFolder folder;
  shm::ServerOptions options{.socket_path = folder.path() + "/s",
                             .command_slots = 4,
                             .completion_slots = 4,
                             .event_slots = 4};
  ModelTable table;
  shm::Server server{options, table};
  Bench() { table.attach(server); }

  bool open(RawClient& client) {
    const bool said = client.say_hello(shm::Role::kWriter);
    server.poll();  // accepts
    server.poll();  // reads the hello
    return said && client.map_answer();
  }

  /// Gives the table `count` sets, as an earlier client would have.
  void fill(uint32_t count) {
    while (table.live_sets() < count) {
      RawClient client(options.socket_path);
      ASSERT_TRUE(open(client));
      (void)client.commands().push(
          make_install(1000 + static_cast<uint32_t>(table.live_sets()), 1));
      server.poll();
    }
    server.poll();
  }
};

/// The child's part: everything before the raise happens at full speed, everything after it in
/// steps.
[[noreturn]] void run_child(const std::string& socket_path, Action action, uint64_t set_id) {
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  const Opened opened = open_dp(socket_path, GMESP_WRITER);
  const gmesp_sa_set set = make_set(1);
  raise(SIGSTOP);
  if (action == Action::kInstall) gmesp_dp_install(opened.dp.get(), &set, nullptr, 1);
  if (action == Action::kRemove) gmesp_dp_remove(opened.dp.get(), set_id, 1);
  if (action == Action::kRemoveAll) gmesp_dp_remove_all(opened.dp.get(), nullptr, 1);
  _exit(0);
}

/// Starts the child and brings it to its stop; polls the server meanwhile.
pid_t start_child(Bench& bench, Action action, uint64_t set_id) {
  const pid_t child = fork();
  if (child == 0) run_child(bench.options.socket_path, action, set_id);
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) bench.server.poll();
  return WIFSTOPPED(status) ? child : -1;
}

/// Lets the child take `steps` instructions and kills it. True if it ended by itself before that.
bool step_and_kill(Bench& bench, pid_t child, uint32_t steps) {
  constexpr uint32_t kPollEvery = 16;
  int status = 0;
  for (uint32_t step = 0; step < steps; ++step) {
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) return true;
    if (step % kPollEvery == 0) bench.server.poll();
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return false;
}

void expect_whole(const ModelTable& table) {
  const gmesp_sa_set set = make_set(1);
  for (const auto& [index, record] : table.sets()) {
    if (record.cookie != set.cookie) continue;
    EXPECT_EQ(record.spi_uc, set.spi_uc);
    EXPECT_EQ(record.spi_us, set.spi_us);
    EXPECT_EQ(record.spi_pc, set.spi_pc);
    EXPECT_EQ(record.spi_ps, set.spi_ps);
    EXPECT_EQ(memcmp(record.cipher_key, set.cipher_key, sizeof record.cipher_key), 0);
    EXPECT_EQ(memcmp(record.integrity_key, set.integrity_key, sizeof record.integrity_key), 0);
  }
}

/// Kills a client after each `stride`-th instruction of `action`. Both outcomes must occur.
void kill_everywhere(Action action, uint32_t sets_before, uint32_t sets_after, uint32_t stride) {
  constexpr uint32_t kStepsMax = 200'000;
  constexpr uint32_t kStepsDense = 1000;  // the command is written and the bell rung before that
  uint32_t unchanged = 0;
  uint32_t whole = 0;
  bool ended = false;
  for (uint32_t steps = 0; !ended && steps < kStepsMax; steps += stride) {
    Bench bench;
    bench.fill(sets_before);
    const uint64_t first_id =
        sets_before != 0 ? ModelTable::id_of(bench.table.sets().begin()->first) : 0;
    const pid_t child = start_child(bench, action, first_id);
    ASSERT_GT(child, 0);
    ended = step_and_kill(bench, child, steps);
    for (int i = 0; i < 3; ++i) bench.server.poll();
    const size_t live = bench.table.live_sets();
    ASSERT_TRUE(live == sets_before || live == sets_after) << steps << " steps: " << live;
    unchanged += live == sets_before;
    whole += live == sets_after;
    expect_whole(bench.table);
    ASSERT_EQ(bench.table.disconnected().size(), bench.table.connected().size());
    if (steps > kStepsDense) stride += stride / 4;
  }
  EXPECT_TRUE(ended);
  EXPECT_GT(unchanged, 0u);
  EXPECT_GT(whole, 0u);
  printf("killed at %u points: %u unchanged, %u whole\n", unchanged + whole, unchanged, whole);
}

// Shows: R-C-01, R-C-03
TEST(KilledClient, AtEveryStepOfAnInstall) {
  kill_everywhere(Action::kInstall, 0, 1, 5);
}

// Shows: R-C-01, R-C-03
TEST(KilledClient, AtEveryStepOfARemoval) {
  kill_everywhere(Action::kRemove, 1, 0, 11);
}

// Shows: R-C-01, R-C-03
TEST(KilledClient, AtEveryStepOfARemovalOfAll) {
  kill_everywhere(Action::kRemoveAll, 3, 0, 11);
}

// Shows: R-C-01, R-C-02
TEST(KilledClient, HalfWrittenSlotWithoutIndexIsNothing) {
  for (size_t written = 0; written <= sizeof(shm::Command); written += 8) {
    Bench bench;
    {
      RawClient client(bench.options.socket_path);
      ASSERT_TRUE(bench.open(client));
      const shm::Command command = make_install(1, 1);
      memcpy(&client.command_slot(0), &command, written);
      client.ring();
      bench.server.poll();
    }
    bench.server.poll();
    EXPECT_EQ(bench.table.live_sets(), 0u) << written;
  }
}

// Shows: R-C-01, R-C-03
TEST(KilledClient, CommandsNotYetTakenDieWithTheirClient) {
  Bench bench;
  {
    RawClient client(bench.options.socket_path);
    ASSERT_TRUE(bench.open(client));
    (void)client.commands().push(make_install(1, 1));
  }
  bench.server.poll();
  bench.server.poll();
  EXPECT_EQ(bench.table.live_sets(), 0u);
  EXPECT_EQ(bench.table.disconnected().size(), 1u);
}

// Shows: R-C-03
TEST(KilledClient, TakenCommandsOutliveTheirClientAndTheirAnswersAreDropped) {
  Bench bench;
  bench.table.hold_answers(true);
  {
    RawClient client(bench.options.socket_path);
    ASSERT_TRUE(bench.open(client));
    (void)client.commands().push(make_install(1, 1));
    client.ring();
    bench.server.poll();
  }
  bench.server.poll();
  bench.server.poll();
  EXPECT_EQ(bench.table.disconnected().size(), 1u);
  bench.table.release_answers();
  EXPECT_EQ(bench.table.live_sets(), 1u);
}

}  // namespace
}  // namespace gmesp::test
