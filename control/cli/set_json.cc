#include "control/cli/set_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "control/sa/key_expansion.h"

namespace gmesp::cli {
namespace {

using nlohmann::json;

struct Named {
  std::string_view name;
  int number;
};
constexpr std::array kModes = {
    Named{"transport", GMESP_MODE_TRANSPORT},
    Named{"udp-encapsulated-tunnel", GMESP_MODE_UDP_ENCAPSULATED_TUNNEL}};
constexpr std::array kIntegrities = {Named{"hmac-md5-96", GMESP_INTEGRITY_HMAC_MD5_96},
                                     Named{"hmac-sha-1-96", GMESP_INTEGRITY_HMAC_SHA1_96}};
constexpr std::array kCiphers = {Named{"null", GMESP_CIPHER_NULL},
                                 Named{"aes-cbc", GMESP_CIPHER_AES_CBC},
                                 Named{"des-ede3-cbc", GMESP_CIPHER_DES_EDE3_CBC}};

template <size_t N>
int number_of(const std::array<Named, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name, &Named::name);
  return found == names.end() ? 0 : found->number;
}

template <size_t N>
std::string_view name_of(const std::array<Named, N>& names, int number) {
  const auto found = std::ranges::find(names, number, &Named::number);
  return found == names.end() ? "unknown" : found->name;
}

/// Takes fields out of one object; what was never asked for is unknown.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) { asked_.reserve(kFieldsExpected); }

  bool has(const char* field) { return find(field) != nullptr; }

  /// `allowed` gives the text for the error; it is not asked for unless there is one.
  template <class Allowed>
  const std::string& string(const char* field, Allowed allowed) {
    const json* value = find(field);
    if (value == nullptr) fail(field, "nothing", allowed());
    if (!value->is_string()) fail(field, value->type_name(), allowed());
    return value->get_ref<const std::string&>();
  }

  uint64_t number(const char* field, uint64_t least, uint64_t most) {
    const auto allowed = [=] { return fmt::format("a whole number, {} to {}", least, most); };
    const json* value = find(field);
    if (value == nullptr) fail(field, "nothing", allowed());
    // A key that stands in the wrong place must not be echoed.
    if (!value->is_number()) fail(field, value->type_name(), allowed());
    if (!value->is_number_unsigned()) fail(field, value->dump(), allowed());
    const auto number = value->get<uint64_t>();
    if (number < least || number > most) fail(field, std::to_string(number), allowed());
    return number;
  }

  template <size_t N>
  uint8_t name(const char* field, const std::array<Named, N>& names) {
    const auto allowed = [&names] {
      std::string text;
      for (const Named& named : names)
        text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", named.name);
      return text;
    };
    const std::string& found = string(field, allowed);
    const int number = number_of(names, found);
    if (number == 0) fail(field, '"' + found + '"', allowed());
    return static_cast<uint8_t>(number);
  }

  void address(const char* field, uint8_t (&to)[GMESP_ADDRESS_BYTES]) {
    const auto allowed = [] { return std::string("an IPv4 or IPv6 address"); };
    const std::string& text = string(field, allowed);
    if (gmesp_address_from_text(text.c_str(), to) != GMESP_OK)
      fail(field, '"' + text + '"', allowed());
  }

  /// The value is a secret: errors tell its length only.
  std::vector<uint8_t> key(const char* field) {
    const auto allowed = [] { return std::string("hexadecimal digits, two for each byte"); };
    const std::string& text = string(field, allowed);
    std::vector<uint8_t> bytes(text.size() / 2);
    bool good = text.size() % 2 == 0;
    for (size_t i = 0; good && i < bytes.size(); ++i) {
      const char* at = text.data() + 2 * i;
      good = std::from_chars(at, at + 2, bytes[i], 16).ptr == at + 2;
    }
    if (!good) fail(field, fmt::format("{} characters", text.size()), allowed());
    return bytes;
  }

  void require_no_others() const {
    for (const auto& [field, value] : object_.items())
      if (std::ranges::find(asked_, field) == asked_.end())
        throw InputError(fmt::format("{}: unknown field", field));
  }

  [[noreturn]] static void fail(const std::string& field, const std::string& found,
                                const std::string& allowed) {
    throw InputError(fmt::format("{}: found {}, allowed {}", field, found, allowed));
  }

 private:
  static constexpr size_t kFieldsExpected = 32;

  const json* find(const char* field) {
    asked_.push_back(field);
    const auto found = object_.find(field);
    return found == object_.end() ? nullptr : &*found;
  }

  const json& object_;
  std::vector<std::string_view> asked_;
};

