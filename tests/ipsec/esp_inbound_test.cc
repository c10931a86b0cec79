// ESP on the way in: every fault at its stage, for all suites, modes and families.
#include "dataplane/ipsec/esp_inbound.h"

#include <gtest/gtest.h>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"
#include "uplink.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;
using shm::SaSetRecord;

// Shows: R-2406-07, R-6.3-02, R-7.1-08, R-M-06
TEST(EspInbound, DeliversUdpAndTcpOnOneSa) {
  for_each_shape([](Uplink& u) {
    uint32_t sequence = 0;
    for (const uint32_t bytes : {0u, 1u, 13u, 100u, 1399u}) {
      const Received by_udp =
          u.lab.receive(u.wire(u.sealing(++sequence, u.datagram(pattern(bytes)))));
      ASSERT_EQ(by_udp.reason, DropReason::kNone) << info(by_udp.reason).name;
      EXPECT_EQ(by_udp.packet, ip_packet(u.inner(), u.datagram(pattern(bytes))));
      const IpShape shape = u.inner(kProtocolTcp);
      const Bytes segment = tcp(shape, u.record.port_uc, u.record.port_ps, pattern(bytes));
      const Received by_tcp = u.lab.receive(u.wire(u.sealing(++sequence, segment, shape)));
      ASSERT_EQ(by_tcp.reason, DropReason::kNone) << info(by_tcp.reason).name;
      EXPECT_EQ(by_tcp.packet, ip_packet(shape, segment));
    }
    EXPECT_EQ(u.lab.progress(kSaA).packets, 10u);
    EXPECT_EQ(u.lab.progress(kSaA).sequence, 10u);
    EXPECT_EQ(u.lab.progress(kSaA).other_drops, 0u);
  });
}

/// Each bit of the packet from SPI to ICV once. A flipped SPI finds no SA; all else fails the ICV.
// Shows: R-2406-08, R-2406-04
TEST(EspInbound, AnyFlippedBitIsRefusedAndMovesNothing) {
  for_each_shape([](Uplink& u) {
    ASSERT_EQ(u.receive(u.good(100)), DropReason::kNone);
    const Bytes good = seal(u.lab, kSaA, u.good(101));
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
      const DropReason reason = u.lab.receive(on_wire(u.record, bad)).reason;
      const bool in_sequence = bit >= 32 && bit < 64;
      const bool is_replay = in_sequence && reason == DropReason::kReplaySeen;
      if (bit < 32) {
        ASSERT_EQ(reason, DropReason::kUnknownSpi) << bit;
      } else if (!is_replay) {
        ASSERT_EQ(reason, DropReason::kIcvWrong) << bit << ": " << info(reason).name;
      }
      ASSERT_EQ(u.lab.progress(kSaA).sequence, 100u) << bit;
    }
    EXPECT_EQ(u.lab.receive(on_wire(u.record, good)).reason, DropReason::kNone);
  });
}

// Shows: R-2406-04
TEST(EspInbound, ForgedHighNumberDoesNotBurnGenuineLowOnes) {
  for_each_shape([](Uplink& u) {
    ASSERT_EQ(u.receive(u.good(5)), DropReason::kNone);
    for (const uint32_t sequence : {6u, 4'000'000'000u}) {
      Bytes forged = seal(u.lab, kSaA, u.good(sequence));
      forged.back() ^= 1;
      EXPECT_EQ(u.lab.receive(on_wire(u.record, forged)).reason, DropReason::kIcvWrong);
    }
    EXPECT_EQ(u.lab.progress(kSaA).icv_failures, 2u);
    EXPECT_EQ(u.receive(u.good(6)), DropReason::kNone);
    EXPECT_EQ(u.receive(u.good(4)), DropReason::kNone);
  });
}

// Shows: R-2406-05, R-6.3-03
TEST(EspInbound, ReplaysAreRefusedByReason) {
  for_each_shape([](Uplink& u) {
    ASSERT_EQ(u.receive(u.good(1000)), DropReason::kNone);
    EXPECT_EQ(u.receive(u.good(0)), DropReason::kSequenceZero);
    EXPECT_EQ(u.receive(u.good(1000)), DropReason::kReplaySeen);
    EXPECT_EQ(u.receive(u.good(1000 - 128)), DropReason::kReplayOld);
    EXPECT_EQ(u.receive(u.good(1000 - 127)), DropReason::kNone);
    EXPECT_EQ(u.lab.progress(kSaA).replays, 3u);
  });
}

/// The same number twice in one burst: both pass the pre-check, one the second.
// Shows: R-2406-04
TEST(EspInbound, TheSecondCheckSeesWhatTheFirstCouldNot) {
  Uplink u({});
  const Bytes frame = in_ethernet(u.wire(u.good(9)));
  FrameBuffer buffers[] = {FrameBuffer(frame), FrameBuffer(frame)};
  InboundItem items[2] = {};
  crypto::CryptoJob jobs[2] = {};
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(parse(buffers[i].packet), DropReason::kNone);
    items[i].packet = &buffers[i].packet;
    items[i].esp_offset = buffers[i].packet.layers.l4_offset;
    EXPECT_EQ(prepare_inbound(u.lab.database, items[i], kNowMs, jobs[i]), DropReason::kNone);
  }
  u.lab.engine.process(jobs);
  InboundNews news;
  EXPECT_EQ(finish_inbound(u.lab.database, items[0], jobs[0], kNowMs, {}, news), DropReason::kNone);
  EXPECT_TRUE(news.first_packet);
  EXPECT_EQ(finish_inbound(u.lab.database, items[1], jobs[1], kNowMs, {}, news),
            DropReason::kReplaySeen);
  EXPECT_FALSE(news.first_packet);
}

