// ESP on the way out: headers, padding, IVs, numbers, room, and what is refused without a trace.
#include "dataplane/ipsec/esp_outbound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"
#include "esp_lab.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;
using shm::SaSetRecord;

constexpr SaRole kSaB = SaRole::kOutPsUc;
constexpr SaRole kSaD = SaRole::kOutPcUs;
constexpr uint16_t kPeerPort = 23'456;

/// A set of one shape, its tunnel open, and the host that sends on it.
class Downlink {
 public:
  explicit Downlink(const RecordShape& shape, const SaSetRecord& record)
      : shape(shape), record(record), lab(record) {}
  explicit Downlink(const RecordShape& shape) : Downlink(shape, open_record(shape)) {}

  static SaSetRecord open_record(const RecordShape& shape) {
    SaSetRecord record = make_record(1, shape);
    if (shape.mode != shm::Mode::kTransport) record.outer_ue_port = kPeerPort;
    return record;
  }
  bool is_tunnel() const { return shape.mode != shm::Mode::kTransport; }
  Bytes datagram(SaRole role, uint32_t bytes,
                 const std::function<void(IpShape&)>& change = {}) const {
    IpShape inner = inner_shape(record, role, kProtocolUdp);
    if (change) change(inner);
    const bool to_uc = role == kSaB;
    return ip_packet(inner, udp(inner, to_uc ? record.port_ps : record.port_pc,
                                to_uc ? record.port_uc : record.port_us, pattern(bytes)));
  }
  uint32_t esp_at(const Bytes& packet) const {
    const uint32_t ip_bytes = shape.is_ipv4 ? (packet[0] & 15) * 4u : 40;
    return ip_bytes + (is_tunnel() ? 8 : 0);
  }

  const RecordShape shape;
  const SaSetRecord record;
  EspLab lab;
};

void for_each_shape(const std::function<void(Downlink&)>& test) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    Downlink downlink(shape);
    test(downlink);
  }
}

const RecordShape kTunnel = {.mode = shm::Mode::kUdpEncapsulatedTunnel};

/// SPI, sequence number and padding where RFC 2406 2 puts them (a NULL cipher shows them).
// Shows: R-2406-09, R-2406-10, R-2406-06
TEST(EspOutbound, TrailerIsMinimalAndCounts) {
  for (const RecordShape& shape : all_shapes()) {
    if (shape.suite.cipher != crypto::Cipher::kNull) continue;
    Downlink d(shape);
    for (uint32_t bytes = 0; bytes < 64; ++bytes) {
      const Bytes clear = d.datagram(kSaD, bytes);
      const Bytes packet = d.lab.send(kSaD, clear).packet;
      const uint32_t esp = d.esp_at(packet);
      EXPECT_EQ(load_be32(&packet[esp]), d.record.spi_us);
      EXPECT_EQ(load_be32(&packet[esp + 4]), bytes + 1);
      const size_t next_header_at = packet.size() - 13;
      EXPECT_EQ(packet[next_header_at], !d.is_tunnel()  ? kProtocolUdp
                                        : shape.is_ipv4 ? kProtocolIpv4
                                                        : kProtocolIpv6);
      const uint32_t padding = packet[next_header_at - 1];
      EXPECT_LT(padding, 4u);
      for (uint32_t i = 0; i < padding; ++i)
        EXPECT_EQ(packet[next_header_at - 1 - padding + i], i + 1);
      EXPECT_EQ((next_header_at + 1 - esp) % 4, 0u);
    }
  }
}

// Shows: R-2406-06, R-6.3-02, R-7.1-11
TEST(EspOutbound, NumbersBeginAtOneAndCountPerSa) {
  for_each_shape([](Downlink& d) {
    for (uint32_t i = 1; i <= 5; ++i) {
      for (const SaRole role : {kSaB, kSaD}) {
        const Bytes packet = d.lab.send(role, d.datagram(role, 10)).packet;
        EXPECT_EQ(load_be32(&packet[d.esp_at(packet) + 4]), i);
        EXPECT_EQ(d.lab.progress(role).sequence, i);
      }
    }
    EXPECT_EQ(d.lab.progress(kSaB).packets, 5u);
    EXPECT_EQ(d.lab.progress(kSaB).bytes, 5 * d.datagram(kSaB, 10).size());
  });
}

