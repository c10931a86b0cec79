// Who gets in, who does not, and what each is told.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <system_error>

#include "dp_client.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

using shm::Answer;
using shm::HandshakeStatus;
using shm::Hello;
using shm::Role;

#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

Answer answer_to(const RunningServer& server, const Hello& hello, size_t bytes = sizeof(Hello)) {
  RawClient client(server.socket_path());
  Answer answer{};
  EXPECT_TRUE(client.send(&hello, bytes));
  EXPECT_TRUE(client.receive(answer));
  EXPECT_TRUE(client.sees_hang_up());
  return answer;
}

uint32_t number(HandshakeStatus status) {
  return static_cast<uint32_t>(status);
}

// Shows: R-C-02
TEST(Handshake, GivesSealedMemoryThatDescribesItself) {
  RunningServer server(
      {.command_slots = 16, .completion_slots = 32, .event_slots = 8, .epoch = 77});
  RawClient client(server.socket_path());
  ASSERT_TRUE(client.open(Role::kReader));
  EXPECT_EQ(client.header().magic, shm::kMagic);
  EXPECT_EQ(client.header().abi_version, shm::kAbiVersion);
  EXPECT_EQ(client.header().epoch, 77u);
  EXPECT_EQ(client.header().command.slots, 16u);
  EXPECT_EQ(client.header().completion.slots, 32u);
  EXPECT_EQ(client.header().event.slots, 8u);
  EXPECT_EQ(client.header().memory_bytes, client.bytes());
  EXPECT_NE(ftruncate(client.memory_fd(), 4096), 0);
  EXPECT_NE(ftruncate(client.memory_fd(), static_cast<off_t>(client.bytes()) + 4096), 0);
}

// Shows: R-C-02
TEST(Handshake, OtherVersionsAreRefusedWithBothNumbers) {
  RunningServer server;
  Hello hello = shm::make_hello(Role::kReader, false);
  hello.abi_version = 9;
  Answer answer = answer_to(server, hello);
  EXPECT_EQ(answer.status, number(HandshakeStatus::kVersion));
  EXPECT_STREQ(answer.text, "ABI version: client has 9, gmespd has 1");
  hello = shm::make_hello(Role::kReader, false);
  hello.completion_bytes = 1000;
  answer = answer_to(server, hello);
  EXPECT_EQ(answer.status, number(HandshakeStatus::kVersion));
  EXPECT_EQ(std::string(answer.text), "completion bytes: client has 1000, gmespd has " +
                                          std::to_string(sizeof(shm::Completion)));
}

// Shows: R-C-02
TEST(Handshake, AnotherVersionIsNamedThoughItsHelloHasAnotherLength) {
  RunningServer server;
  Hello hello = shm::make_hello(Role::kReader, false);
  hello.abi_version = 2;
  EXPECT_STREQ(answer_to(server, hello, 10).text, "ABI version: client has 2, gmespd has 1");
}

// Shows: R-C-02
TEST(Handshake, MalformedHellosAreRefused) {
  RunningServer server;
  const Hello good = shm::make_hello(Role::kReader, false);
  Hello hello = good;
  hello.magic = 1;
  EXPECT_EQ(answer_to(server, hello).status, number(HandshakeStatus::kMalformed));
  for (const size_t bytes : {1u, 7u, 8u, 12u, 23u})
    EXPECT_EQ(answer_to(server, good, bytes).status, number(HandshakeStatus::kMalformed)) << bytes;
  for (const uint8_t role : {0, 3, 255}) {
    hello = good;
    hello.role = role;
    EXPECT_EQ(answer_to(server, hello).status, number(HandshakeStatus::kMalformed));
  }
  hello = good;
  hello.reserved = 1;
  EXPECT_EQ(answer_to(server, hello).status, number(HandshakeStatus::kMalformed));
  EXPECT_NE(reader(server.socket_path()), nullptr);
}

// Shows: R-C-03
TEST(Handshake, SecondWriterIsRefusedAndToldWhoTheFirstIs) {
  RunningServer server;
  Dp first = writer(server.socket_path());
  const Opened second = open_dp(server.socket_path(), GMESP_WRITER);
  EXPECT_EQ(second.error, GMESP_E_REFUSED);
  EXPECT_EQ(second.detail, "process " + std::to_string(getpid()) + " is the writer");
  EXPECT_NE(reader(server.socket_path()), nullptr);
  first.reset();
  EXPECT_NE(writer(server.socket_path()), nullptr);  // at once: the hang-up is seen first
}

