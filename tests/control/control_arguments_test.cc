// What libgmesp refuses before gmesp-control sees it, and that keys leave no trace in the process.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <vector>

#include "control_client.h"
#include "fake_control.h"

namespace gmesp::test {
namespace {

/// A connection to a gmesp-control that must not be asked anything.
class Arguments : public testing::Test {
 protected:
  void TearDown() override {
    // Nothing of it went out, and the connection still works.
    EXPECT_EQ(route(control_.get(), "fine", verdict_), GMESP_OK) << detail_of(control_);
  }
  void expect_refused(int error, const std::string& detail, int expected = GMESP_E_BAD_ARGUMENT) {
    EXPECT_EQ(error, expected);
    EXPECT_EQ(detail_of(control_), detail);
  }

  FakeControl fake_{[](FakePeer& peer) {
    while (const auto request = peer.receive()) {
      EXPECT_EQ(request->one(1), "fine");
      peer.reply(0, {number(40, 1)});
    }
  }};
  Control control_ = open_control(fake_.path());
  gmesp_verdict verdict_ = make_verdict();
};

// Shows: R-C-04
TEST_F(Arguments, StructsOfAnotherSizeAreRefused) {
  struct {
    gmesp_destination destination;
    uint64_t of_a_younger_release;
  } larger;
  std::memset(&larger, 0, sizeof larger);
  larger.destination.size = sizeof larger;
  larger.destination.impi = "fine";
  EXPECT_EQ(gmesp_route(control_.get(), &larger.destination, &verdict_, kPatientMs), GMESP_OK);
  larger.of_a_younger_release = 1;
  const std::string detail = "struct gmesp_destination of " + std::to_string(sizeof larger) +
                             " bytes, this library knows " +
                             std::to_string(sizeof(gmesp_destination));
  expect_refused(gmesp_route(control_.get(), &larger.destination, &verdict_, kPatientMs), detail,
                 GMESP_E_STRUCT_SIZE);
  larger.destination.size = 0;
  EXPECT_EQ(gmesp_submit_route(control_.get(), &larger.destination, 1), GMESP_E_STRUCT_SIZE);
  EXPECT_EQ(gmesp_route(control_.get(), nullptr, &verdict_, kPatientMs), GMESP_E_BAD_ARGUMENT);
  gmesp_verdict unset{};
  EXPECT_EQ(route(control_.get(), "a", unset), GMESP_E_STRUCT_SIZE);
  EXPECT_EQ(gmesp_transaction_begin(control_.get(), 1, nullptr, kPatientMs), GMESP_E_BAD_ARGUMENT);
  EXPECT_EQ(gmesp_transaction_begin(nullptr, 1, &verdict_, kPatientMs), GMESP_E_BAD_ARGUMENT);
}

// Shows: R-C-04
TEST_F(Arguments, RegisterIsChecked) {
  gmesp_register_request request;
  GMESP_INIT(&request);
  const auto send = [&] { return gmesp_register(control_.get(), &request, &verdict_, kPatientMs); };
  request.answer = 4;
  expect_refused(send(), "answer: found 4, allowed are 0 to 3");
  request.answer = 0;
  const std::string long_name(256, 'n');
  request.impi = long_name.c_str();
  expect_refused(send(), "impi: longer than the 255 bytes that are allowed");
  request.impi = "a";
  request.impu = long_name.c_str();
  expect_refused(send(), "impu: longer than the 255 bytes that are allowed");
  request.impu = nullptr;
  request.arrival.is_tcp = 2;
  expect_refused(send(), "is_tcp: found 2, allowed are 0 to 1");
  request.arrival.is_tcp = 0;
  request.arrival.reserved[2] = 1;
  expect_refused(send(), "reserved bytes of struct gmesp_arrival are not zero");
  request.arrival.reserved[2] = 0;
  const char* const lines[] = {"one", nullptr};
  request.security_client = lines;
  request.security_client_lines = 17;
  expect_refused(send(), "security_client: found 17, allowed are 0 to 16");
  request.security_client_lines = 2;
  expect_refused(send(), "security_client: line 2 of 2 is NULL");
  request.security_client_lines = 0;
  request.security_verify_lines = 1;
  expect_refused(send(), "security_verify: line 1 of 1 is NULL");
  request.security_verify_lines = 0;
  const std::string too_long(40'000, 't');
  request.transaction = too_long.c_str();
  expect_refused(send(), "request is longer than 32768 bytes");
}

// Shows: R-C-04
TEST_F(Arguments, AnswersMessagesAndIdentitiesAreChecked) {
  struct gmesp_challenge challenge;
  GMESP_INIT(&challenge);
  challenge.ik_bytes = 15;
  expect_refused(gmesp_challenge(control_.get(), &challenge, &verdict_, kPatientMs),
                 "ik of 15 bytes, allowed are 0 and 16");
  challenge.ik_bytes = 16;
  challenge.ck_bytes = 255;
  expect_refused(gmesp_submit_challenge(control_.get(), &challenge, 1),
                 "ck of 255 bytes, allowed are 0 and 16");
  struct gmesp_register_answer answer;
  GMESP_INIT(&answer);
  answer.status = 100;
  expect_refused(gmesp_register_answer(control_.get(), &answer, &verdict_, kPatientMs),
                 "status: found 100, allowed are 200 to 699");
  answer.status = 200;
  answer.impu_count = 33;
  expect_refused(gmesp_register_answer(control_.get(), &answer, &verdict_, kPatientMs),
                 "impu_count: found 33, allowed are 0 to 32");
  struct gmesp_message message;
  GMESP_INIT(&message);
  message.is_request = 2;
  expect_refused(gmesp_message(control_.get(), &message, &verdict_, kPatientMs),
                 "is_request: found 2, allowed are 0 to 1");
  const char* const impus[] = {"sip:a@x", ""};
  gmesp_identities identities;
  GMESP_INIT(&identities);
  identities.impus = impus;
  identities.impu_count = 2;
  expect_refused(gmesp_set_identities(control_.get(), &identities, &verdict_, kPatientMs),
                 "impus: number 2 of 2 is empty");
  expect_refused(gmesp_control_withdraw(control_.get(), -1, 0, 0, kPatientMs),
                 "integrity -1, cipher 0");
  expect_refused(gmesp_control_evict(control_.get(), "", kPatientMs), "impi: found nothing");
}

constexpr uint8_t kMask = 0x5c;

/// The key as it must not be found, given only with every bit of a mask turned over.
struct MaskedKey {
  uint8_t bytes[GMESP_KEY_BYTES];

  void unmask(uint8_t (&to)[GMESP_KEY_BYTES]) const {
    for (size_t i = 0; i < sizeof bytes; ++i) to[i] = bytes[i] ^ kMask;
  }
  bool is_at(const uint8_t* place) const {
    for (size_t i = 0; i < sizeof bytes; ++i)
      if (place[i] != (bytes[i] ^ kMask)) return false;
    return true;
  }
};

constexpr MaskedKey kIk = {{0x13, 0x97, 0xe2, 0x44, 0x0b, 0xc9, 0x71, 0x36, 0xaf, 0x58, 0xd0, 0x2e,
                            0x85, 0x6a, 0xf3, 0x1c}};
constexpr MaskedKey kCk = {{0x72, 0x0e, 0xb5, 0x29, 0xdc, 0x43, 0x98, 0xe7, 0x11, 0x6f, 0xca, 0x34,
                            0x5d, 0xa0, 0x8b, 0xf6}};

/// How often a key stands in the writable memory of this process.
int copies_in_memory() {
  constexpr size_t kRegionBytesMax = size_t{256} << 20;  // a sanitizer's shadow is larger
  std::ifstream maps("/proc/self/maps");
  const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  int copies = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long first;
    unsigned long end;
    char access[5];
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &first, &end, access) != 3) continue;
    if (access[1] != 'w' || end - first > kRegionBytesMax) continue;
    std::vector<uint8_t> copy(end - first);
    if (pread(memory, copy.data(), copy.size(), static_cast<off_t>(first)) !=
        static_cast<ssize_t>(copy.size()))
      continue;
    for (size_t at = 0; at + GMESP_KEY_BYTES <= copy.size(); ++at)
      if (kIk.is_at(&copy[at]) || kCk.is_at(&copy[at])) ++copies;
    explicit_bzero(copy.data(), copy.size());
  }
  close(memory);
  return copies;
}

