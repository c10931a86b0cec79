// A gmesp-control that is late, dead, deaf, talkative or lying; a process that forks; keys.
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>

#include "control_client.h"
#include "fake_control.h"

namespace gmesp::test {
namespace {

/// A time-out is a maximum, in whole milliseconds of two clock readings.
constexpr uint64_t kRoundingMs = 1;

uint64_t elapsed_ms(std::chrono::steady_clock::time_point since) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now() - since)
                                   .count());
}

bool is_readable(const Control& control) {
  pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
  return poll(&readable, 1, kPatientMs) == 1;
}

const FakeField kForward = number(40, GMESP_FORWARD);

// Shows: R-C-03, R-C-04
TEST(ControlHostile, ALateReplyIsSkipped) {
  std::promise<void> gave_up;
  FakeControl fake([&gave_up](FakePeer& peer) {
    const auto late = peer.receive();
    ASSERT_TRUE(late);
    gave_up.get_future().wait();
    peer.send(FakeMessage{.tag = late->tag, .fields = {kForward, text(1, "late")}});
    peer.receive();
    peer.reply(0, {kForward, text(1, "right")});
    peer.receive();
  });
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(route(control.get(), "a", verdict, 40), GMESP_E_TIMEOUT);
  EXPECT_GE(elapsed_ms(started) + kRoundingMs, 40u);
  EXPECT_EQ(detail_of(control), "no answer of gmesp-control within 40 ms");
  gave_up.set_value();
  ASSERT_EQ(route(control.get(), "b", verdict), GMESP_OK) << detail_of(control);
  EXPECT_STREQ(verdict.impi, "right");
}

// Shows: R-C-03
TEST(ControlHostile, NegativeTimeoutsAreTwoSecondsAndZeroIsNone) {
  FakeControl fake([](FakePeer& peer) {
    while (peer.receive()) continue;
  });
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(route(control.get(), "a", verdict, 0), GMESP_E_TIMEOUT);
  EXPECT_LT(elapsed_ms(started), 1000u);
  started = std::chrono::steady_clock::now();
  EXPECT_EQ(route(control.get(), "a", verdict, -1), GMESP_E_TIMEOUT);
  EXPECT_GE(elapsed_ms(started) + kRoundingMs, 2000u);
}

// Shows: R-C-03
TEST(ControlHostile, DeathEndsAWaitingCallAtOnceAndLeavesWhatCameBefore) {
  FakeControl fake([](FakePeer& peer) {
    peer.receive();
    peer.reply(0, {kForward});
    peer.send(FakeMessage{.kind = 129, .fields = {number(93, 4)}});
    peer.receive();  // the call, without a reply
  });
  const Control control = open_control(fake.path(), true);
  ASSERT_EQ(submit_route(control.get(), "a", 5), GMESP_OK);
  gmesp_verdict verdict = make_verdict();
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(route(control.get(), "b", verdict, 60'000), GMESP_E_DISCONNECTED);
  EXPECT_LT(elapsed_ms(started), 10'000u);
  EXPECT_NE(detail_of(control), "");
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK);
  EXPECT_EQ(verdict.tag, 5u);
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_DISCONNECTED);
  gmesp_control_event event = make_control_event();
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_OK);
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_E_DISCONNECTED);
  EXPECT_EQ(submit_route(control.get(), "c", 6), GMESP_E_DISCONNECTED);
  EXPECT_EQ(gmesp_control_reload(control.get(), kPatientMs), GMESP_E_DISCONNECTED);
}

