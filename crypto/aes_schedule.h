// Schedules of AES-128 as IPsec-MB takes them, made for each packet when its batch is at work.
//
// Kept ready with the SA they would be six cache lines of a set, three of which a packet reads. At
// a million phones a line is a wait for memory; a schedule takes 3 ns to make in lanes, 11 ns in
// the library.
//
// Threading: no state. Ownership: the caller's, who wipes them. Errors: none. Source: FIPS 197 5.2
// and 5.3.5. No branch and no address depends on a key.
#pragma once

#include <array>
#include <cstdint>
#include <span>

struct IMB_MGR;

namespace gmesp::crypto {

/// Eleven round keys of 16 bytes.
struct alignas(16) AesSchedule {
  std::array<uint8_t, 11 * 16> round_keys;
};

/// By the library, from a key of 16 bytes.
void make_schedules(IMB_MGR* manager, const uint8_t* key, AesSchedule& encryption,
                    AesSchedule& decryption) noexcept;

/// Of as many keys at once. Only where has_cbc_lanes() (cbc_lanes.h).
void make_decryption_schedules(std::span<const uint8_t* const> keys,
                               AesSchedule* schedules) noexcept;

}  // namespace gmesp::crypto
