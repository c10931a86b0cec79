// What holds for every message: the verdict does not depend on how a message is written, a part of
// a message is passed for nothing that the whole is not, and an answer is never larger than its
// request.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>
#include <vector>

#include "dataplane/screen/clear_policy.h"
#include "dataplane/screen/emergency.h"
#include "dataplane/screen/reply_writer.h"
#include "sip_text_samples.h"

namespace gmesp::screen {
namespace {

/// Parts of a value may have blanks and folds between them.
struct Field {
  const char* name;
  const char* compact;
  std::vector<std::string> parts;
};

struct Written {
  std::string start;  ///< up to the URI or the whole status line
  std::string uri;    ///< empty: a response
  std::vector<Field> fields;
};

Written written(std::string start, std::string uri, const char* method, const char* to,
                const char* from, const char* route) {
  Written message{
      std::move(start),
      std::move(uri),
      {{"Via", "v", {"SIP", "/", "2.0", "/", "UDP ", "192.0.2.7", ";", "branch", "=", "z1"}},
       {"From", "f", {"\"A <x> \\\" ,;\"", from, ";", "tag", "=", "1"}},
       {"To", "t", {to, ";", "tag", "=", "2"}},
       {"Call-ID", "i", {"a@b"}},
       {"CSeq", "CSeq", {"1 ", method}},
       {"Contact", "m", {"<sip:a@192.0.2.7>", ";", "q", "=", "0.5"}},
       {"Content-Length", "l", {"0"}},
       {"X-Other", "X-Other", {"a", "urn:service:sos"}}}};
  if (route != nullptr)
    message.fields.push_back({"Route", "Route", {"<sip:p.example>", ",", route, ";", "x"}});
  return message;
}

std::vector<Written> samples() {
  const char* const b = "<sip:b@ims.example>";
  const char* const sos = "<urn:service:sos>";
  return {
      written("REGISTER", "sip:ims.example", "REGISTER", b, b, nullptr),
      written("INVITE", "sip:b@ims.example", "INVITE", b, b, "<sip:q.example>"),
      written("INVITE", "urn:service:sos", "INVITE", b, b, nullptr),
      written("INVITE", "urn:service:sosx", "INVITE", b, b, nullptr),
      written("MESSAGE", "sip:b@ims.example", "MESSAGE", b, b, "<urn:service:sos.fire>"),
      written("MESSAGE", "sip:b@ims.example", "MESSAGE", sos, b, "<urn:service:sosx>"),
      written("BYE", "sip:b@ims.example", "BYE", sos, b, nullptr),
      written("ACK", "sip:b@ims.example", "ACK", b, sos, nullptr),
      written("SIP/2.0 200 OK", "", "INVITE", b, b, nullptr),
      written("SIP/2.0 200 OK", "", "INVITE", b, sos, nullptr),
      written("SIP/2.0 486 Busy Here", "", "INVITE", b, b, nullptr),
  };
}

bool coin() {
  return *rc::gen::arbitrary<bool>();
}

std::string blanks(std::string_view line_end) {
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      return " ";
    case 1:
      return " \t ";
    case 2:
      return std::string(line_end) + " ";
    case 3:
      return " " + std::string(line_end) + "\t  ";
    default:
      return "";
  }
}

std::string in_any_case(std::string_view text) {
  std::string any(text);
  for (char& c : any)
    if (coin() && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
      c = static_cast<char>(c ^ 0x20);
  return any;
}

/// What a URN means does not change by case or by escapes.
std::string urn_in_any_form(std::string_view text) {
  const size_t begin = text.find("urn:");
  if (begin == text.npos) return std::string(text);
  std::string any(text.substr(0, begin));
  for (const char c : text.substr(begin)) {
    constexpr std::string_view kDigits = "0123456789aBcDeF";
    const auto byte = static_cast<uint8_t>(c);
    if (c != '>' && *rc::gen::inRange(0, 4) == 0)
      any.append("%").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    else
      any += in_any_case({&c, 1});
  }
  return any;
}

/// In one of the many ways to write it that RFC 3261 7.3.1 makes equal.
std::string in_any_form(Written message) {
  const std::string line_end = coin() ? "\r\n" : "\n";
  std::string text = coin() ? line_end : "";
  text += message.start;
  if (!message.uri.empty()) text += " " + urn_in_any_form(message.uri) + in_any_case(" SIP/2.0");
  text += line_end;
  while (!message.fields.empty()) {
    const size_t chosen = *rc::gen::inRange<size_t>(0, message.fields.size());
    const Field& field = message.fields[chosen];
    text += in_any_case(coin() ? field.name : field.compact) + (coin() ? " :" : ":");
    for (const std::string& part : field.parts) text += blanks(line_end) + urn_in_any_form(part);
    text += blanks("") + line_end;
    message.fields.erase(message.fields.begin() + static_cast<long>(chosen));
  }
  return text + line_end;
}

std::string in_plain_form(const Written& message) {
  std::string text = message.start;
  if (!message.uri.empty()) text += " " + message.uri + " SIP/2.0";
  text += "\r\n";
  for (const Field& field : message.fields) {
    text += std::string(field.name) + ": ";
    for (const std::string& part : field.parts) text += part;
    text += "\r\n";
  }
  return text + "\r\n";
}

ClearVerdict datagram(std::string_view text, const ClearPolicy& policy = {}) {
  const ExactBytes bytes(text);
  return judge_datagram(read_datagram(bytes.span()), policy);
}

ClearVerdict stream(std::string_view text, const ClearPolicy& policy = {}) {
  const ExactBytes bytes(text);
  return judge_stream(bytes.span(), policy);
}

// Shows: R-7.1-21
TEST(SipProperty, TheVerdictDoesNotDependOnTheWriting) {
  for (const Written& sample : samples()) {
    const ClearVerdict plain = datagram(in_plain_form(sample));
    EXPECT_NE(plain.reason, ClearReason::kMalformed) << in_plain_form(sample);
    EXPECT_TRUE(rc::check(sample.start + " " + sample.uri, [&] {
      const std::string text = in_any_form(sample);
      RC_LOG() << text << "\n";
      RC_ASSERT(datagram(text).reason == plain.reason);
      RC_ASSERT(datagram(text).action == plain.action);
      RC_ASSERT(stream(text).reason == plain.reason);
    }));
  }
}

bool passes(const ClearVerdict& verdict) {
  return verdict.action == ClearAction::kPass;
}

void expect_no_part_to_pass(const std::string& text) {
  const bool whole = passes(datagram(text));
  for (size_t bytes = 0; bytes < text.size(); ++bytes) {
    const std::string_view part = std::string_view(text).substr(0, bytes);
    const ClearVerdict in_datagram = datagram(part), in_stream = stream(part);
    ASSERT_TRUE(!passes(in_datagram) || in_datagram.reason == ClearReason::kKeepAlive) << part;
    ASSERT_TRUE(!passes(in_stream) || in_stream.reason == ClearReason::kKeepAlive ||
                in_stream.reason == ClearReason::kCutStream)
        << part;
    ASSERT_TRUE(!whole || passes(in_stream)) << "a part of a good one is refused: " << part;
  }
}

// Shows: R-7.1-21
TEST(SipProperty, NoPartOfAMessagePasses) {
  for (const Written& sample : samples()) expect_no_part_to_pass(in_plain_form(sample));
  EXPECT_TRUE(rc::check("in any form", [] {
    expect_no_part_to_pass(in_any_form(*rc::gen::elementOf(samples())));
    RC_ASSERT(!::testing::Test::HasFailure());
  }));
}

std::string damaged(std::string text) {
  const int wounds = *rc::gen::inRange(0, 6);
  for (int i = 0; i < wounds && !text.empty(); ++i) {
    const size_t at = *rc::gen::inRange<size_t>(0, text.size());
    if (coin())
      text[at] = *rc::gen::elementOf(std::string(" \t\r\n:;,<>\"\\/=%@[]aSv0") + '\0');
    else
      text.erase(at, *rc::gen::inRange<size_t>(1, 40));
  }
  return text;
}

// Shows: R-7.1-21
TEST(SipProperty, NoAnswerAmplifiesOrIsLessThanAnAnswer) {
  EXPECT_TRUE(rc::check("answers", [] {
    const std::string text = damaged(in_any_form(*rc::gen::elementOf(samples())));
    const ExactBytes bytes(text);
    const SipMessage message = read_datagram(bytes.span());
    std::array<uint8_t, 2048> room;
    const Reply reply =
        write_reply(message, text.size(), {"2001:db8::203:0:113:9", 65535}, 403, 7, room);
    RC_ASSERT(reply.bytes <= text.size());
    RC_ASSERT((reply.bytes == 0) == (reply.refusal != ReplyRefusal::kNone));
    if (reply.bytes == 0) return;
    const SipMessage answer = read_datagram(std::span(room).first(reply.bytes));
    RC_ASSERT(answer.kind == MessageKind::kResponse && answer.flaw == SipFlaw::kNone);
    RC_ASSERT(answer.status == 403 && answer.message_bytes == reply.bytes);
    RC_ASSERT(!answer.from.empty() && !answer.call_id.empty() && !answer.cseq.empty());
    RC_ASSERT(!is_answerable(answer));
  }));
}

}  // namespace
}  // namespace gmesp::screen
