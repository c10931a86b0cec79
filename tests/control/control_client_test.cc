// Every call of gmesp_control.h against a scripted gmesp-control: what goes out, what comes back.
#include "control_client.h"

#include <poll.h>

#include <functional>
#include <mutex>
#include <vector>

#include "fake_control.h"

namespace gmesp::test {
namespace {

const std::string kV4 = std::string(10, '\0') + std::string("\xff\xff\xc0\x00\x02\x01", 6);
const std::string kV6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x07";

void set_address(uint8_t (&to)[GMESP_ADDRESS_BYTES], const std::string& from) {
  std::memcpy(to, from.data(), sizeof to);
}

std::string bytes_of(const uint8_t (&address)[GMESP_ADDRESS_BYTES]) {
  return {reinterpret_cast<const char*>(address), sizeof address};
}

gmesp_arrival make_arrival() {
  gmesp_arrival arrival{};
  set_address(arrival.source, kV6);
  set_address(arrival.local, kV4);
  arrival.source_port = 5100;
  arrival.local_port = 65535;
  arrival.is_tcp = 1;
  return arrival;
}

const std::vector<FakeField> kArrivalFields = {
    {5, kV6}, number(6, 5100), {7, kV4}, number(8, 65535), number(9, 1)};

/// Sorted, so that the order of fields does not count but that of repeated ones does.
std::vector<std::pair<uint16_t, std::string>> sorted(const std::vector<FakeField>& fields) {
  std::vector<std::pair<uint16_t, std::string>> out;
  for (const FakeField& field : fields) out.emplace_back(field.tag, field.bytes);
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

/// Answers every request with "forward" and keeps what came.
class Recorder {
 public:
  FakeControl::Script script() {
    return [this](FakePeer& peer) {
      while (const auto request = peer.receive()) {
        const std::lock_guard lock(mutex_);
        requests_.push_back(*request);
        peer.reply(0, {number(40, 1)});
      }
    };
  }
  std::vector<FakeMessage> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  std::mutex mutex_;
  std::vector<FakeMessage> requests_;
};

/// Calls both ways; both must send exactly these fields.
void expect_request(uint16_t kind, const std::vector<FakeField>& fields,
                    const std::function<int(gmesp_control*, gmesp_verdict*)>& wait,
                    const std::function<int(gmesp_control*, uint64_t)>& submit) {
  Recorder recorder;
  FakeControl fake(recorder.script());
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  ASSERT_EQ(wait(control.get(), &verdict), GMESP_OK) << detail_of(control);
  EXPECT_EQ(verdict.action, static_cast<uint32_t>(GMESP_FORWARD));
  ASSERT_EQ(submit(control.get(), 77), GMESP_OK) << detail_of(control);
  pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, kPatientMs), 1);
  ASSERT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK);
  EXPECT_EQ(verdict.tag, 77u);
  const auto requests = recorder.requests();
  ASSERT_EQ(requests.size(), 2u);
  for (const FakeMessage& request : requests) {
    EXPECT_EQ(request.kind, kind);
    EXPECT_EQ(request.magic, 0x54434d47u);
    EXPECT_EQ(request.version, 2);
    EXPECT_EQ(sorted(request.fields), sorted(fields));
  }
  EXPECT_NE(requests[0].tag, requests[1].tag);
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, RegisterSendsEveryField) {
  const char* const client[] = {"ipsec-3gpp; alg=hmac-sha-1-96", ""};
  const char* const verify[] = {"one", "two", "three"};
  gmesp_register_request request;
  GMESP_INIT(&request);
  request.answer = GMESP_ANSWER_SYNCHRONISATION_FAILURE;
  request.arrival = make_arrival();
  set_address(request.via, kV4);
  request.impi = "alice@ims.example";
  request.impu = "sip:alice@ims.example";
  request.registration_key = "1";
  request.transaction = "call 7";
  request.security_client = client;
  request.security_client_lines = 2;
  request.security_verify = verify;
  request.security_verify_lines = 3;
  std::vector<FakeField> fields = kArrivalFields;
  fields.insert(fields.end(),
                {text(1, "alice@ims.example"), text(2, "sip:alice@ims.example"), text(3, "1"),
                 text(4, "call 7"), FakeField{10, kV4}, text(11, client[0]), text(11, ""),
                 text(12, "one"), text(12, "two"), text(12, "three"), number(13, 2)});
  expect_request(
      2, fields,
      [&](auto* control, auto* verdict) {
        return gmesp_register(control, &request, verdict, kPatientMs);
      },
      [&](auto* control, uint64_t tag) { return gmesp_submit_register(control, &request, tag); });
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, ChallengeSendsEveryField) {
  struct gmesp_challenge challenge;
  GMESP_INIT(&challenge);
  challenge.impi = "bob";
  challenge.registration_key = "k";
  challenge.transaction = "t";
  challenge.ik_bytes = challenge.ck_bytes = GMESP_KEY_BYTES;
  std::memset(challenge.ik, 0x11, sizeof challenge.ik);
  std::memset(challenge.ck, 0x22, sizeof challenge.ck);
  std::vector<FakeField> fields = {text(1, "bob"), text(3, "k"), text(4, "t"),
                                   text(14, std::string(16, '\x11')),
                                   text(15, std::string(16, '\x22'))};
  const auto wait = [&](auto* control, auto* verdict) {
    return gmesp_challenge(control, &challenge, verdict, kPatientMs);
  };
  const auto submit = [&](auto* control, uint64_t tag) {
    return gmesp_submit_challenge(control, &challenge, tag);
  };
  expect_request(3, fields, wait, submit);
  challenge.ck_bytes = 0;
  fields.pop_back();
  expect_request(3, fields, wait, submit);
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, RegisterAnswerSendsEveryField) {
  const char* const impus[] = {"sip:b@x", "sip:a@x", "tel:+1"};
  struct gmesp_register_answer answer;
  GMESP_INIT(&answer);
  answer.status = 200;
  answer.impi = "bob";
  answer.registration_key = "k";
  answer.transaction = "t";
  answer.impus = impus;
  answer.impu_count = 3;
  answer.expires_ms = uint64_t{1} << 33;
  expect_request(
      4,
      {text(1, "bob"), text(2, "sip:b@x"), text(2, "sip:a@x"), text(2, "tel:+1"), text(3, "k"),
       text(4, "t"), number(16, 200), number(17, uint64_t{1} << 33)},
      [&](auto* control, auto* verdict) {
        return gmesp_register_answer(control, &answer, verdict, kPatientMs);
      },
      [&](auto* control, uint64_t tag) {
        return gmesp_submit_register_answer(control, &answer, tag);
      });
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, MessageSendsEveryField) {
  struct gmesp_message message;
  GMESP_INIT(&message);
  message.is_request = 1;
  message.is_emergency = 1;
  message.status = 487;
  message.arrival = make_arrival();
  message.method = "INVITE";
  std::vector<FakeField> fields = kArrivalFields;
  fields.insert(fields.end(), {number(16, 487), text(18, "INVITE"), number(19, 1), number(20, 1)});
  expect_request(
      5, fields,
      [&](auto* control, auto* verdict) {
        return gmesp_message(control, &message, verdict, kPatientMs);
      },
      [&](auto* control, uint64_t tag) { return gmesp_submit_message(control, &message, tag); });
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, RouteSendsEveryField) {
  gmesp_destination destination;
  GMESP_INIT(&destination);
  destination.impi = "bob";
  destination.registration_key = "k";
  destination.ue_port = 5200;
  set_address(destination.ue_address, kV6);
  destination.set = UINT64_MAX;
  expect_request(
      6, {text(1, "bob"), text(3, "k"), number(21, UINT64_MAX), {22, kV6}, number(23, 5200)},
      [&](auto* control, auto* verdict) {
        return gmesp_route(control, &destination, verdict, kPatientMs);
      },
      [&](auto* control, uint64_t tag) { return gmesp_submit_route(control, &destination, tag); });
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, HintsSendEveryField) {
  expect_request(
      7, {number(21, 9)},
      [](auto* control, auto* verdict) {
        return gmesp_transaction_begin(control, 9, verdict, kPatientMs);
      },
      [](auto* control, uint64_t tag) { return gmesp_submit_transaction_begin(control, 9, tag); });
  expect_request(
      8, {number(21, 10)},
      [](auto* control, auto* verdict) {
        return gmesp_transaction_end(control, 10, verdict, kPatientMs);
      },
      [](auto* control, uint64_t tag) { return gmesp_submit_transaction_end(control, 10, tag); });
  const char* const impus[] = {"sip:a@x"};
  gmesp_identities identities;
  GMESP_INIT(&identities);
  identities.impi = "bob";
  identities.registration_key = "k";
  identities.impus = impus;
  identities.impu_count = 1;
  expect_request(
      9, {text(1, "bob"), text(2, "sip:a@x"), text(3, "k")},
      [&](auto* control, auto* verdict) {
        return gmesp_set_identities(control, &identities, verdict, kPatientMs);
      },
      [&](auto* control, uint64_t tag) {
        return gmesp_submit_set_identities(control, &identities, tag);
      });
  expect_request(
      10, {text(1, "bob")},
      [](auto* control, auto* verdict) {
        return gmesp_deregistered(control, "bob", nullptr, verdict, kPatientMs);
      },
      [](auto* control, uint64_t tag) {
        return gmesp_submit_deregistered(control, "bob", "", tag);
      });
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, VerdictBringsEveryField) {
  const std::string long_text(400, 't');
  FakeControl fake([&](FakePeer& peer) {
    peer.receive();
    std::vector<FakeField> fields = {number(40, 2),
                                     number(41, 4),
                                     number(42, 70),
                                     number(43, 2),
                                     {44, kV4},
                                     number(45, 5064),
                                     {46, kV6},
                                     number(47, 5200),
                                     number(48, 1),
                                     number(49, 1),
                                     number(50, 71),
                                     number(51, 1),
                                     number(52, 1),
                                     text(53, std::string(2047, 's')),
                                     text(54, "TS 33.203 7.2"),
                                     text(55, long_text),
                                     number(56, 494),
                                     text(1, std::string(255, 'i')),
                                     text(999, "of a younger release")};
    for (int i = 0; i < 32; ++i) fields.push_back(text(2, "sip:" + std::to_string(i)));
    peer.reply(0, fields);
    peer.receive();
  });
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  ASSERT_EQ(route(control.get(), "bob", verdict), GMESP_OK) << detail_of(control);
  EXPECT_EQ(verdict.action, static_cast<uint32_t>(GMESP_REJECT));
  EXPECT_EQ(verdict.refusal, 4u);
  EXPECT_STREQ(gmesp_control_refusal_name(verdict.refusal), "confidentiality_required");
  EXPECT_EQ(verdict.sip_status, 494u);
  EXPECT_EQ(verdict.send.set, 70u);
  EXPECT_EQ(verdict.send.mode, 2u);
  EXPECT_EQ(bytes_of(verdict.send.local), kV4);
  EXPECT_EQ(verdict.send.local_port, 5064);
  EXPECT_EQ(bytes_of(verdict.send.remote), kV6);
  EXPECT_EQ(verdict.send.remote_port, 5200);
  EXPECT_EQ(verdict.send.on_same_connection, 1);
  EXPECT_EQ(verdict.send.same_connection_possible, 1);
  EXPECT_EQ(verdict.arrived_on, 71u);
  EXPECT_EQ(verdict.is_integrity_protected, 1);
  EXPECT_EQ(verdict.is_repetition, 1);
  EXPECT_EQ(verdict.security_server, std::string(2047, 's'));
  EXPECT_STREQ(verdict.clause, "TS 33.203 7.2");
  EXPECT_EQ(verdict.text, std::string(GMESP_DETAIL_BYTES - 1, 't'));
  EXPECT_EQ(verdict.impi, std::string(255, 'i'));
  ASSERT_EQ(verdict.impu_count, 32u);
  EXPECT_STREQ(verdict.impus[31], "sip:31");
}

