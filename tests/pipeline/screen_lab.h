// A pipeline with the SIP screen in front, and SIP to send it.
#pragma once

#include <memory>
#include <string>

#include "dataplane/gate/sip_gate.h"
#include "lab.h"

namespace gmesp::test {

/// Puts a screen with these settings and rules (a rule file's text) before the pipeline of
/// `options`; port 5060 is the clear SIP port.
void add_screen(LabOptions& options, gate::GateOptions gate = {}, const std::string& rules = "");

/// A whole request with all that it needs, sent by UDP from 5060.
std::string sip_request(const std::string& method, const std::string& uri = "sip:home.example",
                        const std::string& more_headers = "");

/// From the UE of `ue` to port 5060 of the host, in clear.
Datagram clear_sip(const Registration& ue, const std::string& text);
/// The same as a TCP segment; sequence numbers count from the SYN's.
Datagram clear_segment(const Registration& ue, const std::string& text, uint32_t sequence,
                       uint8_t flags = kTcpAck);
Bytes frame_of(const Datagram& datagram);

}  // namespace gmesp::test
