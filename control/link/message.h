// What libgmesp and gmesp-control say to each other: one message a request, one a reply, one an
// event; a fixed header and fields of (tag, length, bytes). A SOCK_SEQPACKET packet holds one
// message or several, one behind another: what is sent together costs little more than one.
//
// Shape: integers in host byte order (one machine); a number is a field of 8 bytes, an address one
// of 16, a text has no final zero. A field may stand more than once where its comment says so;
// fields with tags that a reader does not know are skipped, so that either side may be one release
// older. Tags and kinds are never renumbered.
// Trust: MessageReader checks every length before it gives a byte away; what a field means is for
// the caller to check.
// Threading: plain values. Errors: false. libc only: no exceptions, no run-time library.
#pragma once

#include <stdint.h>
#include <string.h>

namespace gmesp::link {

inline constexpr uint32_t kMagic = 0x54434d47;  // "GMCT"
inline constexpr uint16_t kVersion = 2;
inline constexpr uint32_t kMessageBytesMax = 32'768;
/// Of a packet with more than one message; so a receiver knows how long it may take.
inline constexpr uint32_t kGatheredBytesMax = 8192, kGatheredMax = 64;

enum class Kind : uint16_t {
  kHello = 1,  ///< first message of a client; the reply carries kText: version of the daemon
  kRegister = 2,
  kChallenge = 3,
  kRegisterAnswer = 4,
  kMessage = 5,
  kRoute = 6,
  kTransactionBegin = 7,
  kTransactionEnd = 8,
  kIdentities = 9,
  kDeregistered = 10,
  // For the operator.
  kNextRegistration = 32,  ///< first one behind kCursor
  kNextRefusal = 33,       ///< likewise, youngest first
  kNextTotal = 34,         ///< row kCursor of the counters
  kWithdraw = 35,
  kRestore = 36,
  kEvict = 37,
  kReload = 38,
  // From the daemon.
  kReply = 128,
  kEvent = 129,
};

enum class Tag : uint16_t {
  // requests
  kImpi = 1,
  kImpu = 2,  ///< repeated
  kRegistrationKey = 3,
  kTransaction = 4,
  kSource = 5,
  kSourcePort = 6,
  kLocal = 7,
  kLocalPort = 8,
  kIsTcp = 9,
  kVia = 10,
  kSecurityClient = 11,  ///< repeated: one header line each
  kSecurityVerify = 12,  ///< repeated
  kAuthenticationAnswer = 13,
  kIk = 14,
  kCk = 15,
  kStatus = 16,
  kExpiresMs = 17,
  kMethod = 18,
  kIsRequest = 19,
  kIsEmergency = 20,
  kSet = 21,
  kUe = 22,
  kUePort = 23,
  kCursor = 24,
  kIntegrity = 25,
  kCipher = 26,
  kRemovesLive = 27,
  kWantsEvents = 28,  ///< hello
  // replies
  kAction = 40,
  kRefusal = 41,
  kSendSet = 42,
  kSendMode = 43,
  kSendLocal = 44,
  kSendLocalPort = 45,
  kSendRemote = 46,
  kSendRemotePort = 47,
  kOnSameConnection = 48,
  kSameConnectionPossible = 49,
  kArrivedOn = 50,
  kIsIntegrityProtected = 51,
  kIsRepetition = 52,
  kSecurityServer = 53,
  kRefusalClause = 54,
  kText = 55,
  kSip = 56,  ///< SIP status that fits a refusal
  // registrations, refusals, totals, events
  kSetState = 70,  ///< begins a set: the fields behind it are of that set
  kSetNumber = 71,
  kDataPlaneId = 72,
  kMode = 73,
  kPortUc = 74,
  kPortUs = 75,
  kPortPc = 76,
  kPortPs = 77,
  kSpiUc = 78,
  kSpiUs = 79,
  kSpiPc = 80,
  kSpiPs = 81,
  kNotAfterMs = 82,
  kDropAtMs = 83,
  kPeerPort = 84,
  kPendingTransactions = 85,
  kIsLatest = 86,
  kIsOutbound = 87,
  kName = 88,
  kValue = 89,
  kUnit = 90,
  kTimeMs = 91,
  kGoneBecause = 92,
  kEventKind = 93,
  // gmesp-control's own state file
  kSavedSet = 110,  ///< repeated
  kSavedContext = 111,
};

struct Header {
  uint32_t magic;
  uint16_t version;
  uint16_t kind;   ///< Kind
  uint64_t tag;    ///< the client's; comes back in the reply
  uint32_t bytes;  ///< of the fields behind the header
  int32_t error;   ///< replies: enum gmesp_error
};
static_assert(sizeof(Header) == 24);

/// Writes one message into a buffer of the caller's. After a field that found no room ok() is
/// false and stays so.
class MessageWriter {
 public:
  MessageWriter(uint8_t* buffer, uint32_t capacity, Kind kind, uint64_t tag)
      : buffer_(buffer),
        capacity_(capacity),
        bytes_(sizeof(Header)),
        ok_(capacity >= sizeof(Header)) {
    const Header header = {kMagic, kVersion, static_cast<uint16_t>(kind), tag, 0, 0};
    if (ok_) memcpy(buffer_, &header, sizeof header);
  }

