// ESP on the way out, read by the reference implementation: what a UE gets is what the host sent.
#include <gtest/gtest.h>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using shm::SaRole;

constexpr SaRole kSaD = SaRole::kOutPcUs;

/// A lab in which the UE has been heard, as tunnel sets need.
struct Heard {
  explicit Heard(const Registration& ue, const LabOptions& options = {}) : lab(options) {
    lab.install(ue);
    EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(9))).size(), 1u);
  }
  Bytes sent(const Bytes& clear) {
    return packet_in(only(lab.from_host(frame_from_host(clear)), Side::kAccess));
  }
  Lab lab;
};

// Shows: R-7.1-01, R-7.1-02, R-2406-08, R-2406-09, R-2406-10, R-D-S3
TEST(EspOutbound, EverySizeInEveryCombinationIsOpenedByThePeer) {
  for (const Registration& ue : all_kinds()) {
    Heard heard(ue);
    const size_t block = std::max(4u, crypto::info(ue.suite.cipher).block_bytes);
    for (size_t bytes = 0; bytes <= 1340; bytes += bytes < 70 ? 1 : 130) {
      const uint8_t protocol = bytes % 2 == 0 ? 17 : 6;
      const Bytes clear = ue.clear(kSaD, pattern(bytes), protocol);
      const Bytes packet = heard.sent(clear);
      const Opened opened = open(ue.sa(kSaD), packet);
      ASSERT_TRUE(opened.is_authentic) << kind(ue) << ", " << bytes << " bytes";
      ASSERT_TRUE(opened.is_padding_right);
      EXPECT_LT(opened.padding.size(), block) << "no more padding than needed";
      EXPECT_EQ((opened.payload.size() + opened.padding.size() + 2) % block, 0u);
      ASSERT_EQ(opened.clear, clear) << kind(ue) << ", " << bytes << " bytes";
      EXPECT_TRUE(dissect_packet(packet)->header_checksum_good);
    }
    EXPECT_EQ(heard.lab.dropped(), 0u) << heard.lab.drops();
  }
}

// Shows: R-2406-10
TEST(EspOutbound, NullCipherHasNoIvAndFourByteAlignment) {
  const Registration ue =
      make_registration(1, shm::Mode::kTransport, true,
                        crypto::Suite{crypto::Integrity::kHmacMd5_96, crypto::Cipher::kNull});
  Heard heard(ue);
  for (size_t bytes = 0; bytes < 16; ++bytes) {
    const Bytes esp = esp_bytes(heard.sent(ue.clear(kSaD, pattern(bytes))));
    const size_t expected = 8 + (8 + bytes + 2 + 3) / 4 * 4 + 12;
    EXPECT_EQ(esp.size(), expected) << bytes;
  }
}

// Shows: R-2406-13
TEST(EspOutbound, TransportModeKeepsTheIpv4Header) {
  const Registration ue = make_registration(1);
  Heard heard(ue);
  Datagram datagram = ue.datagram(kSaD, pattern(100));
  datagram.tos = 0xb8;
  datagram.ttl = 3;
  datagram.dont_fragment = true;
  datagram.identification = 0xabcd;
  datagram.ipv4_options = {148, 4, 0, 0, 1, 1, 1, 0};
  const Bytes packet = heard.sent(ip_packet(datagram));
  const std::optional<Dissection> seen = dissect_packet(packet);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->tos, 0xb8);
  EXPECT_EQ(seen->ttl, 3);
  EXPECT_TRUE(seen->dont_fragment);
  EXPECT_EQ(seen->identification, 0xabcdu);
  EXPECT_EQ(seen->protocol, 50);
  EXPECT_EQ(Bytes(seen->headers.begin() + 20, seen->headers.end()), datagram.ipv4_options);
  EXPECT_TRUE(seen->header_checksum_good);
  EXPECT_EQ(open(ue.sa(kSaD), packet).clear, ip_packet(datagram));
}

// Shows: R-2406-13, R-2406-14
TEST(EspOutbound, TransportModePutsEspBehindIpv6ExtensionHeaders) {
  const Registration ue = make_registration(1, shm::Mode::kTransport, false);
  Heard heard(ue);
  Bytes routing = {0, 2, 2, 0, 0, 0, 0, 0};
  routing.resize(24);
  Datagram datagram = ue.datagram(kSaD, pattern(100));
  datagram.tos = 0x68;
  datagram.ttl = 9;
  datagram.extensions = {{0, {0, 0, 5, 2, 0, 0, 1, 0}}, {43, routing}};
  const Bytes packet = heard.sent(ip_packet(datagram));
  const std::optional<Dissection> seen = dissect_packet(packet);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->protocol, 50);
  EXPECT_EQ(seen->headers.size(), 40u + 8 + 24) << "ESP comes after hop-by-hop and routing";
  EXPECT_EQ(seen->tos, 0x68);
  EXPECT_EQ(seen->ttl, 9);
  EXPECT_EQ(open(ue.sa(kSaD), packet).clear, ip_packet(datagram));
}

