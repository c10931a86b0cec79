// Both packet journeys of one worker, on bytes: parse, classify, look up, one engine call for all
// jobs, finish, send.
//
// The pipeline knows no ports and no mbufs: packets come in as Packet, go out through PacketIo.
// Every packet given to process() is transmitted, handed off or released exactly once, and every
// one that is not delivered is counted under exactly one DropReason. A 3DES packet may wait for
// others over some calls: whoever has no packets calls with none while any are held.
//
// Threading: one pipeline per worker. The SaDatabase is shared; no reference into it outlives
// process(), so the caller may report a quiescent state after each call. Errors: none; nothing is
// allocated after construction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crypto/engine.h"
#include "crypto/iv_source.h"
#include "dataplane/ipsec/classify.h"
#include "dataplane/ipsec/esp_inbound.h"
#include "dataplane/ipsec/esp_outbound.h"
#include "dataplane/ipsec/notice.h"
#include "dataplane/ipsec/pending.h"
#include "dataplane/ipsec/reassembler.h"
#include "dataplane/ipsec/sa_database.h"
#include "dataplane/ipsec/screen.h"
#include "dataplane/ipsec/source_limiter.h"
#include "dataplane/ipsec/statistics.h"
#include "dataplane/ipsec/token_bucket.h"
#include "dataplane/ipsec/waiting_room.h"

namespace gmesp::ipsec {

/// A frame on its way out of the pipeline.
struct Outgoing {
  void* owner;
  uint8_t* data;
  uint32_t length;
};

/// What a pipeline needs from the world around it. Called per batch or on rare paths, never per
/// ordinary packet.
class PacketIo {
 public:
  virtual ~PacketIo() = default;
  /// Sends on a side's port, takes ownership of the first N packets, N returned.
  virtual uint32_t transmit(Side side, std::span<const Outgoing> packets) = 0;
  /// A buffer for a new frame of at least `bytes`; fills buffer, capacity and owner. False if there
  /// is none.
  virtual bool allocate(uint32_t bytes, Packet& packet) = 0;
  virtual void release(std::span<void* const> owners) = 0;
  void release(void* owner) { release({&owner, 1}); }
  /// Gives a packet to the worker that owns its SA or datagram. False if that worker's queue is
  /// full.
  virtual bool hand_off(uint8_t worker, Side side, const Packet& packet) = 0;
};

struct PipelineOptions {
  uint8_t worker = 0;
  uint8_t workers = 1;
  uint16_t access_mtu_bytes = 1500;
  uint16_t host_mtu_bytes = 1500;  ///< largest IP packet towards the host
  uint16_t encapsulation_port = 4500;
  uint32_t path_mtu_ipv4_min = 576;
  uint32_t path_mtu_ipv6_min = 1280;
  uint64_t clear_packets_per_second = 0;  ///< 0: no limit
  uint64_t icmp_errors_per_second = 1000;
  uint64_t audit_events_per_second = 100;  ///< per reason
  /// 0: no limit. Per source: an IPv4 address or an IPv6 /64.
  uint64_t fragments_per_second = 0;
  uint64_t fragments_per_source = 0;  ///< a second
  /// Unknown SPIs and wrong ICVs a second; a source with more is shed while we are overloaded.
  uint64_t esp_failures_per_source = 0;
  Screen* screen = nullptr;  ///< null: none; this worker's, outlives the pipeline
  ReassemblerOptions reassembly;
  InboundOptions inbound;
  OutboundOptions outbound;
  crypto::EngineChoice engine = crypto::EngineChoice::kAuto;
  /// 3DES packets of one direction that wait for each other; 0: as many as the engine wants.
  uint32_t company_packets = 0;
};

class Pipeline {
 public:
  /// The most packets that one call may carry, both sides together: the engine's batch.
  static constexpr uint32_t kPacketsMax = crypto::Engine::kJobsMax;
  /// Room in front of a frame that the pipeline makes itself: outer IPv6 header, UDP, ESP header,
  /// IV.
  static constexpr uint32_t kHeadroomBytes = 128;

  Pipeline(const PipelineOptions& options, SaDatabase& database, PacketIo& io);
  ~Pipeline();

  void process(std::span<Packet> from_access, std::span<Packet> from_host, uint64_t now_ms);
  uint32_t held_packets() const { return waiting_[0].count() + waiting_[1].count(); }
  /// Frees who still waits, when nobody will call process() any more.
  void drain();

  /// More comes in than this worker can take: from now on protected traffic and the host's goes
  /// first, and most of the clear traffic from the network is dropped.
  void set_overloaded(bool is_overloaded);
  bool is_overloaded() const { return is_overloaded_; }

  /// What an overloaded worker does with packets from the network before process(): most of a flood
  /// ends here, before anything is spent on it but a look at its first line. Returns how many are
  /// left, at the front and in their order.
  uint32_t shed(std::span<Packet> packets, uint64_t now_ms);

  /// Forgets overdue fragments, and keys that the engine still holds; call now and then also when
  /// idle.
  void expire(uint64_t now_ms);

  /// Frees a packet that never reached process(), or did and could not be sent, under its reason.
  void drop(const Packet& packet, Side side, DropReason reason);

