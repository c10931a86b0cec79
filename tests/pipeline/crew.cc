#include "crew.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace gmesp::test {

using ipsec::DropReason;
using ipsec::Packet;
using ipsec::Side;
using ipsec::Statistic;

namespace {

ipsec::PipelineOptions options_of(const LabOptions& options, uint8_t worker, uint8_t workers) {
  ipsec::PipelineOptions made = options.pipeline;
  made.worker = worker;
  made.workers = workers;
  return made;
}

}  // namespace

Crew::Crew(const LabOptions& options, uint8_t workers) : database_(options.database) {
  for (uint32_t ring = 0; ring < uint32_t{workers} * workers; ++ring)
    rings_.push_back(std::make_unique<ipsec::HandoffRing>());
  for (uint8_t worker = 0; worker < workers; ++worker)
    members_.push_back(std::make_unique<Member>(options, worker, workers, *this));
}

Crew::~Crew() = default;

uint64_t Crew::count(DropReason reason) const {
  uint64_t total = 0;
  for (const auto& member : members_) total += member->pipeline().counters().get(reason);
  return total;
}

uint64_t Crew::count(Statistic statistic) const {
  uint64_t total = 0;
  for (const auto& member : members_) total += member->pipeline().counters().get(statistic);
  return total;
}

uint64_t Crew::dropped() const {
  uint64_t total = 0;
  for (uint32_t row = 1; row <= ipsec::kDropReasonCount; ++row)
    total += count(static_cast<DropReason>(row));
  return total;
}

void Crew::run(const std::function<Batch(uint8_t)>& feed) {
  std::atomic<uint32_t> finished{0};
  std::vector<std::thread> threads;
  for (uint8_t worker = 0; worker < size(); ++worker)
    threads.emplace_back([&, worker] {
      Member& me = member(worker);
      for (Batch batch = feed(worker); !batch.is_empty(); batch = feed(worker)) {
        me.process(batch);
        me.take_handed_over();
      }
      ++finished;
      while (finished.load() < size())
        if (me.take_handed_over() == 0) std::this_thread::yield();
    });
  for (std::thread& thread : threads) thread.join();
  // A packet may be handed on a few times.
  for (uint32_t taken = 1; taken != 0;) {
    taken = 0;
    for (uint8_t worker = 0; worker < size(); ++worker) taken += member(worker).take_handed_over();
  }
}

struct Crew::Member::Buffer {
  uint32_t capacity;
  uint32_t offset;
  uint32_t length;
  uint8_t bytes[1];

  static Buffer* make(uint32_t capacity) {
    auto* buffer = static_cast<Buffer*>(std::malloc(offsetof(Buffer, bytes) + capacity));
    buffer->capacity = capacity;
    buffer->offset = buffer->length = 0;
    return buffer;
  }
};

Crew::Member::Member(const LabOptions& options, uint8_t worker, uint8_t workers, Crew& crew)
    : worker_(worker),
      workers_(workers),
      crew_(crew),
      pipeline_(options_of(options, worker, workers), crew.database_, *this) {}

Packet Crew::Member::packet_in(Buffer& buffer) const {
  Packet packet{};
  packet.buffer = buffer.bytes;
  packet.data = buffer.bytes + buffer.offset;
  packet.capacity = buffer.capacity;
  packet.length = buffer.length;
  packet.owner = &buffer;
  return packet;
}

std::vector<Packet> Crew::Member::packets_of(const std::vector<Bytes>& frames) {
  constexpr uint32_t kTailroomBytes = 64;
  std::vector<Packet> packets;
  for (const Bytes& frame : frames) {
    const auto bytes = static_cast<uint32_t>(frame.size());
    Buffer* buffer = Buffer::make(ipsec::Pipeline::kHeadroomBytes + bytes + kTailroomBytes);
    buffer->offset = ipsec::Pipeline::kHeadroomBytes;
    buffer->length = bytes;
    std::memcpy(buffer->bytes + buffer->offset, frame.data(), bytes);
    packets.push_back(packet_in(*buffer));
    ++buffers;
  }
  return packets;
}

void Crew::Member::process(const Batch& batch) {
  std::vector<Packet> access = packets_of(batch.from_network);
  std::vector<Packet> host = packets_of(batch.from_host);
  fed += access.size() + host.size();
  pipeline_.process(access, host, now_ms);
}

uint32_t Crew::Member::take_handed_over() {
  std::vector<Packet> packets[2];
  ipsec::HandedOff entry;
  for (uint8_t from = 0; from < workers_; ++from) {
    ipsec::HandoffRing& ring = *crew_.rings_[from * workers_ + worker_];
    while (packets[0].size() + packets[1].size() < ipsec::Pipeline::kPacketsMax &&
           ring.pop(entry)) {
      Packet packet = packet_in(*static_cast<Buffer*>(entry.owner));
      packet.joined = entry.joined;
      packets[static_cast<size_t>(entry.side)].push_back(packet);
    }
  }
  const auto taken = static_cast<uint32_t>(packets[0].size() + packets[1].size());
  if (taken == 0 && pipeline_.held_packets() == 0) return 0;
  buffers += taken;
  pipeline_.process(packets[0], packets[1], now_ms);
  return taken;
}

uint32_t Crew::Member::transmit(Side side, std::span<const ipsec::Outgoing> packets) {
  for (const ipsec::Outgoing& packet : packets) {
    sent.push_back({side, {packet.data, packet.data + packet.length}});
    release(packet.owner);
  }
  return static_cast<uint32_t>(packets.size());
}

bool Crew::Member::allocate(uint32_t bytes, Packet& packet) {
  packet = packet_in(*Buffer::make(bytes));
  ++buffers;
  return true;
}

void Crew::Member::release(std::span<void* const> owners) {
  for (void* owner : owners) {
    --buffers;
    std::free(owner);
  }
}

bool Crew::Member::hand_off(uint8_t worker, Side side, const Packet& packet) {
  auto* buffer = static_cast<Buffer*>(packet.owner);
  buffer->offset = static_cast<uint32_t>(packet.data - buffer->bytes);
  buffer->length = packet.length;
  if (!crew_.rings_[worker_ * workers_ + worker]->push({buffer, 0, side, packet.joined}))
    return false;
  --buffers;
  return true;
}

}  // namespace gmesp::test
