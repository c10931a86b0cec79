// Replies and events, encoded.
//
// Ownership: a reply holds its own buffer. Threading: plain values.
// Errors: what finds no room (identities from the end) is left out.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "control/link/message.h"
#include "control/sa/sa_manager.h"

namespace gmesp::control {

class Reply {
 public:
  explicit Reply(uint64_t tag, int32_t error = 0) : Reply(link::Kind::kReply, tag) {
    writer_.set_error(error);
  }
  Reply(link::Kind kind, uint64_t tag)
      : writer_(buffer_.data(), static_cast<uint32_t>(buffer_.size()), kind, tag) {}
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  Reply& number(link::Tag tag, uint64_t value) {
    writer_.number(tag, value);
    return *this;
  }
  Reply& text(link::Tag tag, std::string_view value) {
    writer_.bytes(tag, value.data(), static_cast<uint32_t>(value.size()));
    return *this;
  }
  Reply& address(link::Tag tag, const sa::Address& value) {
    writer_.bytes(tag, value.data(), static_cast<uint32_t>(value.size()));
    return *this;
  }
  Reply& verdict(const sa::Verdict& verdict);
  Reply& set(const sa::SaSet& set, bool is_latest, bool is_outbound);

  const uint8_t* data() const { return buffer_.data(); }
  uint32_t finish() { return writer_.finish(); }

 private:
  std::array<uint8_t, 16'384> buffer_;
  link::MessageWriter writer_;
};

}  // namespace gmesp::control
