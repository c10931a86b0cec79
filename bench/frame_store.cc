#include "frame_store.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "dataplane/ipsec/byte_order.h"

namespace gmesp::bench {
namespace {

constexpr uint32_t kCacheLineBytes = 64;
constexpr size_t kHugePageBytes = 2 << 20;
/// Ethernet, IPv6, UDP, SPI, sequence number, IV, pad, trailer and ICV beside the inner packet.
constexpr uint32_t kOverheadBytesMax = 14 + 40 + 8 + 8 + 16 + 17 + crypto::kIcvBytes;
static_assert(kIpBytesMax + kOverheadBytesMax <= kFrameBytesMax);

}  // namespace

void FrameStore::Free::operator()(uint8_t* bytes) const noexcept {
  std::free(bytes);
}

FrameStore::FrameStore(const FrameStoreOptions& options)
    : options_(options),
      keys_(options.ues),
      next_sequence_(size_t{options.ues} * 2, options.sequence_from),
      random_(options.seed) {
  for (uint32_t ue = 0; ue < options.ues; ++ue)
    keys_[ue] = keys_of(set_of(options.subscribers, options.first_ue + ue));
}

void FrameStore::reserve(uint32_t count, uint32_t ip_bytes) {
  slot_bytes_ =
      (ip_bytes + kOverheadBytesMax + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
  const size_t needed =
      (size_t{count} * slot_bytes_ + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  if (needed <= reserved_bytes_) return;
  bytes_.reset();
  bytes_.reset(static_cast<uint8_t*>(std::aligned_alloc(kHugePageBytes, needed)));
  if (bytes_ == nullptr)
    throw std::runtime_error(fmt::format(
        "no memory for {} frames of {} bytes; make --packets smaller", count, ip_bytes));
  madvise(bytes_.get(), needed, MADV_HUGEPAGE);  // fewer TLB misses; without, it is only slower
  reserved_bytes_ = needed;
}

uint32_t FrameStore::next_sequence(uint32_t ue, UeSide side) {
  const uint32_t sequence =
      next_sequence_[(ue - options_.first_ue) * 2 + static_cast<uint32_t>(side)]++;
  if (sequence == 0)
    throw std::runtime_error(fmt::format(
        "UE {} has used all sequence numbers (RFC 2406 3.3.3); install its set anew", ue));
  return sequence;
}

uint32_t FrameStore::sequence_end() const {
  return *std::max_element(next_sequence_.begin(), next_sequence_.end());
}

void FrameStore::make(uint32_t count, Way way, uint32_t ip_bytes) {
  reserve(count, ip_bytes);
  frames_.resize(count);
  for (uint32_t at = 0; at < count; ++at) {
    const uint64_t drawn = random_();
    const auto nth = static_cast<uint32_t>((drawn >> 1) % options_.ues);
    const uint32_t ue = options_.first_ue + nth;
    const auto side = options_.uses_one_sa ? UeSide::kClient : static_cast<UeSide>(drawn & 1);
    const bool is_uplink = way == Way::kUplink || (way == Way::kBoth && at % 2 == 0);
    const gmesp_sa_set set = set_of(options_.subscribers, ue);
    const uint64_t mark = options_.are_alike ? 0 : at;
    uint8_t* bytes = bytes_.get() + size_t{at} * slot_bytes_;
    uint32_t length;
    if (is_uplink) {
      const UplinkHeader header = {side, next_sequence(ue, side), drawn, options_.are_alike};
      length = write_uplink(set, header, ip_bytes, mark, keys_[nth], bytes, jobs_.emplace_back());
      if (jobs_.size() == crypto::Engine::kJobsMax) seal();
    } else {
      length = write_downlink(set, side, ip_bytes, mark, bytes);
    }
    frames_[at] = {ue, static_cast<uint16_t>(length), is_uplink};
  }
  seal();
}

void FrameStore::seal() {
  engine_.process(jobs_);
  for (const crypto::CryptoJob& job : jobs_)
    if (job.status != crypto::JobStatus::kOk) throw std::runtime_error("a frame cannot be sealed");
  jobs_.clear();
}

bool FrameStore::open(uint8_t* frame, uint32_t frame_bytes, uint64_t& mark) {
  const uint32_t esp_offset = find_esp(frame, frame_bytes);
  if (esp_offset == 0 || frame_bytes < esp_offset + 8 + crypto::kIcvBytes) return false;
  const uint32_t ue = number_of_spi(ipsec::load_be32(frame + esp_offset));
  if (ue - options_.first_ue >= options_.ues) return false;  // also of a lower number
  const crypto::Suite suite = suite_of(options_.subscribers, ue);
  crypto::CryptoJob job = {&keys_[ue - options_.first_ue],
                           frame + esp_offset,
                           frame_bytes - esp_offset - crypto::kIcvBytes,
                           suite,
                           crypto::Direction::kInbound,
                           crypto::JobStatus::kPending};
  engine_.process({&job, 1});
  if (job.status != crypto::JobStatus::kOk) return false;
  const uint32_t text_offset = 8 + crypto::info(suite.cipher).iv_bytes;
  const uint8_t next_header = job.esp[job.esp_bytes - 1];
  return read_mark_of_payload(job.esp + text_offset, job.esp_bytes - text_offset, next_header,
                              mark);
}

}  // namespace gmesp::bench
