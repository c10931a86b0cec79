// Frames made ahead for one trial: random users, fresh sequence numbers, marked with their place in
// the store.
//
// Sequence numbers go on from trial to trial. Threading: one thread. Errors: std::runtime_error
// when memory or sequence numbers run out.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "crypto/engine.h"
#include "frame.h"
#include "subscriber.h"

namespace gmesp::bench {

enum class Way : uint8_t { kUplink, kDownlink, kBoth };  ///< kBoth: in turn

struct FrameStoreOptions {
  SubscriberOptions subscribers;
  uint32_t ues = 1000;
  uint32_t first_ue = 0;
  bool uses_one_sa = false;    ///< of each UE and direction, not both
  bool are_alike = false;      ///< the same mark, and IVs that make the same ciphered text
  uint32_t sequence_from = 1;  ///< of every inbound SA
  uint64_t seed = 1;
};

class FrameStore {
 public:
  explicit FrameStore(const FrameStoreOptions& options);

  /// Replaces all frames by `count` new ones.
  void make(uint32_t count, Way way, uint32_t ip_bytes);

  uint32_t count() const { return static_cast<uint32_t>(frames_.size()); }
  std::span<const uint8_t> frame(uint32_t at) const {
    return {bytes_.get() + size_t{at} * slot_bytes_, frames_[at].bytes};
  }
  bool is_uplink(uint32_t at) const { return frames_[at].is_uplink; }
  uint32_t ue(uint32_t at) const { return frames_[at].ue; }
  /// No frame yet had this sequence number or a higher one.
  uint32_t sequence_end() const;

  /// Deciphers what came back for the UE, in place. False: not sealed by its SA.
  bool open(uint8_t* frame, uint32_t frame_bytes, uint64_t& mark);

 private:
  struct Frame {
    uint32_t ue;
    uint16_t bytes;
    bool is_uplink;
  };
  struct Free {
    void operator()(uint8_t* bytes) const noexcept;
  };

  void reserve(uint32_t count, uint32_t ip_bytes);
  void seal();
  uint32_t next_sequence(uint32_t ue, UeSide side);

  const FrameStoreOptions options_;
  std::vector<crypto::SaKeys> keys_;     ///< by UE, from first_ue on
  std::vector<uint32_t> next_sequence_;  ///< by UE and side
  std::unique_ptr<uint8_t[], Free> bytes_;
  size_t reserved_bytes_ = 0;
  uint32_t slot_bytes_ = 0;
  std::vector<Frame> frames_;
  std::vector<crypto::CryptoJob> jobs_;
  crypto::Engine engine_;
  std::mt19937_64 random_;
};

}  // namespace gmesp::bench
