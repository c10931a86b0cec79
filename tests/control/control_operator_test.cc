// What an operator asks of gmesp-control, against a scripted one: registrations, refusals, totals,
// commands; and what opening a connection tells.
#include <vector>

#include "control_client.h"
#include "fake_control.h"

namespace gmesp::test {
namespace {

constexpr uint64_t kForever = UINT64_MAX;
const std::string kUe = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x07";
const std::string kLocal = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x08";

std::vector<FakeField> set_fields(uint64_t number_of_set, uint64_t state) {
  return {number(70, state),  number(71, number_of_set),
          number(72, 1000),   number(73, 2),
          number(25, 2),      number(26, 3),
          number(74, 1),      number(75, 2),
          number(76, 3),      number(77, 4),
          number(78, 256),    number(79, 257),
          number(80, 258),    number(81, UINT32_MAX),
          number(82, 9),      number(83, kForever),
          number(84, 4500),   number(85, 6),
          number(86, 1),      number(87, 1),
          FakeField{22, kUe}, FakeField{7, kLocal}};
}

void expect_set(const gmesp_registration_set& set, uint64_t number_of_set, uint32_t state) {
  EXPECT_EQ(set.state, state);
  EXPECT_EQ(set.number, number_of_set);
  EXPECT_EQ(set.data_plane_id, 1000u);
  EXPECT_EQ(set.mode, 2);
  EXPECT_EQ(set.integrity, 2);
  EXPECT_EQ(set.cipher, 3);
  EXPECT_EQ(set.port_uc, 1);
  EXPECT_EQ(set.port_us, 2);
  EXPECT_EQ(set.port_pc, 3);
  EXPECT_EQ(set.port_ps, 4);
  EXPECT_EQ(set.spi_uc, 256u);
  EXPECT_EQ(set.spi_us, 257u);
  EXPECT_EQ(set.spi_pc, 258u);
  EXPECT_EQ(set.spi_ps, UINT32_MAX);
  EXPECT_EQ(set.not_after_ms, 9u);
  EXPECT_EQ(set.drop_at_ms, kForever);
  EXPECT_EQ(set.peer_port, 4500);
  EXPECT_EQ(set.pending_transactions, 6u);
  EXPECT_EQ(set.is_latest, 1);
  EXPECT_EQ(set.is_outbound, 1);
  EXPECT_EQ(std::memcmp(set.ue_address, kUe.data(), 16), 0);
  EXPECT_EQ(std::memcmp(set.local_address, kLocal.data(), 16), 0);
}

// Shows: R-C-04
TEST(ControlOperator, RegistrationsAreWalkedWithEveryField) {
  FakeControl fake([](FakePeer& peer) {
    auto request = peer.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->kind, 32);
    EXPECT_EQ(request->one(24), number_bytes(0));
    EXPECT_EQ(request->one(1), "bob");
    std::vector<FakeField> fields = {number(24, 40), text(1, "bob"), text(3, "key"),
                                     text(2, "sip:a@x"), number(89, 3)};
    for (const FakeField& field : set_fields(7, 2)) fields.push_back(field);
    for (const FakeField& field : set_fields(8, 1)) fields.push_back(field);
    fields.push_back(text(2, "tel:+1"));  // wherever they stand
    peer.reply(0, fields);
    request = peer.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->one(24), number_bytes(40));
    EXPECT_EQ(request->one(1), "(none)");
    peer.reply(GMESP_E_END, {});
    peer.receive();
  });
  const Control control = open_control(fake.path());
  gmesp_registration registration;
  GMESP_INIT(&registration);
  uint64_t cursor = 0;
  ASSERT_EQ(gmesp_next_registration(control.get(), "bob", &cursor, &registration, kPatientMs),
            GMESP_OK)
      << detail_of(control);
  EXPECT_EQ(cursor, 40u);
  EXPECT_STREQ(registration.impi, "bob");
  EXPECT_STREQ(registration.registration_key, "key");
  EXPECT_EQ(registration.procedures, 3u);
  ASSERT_EQ(registration.impu_count, 2u);
  EXPECT_STREQ(registration.impus[0], "sip:a@x");
  EXPECT_STREQ(registration.impus[1], "tel:+1");
  ASSERT_EQ(registration.set_count, 2u);
  expect_set(registration.sets[0], 7, GMESP_SET_LIVE);
  expect_set(registration.sets[1], 8, GMESP_SET_REGISTRATION);
  EXPECT_EQ(gmesp_next_registration(control.get(), nullptr, &cursor, &registration, kPatientMs),
            GMESP_E_END);
  EXPECT_EQ(cursor, 40u);
}

