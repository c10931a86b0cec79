// Many requests or replies in one packet: gmesp_control_hold, and what a packet may be.
#include <poll.h>

#include <algorithm>

#include "control_client.h"
#include "fake_control.h"

namespace gmesp::test {
namespace {

const FakeField kForward = number(40, GMESP_FORWARD);
constexpr size_t kGatheredMax = 64, kGatheredBytesMax = 8192;

std::string reply_to(const FakeMessage& request) {
  return FakeMessage{.tag = request.tag, .fields = {kForward}}.encode();
}

std::string replies_to(const std::vector<FakeMessage>& requests) {
  std::string packet;
  for (const FakeMessage& request : requests) packet += reply_to(request);
  return packet;
}

/// Answers each packet with one packet; notes how many requests were in each.
class PacketRecorder {
 public:
  FakeControl::Script script() {
    return [this](FakePeer& peer) {
      for (std::vector<FakeMessage> requests; !(requests = peer.receive_packet()).empty();) {
        sizes.push_back(requests.size());
        bytes.push_back(0);
        for (const FakeMessage& request : requests) bytes.back() += request.encode().size();
        peer.send(replies_to(requests));
      }
    };
  }
  std::vector<size_t> sizes, bytes;
};

/// Waits for one more verdict as the header says: polls first.
uint64_t next_tag(const Control& control) {
  gmesp_verdict verdict = make_verdict();
  int error;
  while ((error = gmesp_poll_verdict(control.get(), &verdict)) == GMESP_E_AGAIN) {
    pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
    if (poll(&readable, 1, kPatientMs) != 1) break;
  }
  EXPECT_EQ(error, GMESP_OK) << detail_of(control);
  EXPECT_EQ(verdict.action, static_cast<uint32_t>(GMESP_FORWARD));
  return verdict.tag;
}

// Shows: R-C-04
TEST(ControlHold, HeldRequestsGoOutTogether) {
  PacketRecorder recorder;
  {
    FakeControl fake(recorder.script());
    const Control control = open_control(fake.path());
    gmesp_control_hold(control.get(), 1);
    for (const uint64_t tag : {1u, 2u, 3u})
      ASSERT_EQ(submit_route(control.get(), "a", tag), GMESP_OK);
    gmesp_control_hold(control.get(), 0);
    ASSERT_EQ(submit_route(control.get(), "a", 4), GMESP_OK);
    for (const uint64_t tag : {1u, 2u, 3u, 4u}) EXPECT_EQ(next_tag(control), tag);
  }
  EXPECT_EQ(recorder.sizes, (std::vector<size_t>{3, 1}));
}

TEST(ControlHold, PollingThatFindsNothingSendsThem) {
  PacketRecorder recorder;
  {
    FakeControl fake(recorder.script());
    const Control control = open_control(fake.path());
    gmesp_control_hold(control.get(), 1);
    for (const uint64_t tag : {1u, 2u}) ASSERT_EQ(submit_route(control.get(), "a", tag), GMESP_OK);
    for (const uint64_t tag : {1u, 2u}) EXPECT_EQ(next_tag(control), tag);
  }
  EXPECT_EQ(recorder.sizes, (std::vector<size_t>{2}));
}

TEST(ControlHold, ACallThatWaitsGoesOutBehindThem) {
  PacketRecorder recorder;
  {
    FakeControl fake(recorder.script());
    const Control control = open_control(fake.path());
    gmesp_control_hold(control.get(), 1);
    for (const uint64_t tag : {1u, 2u}) ASSERT_EQ(submit_route(control.get(), "a", tag), GMESP_OK);
    gmesp_verdict verdict = make_verdict();
    ASSERT_EQ(route(control.get(), "b", verdict), GMESP_OK) << detail_of(control);
    for (const uint64_t tag : {1u, 2u}) EXPECT_EQ(next_tag(control), tag);
  }
  EXPECT_EQ(recorder.sizes, (std::vector<size_t>{2, 1}));
}

TEST(ControlHold, NoPacketIsLargerThanAgreed) {
  PacketRecorder recorder;
  const std::string large(200, 'x');
  {
    FakeControl fake(recorder.script());
    const Control control = open_control(fake.path());
    gmesp_control_hold(control.get(), 1);
    for (uint64_t tag = 0; tag < 256; ++tag)
      ASSERT_EQ(submit_route(control.get(), tag < 128 ? "a" : large.c_str(), tag), GMESP_OK);
    for (uint64_t tag = 0; tag < 256; ++tag) ASSERT_EQ(next_tag(control), tag);
  }
  size_t requests = 0;
  for (const size_t size : recorder.sizes) requests += size;
  EXPECT_EQ(requests, 256u);
  EXPECT_EQ(*std::ranges::max_element(recorder.sizes), kGatheredMax);
  EXPECT_LE(*std::ranges::max_element(recorder.bytes), kGatheredBytesMax);
  EXPECT_GT(*std::ranges::max_element(recorder.bytes), kGatheredBytesMax - 300);
}

TEST(ControlHold, ARequestLargerThanAnyGatheredPacketGoesByItself) {
  PacketRecorder recorder;
  {
    FakeControl fake(recorder.script());
    const Control control = open_control(fake.path());
    gmesp_control_hold(control.get(), 1);
    const std::string offer(1000, 'x');
    const std::vector<const char*> lines(GMESP_HEADER_LINES_MAX, offer.c_str());
    gmesp_register_request request;
    GMESP_INIT(&request);
    request.impi = "a";
    request.security_client = lines.data();
    request.security_client_lines = GMESP_HEADER_LINES_MAX;
    ASSERT_EQ(submit_route(control.get(), "a", 1), GMESP_OK);
    ASSERT_EQ(gmesp_submit_register(control.get(), &request, 2), GMESP_OK) << detail_of(control);
    ASSERT_EQ(submit_route(control.get(), "a", 3), GMESP_OK);
    for (const uint64_t tag : {1u, 2u, 3u}) EXPECT_EQ(next_tag(control), tag);
  }
  EXPECT_EQ(recorder.sizes, (std::vector<size_t>{1, 1, 1}));
}

// Shows: R-C-03
TEST(ControlHold, HeldRequestsToADeadGmespControlAreToldByPolling) {
  FakeControl fake([](FakePeer&) {});
  const Control control = open_control(fake.path());
  pollfd hung_up{gmesp_control_fd(control.get()), 0, 0};
  ASSERT_EQ(poll(&hung_up, 1, kPatientMs), 1);
  gmesp_control_hold(control.get(), 1);
  ASSERT_EQ(submit_route(control.get(), "a", 1), GMESP_OK);
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_DISCONNECTED);
}

TEST(ControlHold, RepliesAndEventsOfOnePacketReachWhoWaitsForThem) {
  FakeControl fake([](FakePeer& peer) {
    const auto submitted = peer.receive();
    const auto call = peer.receive();
    const std::string event = FakeMessage{.kind = 129, .fields = {number(93, 4)}}.encode();
    peer.send(event + reply_to(*submitted) + event + reply_to(*call) + event);
    peer.receive();
  });
  const Control control = open_control(fake.path(), true);
  ASSERT_EQ(submit_route(control.get(), "a", 7), GMESP_OK);
  gmesp_verdict verdict = make_verdict();
  ASSERT_EQ(route(control.get(), "b", verdict), GMESP_OK) << detail_of(control);
  EXPECT_EQ(next_tag(control), 7u);
  gmesp_control_event event = make_control_event();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_OK);
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_E_AGAIN);
}

