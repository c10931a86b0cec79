// The stateless answer: RFC 3261 8.2.6, 8.2.7, 18.2.1, 18.2.2; RFC 3581 4.
#include "dataplane/screen/reply_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "sip_text_samples.h"

namespace gmesp::screen {
namespace {

constexpr uint64_t kTagKey = 0x1122334455667788;
constexpr size_t kRoomBytes = 2048;

struct Answer {
  Reply reply;
  std::string text;
};

Answer answer_to(const std::string& text, const ReplyOrigin& origin = {"192.0.2.7", 40000},
                 size_t room_bytes = kRoomBytes, uint16_t status = 403) {
  const ExactBytes bytes(text);
  std::vector<uint8_t> room(room_bytes);
  const Reply reply =
      write_reply(read_datagram(bytes.span()), text.size(), origin, status, kTagKey, room);
  return {reply, std::string(room.begin(), room.begin() + static_cast<long>(reply.bytes))};
}

std::string invite(std::string_view via, std::string_view to = "To: <sip:b@ims.example>") {
  std::string text("INVITE sip:b@ims.example SIP/2.0\nMax-Forwards: 70\n");
  const auto add = [&text](auto... parts) { (text.append(parts), ...); };
  add(via, "\nRoute: <sip:pcscf.example;lr>\nContact: <sip:a@192.0.2.7:5070>\n", to);
  add("\nFrom: \"A\" <sip:a@ims.example>;tag=49583\nCall-ID: asd88asd77a\nCSeq: 7 INVITE\n");
  add("Content-Length: 4\n\nv=0\n");
  text.erase(text.size() - 2, 1);  // one of the four bytes of the body
  return on_wire(text);
}

// Shows: R-7.1-21
TEST(ReplyWriter, CopiesWhatAnAnswerMustHave) {
  const Answer answer = answer_to(invite("Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1"));
  ASSERT_EQ(answer.reply.refusal, ReplyRefusal::kNone);
  EXPECT_EQ(answer.text.size(), answer.reply.bytes);
  EXPECT_EQ(answer.reply.destination_port, 5070);
  std::string text = answer.text;
  const size_t tag = text.find(";tag=") + 5;
  ASSERT_EQ(text.find_first_not_of("0123456789abcdef", tag), tag + 8);
  text.replace(tag, 8, "T");
  EXPECT_EQ(text, on_wire("SIP/2.0 403 Forbidden\n"
                          "Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1\n"
                          "To: <sip:b@ims.example>;tag=T\n"
                          "From: \"A\" <sip:a@ims.example>;tag=49583\n"
                          "Call-ID: asd88asd77a\n"
                          "CSeq: 7 INVITE\n"
                          "Content-Length: 0\n\n"));
}

std::string first_via(const std::string& answer) {
  const size_t begin = answer.find('\n') + 1;
  return answer.substr(begin, answer.find('\r', begin) - begin);
}

struct ViaRow {
  const char* request;
  ReplyOrigin origin;
  const char* answer;
  uint16_t port;
};

// Shows: R-7.1-21
TEST(ReplyWriter, StampsTheTopmostViaOnly) {
  const ViaRow rows[] = {
      {"Via: SIP/2.0/UDP 192.0.2.7", {"192.0.2.7", 4}, "Via: SIP/2.0/UDP 192.0.2.7", 5060},
      {"Via: SIP/2.0/UDP ue.example;branch=b",
       {"192.0.2.7", 4},
       "Via: SIP/2.0/UDP ue.example;branch=b;received=192.0.2.7",
       5060},
      {"v: SIP/2.0/UDP 10.0.0.1:5070;rport;branch=b",
       {"192.0.2.7", 40000},
       "v: SIP/2.0/UDP 10.0.0.1:5070;rport=40000;branch=b;received=192.0.2.7",
       40000},
      {"Via: SIP/2.0/UDP 192.0.2.7:5070;rport",
       {"192.0.2.7", 40000},
       "Via: SIP/2.0/UDP 192.0.2.7:5070;rport=40000;received=192.0.2.7",
       40000},
      {"Via: SIP/2.0/UDP [2001:db8::9:1]:5070;branch=b",
       {"2001:db8::9:1", 9},
       "Via: SIP/2.0/UDP [2001:db8::9:1]:5070;branch=b",
       5070},
      {"Via: SIP/2.0/UDP [2001:db8::9:1];branch=b",
       {"2001:db8::2", 9},
       "Via: SIP/2.0/UDP [2001:db8::9:1];branch=b;received=2001:db8::2",
       5060},
      {"Via: SIP/2.0/UDP 192.0.2.7 ; received=203.0.113.9;maddr=203.0.113.9 ;branch=\"a,b\"",
       {"192.0.2.7", 4},
       "Via: SIP/2.0/UDP 192.0.2.7;maddr=203.0.113.9;branch=\"a,b\"",
       5060},
      {"Via : SIP / 2.0 / UDP h : 5070 ;branch=b, SIP/2.0/TCP z;rport;received=1.2.3.4",
       {"192.0.2.7", 4},
       "Via: SIP / 2.0 / UDP h : 5070;branch=b;received=192.0.2.7,"
       " SIP/2.0/TCP z;rport;received=1.2.3.4",
       5070},
      {"Via: SIP/2.0/UDP\n h;branch=b,\n\tSIP/2.0/TCP z",
       {"192.0.2.7", 4},
       "Via: SIP/2.0/UDP   h;branch=b;received=192.0.2.7,  \tSIP/2.0/TCP z",
       5060},
  };
  for (const ViaRow& row : rows) {
    const Answer answer = answer_to(invite(row.request), row.origin);
    ASSERT_EQ(answer.reply.refusal, ReplyRefusal::kNone) << row.request;
    std::string via = first_via(answer.text);
    std::replace(via.begin(), via.end(), '\t', ' ');
    std::string expected = row.answer;
    std::replace(expected.begin(), expected.end(), '\t', ' ');
    EXPECT_EQ(via, expected);
    EXPECT_EQ(answer.reply.destination_port, row.port) << row.request;
  }
}

// Shows: R-7.1-21
TEST(ReplyWriter, EveryViaComesBackInItsOrder) {
  const Answer answer = answer_to(
      invite("Via: SIP/2.0/UDP 192.0.2.7\nX: y\nv: SIP/2.0/UDP second\nVIA: SIP/2.0/UDP 3"));
  const size_t first = answer.text.find("Via: SIP/2.0/UDP 192.0.2.7\r\n");
  const size_t second = answer.text.find("\r\nv: SIP/2.0/UDP second\r\n");
  const size_t third = answer.text.find("\r\nVIA: SIP/2.0/UDP 3\r\n");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
}

// Shows: R-7.1-21
TEST(ReplyWriter, ViaThatCannotBeReadIsNotAnswered) {
  for (const char* via :
       {"Via: ", "Via: SIP/2.0", "Via: SIP/2.0/UDP", "Via: SIP/2.0/UDP ;branch=b",
        "Via: SIP/2.0/UDP h:0", "Via: SIP/2.0/UDP h:65536", "Via: SIP/2.0/UDP h:x",
        "Via: SIP/2.0/UDP h:5060 x", "Via: SIP/2.0/UDP [2001:db8::1", "Via: SIP/2.0/UDP h x",
        "Via: SIP/2.0/UDP h;\"=x", "Via: SIP/2.0/UDP h;=x", "Via: , SIP/2.0/UDP h"})
    EXPECT_EQ(answer_to(invite(via)).reply.refusal, ReplyRefusal::kViaUnreadable) << via;
}

// Shows: R-7.1-21
TEST(ReplyWriter, TheToTagIsKeptOrMadeTheSameForRetransmissions) {
  const char* const via = "Via: SIP/2.0/UDP 192.0.2.7";
  const std::string kept = answer_to(invite(via, "t: <sip:b@x>;x=y;tag=8")).text;
  EXPECT_NE(kept.find("\r\nt: <sip:b@x>;x=y;tag=8\r\n"), std::string::npos);
  const std::string first = answer_to(invite(via)).text;
  EXPECT_EQ(first, answer_to(invite(via)).text);
  std::string other_call = invite(via);
  other_call.replace(other_call.find("asd88"), 5, "asd89");
  EXPECT_NE(first.substr(first.find(";tag="), 13),
            answer_to(other_call).text.substr(first.find(";tag="), 13));
  EXPECT_NE(answer_to(invite(via, "To: \"x;tag=8\" <sip:b@x;tag=9>")).text.find(">;tag="),
            std::string::npos);
}

// Shows: R-7.1-21
TEST(ReplyWriter, RefusesWithoutARequiredHeaderOrWithTwoOfThem) {
  const std::string good = invite("Via: SIP/2.0/UDP 192.0.2.7");
  for (const char* name : {"Via:", "To:", "From:", "Call-ID:", "CSeq:"}) {
    std::string text = good;
    text.insert(text.find(name), "X-");
    EXPECT_EQ(answer_to(text).reply.refusal, ReplyRefusal::kHeaderMissing) << name;
    EXPECT_EQ(answer_to(text).reply.bytes, 0u);
  }
  for (const char* line :
       {"t: <sip:c@x>\r\n", "f: <sip:c@x>\r\n", "i: 1\r\n", "cseq: 1 INVITE\r\n"}) {
    std::string text = good;
    text.insert(text.find("Max-"), line);
    EXPECT_EQ(answer_to(text).reply.refusal, ReplyRefusal::kHeaderMissing) << line;
  }
}

// Shows: R-7.1-21
TEST(ReplyWriter, NeverAnswersAResponseOrAnAck) {
  const char* const party = "<sip:a@ims.example>;tag=1";
  EXPECT_EQ(answer_to(response("SIP/2.0 486 Busy Here", party, party)).reply.refusal,
            ReplyRefusal::kNotAnswerable);
  EXPECT_EQ(answer_to(request("ACK", "sip:b@x")).reply.refusal, ReplyRefusal::kNotAnswerable);
  EXPECT_EQ(answer_to(request("Ack", "sip:b@x")).reply.refusal, ReplyRefusal::kNotAnswerable);
  EXPECT_EQ(answer_to("\r\n\r\n").reply.refusal, ReplyRefusal::kNotAnswerable);
  EXPECT_EQ(answer_to("GET / HTTP/1.1\r\n\r\n").reply.refusal, ReplyRefusal::kNotAnswerable);
}

// Shows: R-7.1-21
TEST(ReplyWriter, NeverLargerThanTheRequestOrTheRoom) {
  const std::string small = on_wire(
      "INVITE sip:b SIP/2.0\nv: SIP/2.0/UDP h\nf: <sip:a>;tag=1\nt: <sip:b>\ni: 1\nCSeq: 1 "
      "INVITE\n\n");
  EXPECT_EQ(answer_to(small).reply.refusal, ReplyRefusal::kTooLarge);
  const std::string usual = invite("Via: SIP/2.0/UDP 192.0.2.7");
  const size_t bytes = answer_to(usual).reply.bytes;
  EXPECT_LE(bytes, usual.size());
  for (size_t room = 0; room < bytes; ++room)
    ASSERT_EQ(answer_to(usual, {"192.0.2.7", 4}, room).reply.refusal, ReplyRefusal::kTooLarge);
  EXPECT_EQ(answer_to(usual, {"192.0.2.7", 4}, bytes).reply.bytes, bytes);
  const std::string padded = small.substr(0, small.size() - 2) + "X: ";
  for (size_t more = 0; more < 80; ++more) {
    const std::string text = padded + std::string(more, 'x') + "\r\n\r\n";
    EXPECT_LE(answer_to(text).reply.bytes, text.size());
  }
}

// Shows: R-7.1-21
TEST(ReplyWriter, StatusOfTheOperator) {
  const std::string text = invite("Via: SIP/2.0/UDP 192.0.2.7");
  const auto status_line = [&text](uint16_t status) {
    const std::string answer = answer_to(text, {"192.0.2.7", 4}, kRoomBytes, status).text;
    return answer.substr(0, answer.find('\r'));
  };
  EXPECT_EQ(status_line(480), "SIP/2.0 480 Temporarily Unavailable");
  EXPECT_EQ(status_line(505), "SIP/2.0 505 Version Not Supported");
  EXPECT_EQ(status_line(499), "SIP/2.0 499 Refused");
}

}  // namespace
}  // namespace gmesp::screen
