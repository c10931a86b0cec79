// Which keys are refused, and that wiped ones are gone.
#include "crypto/sa_keys.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <new>

#include "reference.h"

namespace gmesp::crypto::test {
namespace {

constexpr size_t kDesKeyBytes = 8;

bool is_zero(const SaKeys& keys) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&keys);
  return std::all_of(bytes, bytes + sizeof keys, [](uint8_t byte) { return byte == 0; });
}

SaKeys filled() {
  SaKeys keys;
  std::fill_n(reinterpret_cast<uint8_t*>(&keys), sizeof keys, uint8_t{0xee});
  return keys;
}

// Shows: R-7.1-02
TEST(SaKeys, OnlyTheExactKeySizesAreTaken) {
  Random random(1);
  for (uint32_t i = 0; i < kSuiteCount; ++i) {
    const Suite suite = suite_at(i);
    const size_t integrity_bytes = info(suite.integrity).key_bytes;
    const size_t cipher_bytes = info(suite.cipher).key_bytes;
    for (const size_t size : {0, 1, 8, 15, 16, 17, 19, 20, 21, 23, 24, 25, 32, 64}) {
      SCOPED_TRACE(std::string(name(suite)) + " " + std::to_string(size));
      SaKeys keys = filled();
      const KeyError of_integrity =
          expand(suite, random_bytes(random, size), random_bytes(random, cipher_bytes), keys);
      EXPECT_EQ(of_integrity,
                size == integrity_bytes ? KeyError::kOk : KeyError::kIntegrityKeySize);
      EXPECT_EQ(is_zero(keys), size != integrity_bytes);
      keys = filled();
      const KeyError of_cipher =
          expand(suite, random_bytes(random, integrity_bytes), random_bytes(random, size), keys);
      EXPECT_EQ(of_cipher, size == cipher_bytes ? KeyError::kOk : KeyError::kCipherKeySize);
      EXPECT_EQ(is_zero(keys), size != cipher_bytes);
    }
  }
}

// Shows: R-7.1-03
TEST(SaKeys, ANullCipherTakesNoKeyAndIntegrityAlwaysNeedsOne) {
  SaKeys keys;
  for (const Integrity integrity : {Integrity::kHmacMd5_96, Integrity::kHmacSha1_96}) {
    const Bytes key(info(integrity).key_bytes, 1);
    EXPECT_EQ(expand({integrity, Cipher::kNull}, key, Bytes(16, 2), keys),
              KeyError::kCipherKeySize);
    EXPECT_EQ(expand({integrity, Cipher::kNull}, {}, {}, keys), KeyError::kIntegrityKeySize);
    EXPECT_EQ(expand({integrity, Cipher::kNull}, key, {}, keys), KeyError::kOk);
  }
}

KeyError expand_triple_des(const Bytes& first, const Bytes& second, const Bytes& third,
                           SaKeys& keys) {
  Bytes whole = first;
  whole.insert(whole.end(), second.begin(), second.end());
  whole.insert(whole.end(), third.begin(), third.end());
  return expand({Integrity::kHmacSha1_96, Cipher::kDesEde3Cbc}, Bytes(20, 1), whole, keys);
}

// RFC 2451 2.3; two-key 3DES is what TS 33.203 Annex I makes from CK, so K1 == K3 must pass.
// Shows: R-I-03
TEST(SaKeys, TripleDesWithEqualAdjacentKeysIsRefused) {
  EXPECT_TRUE(rc::check([](uint64_t seed, uint8_t parity) {
    Random random(seed);
    const Bytes a = random_bytes(random, kDesKeyBytes);
    Bytes b = a;
    b[seed % kDesKeyBytes] ^= static_cast<uint8_t>(2u << seed % 7);  // a key bit, not parity
    Bytes a_other_parity = a;
    for (size_t i = 0; i < kDesKeyBytes; ++i) a_other_parity[i] ^= (parity >> i) & 1;
    SaKeys keys = filled();
    for (const Bytes& twin : {a, a_other_parity}) {
      RC_ASSERT(expand_triple_des(a, twin, b, keys) == KeyError::kWeakDesKey);
      RC_ASSERT(is_zero(keys));
      RC_ASSERT(expand_triple_des(b, a, twin, keys) == KeyError::kWeakDesKey);
      RC_ASSERT(expand_triple_des(a, twin, a, keys) == KeyError::kWeakDesKey);
      RC_ASSERT(expand_triple_des(a, b, twin, keys) == KeyError::kOk);
    }
  }));
}

