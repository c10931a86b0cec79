#include "dataplane/ipsec/sa_record.h"

#include <algorithm>
#include <cstdio>

namespace gmesp::ipsec {
namespace {

using shm::Mode;
using shm::SaRole;
using shm::SaSetRecord;
using shm::Status;

/// RFC 2406 2.1: 0 is for local use, 1 to 255 are IANA's.
constexpr uint32_t kSpiMin = 256;

std::string hex(uint32_t spi) {
  char text[12];
  std::snprintf(text, sizeof text, "0x%08x", spi);
  return text;
}

template <class Range>
bool is_all_zero(const Range& range) {
  return std::all_of(std::begin(range), std::end(range), [](auto value) { return value == 0; });
}

/// What is wrong with the address for a packet of one UE; null if nothing is.
const char* fault_of(const Address& address) {
  constexpr uint64_t kLoopbackLow = uint64_t{1} << 56;  // ::1 in network order
  if (address.is_zero()) return "unspecified";
  if (!address.is_ipv4()) {
    if (address.bytes[0] == 0xff) return "multicast";
    if (address.high() == 0 && address.low() == kLoopbackLow) return "loopback";
    return nullptr;
  }
  const uint8_t* ipv4 = address.ipv4();
  if (ipv4[0] == 0) return "unspecified";
  if (ipv4[0] == 127) return "loopback";
  if ((ipv4[0] & 0xf0) == 0xe0) return "multicast";
  if (std::all_of(ipv4, ipv4 + 4, [](uint8_t byte) { return byte == 255; })) return "broadcast";
  return nullptr;
}

/// The checks, in order; each returns kOk or writes the detail.
class RecordCheck {
 public:
  RecordCheck(const SaSetRecord& record, std::string& detail) : record_(record), detail_(detail) {}

  Status shape() const {
    if (record_.version != shm::kRecordVersion)
      return refuse(Status::kBadVersion, "version is " + std::to_string(record_.version) +
                                             ", allowed is " + std::to_string(shm::kRecordVersion));
    if (record_.size != sizeof(SaSetRecord))
      return refuse(Status::kBadRecord, "size is " + std::to_string(record_.size) +
                                            ", allowed is " + std::to_string(sizeof(SaSetRecord)));
    if (!is_all_zero(record_.reserved0)) return refuse_reserved("reserved0");
    if (!is_all_zero(record_.reserved1)) return refuse_reserved("reserved1");
    if (!is_all_zero(record_.reserved2)) return refuse_reserved("reserved2");
    if (record_.mode != static_cast<uint8_t>(Mode::kTransport) && !is_tunnel(record_))
      return refuse(Status::kBadMode, "mode is " + std::to_string(record_.mode) +
                                          ", allowed are 1 (transport) and 2 (UDP-encapsulated "
                                          "tunnel)");
    return Status::kOk;
  }

  Status algorithms() const {
    if (record_.integrity == 0)
      return refuse(Status::kIntegrityMissing,
                    "integrity is 0, allowed are 1 (hmac-md5-96) and 2 "
                    "(hmac-sha-1-96): it is never optional");
    if (!crypto::is_integrity(record_.integrity))
      return refuse(Status::kUnknownAlgorithm, "integrity is " + std::to_string(record_.integrity) +
                                                   ", allowed are 1 (hmac-md5-96) and 2 "
                                                   "(hmac-sha-1-96)");
    if (!crypto::is_cipher(record_.cipher))
      return refuse(Status::kUnknownAlgorithm, "cipher is " + std::to_string(record_.cipher) +
                                                   ", allowed are 1 (null), 2 (aes-cbc) and 3 "
                                                   "(des-ede3-cbc)");
    const crypto::Suite suite = suite_of(record_);
    const uint32_t integrity_bytes = crypto::info(suite.integrity).key_bytes;
    if (record_.integrity_key_bytes != integrity_bytes)
      return refuse(Status::kIntegrityKeySize,
                    "integrity_key_bytes is " + std::to_string(record_.integrity_key_bytes) +
                        ", allowed is " + std::to_string(integrity_bytes));
    const uint32_t cipher_bytes = crypto::info(suite.cipher).key_bytes;
    if (record_.cipher_key_bytes != cipher_bytes)
      return refuse(Status::kCipherKeySize, "cipher_key_bytes is " +
                                                std::to_string(record_.cipher_key_bytes) +
                                                ", allowed is " + std::to_string(cipher_bytes));
    return Status::kOk;
  }

  Status spis() const {
    const Named spis[] = {{"spi_uc", record_.spi_uc},
                          {"spi_us", record_.spi_us},
                          {"spi_pc", record_.spi_pc},
                          {"spi_ps", record_.spi_ps}};
    for (const Named& spi : spis)
      if (spi.value < kSpiMin)
        return refuse(Status::kSpiReserved, std::string(spi.name) + " is " +
                                                std::to_string(spi.value) +
                                                ", allowed are 256 to 4294967295");
    // R-7.1-12, -13: different on each side, and ours from the UE's.
    for (const Named& a : spis)
      for (const Named& b : spis)
        if (&a < &b && a.value == b.value)
          return refuse(Status::kSpiRepeated, std::string(a.name) + " and " + b.name +
                                                  " are both " + hex(a.value) +
                                                  ", the four of a set must differ");
    return Status::kOk;
  }

