// UEs of one kind with a worker of gmespd that serves them, and rounds of their packets through it
// and through the bare library.
//
// For every packet a UE is drawn, and one of the two SAs that it has in the packet's direction.
// Packets are made anew for every round, with fresh sequence numbers, outside the measured time.
// Threading: one thread, that of the ports. Ownership: the ports outlive it; several may share
// them. Errors: std::runtime_error when a set is refused or a packet is lost.
#pragma once

#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include <cstdint>
#include <span>
#include <vector>

#include "bare_ipsec_mb.h"
#include "crypto/engine.h"
#include "crypto/ipsec_mb_manager.h"
#include "crypto/openssl_engine.h"
#include "dataplane/worker.h"
#include "memory_ports.h"
#include "phones.h"
#include "ue_draw.h"

namespace gmesp::bench {

enum class Traffic : uint8_t { kIn, kOut, kMixed };  ///< ESP in, ESP out, half of each

/// Nanoseconds per packet of one round.
struct Round {
  double whole_ns;    ///< in the worker's loop, from a port in memory to another
  double bare_ns;     ///< the library alone, each burst as it comes from memory, like the worker's
  double fastest_ns;  ///< the same by the library's fastest calls
  double ciphering_ns;  ///< our engine on packets that are in the cache

  double beyond_ns() const { return whole_ns - ciphering_ns; }
};

class Population {
 public:
  static constexpr uint32_t kRoundPackets = MemoryPorts::kPacketsMax;

  Population(MemoryPorts& ports, const PhoneOptions& options, DrawKind draw);

  const PhoneOptions& options() const { return options_; }
  /// `ip_bytes`: of the clear packet.
  Round round(uint32_t ip_bytes, Traffic traffic);

 private:
  /// The quiescent states of one worker; nobody waits for them here.
  class Reader {
   public:
    Reader();
    rte_rcu_qsbr* get() { return state_; }

   private:
    alignas(RTE_CACHE_LINE_SIZE) uint8_t memory_[4096];
    rte_rcu_qsbr* const state_ = reinterpret_cast<rte_rcu_qsbr*>(memory_);
  };

  struct Load {
    uint32_t ip_bytes;
    Traffic traffic;

    bool is_inbound(uint32_t at) const;
  };

  void make_packets(const Load& load, UeDraw& draw, bool are_all_esp);
  void make_jobs(const Load& load);
  void release_packets();
  std::vector<std::span<crypto::CryptoJob>> batches(Traffic traffic);
  double run_worker(const Load& load);
  double run_bare(const Load& load, bool (*run)(IMB_MGR*, std::span<crypto::CryptoJob>));
  double run_engine(const Load& load);
  double ns_per_packet(uint64_t ticks) const;

  const PhoneOptions options_;
  const double ticks_per_ns_;
  MemoryPorts& ports_;
  Phones phones_;
  ipsec::SaDatabase database_;
  UeDraw draw_, few_draw_;
  Reader reader_;
  screen::SignatureSwap no_rules_;
  dataplane::HandoffMatrix no_handoffs_;
  dataplane::Worker worker_;
  crypto::Manager manager_;
  crypto::OpenSslEngine openssl_;
  crypto::Engine engine_;
  std::vector<rte_mbuf*> packets_ = std::vector<rte_mbuf*>(kRoundPackets);
  std::vector<uint32_t> esp_offsets_ = std::vector<uint32_t>(kRoundPackets);
  std::vector<uint32_t> ues_ = std::vector<uint32_t>(kRoundPackets);
  std::vector<ReadyKeys> keys_;
  std::vector<crypto::CryptoJob> jobs_ = std::vector<crypto::CryptoJob>(kRoundPackets);
};

}  // namespace gmesp::bench
