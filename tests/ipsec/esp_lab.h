// One SA set with an engine: packets through prepare, engine and finish, on exact-size memory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "crypto/engine.h"
#include "crypto/iv_source.h"
#include "dataplane/ipsec/esp_inbound.h"
#include "dataplane/ipsec/esp_outbound.h"
#include "frame_buffer.h"
#include "set_record.h"

namespace gmesp::ipsec {

struct Received {
  DropReason reason;
  Bytes packet;  ///< the clear IP packet, if the reason is kNone
  Bytes frame;   ///< with its Ethernet header
  InboundNews news;
};

struct Sent {
  DropReason reason;
  Bytes packet;  ///< the ESP packet, if the reason is kNone
  Bytes frame;
  OutboundNews news;
};

class EspLab {
 public:
  explicit EspLab(const shm::SaSetRecord& record, SaDatabaseOptions options = default_options());
  /// Installs nothing: for the sets that a dead process left.
  explicit EspLab(const SaDatabaseOptions& options) : database(options) {}
  static SaDatabaseOptions default_options() { return database_options(1); }

  /// Sends an IP packet on the SA of `role`.
  Sent send(shm::SaRole role, const Bytes& ip_packet, uint32_t vlan_tags = 0);
  /// The same with this IV instead of a random one.
  Sent send_with_iv(shm::SaRole role, const Bytes& ip_packet, const Bytes& iv);
  /// Receives an IP packet with ESP in it, on the SA that it names; kUnknownSpi if there is none.
  Received receive(const Bytes& ip_packet, uint32_t vlan_tags = 0);

  SaHot& hot(shm::SaRole role) { return database.hot(static_cast<uint32_t>(role)); }
  SaProgress& progress(shm::SaRole role) { return hot(role).progress; }

  SaDatabase database;
  crypto::Engine engine;
  crypto::IvSource iv_source;
  InboundOptions inbound;
  OutboundOptions outbound;
  uint64_t now_ms = kNowMs;
  uint16_t ip_identification = 0x4242;
  /// The engine's answer to every job, if it is not kPending.
  crypto::JobStatus forced_status = crypto::JobStatus::kPending;

 private:
  void run(crypto::CryptoJob& job);
};

/// What a sender can do wrong, and what it may choose.
struct Seal {
  uint32_t sequence = 1;
  uint8_t next_header;
  Bytes payload;
  uint32_t extra_padding_bytes = 0;        ///< whole blocks
  std::function<void(Bytes&)> spoil = {};  ///< changes payload, padding and trailer in clear
};

/// The ESP packet from SPI to ICV, framed here and not by the code under test, with a valid ICV.
Bytes seal(EspLab& lab, shm::SaRole role, const Seal& what);

/// An IP datagram with right lengths and checksums around `payload`.
struct IpShape {
  Address source, destination;
  uint8_t protocol;
  uint8_t traffic_class = 0;
  uint8_t ttl = 64;
  uint16_t ipv4_flags = 0;
  uint16_t identification = 7;
  Bytes ipv4_options = {};
  /// IPv6 extension headers in front of `protocol`: {number, bytes} with next header unset.
  std::vector<std::pair<uint8_t, Bytes>> extension_headers = {};
};
Bytes ip_packet(const IpShape& shape, const Bytes& payload);
Bytes udp(const IpShape& shape, uint16_t source_port, uint16_t destination_port,
          const Bytes& payload);
/// A TCP segment (ACK and PSH) of 20 header bytes.
Bytes tcp(const IpShape& shape, uint16_t source_port, uint16_t destination_port,
          const Bytes& payload);

/// Header addresses of packets on the SA of `role`, inner and outer.
IpShape inner_shape(const shm::SaSetRecord& record, shm::SaRole role, uint8_t protocol);
/// An ESP packet as it comes over the wire for the set's mode: bare, or in UDP from `source_port`.
Bytes on_wire(const shm::SaSetRecord& record, const Bytes& esp, uint16_t source_port = 4500,
              const std::function<void(IpShape&)>& change = {});

/// 0, 1, 2, ...
Bytes pattern(uint32_t bytes);

}  // namespace gmesp::ipsec
