// An SA manager with a gmespd that keeps what it is told, and UEs that know what a UE knows: what
// they sent in Security-Client and what they read, by a reader of their own, in Security-Server.
//
// A test reads like the clause: lab.sm1(ue), lab.challenge(ue), lab.sm7(ue), lab.ok(ue).
// Ownership: values. Threading: none. Units: milliseconds of a made-up clock.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "control/sa/sa_manager.h"

namespace gmesp::sa {

inline void PrintTo(Refusal refusal, std::ostream* out) {
  *out << info(refusal).name;
}

inline constexpr uint64_t kSecond_ms = 1'000;
inline constexpr uint64_t kHour_ms = 3'600'000;

/// 10.0.x.y, as the SIP side has it.
Address ipv4(uint8_t x, uint8_t y);
Address ipv6(uint16_t last);
inline const Address kPcscf = ipv4(0, 1);

/// What a UE knows of a set (7.1 rule 5), and our number for it.
struct UeSet {
  SetNumber number = kClear;
  Address ue{};
  uint32_t spi_uc = 0, spi_us = 0, spi_pc = 0, spi_ps = 0;
  uint16_t port_uc = 0, port_us = 0, port_pc = 0, port_ps = 0;
  std::string algorithms{};  ///< of the entry it took: "alg=…;ealg=…"
  std::string mode{};

  /// A message on its SA-a: from port_uc to port_ps. Behind NAT these are inner addresses.
  Arrival from_client(bool is_tcp = false) const;
  /// On its SA-c: from port_us to port_pc.
  Arrival from_server() const;
};

/// Parameters of each entry of a Security-* text: name to value; the mechanism under "".
std::vector<std::map<std::string, std::string>> entries_of(const std::string& text);

struct Ue {
  std::string impi;
  Address address{};
  Address via{};      ///< what it writes into Via; behind a NAT its private address
  std::string key{};  ///< registration key: instance-id and reg-id, say
  std::vector<std::string> offers = {"alg=hmac-sha-1-96;ealg=aes-cbc", "alg=hmac-sha-1-96"};
  std::vector<std::string> modes = {"trans"};
  bool uses_tcp = false;

  // of the registration procedure under way
  uint32_t spi_c = 0x2000, spi_s = 0x2001;
  uint16_t port_c = 40'000, port_s = 30'000;
  std::optional<UeSet> protects{};  ///< SM1 went on it; none: in clear
  std::string sm1{}, sm7{};
  std::string security_client{}, security_server{};
  UeSet fresh{};

  std::string offer() const;
  Arrival in_clear() const;
  /// New SPIs and a new client port, as every attempt has them (7.1, 7.4).
  void choose_anew();
};

/// gmespd, as the SA manager sees it.
class RecordingSink : public Sink {
 public:
  struct Held {
    SaSet set;
    std::vector<uint8_t> integrity_key, cipher_key;
    uint64_t not_after_ms;
  };
  struct Removed {
    SetNumber set;
    GoneBecause because;
  };
  bool install(const NewSet& set) override;
  void remove(const SaSet& set, GoneBecause because) override;
  void set_not_after(const SaSet& set) override;
  void answer(uint64_t request, const Verdict& verdict) override;
  void changed(const Context& context) override;
  KeyFingerprint fingerprint(std::span<const uint8_t> key) override;

  bool is_down = false;
  std::map<SetNumber, Held> held;
  std::vector<SetNumber> unacknowledged;
  std::vector<Removed> removed;
  std::vector<std::pair<uint64_t, Verdict>> answers;
  std::string log;  ///< every call with all it says
};

/// A verdict with everything in it, for comparison and for the log.
std::string text_of(const Verdict& verdict);

class SaLab {
 public:
  explicit SaLab(const Policy& policy = {}, uint64_t seed = 1);

  // --- one registration procedure; all events of `ue` come at now_ms ---
  Verdict sm1(Ue& ue);
  Verdict repeat_sm1(const Ue& ue);
  /// SM4 with fresh keys, or with those given; the verdict with SM6 if gmespd answers at once.
  Verdict challenge(Ue& ue);
  Verdict challenge(Ue& ue, const std::vector<uint8_t>& ik, const std::vector<uint8_t>& ck);
  /// The event alone: kWait, and the answer is for the test to look for.
  Verdict sm4(const Ue& ue, const std::vector<uint8_t>& ik, const std::vector<uint8_t>& ck);
  /// gmespd acknowledges what it was told; the UE reads SM6.
  void acknowledge(Ue& ue);
  Verdict sm7(Ue& ue);
  Verdict repeat_sm7(const Ue& ue);
  Verdict sm7_with(const Ue& ue, std::string_view client, std::string_view verify);
  Verdict ok(const Ue& ue, uint64_t expires_ms = kHour_ms,
             const std::vector<std::string_view>& impus = {"sip:user"});
  Verdict registrar_fails(const Ue& ue, bool sm7, uint16_t status = 403);
  /// 7.3.1.2, 7.3.1.3: the UE reports a failure, the way SM1 went.
  Verdict ue_fails(Ue& ue, AuthenticationAnswer how);

  /// SM1 to SM12, in clear. The set is live.
  UeSet register_in_clear(Ue& ue, uint64_t expires_ms = kHour_ms);
  /// SM1 on `old`.
  UeSet register_on(const UeSet& old, Ue& ue, uint64_t expires_ms = kHour_ms);
  /// SM1 and SM4 only; the next SM7 is `ue`'s.
  UeSet begin_on(const UeSet& old, Ue& ue);
  UeSet begin_in_clear(Ue& ue);
  /// Without a challenge: REGISTER on a set, answered by 200.
  Verdict refresh_on(const UeSet& set, Ue& ue, uint64_t expires_ms);

  // --- other messages ---
  Verdict request(const Arrival& arrival, std::string_view method = "INVITE");
  Verdict response(const Arrival& arrival, uint16_t status = 200);
  Verdict route(const Ue& ue, SetNumber began_on = kClear);
  Verdict deregister(const Ue& ue);

  void pass(uint64_t milliseconds);
  /// Of a user with one context.
  const Context& context(const Ue& ue) const;
  const SaSet* set(const UeSet& of) const { return manager.find(of.number); }
  bool lives(const UeSet& of) const { return sink.held.contains(of.number); }
  GoneBecause why_gone(const UeSet& of) const;

  uint64_t now_ms = 1'000'000;
  RecordingSink sink;
  SaManager manager;
  /// Whether gmespd acknowledges at once.
  bool acknowledges = true;
  std::vector<uint8_t> last_ik, last_ck;

 private:
  RegisterRequest request_of(const Ue& ue, const std::string& transaction,
                             std::span<const std::string_view> client) const;
  Verdict log(const Verdict& verdict);

  uint64_t names_ = 0;
  uint8_t keys_ = 0;
  uint64_t requests_ = 0;
};

/// A UE without NAT whose Via says its address.
Ue ue_at(const Address& address, std::string impi = "user@ims.example");

}  // namespace gmesp::sa
