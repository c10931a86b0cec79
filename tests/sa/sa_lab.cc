#include "sa_lab.h"

#include <algorithm>
#include <cstdio>

namespace gmesp::sa {

Address ipv4(uint8_t x, uint8_t y) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, x, y};
}

Address ipv6(uint16_t last) {
  return {0x20,
          0x01,
          0x0d,
          0xb8,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          static_cast<uint8_t>(last >> 8),
          static_cast<uint8_t>(last)};
}

// --- the UE -------------------------------------------------------------------------------------

Ue ue_at(const Address& address, std::string impi) {
  return {.impi = std::move(impi), .address = address, .via = address};
}

Arrival UeSet::from_client(bool is_tcp) const {
  return {ue, kPcscf, port_uc, port_ps, is_tcp};
}

Arrival UeSet::from_server() const {
  return {ue, kPcscf, port_us, port_pc, false};
}

std::vector<std::map<std::string, std::string>> entries_of(const std::string& text) {
  std::vector<std::map<std::string, std::string>> entries;
  std::string name, value;
  bool in_value = false;
  const auto end_parameter = [&] {
    entries.back()[in_value ? name : ""] = in_value ? value : name;
    name = value = "";
    in_value = false;
  };
  entries.emplace_back();
  for (const char c : text) {
    if (c == ' ') continue;
    if (c == '=') in_value = true;
    if (c == ';' || c == ',') end_parameter();
    if (c == ',') entries.emplace_back();
    if (c != '=' && c != ';' && c != ',') (in_value ? value : name) += c;
  }
  end_parameter();
  return entries;
}

std::string Ue::offer() const {
  std::string text;
  for (const std::string& pair : offers)
    for (const std::string& mode : modes) {
      char entry[256];
      std::snprintf(
          entry, sizeof entry, "%sipsec-3gpp;%s;mod=%s;spi-c=%010u;spi-s=%010u;port-c=%u;port-s=%u",
          text.empty() ? "" : ",", pair.c_str(), mode.c_str(), spi_c, spi_s, port_c, port_s);
      text += entry;
    }
  return text;
}

Arrival Ue::in_clear() const {
  return {address, kPcscf, 5060, 5060, uses_tcp};
}

void Ue::choose_anew() {
  spi_c += 2;
  spi_s += 2;
  ++port_c;
}

namespace {

/// 7.2: the first entry that the UE supports too, of any order of its own.
UeSet read_sm6(const Ue& ue, SetNumber number) {
  UeSet set{.number = number, .ue = ue.address, .spi_uc = ue.spi_c, .spi_us = ue.spi_s};
  set.port_uc = ue.port_c;
  set.port_us = ue.port_s;
  for (auto& entry : entries_of(ue.security_server)) {
    const bool has_cipher = entry.contains("ealg") && entry["ealg"] != "null";
    const std::string pair =
        "alg=" + entry["alg"] + (has_cipher ? ";ealg=" + entry["ealg"] : std::string());
    if (std::find(ue.offers.begin(), ue.offers.end(), pair) == ue.offers.end()) continue;
    set.algorithms = pair;
    set.mode = entry["mod"];
    set.spi_pc = static_cast<uint32_t>(std::stoul(entry["spi-c"]));
    set.spi_ps = static_cast<uint32_t>(std::stoul(entry["spi-s"]));
    set.port_pc = static_cast<uint16_t>(std::stoul(entry["port-c"]));
    set.port_ps = static_cast<uint16_t>(std::stoul(entry["port-s"]));
    return set;
  }
  ADD_FAILURE() << "no entry for this UE in " << ue.security_server;
  return set;
}

std::string text_of(const Address& address) {
  std::string text;
  for (const uint8_t byte : address) text += std::to_string(byte) + ".";
  return text;
}

std::string text_of(const SaSet& set) {
  std::string text = text_of(set.ue) + text_of(set.local);
  for (const uint64_t value :
       {set.number, set.not_after_ms, uint64_t{set.spi_uc}, uint64_t{set.spi_us},
        uint64_t{set.spi_pc}, uint64_t{set.spi_ps}, uint64_t{set.port_uc}, uint64_t{set.port_us},
        uint64_t{set.port_pc}, uint64_t{set.port_ps}, uint64_t{static_cast<uint8_t>(set.mode)}})
    text += " " + std::to_string(value);
  return text + "\n";
}

}  // namespace

std::string text_of(const Verdict& verdict) {
  std::string text = std::string(info(verdict.refusal).name) + text_of(verdict.send.local) +
                     text_of(verdict.send.remote);
  for (const uint64_t value :
       {uint64_t{static_cast<uint8_t>(verdict.action)}, uint64_t{verdict.status}, verdict.send.set,
        uint64_t{static_cast<uint8_t>(verdict.send.mode)}, uint64_t{verdict.send.local_port},
        uint64_t{verdict.send.remote_port}, uint64_t{verdict.send.on_same_connection},
        uint64_t{verdict.send.same_connection_possible}, verdict.arrived_on,
        uint64_t{verdict.is_integrity_protected}, uint64_t{verdict.is_repetition}})
    text += " " + std::to_string(value);
  text += verdict.impi + verdict.security_server;
  for (const std::string& impu : verdict.impus) text += impu;
  return text + "\n";
}

