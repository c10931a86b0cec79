// Several workers as gmespd runs them: a Pipeline each on one SaDatabase, with hand-off rings
// between all of them; ports are lists of frames.
//
// Threading: each member belongs to one thread at a time; rings connect them.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/ipsec/handoff.h"
#include "lab.h"

namespace gmesp::test {

class Crew {
 public:
  class Member;

  Crew(const LabOptions& options, uint8_t workers);
  ~Crew();

  ipsec::SaDatabase& database() { return database_; }
  Member& member(uint8_t worker) { return *members_[worker]; }
  uint8_t size() const { return static_cast<uint8_t>(members_.size()); }
  /// Sum over all workers.
  uint64_t count(ipsec::DropReason reason) const;
  uint64_t count(ipsec::Statistic statistic) const;
  uint64_t dropped() const;
  /// Every member in its own thread: `feed(member)` gives the next frames until it gives none;
  /// then all run until no packet is under way any more.
  struct Batch {
    std::vector<Bytes> from_network;
    std::vector<Bytes> from_host;
    bool is_empty() const { return from_network.empty() && from_host.empty(); }
  };
  void run(const std::function<Batch(uint8_t worker)>& feed);

 private:
  ipsec::SaDatabase database_;
  std::vector<std::unique_ptr<ipsec::HandoffRing>> rings_;  ///< [from * workers + to]
  std::vector<std::unique_ptr<Member>> members_;
};

class Crew::Member final : public ipsec::PacketIo {
 public:
  Member(const LabOptions& options, uint8_t worker, uint8_t workers, Crew& crew);

  void process(const Batch& batch);
  /// Runs what others handed over, or, if they did not, what waits for company. Returns how many
  /// packets were handed over.
  uint32_t take_handed_over();
  ipsec::Pipeline& pipeline() { return pipeline_; }

  std::vector<Sent> sent;  ///< by this member; the caller empties it
  uint64_t fed = 0;
  int64_t buffers = 0;  ///< made here minus given away or freed here
  uint64_t now_ms = 5'000'000;

  uint32_t transmit(ipsec::Side side, std::span<const ipsec::Outgoing> packets) override;
  bool allocate(uint32_t bytes, ipsec::Packet& packet) override;
  using PacketIo::release;
  void release(std::span<void* const> owners) override;
  bool hand_off(uint8_t worker, ipsec::Side side, const ipsec::Packet& packet) override;

 private:
  /// What an owner points to.
  struct Buffer;
  ipsec::Packet packet_in(Buffer& buffer) const;
  std::vector<ipsec::Packet> packets_of(const std::vector<Bytes>& frames);

  const uint8_t worker_;
  const uint8_t workers_;
  Crew& crew_;
  ipsec::Pipeline pipeline_;
};

}  // namespace gmesp::test