/// Lengths first: nothing behind the end is ever read (exact-size memory), and no crypto runs.
// Shows: R-2406-10, R-2406-07
TEST(EspInbound, EveryTruncationIsRefusedByLengthOrIcv) {
  for_each_shape([](Uplink& u) {
    const Bytes whole = seal(u.lab, kSaA, u.good(1));
    const crypto::CipherInfo cipher = crypto::info(u.shape.suite.cipher);
    const uint32_t fixed_bytes = 8 + cipher.iv_bytes + crypto::kIcvBytes;
    for (uint32_t bytes = 4; bytes < whole.size(); ++bytes) {
      const Bytes cut(whole.begin(), whole.begin() + bytes);
      DropReason expected = DropReason::kIcvWrong;
      if (bytes < fixed_bytes + cipher.block_bytes)
        expected = DropReason::kEspTooShort;
      else if ((bytes - fixed_bytes) % cipher.block_bytes != 0)
        expected = DropReason::kEspNotBlockAligned;
      const DropReason reason = u.lab.receive(on_wire(u.record, cut)).reason;
      ASSERT_EQ(reason, expected) << bytes << ": " << info(reason).name;
    }
    EXPECT_EQ(u.lab.progress(kSaA).sequence, 0u);
  });
}

// Shows: R-2406-09
TEST(EspInbound, PaddingMustCountAndFit) {
  for_each_shape([](Uplink& u) {
    uint32_t sequence = 0;
    const auto spoiled = [&](const std::function<void(Bytes&)>& spoil, uint32_t extra) {
      Seal what = u.good(++sequence);
      what.extra_padding_bytes = extra;
      what.spoil = spoil;
      return u.receive(what);
    };
    for (const uint32_t extra : {0u, 48u, 192u})
      EXPECT_EQ(spoiled({}, extra), DropReason::kNone) << "long padding is allowed";
    for (uint32_t from_end = 3; from_end < 3 + 48; ++from_end)
      EXPECT_EQ(spoiled([=](Bytes& clear) { ++clear[clear.size() - from_end]; }, 48),
                DropReason::kPaddingBad);
    const auto with_length = [&](uint8_t length) {
      return spoiled([=](Bytes& clear) { clear[clear.size() - 2] = length; }, 0);
    };
    EXPECT_EQ(with_length(255), DropReason::kPaddingBad);
    const auto all_bytes = static_cast<uint8_t>((u.good(1).payload.size() + 2 + 15) / 16 * 16);
    EXPECT_EQ(with_length(all_bytes), DropReason::kPaddingBad);
    EXPECT_EQ(u.lab.progress(kSaA).other_drops, 50u);
    EXPECT_EQ(u.lab.progress(kSaA).sequence, sequence) << "authentic, so the numbers are used up";
  });
}