// Shows: R-C-04
TEST(ControlClient, AnErrorIsTheResultWithItsText) {
  FakeControl fake([](FakePeer& peer) {
    for (int i = 0; i < 2; ++i)
      if (peer.receive()) peer.reply(GMESP_E_TABLE_FULL, {text(55, "9 of 9 in use")});
    peer.receive();
  });
  const Control control = open_control(fake.path());
  gmesp_verdict verdict = make_verdict();
  EXPECT_EQ(route(control.get(), "bob", verdict), GMESP_E_TABLE_FULL);
  EXPECT_EQ(detail_of(control), "9 of 9 in use");
  EXPECT_EQ(verdict.action, 0u);
  ASSERT_EQ(submit_route(control.get(), "bob", 3), GMESP_OK);
  pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, kPatientMs), 1);
  ASSERT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK);
  EXPECT_EQ(verdict.error, GMESP_E_TABLE_FULL);
  EXPECT_EQ(verdict.tag, 3u);
  EXPECT_STREQ(verdict.text, "9 of 9 in use");
}

// Shows: R-C-04
TEST(ControlClient, EventBringsEveryField) {
  FakeControl fake([](FakePeer& peer) {
    peer.send(FakeMessage{.kind = 129,
                          .fields = {number(93, 1),
                                     number(71, 5),
                                     number(92, 7),
                                     {22, kV6},
                                     {7, kV4},
                                     number(74, 1),
                                     number(75, 2),
                                     number(76, 3),
                                     number(77, 4),
                                     number(84, 65535),
                                     text(1, "bob")}});
    peer.receive();
  });
  const Control control = open_control(fake.path(), true);
  pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, kPatientMs), 1);
  gmesp_control_event event = make_control_event();
  ASSERT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_OK) << detail_of(control);
  EXPECT_EQ(event.kind, static_cast<uint32_t>(GMESP_CONTROL_SET_GONE));
  EXPECT_EQ(event.because, static_cast<uint32_t>(GMESP_GONE_LOST));
  EXPECT_EQ(event.set, 5u);
  EXPECT_EQ(event.peer_port, 65535);
  EXPECT_EQ(bytes_of(event.ue_address), kV6);
  EXPECT_EQ(bytes_of(event.local_address), kV4);
  EXPECT_EQ(event.port_uc, 1);
  EXPECT_EQ(event.port_us, 2);
  EXPECT_EQ(event.port_pc, 3);
  EXPECT_EQ(event.port_ps, 4);
  EXPECT_STREQ(event.impi, "bob");
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_E_AGAIN);
  EXPECT_EQ(gmesp_control_events_lost(control.get()), 0u);
}

