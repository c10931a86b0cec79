#include "dataplane/worker.h"

#include <sched.h>
#include <time.h>

#include "dataplane/lane.h"
#include "dataplane/pipeline_options.h"

namespace gmesp::dataplane {

using ipsec::DropReason;
using ipsec::HandedOff;
using ipsec::Side;

Worker::Worker(const Config& config, uint32_t index, uint32_t workers,
               std::vector<PairQueues> pairs, ipsec::SaDatabase& database,
               const screen::SignatureSwap& rules, Buffers& buffers, HandoffMatrix& handoffs,
               rte_rcu_qsbr* readers)
    : index_(index),
      workers_(workers),
      settings_(config.workers),
      handoffs_(handoffs),
      readers_(readers) {
  if (config.screen.enabled)
    gate_ = std::make_unique<gate::SipGate>(gate_options(config, index), rules);
  for (uint32_t pair = 0; pair < pairs.size(); ++pair) {
    ipsec::PipelineOptions options = pipeline_options(
        config, index, workers, pairs[pair].access_mtu_bytes, pairs[pair].host_mtu_bytes);
    options.screen = gate_.get();
    lanes_.push_back(std::make_unique<Lane>(
        pair, pairs[pair], options,
        ipsec::IntakeOptions{config.workers.burst_packets, config.limits.overload_packets},
        database, buffers, handoffs));
  }
}

Worker::~Worker() = default;

ipsec::Pipeline& Worker::pipeline(uint32_t pair) {
  return lanes_[pair]->pipeline();
}

void Worker::run() {
  rte_rcu_qsbr_thread_register(readers_, index_);
  rte_rcu_qsbr_thread_online(readers_, index_);
  while (!stopping_.load(std::memory_order_relaxed)) turn();
  rte_rcu_qsbr_thread_offline(readers_, index_);
  rte_rcu_qsbr_thread_unregister(readers_, index_);
  has_returned_.store(true, std::memory_order_release);
  has_returned_.notify_one();
}

uint32_t Worker::turn() {
  const uint32_t packets = poll();
  // No reference into the SA database is held here: removed sets may be reclaimed.
  rte_rcu_qsbr_quiescent(readers_, index_);
  if (packets != 0)
    empty_polls_ = 0;
  else if (++empty_polls_ >= settings_.idle_after_polls)
    idle();
  return packets;
}

uint32_t Worker::poll() {
  const uint64_t now_ms = clock_.now_ms();
  uint32_t packets = 0;
  for (auto& lane : lanes_) packets += lane->poll(now_ms);
  if (workers_ > 1) packets += take_handed_off();
  constexpr uint32_t kPollsPerExpiry = 4096;
  if (++polls_ % kPollsPerExpiry == 0) expire();
  return packets;
}

void Worker::expire() {
  const uint64_t now_ms = clock_.now_ms();
  for (auto& lane : lanes_) lane->pipeline().expire(now_ms);
}

uint32_t Worker::take_handed_off() {
  const uint64_t now_ms = clock_.now_ms();
  uint32_t packets = 0;
  HandedOff entry;
  for (uint32_t from = 0; from < workers_; ++from) {
    ipsec::HandoffRing& ring = *handoffs_[from * workers_ + index_];
    for (uint32_t n = 0; n < ipsec::Pipeline::kPacketsMax && ring.pop(entry); ++n) {
      Lane& lane = *lanes_[entry.pair];
      if (lane.full()) lane.process_handed_off(now_ms);
      lane.take(entry);
      ++packets;
    }
  }
  for (auto& lane : lanes_) lane->process_handed_off(now_ms);
  return packets;
}

/// Nothing to do: give the core away for a moment, and never hold up a grace period meanwhile.
void Worker::idle() {
  expire();
  if (settings_.idle == Config::Idle::kPoll) {
    empty_polls_ = 0;
    return;
  }
  rte_rcu_qsbr_thread_offline(readers_, index_);
  if (settings_.idle == Config::Idle::kSleep) {
    const timespec pause = {0, static_cast<long>(settings_.idle_sleep_us) * 1000};
    nanosleep(&pause, nullptr);
  } else {
    sched_yield();
  }
  rte_rcu_qsbr_thread_online(readers_, index_);
}

void Worker::drain() {
  has_returned_.wait(false, std::memory_order_acquire);
  for (auto& lane : lanes_) lane->drain();
  HandedOff entry;
  for (uint32_t from = 0; from < workers_; ++from)
    while (handoffs_[from * workers_ + index_]->pop(entry)) {
      ipsec::Packet packet{};
      packet.owner = entry.owner;
      lanes_[entry.pair]->pipeline().drop(packet, entry.side, DropReason::kShutDown);
    }
}

}  // namespace gmesp::dataplane
