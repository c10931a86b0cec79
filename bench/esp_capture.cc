// Captures for generators that cannot cipher (Pktgen-DPDK, tcpreplay, net_pcap): ESP of many UEs
// with fresh sequence numbers, or clear SIP to them, and their SA sets for `gmespctl sa load`.
//
// Play an uplink capture once: from the second time on every packet is a replay. A further one for
// the same sets begins at the sequence number that the first one's run names.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "alike_frames.h"
#include "frame_options.h"

namespace {

using namespace gmesp;
using namespace gmesp::bench;

struct Arguments {
  FrameStoreOptions frames;
  std::vector<Way> ways = {Way::kUplink};
  uint32_t packets = 100'000;
  uint32_t ip_bytes = 300;
  std::string pcap;
  std::string differences;
  bool are_alike = false;
  std::string sets;
};

class File {
 public:
  explicit File(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wbe")) {
    if (file_ == nullptr) throw std::runtime_error(path_ + ": cannot be written");
  }
  ~File() {
    if (file_ != nullptr) std::fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(const void* bytes, size_t count) {
    if (std::fwrite(bytes, 1, count, file_) != count)
      throw std::runtime_error(path_ + ": the disk does not take it all");
  }
  void close() {
    FILE* file = std::exchange(file_, nullptr);
    if (std::fclose(file) != 0) throw std::runtime_error(path_ + ": the disk does not take it all");
  }

 private:
  const std::string path_;
  FILE* file_;
};

/// The classic format, in host byte order; readers tell by its magic.
void write_pcap(const std::string& path, const FrameStore& frames) {
  constexpr uint32_t kMagic = 0xa1b2c3d4;
  constexpr uint16_t kMajor = 2, kMinor = 4;
  constexpr uint32_t kEthernet = 1, kMicrosecondsPerSecond = 1'000'000;
  struct {
    uint32_t magic = kMagic;
    uint16_t major = kMajor, minor = kMinor;
    uint32_t zone = 0, accuracy = 0, snapshot_bytes = 65'535, link = kEthernet;
  } const header;
  File file(path);
  file.write(&header, sizeof header);
  for (uint32_t at = 0; at < frames.count(); ++at) {
    const auto frame = frames.frame(at);
    const auto bytes = static_cast<uint32_t>(frame.size());
    const uint32_t record[] = {at / kMicrosecondsPerSecond, at % kMicrosecondsPerSecond, bytes,
                               bytes};
    file.write(record, sizeof record);
    file.write(frame.data(), frame.size());
  }
  file.close();
}

/// Throws if a frame is not `first` but for its head and tail.
AlikeFrames::Difference difference(std::span<const uint8_t> first, std::span<const uint8_t> frame) {
  AlikeFrames::Difference found;
  constexpr size_t kHead = sizeof found.head, kTail = sizeof found.tail;
  if (frame.size() != first.size() || frame.size() < kHead + kTail ||
      std::memcmp(first.data() + kHead, frame.data() + kHead, frame.size() - kHead - kTail) != 0)
    throw std::runtime_error(fmt::format(
        "--differences: frames differ behind their first {} bytes; try --alike", kHead));
  std::memcpy(found.head, frame.data(), kHead);
  std::memcpy(found.tail, frame.data() + frame.size() - kTail, kTail);
  return found;
}

/// A part at a time: as whole frames, millions would not fit into memory.
void write_differences(const Arguments& arguments, FrameStore& frames) {
  constexpr uint32_t kPart = 65'536;
  static_assert(AlikeFrames::kFrameBytesMax >= kFrameBytesMax);
  File file(arguments.differences);
  std::vector<uint8_t> first;
  for (uint32_t left = arguments.packets; left != 0; left -= frames.count()) {
    frames.make(std::min(left, kPart), arguments.ways[0], arguments.ip_bytes);
    if (first.empty()) {
      first.assign(frames.frame(0).begin(), frames.frame(0).end());
      AlikeFrames header;
      header.count = arguments.packets;
      header.frame_bytes = first.size();
      std::memcpy(header.whole, first.data(), first.size());
      file.write(&header, sizeof header);
    }
    for (uint32_t at = 0; at < frames.count(); ++at) {
      const AlikeFrames::Difference of_frame = difference(first, frames.frame(at));
      file.write(&of_frame, sizeof of_frame);
    }
  }
  file.close();
}

std::string hex(const uint8_t* bytes, uint32_t count) {
  std::string text;
  char digits[3];
  for (uint32_t i = 0; i < count; ++i) {
    std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
    text += digits;
  }
  return text;
}

std::string address(const uint8_t* bytes) {
  char text[GMESP_ADDRESS_TEXT_BYTES];
  gmesp_address_to_text(bytes, text);
  return text;
}

/// One line for `gmespctl sa load` (control/cli/README.md).
std::string set_line(const SubscriberOptions& subscribers, uint32_t number) {
  const gmesp_sa_set set = set_of(subscribers, number);
  const crypto::Suite suite = suite_of(subscribers, number);
  nlohmann::ordered_json line = {
      {"mode", subscribers.is_tunnel ? "udp-encapsulated-tunnel" : "transport"},
      {"integrity", std::string(crypto::info(suite.integrity).name)},
      {"cipher", std::string(crypto::info(suite.cipher).name)},
      {"ue", address(set.ue_address)},
      {"local", address(set.local_address)},
      {"port_uc", set.port_uc},
      {"port_us", set.port_us},
      {"port_pc", set.port_pc},
      {"port_ps", set.port_ps},
      {"spi_uc", set.spi_uc},
      {"spi_us", set.spi_us},
      {"spi_pc", set.spi_pc},
      {"spi_ps", set.spi_ps},
      {"integrity_key", hex(set.integrity_key, set.integrity_key_bytes)},
      {"cookie", set.cookie}};
  if (set.cipher_key_bytes != 0) line["cipher_key"] = hex(set.cipher_key, set.cipher_key_bytes);
  if (subscribers.is_tunnel) line["outer_ue_port"] = set.outer_ue_port;
  return line.dump() + '\n';
}

void write_sets(const Arguments& arguments) {
  File file(arguments.sets);
  for (uint32_t n = 0; n < arguments.frames.ues; ++n) {
    const uint32_t number = arguments.frames.first_ue + n;
    const std::string line = set_line(arguments.frames.subscribers, number);
    file.write(line.data(), line.size());
  }
  file.close();
}

void capture(const Arguments& arguments) {
  if (!arguments.sets.empty()) write_sets(arguments);
  if (arguments.pcap.empty() && arguments.differences.empty()) return;
  FrameStore frames(arguments.frames);
  if (!arguments.differences.empty()) return write_differences(arguments, frames);
  frames.make(arguments.packets, arguments.ways[0], arguments.ip_bytes);
  write_pcap(arguments.pcap, frames);
  std::printf("%s: %u packets; the next capture for these sets: --sequence-from %u\n",
              arguments.pcap.c_str(), frames.count(), frames.sequence_end());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes ESP or clear SIP of many UEs as a capture, and their SA sets");
  Arguments arguments;
  CLI::Option* const pcap = app.add_option("--pcap", arguments.pcap, "capture to write");
  app.add_option("--sets", arguments.sets, "SA sets to write, for gmespctl sa load");
  app.add_option("--differences", arguments.differences,
                 "the frames in the form that the frame port of bench/run takes")
      ->excludes(pcap);
  app.add_flag("--alike", arguments.are_alike,
               "one cipher key and one payload, so that frames differ in little else than their "
               "headers; for the sets, too");
  app.add_option("--packets", arguments.packets)
      ->check(CLI::Range(1u, 100'000'000u))
      ->capture_default_str();
  app.add_option("--size", arguments.ip_bytes, "bytes of the clear IP packet")
      ->check(CLI::Range(kIpBytesMin, kIpBytesMax))
      ->capture_default_str();
  add_direction_option(app, arguments.ways, false)->expected(1);
  add_frame_options(app, arguments.frames);
  CLI11_PARSE(app, argc, argv);
  arguments.frames.are_alike = arguments.frames.subscribers.shares_cipher_key = arguments.are_alike;
  try {
    if (arguments.pcap.empty() && arguments.differences.empty() && arguments.sets.empty())
      throw std::runtime_error(
          "nothing to write: name --pcap FILE, --differences FILE or --sets FILE");
    capture(arguments);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "esp_capture: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
