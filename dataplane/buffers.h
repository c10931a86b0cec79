// The packet buffers of gmespd: ordinary frames, and the few large ones that hold joined datagrams.
//
// Ownership: the pools live until the Buffers object goes; every mbuf must be back by then.
// Threading: alloc and free from any EAL thread. Errors: the constructor throws std::runtime_error
// naming the memory setting.
#pragma once

#include <rte_mempool.h>

#include <cstdint>

namespace gmesp::dataplane {

class Buffers {
 public:
  /// `frame_bytes`: the largest frame on any port; `datagram_bytes`: the largest joined frame.
  Buffers(uint32_t count, uint32_t frame_bytes, uint32_t large_count, uint32_t datagram_bytes);
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  rte_mempool* frames() const { return frames_; }
  rte_mempool* large() const { return large_; }
  /// Buffers that are not in their pool right now; 0 when everything came back.
  uint32_t in_use() const;

 private:
  rte_mempool* frames_ = nullptr;
  rte_mempool* large_ = nullptr;
};

}  // namespace gmesp::dataplane
