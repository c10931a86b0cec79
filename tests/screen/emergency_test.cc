// Recognition of emergency calls: RFC 5031, TS 33.203 7.1 ports item 3.
#include "dataplane/screen/emergency.h"

#include <gtest/gtest.h>

#include "sip_text_samples.h"

namespace gmesp::screen {
namespace {

EmergencyMark mark_of(const std::string& text) {
  const ExactBytes bytes(text);
  return emergency_mark(read_datagram(bytes.span()));
}

// Shows: R-7.1-21
TEST(EmergencyUrn, AnyCaseEscapedAndWithSubServices) {
  for (const char* uri : {"urn:service:sos", "URN:SERVICE:SOS", "urn:service:%73os",
                          "urn:service:%53%4f%53", "%75rn:service:sos", "urn%3aservice%3Asos",
                          "urn:service:sos.fire", "urn:service:SOS.Ecall.Manual",
                          "urn:service:sos%2Epolice", "urn:service:sos.animal-control",
                          "urn:service:sos?+x", "urn:service:sos#x", "urn:service:sos;x=y"})
    EXPECT_TRUE(is_emergency_urn(uri)) << uri;
}

// Shows: R-7.1-21
TEST(EmergencyUrn, NothingElse) {
  for (const char* uri : {"",
                          "u",
                          "urn:service:so",
                          "urn:service:soss",
                          "urn:service:sos.",
                          "urn:service:sos..fire",
                          "urn:service:sos.fire.",
                          "urn:service:sos-x",
                          "urn:service:sos@evil",
                          "urn:service:sos/x",
                          "urn:service:counseling",
                          "urn:service:test.sos",
                          "urn:service:%",
                          "urn:service:%7",
                          "urn:service:%73o",
                          "urn:service:%7gos",
                          "urn:service:sos%00",
                          "urn:service:sos%20",
                          "urn:service:%2573os",
                          " urn:service:sos",
                          "urn:service:sos ",
                          "sip:urn:service:sos@x",
                          "urn: service:sos",
                          "urn:service:sos.%0a"})
    EXPECT_FALSE(is_emergency_urn(uri)) << uri;
}

// Shows: R-7.1-21
TEST(EmergencyMark, RequestUriOfAnyMethod) {
  for (const char* method : {"INVITE", "ACK", "CANCEL", "MESSAGE", "OPTIONS", "NEWMETHOD"})
    EXPECT_EQ(mark_of(request(method, "urn:service:sos")), EmergencyMark::kRequestUri) << method;
  EXPECT_EQ(mark_of(request("INVITE", "sip:b@ims.example")), EmergencyMark::kNone);
}

// Shows: R-7.1-21
TEST(EmergencyMark, AnyRouteEntry) {
  for (const char* route :
       {"Route: <urn:service:sos>\n", "ROUTE : <urn:service:sos.fire>\n",
        "route:\n <sip:p.example;lr>\n\t, <URN:service:%73os>;x=\"a,b\"\n",
        "Route: \"a \\\" <b>, c\" <sip:p.example;lr>, <urn:service:sos>\n",
        "Route: <sip:p.example;lr>\nX: y\nRoute: Police <urn:service:sos.police>\n",
        "Route: ,, <urn:service:sos>\n"})
    EXPECT_EQ(mark_of(request("INVITE", "sip:b@ims.example", route)), EmergencyMark::kRoute)
        << route;
}

// Shows: R-7.1-21
TEST(EmergencyMark, NoRouteEntryThatAProxyWouldNotRead) {
  for (const char* line :
       {"Route: urn:service:sos\n", "Route: \"<urn:service:sos>\" <sip:p.example>\n",
        "Route: <sip:p.example;x=<urn:service:sos>>\n", "Route: \"<urn:service:sos>\n",
        "Route: <sip:p.example>;x=\"<urn:service:sos>\"\n", "Route: <urn:service:sos\n",
        "X: y\n Route: <urn:service:sos>\n", "X: y\rRoute: <urn:service:sos>\n",
        "Record-Route: <urn:service:sos>\n", "X-Route: <urn:service:sos>\n",
        "R: <urn:service:sos>\n", "Route: < urn:service:sos>\n",
        "Contact: <urn:service:sos>\nSubject: <urn:service:sos>\nP-Preferred-Service: "
        "urn:service:sos\n"})
    EXPECT_EQ(mark_of(request("INVITE", "sip:b@ims.example", line)), EmergencyMark::kNone) << line;
}

// Shows: R-7.1-21
TEST(EmergencyMark, RequestsInsideTheCallByTheirTo) {
  for (const char* to : {"<urn:service:sos>;tag=1", "urn:service:sos;tag=1",
                         "\"SOS; <x>\" <urn:service:sos.fire> ; x=y ; TAG = 1"})
    for (const char* method : {"ACK", "BYE", "PRACK", "UPDATE", "INFO", "INVITE"})
      EXPECT_EQ(mark_of(request(method, "sip:psap@ims.example", {}, to)), EmergencyMark::kDialog)
          << method << " " << to;
  for (const char* to : {"<urn:service:sos>", "<urn:service:sos>;x=\";tag=1\"",
                         "<sip:b@ims.example>;tag=1", "<urn:service:sos;tag=1>"})
    EXPECT_EQ(mark_of(request("BYE", "sip:psap@ims.example", {}, to)), EmergencyMark::kNone) << to;
  for (const char* method : {"MESSAGE", "SUBSCRIBE", "REFER", "OPTIONS", "bye"})
    EXPECT_EQ(mark_of(request(method, "sip:b@ims.example", {}, "<urn:service:sos>;tag=1")),
              EmergencyMark::kNone)
        << method;
}

// Shows: R-7.1-21
TEST(EmergencyMark, ResponsesInsideTheCallByTheirFrom) {
  const char* const ue = "<sip:a@ims.example>;tag=2";
  EXPECT_EQ(mark_of(response("SIP/2.0 200 OK", "<urn:service:sos>;tag=1", ue)),
            EmergencyMark::kDialog);
  EXPECT_EQ(mark_of(response("SIP/2.0 200 OK", ue, "<urn:service:sos>;tag=1")),
            EmergencyMark::kNone);
  EXPECT_EQ(mark_of(response("SIP/2.0 200 OK", "<urn:service:sos>", ue)), EmergencyMark::kNone);
}

// Shows: R-7.1-21
TEST(EmergencyMark, CompactNameOfTo) {
  std::string text = request("BYE", "sip:psap@ims.example", {}, "<urn:service:sos>;tag=1");
  text.replace(text.find("To:"), 3, "t :");
  EXPECT_EQ(mark_of(text), EmergencyMark::kDialog);
}

}  // namespace
}  // namespace gmesp::screen