// Shows: R-C-04, R-C-05
TEST(ControlClient, RequestsAndRepliesMayCross) {
  FakeControl fake([](FakePeer& peer) {
    std::vector<uint64_t> tags;
    for (int i = 0; i < 4; ++i)
      if (const auto request = peer.receive()) tags.push_back(request->tag);
    ASSERT_EQ(tags.size(), 4u);
    const FakeMessage event{.kind = 129, .fields = {number(93, 5)}};
    for (const size_t i :
         {2, 0}) {  // two of the three submitted ones, then the call, then the last
      peer.send(event);
      peer.send(FakeMessage{.tag = tags[i], .fields = {number(40, 1), number(42, i)}});
    }
    peer.send(FakeMessage{.tag = tags[3], .fields = {number(40, 3)}});
    peer.send(FakeMessage{.tag = tags[1], .fields = {number(40, 1), number(42, 1)}});
    peer.receive();
  });
  const Control control = open_control(fake.path(), true);
  for (const uint64_t tag : {100u, 101u, 102u})
    ASSERT_EQ(submit_route(control.get(), "bob", tag), GMESP_OK);
  gmesp_verdict verdict = make_verdict();
  ASSERT_EQ(route(control.get(), "bob", verdict), GMESP_OK) << detail_of(control);
  EXPECT_EQ(verdict.action, static_cast<uint32_t>(GMESP_DISCARD));
  pollfd readable{gmesp_control_fd(control.get()), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, kPatientMs), 1);
  for (const uint64_t tag : {102u, 100u, 101u}) {
    ASSERT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_OK) << detail_of(control);
    EXPECT_EQ(verdict.tag, tag);
    EXPECT_EQ(verdict.send.set, tag - 100);
  }
  EXPECT_EQ(gmesp_poll_verdict(control.get(), &verdict), GMESP_E_AGAIN);
  gmesp_control_event event = make_control_event();
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_OK);
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_OK);
  EXPECT_EQ(gmesp_control_poll_event(control.get(), &event), GMESP_E_AGAIN);
}

}  // namespace
}  // namespace gmesp::test