// Shows: R-C-04
TEST(ControlOperator, RefusalsBringEveryField) {
  FakeControl fake([](FakePeer& peer) {
    const auto request = peer.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->kind, 33);
    EXPECT_EQ(request->one(24), number_bytes(5));
    peer.reply(0, {number(24, 6), number(41, 14), number(91, 123456), FakeField{5, kUe},
                   number(6, 5100), number(56, 403), text(1, "bob"), text(88, "via_mismatch"),
                   text(54, "TS 33.203 7.1 rule 2"), text(55, "differ")});
    peer.receive();
  });
  const Control control = open_control(fake.path());
  struct gmesp_refusal refusal;
  GMESP_INIT(&refusal);
  uint64_t cursor = 5;
  ASSERT_EQ(gmesp_next_refusal(control.get(), &cursor, &refusal, kPatientMs), GMESP_OK)
      << detail_of(control);
  EXPECT_EQ(cursor, 6u);
  EXPECT_EQ(refusal.refusal, 14u);
  EXPECT_EQ(refusal.time_ms, 123456u);
  EXPECT_EQ(std::memcmp(refusal.source, kUe.data(), 16), 0);
  EXPECT_EQ(refusal.source_port, 5100);
  EXPECT_EQ(refusal.sip_status, 403);
  EXPECT_STREQ(refusal.impi, "bob");
  EXPECT_STREQ(refusal.name, "via_mismatch");
  EXPECT_STREQ(refusal.clause, "TS 33.203 7.1 rule 2");
  EXPECT_STREQ(refusal.text, "differ");
}

// Shows: R-C-04, R-D-K1
TEST(ControlOperator, CommandsSendEveryFieldAndTellWhatIsWrong) {
  std::vector<FakeMessage> requests;
  FakeControl fake([&requests](FakePeer& peer) {
    while (const auto request = peer.receive()) {
      requests.push_back(*request);
      if (request->kind == 34)
        peer.reply(0, {text(88, "sets"), text(90, "SA sets"), text(55, "live"), number(89, 12)});
      else if (request->kind == 37)
        peer.reply(GMESP_E_NOT_FOUND, {text(55, "no user bob")});
      else if (request->kind == 38)
        peer.reply(GMESP_E_BAD_ARGUMENT, {text(55, "line 3: found 0, allowed 1 to 9")});
      else
        peer.reply(0, {});
    }
  });
  Control control = open_control(fake.path());
  gmesp_statistic row;
  GMESP_INIT(&row);
  ASSERT_EQ(gmesp_control_get_statistic(control.get(), 4, &row, kPatientMs), GMESP_OK);
  EXPECT_STREQ(row.name, "sets");
  EXPECT_STREQ(row.unit, "SA sets");
  EXPECT_STREQ(row.text, "live");
  EXPECT_EQ(row.value, 12u);
  EXPECT_EQ(gmesp_control_withdraw(control.get(), 1, 0, 1, kPatientMs), GMESP_OK);
  EXPECT_EQ(gmesp_control_restore(control.get(), 0, 3, kPatientMs), GMESP_OK);
  EXPECT_EQ(gmesp_control_evict(control.get(), "bob", kPatientMs), GMESP_E_NOT_FOUND);
  EXPECT_EQ(detail_of(control), "no user bob");
  EXPECT_EQ(gmesp_control_reload(control.get(), kPatientMs), GMESP_E_BAD_ARGUMENT);
  EXPECT_EQ(detail_of(control), "line 3: found 0, allowed 1 to 9");
  ASSERT_EQ(requests.size(), 5u);
  EXPECT_EQ(requests[0].one(24), number_bytes(4));
  EXPECT_EQ(requests[1].kind, 35);
  EXPECT_EQ(requests[1].one(25), number_bytes(1));
  EXPECT_EQ(requests[1].one(26), number_bytes(0));
  EXPECT_EQ(requests[1].one(27), number_bytes(1));
  EXPECT_EQ(requests[2].kind, 36);
  EXPECT_EQ(requests[2].one(25), number_bytes(0));
  EXPECT_EQ(requests[2].one(26), number_bytes(3));
  EXPECT_EQ(requests[3].one(1), "bob");
}

