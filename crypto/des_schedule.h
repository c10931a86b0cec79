// The schedule of DES as IPsec-MB takes it, made for each packet when its batch is at work: see
// aes_schedule.h. The library takes 650 ns to make one, which is why there is another way on
// AVX-512: 5 ns.
//
// Threading: no state. Ownership: the caller's, who wipes it. Errors: none. Source: FIPS 46-3. No
// branch and no address depends on a key.
#pragma once

#include <array>
#include <cstdint>

struct IMB_MGR;

namespace gmesp::crypto {

inline constexpr uint32_t kDesKeyBytes = 8;

/// Sixteen round keys, six bits in each byte.
using DesSchedule = std::array<uint64_t, 16>;

/// From a key of kDesKeyBytes, whose lowest bits are parity, for the vector extension of `manager`.
void make_schedule(IMB_MGR* manager, const uint8_t* key, DesSchedule& schedule) noexcept;

}  // namespace gmesp::crypto
