// A shm::Server with a ModelTable behind it as a process, for the tests of gmespctl.
//
// model_server SOCKET [CAPACITY]: prints "ready", then obeys lines on its standard input until it
// ends: "audit" publishes an audit event, "flood N" publishes N of them, "hold" and "release" keep
// answers back and let them go.
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "model_table.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

shm::Event audit_event() {
  shm::Event event{};
  event.kind = static_cast<uint32_t>(shm::EventKind::kAudit);
  event.reason = 1;
  event.spi = 0xabcd;
  event.protocol = 50;
  event.source[15] = 1;
  event.source_port = 5060;
  return event;
}

void obey(const std::string& order, ModelTable& table, shm::Server& server) {
  if (order == "audit") server.publish(audit_event());
  if (order.starts_with("flood "))
    for (unsigned long i = std::strtoul(order.c_str() + 6, nullptr, 10); i > 0; --i)
      server.publish(audit_event());
  if (order == "hold") table.hold_answers(true);
  if (order == "release") {
    table.hold_answers(false);
    table.release_answers();
  }
}

int run(const std::string& socket_path, uint32_t capacity_sets) {
  ModelTable table(capacity_sets);
  shm::Server server({.socket_path = socket_path}, table);
  table.attach(server);
  (void)!write(STDOUT_FILENO, "ready\n", 6);
  for (std::string orders;;) {
    pollfd ready[] = {{server.poll_fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    poll(ready, 2, 20);
    server.poll();
    table.expire(boottime_ms());
    server.heartbeat(boottime_ms());
    if (ready[1].revents == 0) continue;
    char bytes[256];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count <= 0) return 0;
    orders.append(bytes, static_cast<size_t>(count));
    for (size_t end; (end = orders.find('\n')) != std::string::npos; orders.erase(0, end + 1))
      obey(orders.substr(0, end), table, server);
  }
}

}  // namespace
}  // namespace gmesp::test

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const unsigned long capacity_sets = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100'000;
  return gmesp::test::run(argv[1], static_cast<uint32_t>(capacity_sets));
}