// Shows: R-C-04
TEST(ControlOpen, HelloSaysWhetherEventsAreWanted) {
  std::vector<FakeMessage> hellos;
  FakeControl fake(
      [&hellos](FakePeer& peer) {
        const auto hello = peer.receive();
        ASSERT_TRUE(hello);
        hellos.push_back(*hello);
        peer.reply(0, {text(55, "1.2.3")});
        peer.receive();
      },
      false);
  open_control(fake.path(), true);
  open_control(fake.path(), false);
  ASSERT_EQ(hellos.size(), 2u);
  EXPECT_EQ(hellos[0].kind, 1);
  EXPECT_EQ(hellos[0].one(28), number_bytes(1));
  EXPECT_EQ(hellos[1].one(28), number_bytes(0));
}

/// What opening gives if gmesp-control answers the hello with these bytes.
OpenedControl open_with_answer(const std::string& answer) {
  FakeControl fake(
      [&answer](FakePeer& peer) {
        peer.receive();
        peer.send(answer);
      },
      false);
  return try_control(fake.path());
}

// Shows: R-C-04
TEST(ControlOpen, RefusalsAndOtherVersionsAreNamed) {
  OpenedControl opened = open_with_answer(
      FakeMessage{.error = GMESP_E_REFUSED, .fields = {text(55, "user 7 may not")}}.encode());
  EXPECT_EQ(opened.error, GMESP_E_REFUSED);
  EXPECT_EQ(opened.detail, "user 7 may not");
  EXPECT_EQ(opened.control, nullptr);
  const FakeMessage younger{.error = GMESP_E_VERSION, .fields = {text(55, "x")}, .version = 258};
  for (const std::string& bytes : {younger.encode(), younger.encode().substr(0, 24)}) {
    opened = open_with_answer(bytes);
    EXPECT_EQ(opened.error, GMESP_E_VERSION);
    EXPECT_EQ(opened.detail, "protocol version: gmesp-control has 258, client has 2");
  }
}

// Shows: R-C-04
TEST(ControlOpen, GarbageIsAProtocolError) {
  FakeMessage other_magic;
  other_magic.magic = 0x12345678;
  const std::string good = FakeMessage{.fields = {text(55, "v")}}.encode();
  for (const std::string& bytes :
       {std::string("x"), other_magic.encode(), good.substr(0, good.size() - 1), good + "y",
        FakeMessage{.kind = 129}.encode(), FakeMessage{.error = -1}.encode(),
        std::string(40'000, 'z')}) {
    const OpenedControl opened = open_with_answer(bytes);
    EXPECT_EQ(opened.error, GMESP_E_PROTOCOL) << bytes.size();
    EXPECT_NE(opened.detail, "");
  }
}

// Shows: R-C-03
TEST(ControlOpen, NobodyNoAnswerAndHangUpAreTold) {
  OpenedControl opened = try_control("/nowhere/control.sock");
  EXPECT_EQ(opened.error, GMESP_E_NOT_CONNECTED);
  EXPECT_EQ(opened.detail, "/nowhere/control.sock: No such file or directory");
  opened = try_control("/" + std::string(200, 'p'));
  EXPECT_EQ(opened.error, GMESP_E_NOT_CONNECTED);
  EXPECT_EQ(opened.detail, "socket path of 201 bytes, allowed are 1 to 107");
  FakeControl silent(
      [](FakePeer& peer) {
        peer.receive();
        peer.receive();
      },
      false);
  opened = try_control(silent.path(), false, 30);
  EXPECT_EQ(opened.error, GMESP_E_TIMEOUT);
  EXPECT_EQ(opened.detail, "no reply of gmesp-control to the hello within 30 ms");
  FakeControl dying([](FakePeer&) {}, false);
  EXPECT_EQ(try_control(dying.path()).error, GMESP_E_DISCONNECTED);
}

// Shows: R-C-04
TEST(ControlOpen, OptionsAreChecked) {
  gmesp_control_options options;
  GMESP_INIT(&options);
  gmesp_control* control = nullptr;
  EXPECT_EQ(gmesp_control_open(nullptr, &control, nullptr, 0), GMESP_E_BAD_ARGUMENT);
  EXPECT_EQ(gmesp_control_open(&options, nullptr, nullptr, 0), GMESP_E_BAD_ARGUMENT);
  options.wants_events = 2;
  EXPECT_EQ(gmesp_control_open(&options, &control, nullptr, 0), GMESP_E_BAD_ARGUMENT);
  options.wants_events = 0;
  options.size = 8;
  EXPECT_EQ(gmesp_control_open(&options, &control, nullptr, 0), GMESP_E_STRUCT_SIZE);
  gmesp_control_close(nullptr);
  EXPECT_STREQ(gmesp_control_detail(nullptr), "");
  EXPECT_EQ(gmesp_control_fd(nullptr), -1);
}

}  // namespace
}  // namespace gmesp::test
