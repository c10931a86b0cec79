#include "screen_lab.h"

#include <gtest/gtest.h>

#include "dataplane/gate/rule_loader.h"
#include "dataplane/screen/rule_file.h"

namespace gmesp::test {
namespace {

constexpr uint16_t kSipPort = 5060;

struct ScreenWithRules {
  screen::SignatureSwap rules;
  std::unique_ptr<gate::SipGate> gate;
};

}  // namespace

void add_screen(LabOptions& options, gate::GateOptions gate, const std::string& rules) {
  auto owner = std::make_shared<ScreenWithRules>();
  if (!rules.empty()) {
    screen::RuleFile file = screen::parse_rules(rules, "test", screen::RuleAction::kCount);
    auto set = screen::SignatureSet::compile(std::move(file.rules), 1, file.errors);
    for (const settings::Error& error : file.errors) ADD_FAILURE() << to_string(error);
    owner->rules.publish(set);
  }
  gate.ports.add(kSipPort);
  owner->gate = std::make_unique<gate::SipGate>(gate, owner->rules);
  options.pipeline.screen = owner->gate.get();
  options.owned = owner;
}

std::string sip_request(const std::string& method, const std::string& uri,
                        const std::string& more_headers) {
  return method + " " + uri +
         " SIP/2.0\r\n"
         "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKnashds8;rport\r\n"
         "Max-Forwards: 70\r\n"
         "From: <sip:alice@home.example>;tag=1928301774\r\n"
         "To: <sip:alice@home.example>\r\n"
         "Call-ID: a84b4c76e66710\r\n"
         "CSeq: 1 " +
         method + "\r\n" + more_headers +
         "Contact: <sip:alice@10.0.0.1>\r\n"
         "Content-Length: 0\r\n\r\n";
}

Datagram clear_sip(const Registration& ue, const std::string& text) {
  return {.source = ue.ue,
          .destination = ue.local,
          .source_port = 5060,
          .destination_port = kSipPort,
          .payload = Bytes(text.begin(), text.end())};
}

Datagram clear_segment(const Registration& ue, const std::string& text, uint32_t sequence,
                       uint8_t flags) {
  Datagram segment = clear_sip(ue, text);
  segment.protocol = 6;
  segment.source_port = 40'000;
  segment.tcp_flags = flags;
  segment.tcp_sequence = sequence;
  return segment;
}

Bytes frame_of(const Datagram& datagram) {
  return frame_to_host(ip_packet(datagram));
}

}  // namespace gmesp::test
