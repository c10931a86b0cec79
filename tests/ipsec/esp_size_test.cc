// Length arithmetic of ESP against packets that are really made.
#include <gtest/gtest.h>

#include "esp_lab.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;

constexpr SaRole kSaB = SaRole::kOutPsUc;

uint32_t header_bytes(const RecordShape& shape) {
  return shape.is_ipv4 ? 20 : 40;
}

/// As the standards say it: field after field.
uint32_t expected_bytes(const RecordShape& shape, uint32_t l3_bytes) {
  const bool is_tunnel = shape.mode != shm::Mode::kTransport;
  const crypto::CipherInfo cipher = crypto::info(shape.suite.cipher);
  uint32_t ciphered = (is_tunnel ? l3_bytes : l3_bytes - header_bytes(shape)) + 2;
  while (ciphered % cipher.block_bytes != 0) ++ciphered;
  return header_bytes(shape) + (is_tunnel ? 8 : 0) + 8 + cipher.iv_bytes + ciphered + 12;
}

// Shows: R-2401-02, R-2406-10, R-7.1-02
TEST(EspSize, ProtectedBytesAreExactForEverySize) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    shm::SaSetRecord record = make_record(1, shape);
    if (shape.mode != shm::Mode::kTransport) record.outer_ue_port = 4500;
    EspLab lab(record);
    const SaIdentity& sa = lab.hot(kSaB).identity;
    const IpShape inner = inner_shape(record, kSaB, kProtocolUdp);
    uint32_t overhead_max = 0;
    for (uint32_t size = 0; size <= 1500; ++size) {
      const Bytes packet =
          ip_packet(inner, udp(inner, record.port_ps, record.port_uc, pattern(size)));
      const auto l3_bytes = static_cast<uint32_t>(packet.size());
      const uint32_t bytes = protected_bytes(sa, shape.is_ipv4, l3_bytes, header_bytes(shape));
      ASSERT_EQ(bytes, expected_bytes(shape, l3_bytes));
      ASSERT_EQ(lab.send(kSaB, packet).packet.size(), bytes) << size;
      overhead_max = std::max(overhead_max, bytes - l3_bytes);
    }
    EXPECT_EQ(overhead_bytes_max(sa, shape.is_ipv4), overhead_max);
  }
}

/// The packet that is told to fit does, and one byte more does not.
// Shows: R-2401-02
TEST(EspSize, InnerMtuIsTheLargestThatFits) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    SaDatabase database(database_options(1));
    install(database, make_record(1, shape));
    const SaIdentity& sa = database.hot(1).identity;
    const uint32_t headers = header_bytes(shape);
    const uint32_t smallest = expected_bytes(shape, headers);
    for (uint32_t mtu = 0; mtu <= 9200; ++mtu) {
      const uint32_t inner = inner_mtu_bytes(sa, shape.is_ipv4, mtu, headers);
      if (inner == 0) {
        ASSERT_LT(mtu, smallest);
        continue;
      }
      if (inner < headers) {
        ASSERT_LT(mtu, smallest) << "no packet has so few bytes";
        continue;
      }
      ASSERT_LE(protected_bytes(sa, shape.is_ipv4, inner, headers), mtu);
      ASSERT_GT(protected_bytes(sa, shape.is_ipv4, inner + 1, headers), mtu);
    }
  }
}

}  // namespace
}  // namespace gmesp::ipsec
