// The SIP screen on packets: what passes is counted as what it is and reaches the host unchanged,
// what is refused is answered at most, and floods stay within their bounds.
#include <gtest/gtest.h>

#include "dataplane/gate/connection_table.h"
#include "dissection.h"
#include "screen_lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;

class ScreenTest : public testing::Test {
 protected:
  void start(const gate::GateOptions& gate = {}, const std::string& rules = "") {
    LabOptions options;
    add_screen(options, gate, rules);
    lab = std::make_unique<Lab>(options);
    lab->install(ue);
  }
  bool passes(const Datagram& datagram) {
    const Bytes frame = frame_of(datagram);
    const std::vector<Bytes> host = to(lab->from_network(frame), Side::kHost);
    return host.size() == 1 && host[0] == frame;
  }

  const Registration ue = make_registration(1);
  std::unique_ptr<Lab> lab;
};

// Shows: R-7.1-21
TEST_F(ScreenTest, RegisterEmergencyAndErrorsPassEachUnderItsName) {
  start();
  std::string error = sip_request("INVITE");
  error.replace(0, error.find("\r\n"), "SIP/2.0 503 Service Unavailable");
  EXPECT_TRUE(passes(clear_sip(ue, sip_request("REGISTER"))));
  EXPECT_TRUE(passes(clear_sip(ue, sip_request("INVITE", "urn:service:sos.fire"))));
  EXPECT_TRUE(passes(clear_sip(ue, error)));
  EXPECT_TRUE(passes(clear_sip(ue, "\r\n\r\n")));
  EXPECT_EQ(lab->count(Statistic::kSipMethodAllowed), 1u);
  EXPECT_EQ(lab->count(Statistic::kSipEmergency), 1u);
  EXPECT_EQ(lab->count(Statistic::kSipResponseAllowed), 1u);
  EXPECT_EQ(lab->count(Statistic::kSipKeepAlive), 1u);
  EXPECT_EQ(lab->drops(), "");
}

// Shows: R-7.1-21
TEST_F(ScreenTest, OtherPortsAndTheHostAreNotScreened) {
  start();
  Datagram other = clear_sip(ue, sip_request("INVITE"));
  other.destination_port = 5070 + 1000;
  EXPECT_TRUE(passes(other));
  Datagram out = clear_sip(ue, sip_request("INVITE"));
  std::swap(out.source, out.destination);
  EXPECT_EQ(to(lab->from_host(frame_from_host(ip_packet(out))), Side::kAccess).size(), 1u);
}

// Shows: R-7.1-21
TEST_F(ScreenTest, RejectAnswersTheSenderAndNoMoreThanAllowed) {
  gate::GateOptions gate;
  gate.policy.not_allowed = screen::ClearAction::kReject;
  gate.replies_per_second = 1;
  start(gate);
  const Datagram invite = clear_sip(ue, sip_request("INVITE"));
  const Bytes reply = only(lab->from_network(frame_of(invite)), Side::kAccess);
  const std::optional<Dissection> seen = dissect_packet(packet_in(reply));
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->header_checksum_good && seen->l4_checksum_good);
  EXPECT_EQ(seen->source, ue.local);
  EXPECT_EQ(seen->destination, ue.ue);
  EXPECT_EQ(seen->source_port, 5060);
  EXPECT_EQ(seen->destination_port, 5060);
  const std::string text(seen->payload.begin(), seen->payload.end());
  EXPECT_TRUE(text.starts_with("SIP/2.0 403 Forbidden\r\n")) << text;
  EXPECT_NE(text.find("Call-ID: a84b4c76e66710\r\n"), text.npos);
  EXPECT_NE(text.find("CSeq: 1 INVITE\r\n"), text.npos);
  EXPECT_LE(text.size(), invite.payload.size());
  EXPECT_TRUE(lab->from_network(frame_of(invite)).empty());
  EXPECT_EQ(lab->count(Statistic::kSipReplies), 1u);
  EXPECT_EQ(lab->count(Statistic::kSipRepliesLeftOut), 1u);
  EXPECT_EQ(lab->drops(), "sip_method_not_allowed 2");
}

// Shows: R-7.1-21
TEST_F(ScreenTest, RejectOverIpv6AnswersWithARightChecksum) {
  gate::GateOptions gate;
  gate.policy.not_allowed = screen::ClearAction::kReject;
  gate.replies_per_second = 1;
  start(gate);
  Datagram invite = clear_sip(ue, sip_request("INVITE"));
  invite.source = ip("2001:db8::1");
  invite.destination = ip("2001:db8::2");
  const Bytes reply = only(lab->from_network(frame_of(invite)), Side::kAccess);
  const std::optional<Dissection> seen = dissect_packet(packet_in(reply));
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->l4_checksum_good);
  EXPECT_EQ(seen->destination, invite.source);
}

