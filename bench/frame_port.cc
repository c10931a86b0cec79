// Preloaded into a DPDK program, makes its port net_null_frames a source of real frames: those of
// the file that GMESP_BENCH_FRAMES names (alike_frames.h).
//
// A NIC writes packets into the cache of a CPU. net_pcap copies them from wherever its capture is,
// which for a hundred thousand subscribers is memory, and over memif they come from another core:
// either takes longer than a device does. Here the bytes that all frames share come from the first
// cache, and of each there are eighty to be read, one behind the other. The program needs no change
// and knows nothing of it: net_null gives empty buffers, which are filled on their way.
#include <dlfcn.h>
#include <fcntl.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "alike_frames.h"

namespace gmesp::bench {
namespace {

class FramePort {
 public:
  /// Null, and a text on stderr: not such a file.
  static FramePort* open(const char* path) {
    const int file = ::open(path, O_RDWR | O_CLOEXEC);
    struct stat status = {};
    const bool is_there = file >= 0 && ::fstat(file, &status) == 0;
    const auto bytes = static_cast<size_t>(status.st_size);
    void* memory =
        is_there && bytes > sizeof(AlikeFrames)
            ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0)
            : MAP_FAILED;
    if (file >= 0) ::close(file);
    if (memory != MAP_FAILED && is_good(*static_cast<AlikeFrames*>(memory), bytes))
      return new FramePort(*static_cast<AlikeFrames*>(memory));
    std::fprintf(stderr, "GMESP_BENCH_FRAMES: %s is not a file of alike frames\n", path);
    return nullptr;
  }

  /// Those it has no frames for are freed. Returns how many are filled.
  uint16_t fill(rte_mbuf** packets, uint16_t count) {
    if (!is_open_) is_open_ = __atomic_load_n(&frames_.is_open, __ATOMIC_ACQUIRE) != 0;
    const uint64_t left = is_open_ ? frames_.to_give - given_ : 0;
    const auto filled = static_cast<uint16_t>(std::min<uint64_t>(count, left));
    for (uint16_t i = 0; i < filled; ++i) write(*packets[i]);
    rte_pktmbuf_free_bulk(packets + filled, count - filled);
    if (filled != 0) measure(filled);
    return filled;
  }

 private:
  explicit FramePort(AlikeFrames& frames)
      : frames_(frames), differences_(reinterpret_cast<AlikeFrames::Difference*>(&frames + 1)) {}

  static bool is_good(const AlikeFrames& frames, size_t bytes) {
    return frames.magic == AlikeFrames::kMagic && frames.count != 0 &&
           frames.frame_bytes >= AlikeFrames::kHeadBytes + AlikeFrames::kTailBytes &&
           frames.frame_bytes <= AlikeFrames::kFrameBytesMax &&
           bytes == sizeof frames + frames.count * sizeof(AlikeFrames::Difference);
  }

  void write(rte_mbuf& packet) {
    constexpr uint64_t kAhead = 32;
    __builtin_prefetch(&differences_[next_ + kAhead]);
    __builtin_prefetch(&differences_[next_ + kAhead].tail);
    const AlikeFrames::Difference& difference = differences_[next_];
    if (++next_ == frames_.count) next_ = 0;
    auto* const bytes = rte_pktmbuf_mtod(&packet, uint8_t*);
    const size_t tail_at = frames_.frame_bytes - sizeof difference.tail;
    std::memcpy(bytes, difference.head, sizeof difference.head);
    std::memcpy(bytes + sizeof difference.head, frames_.whole + sizeof difference.head,
                tail_at - sizeof difference.head);
    std::memcpy(bytes + tail_at, difference.tail, sizeof difference.tail);
    packet.data_len = static_cast<uint16_t>(frames_.frame_bytes);
    packet.pkt_len = packet.data_len;
  }

  void measure(uint16_t filled) {
    const uint64_t before = given_;
    given_ += filled;
    if (before < frames_.measured_from && given_ >= frames_.measured_from) start_ = rte_rdtsc();
    if (given_ != frames_.to_give) return;
    const double seconds =
        static_cast<double>(rte_rdtsc() - start_) / static_cast<double>(rte_get_tsc_hz());
    __atomic_store_n(&frames_.measured_ns, static_cast<uint64_t>(seconds * 1e9), __ATOMIC_RELEASE);
  }

  AlikeFrames& frames_;
  const AlikeFrames::Difference* const differences_;
  bool is_open_ = false;
  uint64_t next_ = 0, given_ = 0, start_ = 0;
};

uint16_t on_receive(uint16_t, uint16_t, rte_mbuf** packets, uint16_t count, uint16_t, void* port) {
  return static_cast<FramePort*>(port)->fill(packets, count);
}

bool is_frame_port(uint16_t port) {
  char name[RTE_ETH_NAME_MAX_LEN];
  return rte_eth_dev_get_name_by_port(port, name) == 0 &&
         std::string_view(name) == "net_null_frames";
}

}  // namespace
}  // namespace gmesp::bench

/// In place of DPDK's, which it calls.
extern "C" int rte_eth_dev_start(uint16_t port) {
  using gmesp::bench::FramePort;
  static const auto start =
      reinterpret_cast<int (*)(uint16_t)>(dlsym(RTLD_NEXT, "rte_eth_dev_start"));
  const char* path = std::getenv("GMESP_BENCH_FRAMES");
  if (path != nullptr && gmesp::bench::is_frame_port(port)) {
    // First, since the program may have callbacks of its own that read packets. Never freed: it
    // serves for as long as the program runs.
    FramePort* const frames = FramePort::open(path);
    if (frames == nullptr ||
        rte_eth_add_first_rx_callback(port, 0, gmesp::bench::on_receive, frames) == nullptr)
      return -EINVAL;
  }
  return start(port);
}
