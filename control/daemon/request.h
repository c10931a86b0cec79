// Requests of proxies and operators, decoded: every field once, checked for its kind and length.
//
// Ownership: texts and keys point into the message. Threading: plain values.
// Errors: read() is false, `why` names the field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/link/message.h"
#include "control/sa/event.h"

namespace gmesp::control {

/// All that any request may carry; what is absent keeps its default.
struct Request {
  link::Kind kind{};
  uint64_t tag = 0;
  std::string_view impi;
  std::string_view registration_key;
  std::string_view transaction;
  std::string_view method;
  std::vector<std::string_view> impus;
  std::vector<std::string_view> security_client;
  std::vector<std::string_view> security_verify;
  std::span<const uint8_t> ik;
  std::span<const uint8_t> ck;
  sa::Arrival arrival;
  sa::Address via{};
  sa::UePort ue;
  uint64_t answer = 0;
  uint64_t status = 0;
  uint64_t expires_ms = 0;
  uint64_t is_request = 1;
  uint64_t is_emergency = 0;
  uint64_t set = 0;
  uint64_t cursor = 0;
  uint64_t integrity = 0;
  uint64_t cipher = 0;
  uint64_t removes_live = 0;

  bool read(link::MessageReader& message, std::string& why);

  sa::RegisterRequest register_request() const;
  sa::Challenge challenge() const;
  sa::RegisterAnswer register_answer() const;
  sa::Message message() const;
};

}  // namespace gmesp::control