/// Sends a challenge with keys that nobody else in this process holds.
int send_challenge(gmesp_control* control, bool waits, const char* transaction) {
  struct gmesp_challenge challenge;
  GMESP_INIT(&challenge);
  challenge.impi = "a";
  challenge.transaction = transaction;
  challenge.ik_bytes = challenge.ck_bytes = GMESP_KEY_BYTES;
  kIk.unmask(challenge.ik);
  kCk.unmask(challenge.ck);
  gmesp_verdict verdict = make_verdict();
  const int error = waits ? gmesp_challenge(control, &challenge, &verdict, 300)
                          : gmesp_submit_challenge(control, &challenge, 1);
  explicit_bzero(&challenge, sizeof challenge);
  return error;
}

/// Reads a request where it can be wiped; how many copies of the keys it had. Negative: hung up.
int receive_and_wipe(FakePeer& peer, std::string& tag) {
  static uint8_t request[65536];
  const ssize_t bytes = recv(peer.socket(), request, sizeof request, 0);
  if (bytes < 24) return -1;
  tag.assign(reinterpret_cast<char*>(request) + 8, 8);
  int copies = 0;
  for (ssize_t at = 0; at + GMESP_KEY_BYTES <= bytes; ++at)
    if (kIk.is_at(request + at) || kCk.is_at(request + at)) ++copies;
  explicit_bzero(request, sizeof request);
  return copies;
}

