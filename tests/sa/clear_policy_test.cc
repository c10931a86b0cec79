// What may come in clear: TS 33.203 7.1, ports item 3.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct Row {
  const char* method;  ///< null: a response
  uint16_t status;
  bool is_emergency;
  Action in_clear_silent, in_clear_rejecting;
};

constexpr Action kYes = Action::kForward, kNo = Action::kDiscard, kAnswered = Action::kReject;

constexpr Row kRows[] = {
    {"INVITE", 0, false, kNo, kAnswered},
    {"MESSAGE", 0, false, kNo, kAnswered},
    {"OPTIONS", 0, false, kNo, kAnswered},
    {"SUBSCRIBE", 0, false, kNo, kAnswered},
    {"BYE", 0, false, kNo, kAnswered},
    {"ACK", 0, false, kNo, kNo},  // nobody answers an ACK (RFC 3261 17)
    {"INVITE", 0, true, kYes, kYes},
    {"ACK", 0, true, kYes, kYes},
    {"BYE", 0, true, kYes, kYes},
    {nullptr, 100, false, kNo, kNo},
    {nullptr, 180, false, kNo, kNo},
    {nullptr, 200, false, kNo, kNo},
    {nullptr, 302, false, kNo, kNo},
    {nullptr, 400, false, kYes, kYes},
    {nullptr, 486, false, kYes, kYes},
    {nullptr, 503, false, kYes, kYes},
    {nullptr, 699, false, kYes, kYes},
    {nullptr, 200, true, kYes, kYes},
};

// Shows: R-7.1-21
TEST(ClearPolicy, TruthTable) {
  for (const bool rejects : {false, true}) {
    Policy policy;
    policy.rejects_clear = rejects;
    SaLab lab(policy);
    Ue ue = ue_at(ipv4(1, 1));
    const UeSet set = lab.register_in_clear(ue);
    for (const Row& row : kRows) {
      Message message{ue.in_clear(), row.method != nullptr, row.method == nullptr ? "" : row.method,
                      row.status, row.is_emergency};
      const std::string what = std::string(message.method) + " " + std::to_string(row.status);
      const Verdict verdict = lab.manager.on_message(message, lab.now_ms);
      const Action expected = rejects ? row.in_clear_rejecting : row.in_clear_silent;
      EXPECT_EQ(verdict.action, expected) << what;
      EXPECT_EQ(verdict.refusal, expected == kYes ? Refusal::kNone : Refusal::kClearNotAllowed);
      EXPECT_EQ(verdict.arrived_on, kClear);
      EXPECT_EQ(verdict.send.set, kClear) << "the answer goes in clear too";
      EXPECT_EQ(verdict.send.remote, ue.address);
      EXPECT_EQ(verdict.status, expected == kYes ? 0 : 403) << what;
      message.arrival = set.from_client();
      EXPECT_EQ(lab.manager.on_message(message, lab.now_ms).action, kYes) << "protected " << what;
    }
    EXPECT_EQ(lab.sm1(ue).refusal, Refusal::kUePortInUse) << "a REGISTER is looked at";
    ue.choose_anew();
    EXPECT_EQ(lab.sm1(ue).action, kYes);
  }
}

// Shows: R-7.1-21, R-7.1-18
TEST(ClearPolicy, NothingInClearOnAProtectedPort) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  lab.register_in_clear(ue);
  for (const uint16_t port : {5066, 6100, 6163}) {
    Arrival arrival = ue.in_clear();
    arrival.local_port = port;
    const Message emergency{arrival, true, "INVITE", 0, true};
    EXPECT_EQ(lab.manager.on_message(emergency, lab.now_ms).refusal, Refusal::kNoSa);
    RegisterRequest request{};
    request.arrival = arrival;
    request.impi = ue.impi;
    request.transaction = "clear";
    EXPECT_EQ(lab.manager.on_register(request, lab.now_ms).action, Action::kDiscard);
  }
}

// Shows: R-7.1-21
TEST(ClearPolicy, AClearMessageNeverMovesAnything) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet sa1 = lab.register_in_clear(ue);
  lab.register_on(sa1, ue);
  lab.request(ue.in_clear());
  lab.response(ue.in_clear(), 500);
  EXPECT_EQ(lab.route(ue).send.set, sa1.number);
}

}  // namespace
}  // namespace gmesp::sa