// Shows: R-2406-13
TEST(EspOutbound, EthernetAndVlanTagsStay) {
  for (const Registration& ue : all_kinds()) {
    Heard heard(ue);
    for (const std::vector<uint16_t>& vlans : {std::vector<uint16_t>{}, {0x6064}, {0x2001, 77}}) {
      const Bytes in = frame_from_host(ue.clear(kSaD, pattern(64)), vlans);
      const Bytes out = only(heard.lab.from_host(in), Side::kAccess);
      const size_t header = 14 + 4 * vlans.size();
      EXPECT_EQ(Bytes(out.begin(), out.begin() + static_cast<ptrdiff_t>(header)),
                Bytes(in.begin(), in.begin() + static_cast<ptrdiff_t>(header)))
          << kind(ue);
      EXPECT_TRUE(open(ue.sa(kSaD), packet_in(out)).is_authentic);
    }
  }
}

// Shows: R-D-X1
TEST(EspOutbound, EthernetPaddingIsNotProtected) {
  const Registration ue = make_registration(1);
  Heard heard(ue);
  const Bytes clear = ue.clear(kSaD, pattern(2));
  const Bytes frame = padded(frame_from_host(clear), 60, 0xee);
  const Bytes out = only(heard.lab.from_host(frame), Side::kAccess);
  EXPECT_EQ(open(ue.sa(kSaD), packet_in(out)).clear, clear);
  EXPECT_EQ(out.size(), 14 + packet_in(out).size()) << "nothing behind the IP packet";
}

/// Headroom 128 and tailroom 64 are enough for every kind; less is dropped, never overrun.
// Shows: R-2406-10
TEST(EspOutbound, StaysInsideItsBuffer) {
  for (const Registration& ue : all_kinds()) {
    LabOptions options;
    for (uint32_t room = 0; room <= 96; room += 8) {
      options.headroom_bytes = room;
      options.tailroom_bytes = 0;
      Heard heard(ue, options);
      const Bytes clear = ue.clear(kSaD, pattern(37));
      const std::vector<Sent> sent = heard.lab.from_host(frame_from_host(clear));
      if (sent.empty()) {
        EXPECT_EQ(heard.lab.drops(), "no_room_in_buffer 1") << kind(ue);
      } else {
        EXPECT_EQ(open(ue.sa(kSaD), packet_in(sent[0].frame)).clear, clear);
      }
    }
  }
}

// Shows: R-2406-06, R-2406-15
TEST(EspOutbound, NoRoomTakesNoNumberAndCountsOnTheSa) {
  const Registration ue = make_registration(1);
  LabOptions options;
  options.headroom_bytes = options.tailroom_bytes = 0;
  Lab lab(options);
  const uint64_t set_id = lab.install(ue);
  EXPECT_TRUE(lab.from_host(frame_from_host(ue.clear(kSaD, pattern(5)))).empty());
  EXPECT_EQ(lab.view(set_id).sa[3].sequence, 0u);
  EXPECT_EQ(lab.view(set_id).sa[3].packets, 0u);
  EXPECT_EQ(lab.view(set_id).sa[3].other_drops, 1u);
}

// Shows: R-2406-15
TEST(EspOutbound, CountersOfTheSa) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    const uint64_t set_id = lab.install(ue);
    lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(9)));
    uint64_t bytes = 0;
    for (size_t size : {0u, 10u, 1000u}) {
      const Bytes clear = ue.clear(kSaD, pattern(size));
      bytes += clear.size();
      EXPECT_EQ(lab.from_host(frame_from_host(clear)).size(), 1u);
    }
    const shm::SaCounters& counters = lab.view(set_id).sa[3];
    EXPECT_EQ(counters.packets, 3u) << kind(ue);
    EXPECT_EQ(counters.bytes, bytes) << kind(ue);
    EXPECT_EQ(counters.sequence, 3u);
    EXPECT_EQ(lab.count(ipsec::Statistic::kEspOutPackets), 3u);
    EXPECT_EQ(lab.count(ipsec::Statistic::kEspOutBytes), bytes);
  }
}

/// One batch of every suite, both directions: each packet gets its own keys.
// Shows: R-7.1-02, R-6.3-01
TEST(EspOutbound, MixedBatchOfBothDirections) {
  for (const crypto::EngineChoice choice :
       {crypto::EngineChoice::kAuto, crypto::EngineChoice::kIpsecMb,
        crypto::EngineChoice::kOpenSsl}) {
    LabOptions options;
    options.pipeline.engine = choice;
    options.pipeline.company_packets = 1;  // nobody waits: all leave in the order of coming
    Lab lab(options);
    const std::vector<Registration> ues = all_kinds();
    std::vector<Bytes> up, down, want_up;
    for (const Registration& ue : ues) {
      lab.install(ue);
      lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(9)));
      for (uint32_t i = 2; i <= 3; ++i) {
        up.push_back(ue.uplink(SaRole::kInUcPs, i, pattern(i * 100)));
        want_up.push_back(frame_to_host(ue.clear(SaRole::kInUcPs, pattern(i * 100))));
        down.push_back(frame_from_host(ue.clear(kSaD, pattern(i * 77))));
      }
    }
    const std::vector<Sent> sent = lab.process(up, down);
    EXPECT_EQ(to(sent, Side::kHost), want_up);
    const std::vector<Bytes> out = to(sent, Side::kAccess);
    ASSERT_EQ(out.size(), down.size());
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_EQ(open(ues[i / 2].sa(kSaD), packet_in(out[i])).clear, packet_in(down[i]));
  }
}

}  // namespace
}  // namespace gmesp::test
