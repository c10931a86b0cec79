// UDP and TCP payloads out of a capture file, pcap or pcapng.
//
// Ethernet with VLAN tags, Linux cooked and raw IP; nothing is joined: fragments are counted, and a
// TCP segment is shown by itself.
//
// Ownership: closes in the destructor. Threading: one thread. Errors: InputError when the file
// cannot be read; a packet that is cut or is no IP is counted and left out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct pcap;

namespace gmesp::cli {

struct Payload {
  uint64_t packet = 0;   ///< its number in the file, from 1, as others show it
  uint64_t time_ms = 0;  ///< since 1970
  bool is_tcp = false;
  std::string source;  ///< address
  std::string destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  std::span<const uint8_t> bytes;  ///< until the next call
};

class Capture {
 public:
  explicit Capture(const std::string& path);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  /// The next payload that is not empty; false at the end. Throws InputError.
  bool next(Payload& payload);

  uint64_t packets() const { return packets_; }
  /// ESP, which a capture does not open.
  uint64_t encrypted() const { return encrypted_; }
  uint64_t fragments() const { return fragments_; }
  /// Shorter than their headers say.
  uint64_t cut() const { return cut_; }

 private:
  bool read_ip(std::span<const uint8_t> packet, Payload& payload);
  bool read_ip4(std::span<const uint8_t> packet, Payload& payload);
  bool read_ip6(std::span<const uint8_t> packet, Payload& payload);
  bool read_transport(uint8_t protocol, std::span<const uint8_t> rest, Payload& payload);
  bool is_cut();

  const std::string path_;
  pcap* file_ = nullptr;
  int link_type_ = 0;
  uint64_t packets_ = 0;
  uint64_t encrypted_ = 0;
  uint64_t fragments_ = 0;
  uint64_t cut_ = 0;
};

}  // namespace gmesp::cli
