// TS 33.203 Annex I. The literal keys were computed apart from this code.
#include "control/sa/key_expansion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <string>
#include <vector>

namespace gmesp::sa {
namespace {

std::vector<uint8_t> bytes_of(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::string hex_of(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

AkaKey aka(const std::vector<uint8_t>& bytes) {
  return AkaKey(bytes.data(), kAkaKeyBytes);
}

std::string des_ede3(const std::string& ck) {
  const std::vector<uint8_t> bytes = bytes_of(ck);
  std::array<uint8_t, kDesEde3KeyBytes> key{};
  return expand_des_ede3_key(aka(bytes), key) ? hex_of(key) : "refused";
}

const std::string kIk = "465b5ce8b199b49faa5f0a2ee238a6bc";
const std::string kCk = "00112233445566778899aabbccddeeff";

// Shows: R-I-01
TEST(KeyExpansion, Md5KeyIsIk) {
  std::array<uint8_t, kMd5KeyBytes> key{};
  expand_md5_key(aka(bytes_of(kIk)), key);
  EXPECT_EQ(hex_of(key), "465b5ce8b199b49faa5f0a2ee238a6bc");
}

// Shows: R-I-01
TEST(KeyExpansion, Sha1KeyIsIkAndFourZeroBytesAtTheEnd) {
  std::array<uint8_t, kSha1KeyBytes> key;
  key.fill(0xff);
  expand_sha1_key(aka(bytes_of(kIk)), key);
  EXPECT_EQ(hex_of(key), "465b5ce8b199b49faa5f0a2ee238a6bc00000000");
}

// Shows: R-I-02
TEST(KeyExpansion, AesKeyIsCk) {
  std::array<uint8_t, kAesKeyBytes> key{};
  expand_aes_key(aka(bytes_of(kCk)), key);
  EXPECT_EQ(hex_of(key), kCk);
}

// Shows: R-I-02
TEST(KeyExpansion, DesEde3KeyIsHighLowHighWithOddParity) {
  EXPECT_EQ(des_ede3(kCk), "01102332455467768998abbacddceffe0110233245546776");
  EXPECT_EQ(des_ede3("b40ba9a3c58b2a05bbf0d987b21bf8cb"),
            "b50ba8a2c48a2a04baf1d986b31af8cbb50ba8a2c48a2a04");
  EXPECT_EQ(des_ede3("00000000000000000000000000000002"),
            "010101010101010101010101010101020101010101010101");
}

// Shows: R-I-02
TEST(KeyExpansion, EveryByteHasOddParityAndKeepsItsKeyBits) {
  std::mt19937 random(1);
  for (int round = 0; round < 10'000; ++round) {
    std::vector<uint8_t> ck(kAkaKeyBytes);
    for (uint8_t& byte : ck) byte = static_cast<uint8_t>(random());
    std::array<uint8_t, kDesEde3KeyBytes> key{};
    ASSERT_TRUE(expand_des_ede3_key(aka(ck), key));
    for (size_t i = 0; i < key.size(); ++i) {
      ASSERT_EQ(std::popcount(key[i]) % 2, 1);
      ASSERT_EQ(key[i] >> 1, ck[i % kAkaKeyBytes] >> 1);
    }
  }
}

// Shows: R-I-03
TEST(KeyExpansion, EqualHalvesAreRefused) {
  EXPECT_EQ(des_ede3("0123456789abcdef0123456789abcdef"), "refused");
  EXPECT_EQ(des_ede3("00000000000000000000000000000000"), "refused");
}

// Shows: R-I-03
TEST(KeyExpansion, HalvesThatDifferInParityBitsOnlyAreRefused) {
  EXPECT_EQ(des_ede3("0123456789abcdef0022446688aaccee"), "refused");
  EXPECT_EQ(des_ede3("00000000000000000101010101010101"), "refused");
  for (int byte = 0; byte < 8; ++byte) {
    std::string ck = "10203040506070801020304050607080";
    ck[16 + 2 * byte + 1] = '1';
    EXPECT_EQ(des_ede3(ck), "refused") << byte;
    ck[16 + 2 * byte + 1] = '2';  // a key bit
    EXPECT_NE(des_ede3(ck), "refused") << byte;
  }
}

}  // namespace
}  // namespace gmesp::sa