  Status ports(const PortSet& protected_ports) const {
    const Named ports[] = {{"port_uc", record_.port_uc},
                           {"port_us", record_.port_us},
                           {"port_pc", record_.port_pc},
                           {"port_ps", record_.port_ps}};
    for (const Named& port : ports)
      if (port.value == 0)
        return refuse(Status::kPortZero, std::string(port.name) + " is 0, allowed are 1 to 65535");
    if (record_.port_uc == record_.port_us)
      return refuse(
          Status::kPortsEqual,
          "port_uc and port_us are both " + std::to_string(record_.port_uc) + ", they must differ");
    if (record_.port_pc == record_.port_ps)
      return refuse(
          Status::kPortsEqual,
          "port_pc and port_ps are both " + std::to_string(record_.port_pc) + ", they must differ");
    for (const Named& port : {ports[2], ports[3]})
      if (!protected_ports.contains(static_cast<uint16_t>(port.value)))
        return refuse(Status::kPortNotProtected,
                      std::string(port.name) + " is " + std::to_string(port.value) +
                          ", allowed are the configured protected ports");
    return Status::kOk;
  }

  Status addresses() const {
    const Address ue = address_of(record_.ue_address);
    const Address local = address_of(record_.local_address);
    if (const Status status = usable("ue_address", ue, Status::kAddressUnusable);
        status != Status::kOk)
      return status;
    if (const Status status = usable("local_address", local, Status::kAddressUnusable);
        status != Status::kOk)
      return status;
    if (ue == local)
      return refuse(Status::kAddressUnusable,
                    "ue_address and local_address are both " + text(ue) + ", they must differ");
    if (ue.is_ipv4() != local.is_ipv4()) return mixed("ue_address", ue, "local_address", local);
    return is_tunnel(record_) ? tunnel_addresses(ue) : transport_addresses(ue, local);
  }

  Status lifetime(uint64_t now_ms) const {
    if (record_.not_after_ms > now_ms) return Status::kOk;
    return refuse(Status::kAlreadyExpired,
                  "not_after_ms is " + std::to_string(record_.not_after_ms) +
                      ", allowed is what comes after now, " + std::to_string(now_ms));
  }

 private:
  struct Named {
    const char* name;
    uint32_t value;
  };

  Status refuse(Status status, std::string why) const {
    detail_ = std::move(why);
    return status;
  }
  Status refuse_reserved(const char* name) const {
    return refuse(Status::kBadRecord, std::string(name) + " is not zero, allowed is zero");
  }
  Status usable(const char* name, const Address& address, Status status) const {
    const char* fault = fault_of(address);
    if (fault == nullptr) return Status::kOk;
    return refuse(status, std::string(name) + " is " + text(address) + " (" + fault +
                              "), allowed is the address of one host");
  }
  Status mixed(const char* name, const Address& a, const char* other, const Address& b) const {
    return refuse(Status::kMixedFamilies, std::string(name) + " is " + text(a) + " and " + other +
                                              " is " + text(b) + ", a set is of one family");
  }

  Status tunnel_addresses(const Address& ue) const {
    const Address outer_ue = address_of(record_.outer_ue_address);
    const Address outer_local = address_of(record_.outer_local_address);
    if (const Status status = usable("outer_ue_address", outer_ue, Status::kOuterAddressUnusable);
        status != Status::kOk)
      return status;
    if (const Status status =
            usable("outer_local_address", outer_local, Status::kOuterAddressUnusable);
        status != Status::kOk)
      return status;
    if (outer_ue.is_ipv4() != ue.is_ipv4())
      return mixed("outer_ue_address", outer_ue, "ue_address", ue);
    if (outer_local.is_ipv4() != ue.is_ipv4())
      return mixed("outer_local_address", outer_local, "ue_address", ue);
    return Status::kOk;
  }

  Status transport_addresses(const Address& ue, const Address& local) const {
    const Address outer_ue = address_of(record_.outer_ue_address);
    const Address outer_local = address_of(record_.outer_local_address);
    if (!outer_ue.is_zero() && !(outer_ue == ue))
      return refuse(Status::kOuterAddressUnusable,
                    "outer_ue_address is " + text(outer_ue) +
                        ", allowed in transport mode are zero and ue_address");
    if (!outer_local.is_zero() && !(outer_local == local))
      return refuse(Status::kOuterAddressUnusable,
                    "outer_local_address is " + text(outer_local) +
                        ", allowed in transport mode are zero and local_address");
    if (record_.outer_ue_port != 0)
      return refuse(Status::kBadRecord, "outer_ue_port is " +
                                            std::to_string(record_.outer_ue_port) +
                                            ", allowed in transport mode is 0");
    return Status::kOk;
  }

  const SaSetRecord& record_;
  std::string& detail_;
};

}  // namespace

SaEnds ends_of(const SaSetRecord& record, SaRole role) {
  switch (role) {
    case SaRole::kInUcPs:
      return {record.spi_ps, record.port_uc, record.port_ps};
    case SaRole::kOutPsUc:
      return {record.spi_uc, record.port_uc, record.port_ps};
    case SaRole::kInUsPc:
      return {record.spi_pc, record.port_us, record.port_pc};
    case SaRole::kOutPcUs:
      break;
  }
  return {record.spi_us, record.port_us, record.port_pc};
}

Status check_record(const SaSetRecord& record, const PortSet& protected_ports, uint64_t now_ms,
                    std::string& detail) {
  const RecordCheck check(record, detail);
  Status status = check.shape();
  if (status == Status::kOk) status = check.algorithms();
  if (status == Status::kOk) status = check.spis();
  if (status == Status::kOk) status = check.ports(protected_ports);
  if (status == Status::kOk) status = check.addresses();
  if (status == Status::kOk) status = check.lifetime(now_ms);
  return status;
}

}  // namespace gmesp::ipsec
