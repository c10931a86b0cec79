// The reference implementation against packets that scapy made and Wireshark confirmed: what the
// other tests take for the truth must be true.
#include "esp_reference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "dissection.h"

namespace gmesp::test {
namespace {

Bytes bytes_of_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// SAs by SPI.
std::map<uint32_t, EspSa> golden_sas() {
  std::ifstream file(GMESP_GOLDEN_FOLDER "/sas.json");
  std::map<uint32_t, EspSa> sas;
  for (const auto& row : nlohmann::json::parse(file)) {
    EspSa sa;
    sa.spi = row["spi"];
    const std::string cipher = row["cipher"];
    sa.cipher = cipher == "null"  ? EspCipher::kNull
                : cipher == "aes" ? EspCipher::kAesCbc
                                  : EspCipher::kTripleDesCbc;
    sa.hash = row["auth"] == "md5" ? EspHash::kMd5 : EspHash::kSha1;
    sa.cipher_key = bytes_of_hex(row["enc_key"]);
    sa.integrity_key = bytes_of_hex(row["auth_key"]);
    sa.is_tunnel = row["mode"] == "udp-tunnel";
    sa.outer_source = ip(row["src"]);
    sa.outer_destination = ip(row["dst"]);
    sas[sa.spi] = sa;
  }
  return sas;
}

/// The IP packets of a capture of LINKTYPE_RAW, written on a little-endian machine.
std::vector<Bytes> packets_of(const std::string& name) {
  std::ifstream file(GMESP_GOLDEN_FOLDER "/" + name, std::ios::binary);
  const Bytes all((std::istreambuf_iterator<char>(file)), {});
  const auto little32 = [&](size_t at) {
    return static_cast<uint32_t>(all[at] | all[at + 1] << 8 | all[at + 2] << 16 |
                                 all[at + 3] << 24);
  };
  std::vector<Bytes> packets;
  for (size_t at = 24; at + 16 <= all.size();) {
    const size_t bytes = little32(at + 8);
    const auto begin = all.begin() + static_cast<ptrdiff_t>(at + 16);
    packets.emplace_back(begin, begin + static_cast<ptrdiff_t>(bytes));
    at += 16 + bytes;
  }
  return packets;
}

struct Golden {
  std::map<uint32_t, EspSa> sas = golden_sas();
  std::vector<Bytes> esp = packets_of("esp.pcap");
  std::vector<Bytes> plain = packets_of("plain.pcap");
};

const Golden& golden() {
  static const Golden files;
  return files;
}

TEST(EspReference, GoldenPacketsAreThere) {
  EXPECT_EQ(golden().sas.size(), 24u);
  EXPECT_EQ(golden().esp.size(), golden().plain.size());
  EXPECT_GE(golden().esp.size(), 2000u);
}

// Shows: R-7.1-01, R-7.1-02
TEST(EspReference, OpensEveryGoldenPacket) {
  for (size_t i = 0; i < golden().esp.size(); ++i) {
    const Bytes esp = esp_bytes(golden().esp[i]);
    const Opened opened = open(golden().sas.at(get32(esp, 0)), golden().esp[i]);
    ASSERT_TRUE(opened.is_authentic) << "packet " << i;
    ASSERT_TRUE(opened.is_padding_right) << "packet " << i;
    ASSERT_EQ(opened.clear, golden().plain[i]) << "packet " << i;
  }
}

// Shows: R-7.1-01, R-7.1-02
TEST(EspReference, MakesEveryGoldenPacket) {
  for (size_t i = 0; i < golden().esp.size(); ++i) {
    const Bytes esp = esp_bytes(golden().esp[i]);
    const EspSa& sa = golden().sas.at(get32(esp, 0));
    const Opened opened = open(sa, golden().esp[i]);
    const std::optional<Dissection> outer = dissect_packet(golden().esp[i]);
    EspShape shape{.iv = opened.iv};
    shape.outer_identification = static_cast<uint16_t>(outer->identification);
    shape.outer_ttl = outer->ttl;
    // A zero checksum would be no UDP over IPv6 (RFC 8200 8.1).
    shape.udp_checksum = outer->is_v4 ? UdpChecksum::kZero : UdpChecksum::kRight;
    ASSERT_EQ(seal(sa, opened.sequence, golden().plain[i], shape), golden().esp[i])
        << "packet " << i;
  }
}

TEST(EspReference, OpensNothingThatWasTouched) {
  for (size_t i = 0; i < golden().esp.size(); i += 53) {
    const EspSa& sa = golden().sas.at(get32(esp_bytes(golden().esp[i]), 0));
    const size_t esp_at = golden().esp[i].size() - esp_bytes(golden().esp[i]).size();
    for (size_t at = esp_at; at < golden().esp[i].size(); ++at) {
      Bytes touched = golden().esp[i];
      touched[at] ^= 0x10;
      ASSERT_FALSE(open(sa, touched).is_authentic) << "packet " << i << " byte " << at;
    }
  }
}

TEST(EspReference, FaultsAreWhatTheySay) {
  constexpr uint32_t kSpi = 4110;  // AES, SHA-1, IPv4, tunnel
  const EspSa& sa = golden().sas.at(kSpi);
  size_t first = 0;
  while (get32(esp_bytes(golden().esp[first]), 0) != kSpi) ++first;
  const Bytes& clear = golden().plain[first];
  EXPECT_FALSE(
      open(sa, seal(sa, 1, clear, {.extra_padding = 16, .bad_padding_at = 0})).is_padding_right);
  EXPECT_EQ(open(sa, seal(sa, 1, clear, {.extra_padding = 32})).clear, clear);
  EXPECT_EQ(open(sa, seal(sa, 1, clear, {.next_header = 59})).next_header, 59);
  EXPECT_EQ(open(sa, seal(sa, 1, clear, {.next_header = 59})).clear, Bytes{});
  EXPECT_EQ(open(sa, seal(sa, 1, clear, {.flow_padding = Bytes(100)})).clear, clear);
  EXPECT_FALSE(open(sa, seal(sa, 1, clear, {.missing = 1})).is_authentic);
  EXPECT_FALSE(open(sa, seal(sa, 1, clear, {.flipped_bit = 3})).is_authentic);
  const auto checksum_good = [&](UdpChecksum checksum) {
    return dissect_packet(seal(sa, 1, clear, {.udp_checksum = checksum}))->l4_checksum_good;
  };
  EXPECT_TRUE(checksum_good(UdpChecksum::kZero));
  EXPECT_TRUE(checksum_good(UdpChecksum::kRight));
  EXPECT_FALSE(checksum_good(UdpChecksum::kWrong));
}

}  // namespace
}  // namespace gmesp::test
