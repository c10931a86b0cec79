// What gmesp-control might send, as bytes: MessageReader never gives away a byte that is not there,
// and every decoder of libgmesp ends with a struct whose texts end and whose counts are within
// their arrays, or says no. What is read can be written again to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "control/client/control_reply.h"
#include "control/link/message.h"
#include "invariant.h"

namespace gmesp::client {
namespace {

using link::Field;
using link::MessageReader;
using link::MessageWriter;

template <size_t kBytes>
bool ends(const char (&text)[kBytes]) {
  return std::memchr(text, 0, kBytes) != nullptr;
}

void check_impus(uint32_t count, const char (&impus)[GMESP_IDENTITIES_MAX][GMESP_IDENTITY_BYTES]) {
  GMESP_INVARIANT(count <= GMESP_IDENTITIES_MAX);
  for (const auto& impu : impus) GMESP_INVARIANT(ends(impu));
}

/// Every field lies within the message, and written one by one they give it again.
void read_fields(const uint8_t* data, size_t bytes, MessageReader message) {
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[link::kMessageBytesMax]);
  MessageWriter writer(copy.get(), link::kMessageBytesMax, message.kind(), message.header().tag);
  writer.set_error(message.header().error);
  for (Field field; message.next(field);) {
    GMESP_INVARIANT(field.data >= data && field.data + field.length <= data + bytes);
    writer.bytes(field.tag, field.data, field.length);
  }
  if (message.is_broken()) return;
  GMESP_INVARIANT(writer.ok());
  GMESP_INVARIANT(writer.finish() == bytes && std::memcmp(copy.get(), data, bytes) == 0);
}

void read_replies(const MessageReader& message) {
  MessageReader reader = message;
  gmesp_verdict verdict;
  if (read_verdict(reader, verdict)) {
    GMESP_INVARIANT(verdict.error != GMESP_OK ||
                    (verdict.action >= GMESP_FORWARD && verdict.action <= GMESP_DISCARD));
    GMESP_INVARIANT(verdict.error >= 0 && verdict.is_integrity_protected <= 1);
  }
  GMESP_INVARIANT(ends(verdict.impi) && ends(verdict.security_server) && ends(verdict.clause) &&
                  ends(verdict.text));
  check_impus(verdict.impu_count, verdict.impus);
  reader = message;
  gmesp_control_event event;
  read_event(reader, event);
  GMESP_INVARIANT(ends(event.impi));
  reader = message;
  gmesp_registration registration;
  uint64_t cursor = 0;
  read_registration(reader, registration, cursor);
  GMESP_INVARIANT(registration.set_count <= 4 && ends(registration.impi) &&
                  ends(registration.registration_key));
  check_impus(registration.impu_count, registration.impus);
  reader = message;
  struct gmesp_refusal refusal;
  read_refusal(reader, refusal, cursor);
  GMESP_INVARIANT(ends(refusal.impi) && ends(refusal.name) && ends(refusal.clause) &&
                  ends(refusal.text));
  reader = message;
  gmesp_statistic statistic;
  read_statistic(reader, statistic);
  GMESP_INVARIANT(ends(statistic.name) && ends(statistic.unit) && ends(statistic.text));
  reader = message;
  char text[GMESP_DETAIL_BYTES];
  read_text(reader, text);
  GMESP_INVARIANT(ends(text));
}

/// What passes for a packet is whole messages from end to end.
void walk_packet(const uint8_t* data, size_t bytes) {
  if (!link::is_packet(data, bytes)) return;
  size_t at = 0;
  for (uint32_t messages = 0; at != bytes; ++messages) {
    GMESP_INVARIANT(messages < link::kGatheredMax && at < bytes);
    const uint64_t message_bytes = link::first_message_bytes(data + at);
    MessageReader message;
    GMESP_INVARIANT(message.open(data + at, message_bytes));
    at += message_bytes;
  }
}

/// Without this the fuzzer would have to find the magic and the length of every message.
void mend_header(std::vector<uint8_t>& message) {
  link::Header header;
  std::memcpy(&header, message.data(), sizeof header);
  header.magic = link::kMagic;
  header.version = link::kVersion;
  header.bytes = static_cast<uint32_t>(message.size() - sizeof header);
  std::memcpy(message.data(), &header, sizeof header);
}

}  // namespace
}  // namespace gmesp::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace gmesp::client;
  using gmesp::link::MessageReader;
  if (bytes > gmesp::link::kMessageBytesMax) return 0;
  MessageReader message;
  if (message.open(data, bytes)) read_fields(data, bytes, message);
  walk_packet(data, bytes);
  if (bytes < sizeof(gmesp::link::Header)) return 0;
  std::vector<uint8_t> mended(data, data + bytes);
  mend_header(mended);
  GMESP_INVARIANT(message.open(mended.data(), mended.size()));
  read_fields(mended.data(), mended.size(), message);
  read_replies(message);
  mended.insert(mended.end(), data, data + bytes);
  walk_packet(mended.data(), mended.size());
  return 0;
}
