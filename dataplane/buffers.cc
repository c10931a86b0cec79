#include "dataplane/buffers.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

#include <algorithm>
#include <stdexcept>

#include "dataplane/ipsec/pipeline.h"

namespace gmesp::dataplane {
namespace {

/// What ESP may add behind a frame: padding, trailer, ICV, rounded up.
constexpr uint32_t kTailroomBytes = 64;
constexpr uint32_t kCacheMbufs = 256;

bool populate(rte_mempool* pool) {
  size_t chunk_bytes = 0, align = 0;
  const ssize_t bytes =
      rte_mempool_op_calc_mem_size_default(pool, pool->size, 0, &chunk_bytes, &align);
  if (bytes < 0) return false;
  const rte_memzone* zone = rte_memzone_reserve_aligned(
      pool->name, static_cast<size_t>(bytes), SOCKET_ID_ANY, 0, static_cast<unsigned>(align));
  if (zone == nullptr) return false;
  const auto free_zone = [](rte_mempool_memhdr*, void* of) {
    rte_memzone_free(static_cast<const rte_memzone*>(of));
  };
  const int buffers =
      rte_mempool_populate_iova(pool, static_cast<char*>(zone->addr), zone->iova, zone->len,
                                free_zone, const_cast<rte_memzone*>(zone));
  if (buffers <= 0) rte_memzone_free(zone);
  return buffers == static_cast<int>(pool->size);
}

/// On ordinary pages DPDK would begin every buffer at a page: all heads would be in the same few
/// sets of the first cache, and nearly half of the memory would be lost. Devices see virtual
/// addresses there, so that a buffer may lie across pages.
rte_mempool* make_pool_across_pages(const char* name, uint32_t count, uint32_t cache,
                                    uint16_t room) {
  rte_mempool* pool = rte_mempool_create_empty(name, count, sizeof(rte_mbuf) + room, cache,
                                               sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY,
                                               RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) return nullptr;
  rte_pktmbuf_pool_private sizes = {};
  sizes.mbuf_data_room_size = room;
  rte_pktmbuf_pool_init(pool, &sizes);
  if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr) != 0 ||
      !populate(pool)) {
    rte_mempool_free(pool);
    return nullptr;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

rte_mempool* make_pool(const char* name, uint32_t count, uint32_t data_bytes) {
  const uint32_t room = std::max<uint32_t>(RTE_PKTMBUF_HEADROOM + data_bytes + kTailroomBytes,
                                           RTE_MBUF_DEFAULT_BUF_SIZE);
  if (room > UINT16_MAX)
    throw std::runtime_error(
        fmt::format("pool {}: buffers of {} bytes exceed DPDK's 65,535; lower "
                    "fragments.datagram_bytes_max or the MTU",
                    name, room));
  const uint32_t cache = count >= 4 * kCacheMbufs ? kCacheMbufs : 0;
  const auto room_bytes = static_cast<uint16_t>(room);
  rte_mempool* pool =
      rte_eal_has_hugepages()
          ? rte_pktmbuf_pool_create(name, count, cache, 0, room_bytes, SOCKET_ID_ANY)
          : make_pool_across_pages(name, count, cache, room_bytes);
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
