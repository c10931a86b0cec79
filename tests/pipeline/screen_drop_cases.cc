#include "drop_case.h"
#include "screen_lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using shm::SaRole;

void feed(DropTrial& trial, const Datagram& datagram) {
  trial.audit = audit_of(ip_packet(datagram));
  trial.lab.notices();  // of what led up to it
  trial.sent = trial.lab.from_network(frame_of(datagram));
}

void feed_text(DropTrial& trial, const std::string& text) {
  feed(trial, clear_sip(trial.ue, text));
}

void screened(LabOptions& options, Registration&) {
  add_screen(options);
}

void invite(DropTrial& trial) {
  feed_text(trial, sip_request("INVITE", "sip:bob@home.example"));
}
void ok_response(DropTrial& trial) {
  std::string text = sip_request("INVITE");
  text.replace(0, text.find("\r\n"), "SIP/2.0 200 OK");
  feed_text(trial, text);
}
void two_call_ids(DropTrial& trial) {
  feed_text(trial, sip_request("REGISTER", "sip:home.example", "Call-ID: b\r\n"));
}
void many_fields(DropTrial& trial) {
  std::string fields;
  for (int i = 0; i < 130; ++i) fields += "A: b\r\n";
  feed_text(trial, sip_request("REGISTER", "sip:home.example", fields));
}
void cut_head(DropTrial& trial) {
  feed_text(trial, sip_request("REGISTER").substr(0, 200));
}
void no_sip(DropTrial& trial) {
  feed_text(trial, "GET / HTTP/1.1\r\n\r\n");
}
void line_ends(DropTrial& trial) {
  feed_text(trial, "\r\n\r\n");
}
void stun(DropTrial& trial) {
  using namespace std::string_literals;
  feed_text(trial, "\x00\x01\x00\x00\x21\x12\xa4\x42"s + std::string(12, 'a'));
}

void no_keep_alive(LabOptions& options, Registration&) {
  gate::GateOptions gate;
  gate.policy.passes_keep_alive = false;
  add_screen(options, gate);
}

void no_cut_streams(LabOptions& options, Registration&) {
  gate::GateOptions gate;
  gate.policy.cut_stream = screen::ClearAction::kDiscard;
  add_screen(options, gate);
}
void cut_segment(DropTrial& trial) {
  trial.lab.from_network(frame_of(clear_segment(trial.ue, "", 999, kTcpSyn)));
  feed(trial, clear_segment(trial.ue, sip_request("REGISTER").substr(0, 200), 1000));
}

void behind_a_refused_segment(DropTrial& trial) {
  const std::string text = sip_request("INVITE");
  trial.lab.from_network(frame_of(clear_segment(trial.ue, "", 999, kTcpSyn)));
  trial.lab.from_network(frame_of(clear_segment(trial.ue, text, 1000)));
  feed(trial,
       clear_segment(trial.ue, sip_request("REGISTER"), static_cast<uint32_t>(1000 + text.size())));
}

constexpr const char* kRule = R"([[rule]]
name = "nasty"
where = "body"
pattern = "nasty"
action = "drop"
comment = "for this test"
)";
void with_rule(LabOptions& options, Registration&) {
  add_screen(options, {}, kRule);
}
std::string nasty() {
  std::string text = sip_request("REGISTER");
  text.replace(text.find("Length: 0"), 9, "Length: 5");
  return text + "nasty";
}
void matching_in_clear(DropTrial& trial) {
  feed_text(trial, nasty());
}
void matching_protected(DropTrial& trial) {
  const std::string text = nasty();
  const Bytes payload(text.begin(), text.end());
  trial.audit = audit_of(trial.ue, SaRole::kInUcPs, trial.ue.clear(SaRole::kInUcPs, payload));
  trial.sent = trial.lab.from_network(trial.ue.uplink(SaRole::kInUcPs, 1, payload));
}

template <uint64_t gate::GateOptions::*kRate>
void one_a_second(LabOptions& options, Registration&) {
  gate::GateOptions gate;
  gate.*kRate = 1;
  add_screen(options, gate);
}
void two_registers(DropTrial& trial) {
  trial.lab.from_network(frame_of(clear_sip(trial.ue, sip_request("REGISTER"))));
  feed_text(trial, sip_request("REGISTER"));
}
void two_syns(DropTrial& trial) {
  trial.lab.from_network(frame_of(clear_segment(trial.ue, "", 999, kTcpSyn)));
  feed(trial, clear_segment(trial.ue, "", 1999, kTcpSyn));
}