// --- gmespd -------------------------------------------------------------------------------------

bool RecordingSink::install(const NewSet& set) {
  if (is_down) return false;
  const auto* integrity = set.integrity_key.data();
  const auto* cipher = set.cipher_key.data();
  held[set.set->number] = {*set.set,
                           {integrity, integrity + set.integrity_key_bytes},
                           {cipher, cipher + set.cipher_key_bytes},
                           set.set->not_after_ms};
  unacknowledged.push_back(set.set->number);
  log += "install " + text_of(*set.set);
  for (const uint8_t byte : held[set.set->number].integrity_key) log += std::to_string(byte) + " ";
  for (const uint8_t byte : held[set.set->number].cipher_key) log += std::to_string(byte) + " ";
  return true;
}

void RecordingSink::remove(const SaSet& set, GoneBecause because) {
  held.erase(set.number);
  std::erase(unacknowledged, set.number);
  removed.push_back({set.number, because});
  log += "remove " + std::to_string(static_cast<int>(because)) + " " + text_of(set);
}

void RecordingSink::set_not_after(const SaSet& set) {
  EXPECT_GE(set.not_after_ms, held.at(set.number).not_after_ms) << "a lifetime never shrinks";
  held.at(set.number).not_after_ms = set.not_after_ms;
  log += "not after " + text_of(set);
}

void RecordingSink::answer(uint64_t request, const Verdict& verdict) {
  answers.emplace_back(request, verdict);
  log += "answer " + std::to_string(request) + " " + text_of(verdict);
}

void RecordingSink::changed(const Context& context) {
  log += "changed " + context.impi + " " + std::to_string(context.sets.size()) + "\n";
}

/// FNV-1a over a secret and the key.
KeyFingerprint RecordingSink::fingerprint(std::span<const uint8_t> key) {
  KeyFingerprint fingerprint{};
  uint64_t hash = 0xcbf29ce484222325 ^ 0x5ec3e7;
  for (const uint8_t byte : key) {
    hash = (hash ^ byte) * 0x100000001b3;
    fingerprint[hash % fingerprint.size()] ^= static_cast<uint8_t>(hash >> 32);
    fingerprint[0] = static_cast<uint8_t>(fingerprint[0] + byte) | 1;
  }
  return fingerprint;
}

// --- the procedure ------------------------------------------------------------------------------

SaLab::SaLab(const Policy& policy, uint64_t seed) : manager(policy, sink, 1, seed) {}

Verdict SaLab::log(const Verdict& verdict) {
  sink.log += text_of(verdict);
  return verdict;
}

RegisterRequest SaLab::request_of(const Ue& ue, const std::string& transaction,
                                  std::span<const std::string_view> client) const {
  RegisterRequest request{};
  request.arrival = ue.protects ? ue.protects->from_client(ue.uses_tcp) : ue.in_clear();
  request.impi = ue.impi;
  request.impu = "sip:user";
  request.registration_key = ue.key;
  request.transaction = transaction;
  request.via = ue.via;
  request.security_client = client;
  return request;
}

Verdict SaLab::sm1(Ue& ue) {
  ue.sm1 = "call " + std::to_string(++names_);
  ue.sm7.clear();
  ue.security_client = ue.offer();
  return repeat_sm1(ue);
}

Verdict SaLab::repeat_sm1(const Ue& ue) {
  const std::string_view client = ue.security_client;
  return log(manager.on_register(request_of(ue, ue.sm1, {&client, 1}), now_ms));
}

Verdict SaLab::challenge(Ue& ue) {
  ++keys_;
  std::vector<uint8_t> ik(16), ck(16);
  for (uint8_t i = 0; i < 16; ++i) {
    ik[i] = static_cast<uint8_t>(keys_ * 31 + i);
    ck[i] = static_cast<uint8_t>(keys_ * 57 + 9 * i + 128);
  }
  return challenge(ue, ik, ck);
}

Verdict SaLab::sm4(const Ue& ue, const std::vector<uint8_t>& ik, const std::vector<uint8_t>& ck) {
  const Challenge challenge{ue.impi, ue.key, ue.sm1, ik, ck};
  return log(manager.on_challenge(challenge, ++requests_, now_ms));
}

Verdict SaLab::challenge(Ue& ue, const std::vector<uint8_t>& ik, const std::vector<uint8_t>& ck) {
  last_ik = ik;
  last_ck = ck;
  const Verdict verdict = sm4(ue, ik, ck);
  if (verdict.action != Action::kWait || !acknowledges) return verdict;
  acknowledge(ue);
  EXPECT_EQ(sink.answers.back().first, requests_);
  return sink.answers.back().second;
}

