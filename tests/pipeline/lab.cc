#include "lab.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "dissection.h"

namespace gmesp::test {

using ipsec::DropReason;
using ipsec::Packet;
using ipsec::Side;
using ipsec::Statistic;

LabOptions::LabOptions() {
  database.capacity_sets = 256;
  database.protected_ports.add(kServerPort);
  for (const uint16_t port : kClientPorts) database.protected_ports.add(port);
  pipeline.reassembly.datagrams_max = 64;
  pipeline.company_packets = 16;  // whatever this CPU's engine wants
}

Lab::Lab(const LabOptions& options)
    : options_(options),
      own_database_(std::make_unique<ipsec::SaDatabase>(options.database)),
      database_(own_database_.get()),
      pipeline_(std::make_unique<ipsec::Pipeline>(options.pipeline, *database_, *this)) {}

Lab::Lab(const LabOptions& options, Lab& other)
    : options_(options),
      database_(other.database_),
      pipeline_(std::make_unique<ipsec::Pipeline>(options.pipeline, *database_, *this)) {}

Lab::~Lab() = default;

uint64_t Lab::install(const Registration& registration) {
  uint64_t set_id = 0;
  std::string detail;
  const shm::Status status = database_->install(registration.record(), now_ms, set_id, detail);
  EXPECT_EQ(status, shm::Status::kOk) << kind(registration) << ": " << detail;
  return set_id;
}

void Lab::remove(uint64_t set_id) {
  EXPECT_EQ(database_->unpublish(set_id), shm::Status::kOk);
  database_->reclaim(static_cast<ipsec::SetIndex>(set_id));
}

std::vector<Sent> Lab::process(const std::vector<Bytes>& access, const std::vector<Bytes>& host) {
  return run(make_packets(access), make_packets(host));
}

std::vector<Sent> Lab::call(const std::vector<Bytes>& access, const std::vector<Bytes>& host) {
  std::vector<Packet> from_access = make_packets(access), from_host = make_packets(host);
  pipeline_->process(from_access, from_host, now_ms);
  settle();
  return std::exchange(sent_, {});
}

void Lab::drain() {
  pipeline_->drain();
  settle();
}

std::vector<Sent> Lab::poll(ipsec::Intake& intake, const std::function<bool(Bytes&)>& next,
                            size_t driver_burst) {
  const auto receive = [&](std::span<Packet> room) {
    uint32_t count = 0;
    for (Bytes frame; count < std::min(room.size(), driver_burst) && next(frame); ++count)
      room[count] = make_packet(frame);
    return count;
  };
  pipeline_->process(intake.next(*pipeline_, now_ms, receive, intake.burst_packets()), {}, now_ms);
  settle(intake.waiting());
  return std::exchange(sent_, {});
}

std::vector<Sent> Lab::take(const HandedTo& handed) {
  Packet packet = make_packet(handed.frame);
  packet.joined = handed.joined;
  if (handed.side == Side::kAccess) return run({packet}, {});
  return run({}, {packet});
}

std::vector<Sent> Lab::run(std::vector<Packet> access, std::vector<Packet> host) {
  if (pipeline_->is_overloaded()) access.resize(pipeline_->shed(access, now_ms));
  pipeline_->process(access, host, now_ms);
  if (pipeline_->held_packets() != 0) pipeline_->process({}, {}, now_ms);
  settle();
  return std::exchange(sent_, {});
}

void Lab::drop(const Bytes& frame, Side side, DropReason reason) {
  const Packet packet = make_packet(frame);
  ++dropped_unprocessed_;
  pipeline_->drop(packet, side, reason);
  settle();
}

ipsec::SaHot& Lab::hot(uint64_t set_id, shm::SaRole role) {
  const auto set = static_cast<ipsec::SetIndex>(set_id);
  return database_->hot(set * ipsec::kSasPerSet + static_cast<uint32_t>(role));
}

shm::SetView Lab::view(uint64_t set_id) {
  shm::SetView view{};
  EXPECT_EQ(database_->view(set_id, view), shm::Status::kOk);
  return view;
}

uint64_t Lab::dropped() {
  uint64_t total = 0;
  for (uint32_t row = 1; row <= ipsec::kDropReasonCount; ++row)
    total += count(static_cast<DropReason>(row));
  return total;
}

std::string Lab::drops() {
  std::string text;
  for (uint32_t row = 1; row <= ipsec::kDropReasonCount; ++row) {
    const auto reason = static_cast<DropReason>(row);
    if (count(reason) == 0) continue;
    if (!text.empty()) text += ", ";
    text += std::string(ipsec::info(reason).name) + " " + std::to_string(count(reason));
  }
  return text;
}

std::vector<ipsec::Notice> Lab::notices() {
  std::vector<ipsec::Notice> all;
  ipsec::Notice notice;
  while (pipeline_->notices().pop(notice)) all.push_back(notice);
  return all;
}

std::vector<ipsec::Notice> Lab::notices(shm::EventKind kind) {
  std::vector<ipsec::Notice> chosen;
  for (const ipsec::Notice& notice : notices())
    if (notice.kind == kind) chosen.push_back(notice);
  return chosen;
}

std::vector<HandedTo> Lab::handed_over() {
  return std::exchange(handed_over_, {});
}

void Lab::obey_notices() {
  for (const ipsec::Notice& notice : notices()) {
    uint64_t cookie = 0;
    if (notice.kind == shm::EventKind::kPeerPortLearned)
      database_->note_peer_port(database_->live_set_id(ipsec::set_of(notice.sa), cookie));
    if (notice.kind != shm::EventKind::kPathMtuLearned) continue;
    const ipsec::SaIndex sa =
        notice.spi != 0
            ? database_->find_outbound_by_spi(notice.spi, notice.destination)
            : database_->find_outbound_by_peer_port(notice.destination, notice.destination_port);
    if (sa == ipsec::kNoSa) continue;
    const uint64_t set_id = database_->live_set_id(ipsec::set_of(sa), cookie);
    database_->set_path_mtu(set_id, static_cast<uint16_t>(notice.value), now_ms + 600'000);
  }
}

Packet Lab::make_buffer(uint32_t capacity) {
  Packet packet{};
  packet.buffer = static_cast<uint8_t*>(std::malloc(capacity));
  // What nobody wrote must be told apart from what the product zeroed.
  std::memset(packet.buffer, 0xa5, capacity);
  packet.data = packet.buffer;
  packet.capacity = capacity;
  packet.owner = reinterpret_cast<void*>(++last_owner_);
  live_[packet.owner] = {std::unique_ptr<uint8_t, Free>(packet.buffer), capacity};
  return packet;
}

std::vector<Packet> Lab::make_packets(const std::vector<Bytes>& frames) {
  std::vector<Packet> packets;
  for (const Bytes& frame : frames) packets.push_back(make_packet(frame));
  return packets;
}

Packet Lab::make_packet(const Bytes& frame) {
  const auto bytes = static_cast<uint32_t>(frame.size());
  Packet packet = make_buffer(options_.headroom_bytes + bytes + options_.tailroom_bytes);
  packet.data = packet.buffer + options_.headroom_bytes;
  packet.length = bytes;
  if (bytes != 0) std::memcpy(packet.data, frame.data(), bytes);
  packet.l4_checksum_trusted = device_trusts_checksums;
  return packet;
}

uint32_t Lab::transmit(Side side, std::span<const ipsec::Outgoing> packets) {
  uint32_t taken = 0;
  for (const ipsec::Outgoing& packet : packets) {
    if (transmit_room == 0) break;
    if (transmit_room != UINT32_MAX) --transmit_room;
    ++taken;
    ++frames_sent_;
    const auto buffer = live_.find(packet.owner);
    if (buffer == live_.end()) {
      ADD_FAILURE() << "transmitted a packet that is not the pipeline's";
      continue;
    }
    const uint8_t* begin = buffer->second.memory.get();
    const bool is_inside = packet.data >= begin && packet.length <= buffer->second.capacity &&
                           packet.data + packet.length <= begin + buffer->second.capacity;
    EXPECT_TRUE(is_inside) << "transmitted frame lies outside its buffer";
    if (is_inside) sent_.push_back({side, {packet.data, packet.data + packet.length}});
    live_.erase(buffer);
  }
  return taken;
}

bool Lab::allocate(uint32_t bytes, Packet& packet) {
  if (allocate_room == 0) return false;
  if (allocate_room != UINT32_MAX) --allocate_room;
  packet = make_buffer(bytes);
  return true;
}

void Lab::release(std::span<void* const> owners) {
  for (void* owner : owners) {
    EXPECT_TRUE(is_live(owner)) << "released a packet that is not the pipeline's";
    live_.erase(owner);
  }
}

bool Lab::hand_off(uint8_t worker, Side side, const Packet& packet) {
  EXPECT_NE(worker, options_.pipeline.worker) << "handed to itself";
  EXPECT_LT(worker, options_.pipeline.workers);
  if (hand_off_refused) return false;
  EXPECT_TRUE(is_live(packet.owner)) << "handed over a packet that is not the pipeline's";
  handed_over_.push_back({worker, side, {packet.data, packet.data + packet.length}, packet.joined});
  live_.erase(packet.owner);
  return true;
}

int64_t Lab::waiting() {
  const uint64_t in = count(Statistic::kAccessPackets) + count(Statistic::kHostPackets) +
                      dropped_unprocessed_ + count(Statistic::kDatagramsJoined) -
                      count(Statistic::kFragmentsJoined);
  const uint64_t made = count(Statistic::kTooBigSent) + count(Statistic::kSipReplies) +
                        count(Statistic::kFragmentsOut) - count(Statistic::kDatagramsCut);
  const uint64_t out = frames_sent_ - made + dropped() + count(Statistic::kHandedOff);
  return static_cast<int64_t>(in - out);
}

/// `received`: packets that did not reach the pipeline yet.
void Lab::settle(size_t received) {
  const size_t held = received + pipeline_->held_packets();
  EXPECT_EQ(live_.size(), held) << "packets neither sent, released nor handed over";
  if (held == 0) live_.clear();
  EXPECT_GE(waiting(), 0) << "more went out than came in; drops: " << drops();
}

Bytes only(const std::vector<Sent>& sent, Side side) {
  EXPECT_EQ(sent.size(), 1u);
  if (sent.size() != 1) return {};
  EXPECT_EQ(static_cast<int>(sent.front().to), static_cast<int>(side));
  return sent.front().to == side ? sent.front().frame : Bytes{};
}

std::vector<Bytes> to(const std::vector<Sent>& sent, Side side) {
  std::vector<Bytes> frames;
  for (const Sent& one : sent)
    if (one.to == side) frames.push_back(one.frame);
  return frames;
}

Bytes packet_in(const Bytes& frame) {
  const std::optional<Dissection> seen = dissect(frame);
  return seen ? seen->packet : Bytes{};
}

}  // namespace gmesp::test
