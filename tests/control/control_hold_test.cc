// Many requests or replies in one packet: gmesp_control_hold, and what a packet may be.
#include <poll.h>

#include <algorithm>
#include <memory>

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

class ControlHold : public testing::Test {
 protected:
  ControlHold() { gmesp_control_hold(control.get(), 1); }
  void submit(const std::vector<uint64_t>& tags) {
    for (const uint64_t tag : tags) ASSERT_EQ(submit_route(control.get(), "a", tag), GMESP_OK);
  }
  void expect_verdicts(const std::vector<uint64_t>& tags) {
    for (const uint64_t tag : tags) EXPECT_EQ(next_tag(control), tag);
  }
  /// What has come to gmesp-control when the connection is over.
  const PacketRecorder& recorded() {
    control.reset();
    fake.reset();
    return recorder;
  }

  PacketRecorder recorder;
  std::unique_ptr<FakeControl> fake = std::make_unique<FakeControl>(recorder.script());
  Control control = open_control(fake->path());
};

// Shows: R-C-04
TEST_F(ControlHold, HeldRequestsGoOutTogether) {
  submit({1, 2, 3});
  gmesp_control_hold(control.get(), 0);
  submit({4});
  expect_verdicts({1, 2, 3, 4});
  EXPECT_EQ(recorded().sizes, (std::vector<size_t>{3, 1}));
}

TEST_F(ControlHold, PollingThatFindsNothingSendsThem) {
  submit({1, 2});
  expect_verdicts({1, 2});
  EXPECT_EQ(recorded().sizes, (std::vector<size_t>{2}));
}

TEST_F(ControlHold, ACallThatWaitsGoesOutBehindThem) {
  submit({1, 2});
  gmesp_verdict verdict = make_verdict();
  ASSERT_EQ(route(control.get(), "b", verdict), GMESP_OK) << detail_of(control);
  expect_verdicts({1, 2});
  EXPECT_EQ(recorded().sizes, (std::vector<size_t>{2, 1}));
}

TEST_F(ControlHold, NoPacketIsLargerThanAgreed) {
  const std::string large(200, 'x');
  for (uint64_t tag = 0; tag < 256; ++tag)
    ASSERT_EQ(submit_route(control.get(), tag < 128 ? "a" : large.c_str(), tag), GMESP_OK);
  for (uint64_t tag = 0; tag < 256; ++tag) ASSERT_EQ(next_tag(control), tag);
  size_t requests = 0;
  for (const size_t size : recorded().sizes) requests += size;
  EXPECT_EQ(requests, 256u);
  EXPECT_EQ(*std::ranges::max_element(recorder.sizes), kGatheredMax);
  EXPECT_LE(*std::ranges::max_element(recorder.bytes), kGatheredBytesMax);
  EXPECT_GT(*std::ranges::max_element(recorder.bytes), kGatheredBytesMax - 300);
}

TEST_F(ControlHold, ARequestLargerThanAnyGatheredPacketGoesByItself) {
  const std::string offer(1000, 'x');
  const std::vector<const char*> lines(GMESP_HEADER_LINES_MAX, offer.c_str());
  gmesp_register_request request;
  GMESP_INIT(&request);
  request.impi = "a";
  request.security_client = lines.data();
  request.security_client_lines = GMESP_HEADER_LINES_MAX;
  submit({1});
  ASSERT_EQ(gmesp_submit_register(control.get(), &request, 2), GMESP_OK) << detail_of(control);
  submit({3});
  expect_verdicts({1, 2, 3});
  EXPECT_EQ(recorded().sizes, (std::vector<size_t>{1, 1, 1}));
}

// Shows: R-C-03
TEST(ControlPacket, HeldRequestsToADeadGmespControlAreToldByPolling) {
  FakeControl fake([](FakePeer&) {});
  const Control control = open_control(fake.path());
  pollfd hung_up{gmesp_control_fd(control.get()), 0, 0};
  ASSERT_EQ(poll(&hung_up, 1, kPatientMs), 1);
  gmesp_control_hold(control.get(), 1);
  ASSERT_EQ(submit_route(control.get(), "a", 1), GMESP_OK);
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_DISCONNECTED);
}

TEST(ControlPacket, RepliesAndEventsOfOnePacketReachWhoWaitsForThem) {
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
TEST(ControlPacket, APacketIsBelievedWholeOrNotAtAll) {
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