// Shows: R-C-03
TEST(Handshake, NewWriterNeedNotWaitForTheBellsOfAnOldOne) {
  RunningServer server;
  server.hang(true);
  {
    RawClient old(server.socket_path());
    ASSERT_TRUE(old.say_hello(shm::Role::kWriter));
    server.hang(false);
    ASSERT_TRUE(old.map_answer());
    server.hang(true);
    for (int i = 0; i < 100; ++i) old.ring();
  }
  server.hang(false);
  EXPECT_NE(writer(server.socket_path()), nullptr);
}

// Shows: R-C-02
TEST(Handshake, ConnectionsAreLimited) {
  RunningServer server({.connections_max = 3});
  Dp first = reader(server.socket_path());
  const Dp second = reader(server.socket_path());
  const Dp third = writer(server.socket_path());
  const Opened fourth = open_dp(server.socket_path(), GMESP_READER);
  EXPECT_EQ(fourth.error, GMESP_E_REFUSED);
  EXPECT_EQ(fourth.detail, "3 connections, allowed are 3");
  first.reset();
  EXPECT_TRUE(server.eventually([](ModelTable& t) { return !t.disconnected().empty(); }));
  EXPECT_NE(reader(server.socket_path()), nullptr);
}

// Shows: R-C-02
TEST(Handshake, ClientThatSaysNothingIsDropped) {
  RunningServer server({.handshake_timeout_ms = 50});
  RawClient silent(server.socket_path());
  EXPECT_TRUE(silent.sees_hang_up());
  EXPECT_TRUE(server.eventually([](ModelTable& t) { return t.refused().size() == 1; }));
  server.locked([](ModelTable& t, shm::Server&) {
    EXPECT_EQ(t.refused()[0], "no hello within 50 ms");
    EXPECT_TRUE(t.connected().empty());
  });
}

/// Opens as another user in a child process. Exit code: the error.
int error_as_user(const std::string& socket_path, uid_t uid, bool& told_why) {
  int pipe_fds[2];
  EXPECT_EQ(pipe(pipe_fds), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setresuid(uid, uid, uid) != 0) _exit(99);
    const Opened opened = open_dp(socket_path, GMESP_READER, false, 2000);
    (void)!write(pipe_fds[1], opened.detail.data(), opened.detail.size());
    _exit(opened.error);
  }
  close(pipe_fds[1]);
  char text[256] = {};
  (void)!read(pipe_fds[0], text, sizeof text - 1);
  close(pipe_fds[0]);
  told_why = std::string(text).find("user " + std::to_string(uid)) != std::string::npos;
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Shows: R-C-02, R-D-K2
TEST(Handshake, OnlyRootOurselvesAndConfiguredUsersGetIn) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  RunningServer server({.socket_mode = 0666, .allowed_uids = {4242}});
  // The folder of the test is the tester's alone.
  const std::string folder = server.socket_path().substr(0, server.socket_path().rfind('/'));
  ASSERT_EQ(chmod(folder.c_str(), 0755), 0);
  bool told_why = false;
  EXPECT_EQ(error_as_user(server.socket_path(), 4242, told_why), GMESP_OK);
  EXPECT_EQ(error_as_user(server.socket_path(), 4243, told_why), GMESP_E_REFUSED);
  EXPECT_TRUE(told_why);
  server.locked([](ModelTable& t, shm::Server&) {
    ASSERT_EQ(t.refused().size(), 1u);
    EXPECT_HAS(t.refused()[0], "user 4243 may not connect");
  });
}

// Shows: R-D-K2
TEST(Socket, HasTheModeThatWasAskedFor) {
  for (const uint32_t mode : {0600u, 0660u}) {
    RunningServer server({.socket_mode = mode});
    struct stat status {};
    ASSERT_EQ(stat(server.socket_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode);
  }
}

/// Leaves a socket file at which nobody listens.
void leave_stale_socket(const std::string& path) {
  sockaddr_un address;
  ASSERT_TRUE(shm::make_address(path.c_str(), address));
  const int socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(socket_fd);
}

std::string error_of_start(const std::string& path) {
  ModelTable table;
  try {
    shm::Server server({.socket_path = path}, table);
  } catch (const std::system_error& error) {
    return error.what();
  }
  return "";
}

// Shows: R-C-03
TEST(Socket, OfADeadProcessIsReplaced) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/s";
  leave_stale_socket(path);
  EXPECT_EQ(error_of_start(path), "");
}