void SaLab::acknowledge(Ue& ue) {
  const std::vector<SetNumber> numbers = std::move(sink.unacknowledged);
  sink.unacknowledged.clear();
  for (const SetNumber number : numbers) manager.installed(number, 1000 + number);
  if (numbers.empty() || sink.answers.empty()) return;
  ue.security_server = sink.answers.back().second.security_server;
  ue.fresh = read_sm6(ue, numbers.back());
}

Verdict SaLab::sm7(Ue& ue) {
  ue.sm7 = "call " + std::to_string(++names_);
  return repeat_sm7(ue);
}

Verdict SaLab::repeat_sm7(const Ue& ue) {
  return sm7_with(ue, ue.security_client, ue.security_server);
}

Verdict SaLab::sm7_with(const Ue& ue, std::string_view client, std::string_view verify) {
  RegisterRequest request = request_of(ue, ue.sm7, {&client, 1});
  request.arrival = ue.fresh.from_client(ue.uses_tcp);
  request.via = ue.address;
  request.answer = AuthenticationAnswer::kResponse;
  request.security_verify = {&verify, 1};
  return log(manager.on_register(request, now_ms));
}

Verdict SaLab::ok(const Ue& ue, uint64_t expires_ms, const std::vector<std::string_view>& impus) {
  const std::string& transaction = ue.sm7.empty() ? ue.sm1 : ue.sm7;
  return log(
      manager.on_register_answer({ue.impi, ue.key, transaction, 200, impus, expires_ms}, now_ms));
}

Verdict SaLab::registrar_fails(const Ue& ue, bool sm7, uint16_t status) {
  return log(
      manager.on_register_answer({ue.impi, ue.key, sm7 ? ue.sm7 : ue.sm1, status, {}, 0}, now_ms));
}

Verdict SaLab::ue_fails(Ue& ue, AuthenticationAnswer how) {
  ue.sm1 = "call " + std::to_string(++names_);
  ue.sm7.clear();
  ue.security_client = ue.offer();
  const std::string_view client = ue.security_client;
  RegisterRequest request = request_of(ue, ue.sm1, {&client, 1});
  request.answer = how;
  return log(manager.on_register(request, now_ms));
}

UeSet SaLab::begin_in_clear(Ue& ue) {
  ue.protects.reset();
  ue.choose_anew();
  EXPECT_EQ(sm1(ue).refusal, Refusal::kNone);
  EXPECT_EQ(challenge(ue).refusal, Refusal::kNone);
  return ue.fresh;
}

UeSet SaLab::begin_on(const UeSet& old, Ue& ue) {
  ue.protects = old;
  ue.choose_anew();
  EXPECT_EQ(sm1(ue).refusal, Refusal::kNone);
  EXPECT_EQ(challenge(ue).refusal, Refusal::kNone);
  return ue.fresh;
}

UeSet SaLab::register_in_clear(Ue& ue, uint64_t expires_ms) {
  const UeSet fresh = begin_in_clear(ue);
  EXPECT_EQ(sm7(ue).refusal, Refusal::kNone);
  EXPECT_EQ(ok(ue, expires_ms).refusal, Refusal::kNone);
  return fresh;
}

UeSet SaLab::register_on(const UeSet& old, Ue& ue, uint64_t expires_ms) {
  const UeSet fresh = begin_on(old, ue);
  EXPECT_EQ(sm7(ue).refusal, Refusal::kNone);
  EXPECT_EQ(ok(ue, expires_ms).refusal, Refusal::kNone);
  return fresh;
}

Verdict SaLab::refresh_on(const UeSet& set, Ue& ue, uint64_t expires_ms) {
  ue.protects = set;
  ue.choose_anew();
  EXPECT_EQ(sm1(ue).action, Action::kForward);
  return ok(ue, expires_ms);
}

// --- other messages -----------------------------------------------------------------------------

Verdict SaLab::request(const Arrival& arrival, std::string_view method) {
  return log(manager.on_message({arrival, true, method, 0, false}, now_ms));
}

Verdict SaLab::response(const Arrival& arrival, uint16_t status) {
  return log(manager.on_message({arrival, false, {}, status, false}, now_ms));
}

Verdict SaLab::route(const Ue& ue, SetNumber began_on) {
  return log(manager.route(ue.impi, ue.key, began_on, now_ms));
}

Verdict SaLab::deregister(const Ue& ue) {
  return log(manager.on_deregistered(ue.impi, ue.key, now_ms));
}

void SaLab::pass(uint64_t milliseconds) {
  now_ms += milliseconds;
  manager.tick(now_ms);
}

const Context& SaLab::context(const Ue& ue) const {
  uint64_t cursor = 0;
  return *manager.next_context(ue.impi, cursor);
}

GoneBecause SaLab::why_gone(const UeSet& of) const {
  for (const RecordingSink::Removed& removed : sink.removed)
    if (removed.set == of.number) return removed.because;
  ADD_FAILURE() << "set " << of.number << " was not removed";
  return {};
}

}  // namespace gmesp::sa
