// What an engine still holds of a key after the SA is gone: looked for in the whole heap.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "reference.h"

namespace gmesp::crypto::test {
namespace {

/// How often the bytes of `hidden`, each with all bits turned over, stand in writable memory other
/// than stacks. Hidden, so that the search does not find what it looks for in its own hands.
uint32_t count_in_heap(const Bytes& hidden) {
  std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/self/maps", "re"), std::fclose);
  std::unique_ptr<FILE, int (*)(FILE*)> memory(std::fopen("/proc/self/mem", "rbe"), std::fclose);
  char line[512];
  uint32_t found = 0;
  Bytes content(1 << 20);
  while (maps && memory && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    unsigned long first = 0;
    unsigned long last = 0;
    char access[8] = "";
    std::sscanf(line, "%lx-%lx %7s", &first, &last, access);
    if (std::strncmp(access, "rw", 2) != 0 || std::strstr(line, "[stack]") != nullptr) continue;
    constexpr unsigned long kShadowBytesMin = 1ul << 32;  // of a sanitizer
    if (last - first >= kShadowBytesMin) continue;
    for (unsigned long at = first; at < last; at += content.size()) {
      std::fseek(memory.get(), static_cast<long>(at), SEEK_SET);
      const size_t bytes =
          std::fread(content.data(), 1, std::min<size_t>(content.size(), last - at), memory.get());
      for (size_t i = 0; i + hidden.size() <= bytes; ++i) {
        size_t same = 0;
        while (same < hidden.size() && content[i + same] == static_cast<uint8_t>(~hidden[same]))
          ++same;
        found += same == hidden.size() ? 1 : 0;
      }
      std::fill(content.begin(), content.end(), uint8_t{0});
    }
  }
  return found;
}

// Shows: R-D-K2
TEST(ForgetKeys, NoKeyOfADeadSaStaysInTheEngine) {
  Engine engine(EngineChoice::kOpenSsl);
  constexpr Suite kSuite = {Integrity::kHmacSha1_96, Cipher::kAesCbc128};
  Random random(99);
  Bytes hidden;
  {
    Association association = random_association(kSuite, random);
    // The first round key of AES is the key itself.
    for (const uint8_t byte : association.cipher_key) hidden.push_back(static_cast<uint8_t>(~byte));
    Packet packet(association, random_packet(kSuite, 64, random), Direction::kOutbound);
    CryptoJob job = packet.job();
    engine.process({&job, 1});
    ASSERT_EQ(job.status, JobStatus::kOk);
    wipe(std::span(association.cipher_key));
    wipe(association.keys);
  }
  EXPECT_GT(count_in_heap(hidden), 0u) << "the search itself does not work";
  engine.forget_keys();
  EXPECT_EQ(count_in_heap(hidden), 0u);

  const Association next = random_association(kSuite, random);
  Packet packet(next, random_packet(kSuite, 64, random), Direction::kOutbound);
  CryptoJob job = packet.job();
  engine.process({&job, 1});
  EXPECT_TRUE(packet.is_as_expected()) << "an engine that forgot works on";
}

}  // namespace
}  // namespace gmesp::crypto::test