// Shows: R-2406-06
TEST(EspOutbound, SendingStopsAtTheLastNumber) {
  for_each_shape([](Downlink& d) {
    SaProgress& progress = d.lab.progress(kSaD);
    const Bytes clear = d.datagram(kSaD, 10);
    d.lab.outbound.near_end_sequence = 1'000'000;
    progress.sequence = 999'998;
    EXPECT_FALSE(d.lab.send(kSaD, clear).news.sequence_near_end);
    EXPECT_TRUE(d.lab.send(kSaD, clear).news.sequence_near_end);
    EXPECT_FALSE(d.lab.send(kSaD, clear).news.sequence_near_end) << "told once";
    progress.sequence = UINT32_MAX - 2;
    EXPECT_FALSE(d.lab.send(kSaD, clear).news.sequence_end);
    const Sent last = d.lab.send(kSaD, clear);
    EXPECT_EQ(last.reason, DropReason::kNone);
    EXPECT_TRUE(last.news.sequence_end);
    EXPECT_EQ(load_be32(&last.packet[d.esp_at(last.packet) + 4]), UINT32_MAX);
    for (int i = 0; i < 3; ++i) {
      const Sent refused = d.lab.send(kSaD, clear);
      EXPECT_EQ(refused.reason, DropReason::kSequenceExhausted);
      EXPECT_FALSE(refused.news.sequence_end);
    }
    EXPECT_EQ(progress.sequence, UINT32_MAX);
    EXPECT_EQ(d.lab.send(kSaB, d.datagram(kSaB, 10)).reason, DropReason::kNone)
        << "the other SA goes on";
  });
}

// Shows: R-3602-01
TEST(EspOutbound, EveryPacketHasAFreshIv) {
  for (const crypto::Cipher cipher : {crypto::Cipher::kAesCbc128, crypto::Cipher::kDesEde3Cbc}) {
    Downlink d({.suite = {crypto::Integrity::kHmacSha1_96, cipher}});
    const uint32_t iv_bytes = crypto::info(cipher).iv_bytes;
    std::set<Bytes> seen;
    std::set<Bytes> ciphered;
    constexpr uint32_t kPackets = 20'000;
    const Bytes clear = d.datagram(kSaD, 16);
    for (uint32_t i = 0; i < kPackets; ++i) {
      const Bytes packet = d.lab.send(kSaD, clear).packet;
      const auto iv = packet.begin() + d.esp_at(packet) + 8;
      seen.insert(Bytes(iv, iv + iv_bytes));
      ciphered.insert(Bytes(iv + iv_bytes, packet.end() - 12));
    }
    EXPECT_EQ(seen.size(), kPackets);
    EXPECT_EQ(ciphered.size(), kPackets) << "the same text looks different each time";
  }
}

// Shows: R-2406-13
TEST(EspOutbound, TransportKeepsTheIpv4Header) {
  Downlink d({});
  const auto change = [](IpShape& shape) {
    shape.traffic_class = 0xb9;
    shape.ttl = 3;
    shape.ipv4_flags = 0x4000;
    shape.identification = 0x1234;
    shape.ipv4_options = {0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0};
  };
  const Bytes clear = d.datagram(kSaD, 50, change);
  const Sent sent = d.lab.send(kSaD, clear, 2);
  ASSERT_EQ(sent.reason, DropReason::kNone);
  const uint32_t esp = d.esp_at(sent.packet);
  EXPECT_EQ(esp, 32u);
  IpShape expected = inner_shape(d.record, kSaD, kProtocolEsp);
  change(expected);
  const Bytes payload(sent.packet.begin() + esp, sent.packet.end());
  EXPECT_EQ(sent.packet, ip_packet(expected, payload));
  EXPECT_EQ(sent.frame, in_ethernet(sent.packet, 2)) << "MAC addresses and VLAN tags stay";
}

// Shows: R-2406-14, R-2406-13
TEST(EspOutbound, TransportStandsBehindIpv6ExtensionHeaders) {
  Downlink d({.is_ipv4 = false});
  const auto change = [](IpShape& shape) {
    shape.traffic_class = 0x2e;
    shape.ttl = 9;
    shape.extension_headers = {{kProtocolHopByHop, {0, 0, 1, 4, 0, 0, 0, 0}},
                               {kProtocolRouting, {0, 0, 3, 0, 0, 0, 0, 0}}};
  };
  const Sent sent = d.lab.send(kSaD, d.datagram(kSaD, 50, change));
  ASSERT_EQ(sent.reason, DropReason::kNone);
  IpShape expected = inner_shape(d.record, kSaD, kProtocolEsp);
  change(expected);
  const Bytes payload(sent.packet.begin() + 56, sent.packet.end());
  EXPECT_EQ(load_be32(payload.data()), d.record.spi_us);
  EXPECT_EQ(sent.packet, ip_packet(expected, payload));
}

