// Fresh, unpredictable IVs (R-3602-01; RFC 3602 3): a per-core generator, keyed by the operating
// system.
//
// AES-256 in counter mode fills a buffer; each refill takes the next key from its own output first,
// so that what was handed out cannot be computed from what the memory holds later. Threading: one
// per core. No system call after construction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

namespace gmesp::crypto {

class IvSource {
 public:
  IvSource();  ///< throws EngineError if the OS gives no randomness
  ~IvSource();
  IvSource(IvSource&&) noexcept;
  IvSource& operator=(IvSource&&) noexcept;

  /// Writes `bytes` (8 or 16) of fresh randomness.
  void fill(uint8_t* iv, uint32_t bytes) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gmesp::crypto