/// The padding that each size of message needs, up to and beyond a cipher block.
// Shows: R-2406-09
TEST(EspInbound, EveryByteOfEveryPaddingCounts) {
  for_each_shape([](Uplink& u) {
    uint32_t sequence = 0;
    for (size_t text_bytes = 32; text_bytes < 48; ++text_bytes) {
      for (const uint32_t extra : {0u, 16u}) {
        const auto reason_of = [&](const std::function<void(Bytes&)>& spoil) {
          Seal what = u.sealing(++sequence, u.datagram(pattern(text_bytes)));
          what.extra_padding_bytes = extra;
          what.spoil = spoil;
          return u.receive(what);
        };
        uint32_t pad_bytes = 0;
        ASSERT_EQ(reason_of([&](Bytes& clear) { pad_bytes = clear[clear.size() - 2]; }),
                  DropReason::kNone);
        for (uint32_t at = 1; at <= pad_bytes; ++at)
          ASSERT_EQ(reason_of([&](Bytes& clear) { clear[clear.size() - 2 - at] ^= 0x80; }),
                    DropReason::kPaddingBad)
              << text_bytes << " bytes of text, byte " << at << " of " << pad_bytes;
        ASSERT_EQ(reason_of([&](Bytes& clear) { clear[clear.size() - 3 - pad_bytes] ^= 0x80; }),
                  DropReason::kInnerChecksumBad)
            << "the last byte of the message is no padding";
      }
    }
  });
}

/// A pad length that reaches exactly back to the IV leaves an empty payload: no datagram.
// Shows: R-2406-09, R-2406-10
TEST(EspInbound, NothingButPaddingIsNoDatagram) {
  for_each_shape([](Uplink& u) {
    const uint8_t next_header = u.is_tunnel() ? u.tunnel_header() : kProtocolUdp;
    EXPECT_EQ(u.receive({1, next_header, {}}), DropReason::kInnerHeaderBad);
    EXPECT_EQ(u.receive({2, next_header, {}, 240}), DropReason::kInnerHeaderBad);
    EXPECT_EQ(u.receive({3, kProtocolNoNext, {}}), DropReason::kDummyPacket);
  });
}

// Shows: R-7.1-08, R-4303-01, R-2406-14, R-3948-03
TEST(EspInbound, NextHeaderIsWhatTheModeCarries) {
  for_each_shape([](Uplink& u) {
    for (uint32_t next = 0; next < 256; ++next) {
      Seal what = u.good(next + 1);
      what.next_header = static_cast<uint8_t>(next);
      const bool carried =
          u.is_tunnel() ? next == u.tunnel_header() : next == kProtocolUdp || next == kProtocolTcp;
      const DropReason reason = u.receive(what);
      if (next == kProtocolNoNext) {
        EXPECT_EQ(reason, DropReason::kDummyPacket);
      } else {
        EXPECT_EQ(reason == DropReason::kNextHeaderRefused, !carried) << next;
      }
    }
  });
}

// Shows: R-3948-03
TEST(EspInbound, EncapsulationMustFitTheSa) {
  for_each_shape([](Uplink& u) {
    const Bytes esp = seal(u.lab, kSaA, u.good(1));
    SaSetRecord other = u.record;
    other.mode = static_cast<uint8_t>(u.is_tunnel() ? shm::Mode::kTransport
                                                    : shm::Mode::kUdpEncapsulatedTunnel);
    std::copy(std::begin(other.ue_address), std::end(other.ue_address), other.outer_ue_address);
    std::copy(std::begin(other.local_address), std::end(other.local_address),
              other.outer_local_address);
    EXPECT_EQ(u.lab.receive(on_wire(other, esp)).reason, DropReason::kEncapsulationMismatch);
    EXPECT_EQ(u.lab.receive(on_wire(u.record, esp)).reason, DropReason::kNone);
  });
}

// Shows: R-7.1-09, R-7.4-04
TEST(EspInbound, StopsAtTheStampAndNotBefore) {
  SaSetRecord record = make_record(1);
  record.not_after_ms = kNowMs + 100;
  EspLab lab(record);
  const Bytes l4 = udp(inner_shape(record, kSaA, kProtocolUdp), record.port_uc, record.port_ps, {});
  const auto receive = [&](uint32_t sequence) {
    return lab.receive(on_wire(record, seal(lab, kSaA, {sequence, kProtocolUdp, l4}))).reason;
  };
  lab.now_ms = kNowMs + 99;
  EXPECT_EQ(receive(1), DropReason::kNone);
  lab.now_ms = kNowMs + 100;
  EXPECT_EQ(receive(2), DropReason::kSaExpired);
  lab.hot(kSaA).identity.not_after_ms = 0;  // removed; a worker that found it before must stop
  lab.now_ms = 1;
  EXPECT_EQ(receive(3), DropReason::kSaExpired);
}

