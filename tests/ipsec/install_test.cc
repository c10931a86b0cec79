// What SaDatabase::install() refuses: each rule of a record once, with its status and a detail that
// names the field, and nothing changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <type_traits>

#include "set_record.h"

namespace gmesp::ipsec {
namespace {

using shm::SaSetRecord;
using shm::Status;

constexpr uint32_t kLiveUe = 7;  ///< of the set that is there already

struct Refusal {
  const char* name;
  Status status;
  const char* detail;  ///< part of the text
  std::function<void(SaSetRecord&)> spoil;
  RecordShape shape = {};
};

const RecordShape kTunnel = {.mode = shm::Mode::kUdpEncapsulatedTunnel};
const RecordShape kIpv6 = {.is_ipv4 = false};
const RecordShape kIpv6Tunnel = {.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = false};
const RecordShape kTripleDes = {
    .suite = {crypto::Integrity::kHmacSha1_96, crypto::Cipher::kDesEde3Cbc}};
const RecordShape kNullCipher = {.suite = {crypto::Integrity::kHmacMd5_96, crypto::Cipher::kNull}};

/// A valid record for UE 1, spoiled once, is refused next to UE kLiveUe's set; valid again, it is
/// taken: so the refusal changed nothing.
void expect_refused(const std::vector<Refusal>& refusals) {
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.name);
    SaDatabase database(database_options(4));
    install(database, make_record(kLiveUe, refusal.shape));
    const SaSetRecord good = make_record(1, refusal.shape);
    SaSetRecord bad = good;
    refusal.spoil(bad);
    uint64_t set_id = 0;
    std::string detail;
    EXPECT_EQ(database.install(bad, kNowMs, set_id, detail), refusal.status) << detail;
    EXPECT_NE(detail.find(refusal.detail), std::string::npos) << detail;
    EXPECT_EQ(set_id, 0u);
    EXPECT_EQ(database.live_sets(), 1u);
    install(database, good);
    EXPECT_EQ(database.live_sets(), 2u);
  }
}

// Shows: R-C-02
TEST(Install, RefusesForeignShapes) {
  expect_refused({
      {"version", Status::kBadVersion, "version is 2, allowed is 1",
       [](SaSetRecord& record) { record.version = 2; }},
      {"version 0", Status::kBadVersion, "version is 0, allowed is 1",
       [](SaSetRecord& record) { record.version = 0; }},
      {"size", Status::kBadRecord, "size is 0, allowed is",
       [](SaSetRecord& record) { record.size = 0; }},
      {"a byte more", Status::kBadRecord, "size is", [](SaSetRecord& record) { ++record.size; }},
      {"reserved0", Status::kBadRecord, "reserved0",
       [](SaSetRecord& record) { record.reserved0[2] = 1; }},
      {"reserved1", Status::kBadRecord, "reserved1",
       [](SaSetRecord& record) { record.reserved1[2] = 1; }},
      {"reserved2", Status::kBadRecord, "reserved2",
       [](SaSetRecord& record) { record.reserved2[3] = 1; }},
      {"mode 0", Status::kBadMode, "mode is 0", [](SaSetRecord& record) { record.mode = 0; }},
      {"mode 3", Status::kBadMode, "mode is 3", [](SaSetRecord& record) { record.mode = 3; }},
  });
}

