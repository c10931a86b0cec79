#include "dataplane/buffers.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <stdexcept>

#include "dataplane/ipsec/pipeline.h"

namespace gmesp::dataplane {
namespace {

/// What ESP may add behind a frame: padding, trailer, ICV, rounded up.
constexpr uint32_t kTailroomBytes = 64;
constexpr uint32_t kCacheMbufs = 256;

rte_mempool* make_pool(const char* name, uint32_t count, uint32_t data_bytes) {
  const uint32_t room = std::max<uint32_t>(RTE_PKTMBUF_HEADROOM + data_bytes + kTailroomBytes,
                                           RTE_MBUF_DEFAULT_BUF_SIZE);
  if (room > UINT16_MAX)
    throw std::runtime_error(
        fmt::format("pool {}: buffers of {} bytes exceed DPDK's 65,535; lower "
                    "fragments.datagram_bytes_max or the MTU",
                    name, room));
  const uint32_t cache = count >= 4 * kCacheMbufs ? kCacheMbufs : 0;
  rte_mempool* pool =
      rte_pktmbuf_pool_create(name, count, cache, 0, static_cast<uint16_t>(room), SOCKET_ID_ANY);
  if (pool == nullptr)
    throw std::runtime_error(
        fmt::format("pool {}: no memory for {} buffers of {} bytes ({}); lower "
                    "memory.packet_buffers or raise memory.megabytes",
                    name, count, room, rte_strerror(rte_errno)));
  return pool;
}

}  // namespace

Buffers::Buffers(uint32_t count, uint32_t frame_bytes, uint32_t large_count,
                 uint32_t datagram_bytes) {
  static_assert(RTE_PKTMBUF_HEADROOM >= ipsec::Pipeline::kHeadroomBytes,
                "an outer header must fit in front of a received frame");
  frames_ = make_pool("gmesp_frames", count, frame_bytes);
  try {
    large_ = make_pool("gmesp_datagrams", large_count,
                       datagram_bytes + 2 * ipsec::Pipeline::kHeadroomBytes);
  } catch (...) {
    rte_mempool_free(frames_);
    throw;
  }
}

Buffers::~Buffers() {
  rte_mempool_free(frames_);
  rte_mempool_free(large_);
}

uint32_t Buffers::in_use() const {
  return rte_mempool_in_use_count(frames_) + rte_mempool_in_use_count(large_);
}

}  // namespace gmesp::dataplane
