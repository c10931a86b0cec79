// What a proxy asks of the kernel's IPsec, read from the bytes of its netlink messages
// (linux/netlink.h, linux/xfrm.h): SAs and policies in the one shape that TS 33.203 7.1 has, an
// exact port pair in transport mode.
//
// Nothing of the bytes is believed before its length is: they come from a proxy, but what is in
// them comes from the network. Ownership: a Request holds copies, keys among them; wipe() it.
// Threading: none here. Errors: a Problem with errno and a text that says what was found and what
// is allowed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/client/gmesp.h"

namespace gmesp::mnl {

enum class RequestKind : uint8_t {
  kNewSa,
  kNewPolicy,
  kDeleteSa,
  kDeletePolicy,
  kDumpSas,
  kDumpPolicies,
  kFlush,  ///< of SAs or of policies: a set has both
};

/// One way of one port pair. Addresses as in gmesp.h, ports in host byte order.
struct Flow {
  uint8_t source[GMESP_ADDRESS_BYTES];
  uint8_t destination[GMESP_ADDRESS_BYTES];
  uint16_t source_port;
  uint16_t destination_port;
};

/// Algorithms and ESP keys as gmesp_sa_set wants them: SHA-1's has 20 bytes, whatever came.
struct Protection {
  uint8_t integrity;  ///< enum gmesp_integrity
  uint8_t cipher;     ///< enum gmesp_cipher
  uint8_t integrity_key_bytes;
  uint8_t cipher_key_bytes;
  uint8_t integrity_key[GMESP_INTEGRITY_KEY_BYTES_MAX];
  uint8_t cipher_key[GMESP_CIPHER_KEY_BYTES_MAX];
};

enum class Direction : uint8_t { kIn, kOut };

struct Request {
  RequestKind kind;
  Direction direction;    ///< of policies
  uint32_t sequence;      ///< nlmsg_seq, for answers
  uint32_t user;          ///< sel.user as it stands: how a proxy knows its own
  uint32_t spi;           ///< host byte order; of SAs
  Flow flow;              ///< a delete of an SA has the destination address alone
  Protection protection;  ///< of kNewSa

  void wipe();
};

struct Problem {
  int error_number;
  char text[400];

  [[gnu::format(printf, 3, 4)]] bool set(int number, const char* format, ...);  ///< false, always
};

/// Reads the messages of one send one after the other.
class RequestReader {
 public:
  RequestReader(const void* bytes, size_t count)
      : at_(static_cast<const uint8_t*>(bytes)), left_(count) {}

  bool is_at_end() const { return left_ == 0; }
  /// The next message; false if it is none that can be served, then reading is over.
  bool read(Request& request, Problem& problem);

 private:
  const uint8_t* at_;
  size_t left_;
};

}  // namespace gmesp::mnl