  void set_error(int32_t error) {
    memcpy(buffer_ + __builtin_offsetof(Header, error), &error, sizeof error);
  }
  void bytes(Tag tag, const void* data, uint32_t length) {
    if (!ok_ || length > UINT16_MAX || capacity_ - bytes_ < 4 + length) {
      ok_ = false;
      return;
    }
    const uint16_t head[2] = {static_cast<uint16_t>(tag), static_cast<uint16_t>(length)};
    memcpy(buffer_ + bytes_, head, sizeof head);
    if (length != 0) memcpy(buffer_ + bytes_ + sizeof head, data, length);
    bytes_ += 4 + length;
  }
  void number(Tag tag, uint64_t value) { bytes(tag, &value, sizeof value); }
  void address(Tag tag, const uint8_t (&value)[16]) { bytes(tag, value, sizeof value); }
  void text(Tag tag, const char* value) {
    if (value != nullptr) bytes(tag, value, static_cast<uint32_t>(strlen(value)));
  }

  bool ok() const { return ok_; }
  /// The whole message; call once all fields are in.
  uint32_t finish() {
    const uint32_t field_bytes = bytes_ - static_cast<uint32_t>(sizeof(Header));
    memcpy(buffer_ + __builtin_offsetof(Header, bytes), &field_bytes, sizeof field_bytes);
    return bytes_;
  }

 private:
  uint8_t* buffer_;
  uint32_t capacity_;
  uint32_t bytes_;
  bool ok_;
};

struct Field {
  Tag tag;
  uint16_t length;
  const uint8_t* data;

  bool number(uint64_t& value) const {
    if (length != sizeof value) return false;
    memcpy(&value, data, sizeof value);
    return true;
  }
  bool address(uint8_t* value) const {
    if (length != 16) return false;
    memcpy(value, data, 16);
    return true;
  }
};

/// Walks a received message. The buffer must stay while fields are used.
class MessageReader {
 public:
  /// False if it is no message of this version, or its length is not what it says.
  bool open(const uint8_t* message, uint64_t message_bytes) {
    if (message_bytes < sizeof header_) return false;
    memcpy(&header_, message, sizeof header_);
    next_ = message + sizeof header_;
    left_ = static_cast<uint32_t>(message_bytes - sizeof header_);
    return header_.magic == kMagic && header_.version == kVersion && header_.bytes == left_;
  }
  const Header& header() const { return header_; }
  Kind kind() const { return static_cast<Kind>(header_.kind); }

  /// False at the end, and when what is left is no whole field: then is_broken() is true.
  bool next(Field& field) {
    if (left_ == 0) return false;
    uint16_t head[2];
    if (left_ < sizeof head) return broken();
    memcpy(head, next_, sizeof head);
    if (left_ - sizeof head < head[1]) return broken();
    field = {static_cast<Tag>(head[0]), head[1], next_ + sizeof head};
    next_ += sizeof head + head[1];
    left_ -= static_cast<uint32_t>(sizeof head) + head[1];
    return true;
  }
  bool is_broken() const { return is_broken_; }

 private:
  bool broken() {
    is_broken_ = true;
    left_ = 0;
    return false;
  }

  Header header_{};
  const uint8_t* next_ = nullptr;
  uint32_t left_ = 0;
  bool is_broken_ = false;
};

/// The length of the first message in what is left of a packet, as its header tells it.
inline uint64_t first_message_bytes(const uint8_t* rest) {
  uint32_t field_bytes;
  memcpy(&field_bytes, rest + __builtin_offsetof(Header, bytes), sizeof field_bytes);
  return sizeof(Header) + uint64_t{field_bytes};
}

/// Whether a packet holds whole messages of this version and nothing else, and not too many.
inline bool is_packet(const uint8_t* packet, uint64_t packet_bytes) {
  if (packet_bytes == 0 || packet_bytes > kMessageBytesMax) return false;
  uint32_t messages = 0;
  for (uint64_t left = packet_bytes; left != 0; ++messages) {
    if (left < sizeof(Header) || messages == kGatheredMax) return false;
    const uint8_t* rest = packet + (packet_bytes - left);
    const uint64_t bytes = first_message_bytes(rest);
    MessageReader message;
    if (bytes > left || !message.open(rest, bytes)) return false;
    left -= bytes;
  }
  return true;
}

}  // namespace gmesp::link