// Shows: R-7.1-03, R-7.1-02, R-I-03
TEST(Install, RefusesAlgorithmsAndKeySizes) {
  const auto integrity_bytes = [](uint8_t bytes) {
    return [bytes](SaSetRecord& record) { record.integrity_key_bytes = bytes; };
  };
  const auto cipher_bytes = [](uint8_t bytes) {
    return [bytes](SaSetRecord& record) { record.cipher_key_bytes = bytes; };
  };
  std::vector<Refusal> refusals = {
      {"no integrity", Status::kIntegrityMissing, "integrity is 0",
       [](SaSetRecord& record) { record.integrity = 0; }},
      {"integrity 3", Status::kUnknownAlgorithm, "integrity is 3",
       [](SaSetRecord& record) { record.integrity = 3; }},
      {"cipher 0", Status::kUnknownAlgorithm, "cipher is 0",
       [](SaSetRecord& record) { record.cipher = 0; }},
      {"cipher 4", Status::kUnknownAlgorithm, "cipher is 4",
       [](SaSetRecord& record) { record.cipher = 4; }},
      {"key for null", Status::kCipherKeySize, "cipher_key_bytes is 16, allowed is 0",
       cipher_bytes(16), kNullCipher},
      {"MD5 with 20", Status::kIntegrityKeySize, "integrity_key_bytes is 20, allowed is 16",
       integrity_bytes(20), kNullCipher},
      {"3DES with 16", Status::kCipherKeySize, "cipher_key_bytes is 16, allowed is 24",
       cipher_bytes(16), kTripleDes},
      {"3DES, first and second key equal", Status::kWeakDesKey, "3DES",
       [](SaSetRecord& record) {
         for (int i = 0; i < 8; ++i) record.cipher_key[8 + i] = record.cipher_key[i] ^ 1;
       },
       kTripleDes},
      {"3DES, second and third key equal", Status::kWeakDesKey, "3DES",
       [](SaSetRecord& record) {
         for (int i = 0; i < 8; ++i) record.cipher_key[16 + i] = record.cipher_key[8 + i];
       },
       kTripleDes},
  };
  for (const uint8_t bytes : {0, 15, 17, 24, 32, 255})
    refusals.push_back({"AES key", Status::kCipherKeySize, "allowed is 16", cipher_bytes(bytes)});
  for (const uint8_t bytes : {0, 16, 19, 21, 32, 255})
    refusals.push_back(
        {"SHA-1 key", Status::kIntegrityKeySize, "allowed is 20", integrity_bytes(bytes)});
  expect_refused(refusals);
}

/// AES-256-GCM with its salt (RFC 4106 8.1), AES-GMAC, and numbers to go on from in a standby.
// Shows: R-B-01
TEST(Install, HasRoomForLaterAlgorithmsAndStateAndRefusesThemToday) {
  constexpr uint8_t kAes256KeyBytes = 32;
  constexpr uint8_t kGcmSaltBytes = 4;
  static_assert(sizeof(SaSetRecord::cipher_key) >= kAes256KeyBytes + kGcmSaltBytes);
  static_assert(sizeof(SaSetRecord::integrity_key) >= kAes256KeyBytes);
  static_assert(std::is_same_v<decltype(shm::SaCounters::packets), uint64_t> &&
                std::is_same_v<decltype(shm::SaCounters::bytes), uint64_t>);
  expect_refused({
      {"AES-GCM", Status::kUnknownAlgorithm, "cipher is 4",
       [](SaSetRecord& record) {
         record.cipher = 4;
         record.cipher_key_bytes = kAes256KeyBytes + kGcmSaltBytes;
         std::fill_n(record.cipher_key, record.cipher_key_bytes, uint8_t{0x5a});
       }},
      {"AES-GMAC", Status::kUnknownAlgorithm, "integrity is 3",
       [](SaSetRecord& record) {
         record.integrity = 3;
         record.integrity_key_bytes = kAes256KeyBytes;
         std::fill_n(record.integrity_key, record.integrity_key_bytes, uint8_t{0x5a});
       }},
      {"four sequence numbers behind it", Status::kBadRecord, "size is",
       [](SaSetRecord& record) { record.size += 4 * sizeof(uint32_t); }},
      {"version of such a record", Status::kBadVersion, "version is 2, allowed is 1",
       [](SaSetRecord& record) { record.version = 2; }},
  });
}

// Shows: R-7.1-13, R-7.1-12, R-6.3-01
TEST(Install, RefusesSpis) {
  std::vector<Refusal> refusals;
  uint32_t SaSetRecord::*const fields[] = {&SaSetRecord::spi_uc, &SaSetRecord::spi_us,
                                           &SaSetRecord::spi_pc, &SaSetRecord::spi_ps};
  const char* const names[] = {"spi_uc", "spi_us", "spi_pc", "spi_ps"};
  for (int i = 0; i < 4; ++i) {
    for (const uint32_t value : {0u, 1u, 255u})
      refusals.push_back({"reserved", Status::kSpiReserved, names[i],
                          [=](SaSetRecord& record) { record.*fields[i] = value; }});
    for (int j = 0; j < i; ++j)
      refusals.push_back({"repeated", Status::kSpiRepeated, names[i],
                          [=](SaSetRecord& record) { record.*fields[i] = record.*fields[j]; }});
  }
  expect_refused(refusals);
}

// Shows: R-7.1-13
TEST(Install, Takes256AsSpi) {
  SaDatabase database(database_options(1));
  SaSetRecord record = make_record(1);
  record.spi_ps = 256;
  install(database, record);
  EXPECT_NE(find_inbound(database, 256, address("192.0.2.1")), kNoSa);
}