// Shows: R-7.1-05, R-7.1-06, R-7.5-02, R-M-05
TEST(EspInbound, SelectorsAreExactOnTheInnerPacket) {
  for_each_shape([](Uplink& u) {
    uint32_t sequence = 0;
    const auto ports = [&](uint16_t source, uint16_t destination) {
      return u.receive(u.sealing(++sequence, udp(u.inner(), source, destination, pattern(5))));
    };
    const SaSetRecord& r = u.record;
    EXPECT_EQ(ports(r.port_uc, r.port_ps), DropReason::kNone);
    EXPECT_EQ(ports(r.port_uc + 1, r.port_ps), DropReason::kSelectorPort);
    EXPECT_EQ(ports(r.port_uc, r.port_ps + 1), DropReason::kSelectorPort);
    EXPECT_EQ(ports(r.port_us, r.port_pc), DropReason::kSelectorPort) << "SA-c's";
    EXPECT_EQ(ports(r.port_us, r.port_ps), DropReason::kSelectorPort);
    EXPECT_EQ(ports(r.port_ps, r.port_uc), DropReason::kSelectorPort);

    const auto source = [&](IpShape& shape) { shape.source.bytes[15] ^= 1; };
    if (!u.is_tunnel()) {
      IpShape spoofed = u.inner();
      source(spoofed);
      const Bytes l4 = udp(spoofed, r.port_uc, r.port_ps, pattern(5));
      const Bytes esp = seal(u.lab, kSaA, {++sequence, kProtocolUdp, l4});
      EXPECT_EQ(u.lab.receive(on_wire(r, esp, 0, source)).reason, DropReason::kSelectorAddress);
      return;
    }
    for (Address IpShape::*const end : {&IpShape::source, &IpShape::destination}) {
      IpShape spoofed = u.inner();
      (spoofed.*end).bytes[15] ^= 1;
      const Bytes l4 = udp(spoofed, r.port_uc, r.port_ps, pattern(5));
      EXPECT_EQ(u.receive(u.sealing(++sequence, l4, spoofed)), DropReason::kSelectorAddress);
    }
    IpShape icmp = u.inner(kProtocolIcmp);
    EXPECT_EQ(u.receive(u.sealing(++sequence, pattern(30), icmp)), DropReason::kSelectorProtocol);
  });
}

// Shows: R-D-X2
TEST(EspInbound, InnerChecksumIsVerifiedWhateverTheDeviceSaid) {
  for_each_shape([](Uplink& u) {
    Bytes l4 = u.datagram(pattern(30));
    l4.back() ^= 1;
    EXPECT_EQ(u.receive(u.sealing(1, l4)), DropReason::kInnerChecksumBad);
    const IpShape shape = u.inner(kProtocolTcp);
    Bytes segment = tcp(shape, u.record.port_uc, u.record.port_ps, pattern(30));
    segment[25] ^= 0x40;
    EXPECT_EQ(u.receive(u.sealing(2, segment, shape)), DropReason::kInnerChecksumBad);
    // RFC 768, RFC 8200 8.1: none over IPv4, never none over IPv6.
    Bytes none = u.datagram(pattern(30));
    none[6] = none[7] = 0;
    EXPECT_EQ(u.receive(u.sealing(3, none)),
              u.shape.is_ipv4 ? DropReason::kNone : DropReason::kInnerChecksumBad);
  });
}

// Shows: R-2406-07, R-7.1-05
TEST(EspInbound, InnerHeadersThatAreCutOffAreRefused) {
  for_each_shape([](Uplink& u) {
    uint32_t sequence = 0;
    for (const uint8_t protocol : {kProtocolUdp, kProtocolTcp}) {
      const IpShape shape = u.inner(protocol);
      const Bytes whole = protocol == kProtocolUdp
                              ? udp(shape, u.record.port_uc, u.record.port_ps, {})
                              : tcp(shape, u.record.port_uc, u.record.port_ps, {});
      for (size_t bytes = 0; bytes < whole.size(); ++bytes)
        EXPECT_EQ(u.receive(u.sealing(++sequence, {whole.begin(), whole.begin() + bytes}, shape)),
                  DropReason::kInnerHeaderBad)
            << bytes;
    }
    Bytes l4 = u.datagram(pattern(8));
    store_be16(&l4[4], 17);
    EXPECT_EQ(u.receive(u.sealing(++sequence, l4)), DropReason::kInnerHeaderBad) << "UDP too long";
    store_be16(&l4[4], 7);
    EXPECT_EQ(u.receive(u.sealing(++sequence, l4)), DropReason::kInnerHeaderBad) << "UDP too short";
    const IpShape shape = u.inner(kProtocolTcp);
    for (const uint8_t words : {0, 4, 6, 15}) {
      Bytes segment = tcp(shape, u.record.port_uc, u.record.port_ps, {});
      segment[12] = static_cast<uint8_t>(words << 4);
      EXPECT_EQ(u.receive(u.sealing(++sequence, segment, shape)), DropReason::kInnerHeaderBad);
    }
  });
}

