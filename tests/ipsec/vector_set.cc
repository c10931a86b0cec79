#include "vector_set.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"
#include "set_record.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kPcapMagic = 0xa1b2c3d4;  // microseconds, host order
constexpr uint32_t kLinkTypeRaw = 101;

struct PcapFileHeader {
  uint32_t magic;
  uint16_t major, minor;
  int32_t zone;
  uint32_t accuracy;
  uint32_t length_max;
  uint32_t link_type;
};

struct PcapPacketHeader {
  uint32_t seconds, microseconds, kept_bytes, bytes;
};

std::ifstream open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return file;
}

Bytes from_hex(const std::string& text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

VectorSa to_sa(const nlohmann::json& json) {
  static const std::map<std::string, crypto::Cipher> ciphers = {
      {"null", crypto::Cipher::kNull},
      {"aes", crypto::Cipher::kAesCbc128},
      {"3des", crypto::Cipher::kDesEde3Cbc}};
  static const std::map<std::string, crypto::Integrity> integrities = {
      {"md5", crypto::Integrity::kHmacMd5_96}, {"sha1", crypto::Integrity::kHmacSha1_96}};
  VectorSa sa;
  sa.name = json.at("name");
  sa.spi = json.at("spi");
  sa.mode =
      json.at("mode") == "transport" ? shm::Mode::kTransport : shm::Mode::kUdpEncapsulatedTunnel;
  sa.is_ipv4 = json.at("ip") == 4;
  sa.suite = {integrities.at(json.at("auth")), ciphers.at(json.at("cipher"))};
  sa.cipher_key = from_hex(json.at("enc_key"));
  sa.integrity_key = from_hex(json.at("auth_key"));
  return sa;
}

struct Ends {
  Address source, destination;
};

Ends ends_of(const Bytes& packet) {
  if (packet[0] >> 4 == 4)
    return {Address::from_ipv4(&packet[kIpv4SourceAt]),
            Address::from_ipv4(&packet[kIpv4DestinationAt])};
  return {Address::from_ipv6(&packet[kIpv6SourceAt]),
          Address::from_ipv6(&packet[kIpv6DestinationAt])};
}

uint32_t ip_header_bytes(bool is_ipv4) {
  return is_ipv4 ? kIpv4HeaderBytesMin : kIpv6HeaderBytes;
}

shm::SaSetRecord record_of(const VectorSa& sa) {
  shm::SaSetRecord record = make_record(1, {sa.suite, sa.mode, sa.is_ipv4});
  std::copy(sa.integrity_key.begin(), sa.integrity_key.end(), record.integrity_key);
  std::copy(sa.cipher_key.begin(), sa.cipher_key.end(), record.cipher_key);
  record.integrity_key_bytes = static_cast<uint8_t>(sa.integrity_key.size());
  record.cipher_key_bytes = static_cast<uint8_t>(sa.cipher_key.size());
  return record;
}

}  // namespace

std::vector<Bytes> read_pcap(const std::string& path) {
  std::ifstream file = open(path);
  PcapFileHeader header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (header.magic != kPcapMagic || header.link_type != kLinkTypeRaw)
    throw std::runtime_error(path + " is no capture of raw IP");
  std::vector<Bytes> packets;
  for (PcapPacketHeader packet{}; file.read(reinterpret_cast<char*>(&packet), sizeof packet);) {
    packets.emplace_back(packet.kept_bytes);
    if (!file.read(reinterpret_cast<char*>(packets.back().data()), packet.kept_bytes))
      throw std::runtime_error(path + " is cut off");
  }
  return packets;
}

void write_pcap(const std::string& path, const std::vector<Bytes>& packets) {
  std::ofstream file(path, std::ios::binary);
  const PcapFileHeader header = {kPcapMagic, 2, 4, 0, 0, UINT16_MAX, kLinkTypeRaw};
  file.write(reinterpret_cast<const char*>(&header), sizeof header);
  for (const Bytes& packet : packets) {
    const auto bytes = static_cast<uint32_t>(packet.size());
    const PcapPacketHeader packet_header = {0, 0, bytes, bytes};
    file.write(reinterpret_cast<const char*>(&packet_header), sizeof packet_header);
    file.write(reinterpret_cast<const char*>(packet.data()), bytes);
  }
  if (!file) throw std::runtime_error("cannot write " + path);
}

VectorSet::VectorSet(const std::string& folder) {
  for (const nlohmann::json& sa : nlohmann::json::parse(open(folder + "/sas.json")))
    sas_.push_back(to_sa(sa));
  const std::vector<Bytes> plain = read_pcap(folder + "/plain.pcap");
  const std::vector<Bytes> esp = read_pcap(folder + "/esp.pcap");
  if (plain.size() != esp.size())
    throw std::runtime_error(folder + ": plain.pcap and esp.pcap differ in length");
  for (size_t i = 0; i < esp.size(); ++i) {
    Vector vector = {nullptr, plain[i], esp[i]};
    const uint8_t protocol = esp[i][esp[i][0] >> 4 == 4 ? kIpv4ProtocolAt : kIpv6NextHeaderAt];
    const uint32_t at =
        ip_header_bytes(esp[i][0] >> 4 == 4) + (protocol == kProtocolUdp ? kUdpHeaderBytes : 0);
    const uint32_t spi = load_be32(&esp[i].at(at));
    for (const VectorSa& sa : sas_)
      if (sa.spi == spi) vector.sa = &sa;
    if (vector.sa == nullptr)
      throw std::runtime_error(folder + ": packet " + std::to_string(i) + " has no SA");
    vectors_.push_back(std::move(vector));
  }
}

uint32_t esp_offset_of(const Vector& vector) {
  return ip_header_bytes(vector.sa->is_ipv4) +
         (vector.sa->mode == shm::Mode::kTransport ? 0 : kUdpHeaderBytes);
}

shm::SaSetRecord receiving_record(const Vector& vector) {
  shm::SaSetRecord record = record_of(*vector.sa);
  const Ends inner = ends_of(vector.plain);
  const Ends outer = ends_of(vector.esp);
  const uint8_t* ports = &vector.plain[ip_header_bytes(vector.sa->is_ipv4)];
  put(inner.source, record.ue_address);
  put(inner.destination, record.local_address);
  put(outer.source, record.outer_ue_address);
  put(outer.destination, record.outer_local_address);
  record.port_uc = load_be16(ports);
  record.port_ps = load_be16(ports + 2);
  record.spi_ps = vector.sa->spi;
  return record;
}

shm::SaSetRecord sending_record(const Vector& vector) {
  shm::SaSetRecord record = record_of(*vector.sa);
  const Ends inner = ends_of(vector.plain);
  const Ends outer = ends_of(vector.esp);
  const uint8_t* ports = &vector.plain[ip_header_bytes(vector.sa->is_ipv4)];
  put(inner.source, record.local_address);
  put(inner.destination, record.ue_address);
  put(outer.source, record.outer_local_address);
  put(outer.destination, record.outer_ue_address);
  record.port_ps = load_be16(ports);
  record.port_uc = load_be16(ports + 2);
  record.spi_uc = vector.sa->spi;
  if (vector.sa->mode == shm::Mode::kUdpEncapsulatedTunnel)
    record.outer_ue_port = load_be16(&vector.esp[ip_header_bytes(vector.sa->is_ipv4) + 2]);
  return record;
}

}  // namespace gmesp::ipsec