// Shows: R-7.1-15, R-2401-01
TEST(Install, RefusesPorts) {
  expect_refused({
      {"port_uc", Status::kPortZero, "port_uc is 0", [](SaSetRecord& r) { r.port_uc = 0; }},
      {"port_us", Status::kPortZero, "port_us is 0", [](SaSetRecord& r) { r.port_us = 0; }},
      {"port_pc", Status::kPortZero, "port_pc is 0", [](SaSetRecord& r) { r.port_pc = 0; }},
      {"port_ps", Status::kPortZero, "port_ps is 0", [](SaSetRecord& r) { r.port_ps = 0; }},
      {"UE side", Status::kPortsEqual, "port_uc and port_us",
       [](SaSetRecord& r) { r.port_us = r.port_uc; }},
      {"our side", Status::kPortsEqual, "port_pc and port_ps",
       [](SaSetRecord& r) { r.port_pc = r.port_ps; }},
      {"port_pc open", Status::kPortNotProtected, "port_pc is 6010",
       [](SaSetRecord& r) { r.port_pc = kPortPcLast + 1; }},
      {"port_ps open", Status::kPortNotProtected, "port_ps is 5060",
       [](SaSetRecord& r) { r.port_ps = 5060; }},
  });
}

// Shows: R-D-S3
TEST(Install, RefusesAddresses) {
  const auto ue = [](const char* text) {
    return [=](SaSetRecord& record) { put(address(text), record.ue_address); };
  };
  const auto local = [](const char* text) {
    return [=](SaSetRecord& record) { put(address(text), record.local_address); };
  };
  std::vector<Refusal> refusals = {
      {"UE is we", Status::kAddressUnusable, "ue_address and local_address", ue("192.0.2.1")},
      {"UE IPv6, we IPv4", Status::kMixedFamilies, "ue_address", ue("2001:db8::7")},
      {"UE IPv4, we IPv6", Status::kMixedFamilies, "ue_address", ue("10.0.0.7"), kIpv6},
  };
  for (const char* text : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "224.0.0.1",
                           "239.255.255.255", "255.255.255.255", "::", "::1", "ff02::1"}) {
    refusals.push_back({text, Status::kAddressUnusable, "ue_address", ue(text)});
    refusals.push_back({text, Status::kAddressUnusable, "local_address", local(text)});
  }
  expect_refused(refusals);
}

// Shows: R-D-S3, R-M-06, R-M-07
TEST(Install, RefusesOuterAddresses) {
  const auto outer_ue = [](const char* text) {
    return [=](SaSetRecord& record) { put(address(text), record.outer_ue_address); };
  };
  const auto outer_local = [](const char* text) {
    return [=](SaSetRecord& record) { put(address(text), record.outer_local_address); };
  };
  expect_refused({
      {"transport, outer UE differs", Status::kOuterAddressUnusable, "outer_ue_address",
       outer_ue("10.0.0.9")},
      {"transport, outer local differs", Status::kOuterAddressUnusable, "outer_local_address",
       outer_local("192.0.2.9")},
      {"transport, peer port", Status::kBadRecord, "outer_ue_port is 4500",
       [](SaSetRecord& record) { record.outer_ue_port = 4500; }},
      {"tunnel, outer UE missing", Status::kOuterAddressUnusable, "outer_ue_address",
       outer_ue("::"), kTunnel},
      {"tunnel, outer UE multicast", Status::kOuterAddressUnusable, "outer_ue_address",
       outer_ue("224.0.0.7"), kTunnel},
      {"tunnel, outer local loopback", Status::kOuterAddressUnusable, "outer_local_address",
       outer_local("127.0.0.1"), kTunnel},
      {"IPv4 in IPv6", Status::kMixedFamilies, "outer_ue_address", outer_ue("2001:db8::9"),
       kTunnel},
      {"IPv6 in IPv4", Status::kMixedFamilies, "outer_local_address", outer_local("192.0.2.1"),
       kIpv6Tunnel},
  });
}

// Shows: R-7.1-09
TEST(Install, RefusesWhatHasExpired) {
  expect_refused({
      {"now", Status::kAlreadyExpired, "not_after_ms",
       [](SaSetRecord& record) { record.not_after_ms = kNowMs; }},
      {"never", Status::kAlreadyExpired, "not_after_ms",
       [](SaSetRecord& record) { record.not_after_ms = 0; }},
  });
}