// Shows: R-C-03
TEST(ControlHostile, RepliesGivenBeforeTheDeathAreStillFetched) {
  FakeControl fake([](FakePeer& peer) {
    peer.receive();
    peer.reply(0, {kForward});
    pollfd unread{peer.socket(), POLLIN, 0};
    poll(&unread, 1, kPatientMs);  // ends with a request unread: the client's socket is reset
  });
  const Control control = open_control(fake.path());
  ASSERT_EQ(submit_route(control.get(), "a", 5), GMESP_OK);
  ASSERT_EQ(submit_route(control.get(), "a", 6), GMESP_OK);
  pollfd ended{gmesp_control_fd(control.get()), 0, 0};
  ASSERT_EQ(poll(&ended, 1, kPatientMs), 1);  // POLLHUP
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK) << detail_of(control);
  EXPECT_EQ(verdict.tag, 5u);
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_DISCONNECTED);
}

// Shows: R-C-03, R-C-04
TEST(ControlHostile, AChildDoesNoHarm) {
  FakeControl fake([](FakePeer& peer) {
    while (peer.receive()) peer.reply(0, {kForward});
  });
  const Control control = open_control(fake.path());
  const pid_t child = fork();
  if (child == 0) {
    gmesp_verdict verdict = make_verdict();
    const bool is_refused = route(control.get(), "a", verdict) == GMESP_E_FORKED &&
                            submit_route(control.get(), "a", 1) == GMESP_E_FORKED &&
                            gmesp_poll_verdict(control.get(), &verdict) == GMESP_E_FORKED &&
                            gmesp_control_reload(control.get(), 100) == GMESP_E_FORKED &&
                            gmesp_control_fd(control.get()) == -1;
    gmesp_control_close(control.get());
    _exit(is_refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(route(control.get(), "a", verdict), GMESP_OK) << detail_of(control);
}

/// What a call gives if these bytes come in place of its reply; the tag is put into byte 8.
int error_after(std::string bytes, bool wants_events = false) {
  FakeControl fake([&bytes](FakePeer& peer) {
    const auto request = peer.receive();
    ASSERT_TRUE(request);
    if (bytes.size() >= 16) bytes.replace(8, 8, number_bytes(request->tag));
    peer.send(bytes);
    peer.receive();
  });
  const Control control = open_control(fake.path(), wants_events);
  gmesp_verdict verdict = make_verdict();
  const int error = route(control.get(), "a", verdict, 300);
  EXPECT_EQ(verdict.action, 0u);
  if (error != GMESP_E_PROTOCOL) return error;
  EXPECT_NE(detail_of(control), "");
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_PROTOCOL);  // for good
  EXPECT_EQ(submit_route(control.get(), "a", 1), GMESP_E_PROTOCOL);
  EXPECT_NE(detail_of(control), "");
  return error;
}

std::string verdict_with(std::vector<FakeField> fields, bool has_action = true) {
  if (has_action) fields.insert(fields.begin(), kForward);
  return FakeMessage{.fields = std::move(fields)}.encode();
}

// Shows: R-C-04
TEST(ControlHostile, GarbageIsAProtocolErrorForGood) {
  const std::string good = verdict_with({});
  FakeMessage other_version{.fields = {kForward}, .version = 3};
  FakeMessage other_magic{.fields = {kForward}, .magic = 1};
  for (const std::string& bytes :
       {std::string("x"), good.substr(0, 23), good + "z", good.substr(0, good.size() - 1),
        other_version.encode(), other_magic.encode(), std::string(32'769, '\0')})
    EXPECT_EQ(error_after(bytes), GMESP_E_PROTOCOL) << bytes.size();
  std::string cut_field = good;  // the header's length is right, the field's is not
  cut_field[24 + 2] = 9;
  EXPECT_EQ(error_after(cut_field), GMESP_E_PROTOCOL);
  std::vector<FakeField> too_many;
  for (int i = 0; i < 33; ++i) too_many.push_back(text(2, "sip:x"));
  EXPECT_EQ(error_after(verdict_with(too_many)), GMESP_E_PROTOCOL);
}

// Shows: R-C-04, R-C-05
TEST(ControlHostile, AVerdictThatMakesNoSenseIsNone) {
  EXPECT_EQ(error_after(verdict_with({}, false)), GMESP_E_PROTOCOL);
  for (const FakeField& field :
       {number(40, 4), number(40, 0), FakeField{40, "\1"}, number(45, 65536), number(47, 70000),
        number(51, 2), number(52, 256), number(56, 700), number(41, uint64_t{1} << 32),
        FakeField{44, std::string(15, 'a')}, FakeField{46, std::string(17, 'a')},
        text(1, std::string(256, 'i')), text(1, std::string("a\0b", 3)),
        text(2, std::string(256, 'i')), text(53, std::string(2048, 's'))})
    EXPECT_EQ(error_after(verdict_with({field})), GMESP_E_PROTOCOL) << field.tag;
  EXPECT_EQ(error_after(FakeMessage{.error = -5, .fields = {kForward}}.encode()), GMESP_E_PROTOCOL);
}

// Shows: R-C-04
TEST(ControlHostile, ReplyNobodyAskedForIsAProtocolError) {
  FakeControl fake([](FakePeer& peer) {
    peer.send(FakeMessage{.tag = 3, .fields = {kForward}});
    peer.receive();
  });
  const Control control = open_control(fake.path());
  ASSERT_TRUE(is_readable(control));
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_PROTOCOL);
  EXPECT_EQ(detail_of(control), "gmesp-control replied to a request nobody sent");
}

// Shows: R-C-04
TEST(ControlHostile, MessagesOfAYoungerReleaseAreSkipped) {
  FakeControl fake([](FakePeer& peer) {
    peer.receive();
    peer.send(FakeMessage{.kind = 200, .fields = {text(1, "new")}});
    peer.send(FakeMessage{.kind = 129, .fields = {number(93, 4)}});  // not wanted
    peer.reply(0, {kForward, text(4711, "new")});
    peer.receive();
  });
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(route(control.get(), "a", verdict), GMESP_OK) << detail_of(control);
}

// Shows: R-C-04
TEST(ControlHostile, WalksThatDoNotMoveAndBadRowsAreProtocolErrors) {
  const std::vector<std::vector<FakeField>> replies = {
      {text(1, "a")},                 // no cursor
      {number(24, 7), text(1, "a")},  // it does not move
      {number(24, 8), number(70, 2), number(70, 2), number(70, 2), number(70, 2), number(70, 2)},
      {number(24, 8), number(70, 2), number(74, 65536)},
      {number(24, 8), number(70, uint64_t{1} << 32)}};
  for (const auto& fields : replies) {
    FakeControl fake([&fields](FakePeer& peer) {
      peer.receive();
      peer.reply(0, fields);
      peer.receive();
    });
    const Control control = open_control(fake.path());
    gmesp_registration registration;
    GMESP_INIT(&registration);
    uint64_t cursor = 7;
    EXPECT_EQ(gmesp_next_registration(control.get(), "", &cursor, &registration, kPatientMs),
              GMESP_E_PROTOCOL);
    EXPECT_EQ(cursor, 7u);
    EXPECT_EQ(registration.set_count, 0u);
  }
}

// Shows: R-C-03, R-C-04
TEST(ControlHostile, AGmespControlThatNeverStopsSendingHoldsNobody) {
  for (const bool wants_events : {true, false}) {
    FakeControl fake([](FakePeer& peer) {
      const std::string event = FakeMessage{.kind = 129, .fields = {number(93, 4)}}.encode();
      while (send(peer.socket(), event.data(), event.size(), MSG_NOSIGNAL) > 0) continue;
    });
    const Control control = open_control(fake.path(), wants_events);
    gmesp_verdict verdict = make_verdict();
    const auto started = std::chrono::steady_clock::now();
    EXPECT_EQ(route(control.get(), "a", verdict, 100), GMESP_E_TIMEOUT);
    EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_AGAIN);
    EXPECT_LT(elapsed_ms(started), 5000u);
    if (!wants_events) continue;
    EXPECT_GT(gmesp_control_events_lost(control.get()), 0u);
    gmesp_control_event event = make_control_event();
    for (int i = 0; i < 1024; ++i)
      ASSERT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_OK);
  }
}

/// Submits until the socket is full; how many went out.
int fill_socket(const Control& control) {
  const std::string long_impi(255, 'i');
  int count = 0;
  while (submit_route(control.get(), long_impi.c_str(), 1000) == GMESP_OK) ++count;
  EXPECT_EQ(detail_of(control), "gmesp-control has not read earlier requests yet");
  return count;
}

/// So that the limit of the socket is met before that of the library.
void make_socket_small(const Control& control) {
  const int bytes = 8192;
  setsockopt(gmesp_control_fd(control.get()), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

// Shows: R-C-03, R-C-04
TEST(ControlHostile, AFullSocketIsAgainOrATimeoutAndThenGoesOn) {
  std::promise<void> reads;
  FakeControl fake([&reads](FakePeer& peer) {
    reads.get_future().wait();
    while (peer.receive()) peer.reply(0, {kForward});
  });
  const Control control = open_control(fake.path());
  make_socket_small(control);
  const int submitted = fill_socket(control);
  ASSERT_GT(submitted, 0);
  ASSERT_LT(submitted, 256);
  gmesp_verdict verdict = make_verdict();
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(route(control.get(), "a", verdict, 50), GMESP_E_TIMEOUT);
  EXPECT_GE(elapsed_ms(started) + kRoundingMs, 50u);
  EXPECT_LT(elapsed_ms(started), 5000u);
  std::thread reader([&reads] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    reads.set_value();
  });
  EXPECT_EQ(route(control.get(), "b", verdict), GMESP_OK) << detail_of(control);
  reader.join();
  for (int i = 0; i < submitted; ++i) {
    ASSERT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK) << detail_of(control);
    EXPECT_EQ(verdict.tag, 1000u);
  }
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_AGAIN);
}

