// Frames of a benchmark in one piece of memory with huge pages, like a pool of mbufs; what goes out
// goes nowhere.
//
// Threading: one thread. Memory: taken at construction.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "dataplane/ipsec/pipeline.h"

namespace gmesp::bench {

inline constexpr uint32_t kRoundPackets = 4096;
inline constexpr uint32_t kFrameBufferBytes = 2304;

class FrameMemory : public ipsec::PacketIo {
 public:
  FrameMemory() : bytes_(static_cast<uint8_t*>(std::aligned_alloc(kHugePageBytes, kBytes))) {
    if (bytes_ == nullptr) throw std::bad_alloc();
    madvise(bytes_.get(), kBytes, MADV_HUGEPAGE);
    std::fill_n(bytes_.get(), kBytes, uint8_t{0});
  }

  uint8_t* frame(uint32_t at) {
    return bytes_.get() + size_t{at} * kFrameBufferBytes + ipsec::Pipeline::kHeadroomBytes;
  }
  ipsec::Packet packet(uint32_t at, uint32_t length) {
    ipsec::Packet packet{};
    packet.data = frame(at);
    packet.buffer = packet.data - ipsec::Pipeline::kHeadroomBytes;
    packet.capacity = kFrameBufferBytes;
    packet.length = length;
    packet.owner = packet.buffer;
    return packet;
  }

  uint32_t transmit(ipsec::Side, std::span<const ipsec::Outgoing> packets) override {
    sent += packets.size();
    return static_cast<uint32_t>(packets.size());
  }
  bool allocate(uint32_t, ipsec::Packet&) override { return false; }
  void release(std::span<void* const>) override {}
  bool hand_off(uint8_t, ipsec::Side, const ipsec::Packet&) override { return false; }

  uint64_t sent = 0;  ///< packets

 private:
  static constexpr size_t kHugePageBytes = 2 << 20;
  static constexpr size_t kBytes =
      (size_t{kRoundPackets} * kFrameBufferBytes + kHugePageBytes - 1) / kHugePageBytes *
      kHugePageBytes;
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };

  std::unique_ptr<uint8_t, Free> bytes_;
};

}  // namespace gmesp::bench
