// ESP packets under random keys, and what they must become by a second implementation: OpenSSL's
// one-shot EVP and HMAC() interfaces, which share no code path with either engine's key records.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/engine.h"

namespace gmesp::crypto::test {

using Bytes = std::vector<uint8_t>;
using Random = std::mt19937_64;

/// SPI and sequence number (RFC 2406 2.1, 2.2), counted here again: the tests trust no product
/// size.
inline constexpr uint32_t kClearHeaderBytes = 8;

Bytes from_hex(std::string_view hex);
std::string to_hex(std::span<const uint8_t> bytes);
Bytes random_bytes(Random& random, size_t count);

/// A suite with its raw keys and the record expanded from them.
struct Association {
  Suite suite;
  Bytes integrity_key;
  Bytes cipher_key;
  SaKeys keys;
};

/// Fails the running test if the keys are refused.
Association make_association(Suite suite, const Bytes& integrity_key, const Bytes& cipher_key);
Association random_association(Suite suite, Random& random);

/// SPI, sequence number, IV, `ciphered` payload bytes and zeros where the ICV will stand.
Bytes random_packet(Suite suite, uint32_t ciphered, Random& random);

/// `clear` (shaped as above) ciphered and with its ICV, by the second implementation.
Bytes protect(const Association& association, const Bytes& clear);
/// Leftmost 96 bits of HMAC (RFC 2403, RFC 2404) by OpenSSL's HMAC().
Bytes icv(Integrity integrity, std::span<const uint8_t> key, std::span<const uint8_t> bytes);

/// One packet on its way through an engine, between guard bytes that no engine may touch.
class Packet {
 public:
  /// `clear` is shaped as random_packet() gives it.
  Packet(const Association& association, const Bytes& clear, Direction direction);

  CryptoJob job();
  uint8_t* esp() { return buffer_.data() + kGuardBytes; }
  size_t bytes() const { return buffer_.size() - 2 * kGuardBytes; }
  /// Whether packet and guards are byte for byte what the second implementation says.
  bool is_as_expected() const { return buffer_ == expected_; }
  /// Whether packet and guards are as they went in.
  bool is_untouched() const { return buffer_ == original_; }
  /// Flips one bit of what the engine will see, counted from the SPI's first.
  void flip_bit(size_t bit);

 private:
  static constexpr size_t kGuardBytes = 64;
  static Bytes guarded(const Bytes& packet);

  const Association* association_;
  Direction direction_;
  Bytes buffer_;
  Bytes original_;
  Bytes expected_;
};

/// An engine under test behind one call.
struct Candidate {
  std::string name;
  std::function<void(std::span<CryptoJob>)> process;
};

/// The three choices of Engine, and IPsec-MB on every vector extension this CPU has.
std::vector<Candidate> candidates();

/// Every ciphered length that an inner payload of 0..1500 bytes leads to: payload, pad length and
/// next header rounded up to a block (RFC 2406 2.4).
std::vector<uint32_t> ciphered_sizes(Cipher cipher);

/// Hands `jobs` to `candidate` in calls of up to `batch` jobs.
void process_in_batches(const Candidate& candidate, std::span<CryptoJob> jobs, size_t batch);

}  // namespace gmesp::crypto::test