// Shows: R-C-04
TEST(ControlHostile, AReplyAheadOfItsRequestIsAProtocolError) {
  std::promise<uint64_t> guess;
  FakeControl fake([&guess](FakePeer& peer) {
    peer.send(FakeMessage{.tag = guess.get_future().get(), .fields = {kForward}});
    pollfd hang_up{peer.socket(), 0, 0};
    poll(&hang_up, 1, kPatientMs);
  });
  const Control control = open_control(fake.path());
  make_socket_small(control);
  // The entry behind the submitted ones, in its second use: the first was the one that found no
  // room.
  const auto entry = static_cast<uint64_t>(fill_socket(control));
  guess.set_value(uint64_t{2} << 32 | entry);
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(route(control.get(), "a", verdict), GMESP_E_PROTOCOL);
  EXPECT_EQ(detail_of(control), "gmesp-control replied before it was asked");
}

// Shows: R-C-04
TEST(ControlHostile, TwoHundredFiftySixAreSubmittedAtMost) {
  FakeControl fake([](FakePeer& peer) {
    while (peer.receive()) peer.reply(0, {kForward});
  });
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  for (int round = 0; round < 3; ++round) {
    for (uint64_t tag = 0; tag < 256; ++tag) {
      int error;
      while ((error = submit_route(control.get(), "a", tag)) == GMESP_E_AGAIN) usleep(100);
      ASSERT_EQ(error, GMESP_OK);
    }
    EXPECT_EQ(submit_route(control.get(), "a", 256), GMESP_E_AGAIN);
    EXPECT_EQ(detail_of(control), "256 requests without a fetched verdict, allowed are 256");
    EXPECT_EQ(route(control.get(), "waits all the same", verdict), GMESP_OK);
    for (uint64_t tag = 0; tag < 256; ++tag) {
      ASSERT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK);
      EXPECT_EQ(verdict.tag, tag);
    }
  }
}

}  // namespace
}  // namespace gmesp::test