// Shows: R-D-K2
TEST(ControlKeys, NoneStaysInTheProcess) {
  std::vector<int> copies_received;
  std::string full(20'000, 't');
  {
    FakeControl fake([&copies_received](FakePeer& peer) {
      std::string tag;
      for (int copies; (copies = receive_and_wipe(peer, tag)) >= 0;) {
        copies_received.push_back(copies);
        if (copies_received.size() == 1)
          peer.send(FakeMessage{.fields = {number(40, 1)}}.encode().replace(8, 8, tag));
      }
    });
    const Control control = open_control(fake.path());
    EXPECT_EQ(send_challenge(control.get(), true, "answered"), GMESP_OK) << detail_of(control);
    EXPECT_EQ(send_challenge(control.get(), true, "not answered"), GMESP_E_TIMEOUT);
    EXPECT_EQ(send_challenge(control.get(), false, "submitted"), GMESP_OK);
    EXPECT_EQ(send_challenge(control.get(), false, std::string(32'700, 't').c_str()),
              GMESP_E_BAD_ARGUMENT);  // room for one key
    EXPECT_EQ(copies_in_memory(), 0);
  }
  EXPECT_EQ(copies_received, (std::vector<int>{2, 2, 2}));
  FakeControl deaf([](FakePeer& peer) {
    pollfd hang_up{peer.socket(), 0, 0};
    poll(&hang_up, 1, kPatientMs);
  });
  const Control control = open_control(deaf.path());
  int error;
  while ((error = send_challenge(control.get(), false, full.c_str())) == GMESP_OK) continue;
  EXPECT_EQ(error, GMESP_E_AGAIN);
  EXPECT_EQ(send_challenge(control.get(), true, full.c_str()), GMESP_E_TIMEOUT);
  EXPECT_EQ(copies_in_memory(), 0);
  uint8_t found[GMESP_KEY_BYTES];
  kIk.unmask(found);
  EXPECT_GT(copies_in_memory(), 0);  // the search finds what is there
  explicit_bzero(found, sizeof found);
}

}  // namespace
}  // namespace gmesp::test