// Shows: R-7.1-21
TEST_F(ScreenTest, FirstSegmentOfAConnectionDecides) {
  start();
  const std::string text = sip_request("REGISTER");
  EXPECT_TRUE(passes(clear_segment(ue, "", 999, kTcpSyn)));
  EXPECT_TRUE(passes(clear_segment(ue, "", 1000)));
  EXPECT_TRUE(passes(clear_segment(ue, text, 1000)));
  EXPECT_TRUE(passes(clear_segment(ue, "any bytes", 1000 + static_cast<uint32_t>(text.size()))));
  EXPECT_EQ(lab->count(Statistic::kSipConnections), 1u);
  EXPECT_EQ(lab->count(Statistic::kSipLaterSegments), 1u);
}

// Shows: R-7.1-21
TEST_F(ScreenTest, FirstBytesSentAgainAreJudgedAgain) {
  start();
  EXPECT_TRUE(passes(clear_segment(ue, "", 999, kTcpSyn)));
  EXPECT_TRUE(passes(clear_segment(ue, sip_request("REGISTER"), 1000)));
  EXPECT_FALSE(passes(clear_segment(ue, sip_request("INVITE"), 1000)));
  EXPECT_EQ(lab->drops(), "sip_method_not_allowed 1");
}

// Shows: R-7.1-21
TEST_F(ScreenTest, BytesBeforeTheFirstDoNotHideIt) {
  start();
  EXPECT_TRUE(passes(clear_segment(ue, "", 999, kTcpSyn)));
  EXPECT_FALSE(passes(clear_segment(ue, "XYZ" + sip_request("INVITE"), 997)));
  EXPECT_EQ(lab->drops(), "sip_method_not_allowed 1");
}

// Shows: R-7.1-21
TEST_F(ScreenTest, CutFirstSegmentPassesAndIsCounted) {
  start();
  EXPECT_TRUE(passes(clear_segment(ue, "", 999, kTcpSyn)));
  EXPECT_TRUE(passes(clear_segment(ue, sip_request("REGISTER").substr(0, 200), 1000)));
  EXPECT_EQ(lab->count(Statistic::kSipCutStream), 1u);
}

// Shows: R-7.1-21
TEST_F(ScreenTest, ConnectionsNotSeenFromTheStartAreJudgedWhereAMessageStarts) {
  start();
  EXPECT_TRUE(passes(clear_segment(ue, "rest of a message", 5000)));
  EXPECT_FALSE(passes(clear_segment(ue, sip_request("INVITE"), 6000)));
  EXPECT_EQ(lab->count(Statistic::kSipUnknownSegments), 1u);
  EXPECT_EQ(lab->drops(), "sip_method_not_allowed 1");
}

constexpr const char* kEventRule = R"([[rule]]
name = "asserted"
where = "header"
header = "P-Asserted-Identity"
action = "event"
comment = "for this test"
)";

// Shows: R-7.1-21
TEST_F(ScreenTest, RuleWithAnEventIsToldAndTheMessagePasses) {
  start({}, kEventRule);
  const std::string text =
      sip_request("REGISTER", "sip:home.example", "P-Asserted-Identity: <sip:eve@x>\r\n");
  EXPECT_TRUE(passes(clear_sip(ue, text)));
  const std::vector<ipsec::Notice> told = lab->notices(shm::EventKind::kSipRule);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].value, 0u);
  EXPECT_EQ(told[0].source_port, 5060);
}

// Shows: R-7.1-21
TEST_F(ScreenTest, OverloadShedsClearAndKeepsProtectedAndHost) {
  start();
  lab->pipeline().set_overloaded(true);
  const Bytes text = pattern(100);
  const std::vector<Bytes> flood(64, frame_of(clear_sip(ue, sip_request("REGISTER"))));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(lab->process(flood, {}).empty());
  std::vector<Bytes> access(flood.begin(), flood.end() - 1);
  access.push_back(ue.uplink(shm::SaRole::kInUcPs, 1, text));
  const std::vector<Bytes> host = to(lab->process(access, {}), Side::kHost);
  ASSERT_EQ(host.size(), 2u);
  EXPECT_EQ(packet_in(host[0]), ue.clear(shm::SaRole::kInUcPs, text)) << "protected goes first";
  EXPECT_EQ(lab->drops(), "clear_overload 254");
  lab->pipeline().set_overloaded(false);
  EXPECT_TRUE(passes(clear_sip(ue, sip_request("REGISTER"))));
}

// Shows: R-7.1-21
TEST_F(ScreenTest, OverloadKeepsArpAndNeighborDiscovery) {
  start();
  lab->pipeline().set_overloaded(true);
  const Bytes arp = frame_of_type(0x0806, Bytes(28));
  EXPECT_EQ(to(lab->from_network(arp), Side::kHost).size(), 1u);
  Bytes solicitation = icmp_packet(ip("fe80::1"), ip("fe80::2"), 135, 0, 0, Bytes(16));
  EXPECT_TRUE(to(lab->from_network(frame_to_host(solicitation)), Side::kHost).empty());
  solicitation[7] = 255;
  EXPECT_EQ(to(lab->from_network(frame_to_host(solicitation)), Side::kHost).size(), 1u);
  EXPECT_EQ(lab->drops(), "clear_overload 1");
}