// Shows: R-I-02
TEST(SaKeys, ParityBitsDoNotChangeACipheredByte) {
  Random random(4);
  const Suite suite{Integrity::kHmacMd5_96, Cipher::kDesEde3Cbc};
  const Association association = random_association(suite, random);
  Bytes other_parity = association.cipher_key;
  for (uint8_t& byte : other_parity) byte ^= 1;
  const Association twin = make_association(suite, association.integrity_key, other_parity);
  const Bytes clear = random_packet(suite, 64, random);
  for (const Candidate& candidate : candidates()) {
    Packet packet(association, clear, Direction::kOutbound);
    CryptoJob job = packet.job();
    job.keys = &twin.keys;
    candidate.process({&job, 1});
    EXPECT_TRUE(packet.is_as_expected()) << candidate.name;
  }
}

// Read back through the storage, after the object's life: the wipe must be in the memory itself.
// Shows: R-D-K2
TEST(SaKeys, WipeLeavesNothingInTheMemory) {
  alignas(SaKeys) static uint8_t storage[sizeof(SaKeys)];
  Random random(5);
  for (uint32_t i = 0; i < kSuiteCount; ++i) {
    const Suite suite = suite_at(i);
    auto* keys = new (storage) SaKeys;
    ASSERT_EQ(expand(suite, random_bytes(random, info(suite.integrity).key_bytes),
                     random_bytes(random, info(suite.cipher).key_bytes), *keys),
              KeyError::kOk);
    ASSERT_FALSE(is_zero(*keys));
    wipe(*keys);
    std::destroy_at(keys);
    const volatile uint8_t* at = storage;
    for (size_t byte = 0; byte < sizeof storage; ++byte) ASSERT_EQ(at[byte], 0) << byte;
  }
  Bytes raw = random_bytes(random, 24);
  wipe(std::span(raw).subspan(4, 16));
  EXPECT_TRUE(std::all_of(raw.begin() + 4, raw.begin() + 20, [](uint8_t b) { return b == 0; }));
  EXPECT_FALSE(std::all_of(raw.begin(), raw.begin() + 4, [](uint8_t b) { return b == 0; }));
  EXPECT_FALSE(std::all_of(raw.begin() + 20, raw.end(), [](uint8_t b) { return b == 0; }));
}

// Shows: R-D-K2
TEST(SaKeys, ErrorTextsTellWhatAndNoKey) {
  EXPECT_STREQ(text(KeyError::kOk), "ok");
  for (const KeyError error :
       {KeyError::kIntegrityKeySize, KeyError::kCipherKeySize, KeyError::kWeakDesKey})
    EXPECT_NE(std::string(text(error)).find("key"), std::string::npos);
}

// Shows: R-7.1-02
TEST(Suite, TableRowsMatchTheStandards) {
  for (uint32_t i = 0; i < kSuiteCount; ++i) {
    const Suite suite = suite_at(i);
    EXPECT_EQ(index_of(suite), i);
    EXPECT_EQ(name(suite),
              std::string(info(suite.cipher).name) + "/" + std::string(info(suite.integrity).name));
  }
  for (uint32_t number = 0; number < 256; ++number) {
    EXPECT_EQ(is_integrity(static_cast<uint8_t>(number)), number == 1 || number == 2);
    EXPECT_EQ(is_cipher(static_cast<uint8_t>(number)), number >= 1 && number <= 3);
  }
}

}  // namespace
}  // namespace gmesp::crypto::test