// Shows: R-7.1-07, R-7.1-25, R-7.1-12
TEST(Install, RefusesWhatAnotherSetUses) {
  const SaSetRecord live = make_record(kLiveUe);
  const auto take_flow = [&](SaSetRecord& record, bool of_uc) {
    put(Address::from_ipv6(live.ue_address), record.ue_address);
    if (of_uc) {
      record.port_uc = live.port_uc;
    } else {
      record.port_us = live.port_us;
      record.port_pc = live.port_pc;
    }
  };
  expect_refused({
      {"spi_ps", Status::kSpiInUse, "spi_ps",
       [&](SaSetRecord& record) { record.spi_ps = live.spi_ps; }},
      {"spi_pc", Status::kSpiInUse, "spi_pc",
       [&](SaSetRecord& record) { record.spi_pc = live.spi_pc; }},
      {"spi_pc as spi_ps", Status::kSpiInUse, "spi_ps",
       [&](SaSetRecord& record) { record.spi_ps = live.spi_pc; }},
      {"port_uc", Status::kSelectorInUse, "local port 5064",
       [&](SaSetRecord& record) { take_flow(record, true); }},
      {"port_us", Status::kSelectorInUse, "local port 6007",
       [&](SaSetRecord& record) { take_flow(record, false); }},
  });
}

// Shows: R-7.1-07
TEST(Install, NamesTheSetThatIsInTheWay) {
  SaDatabase database(database_options(2));
  const uint64_t live = install(database, make_record(1));
  SaSetRecord record = make_record(2);
  record.spi_pc = make_record(1).spi_ps;
  uint64_t set_id = 0;
  std::string detail;
  EXPECT_EQ(database.install(record, kNowMs, set_id, detail), Status::kSpiInUse);
  EXPECT_NE(detail.find("set " + std::to_string(live)), std::string::npos) << detail;
}

/// One SPI on two of our addresses names two SAs (the triple of RFC 2401 4.1).
// Shows: R-7.1-07
TEST(Install, TakesOneSpiAtTwoLocalAddresses) {
  SaDatabase database(database_options(2));
  const SaSetRecord first = make_record(1);
  SaSetRecord second = make_record(2);
  second.spi_ps = first.spi_ps;
  put(address("192.0.2.2"), second.local_address);
  install(database, first);
  install(database, second);
  const SaIndex a = find_inbound(database, first.spi_ps, address("192.0.2.1"));
  const SaIndex b = find_inbound(database, first.spi_ps, address("192.0.2.2"));
  EXPECT_NE(a, kNoSa);
  EXPECT_NE(b, kNoSa);
  EXPECT_NE(set_of(a), set_of(b));
  EXPECT_EQ(find_inbound(database, first.spi_ps, address("192.0.2.3")), kNoSa);
}

// Shows: R-7.1-04
TEST(Install, RefusesWithdrawnAlgorithms) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    const auto integrity = static_cast<uint8_t>(shape.suite.integrity);
    const auto cipher = static_cast<uint8_t>(shape.suite.cipher);
    for (const auto& [first, second] : {std::pair{integrity, uint8_t{0}}, {uint8_t{0}, cipher}}) {
      SaDatabase database(database_options(1));
      database.withdraw(first, second);
      uint64_t set_id = 0;
      std::string detail;
      EXPECT_EQ(database.install(make_record(1, shape), kNowMs, set_id, detail),
                Status::kAlgorithmWithdrawn);
      EXPECT_NE(detail.find(crypto::name(shape.suite)), std::string::npos) << detail;
      database.restore(first, second);
      install(database, make_record(1, shape));
    }
  }
}

// Shows: R-D-P2, R-D-E2
TEST(Install, RefusesWhenFullAndGoesOnAfterwards) {
  SaDatabase database(database_options(3));
  const uint64_t first = install(database, make_record(1));
  install(database, make_record(2));
  install(database, make_record(3));
  uint64_t set_id = 0;
  std::string detail;
  EXPECT_EQ(database.install(make_record(4), kNowMs, set_id, detail), Status::kTableFull);
  EXPECT_NE(detail.find("capacity_sets"), std::string::npos) << detail;
  EXPECT_EQ(database.unpublish(first), Status::kOk);
  EXPECT_EQ(database.install(make_record(4), kNowMs, set_id, detail), Status::kTableFull)
      << "readers may still be in the slot";
  database.reclaim(static_cast<SetIndex>(first));
  install(database, make_record(4));
}

}  // namespace
}  // namespace gmesp::ipsec
