// gmesp-control as the client sees it, played by a script: a thread that listens, answers the hello
// and then does what the test says.
//
// It reads and writes messages byte by byte from the layout in control/link/message.h, with none of
// its code, so that an error there does not hide itself.
// Threading: the script runs in a thread of its own; the destructor hangs up and joins.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace gmesp::test {

struct FakeField {
  uint16_t tag;
  std::string bytes;
};

struct FakeMessage {
  uint16_t kind = 128;  // a reply
  uint64_t tag = 0;
  int32_t error = 0;
  std::vector<FakeField> fields = {};
  uint16_t version = 2;
  uint32_t magic = 0x54434d47;

  std::string encode() const;
  /// Those of one packet.
  static std::vector<FakeMessage> decode(const std::string& packet);
  /// The values of a tag, in order.
  std::vector<std::string> all(uint16_t tag) const;
  /// The only value of a tag; "(none)" or "(many)".
  std::string one(uint16_t tag) const;
};

std::string number_bytes(uint64_t value);
FakeField number(uint16_t tag, uint64_t value);
FakeField text(uint16_t tag, const std::string& value);

/// The script's end of a connection.
class FakePeer {
 public:
  explicit FakePeer(int socket) : socket_(socket) {}
  /// The next request; empty at hang-up.
  std::optional<FakeMessage> receive();
  /// The requests of the next packet, if those of the last one have been received.
  std::vector<FakeMessage> receive_packet();
  void send(const std::string& bytes);
  void send(const FakeMessage& message) { send(message.encode()); }
  /// To the last request received.
  void reply(int32_t error, std::vector<FakeField> fields);
  int socket() const { return socket_; }

 private:
  int socket_;
  std::deque<FakeMessage> received_;
  uint64_t last_tag_ = 0;
};

class FakeControl {
 public:
  using Script = std::function<void(FakePeer&)>;
  /// `answers_hello` false: the script begins before the hello.
  explicit FakeControl(Script script, bool answers_hello = true);
  ~FakeControl();
  FakeControl(const FakeControl&) = delete;
  FakeControl& operator=(const FakeControl&) = delete;

  const std::string& path() const { return path_; }

 private:
  void run(const Script& script, bool answers_hello);

  std::string folder_;
  std::string path_;
  int listener_;
  std::thread thread_;
};

}  // namespace gmesp::test
