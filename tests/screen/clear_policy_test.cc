// Which clear SIP is passed: TS 33.203 7.1, ports item 3.
#include "dataplane/screen/clear_policy.h"

#include <gtest/gtest.h>

#include <set>

#include "sip_text_samples.h"

namespace gmesp::screen {
namespace {

using Action = ClearAction;
using Reason = ClearReason;

ClearVerdict datagram(const std::string& text, const ClearPolicy& policy = {}) {
  const ExactBytes bytes(text);
  return judge_datagram(read_datagram(bytes.span()), policy);
}

ClearVerdict stream(const std::string& text, const ClearPolicy& policy = {}) {
  const ExactBytes bytes(text);
  return judge_stream(bytes.span(), policy);
}

ClearPolicy rejecting() {
  ClearPolicy policy;
  policy.not_allowed = policy.malformed = Action::kReject;
  return policy;
}

constexpr const char* kA = "<sip:a@ims.example>;tag=1";
constexpr const char* kB = "<sip:b@ims.example>;tag=2";

struct Row {
  const char* method;  ///< null: a response
  const char* target;  ///< Request-URI, or the status line of the response
  Reason reason;
  Action silent, rejecting;
};

constexpr Row kRows[] = {
    {"REGISTER", "sip:ims.example", Reason::kMethodAllowed, Action::kPass, Action::kPass},
    {"INVITE", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"MESSAGE", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"OPTIONS", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"SUBSCRIBE", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"BYE", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"register", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"XREGISTER", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kReject},
    {"ACK", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kDiscard},
    {"ack", "sip:b@x", Reason::kMethodNotAllowed, Action::kDiscard, Action::kDiscard},
    {"INVITE", "urn:service:sos", Reason::kEmergency, Action::kPass, Action::kPass},
    {"ACK", "urn:service:%73os", Reason::kEmergency, Action::kPass, Action::kPass},
    {"CANCEL", "urn:service:sos.fire", Reason::kEmergency, Action::kPass, Action::kPass},
    {nullptr, "SIP/2.0 100 Trying", Reason::kResponseNotAllowed, Action::kDiscard,
     Action::kDiscard},
    {nullptr, "SIP/2.0 180 Ringing", Reason::kResponseNotAllowed, Action::kDiscard,
     Action::kDiscard},
    {nullptr, "SIP/2.0 200 OK", Reason::kResponseNotAllowed, Action::kDiscard, Action::kDiscard},
    {nullptr, "SIP/2.0 399 x", Reason::kResponseNotAllowed, Action::kDiscard, Action::kDiscard},
    {nullptr, "SIP/2.0 400 Bad Request", Reason::kResponseAllowed, Action::kPass, Action::kPass},
    {nullptr, "sip/2.0 486 Busy Here", Reason::kResponseAllowed, Action::kPass, Action::kPass},
    {nullptr, "SIP/2.0 503", Reason::kResponseAllowed, Action::kPass, Action::kPass},
    {nullptr, "SIP/2.0 699 x", Reason::kResponseAllowed, Action::kPass, Action::kPass},
    {nullptr, "SIP/2.0 700 x", Reason::kMalformed, Action::kDiscard, Action::kDiscard},
};

// Shows: R-7.1-21
TEST(ClearSipPolicy, TruthTable) {
  for (const Row& row : kRows) {
    const std::string text =
        row.method != nullptr ? request(row.method, row.target) : response(row.target, kA, kB);
    const ClearVerdict silent = datagram(text), answering = datagram(text, rejecting());
    EXPECT_EQ(silent.action, row.silent) << text;
    EXPECT_EQ(silent.reason, row.reason) << text;
    EXPECT_EQ(answering.action, row.rejecting) << text;
    EXPECT_EQ(answering.reason, row.reason) << text;
    EXPECT_EQ(answering.status, row.rejecting == Action::kReject ? 403 : 0) << text;
    EXPECT_EQ(stream(text).action, row.silent) << text;
    EXPECT_EQ(stream(text, rejecting()).action, row.silent) << "no answer in TCP: " << text;
  }
}

// Shows: R-7.1-21
TEST(ClearSipPolicy, TheOperatorChooses) {
  ClearPolicy policy = rejecting();
  policy.not_allowed_status = 480;
  EXPECT_EQ(datagram(request("INVITE", "sip:b@x"), policy).status, 480);
  policy.methods |= method_bit(Method::kOptions);
  EXPECT_EQ(datagram(request("OPTIONS", "sip:b@x"), policy).action, Action::kPass);
  policy.methods = ~0u;
  EXPECT_EQ(datagram(request("NEWMETHOD", "sip:b@x"), policy).action, Action::kReject);
  policy.methods = 0;
  EXPECT_EQ(datagram(request("REGISTER", "sip:x"), policy).action, Action::kReject);
  policy.response_classes = response_class_bit(2);
  EXPECT_EQ(datagram(response("SIP/2.0 200 OK", kA, kB), policy).action, Action::kPass);
  EXPECT_EQ(datagram(response("SIP/2.0 500 x", kA, kB), policy).action, Action::kDiscard);
  policy.passes_emergency = false;
  EXPECT_EQ(datagram(request("INVITE", "urn:service:sos"), policy).action, Action::kReject);
}

// Shows: R-7.1-21
TEST(ClearSipPolicy, ACallThatBeganAsEmergencyGoesOn) {
  const std::string bye = request("BYE", "sip:psap@x", {}, "<urn:service:sos>;tag=1");
  const std::string ok = response("SIP/2.0 200 OK", "<urn:service:sos>;tag=1", kB);
  for (const std::string& text : {bye, ok}) {
    EXPECT_EQ(datagram(text).action, Action::kPass);
    EXPECT_EQ(datagram(text).reason, Reason::kEmergencyDialog);
    ClearPolicy policy;
    policy.passes_emergency_dialogs = false;
    EXPECT_EQ(datagram(text, policy).action, Action::kDiscard);
    policy = {};
    policy.passes_emergency = false;
    EXPECT_EQ(datagram(text, policy).action, Action::kDiscard);
  }
}

// Shows: R-7.1-21
TEST(ClearSipPolicy, WhatIsNoMessage) {
  ClearPolicy policy;
  for (const char* text : {"", "\r\n", "\r\n\r\n", "\n\n\n", "\r"}) {
    EXPECT_EQ(datagram(text).reason, Reason::kKeepAlive);
    EXPECT_EQ(datagram(text).action, Action::kPass);
    EXPECT_FALSE(stream(text).decides_connection) << "the first message is still to come";
  }
  policy.passes_keep_alive = false;
  EXPECT_EQ(datagram("\r\n\r\n", policy).action, Action::kDiscard);
  const std::string stun(
      "\x00\x01\x00\x00\x21\x12\xa4\x42"
      "123456789012",
      20);
  EXPECT_EQ(datagram(stun).reason, Reason::kStun);
  EXPECT_EQ(datagram(stun).action, Action::kDiscard);
  policy.passes_stun = true;
  EXPECT_EQ(datagram(stun, policy).action, Action::kPass);
  for (const std::string& text :
       {std::string(4, '\0'), std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01"),
        std::string(" REGISTER sip:x SIP/2.0\r\n\r\n"), std::string("jaK"), stun.substr(0, 19),
        std::string("REGISTER\r\n"), std::string("REGISTER sip:x\r\n\r\n"), std::string("{}\n"),
        std::string("REG\0STER sip:x SIP/2.0\r\n\r\n", 27)}) {
    const ClearVerdict verdict = datagram(text, rejecting());
    EXPECT_EQ(verdict.action, Action::kDiscard) << text;
    EXPECT_EQ(verdict.reason, text == "jaK" ? Reason::kCutDatagram : Reason::kNotSip) << text;
  }
}

// Shows: R-7.1-21
TEST(ClearSipPolicy, AMalformedRequestIsNoRegister) {
  const std::string good = request("REGISTER", "sip:x");
  const auto with = [&good](std::string_view from, std::string_view to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& text :
       {with(" SIP/2.0", "  SIP/2.0"), with(" SIP/2.0", " SIP/2.0 "), with(" SIP/2.0", " SIP/7.0"),
        with("sip:x", "<sip:x>"), with("sip:x", "sip:x y"), with("Max-Forwards: 70", "nonsense"),
        with("Max-Forwards: 70", ": 70"), with("Max-Forwards", "Max Forwards"),
        with("Max-Forwards: 70", "f: <sip:c@x>;tag=9"), with("Max-Forwards: 70", "l: 0"),
        with("Length: 0", "Length: -1"), with("Length: 0", "Length: 1"),
        with("Length: 0", "Length: 4294967296"), with("Length: 0", "Length: 0x0"),
        with("Length: 0", "Length:"), with("sip:x", "sip:\x01x")}) {
    const ClearVerdict verdict = datagram(text, rejecting());
    EXPECT_EQ(verdict.reason, Reason::kMalformed) << text;
    EXPECT_EQ(verdict.action, Action::kReject) << text;
    EXPECT_EQ(verdict.status, verdict.flaw == SipFlaw::kVersion ? 505 : 400) << text;
    EXPECT_EQ(datagram(text).action, Action::kDiscard) << text;
  }
}

// Shows: R-7.1-21
TEST(ClearSipPolicy, HeaderFieldsAreBounded) {
  std::string lines;
  while (lines.size() < 4 * (kHeaderFieldsMax - 7)) lines += "X:y\n";
  EXPECT_EQ(datagram(request("REGISTER", "sip:x", lines)).action, Action::kPass);
  lines += "X:y\n";
  const ClearVerdict verdict = datagram(request("REGISTER", "sip:x", lines));
  EXPECT_EQ(verdict.action, Action::kDiscard);
  EXPECT_EQ(verdict.reason, Reason::kHeaderFieldsTooMany);
  EXPECT_EQ(stream(request("REGISTER", "sip:x", lines)).reason, Reason::kHeaderFieldsTooMany);
}

// Shows: R-7.1-21
TEST(ClearSipPolicy, ReasonsAreToldApart) {
  std::set<std::string_view> names, texts;
  for (const ClearReasonInfo& info : kClearReasons) {
    names.insert(info.name);
    texts.insert(info.text);
    EXPECT_FALSE(info.clause.empty()) << info.name;
  }
  EXPECT_EQ(names.size(), kClearReasonCount);
  EXPECT_EQ(texts.size(), kClearReasonCount);
}

// Shows: R-7.1-21
TEST(ClearSipStream, TheFirstMessageDecidesAndThoseBesideItAreLookedAt) {
  const std::string good = request("REGISTER", "sip:x"), bad = request("INVITE", "sip:b@x");
  EXPECT_EQ(stream("\r\n\r\n" + good + good).action, Action::kPass);
  EXPECT_TRUE(stream(good).decides_connection);
  EXPECT_EQ(stream(bad + good).reason, Reason::kMethodNotAllowed);
  EXPECT_EQ(stream(good + bad).reason, Reason::kMethodNotAllowed);
  EXPECT_EQ(stream(good + "\r\n" + good + bad).reason, Reason::kMethodNotAllowed);
  EXPECT_EQ(stream(good + "\x16\x03").reason, Reason::kNotSip);
  const ClearVerdict before_cut = stream(good + bad.substr(0, 40));
  EXPECT_EQ(before_cut.reason, Reason::kMethodAllowed);
  EXPECT_TRUE(before_cut.decides_connection);
}

// Shows: R-7.1-21
TEST(ClearSipStream, BytesOfABodyAreNoMessage) {
  std::string text = request("REGISTER", "sip:x");
  text.replace(text.find("Length: 0"), 9, "Length: 30");
  const std::string invite = "INVITE sip:b@x SIP/2.0\r\n\r\n";
  EXPECT_EQ(stream(text + invite).action, Action::kPass) << "the body goes on in the next segment";
  text.replace(text.find("Length: 30"), 10, "Length: 26");
  EXPECT_EQ(stream(text + invite).action, Action::kPass);
  text.replace(text.find("Length: 26"), 10, "Length: 0");
  EXPECT_EQ(stream(text + invite).action, Action::kDiscard);
}

// Shows: R-7.1-21
TEST(ClearSipStream, WithoutContentLengthItsEndIsNotKnown) {
  std::string text = request("REGISTER", "sip:x");
  text.erase(text.find("Content-Length: 0\r\n"), 19);
  EXPECT_EQ(stream(text).flaw, SipFlaw::kContentLengthMissing);
  EXPECT_EQ(stream(text).action, Action::kDiscard);
  EXPECT_EQ(datagram(text).action, Action::kPass);
}

// Shows: R-7.1-21
TEST(ClearSipStream, ACutHeadIsPassedOrDiscardedByChoice) {
  const std::string cut = request("REGISTER", "sip:x").substr(0, 100);
  EXPECT_EQ(stream(cut).action, Action::kPass);
  EXPECT_EQ(stream(cut).reason, Reason::kCutStream);
  EXPECT_TRUE(stream(cut).decides_connection);
  ClearPolicy policy;
  policy.cut_stream = Action::kDiscard;
  EXPECT_EQ(stream(cut, policy).action, Action::kDiscard);
  EXPECT_EQ(stream(cut, policy).reason, Reason::kCutStream);
}

// Shows: R-7.1-21
TEST(ClearSipStream, ACutHeadThatNothingCanSaveIsRefusedAtOnce) {
  EXPECT_EQ(stream("GET / HTTP/1.1\r\nHost").reason, Reason::kNotSip);
  EXPECT_EQ(stream("REGISTER  sip:x SIP/2.0\r\nVia").reason, Reason::kMalformed);
  ClearPolicy policy;
  EXPECT_EQ(stream("INVITE sip:b@x SIP/2.0\r\nVia", policy).reason, Reason::kCutStream)
      << "a Route may follow";
  policy.passes_emergency = false;
  EXPECT_EQ(stream("INVITE sip:b@x SIP/2.0\r\nVia", policy).reason, Reason::kMethodNotAllowed);
  EXPECT_EQ(stream("SIP/2.0 200 OK\r\nVia", policy).reason, Reason::kResponseNotAllowed);
  EXPECT_EQ(stream("SIP/2.0 500 x\r\nVia", policy).reason, Reason::kCutStream);
  EXPECT_EQ(stream(std::string(kStartLineBytesMax, 'A')).reason, Reason::kCutStream);
  EXPECT_EQ(stream(std::string(kStartLineBytesMax + 1, 'A')).reason, Reason::kNotSip);
}

}  // namespace
}  // namespace gmesp::screen