/// What polling finds first after this came behind the reply to a submitted request.
int error_behind_reply(const std::string& more) {
  FakeControl fake([&more](FakePeer& peer) {
    const auto request = peer.receive();
    peer.send(reply_to(*request) + more);
    peer.receive();
  });
  const Control control = open_control(fake.path(), true);
  EXPECT_EQ(submit_route(control.get(), "a", 7), GMESP_OK);
  pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, kPatientMs), 1);
  gmesp_verdict verdict = make_verdict();
  return gmesp_poll_verdict(control.get(), &verdict);
}

// Shows: R-C-04
TEST(ControlHold, APacketIsBelievedWholeOrNotAtAll) {
  const std::string event = FakeMessage{.kind = 129, .fields = {number(93, 4)}}.encode();
  EXPECT_EQ(error_behind_reply(event), GMESP_OK);
  for (size_t bytes = 1; bytes < event.size(); ++bytes)
    EXPECT_EQ(error_behind_reply(event.substr(0, bytes)), GMESP_E_PROTOCOL) << bytes;
  const FakeMessage other_version{.kind = 129, .fields = {number(93, 4)}, .version = 1};
  EXPECT_EQ(error_behind_reply(other_version.encode()), GMESP_E_PROTOCOL);
  std::string events;
  for (size_t i = 1; i < kGatheredMax; ++i) events += event;
  EXPECT_EQ(error_behind_reply(events), GMESP_OK);
  EXPECT_EQ(error_behind_reply(events + event), GMESP_E_PROTOCOL);
}

}  // namespace
}  // namespace gmesp::test
