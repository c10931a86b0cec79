#include "dataplane/lane.h"

#include <rte_ethdev.h>
#include <rte_pause.h>

#include <algorithm>

namespace gmesp::dataplane {
namespace {

using ipsec::DropReason;
using ipsec::Outgoing;
using ipsec::Packet;
using ipsec::Side;

void fill(rte_mbuf* mbuf, Packet& packet) {
  packet.buffer = static_cast<uint8_t*>(mbuf->buf_addr);
  packet.data = packet.buffer + mbuf->data_off;
  packet.capacity = mbuf->buf_len;
  packet.length = mbuf->data_len;
  packet.owner = mbuf;
  packet.l4_checksum_trusted =
      (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  packet.joined = false;
  packet.layers = {};
}

Packet packet_of(rte_mbuf* mbuf) {
  Packet packet;
  fill(mbuf, packet);
  return packet;
}

/// The frame may have moved and grown inside its buffer; everything the receiving driver said about
/// it is void.
void set_frame(rte_mbuf* mbuf, const Outgoing& outgoing) {
  mbuf->data_off = static_cast<uint16_t>(outgoing.data - static_cast<uint8_t*>(mbuf->buf_addr));
  mbuf->data_len = static_cast<uint16_t>(outgoing.length);
  mbuf->pkt_len = outgoing.length;
  mbuf->ol_flags = 0;
}

}  // namespace

Worker::Lane::Lane(uint32_t pair, const PairQueues& queues, const ipsec::PipelineOptions& options,
                   const ipsec::IntakeOptions& intake, ipsec::SaDatabase& database,
                   Buffers& buffers, HandoffMatrix& handoffs)
    : pair_(pair),
      queues_(queues),
      worker_(options.worker),
      workers_(options.workers),
      buffers_(buffers),
      handoffs_(handoffs),
      call_size_(2 * std::min(intake.burst_packets, kBurstMax)),
      from_access_({std::min(intake.burst_packets, kBurstMax), intake.overload_packets}),
      pipeline_(options, database, *this) {}

/// Each side may have half of a call, and what the other side leaves: the engine is the faster, the
/// more it gets at once.
uint32_t Worker::Lane::poll(uint64_t now_ms) {
  const uint32_t most = call_size_.packets(), half = most / 2;
  const auto from_host = std::span(from_host_);
  uint32_t host = receive(Side::kHost, from_host.first(half));
  const std::span<Packet> from_access = from_access_.next(
      pipeline_, now_ms, [this](std::span<Packet> room) { return receive(Side::kAccess, room); },
      most - host);
  if (host == half && from_access.size() < half)
    host += receive(Side::kHost, from_host.subspan(host, half - from_access.size()));
  call_size_.took(static_cast<uint32_t>(from_access.size()) + host);
  if (from_access.size() + host != 0 || pipeline_.held_packets() != 0)
    pipeline_.process(from_access, from_host.first(host), now_ms);
  return static_cast<uint32_t>(std::max<size_t>(from_access.size(), from_access_.received())) +
         host;
}

uint32_t Worker::Lane::receive(Side side, std::span<Packet> room) {
  const auto at = static_cast<uint32_t>(side);
  if (queues_.rx_queue[at] == PairQueues::kNone) return 0;
  rte_mbuf* mbufs[kBurstMax];
  const uint16_t count = rte_eth_rx_burst(queues_.port[at], queues_.rx_queue[at], mbufs,
                                          static_cast<uint16_t>(room.size()));
  constexpr uint16_t kAhead = 4;
  for (uint16_t i = 0; i < count && i < kAhead; ++i)
    rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  uint32_t mended = 0;
  for (uint16_t i = 0; i < count; ++i) {
    if (i + 2 * kAhead < count) rte_prefetch0(mbufs[i + 2 * kAhead]);
    if (i + kAhead < count) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kAhead], void*));
    if (mend(mbufs[i], side)) fill(mbufs[i], room[mended++]);
  }
  return mended;
}

