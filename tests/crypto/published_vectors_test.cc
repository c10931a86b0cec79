// The vectors that RFC 2202, RFC 3602 and NIST print, through the engines wherever a vector has the
// shape of an ESP packet, and through the key records where it has not.
#define OPENSSL_SUPPRESS_DEPRECATED  // only the low-level hashes start from a stored state
#include <gtest/gtest.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "reference.h"

namespace gmesp::crypto::test {
namespace {

Bytes text_bytes(std::string_view text) {
  return Bytes(text.begin(), text.end());
}

struct HmacVector {
  const char* where;
  Integrity integrity;
  uint8_t key_byte;  ///< the vectors whose key has our size repeat one byte
  Bytes data;
  const char* digest;
};

std::vector<HmacVector> rfc2202_vectors() {
  return {
      {"2 case 1", Integrity::kHmacMd5_96, 0x0b, text_bytes("Hi There"),
       "9294727a3638bb1c13f48ef8158bfc9d"},
      {"2 case 3", Integrity::kHmacMd5_96, 0xaa, Bytes(50, 0xdd),
       "56be34521d144c88dbb8c733f0e8b3f6"},
      {"2 case 5", Integrity::kHmacMd5_96, 0x0c, text_bytes("Test With Truncation"),
       "56461ef2342edc00f9bab995690efd4c"},
      {"3 case 1", Integrity::kHmacSha1_96, 0x0b, text_bytes("Hi There"),
       "b617318655057264e28bc0b6fb378c8ef146be00"},
      {"3 case 3", Integrity::kHmacSha1_96, 0xaa, Bytes(50, 0xdd),
       "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
      {"3 case 5", Integrity::kHmacSha1_96, 0x0c, text_bytes("Test With Truncation"),
       "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"},
  };
}

Association null_cipher_association(const HmacVector& vector) {
  return make_association({vector.integrity, Cipher::kNull},
                          Bytes(info(vector.integrity).key_bytes, vector.key_byte), {});
}

/// RFC 2104 finished from the two hash states of a key record.
Bytes sha1_from_states(const SaKeys& keys, const Bytes& data) {
  const auto finish = [](const std::array<uint32_t, 5>& state, const Bytes& bytes) {
    SHA_CTX context;
    SHA1_Init(&context);
    context.h0 = state[0], context.h1 = state[1], context.h2 = state[2];
    context.h3 = state[3], context.h4 = state[4];
    context.Nl = SHA_CBLOCK * 8;
    Bytes digest(SHA_DIGEST_LENGTH);
    SHA1_Update(&context, bytes.data(), bytes.size());
    SHA1_Final(digest.data(), &context);
    return digest;
  };
  return finish(keys.hmac_outer, finish(keys.hmac_inner, data));
}

Bytes md5_from_states(const SaKeys& keys, const Bytes& data) {
  const auto finish = [](const std::array<uint32_t, 5>& state, const Bytes& bytes) {
    MD5_CTX context;
    MD5_Init(&context);
    context.A = state[0], context.B = state[1], context.C = state[2], context.D = state[3];
    context.Nl = MD5_CBLOCK * 8;
    Bytes digest(MD5_DIGEST_LENGTH);
    MD5_Update(&context, bytes.data(), bytes.size());
    MD5_Final(digest.data(), &context);
    return digest;
  };
  return finish(keys.hmac_outer, finish(keys.hmac_inner, data));
}

// Shows: R-7.1-01
TEST(PublishedVectors, Rfc2202StatesOfTheKeyRecordGiveTheWholeDigest) {
  for (const HmacVector& vector : rfc2202_vectors()) {
    const Association association = null_cipher_association(vector);
    const Bytes digest = vector.integrity == Integrity::kHmacMd5_96
                             ? md5_from_states(association.keys, vector.data)
                             : sha1_from_states(association.keys, vector.data);
    EXPECT_EQ(to_hex(digest), vector.digest) << "RFC 2202 " << vector.where;
    EXPECT_EQ(to_hex(icv(vector.integrity, association.integrity_key, vector.data)),
              std::string(vector.digest).substr(0, 2 * kIcvBytes))
        << "RFC 2202 " << vector.where;
  }
}

// RFC 2202 case 5 is 20 bytes long: SPI, sequence number and three words of payload.
// Shows: R-7.1-01
TEST(PublishedVectors, Rfc2202TruncatedCasesThroughEveryEngine) {
  for (const HmacVector& vector : rfc2202_vectors()) {
    if (vector.data.size() != 20) continue;
    const Association association = null_cipher_association(vector);
    const std::string expected = std::string(vector.digest).substr(0, 2 * kIcvBytes);
    for (const Candidate& candidate : candidates()) {
      for (const size_t copies : {1, 20}) {
        std::vector<Bytes> packets(copies, vector.data);
        std::vector<CryptoJob> jobs;
        for (Bytes& packet : packets) {
          packet.resize(packet.size() + kIcvBytes);
          jobs.push_back({&association.keys, packet.data(), 20, association.suite,
                          Direction::kOutbound, JobStatus::kPending});
        }
        candidate.process(jobs);
        for (size_t i = 0; i < copies; ++i) {
          EXPECT_EQ(jobs[i].status, JobStatus::kOk);
          EXPECT_EQ(to_hex(std::span(packets[i]).last(kIcvBytes)), expected) << candidate.name;
        }
      }
    }
  }
}

struct CipherVector {
  const char* where;
  Cipher cipher;
  const char* key;
  const char* header;  ///< SPI and sequence number: only RFC 3602 case 5 prints them
  const char* iv;
  const char* clear;
  const char* ciphered;
};

constexpr char kNistTripleDesKey[] = "0123456789abcdef23456789abcdef01456789abcdef0123";

constexpr CipherVector kCipherVectors[] = {
    {"RFC 3602 4 case 1", Cipher::kAesCbc128, "06a9214036b8a15b512e03d534120006",
     "0000100000000001", "3dafba429d9eb430b422da802c9fac41", "53696e676c6520626c6f636b206d7367",
     "e353779c1079aeb82708942dbe77181a"},
    {"RFC 3602 4 case 2", Cipher::kAesCbc128, "c286696d887c9aa0611bbb3e2025a45a",
     "0000100000000001", "562e17996d093d28ddb3ba695a2e6f58",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
    {"RFC 3602 4 case 3", Cipher::kAesCbc128, "6c3ea0477630ce21a2ce334aa746c2cd",
     "0000100000000001", "c782dc4c098c66cbd9cd27d825682c81",
     "5468697320697320612034382d62797465206d657373616765202865786163746c7920332041455320626c6f63"
     "6b7329",
     "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83"
     "ba2684"},
    {"RFC 3602 4 case 4", Cipher::kAesCbc128, "56e47a38c5598974bc46903dba290349",
     "0000100000000001", "8ce82eefbea0da3c44699ed7db51b7d9",
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcc"
     "cdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
     "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d"
     "3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
    {"RFC 3602 4 case 5", Cipher::kAesCbc128, "90d382b410eeba7ad938c46cec1a82bf",
     "0000432100000001", "e96e8c08ab465763fd098d45dd3ff893",
     "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324"
     "25262728292a2b2c2d2e2f30313233343536370102030405060708090a0b0c0d0e0e01",
     "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e"
     "4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6"},
    {"NIST CBC example, three-key TDES", Cipher::kDesEde3Cbc, kNistTripleDesKey, "0000100000000001",
     "f69f2445df4f9b17", "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
     "2079c3d53aa763e193b79e2569ab5262516570481f25b50f73c0bda85c8e0da7"},
    // ECB examples: one block under a zero IV is the block cipher itself.
    {"NIST SP 800-67 B.1 block 1", Cipher::kDesEde3Cbc, kNistTripleDesKey, "0000100000000001",
     "0000000000000000", "5468652071756663", "a826fd8ce53b855f"},
    {"NIST SP 800-67 B.1 block 2", Cipher::kDesEde3Cbc, kNistTripleDesKey, "0000100000000001",
     "0000000000000000", "6b2062726f776e20", "cce21c8112256fe6"},
    {"NIST SP 800-67 B.1 block 3", Cipher::kDesEde3Cbc, kNistTripleDesKey, "0000100000000001",
     "0000000000000000", "666f78206a756d70", "68d5c05dd9b6b900"},
};

void expect_vector(const CipherVector& vector, Integrity integrity, const Candidate& candidate,
                   size_t copies) {
  SCOPED_TRACE(candidate.name + ": " + vector.where);
  const Association association = make_association(
      {integrity, vector.cipher}, Bytes(info(integrity).key_bytes, 0x0c), from_hex(vector.key));
  const std::string front = std::string(vector.header) + vector.iv;
  const Bytes clear = from_hex(front + vector.clear);
  Bytes wire = from_hex(front + vector.ciphered);
  const Bytes tag = icv(integrity, association.integrity_key, wire);
  wire.insert(wire.end(), tag.begin(), tag.end());
  const auto esp_bytes = static_cast<uint32_t>(clear.size());
  std::vector<Bytes> packets;
  std::vector<CryptoJob> jobs;
  for (size_t i = 0; i < copies; ++i) {
    packets.push_back(clear);
    packets.back().resize(wire.size());
    packets.push_back(wire);
  }
  for (size_t i = 0; i < packets.size(); ++i)
    jobs.push_back({&association.keys, packets[i].data(), esp_bytes, association.suite,
                    i % 2 == 0 ? Direction::kOutbound : Direction::kInbound, JobStatus::kPending});
  candidate.process(jobs);
  for (size_t i = 0; i < packets.size(); i += 2) {
    EXPECT_EQ(jobs[i].status, JobStatus::kOk);
    EXPECT_EQ(jobs[i + 1].status, JobStatus::kOk);
    EXPECT_EQ(to_hex(packets[i]), to_hex(wire));
    EXPECT_EQ(to_hex(std::span(packets[i + 1]).first(esp_bytes)), to_hex(clear));
  }
}

// Shows: R-7.1-02
TEST(PublishedVectors, CiphersBothWaysThroughEveryEngine) {
  for (const Candidate& candidate : candidates())
    for (const CipherVector& vector : kCipherVectors)
      for (const Integrity integrity : {Integrity::kHmacMd5_96, Integrity::kHmacSha1_96})
        for (const size_t copies : {1, 20}) expect_vector(vector, integrity, candidate, copies);
}

}  // namespace
}  // namespace gmesp::crypto::test