// Shows: R-7.1-21
TEST_F(ScreenTest, UnderOverloadClearPacketsPassByTheirShareHoweverSmallTheBursts) {
  start();
  lab->pipeline().set_overloaded(true);
  int passed = 0;
  for (int i = 0; i < 2560; ++i) passed += passes(clear_sip(ue, sip_request("REGISTER")));
  EXPECT_EQ(passed, 10);
  EXPECT_EQ(lab->drops(), "clear_overload 2550");
}

/// What is shed at the first look is clear beyond doubt, and its audit names it all the same.
// Shows: R-7.1-21, R-7.1-18
TEST_F(ScreenTest, OverloadTakesNothingElseForClear) {
  start();
  lab->pipeline().set_overloaded(true);
  Datagram protected_port = clear_sip(ue, sip_request("REGISTER"));
  protected_port.destination_port = ue.port_ps;
  EXPECT_FALSE(passes(protected_port));
  EXPECT_EQ(lab->drops(), "clear_to_protected_port 1");
  Datagram encapsulated = clear_sip(ue, sip_request("REGISTER"));
  encapsulated.destination_port = 4500;
  EXPECT_FALSE(passes(encapsulated));
  EXPECT_EQ(lab->drops(), "clear_to_protected_port 1, unknown_spi 1");
  EXPECT_FALSE(passes(clear_sip(ue, sip_request("REGISTER"))));
  EXPECT_EQ(lab->drops(), "clear_to_protected_port 1, clear_overload 1, unknown_spi 1");
  const std::vector<ipsec::Notice> told = lab->notices(shm::EventKind::kAudit);
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[2].reason, DropReason::kClearOverload);
  EXPECT_EQ(told[2].source_port, 5060);
}

// Shows: R-2406-15
TEST_F(ScreenTest, FailingSourceIsShedUnderOverloadOnly) {
  LabOptions options;
  options.pipeline.esp_failures_per_source = 1;
  Lab busy(options);
  busy.install(ue);
  EspSa forged = ue.sa(shm::SaRole::kInUcPs);
  forged.spi ^= 0x100000;
  const Bytes clear = ue.clear(shm::SaRole::kInUcPs, pattern(20));
  for (int i = 0; i < 5; ++i) busy.from_network(frame_to_host(seal(forged, 1, clear)));
  EXPECT_EQ(busy.from_network(ue.uplink(shm::SaRole::kInUcPs, 1, pattern(20))).size(), 1u);
}

/// One million sources one after another: the source's own rate never stops them, the rate of all
/// does, and one that keeps to its rate passes again later.
// Shows: R-7.1-21
TEST_F(ScreenTest, SpoofedSourcesAreHeldByTheRateOfAll) {
  gate::GateOptions gate;
  gate.sip_per_second = 1000;
  gate.sip_per_source = 10;
  start(gate);
  constexpr uint32_t kSources = 100'000;
  Datagram datagram = clear_sip(ue, sip_request("REGISTER"));
  for (uint32_t i = 0; i < kSources; ++i) {
    datagram.source = ip("11." + std::to_string(i >> 16 & 255) + "." +
                         std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255));
    lab->from_network(frame_of(datagram));
  }
  EXPECT_EQ(lab->count(Statistic::kSipMethodAllowed), 101u) << "a tenth of a second, and one";
  EXPECT_EQ(lab->count(DropReason::kSipRate), kSources - 101);
  lab->now_ms += 1000;
  EXPECT_TRUE(passes(clear_sip(ue, sip_request("REGISTER"))));
}

// Shows: R-7.1-21
TEST(SourceLimiter, TenMillionSourcesTakeNoMoreMemoryAndOneSourceKeepsItsRate) {
  ipsec::SourceLimiter limiter(10);
  uint32_t passed = 0;
  for (uint32_t i = 0; i < 10'000'000; ++i) {
    const uint32_t number = i * 2654435761u;
    passed += limiter.take(ipsec::Address::from_ipv4(&number), 1000) ? 1 : 0;
  }
  EXPECT_GT(passed, 9'900'000u) << "a source seen for the first time may send";
  const uint32_t steady = 0x0100000a;
  const ipsec::Address address = ipsec::Address::from_ipv4(&steady);
  uint32_t taken = 0;
  for (uint64_t now_ms = 5000; now_ms < 15'000; ++now_ms)
    taken += limiter.take(address, now_ms) ? 1 : 0;
  EXPECT_NEAR(taken, 110u, 1u) << "ten a second, and a second's worth at once";
}

// Shows: R-7.1-21
TEST(SourceLimiter, AnIpv6SourceIsItsPrefix) {
  ipsec::SourceLimiter limiter(1);
  ipsec::Address one, other;
  ASSERT_TRUE(ipsec::parse_address("2001:db8::1", one));
  ASSERT_TRUE(ipsec::parse_address("2001:db8::ffff:1", other));
  EXPECT_TRUE(limiter.take(one, 1000));
  EXPECT_TRUE(limiter.is_used_up(other, 1000));
  EXPECT_FALSE(limiter.take(other, 1000));
  EXPECT_FALSE(limiter.is_used_up(other, 2000));
}

}  // namespace
}  // namespace gmesp::test
