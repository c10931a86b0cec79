// ESP once more, for tests: RFC 2406 and RFC 3948 written straight on OpenSSL, sharing no code with
// the product, with a switch for everything a peer can do wrong.
//
// It is itself checked against golden packets that scapy made and Wireshark confirmed
// (esp_reference_test.cc).
#pragma once

#include <optional>

#include "datagram.h"

namespace gmesp::test {

enum class EspCipher { kNull, kAesCbc, kTripleDesCbc };
enum class EspHash { kMd5, kSha1 };

/// One SA as its sender or receiver sees it. Keys are raw.
struct EspSa {
  uint32_t spi = 0;
  EspCipher cipher = EspCipher::kNull;
  EspHash hash = EspHash::kMd5;
  Bytes cipher_key;
  Bytes integrity_key;
  bool is_tunnel = false;  ///< in UDP (RFC 3948); false: transport mode, bare
  Ip outer_source;         ///< tunnel only, as is the rest
  Ip outer_destination;
  uint16_t outer_source_port = 4500;
  uint16_t outer_destination_port = 4500;
};

enum class UdpChecksum { kZero, kRight, kWrong };

/// How a packet differs from the plainest one.
struct EspShape {
  std::optional<Bytes> iv = {};                 ///< else random
  uint32_t extra_padding = 0;                   ///< bytes of padding beyond the least, whole blocks
  std::optional<uint32_t> bad_padding_at = {};  ///< this byte of the padding is not its number
  std::optional<uint8_t> pad_length = {};       ///< instead of the true one
  std::optional<uint8_t> next_header = {};      ///< instead of the true one
  Bytes flow_padding = {};                      ///< behind the inner datagram (RFC 4303 2.7)
  uint32_t missing = 0;                      ///< bytes cut off the end; IP and UDP lengths follow
  std::optional<uint32_t> flipped_bit = {};  ///< of the ESP packet, counted from the SPI
  // Tunnel, outer header.
  UdpChecksum udp_checksum = UdpChecksum::kZero;
  uint8_t outer_tos = 0;
  uint8_t outer_ttl = 64;
  bool outer_dont_fragment = false;
  uint16_t outer_identification = 0x4242;
  Bytes outer_options = {};
};

/// `clear` (an IP packet) protected. Transport mode keeps its headers, ESP stands behind them.
Bytes seal(const EspSa& sa, uint32_t sequence, const Bytes& clear, const EspShape& shape = {});

struct Opened {
  bool is_authentic = false;  ///< nothing below holds if not
  uint32_t spi = 0;
  uint32_t sequence = 0;
  Bytes iv;
  Bytes padding;
  bool is_padding_right = false;  ///< 1, 2, 3, ... and not longer than the payload
  uint8_t next_header = 0;
  Bytes payload;  ///< between IV and padding
  /// The clear IP packet, flow padding cut off; empty if padding or next header are not right.
  Bytes clear;
};

/// The other way. `packet` is whole (no fragment) and goes to this SA.
Opened open(const EspSa& sa, const Bytes& packet);

/// From SPI to ICV, wherever it stands in `packet`; empty if it is no ESP.
Bytes esp_bytes(const Bytes& packet);

}  // namespace gmesp::test