  WorkerCounters& counters() { return counters_; }
  NoticeRing& notices() { return notices_; }
  const crypto::Engine& engine() const { return engine_; }

 private:
  /// A packet whose job is with the engine.
  struct Working {
    Packet* packet;
    InboundItem inbound;
    SaIndex sa;
    Side side;
    uint16_t mtu_bytes;    ///< outbound
    uint32_t clear_bytes;  ///< outbound: of the IP packet before ESP
  };
  struct Outbox {
    std::array<Outgoing, 256> packets;
    uint32_t count = 0;
  };

  bool takes_clear_credit();
  void tell_shed(Packet& packet);
  void drop_shed(std::span<void* const> owners);
  void admit(Packet& packet, Side side);
  void admit_fragment(Packet& packet, Side side);
  Packet* join(Packet& packet, Side side, Reassembler& reassembler, uint32_t context);
  bool take_fragment(Packet& packet);
  void admit_clear(Packet& packet, Side side);
  void pass_deferred_clear();
  void pass_clear(Packet& packet);
  bool passes_screen(const Packet& packet, Side from, SaIndex sa);
  void answer(const Packet& packet, uint16_t status);
  void tell_rule(const Packet& packet, uint32_t rule, SaIndex sa);
  void take_path_mtu(Packet& packet, const IcmpQuote& quote);
  void work();
  void work_off(WaitingRoom& room);
  void look_up();
  bool must_wait(const Pending& pending, SaIndex sa);
  bool own(Packet& packet, Side side, SaIndex sa);
  void start_inbound(const Pending& pending);
  void start_outbound(const Pending& pending);
  void lower_mss(Packet& packet, const SaIdentity& sa, uint16_t mtu_bytes);
  bool told_too_big(const Packet& packet, const SaIdentity& sa, uint16_t mtu_bytes);
  static void prefetch_for_checksum(const Working& working);
  void finish();
  void finish_inbound_item(Working& working, const crypto::CryptoJob& job);
  void finish_outbound_item(Working& working, const crypto::CryptoJob& job);
  void join_inner(Packet& packet, SaIndex sa);
  void deliver_inbound(Packet& packet, SaIndex sa);
  void report(const InboundNews& news, const Working& working);
  void send(Packet& packet, Side to, uint32_t mtu_bytes);
  void send_fragments(Packet& packet, Side to, uint32_t mtu_bytes);
  void put(Side to, void* owner, uint8_t* data, uint32_t length);
  void put_after_flush(Side to, void* owner, uint8_t* data, uint32_t length);
  void flush(Side to);
  void release_unproven_owners();
  void audit(const Packet& packet, DropReason reason, SaIndex sa, uint32_t sequence);
  bool may_audit(DropReason reason);
  void suppress_audit(DropReason reason, uint32_t count);
  uint32_t take_suppressed(DropReason reason);
  void tell_drop(const Packet& packet, DropReason reason, SaIndex sa, uint32_t sequence);
  void drop_for_sa(const Packet& packet, Side side, DropReason reason, SaIndex sa,
                   uint32_t sequence = 0);
  Notice notice_about(const Packet& packet, shm::EventKind kind, SaIndex sa) const;

  const PipelineOptions options_;
  SaDatabase& database_;
  PacketIo& io_;
  ClassifyOptions classify_options_;
  crypto::Engine engine_;
  crypto::IvSource iv_source_;
  /// Fragments from the network, and those we may trust: the host's and the decrypted ones. Apart,
  /// so that a flood of the first leaves room for the second; what may be joined with what is told
  /// apart by the context.
  Reassembler access_fragments_;
  Reassembler trusted_fragments_;
  TokenBucket clear_bucket_;
  /// What the network may tell us and what we tell the host: apart, so that forged errors do not
  /// silence our own.
  TokenBucket icmp_in_bucket_;
  TokenBucket icmp_out_bucket_;
  TokenBucket fragment_bucket_;
  SourceLimiter fragment_sources_;
  SourceLimiter failing_sources_;
  std::vector<TokenBucket> audit_buckets_;
  std::vector<uint32_t> audit_suppressed_;
  bool is_overloaded_ = false;
  uint64_t now_ms_ = 0;
  uint16_t ip_identification_ = 0;
  uint32_t fragment_identification_ = 0;

  std::array<Pending, kPacketsMax> pending_;
  uint32_t pending_count_ = 0;
  std::array<Working, kPacketsMax> working_;
  std::array<crypto::CryptoJob, kPacketsMax> jobs_;
  uint32_t working_count_ = 0;
  /// Joined datagrams of this call. A packet completes at most two: as it came, and deciphered;
  /// those that have waited are deciphered too.
  std::array<Packet, 3 * kPacketsMax> joined_;
  uint32_t joined_count_ = 0;
  /// Clear packets from the network wait until the protected ones of their burst are done.
  std::array<Packet*, kPacketsMax> clear_;
  uint32_t clear_count_ = 0;
  uint64_t clear_credit_ = 0;  ///< overloaded: packets received for which no clear one passed yet
  std::array<SaIndex, kPacketsMax> unproven_;
  uint32_t unproven_count_ = 0;
  WaitingRoom waiting_[2];  ///< by Side
  Outbox outbox_[2];
  WorkerCounters counters_;
  NoticeRing notices_;
};

}  // namespace gmesp::ipsec