void two_fragments_of_a_source(LabOptions& options, Registration&) {
  options.pipeline.fragments_per_source = 2;
}
void two_fragments(LabOptions& options, Registration&) {
  options.pipeline.fragments_per_second = 10;  // the bucket holds a tenth of a second, and one
}
void three_fragments(DropTrial& trial) {
  const Bytes whole = ip_packet(clear_sip(trial.ue, sip_request("REGISTER")));
  const auto l4_bytes = static_cast<uint32_t>(whole.size() - 20);
  trial.lab.from_network(frame_to_host(fragment(whole, 7, 0, 16, true)));
  trial.lab.from_network(frame_to_host(fragment(whole, 7, 16, l4_bytes - 16, false)));
  trial.audit = audit_of(fragment(whole, 8, 0, 16, true));
  trial.sent = trial.lab.from_network(frame_to_host(fragment(whole, 8, 0, 16, true)));
}

void clear_when_overloaded(DropTrial& trial) {
  trial.lab.pipeline().set_overloaded(true);
  feed_text(trial, sip_request("REGISTER"));
}

void one_esp_failure(LabOptions& options, Registration&) {
  options.pipeline.esp_failures_per_source = 1;
}
void esp_after_a_failure_when_overloaded(DropTrial& trial) {
  EspSa forged = trial.ue.sa(SaRole::kInUcPs);
  forged.spi ^= 0x100000;
  const Bytes clear = trial.ue.clear(SaRole::kInUcPs, pattern(20));
  trial.lab.from_network(frame_to_host(seal(forged, 1, clear)));
  trial.lab.notices();
  trial.lab.pipeline().set_overloaded(true);
  trial.audit = audit_of(trial.ue, SaRole::kInUcPs, clear);
  trial.sent = trial.lab.from_network(trial.ue.uplink(SaRole::kInUcPs, 1, pattern(20)));
}

}  // namespace

const std::vector<DropCase>& screen_drop_cases() {
  using gate::GateOptions;
  static const std::vector<DropCase> cases = {
      {"INVITE", DropReason::kSipMethodNotAllowed, invite, screened},
      {"200", DropReason::kSipResponseNotAllowed, ok_response, screened},
      {"two Call-IDs", DropReason::kSipMalformed, two_call_ids, screened},
      {"130 more fields", DropReason::kSipHeaderFieldsTooMany, many_fields, screened},
      {"half a head", DropReason::kSipCutDatagram, cut_head, screened},
      {"HTTP", DropReason::kSipNotSip, no_sip, screened},
      {"STUN", DropReason::kSipStunRefused, stun, screened},
      {"line ends", DropReason::kSipKeepAliveRefused, line_ends, no_keep_alive},
      {"half a head by TCP", DropReason::kSipCutStreamRefused, cut_segment, no_cut_streams},
      {"behind INVITE by TCP", DropReason::kSipConnectionRefused, behind_a_refused_segment,
       screened, false, false, "sip_method_not_allowed 1"},
      {"rule in clear", DropReason::kSipRule, matching_in_clear, with_rule},
      {"rule protected", DropReason::kSipRuleProtected, matching_protected, with_rule},
      {"second of a source", DropReason::kSipSourceRate, two_registers,
       one_a_second<&GateOptions::sip_per_source>},
      {"second of all", DropReason::kSipRate, two_registers,
       one_a_second<&GateOptions::sip_per_second>},
      {"second SYN of a source", DropReason::kConnectionSourceRate, two_syns,
       one_a_second<&GateOptions::connections_per_source>},
      {"second SYN of all", DropReason::kConnectionRate, two_syns,
       one_a_second<&GateOptions::connections_per_second>},
      {"third of a source", DropReason::kFragmentSourceRate, three_fragments,
       two_fragments_of_a_source},
      {"third of all", DropReason::kFragmentRate, three_fragments, two_fragments},
      {"overloaded", DropReason::kClearOverload, clear_when_overloaded},
      {"overloaded, failing source", DropReason::kEspSourceShed,
       esp_after_a_failure_when_overloaded, one_esp_failure, false, false, "unknown_spi 1"},
  };
  return cases;
}

}  // namespace gmesp::test
