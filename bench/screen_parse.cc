// What the SIP screen costs a packet, one core: reading a datagram and judging it, and writing the
// answer to one that is rejected.
//
// Each line is the median of 31 runs of 20,000 messages by CPU time, the message in the cache.
// Usage: screen_parse [--json]
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "dataplane/screen/clear_policy.h"
#include "dataplane/screen/reply_writer.h"

namespace {

using namespace gmesp::screen;

constexpr uint32_t kRuns = 31, kMessages = 20'000;

/// Of this thread: what others do on a shared core does not count.
double cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::string message(const std::string& method, const std::string& uri, const std::string& more) {
  return method + " " + uri +
         " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKnashds7;rport\r\n"
         "Max-Forwards: 70\r\nFrom: <sip:001010000000001@ims.example>;tag=4fa3\r\n"
         "To: <sip:001010000000001@ims.example>\r\nCall-ID: apb03a0s09dkjdfglkj49111\r\nCSeq: 1 " +
         method + "\r\n" + more + "l: 0\r\n\r\n";
}

/// What a phone adds to its REGISTER (TS 24.229 5.1.1.2).
const char* const kRegistration =
    "Contact: <sip:192.0.2.7:5060>;expires=600000;+g.3gpp.smsip;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A"
    "3gpp-service.ims.icsi.mmtel\"\r\nAuthorization: Digest username=\"a@ims.example\",realm=\"ims"
    ".example\",uri=\"sip:ims.example\",nonce=\"\",response=\"\"\r\nSecurity-Client: ipsec-3gpp;"
    "alg=hmac-sha-1-96;spi-c=22222222;spi-s=33333333;port-c=5062;port-s=5063\r\nRequire: sec-agree"
    "\r\nProxy-Require: sec-agree\r\nSupported: path\r\n";

struct Row {
  const char* name;
  std::string text;
  ClearAction expected;
  size_t bytes = 0;
  double judge_ns = 0, reply_ns = 0;
};

template <typename Work>
double median_ns(Work work) {
  std::array<double, kRuns> runs{};
  for (double& run : runs) {
    const double start_ns = cpu_ns();
    for (uint32_t i = 0; i < kMessages; ++i) work();
    run = (cpu_ns() - start_ns) / kMessages;
  }
  std::nth_element(runs.begin(), runs.begin() + kRuns / 2, runs.end());
  return runs[kRuns / 2];
}

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

void check(bool holds, const char* row) {
  if (holds) return;
  std::fprintf(stderr, "screen_parse: %s has another verdict than expected\n", row);
  std::exit(1);
}

void measure(Row& row) {
  ClearPolicy policy;
  policy.not_allowed = ClearAction::kReject;
  row.bytes = row.text.size();
  row.judge_ns = median_ns([&] {
    check(judge_datagram(read_datagram(bytes_of(row.text)), policy).action == row.expected,
          row.name);
  });
  if (row.expected != ClearAction::kReject) return;
  std::array<uint8_t, 2048> room;
  const SipMessage request = read_datagram(bytes_of(row.text));
  row.reply_ns = median_ns([&] {
    const Reply reply = write_reply(request, row.bytes, {"192.0.2.7", 5060}, 403, 7, room);
    check(reply.refusal == ReplyRefusal::kNone, row.name);
  });
}

void print(const std::array<Row, 5>& rows, bool is_json) {
  if (!is_json) std::printf("%-34s %8s %10s %10s\n", "", "bytes", "judge ns", "answer ns");
  for (const Row& row : rows)
    std::printf(
        is_json ? "%s{\"name\": \"%s\", \"bytes\": %zu, \"judge_ns\": %.0f, \"answer_ns\": %.0f}"
                : "%s%-34s %8zu %10.0f %10.0f\n",
        !is_json           ? ""
        : &row == &rows[0] ? "["
                           : ", ",
        row.name, row.bytes, row.judge_ns, row.reply_ns);
  if (is_json) std::printf("]\n");
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_json = argc == 2 && std::string_view(argv[1]) == "--json";
  if (argc > 1 && !is_json) {
    std::fprintf(stderr, "usage: screen_parse [--json]\n");
    return 2;
  }
  const std::string padding = "X-Padding: " + std::string(372, 'x') + "\r\n";
  std::array<Row, 5> rows = {{
      {"REGISTER, least", message("REGISTER", "sip:ims.example", ""), ClearAction::kPass},
      {"REGISTER of a phone", message("REGISTER", "sip:ims.example", kRegistration),
       ClearAction::kPass},
      {"INVITE to an emergency service", message("INVITE", "urn:service:sos.fire", padding),
       ClearAction::kPass},
      {"INVITE, rejected", message("INVITE", "sip:b@ims.example", kRegistration),
       ClearAction::kReject},
      {"INVITE with 2 routes, rejected",
       message("INVITE", "sip:b@ims.example",
               "Route: <sip:p1.ims.example;lr>,<sip:p2.ims.example;lr>\r\n" + padding),
       ClearAction::kReject},
  }};
  for (Row& row : rows) measure(row);
  print(rows, is_json);
  return 0;
}
