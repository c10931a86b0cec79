// When one side stops: hung, dead, not reading, behind with events.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dp_client.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

// Shows: R-C-03
TEST(Liveness, DeathOfGmespdEndsAWaitingCallAtOnce) {
  RunningServer server;
  const Dp dp = writer(server.socket_path());
  server.locked([](ModelTable& table, shm::Server&) { table.hold_answers(true); });
  std::thread killer([&server] {
    EXPECT_TRUE(server.eventually([](ModelTable& table) { return table.commands() == 1; }));
    server.stop();
  });
  const gmesp_sa_set set = make_set(1);
  const uint64_t started_ms = boottime_ms();
  EXPECT_EQ(gmesp_dp_install(dp.get(), &set, nullptr, 60'000), GMESP_E_DISCONNECTED);
  EXPECT_LT(boottime_ms() - started_ms, 5000u);
  killer.join();
  EXPECT_EQ(gmesp_dp_install(dp.get(), &set, nullptr, 60'000), GMESP_E_DISCONNECTED);
  EXPECT_EQ(gmesp_dp_submit_install(dp.get(), &set, 1), GMESP_E_DISCONNECTED);
  gmesp_completion completion = make_completion();
  EXPECT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_E_DISCONNECTED);
  gmesp_event event = make_event();
  EXPECT_EQ(gmesp_dp_poll_event(dp.get(), &event), GMESP_E_DISCONNECTED);
}

// Shows: R-C-03
TEST(Liveness, AnswersGivenBeforeTheDeathAreStillFetched) {
  RunningServer server;
  const Dp dp = writer(server.socket_path());
  const gmesp_sa_set set = make_set(1);
  ASSERT_EQ(gmesp_dp_submit_install(dp.get(), &set, 5), GMESP_OK);
  ASSERT_TRUE(server.eventually([](ModelTable& table) { return table.live_sets() == 1; }));
  server.stop();
  gmesp_completion completion = make_completion();
  EXPECT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_OK);
  EXPECT_EQ(completion.tag, 5u);
  EXPECT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_E_DISCONNECTED);
}

// Shows: R-C-03
TEST(Liveness, SlowIsTimeoutAndHungIsHung) {
  RunningServer server;
  const Dp dp = writer(server.socket_path());
  server.locked([](ModelTable& table, shm::Server&) { table.hold_answers(true); });
  gmesp_info info;
  GMESP_INIT(&info);
  EXPECT_EQ(gmesp_dp_get_info(dp.get(), &info, 30), GMESP_E_TIMEOUT);
  EXPECT_EQ(gmesp_dp_get_info(dp.get(), &info, 0), GMESP_E_TIMEOUT);
  server.hang(true);
  EXPECT_EQ(gmesp_dp_get_info(dp.get(), &info, 60'000), GMESP_E_HUNG);
  server.hang(false);
  server.locked([](ModelTable& table, shm::Server&) {
    table.hold_answers(false);
    table.release_answers();
  });
  // Answers to the calls that gave up are dropped, not taken for the new one's.
  const uint64_t until_ms = boottime_ms() + 5000;
  int error;
  do {
    error = gmesp_dp_get_info(dp.get(), &info, 1000);
  } while (error == GMESP_E_HUNG && boottime_ms() < until_ms);
  EXPECT_EQ(error, GMESP_OK);
  EXPECT_STREQ(info.version, "model");
}

// Shows: R-C-02
TEST(Liveness, ClientThatDoesNotReadStopsOnlyItself) {
  RunningServer server({.command_slots = 16, .completion_slots = 8});
  RawClient lazy(server.socket_path());
  ASSERT_TRUE(lazy.open(shm::Role::kWriter));
  const Dp other = reader(server.socket_path());
  for (uint32_t i = 0; i < 16; ++i)
    ASSERT_EQ(lazy.commands().push(make_install(i, i)), shm::RingResult::kDone);
  lazy.ring();
  EXPECT_TRUE(server.eventually([](ModelTable& table) { return table.live_sets() == 8; }));
  gmesp_info info;
  GMESP_INIT(&info);
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(gmesp_dp_get_info(other.get(), &info, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(info.live_sets, 8u);  // no more room for answers, no more commands taken
  shm::Completion completion;
  for (uint32_t i = 0; i < 16; ++i) {
    const uint64_t until_ms = boottime_ms() + 2000;
    while (lazy.completions().pop(completion) != shm::RingResult::kDone)
      ASSERT_LT(boottime_ms(), until_ms) << i;
    EXPECT_EQ(completion.tag, i);
    EXPECT_EQ(completion.status, 0u);
    if (lazy.completions().peer_waits()) lazy.ring();
  }
  EXPECT_TRUE(server.eventually([](ModelTable& table) { return table.live_sets() == 16; }));
}

// Shows: R-C-01
TEST(Liveness, AnswersComeLaterAndInAnyOrder) {
  RunningServer server;
  const Dp dp = writer(server.socket_path());
  server.locked([](ModelTable& table, shm::Server&) { table.hold_answers(true); });
  for (uint64_t tag = 0; tag < 10; ++tag) {
    const gmesp_sa_set set = make_set(static_cast<uint32_t>(tag));
    ASSERT_EQ(gmesp_dp_submit_install(dp.get(), &set, tag), GMESP_OK);
  }
  gmesp_completion completion = make_completion();
  EXPECT_TRUE(server.eventually([](ModelTable& table) { return table.live_sets() == 10; }));
  EXPECT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_E_AGAIN);
  server.locked([](ModelTable& table, shm::Server&) {
    table.hold_answers(false);
    table.release_answers();
  });
  pollfd ready{gmesp_dp_fd(dp.get()), POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, kTimeoutMs), 1);
  for (uint64_t tag = 0; tag < 10; ++tag) {
    ASSERT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_OK);
    EXPECT_EQ(completion.tag, tag);
  }
}

// Shows: R-C-01
TEST(Liveness, DepthIsWhatFitsAndTheNextIsAgain) {
  RunningServer server({.command_slots = 8, .completion_slots = 4});
  const Dp dp = writer(server.socket_path());
  ASSERT_EQ(gmesp_dp_depth(dp.get()), 3u);
  for (uint32_t round = 0; round < 20; ++round) {
    for (uint32_t i = 0; i < 3; ++i) ASSERT_EQ(gmesp_dp_submit_next_set(dp.get(), 0, i), GMESP_OK);
    EXPECT_EQ(gmesp_dp_submit_next_set(dp.get(), 0, 3), GMESP_E_AGAIN);
    gmesp_info info;
    GMESP_INIT(&info);
    ASSERT_EQ(gmesp_dp_get_info(dp.get(), &info, kTimeoutMs), GMESP_OK);  // has a place of its own
    gmesp_completion completion = make_completion();
    for (uint64_t i = 0; i < 3; ++i) {
      ASSERT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_OK);
      EXPECT_EQ(completion.tag, i);
      EXPECT_EQ(completion.error, GMESP_E_END);
    }
  }
}

// Shows: R-C-04
TEST(Events, ReachThoseWhoWantThem) {
  RunningServer server;
  const Dp writing = writer(server.socket_path(), true);
  const Dp watching = reader(server.socket_path(), true);
  const Dp deaf = reader(server.socket_path());
  gmesp_event event = make_event();
  EXPECT_EQ(gmesp_dp_poll_event(watching.get(), &event), GMESP_E_AGAIN);
  const gmesp_sa_set set = make_set(31);
  uint64_t id = 0;
  ASSERT_EQ(gmesp_dp_install(writing.get(), &set, &id, kTimeoutMs), GMESP_OK);
  ASSERT_EQ(gmesp_dp_remove(writing.get(), id, kTimeoutMs), GMESP_OK);
  for (const Dp* dp : {&watching, &writing}) {
    pollfd ready{gmesp_dp_fd(dp->get()), POLLIN, 0};
    int error = gmesp_dp_poll_event(dp->get(), &event);
    if (error == GMESP_E_AGAIN) {
      ASSERT_EQ(poll(&ready, 1, kTimeoutMs), 1);
      error = gmesp_dp_poll_event(dp->get(), &event);
    }
    ASSERT_EQ(error, GMESP_OK);
    EXPECT_EQ(event.kind, static_cast<uint32_t>(GMESP_EVENT_SET_REMOVED));
    EXPECT_EQ(event.set_id, id);
    EXPECT_EQ(event.cookie, 31u);
  }
  EXPECT_EQ(gmesp_dp_poll_event(deaf.get(), &event), GMESP_E_AGAIN);
}

// Shows: R-C-04
TEST(Events, ThatDoNotFitAreCountedPerConnection) {
  RunningServer server({.event_slots = 8});
  const Dp slow = reader(server.socket_path(), true);
  const Dp quick = reader(server.socket_path(), true);
  gmesp_event event = make_event();
  for (uint32_t i = 0; i < 20; ++i) {
    server.locked([i](ModelTable&, shm::Server& s) {
      shm::Event published{};
      published.kind = static_cast<uint32_t>(shm::EventKind::kAudit);
      published.value = i;
      s.publish(published);
    });
    ASSERT_EQ(gmesp_dp_poll_event(quick.get(), &event), GMESP_OK);
    EXPECT_EQ(event.value, i);
  }
  EXPECT_EQ(gmesp_dp_events_lost(quick.get()), 0u);
  EXPECT_EQ(gmesp_dp_events_lost(slow.get()), 12u);
  for (uint32_t i = 0; i < 8; ++i) {
    ASSERT_EQ(gmesp_dp_poll_event(slow.get(), &event), GMESP_OK);
    EXPECT_EQ(event.value, i);  // the oldest are kept
  }
  EXPECT_EQ(gmesp_dp_poll_event(slow.get(), &event), GMESP_E_AGAIN);
}

// Shows: R-C-04
TEST(Fork, ChildIsToldAndParentGoesOn) {
  RunningServer server;
  const Dp dp = writer(server.socket_path(), true);
  const gmesp_sa_set set = make_set(1);
  const gmesp_sa_set submitted = make_set(2);
  ASSERT_EQ(gmesp_dp_submit_install(dp.get(), &submitted, 9), GMESP_OK);
  const pid_t child = fork();
  if (child == 0) {
    gmesp_completion completion = make_completion();
    gmesp_event event = make_event();
    gmesp_info info;
    GMESP_INIT(&info);
    bool ok = gmesp_dp_install(dp.get(), &set, nullptr, 1000) == GMESP_E_FORKED;
    ok = ok && gmesp_dp_submit_install(dp.get(), &set, 1) == GMESP_E_FORKED;
    ok = ok && gmesp_dp_poll_completion(dp.get(), &completion) == GMESP_E_FORKED;
    ok = ok && gmesp_dp_poll_event(dp.get(), &event) == GMESP_E_FORKED;
    ok = ok && gmesp_dp_get_info(dp.get(), &info, 1000) == GMESP_E_FORKED;
    ok = ok && gmesp_dp_fd(dp.get()) == -1 && gmesp_dp_events_lost(dp.get()) == 0;
    gmesp_dp_close(dp.get());
    const Opened own = open_dp(server.socket_path(), GMESP_READER);
    ok = ok && own.error == GMESP_OK;
    ok = ok && gmesp_dp_get_info(own.dp.get(), &info, kTimeoutMs) == GMESP_OK;
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(gmesp_dp_install(dp.get(), &set, nullptr, kTimeoutMs), GMESP_OK);
  gmesp_completion completion = make_completion();
  EXPECT_EQ(gmesp_dp_poll_completion(dp.get(), &completion), GMESP_OK);
  EXPECT_EQ(completion.tag, 9u);
}

// Shows: R-C-03, R-C-04
TEST(Fork, CloseOfTheOwnerIsSeenThoughAChildHoldsTheSocket) {
  RunningServer server;
  Dp dp = writer(server.socket_path());
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  dp.reset();
  EXPECT_TRUE(server.eventually([](ModelTable& t) { return t.disconnected().size() == 1; }));
  EXPECT_NE(writer(server.socket_path()), nullptr);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

// Shows: R-C-03, R-C-04
TEST(Fork, DeathOfTheOwnerIsSeenThoughAChildHoldsTheSocket) {
  RunningServer server;
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const pid_t owner = fork();
  if (owner == 0) {
    const Opened opened = open_dp(server.socket_path(), GMESP_WRITER);
    const pid_t child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    (void)!write(pipe_fds[1], &child, sizeof child);
    pause();
    _exit(opened.error);
  }
  pid_t child = 0;
  ASSERT_EQ(read(pipe_fds[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  kill(owner, SIGKILL);
  EXPECT_TRUE(server.eventually([](ModelTable& t) { return t.disconnected().size() == 1; }));
  server.locked([](ModelTable& t, shm::Server&) {
    EXPECT_EQ(t.disconnected()[0], "client's process ended");
  });
  kill(child, SIGKILL);
  waitpid(owner, nullptr, 0);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

}  // namespace
}  // namespace gmesp::test
