// A 128-bit keyed hash of a transaction's name: enough to tell repetitions from new messages
// without keeping the text. Keyed, so that nobody can prepare two names with one hash.
//
// Threading: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace gmesp::sa {

/// SipHash-2-4-128.
std::array<uint64_t, 2> hash_transaction(const std::array<uint64_t, 2>& key, std::string_view name);

}  // namespace gmesp::sa
