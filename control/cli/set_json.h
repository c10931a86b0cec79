// SA sets as JSON (control/cli/README.md): one object in, one object out.
//
// Errors: InputError names the field, what was found and what is allowed; never a key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "control/client/gmesp.h"

namespace gmesp::cli {

struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Parses one JSON object. Unknown fields are errors. `set` holds keys afterwards: wipe it.
void set_from_json(const std::string& text, gmesp_sa_set& set);

/// What `sa add` and `sa load` take of a set, without keys and lifetime.
nlohmann::ordered_json set_fields(const gmesp_sa_set& set);

/// A live set with its counters, without keys.
nlohmann::ordered_json json_of(const gmesp_set_view& view);

/// "aes-cbc/hmac-sha-1-96".
std::string suite_text(const gmesp_sa_set& set);
/// Seconds until the set ends; empty: it does not.
std::optional<uint64_t> left_s(const gmesp_sa_set& set);
uint64_t age_s(const gmesp_set_view& view);

std::string id_text(uint64_t set_id);
/// Decimal, or hexadecimal with 0x. Throws InputError.
uint64_t parse_id(const std::string& text);

/// Numbers of "hmac-sha-1-96", "aes-cbc" and their like; 0 if the name is not one.
int integrity_number(const std::string& name);
int cipher_number(const std::string& name);
/// And back; "unknown" if there is none.
std::string mode_name(int number);
std::string integrity_name(int number);
std::string cipher_name(int number);

std::string address_text(const uint8_t (&address)[GMESP_ADDRESS_BYTES]);

}  // namespace gmesp::cli