/// Field by field, with separate outer addresses.
// Shows: R-2401-04, R-M-06, R-M-07, R-3948-02
TEST(EspOutbound, OuterIpv4HeaderIsOurs) {
  SaSetRecord record = Downlink::open_record(kTunnel);
  put(address("203.0.113.9"), record.outer_ue_address);
  put(address("198.51.100.1"), record.outer_local_address);
  Downlink d(kTunnel, record);
  d.lab.outbound.outer_ttl = 77;
  d.lab.outbound.encapsulation_port = 4501;
  for (const DontFragment setting :
       {DontFragment::kCopy, DontFragment::kSet, DontFragment::kClear}) {
    for (const uint16_t inner_flags : {0x0000, 0x4000}) {
      for (const bool copies_dscp : {true, false}) {
        d.lab.outbound.dont_fragment = setting;
        d.lab.outbound.outer_dscp_copied = copies_dscp;
        const uint16_t identification = d.lab.ip_identification;
        const Bytes clear = d.datagram(kSaD, 60, [=](IpShape& shape) {
          shape.ipv4_flags = inner_flags;
          shape.traffic_class = 0xb9;  // EF, ECT(1)
          shape.ttl = 1;
        });
        const Bytes packet = d.lab.send(kSaD, clear).packet;
        IpShape outer{};
        outer.source = address("198.51.100.1");
        outer.destination = address("203.0.113.9");
        outer.protocol = kProtocolUdp;
        outer.ttl = 77;
        outer.traffic_class = copies_dscp ? 0xb9 : 0x01;
        outer.identification = identification;
        const bool is_set =
            setting == DontFragment::kSet || (setting == DontFragment::kCopy && inner_flags != 0);
        outer.ipv4_flags = is_set ? 0x4000 : 0;
        Bytes l4(packet.begin() + 20, packet.end());
        EXPECT_EQ(packet, ip_packet(outer, l4));
        EXPECT_EQ(load_be16(&l4[0]), 4501u);
        EXPECT_EQ(load_be16(&l4[2]), kPeerPort);
        EXPECT_EQ(load_be16(&l4[4]), l4.size());
        EXPECT_EQ(load_be16(&l4[6]), 0u) << "no checksum over IPv4";
        EXPECT_EQ(d.lab.ip_identification, static_cast<uint16_t>(identification + 1));
      }
    }
  }
}

// Shows: R-2401-04
TEST(EspOutbound, CongestionMarksGoOutAsTheyAre) {
  for (const bool is_ipv4 : {true, false}) {
    Downlink d({.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = is_ipv4});
    for (uint8_t mark = 0; mark < 4; ++mark) {
      const Bytes clear = d.datagram(kSaD, 9, [=](IpShape& shape) {
        shape.traffic_class = static_cast<uint8_t>(0x88 | mark);
      });
      const Bytes packet = d.lab.send(kSaD, clear).packet;
      const uint32_t traffic_class = is_ipv4 ? packet[1] : load_be16(packet.data()) >> 4 & 0xff;
      EXPECT_EQ(traffic_class, 0x88u | mark);
    }
  }
}

/// Linux drops ESP in UDP without a checksum over IPv6.
// Shows: R-3948-02, R-2401-04
TEST(EspOutbound, OuterIpv6HeaderHasARealUdpChecksum) {
  const RecordShape shape = {.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = false};
  Downlink d(shape);
  for (uint32_t bytes = 0; bytes < 100; ++bytes) {
    const Bytes packet = d.lab.send(kSaD, d.datagram(kSaD, bytes)).packet;
    IpShape outer = inner_shape(d.record, kSaD, kProtocolUdp);
    const Bytes esp(packet.begin() + 48, packet.end());
    EXPECT_EQ(packet, ip_packet(outer, udp(outer, 4500, kPeerPort, esp)));
  }
}

// Shows: R-M-07, R-M-08
TEST(EspOutbound, NothingIsSentBeforeThePeerPortIsKnown) {
  for (const bool is_ipv4 : {true, false}) {
    const RecordShape shape = {.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = is_ipv4};
    Downlink d(shape, make_record(1, shape));
    EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, 5)).reason, DropReason::kPeerPortUnknown);
    EXPECT_EQ(d.lab.progress(kSaD).sequence, 0u);
    shm::SetView view;
    uint64_t at = 0;
    ASSERT_EQ(d.lab.database.next(0, view, at), shm::Status::kOk);
    ASSERT_EQ(d.lab.database.set_peer_port(view.set_id, 4500), shm::Status::kOk);
    const Bytes packet = d.lab.send(kSaD, d.datagram(kSaD, 5)).packet;
    EXPECT_EQ(load_be16(&packet[is_ipv4 ? 22 : 42]), 4500u);
  }
}