template <size_t N>
uint8_t store_key(const char* field, const std::vector<uint8_t>& key, uint8_t (&to)[N]) {
  if (key.size() > N)
    Fields::fail(field, fmt::format("{} bytes", key.size()), fmt::format("at most {} bytes", N));
  std::ranges::copy(key, to);
  return static_cast<uint8_t>(key.size());
}

sa::AkaKey aka_key(const char* field, const std::vector<uint8_t>& key) {
  if (key.size() != sa::kAkaKeyBytes)
    Fields::fail(field, fmt::format("{} bytes", key.size()), "16 bytes");
  return sa::AkaKey(key.data(), sa::kAkaKeyBytes);
}

/// TS 33.203 Annex I, from IK.
std::vector<uint8_t> expanded_ik(const std::vector<uint8_t>& ik, int integrity) {
  std::vector<uint8_t> key(integrity == GMESP_INTEGRITY_HMAC_MD5_96 ? sa::kMd5KeyBytes
                                                                    : sa::kSha1KeyBytes);
  if (integrity == GMESP_INTEGRITY_HMAC_MD5_96)
    sa::expand_md5_key(aka_key("ik", ik), std::span<uint8_t, sa::kMd5KeyBytes>(key));
  else
    sa::expand_sha1_key(aka_key("ik", ik), std::span<uint8_t, sa::kSha1KeyBytes>(key));
  return key;
}

/// TS 33.203 Annex I, from CK.
std::vector<uint8_t> expanded_ck(const std::vector<uint8_t>& ck, int cipher) {
  const sa::AkaKey source = aka_key("ck", ck);
  if (cipher == GMESP_CIPHER_NULL) return {};
  if (cipher == GMESP_CIPHER_AES_CBC) {
    std::vector<uint8_t> key(sa::kAesKeyBytes);
    sa::expand_aes_key(source, std::span<uint8_t, sa::kAesKeyBytes>(key));
    return key;
  }
  std::vector<uint8_t> key(sa::kDesEde3KeyBytes);
  if (!sa::expand_des_ede3_key(source, std::span<uint8_t, sa::kDesEde3KeyBytes>(key)))
    Fields::fail("ck", "two equal halves", "halves that differ, for des-ede3-cbc (RFC 2451 2.3)");
  return key;
}

void take_keys(Fields& fields, gmesp_sa_set& set) {
  std::vector<uint8_t> integrity =
      fields.has("ik") ? expanded_ik(fields.key("ik"), set.integrity) : fields.key("integrity_key");
  std::vector<uint8_t> cipher;
  if (fields.has("ck"))
    cipher = expanded_ck(fields.key("ck"), set.cipher);
  else if (fields.has("cipher_key"))
    cipher = fields.key("cipher_key");
  else if (set.cipher != GMESP_CIPHER_NULL)
    Fields::fail("cipher_key", "nothing", "the key of the cipher, or \"ck\"");
  set.integrity_key_bytes = store_key("integrity_key", integrity, set.integrity_key);
  set.cipher_key_bytes = store_key("cipher_key", cipher, set.cipher_key);
  for (std::vector<uint8_t>* key : {&integrity, &cipher})
    if (!key->empty()) explicit_bzero(key->data(), key->size());
}

void take_addresses(Fields& fields, gmesp_sa_set& set) {
  fields.address("ue", set.ue_address);
  fields.address("local", set.local_address);
  std::ranges::copy(set.ue_address, set.outer_ue_address);
  std::ranges::copy(set.local_address, set.outer_local_address);
  const bool tunnel = set.mode == GMESP_MODE_UDP_ENCAPSULATED_TUNNEL;
  if (fields.has("outer_ue")) fields.address("outer_ue", set.outer_ue_address);
  if (fields.has("outer_local")) fields.address("outer_local", set.outer_local_address);
  if (fields.has("outer_ue_port"))
    set.outer_ue_port =
        static_cast<uint16_t>(fields.number("outer_ue_port", 0, tunnel ? 65535 : 0));
}

void take_ports_and_spis(Fields& fields, gmesp_sa_set& set) {
  const auto port = [&](const char* field) {
    return static_cast<uint16_t>(fields.number(field, 1, 65535));
  };
  const auto spi = [&](const char* field) {
    return static_cast<uint32_t>(fields.number(field, 256, UINT32_MAX));
  };
  set.port_uc = port("port_uc");
  set.port_us = port("port_us");
  set.port_pc = port("port_pc");
  set.port_ps = port("port_ps");
  set.spi_uc = spi("spi_uc");
  set.spi_us = spi("spi_us");
  set.spi_pc = spi("spi_pc");
  set.spi_ps = spi("spi_ps");
}

nlohmann::ordered_json counters_json(const gmesp_sa_counters& sa) {
  return {{"packets", sa.packets},   {"bytes", sa.bytes},
          {"sequence", sa.sequence}, {"icv_failures", sa.icv_failures},
          {"replays", sa.replays},   {"other_drops", sa.other_drops}};
}

}  // namespace

