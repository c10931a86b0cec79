#include "fake_control.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace gmesp::test {
namespace {

constexpr uint16_t kText = 55;
constexpr size_t kHeaderBytes = 24;
constexpr int kPatienceMs = 20'000;

template <class Number>
void append(std::string& to, Number value) {
  for (size_t i = 0; i < sizeof value; ++i)
    to += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
}

uint64_t number_at(const std::string& bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= uint64_t{static_cast<uint8_t>(bytes.at(at + i))} << (8 * i);
  return value;
}

FakeMessage decode_one(const std::string& bytes) {
  FakeMessage message;
  message.magic = static_cast<uint32_t>(number_at(bytes, 0, 4));
  message.version = static_cast<uint16_t>(number_at(bytes, 4, 2));
  message.kind = static_cast<uint16_t>(number_at(bytes, 6, 2));
  message.tag = number_at(bytes, 8, 8);
  message.error = static_cast<int32_t>(number_at(bytes, 20, 4));
  for (size_t at = kHeaderBytes; at < bytes.size();) {
    const auto tag = static_cast<uint16_t>(number_at(bytes, at, 2));
    const size_t length = number_at(bytes, at + 2, 2);
    if (at + 4 + length > bytes.size()) throw std::runtime_error("field is cut short");
    message.fields.push_back({tag, bytes.substr(at + 4, length)});
    at += 4 + length;
  }
  return message;
}

}  // namespace

std::string FakeMessage::encode() const {
  std::string body;
  for (const FakeField& field : fields) {
    append(body, field.tag);
    append(body, static_cast<uint16_t>(field.bytes.size()));
    body += field.bytes;
  }
  std::string out;
  append(out, magic);
  append(out, version);
  append(out, kind);
  append(out, tag);
  append(out, static_cast<uint32_t>(body.size()));
  append(out, static_cast<uint32_t>(error));
  return out + body;
}

std::vector<FakeMessage> FakeMessage::decode(const std::string& packet) {
  std::vector<FakeMessage> messages;
  for (size_t at = 0; at < packet.size();) {
    const size_t end = at + kHeaderBytes + number_at(packet, at + 16, 4);
    if (end > packet.size()) throw std::runtime_error("message is cut short");
    messages.push_back(decode_one(packet.substr(at, end - at)));
    at = end;
  }
  return messages;
}

std::vector<std::string> FakeMessage::all(uint16_t wanted) const {
  std::vector<std::string> found;
  for (const FakeField& field : fields)
    if (field.tag == wanted) found.push_back(field.bytes);
  return found;
}

std::string FakeMessage::one(uint16_t wanted) const {
  const std::vector<std::string> found = all(wanted);
  return found.empty() ? "(none)" : found.size() > 1 ? "(many)" : found[0];
}

std::string number_bytes(uint64_t value) {
  std::string bytes;
  append(bytes, value);
  return bytes;
}

FakeField number(uint16_t tag, uint64_t value) {
  return {tag, number_bytes(value)};
}

FakeField text(uint16_t tag, const std::string& value) {
  return {tag, value};
}

std::optional<FakeMessage> FakePeer::receive() {
  if (received_.empty()) std::ranges::copy(receive_packet(), std::back_inserter(received_));
  if (received_.empty()) return std::nullopt;
  FakeMessage message = std::move(received_.front());
  received_.pop_front();
  last_tag_ = message.tag;
  return message;
}

std::vector<FakeMessage> FakePeer::receive_packet() {
  static thread_local char buffer[65536];
  pollfd readable{socket_, POLLIN, 0};
  if (poll(&readable, 1, kPatienceMs) <= 0) return {};
  const ssize_t bytes = recv(socket_, buffer, sizeof buffer, 0);
  if (bytes <= 0) return {};
  return FakeMessage::decode({buffer, static_cast<size_t>(bytes)});
}

void FakePeer::send(const std::string& bytes) {
  pollfd writable{socket_, POLLOUT, 0};
  poll(&writable, 1, kPatienceMs);
  (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void FakePeer::reply(int32_t error, std::vector<FakeField> fields) {
  FakeMessage message{.tag = last_tag_, .error = error};
  message.fields = std::move(fields);
  send(message);
}

FakeControl::FakeControl(Script script, bool answers_hello) {
  char folder[] = "/tmp/gmesp-control-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = folder;
  path_ = folder_ + "/control.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path_.c_str());
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 16) != 0)
    throw std::runtime_error("listen");
  thread_ = std::thread(
      [this, script = std::move(script), answers_hello] { run(script, answers_hello); });
}

FakeControl::~FakeControl() {
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  unlink(path_.c_str());
  rmdir(folder_.c_str());
}

void FakeControl::run(const Script& script, bool answers_hello) {
  for (;;) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    FakePeer peer(client);
    if (answers_hello && peer.receive()) peer.reply(0, {text(kText, "fake")});
    script(peer);
    close(client);
  }
}

}  // namespace gmesp::test