// Shows: R-2406-07, R-3948-03
TEST(EspInbound, InnerIpPacketsMustBeWhole) {
  for (const bool is_ipv4 : {true, false}) {
    Uplink u({.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = is_ipv4});
    const Bytes inner = ip_packet(u.inner(), u.datagram(pattern(10)));
    uint32_t sequence = 0;
    for (size_t bytes = 0; bytes < inner.size(); ++bytes)
      EXPECT_EQ(u.receive({++sequence, u.tunnel_header(), {inner.begin(), inner.begin() + bytes}}),
                DropReason::kInnerHeaderBad);
    for (uint32_t version = 0; version < 16; ++version) {
      Bytes other = inner;
      other[0] = static_cast<uint8_t>(version << 4 | (other[0] & 15));
      const DropReason reason = u.receive({++sequence, u.tunnel_header(), other});
      EXPECT_EQ(reason,
                version == (is_ipv4 ? 4u : 6u) ? DropReason::kNone : DropReason::kInnerHeaderBad);
    }
    // The other family inside: refused at the next header, or by what really is there.
    const SaSetRecord stranger = make_record(1, {.is_ipv4 = !is_ipv4});
    const IpShape shape = inner_shape(stranger, kSaA, kProtocolUdp);
    const Bytes foreign =
        ip_packet(shape, udp(shape, u.record.port_uc, u.record.port_ps, pattern(10)));
    EXPECT_EQ(u.receive({++sequence, u.tunnel_header(), foreign}), DropReason::kInnerHeaderBad);
    const uint8_t other_header = is_ipv4 ? kProtocolIpv6 : kProtocolIpv4;
    EXPECT_EQ(u.receive({++sequence, other_header, foreign}), DropReason::kNextHeaderRefused);
  }
}

// Shows: R-2406-07
TEST(EspInbound, EngineFailureIsNoReplayAndNoIcvFailure) {
  Uplink u({});
  u.lab.forced_status = crypto::JobStatus::kFailed;
  EXPECT_EQ(u.receive(u.good(1)), DropReason::kCryptoFailed);
  u.lab.forced_status = crypto::JobStatus::kPending;
  EXPECT_EQ(u.lab.progress(kSaA).icv_failures, 0u);
  EXPECT_EQ(u.receive(u.good(1)), DropReason::kNone);
}

/// Keys are the same in both directions (TS 33.203 6.2), so only SPI and addresses tell our own
/// packets from the UE's.
// Shows: R-5.1.4-01
TEST(EspInbound, OurOwnPacketsSentBackAreRefused) {
  for_each_shape([](Uplink& u) {
    for (SaIndex sa = 0; sa < kSasPerSet; ++sa)
      u.lab.database.hot(sa).identity.outer_ue_port = u.is_tunnel() ? 4500 : 0;
    for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
      const bool to_uc = role == SaRole::kOutPsUc;
      const IpShape inner = inner_shape(u.record, role, kProtocolUdp);
      const Bytes l4 = udp(inner, to_uc ? u.record.port_ps : u.record.port_pc,
                           to_uc ? u.record.port_uc : u.record.port_us, pattern(20));
      const Sent sent = u.lab.send(role, ip_packet(inner, l4));
      ASSERT_EQ(sent.reason, DropReason::kNone);
      EXPECT_EQ(u.lab.receive(sent.packet).reason, DropReason::kUnknownSpi);
      // With the addresses exchanged, as a reflector would.
      const size_t esp_at = (u.shape.is_ipv4 ? 20 : 40) + (u.is_tunnel() ? 8 : 0);
      Bytes esp(sent.packet.begin() + static_cast<ptrdiff_t>(esp_at), sent.packet.end());
      EXPECT_EQ(u.lab.receive(on_wire(u.record, esp)).reason, DropReason::kUnknownSpi);
      store_be32(esp.data(), u.record.spi_ps);
      EXPECT_EQ(u.lab.receive(on_wire(u.record, esp)).reason, DropReason::kIcvWrong);
    }
  });
}

}  // namespace
}  // namespace gmesp::ipsec
