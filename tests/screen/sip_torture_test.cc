// The torture messages of RFC 4475, made anew from their description: what the screen reads in them
// and what becomes of them in clear. Many that are wrong in a header the screen does not judge are
// the proxy's to refuse; what counts is that none is passed for what it is not.
#include <gtest/gtest.h>

#include <vector>

#include "dataplane/screen/clear_policy.h"
#include "sip_text_samples.h"

namespace gmesp::screen {
namespace {

using Kind = MessageKind;
using Flaw = SipFlaw;
using Reason = ClearReason;

struct Torture {
  const char* name;  ///< section and name in RFC 4475
  std::string text;
  Kind kind;
  Method method;
  Flaw flaw;
  Reason reason;
};

/// `start_line` with what every message has, `lines` before it.
std::string message(std::string_view start_line, std::string_view cseq_method,
                    std::string_view lines = {}, std::string_view body = {}) {
  std::string text(start_line);
  const auto add = [&text](auto... parts) { (text.append(parts), ...); };
  add("\n", lines, "Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdju43234\n");
  add("Max-Forwards: 87\nFrom: <sip:caller@example.net>;tag=434355\nTo: <sip:b@example.com>\n");
  add("Call-ID: torture.ndaksdj@192.0.2.1\nCSeq: 9 ", cseq_method, "\n\n", body);
  return on_wire(text);
}

std::string short_tortuous_invite() {
  return on_wire(
      "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\n"
      "TO :\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\n"
      "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\n  ;\n  tag = 98asjd8\n"
      "MaX-fOrWaRdS: 0068\nCall-ID: wsinv.ndaksdj@192.0.2.1\nContent-Length   : 4\n"
      "cseq: 0009\n  INVITE\nVia  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390skdjuw\n"
      "s :\nNewFangledHeader:   newfangled value\n continued newfangled value\n"
      "UnknownHeaderWithUnusualValue: ;;,,;;,;\n"
      "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n"
      "  branch  =   z9hG4bK9ikj8  ,\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n"
      " z9hG4bK30239\n"
      "m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\n"
      "      newvalue ;\n  secondparam ; q = 0.33\n\nv=0\n");
}

std::vector<Torture> valid() {
  const std::string wide = "!interesting-Method0123456789_*+`.%indeed'~";
  const std::string doubled =
      message("REGISTER sip:example.com SIP/2.0", "REGISTER", "Content-Length: 0\n",
              "INVITE sip:joe@example.com SIP/2.0\nl: 0\n\n");
  return {
      {"3.1.1.1 wsinv", short_tortuous_invite(), Kind::kRequest, Method::kInvite, Flaw::kNone,
       Reason::kMethodNotAllowed},
      {"3.1.1.2 intmeth",
       message(wide + " sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:"
                      "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
               wide, "X: \"\\\x07 \\\x7f\" \xd1\x82\n"),
       Kind::kRequest, Method::kOther, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.3 esc01",
       message("INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0", "INVITE"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.4 escnull",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER",
               "Contact: <sip:%00@host5.example.com>\n"),
       Kind::kRequest, Method::kRegister, Flaw::kNone, Reason::kMethodAllowed},
      {"3.1.1.5 esc02: escapes mean nothing in a method",
       message("RE%47IST%45R sip:registrar.example.com SIP/2.0", "RE%47IST%45R"), Kind::kRequest,
       Method::kOther, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.6 lwsdisp",
       message("OPTIONS sip:user@example.com SIP/2.0", "OPTIONS",
               "Contact: caller<sip:caller@example.com>\n"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.7 longreq",
       message("INVITE sip:" + std::string(1000, 'u') + "@example.com SIP/2.0", "INVITE",
               std::string(2000, 'h') + ": " + std::string(3000, 'v') + "\n"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.8 dblreq", doubled, Kind::kRequest, Method::kRegister, Flaw::kNone,
       Reason::kMethodAllowed},
      {"3.1.1.9 semiuri",
       message("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0", "OPTIONS"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.10 transports",
       message("OPTIONS sip:user@example.com SIP/2.0", "OPTIONS",
               "Via: SIP/2.0/UNKNOWN t2.example.com;branch=z9hG4bKkdjuw\n"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.11 mpart01",
       message("MESSAGE sip:kumiko@example.org SIP/2.0", "MESSAGE", "Content-Length: 4\n",
               std::string("\x00\xff\x01\xfe", 4)),
       Kind::kRequest, Method::kMessage, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.1.12 unreason", message("SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe", "INVITE"),
       Kind::kResponse, Method::kOther, Flaw::kNone, Reason::kResponseNotAllowed},
      {"3.1.1.13 noreason", message("SIP/2.0 100 ", "INVITE"), Kind::kResponse, Method::kOther,
       Flaw::kNone, Reason::kResponseNotAllowed},
  };
}

std::vector<Torture> invalid() {
  return {
      {"3.1.2.1 badinv01",
       message("INVITE sip:user@example.com SIP/2.0", "INVITE",
               "Contact: \"Joe\" <sip:joe@example.org>;;;;\nv: SIP/2.0/UDP 192.0.2.15;;,;,,\n"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.2.2 clerr",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER", "Content-Length: 9999\n", "v=0\n"),
       Kind::kRequest, Method::kRegister, Flaw::kBodyUnfinished, Reason::kMalformed},
      {"3.1.2.3 ncl",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER", "Content-Length: -999\n"),
       Kind::kRequest, Method::kRegister, Flaw::kContentLength, Reason::kMalformed},
      {"3.1.2.4 scalar02",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER",
               "Expires: 1000000000000000000000000000000\n"),
       Kind::kRequest, Method::kRegister, Flaw::kNone, Reason::kMethodAllowed},
      {"3.1.2.5 scalarlg",
       message("SIP/2.0 503 Service Unavailable", "OPTIONS",
               "Retry-After: 949302838503028349304023988\n"),
       Kind::kResponse, Method::kOther, Flaw::kNone, Reason::kResponseAllowed},
      {"3.1.2.6 quotbal",
       message("INVITE sip:user@example.com SIP/2.0", "INVITE",
               "Route: \"Mr. J. User <urn:service:sos>\n"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.2.7 ltgtruri", message("REGISTER <sip:user@example.com> SIP/2.0", "REGISTER"),
       Kind::kRequest, Method::kRegister, Flaw::kStartLine, Reason::kMalformed},
      {"3.1.2.8 lwsruri", message("REGISTER sip:user@example.com; lr SIP/2.0", "REGISTER"),
       Kind::kRequest, Method::kRegister, Flaw::kStartLine, Reason::kMalformed},
      {"3.1.2.9 lwsstart", message("REGISTER  sip:user@example.com  SIP/2.0", "REGISTER"),
       Kind::kRequest, Method::kRegister, Flaw::kStartLine, Reason::kMalformed},
      {"3.1.2.10 trws", message("REGISTER sip:example.com SIP/2.0  ", "REGISTER"), Kind::kRequest,
       Method::kRegister, Flaw::kStartLine, Reason::kMalformed},
      {"3.1.2.11 escruri",
       message("INVITE sip:user@example.com?Route=%3Curn:service:sos%3E SIP/2.0", "INVITE"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.2.12 baddate",
       message("INVITE sip:user@example.com SIP/2.0", "INVITE",
               "Date: Fri, 01 Jan 2010 16:00:00 EST\n"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.2.13 regbadct",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER",
               "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\n"),
       Kind::kRequest, Method::kRegister, Flaw::kNone, Reason::kMethodAllowed},
      {"3.1.2.14 badaspec",
       message("OPTIONS sip:user@example.org SIP/2.0", "OPTIONS",
               "Contact: \"Watson, Thomas\" < sip:t.watson@example.org >\n"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.2.15 baddn",
       message("OPTIONS sip:t.watson@example.org SIP/2.0", "OPTIONS",
               "Contact: Bell, Alexander <sip:a.g.bell@example.com>\n"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.1.2.16 badvers", message("REGISTER sip:t.watson@example.org SIP/7.0", "REGISTER"),
       Kind::kRequest, Method::kRegister, Flaw::kVersion, Reason::kMalformed},
      {"3.1.2.17 mismatch01", message("REGISTER sip:user@example.com SIP/2.0", "INVITE"),
       Kind::kRequest, Method::kRegister, Flaw::kMethodDiffers, Reason::kMalformed},
      {"3.1.2.18 mismatch02", message("NEWMETHOD sip:user@example.com SIP/2.0", "INVITE"),
       Kind::kRequest, Method::kOther, Flaw::kMethodDiffers, Reason::kMalformed},
      {"3.1.2.19 bigcode", message("SIP/2.0 4294967301 better not break the receiver", "INVITE"),
       Kind::kResponse, Method::kOther, Flaw::kStartLine, Reason::kMalformed},
  };
}

std::vector<Torture> of_higher_layers() {
  return {
      {"3.2.1 badbranch",
       message("OPTIONS sip:user@example.com SIP/2.0", "OPTIONS",
               "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\n"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.3.1 insuf",
       on_wire("INVITE sip:user@example.com SIP/2.0\nCSeq: 193942 INVITE\n"
               "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\nl: 0\n\n"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.3.2 unkscm",
       message("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", "OPTIONS"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.3.3 novelsc", message("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", "OPTIONS"),
       Kind::kRequest, Method::kOptions, Flaw::kNone, Reason::kMethodNotAllowed},
      {"3.3.4 unksm2",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER", "Contact: <name:John_Smith>\n"),
       Kind::kRequest, Method::kRegister, Flaw::kNone, Reason::kMethodAllowed},
      {"3.3.7 regaut01",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER",
               "Authorization: NoOneKnowsThisScheme opaque-data=here\n"),
       Kind::kRequest, Method::kRegister, Flaw::kNone, Reason::kMethodAllowed},
      {"3.3.8 multi01",
       message("REGISTER sip:company.example.com SIP/2.0", "REGISTER",
               "CSeq: 5 REGISTER\nCall-ID: multi01.98asdh@192.0.2.1\n"),
       Kind::kRequest, Method::kRegister, Flaw::kHeaderFieldDoubled, Reason::kMalformed},
      {"3.3.9 mcl01",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER", "Content-Length: 0\nl: 0\n", "5\n"),
       Kind::kRequest, Method::kRegister, Flaw::kHeaderFieldDoubled, Reason::kMalformed},
      {"3.3.10 bcast", message("SIP/2.0 200 OK", "INVITE", "Via: SIP/2.0/UDP 255.255.255.255\n"),
       Kind::kResponse, Method::kOther, Flaw::kNone, Reason::kResponseNotAllowed},
      {"3.3.14 regescrt",
       message("REGISTER sip:example.com SIP/2.0", "REGISTER",
               "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\n"),
       Kind::kRequest, Method::kRegister, Flaw::kNone, Reason::kMethodAllowed},
      {"3.4.1 inv2543",
       on_wire("INVITE sip:UserB@example.com SIP/2.0\nVia: SIP/2.0/UDP iftgw.example.com\n"
               "From: <sip:+13035551111@ift.client.example.net;user=phone>\n"
               "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>\n"
               "To: sip:+16505552222@ss1.example.net;user=phone\nCall-ID: inv2543.1717\n"
               "CSeq: 56 INVITE\n\nv=0\n"),
       Kind::kRequest, Method::kInvite, Flaw::kNone, Reason::kMethodNotAllowed},
  };
}

void check(const Torture& row) {
  SCOPED_TRACE(row.name);
  const ExactBytes bytes(row.text);
  const SipMessage message = read_datagram(bytes.span());
  EXPECT_EQ(message.kind, row.kind);
  EXPECT_EQ(message.method, row.method);
  EXPECT_EQ(message.flaw, row.flaw);
  EXPECT_EQ(judge_datagram(message, {}).reason, row.reason);
}

// Shows: R-7.1-21
TEST(SipTorture, Valid) {
  for (const Torture& row : valid()) check(row);
}

// Shows: R-7.1-21
TEST(SipTorture, Invalid) {
  for (const Torture& row : invalid()) check(row);
}

// Shows: R-7.1-21
TEST(SipTorture, WrongForHigherLayers) {
  for (const Torture& row : of_higher_layers()) check(row);
}

// Shows: R-7.1-21
TEST(SipTorture, TheTortuousInviteIsReadToItsEnd) {
  const ExactBytes bytes(short_tortuous_invite());
  const SipMessage message = read_datagram(bytes.span());
  EXPECT_EQ(message.header_fields, 12);
  EXPECT_EQ(message.from.substr(0, 14), "\"J Rosenberg \\");
  EXPECT_EQ(message.cseq, "0009\r\n  INVITE");
  EXPECT_EQ(message.call_id, "wsinv.ndaksdj@192.0.2.1");
  EXPECT_EQ(message.body, "v=0\r");
}

// Shows: R-7.1-21
TEST(SipTorture, TrailingBytesAreTheNextMessageOfAStream) {
  for (const Torture& row : valid())
    if (std::string_view(row.name) == "3.1.1.8 dblreq") {
      const ExactBytes bytes(row.text);
      EXPECT_EQ(read_datagram(bytes.span()).body, "");
      EXPECT_EQ(judge_stream(bytes.span(), {}).reason, ClearReason::kMethodNotAllowed);
    }
}

}  // namespace
}  // namespace gmesp::screen