// Shows: R-7.1-09, R-7.4-04
TEST(EspOutbound, StopsAtTheStampAndNotBefore) {
  SaSetRecord record = make_record(1);
  record.not_after_ms = kNowMs + 100;
  Downlink d({}, record);
  d.lab.now_ms = kNowMs + 99;
  EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, 5)).reason, DropReason::kNone);
  d.lab.now_ms = kNowMs + 100;
  EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, 5)).reason, DropReason::kSaExpired);
  EXPECT_EQ(d.lab.progress(kSaD).sequence, 1u);
  d.lab.hot(kSaD).identity.not_after_ms = 0;
  d.lab.now_ms = 1;
  EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, 5)).reason, DropReason::kSaExpired);
}

/// One byte less in front or behind than is needed, and nothing happens to the packet or the SA.
// Shows: R-2401-02
TEST(EspOutbound, RoomIsCheckedToTheByte) {
  for_each_shape([](Downlink& d) {
    for (uint32_t size = 0; size < 20; ++size) {
      const Bytes frame = in_ethernet(d.datagram(kSaD, size));
      const uint32_t iv_bytes = crypto::info(d.shape.suite.cipher).iv_bytes;
      const uint32_t front = 8 + iv_bytes + (!d.is_tunnel() ? 0 : d.shape.is_ipv4 ? 28u : 48u);
      const uint32_t back =
          protected_bytes(d.lab.hot(kSaD).identity, d.shape.is_ipv4,
                          static_cast<uint32_t>(frame.size() - 14), d.shape.is_ipv4 ? 20 : 40) -
          static_cast<uint32_t>(frame.size() - 14) - front;
      for (const auto& [headroom, tailroom, fits] :
           {std::tuple{front, back, true}, {front - 1, back, false}, {front, back - 1, false}}) {
        FrameBuffer buffer(frame, headroom, tailroom);
        ASSERT_EQ(parse(buffer.packet), DropReason::kNone);
        crypto::CryptoJob job{};
        OutboundNews news;
        const uint32_t before = d.lab.progress(kSaD).sequence;
        const DropReason reason =
            prepare_outbound(d.lab.database, static_cast<SaIndex>(kSaD), buffer.packet, kNowMs,
                             d.lab.outbound, d.lab.iv_source, d.lab.ip_identification, job, news);
        EXPECT_EQ(reason, fits ? DropReason::kNone : DropReason::kNoRoomInBuffer);
        EXPECT_EQ(d.lab.progress(kSaD).sequence, before + (fits ? 1 : 0));
        if (!fits) {
          EXPECT_EQ(buffer.frame(), frame);
          continue;
        }
        d.lab.engine.process({&job, 1});
        EXPECT_EQ(
            finish_outbound(d.lab.database, static_cast<SaIndex>(kSaD), buffer.packet, job, kNowMs),
            DropReason::kNone);
      }
    }
  });
}

/// What would not fit the 16-bit length fields is refused, and the largest that does goes out.
// Shows: R-2401-02
TEST(EspOutbound, LengthFieldsNeverWrap) {
  for_each_shape([](Downlink& d) {
    const SaIdentity& identity = d.lab.hot(kSaD).identity;
    const uint32_t header_bytes = d.shape.is_ipv4 ? 20 : 40;
    const uint32_t largest =
        inner_mtu_bytes(identity, d.shape.is_ipv4, d.shape.is_ipv4 ? 65'535 : 65'575, header_bytes);
    EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, largest - header_bytes - 8)).reason,
              DropReason::kNone);
    EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, largest - header_bytes - 7)).reason,
              DropReason::kTooBigForPath);
  });
}

// Shows: R-7.1-10
TEST(EspOutbound, UdpOnSaBPassesAndIsTold) {
  Downlink d({});
  EXPECT_TRUE(d.lab.send(kSaB, d.datagram(kSaB, 5)).news.udp_on_tcp_sa);
  EXPECT_FALSE(d.lab.send(kSaD, d.datagram(kSaD, 5)).news.udp_on_tcp_sa);
  const IpShape inner = inner_shape(d.record, kSaB, kProtocolTcp);
  const Bytes segment = tcp(inner, d.record.port_ps, d.record.port_uc, pattern(5));
  EXPECT_FALSE(d.lab.send(kSaB, ip_packet(inner, segment)).news.udp_on_tcp_sa);
}

TEST(EspOutbound, EngineFailureIsADropOfThisSa) {
  Downlink d({});
  d.lab.forced_status = crypto::JobStatus::kFailed;
  EXPECT_EQ(d.lab.send(kSaD, d.datagram(kSaD, 5)).reason, DropReason::kCryptoFailed);
  EXPECT_EQ(d.lab.progress(kSaD).other_drops, 1u);
  EXPECT_EQ(d.lab.progress(kSaD).packets, 0u);
}

}  // namespace
}  // namespace gmesp::ipsec