void set_from_json(const std::string& text, gmesp_sa_set& set) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) throw InputError("not a JSON object");
  GMESP_INIT(&set);
  Fields fields(object);
  set.mode = fields.name("mode", kModes);
  set.integrity = fields.name("integrity", kIntegrities);
  set.cipher = fields.name("cipher", kCiphers);
  take_addresses(fields, set);
  take_ports_and_spis(fields, set);
  constexpr uint64_t kLifetimeMaxS = UINT32_MAX;  // TS 33.203 7.1: 2^32-1 seconds is "for ever"
  const uint64_t lifetime_s =
      fields.has("lifetime_s") ? fields.number("lifetime_s", 1, kLifetimeMaxS) : kLifetimeMaxS;
  set.not_after_ms =
      lifetime_s == kLifetimeMaxS ? GMESP_FOREVER : gmesp_not_after_ms(lifetime_s * 1000);
  if (fields.has("cookie")) set.cookie = fields.number("cookie", 0, UINT64_MAX);
  take_keys(fields, set);
  fields.require_no_others();
}

nlohmann::ordered_json set_fields(const gmesp_sa_set& set) {
  return {
      {"mode", name_of(kModes, set.mode)},
      {"integrity", name_of(kIntegrities, set.integrity)},
      {"cipher", name_of(kCiphers, set.cipher)},
      {"ue", address_text(set.ue_address)},
      {"local", address_text(set.local_address)},
      {"outer_ue", address_text(set.outer_ue_address)},
      {"outer_local", address_text(set.outer_local_address)},
      {"outer_ue_port", set.outer_ue_port},
      {"port_uc", set.port_uc},
      {"port_us", set.port_us},
      {"port_pc", set.port_pc},
      {"port_ps", set.port_ps},
      {"spi_uc", set.spi_uc},
      {"spi_us", set.spi_us},
      {"spi_pc", set.spi_pc},
      {"spi_ps", set.spi_ps},
      {"cookie", set.cookie},
  };
}

nlohmann::ordered_json json_of(const gmesp_set_view& view) {
  const gmesp_sa_set& set = view.set;
  nlohmann::ordered_json out = {{"id", id_text(view.set_id)}};
  out.update(set_fields(set));
  out["age_s"] = age_s(view);
  out["path_mtu_bytes"] = view.path_mtu_bytes;
  if (const auto left = left_s(set))
    out["left_s"] = *left;
  else
    out["left_s"] = nullptr;
  static constexpr const char* kRoles[GMESP_SAS_PER_SET] = {"in_uc_ps", "out_ps_uc", "in_us_pc",
                                                            "out_pc_us"};
  for (size_t i = 0; i < GMESP_SAS_PER_SET; ++i) out["sas"][kRoles[i]] = counters_json(view.sa[i]);
  return out;
}

std::string suite_text(const gmesp_sa_set& set) {
  return fmt::format("{}/{}", name_of(kCiphers, set.cipher), name_of(kIntegrities, set.integrity));
}

std::optional<uint64_t> left_s(const gmesp_sa_set& set) {
  if (set.not_after_ms == GMESP_FOREVER) return std::nullopt;
  const uint64_t now_ms = gmesp_now_ms();
  return set.not_after_ms > now_ms ? (set.not_after_ms - now_ms) / 1000 : 0;
}

uint64_t age_s(const gmesp_set_view& view) {
  return (gmesp_now_ms() - view.installed_ms) / 1000;
}

std::string id_text(uint64_t set_id) {
  return fmt::format("0x{:x}", set_id);
}

uint64_t parse_id(const std::string& text) {
  const bool hexadecimal = text.starts_with("0x");
  const char* begin = text.data() + (hexadecimal ? 2 : 0);
  const char* end = text.data() + text.size();
  uint64_t id = 0;
  if (begin == end || std::from_chars(begin, end, id, hexadecimal ? 16 : 10).ptr != end)
    throw InputError(fmt::format("id: found \"{}\", allowed what `sa list` shows", text));
  return id;
}

int integrity_number(const std::string& name) {
  return number_of(kIntegrities, name);
}
int cipher_number(const std::string& name) {
  return number_of(kCiphers, name);
}

std::string mode_name(int number) {
  return std::string(name_of(kModes, number));
}
std::string integrity_name(int number) {
  return std::string(name_of(kIntegrities, number));
}
std::string cipher_name(int number) {
  return std::string(name_of(kCiphers, number));
}

std::string address_text(const uint8_t (&address)[GMESP_ADDRESS_BYTES]) {
  char text[GMESP_ADDRESS_TEXT_BYTES];
  gmesp_address_to_text(address, text);
  return text;
}

}  // namespace gmesp::cli