// Shows: R-C-03
TEST(Socket, OfALiveProcessIsLeftAlone) {
  RunningServer server;
  EXPECT_HAS(error_of_start(server.socket_path()), "another process listens there");
  EXPECT_NE(reader(server.socket_path()), nullptr);
}

// Shows: R-C-03
TEST(Socket, NeverReplacesAFile) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/s";
  std::ofstream(path) << "precious";
  EXPECT_HAS(error_of_start(path), path + " exists and is not a socket");
  std::string content;
  std::ifstream(path) >> content;
  EXPECT_EQ(content, "precious");
}

// Shows: R-C-03
TEST(Socket, FolderIsMadeAndTheFileGoesWithTheServer) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/run/s";
  {
    ModelTable table;
    const shm::Server server({.socket_path = path}, table);
    struct stat status {};
    ASSERT_EQ(stat((folder.path() + "/run").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0755u);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  EXPECT_HAS(error_of_start(folder.path() + "/a/b/s"), "/a/b");
  EXPECT_HAS(error_of_start(folder.path() + "/" + std::string(120, 'x')), "allowed are 1 to 107");
}

// Shows: R-C-02
TEST(Socket, OptionsOutOfRangeAreNamed) {
  const TemporaryFolder folder;
  ModelTable table;
  try {
    shm::Server server({.socket_path = folder.path() + "/s", .event_slots = 1000}, table);
    FAIL() << "1000 slots were taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_HAS(error.what(), "event_slots 1000, allowed are powers of two");
  }
}

// Shows: R-C-03
TEST(Client, WithoutServerIsToldThePathAndTheReason) {
  const TemporaryFolder folder;
  const Opened opened = open_dp(folder.path() + "/none", GMESP_READER);
  EXPECT_EQ(opened.error, GMESP_E_NOT_CONNECTED);
  EXPECT_EQ(opened.detail, folder.path() + "/none: No such file or directory");
}

// Shows: R-C-04
TEST(Client, BadOptionsAreRefused) {
  gmesp_dp_options options;
  GMESP_INIT(&options);
  gmesp_dp* dp = nullptr;
  EXPECT_EQ(gmesp_dp_open(&options, &dp, nullptr, 0), GMESP_E_BAD_ARGUMENT);  // no role
  options.role = GMESP_READER;
  options.size = 4;
  EXPECT_EQ(gmesp_dp_open(&options, &dp, nullptr, 0), GMESP_E_STRUCT_SIZE);
  EXPECT_EQ(gmesp_dp_open(nullptr, &dp, nullptr, 0), GMESP_E_BAD_ARGUMENT);
  EXPECT_EQ(dp, nullptr);
}

/// A server that speaks another version: accepts one client and answers with `answer`.
int error_after_answer(const Answer& answer, int fd) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/s";
  sockaddr_un address;
  EXPECT_TRUE(shm::make_address(path.c_str(), address));
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener, 1), 0);
  std::thread peer([&] {
    const int client = accept(listener, nullptr, nullptr);
    Hello hello;
    EXPECT_EQ(recv(client, &hello, sizeof hello, 0), static_cast<ssize_t>(sizeof hello));
    EXPECT_TRUE(shm::send_answer(client, answer, fd));
    close(client);
  });
  const int error = open_dp(path, GMESP_READER, false, 2000).error;
  peer.join();
  close(listener);
  return error;
}

// Shows: R-C-02
TEST(Client, ChecksWhatItIsGiven) {
  const Answer good = shm::make_answer(HandshakeStatus::kAccepted, 1 << 20);
  EXPECT_EQ(error_after_answer(good, -1), GMESP_E_PROTOCOL);  // no memory
  Answer answer = good;
  answer.abi_version = 2;
  EXPECT_EQ(error_after_answer(answer, -1), GMESP_E_VERSION);
  answer = good;
  answer.magic = 3;
  EXPECT_EQ(error_after_answer(answer, -1), GMESP_E_PROTOCOL);
  FILE* file = tmpfile();
  ASSERT_EQ(ftruncate(fileno(file), 1 << 20), 0);
  EXPECT_EQ(error_after_answer(good, fileno(file)), GMESP_E_PROTOCOL);  // not sealed
  fclose(file);
}

}  // namespace
}  // namespace gmesp::test
