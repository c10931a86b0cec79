// Which packets of a batch share the lanes of a register: those of equal lengths beside each other,
// so that they start and end together.
//
// Threading: no state. Errors: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gmesp::crypto {

inline constexpr uint32_t kLaneMessagesMax = 128;

/// Message numbers; as many as there are messages.
using LaneOrder = std::array<uint8_t, kLaneMessagesMax>;

/// By what `length_of` says of a message. From 63 on all count as equal: no frame has more blocks,
/// and what is longer costs its neighbours time only.
template <class Message, class LengthOf>
void order_by_length(std::span<const Message> messages, LengthOf length_of, LaneOrder& order) {
  constexpr uint32_t kMost = 63;
  std::array<uint8_t, kLaneMessagesMax> lengths;
  uint32_t least = kMost, most = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    const uint32_t length = std::min<uint32_t>(length_of(messages[i]), kMost);
    least = std::min(least, length);
    most = std::max(most, length);
    lengths[i] = static_cast<uint8_t>(length);
    order[i] = static_cast<uint8_t>(i);
  }
  if (least == most) return;
  std::array<uint8_t, kMost + 1> ends{};
  for (size_t i = 0; i < messages.size(); ++i) ++ends[lengths[i]];
  for (uint32_t length = least + 1; length <= most; ++length) ends[length] += ends[length - 1];
  for (size_t i = messages.size(); i-- > 0;) order[--ends[lengths[i]]] = static_cast<uint8_t>(i);
}

}  // namespace gmesp::crypto