/// The core works on one contiguous frame with its VLAN tag in place; drivers that chain or strip
/// are mended here. False: it could not be, and the frame is dropped.
bool Worker::Lane::mend(rte_mbuf*& mbuf, Side side) {
  rte_mbuf* original = mbuf;
  const bool is_whole = mbuf->nb_segs == 1 || rte_pktmbuf_linearize(mbuf) == 0;
  const bool is_stripped = (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
  if (is_whole && (!is_stripped || rte_vlan_insert(&mbuf) == 0)) return true;
  pipeline_.drop(packet_of(original), side, DropReason::kNoRoomInBuffer);
  return false;
}

void Worker::Lane::drain() {
  for (const Packet& packet : from_access_.drain())
    pipeline_.drop(packet, Side::kAccess, DropReason::kShutDown);
  pipeline_.drain();
}

void Worker::Lane::take(const ipsec::HandedOff& entry) {
  Batch& batch = handed_off_[static_cast<uint32_t>(entry.side)];
  Packet& packet = batch.packets[batch.count++];
  packet = packet_of(static_cast<rte_mbuf*>(entry.owner));
  packet.joined = entry.joined;
}

bool Worker::Lane::full() const {
  return handed_off_[0].count + handed_off_[1].count == ipsec::Pipeline::kPacketsMax;
}

void Worker::Lane::process_handed_off(uint64_t now_ms) {
  Batch& access = handed_off_[static_cast<uint32_t>(Side::kAccess)];
  Batch& host = handed_off_[static_cast<uint32_t>(Side::kHost)];
  if (access.count + host.count == 0) return;
  pipeline_.process({access.packets.data(), access.count}, {host.packets.data(), host.count},
                    now_ms);
  access.count = host.count = 0;
}

uint32_t Worker::Lane::transmit(Side side, std::span<const Outgoing> packets) {
  const auto at = static_cast<uint32_t>(side);
  rte_mbuf* mbufs[2 * ipsec::Pipeline::kPacketsMax];
  const auto count = static_cast<uint16_t>(std::min(packets.size(), std::size(mbufs)));
  for (uint16_t i = 0; i < count; ++i) {
    mbufs[i] = static_cast<rte_mbuf*>(packets[i].owner);
    set_frame(mbufs[i], packets[i]);
  }
  std::atomic_flag* lock = queues_.tx_lock[at];
  if (lock != nullptr)
    while (lock->test_and_set(std::memory_order_acquire)) rte_pause();
  uint16_t sent = rte_eth_tx_burst(queues_.port[at], queues_.tx_queue[at], mbufs, count);
  // A driver may take a burst in parts; what it refuses twice it has no room for.
  if (sent < count)
    sent += rte_eth_tx_burst(queues_.port[at], queues_.tx_queue[at], mbufs + sent, count - sent);
  if (lock != nullptr) lock->clear(std::memory_order_release);
  return sent;
}

bool Worker::Lane::allocate(uint32_t bytes, Packet& packet) {
  rte_mempool* pool =
      bytes <= rte_pktmbuf_data_room_size(buffers_.frames()) ? buffers_.frames() : buffers_.large();
  if (bytes > rte_pktmbuf_data_room_size(pool)) return false;
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
  if (mbuf == nullptr) return false;
  packet = packet_of(mbuf);
  return true;
}

void Worker::Lane::release(std::span<void* const> owners) {
  std::array<rte_mbuf*, kBurstMax> mbufs;
  for (; !owners.empty(); owners = owners.subspan(std::min(owners.size(), mbufs.size()))) {
    const size_t count = std::min(owners.size(), mbufs.size());
    std::ranges::transform(owners.first(count), mbufs.begin(),
                           [](void* owner) { return static_cast<rte_mbuf*>(owner); });
    rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(count));
  }
}

bool Worker::Lane::hand_off(uint8_t worker, Side side, const Packet& packet) {
  auto* mbuf = static_cast<rte_mbuf*>(packet.owner);
  // parse() may have cut Ethernet padding off; the next worker starts from the same frame.
  set_frame(mbuf, {packet.owner, packet.data, packet.length});
  return handoffs_[worker_ * workers_ + worker]->push({mbuf, pair_, side, packet.joined});
}

}  // namespace gmesp::dataplane
