// A client that sends any hello and then does anything to its memory, against gmespd's end.
//
// The input is a script: a byte that says whether the hello is a good one, then operations of one
// byte each with their operands. Whatever it does, the server must neither crash nor take a record
// that is not one, and must serve the next client.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "model_table.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

class Script {
 public:
  Script(const uint8_t* data, size_t size) : at_(data), left_(size) {}
  bool is_over() const { return left_ == 0; }
  template <class Number>
  Number take() {
    Number number{};
    take_bytes(&number, sizeof number);
    return number;
  }
  /// What is missing at the end is zero.
  void take_bytes(void* to, size_t count) {
    const size_t got = count < left_ ? count : left_;
    memset(to, 0, count);
    memcpy(to, at_, got);
    at_ += got;
    left_ -= got;
  }

 private:
  const uint8_t* at_;
  size_t left_;
};

struct Target {
  TemporaryFolder folder;
  ModelTable table{64};
  shm::Server server{{.socket_path = folder.path() + "/s",
                      .connections_max = 4,
                      .command_slots = 8,
                      .completion_slots = 8,
                      .event_slots = 8},
                     table};
  Target() { table.attach(server); }
  std::string path() const { return folder.path() + "/s"; }
  void poll() {
    server.poll();
    server.poll();
  }
};

void push_command(RawClient& client, Script& script) {
  shm::Command command = make_install(script.take<uint8_t>(), 1);
  const auto shape = script.take<uint8_t>();
  if (shape % 2 == 0) {
    command.kind = shape / 2 % 32;
    command.size = sizeof command.body.argument;
  }
  if (shape % 8 == 1) script.take_bytes(&command, sizeof command);
  (void)client.commands().push(command);
}

void set_index(RawClient& client, Script& script) {
  const shm::RingPlace places[] = {client.header().command, client.header().completion,
                                   client.header().event};
  const auto choice = script.take<uint8_t>();
  const shm::RingPlace& place = places[choice % 3];
  if (place.indices_at > client.bytes() - sizeof(shm::RingIndices)) return;
  shm::RingIndices& indices = client.indices(place);
  const auto value = script.take<uint32_t>();
  (choice & 4 ? indices.head : indices.tail) = choice & 8 ? value : value % 24;
  if (choice & 16) indices.consumer_sleeps = value;
}

void write_memory(RawClient& client, Script& script) {
  uint8_t bytes[16];
  const uint64_t at = script.take<uint16_t>() % (client.bytes() - sizeof bytes);
  script.take_bytes(bytes, script.take<uint8_t>() % sizeof bytes);
  memcpy(client.base() + at, bytes, sizeof bytes);
}

void run(Target& target, RawClient& client, Script& script) {
  while (!script.is_over()) {
    switch (script.take<uint8_t>() % 8) {
      case 0:
        target.poll();
        break;
      case 1:
      case 2:
        push_command(client, script);
        break;
      case 3:
        set_index(client, script);
        break;
      case 4:
        write_memory(client, script);
        break;
      case 5:
        target.server.publish(shm::Event{});
        break;
      case 6: {
        const auto holds = script.take<uint8_t>();
        target.table.hold_answers(holds & 1);
        if ((holds & 2) != 0) target.table.release_answers();
        break;
      }
      case 7:
        client.ring();
        break;
    }
  }
}

void expect_service(Target& target) {
  target.table.hold_answers(false);
  target.table.release_answers();
  target.poll();
  RawClient client(target.path());
  if (!client.say_hello(shm::Role::kWriter)) abort();
  target.poll();
  if (!client.map_answer()) abort();
  shm::Command command{};
  command.kind = static_cast<uint32_t>(shm::CommandKind::kRemoveAll);
  command.size = sizeof command.body.argument;
  (void)client.commands().push(command);
  target.poll();
  shm::Completion completion;
  if (client.completions().pop(completion) != shm::RingResult::kDone) abort();
  if (completion.status != 0 || target.table.live_sets() != 0) abort();
}

}  // namespace
}  // namespace gmesp::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gmesp::test;
  static Target target;
  Script script(data, size);
  {
    RawClient client(target.path());
    const auto hello_kind = script.take<uint8_t>();
    if (hello_kind % 8 == 0) {
      uint8_t hello[2 * sizeof(gmesp::shm::Hello)];
      const size_t bytes = 1 + script.take<uint8_t>() % (sizeof hello - 1);
      script.take_bytes(hello, bytes);
      client.send(hello, bytes);
      target.poll();
    } else if (client.say_hello(
                   hello_kind % 8 == 1 ? gmesp::shm::Role::kReader : gmesp::shm::Role::kWriter,
                   true)) {
      target.poll();
      if (!client.map_answer()) abort();
      run(target, client, script);
    }
  }
  target.poll();
  for (const auto& [index, record] : target.table.sets())
    if (record.size != sizeof record || record.spi_ps < 256) abort();
  expect_service(target);
  target.poll();
  return 0;
}
