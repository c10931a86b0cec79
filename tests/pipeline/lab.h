// A Pipeline on an in-memory PacketIo that keeps the books: every buffer is exactly as large as the
// product demands, so that a sanitizer sees every byte too far, and every packet that goes in must
// come out by exactly one door.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/ipsec/intake.h"
#include "dataplane/ipsec/pipeline.h"
#include "registration.h"

namespace gmesp::test {

struct LabOptions {
  ipsec::PipelineOptions pipeline;
  ipsec::SaDatabaseOptions database;
  std::shared_ptr<void> owned = nullptr;  ///< what `pipeline` points to
  /// What stands before and behind a received frame: what gmespd demands of its buffers.
  uint32_t headroom_bytes = ipsec::Pipeline::kHeadroomBytes;
  uint32_t tailroom_bytes = 64;
  LabOptions();
};

struct Sent {
  ipsec::Side to;
  Bytes frame;
};

struct HandedTo {
  uint8_t worker;
  ipsec::Side side;
  Bytes frame;
  bool joined;
};

class Lab final : public ipsec::PacketIo {
 public:
  explicit Lab(const LabOptions& options = {});
  /// A second pipeline on the first one's SAs.
  Lab(const LabOptions& options, Lab& other);
  ~Lab() override;

  /// Installs and expects success. Returns the set id.
  uint64_t install(const Registration& registration);
  /// Unpublishes and reclaims; no worker runs between calls of process().
  void remove(uint64_t set_id);

  /// One call of the pipeline with these frames, and one with none if some wait for company, as an
  /// idle worker makes it; checks the books afterwards.
  std::vector<Sent> process(const std::vector<Bytes>& access, const std::vector<Bytes>& host);
  /// One call and no more: packets may wait.
  std::vector<Sent> call(const std::vector<Bytes>& access, const std::vector<Bytes>& host);
  /// What a worker does that stops.
  void drain();
  std::vector<Sent> from_network(const Bytes& frame) { return process({frame}, {}); }
  std::vector<Sent> from_host(const Bytes& frame) { return process({}, {frame}); }
  /// One poll of a worker. `next` takes the next frame of its receive queue, if there is one; the
  /// driver gives so many at most at once.
  std::vector<Sent> poll(ipsec::Intake& intake, const std::function<bool(Bytes&)>& next,
                         size_t driver_burst = SIZE_MAX);
  /// What another worker handed over.
  std::vector<Sent> take(const HandedTo& handed);
  /// For drops outside process(): checks the books too.
  void drop(const Bytes& frame, ipsec::Side side, ipsec::DropReason reason);

  ipsec::SaDatabase& database() { return *database_; }
  ipsec::Pipeline& pipeline() { return *pipeline_; }
  ipsec::SaHot& hot(uint64_t set_id, shm::SaRole role);
  shm::SetView view(uint64_t set_id);

  uint64_t count(ipsec::DropReason reason) { return pipeline_->counters().get(reason); }
  uint64_t count(ipsec::Statistic statistic) { return pipeline_->counters().get(statistic); }
  uint64_t dropped();
  /// "icv_wrong 1, replay_old 2": every reason that was counted so far.
  std::string drops();
  /// Notices since the last call.
  std::vector<ipsec::Notice> notices();
  std::vector<ipsec::Notice> notices(shm::EventKind kind);
  std::vector<HandedTo> handed_over();

  /// Packets that are neither delivered nor dropped: fragments that wait for others, and packets
  /// that wait for company.
  int64_t waiting();
  /// What the control thread does with learned ports and too-big messages (RFC 4301 8.2).
  void obey_notices();

  uint64_t now_ms = 5'000'000;
  uint32_t transmit_room = UINT32_MAX;  ///< frames the ports take from now on
  uint32_t allocate_room = UINT32_MAX;  ///< buffers left from now on
  bool hand_off_refused = false;
  /// The device says of the next frames that it checked their L4 checksum.
  bool device_trusts_checksums = false;

  uint32_t transmit(ipsec::Side side, std::span<const ipsec::Outgoing> packets) override;
  bool allocate(uint32_t bytes, ipsec::Packet& packet) override;
  using PacketIo::release;
  void release(std::span<void* const> owners) override;
  bool hand_off(uint8_t worker, ipsec::Side side, const ipsec::Packet& packet) override;

 private:
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  struct Buffer {
    std::unique_ptr<uint8_t, Free> memory;
    uint32_t capacity;
  };

  std::vector<Sent> run(std::vector<ipsec::Packet> access, std::vector<ipsec::Packet> host);
  std::vector<ipsec::Packet> make_packets(const std::vector<Bytes>& frames);
  ipsec::Packet make_packet(const Bytes& frame);
  ipsec::Packet make_buffer(uint32_t capacity);
  bool is_live(void* owner) { return live_.contains(owner); }
  void settle(size_t received = 0);

  const LabOptions options_;
  std::unique_ptr<ipsec::SaDatabase> own_database_;
  ipsec::SaDatabase* database_;
  std::unordered_map<void*, Buffer> live_;
  uintptr_t last_owner_ = 0;
  std::vector<Sent> sent_;
  std::vector<HandedTo> handed_over_;
  uint64_t frames_sent_ = 0;
  uint64_t dropped_unprocessed_ = 0;
  std::unique_ptr<ipsec::Pipeline> pipeline_;
};

/// The single frame that went to `side`, which must be the only one sent; empty otherwise, with a
/// test failure.
Bytes only(const std::vector<Sent>& sent, ipsec::Side side);
/// All frames that went to `side`.
std::vector<Bytes> to(const std::vector<Sent>& sent, ipsec::Side side);
/// The IP packet in a frame; empty if there is none.
Bytes packet_in(const Bytes& frame);

}  // namespace gmesp::test
