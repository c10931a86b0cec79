// What registrations cost the SA manager: full registrations SM1 to SM12 a second up to a million
// registered UEs, a re-registration of all of them, and memory.
//
// One core, no gmespd, no SIP stack: installations are acknowledged at once, and the time of the
// events is made up (20,000 registrations a second). Rates are by CPU time, in which writing the
// headers that a UE would send has its part. Memory is what malloc has handed out, divided by the
// UEs; every UE has an IMPI of 46 bytes and two IMPUs of 50 and 16 bytes. Usage: sa_manager [--ues
// N] [--json]
#include "control/sa/sa_manager.h"

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "control/sa/transaction_hash.h"

namespace {

using namespace gmesp::sa;

constexpr uint32_t kParts = 10;
constexpr uint64_t kRegistrationsPerMs = 20;
constexpr uint16_t kPortUs = 4001;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "sa_manager: %s\n", what);
  std::exit(1);
}

/// gmespd that has done everything before it is asked.
class Acknowledging : public Sink {
 public:
  bool install(const NewSet& fresh) override {
    set = *fresh.set;
    return true;
  }
  void remove(const SaSet&, GoneBecause) override { ++removed; }
  void set_not_after(const SaSet&) override {}
  void answer(uint64_t, const Verdict& verdict) override { sm6 = verdict.security_server; }
  void changed(const Context&) override {}
  KeyFingerprint fingerprint(std::span<const uint8_t> key) override {
    const auto hash =
        hash_transaction({1, 2}, {reinterpret_cast<const char*>(key.data()), key.size()});
    KeyFingerprint print;
    std::memcpy(print.data(), hash.data(), print.size());
    return print;
  }

  SaSet set{};
  std::string sm6;
  uint64_t removed = 0;
};

struct Ue {
  uint32_t index;
  char impi[64], impu[64], tel[32];

  explicit Ue(uint32_t ue) : index(ue) {
    std::snprintf(impi, sizeof impi, "00101%010u@ims.mnc001.mcc001.3gppnetwork.org", ue);
    std::snprintf(impu, sizeof impu, "sip:00101%010u@ims.mnc001.mcc001.3gppnetwork.org", ue);
    std::snprintf(tel, sizeof tel, "tel:+82%09u", ue);
  }
  Address address() const {
    Address address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10};
    address[13] = static_cast<uint8_t>(index >> 16);
    address[14] = static_cast<uint8_t>(index >> 8);
    address[15] = static_cast<uint8_t>(index);
    return address;
  }
};

/// What a phase did, in parts of a tenth.
struct Phase {
  const char* name;
  std::array<double, kParts> per_second{};
  double bytes_per_ue = 0;

  double mean() const {
    double seconds = 0;
    for (const double rate : per_second) seconds += 1 / rate;
    return kParts / seconds;
  }
  double last_to_first() const { return per_second.back() / per_second.front(); }
};

/// Of this thread: what others do on a shared core does not count.
double cpu_seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

size_t bytes_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

class Bench {
 public:
  explicit Bench(uint32_t ues) : ues_(ues) {}

  Phase run(const char* name, uint32_t generation) {
    Phase phase{name};
    for (uint32_t part = 0; part < kParts; ++part) {
      const uint32_t first = static_cast<uint32_t>(uint64_t{ues_} * part / kParts);
      const uint32_t end = static_cast<uint32_t>(uint64_t{ues_} * (part + 1) / kParts);
      const double start_s = cpu_seconds();
      for (uint32_t ue = first; ue < end; ++ue) {
        register_ue(Ue(ue), generation);
        if (++registered_ % kRegistrationsPerMs == 0) ++now_ms_;
      }
      phase.per_second[part] = (end - first) / (cpu_seconds() - start_s);
    }
    phase.bytes_per_ue = bytes_per_ue();
    return phase;
  }

  void let_old_sets_rest() {
    now_ms_ += manager_.policy().drop_ms;
    manager_.tick(now_ms_);
    now_ms_ += manager_.policy().rest_ms;
    manager_.tick(now_ms_);
    check(manager_.sets() == ues_, "old sets stayed");
  }

  double bytes_per_ue() const { return static_cast<double>(bytes_in_use() - bytes_before_) / ues_; }

 private:
  static uint16_t port_uc(uint32_t generation) { return static_cast<uint16_t>(4002 + generation); }

  void write_client(uint32_t generation) {
    constexpr uint32_t kSpiOfUe = 2000;
    client_.clear();
    for (const char* algorithms : {"alg=hmac-sha-1-96;ealg=aes-cbc", "alg=hmac-md5-96;ealg=aes-cbc",
                                   "alg=hmac-sha-1-96;ealg=null", "alg=hmac-md5-96;ealg=null"}) {
      char entry[160];
      std::snprintf(entry, sizeof entry,
                    "%sipsec-3gpp;%s;spi-c=%010u;spi-s=%010u;port-c=%u;port-s=%u",
                    client_.empty() ? "" : ",", algorithms, kSpiOfUe + 2 * generation,
                    kSpiOfUe + 2 * generation + 1, port_uc(generation), kPortUs);
      client_ += entry;
    }
  }

  /// The first in clear, later ones on the set of the one before.
  void register_ue(const Ue& ue, uint32_t generation) {
    char sm1[48], sm7[48];
    std::snprintf(sm1, sizeof sm1, "%u@ue %u REGISTER", ue.index, 2 * generation + 1);
    std::snprintf(sm7, sizeof sm7, "%u@ue %u REGISTER", ue.index, 2 * generation + 2);
    write_client(generation);
    const std::array<std::string_view, 1> client = {client_};
    RegisterRequest request;
    request.arrival = {ue.address(), local_, 5060, 5060, false};
    if (generation > 0) {
      request.arrival.source_port = port_uc(generation - 1);
      request.arrival.local_port = manager_.policy().port_ps;
    }
    request.impi = ue.impi;
    request.impu = ue.impu;
    request.transaction = sm1;
    request.via = ue.address();
    request.security_client = client;
    check(manager_.on_register(request, now_ms_).action == Action::kForward, "SM1 refused");

    std::array<uint8_t, 16> ik{}, ck{};
    const uint64_t key = uint64_t{generation} << 32 | ue.index;
    std::memcpy(ik.data(), &key, sizeof key);
    std::memcpy(ck.data() + 8, &key, sizeof key);
    const Verdict wait = manager_.on_challenge({ue.impi, "", sm1, ik, ck}, key, now_ms_);
    check(wait.action == Action::kWait, "SM4 refused");
    manager_.installed(sink_.set.number, sink_.set.number);

    const std::array<std::string_view, 1> verify = {sink_.sm6};
    request.arrival.source_port = port_uc(generation);
    request.arrival.local_port = sink_.set.port_ps;
    request.transaction = sm7;
    request.security_verify = verify;
    request.answer = AuthenticationAnswer::kResponse;
    check(manager_.on_register(request, now_ms_).action == Action::kForward, "SM7 refused");
    answer(ue, sm7);
    if (generation > 0) switch_over(request.arrival);
  }

  void answer(const Ue& ue, const char* sm7) {
    const std::array<std::string_view, 2> impus = {ue.impu, ue.tel};
    constexpr uint64_t kHour_ms = 3'600'000;
    const Verdict verdict =
        manager_.on_register_answer({ue.impi, "", sm7, 200, impus, kHour_ms}, now_ms_);
    check(verdict.action == Action::kForward && verdict.send.set == sink_.set.number,
          "SM12 refused");
  }

  /// 7.4.2a: from now on the old set only waits for its transactions.
  void switch_over(const Arrival& arrival) {
    Message message;
    message.arrival = arrival;
    message.method = "SUBSCRIBE";
    check(manager_.on_message(message, now_ms_).action == Action::kForward, "message refused");
  }

  const uint32_t ues_;
  const Address local_ = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  const size_t bytes_before_ = bytes_in_use();
  Acknowledging sink_;
  SaManager manager_{Policy{}, sink_, 1, 1};
  std::string client_;
  uint64_t now_ms_ = 1'000'000;
  uint64_t registered_ = 0;
};

void print_json(uint32_t ues, const std::vector<Phase>& phases, double bytes_at_rest) {
  std::printf("{\"ues\": %u, \"bytes_per_ue_after_all\": %.0f, \"phases\": [", ues, bytes_at_rest);
  for (const Phase& phase : phases)
    std::printf(
        "%s{\"name\": \"%s\", \"registrations_per_second\": %.0f, \"first_tenth\": %.0f, "
        "\"last_tenth\": %.0f, \"last_to_first\": %.3f, \"bytes_per_ue\": %.0f}",
        &phase == phases.data() ? "" : ", ", phase.name, phase.mean(), phase.per_second.front(),
        phase.per_second.back(), phase.last_to_first(), phase.bytes_per_ue);
  std::printf("]}\n");
}

void print_table(uint32_t ues, const std::vector<Phase>& phases, double bytes_at_rest) {
  std::printf("%u UEs, one core\n\n", ues);
  std::printf("%-22s %12s %12s %12s %10s %10s\n", "", "mean", "first 10 %", "last 10 %",
              "last/first", "memory");
  std::printf("%-22s %12s %12s %12s %10s %10s\n", "", "regs/s", "regs/s", "regs/s", "", "B/UE");
  for (const Phase& phase : phases)
    std::printf("%-22s %12.0f %12.0f %12.0f %10.2f %10.0f\n", phase.name, phase.mean(),
                phase.per_second.front(), phase.per_second.back(), phase.last_to_first(),
                phase.bytes_per_ue);
  std::printf("%-22s %12s %12s %12s %10s %10.0f\n", "old sets gone", "", "", "", "", bytes_at_rest);
}

}  // namespace

int main(int argc, char** argv) {
  uint32_t ues = 1'000'000;
  bool is_json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--json") {
      is_json = true;
    } else if (argument == "--ues" && i + 1 < argc) {
      ues = static_cast<uint32_t>(std::strtoul(argv[++i], nullptr, 10));
    } else {
      std::fprintf(stderr, "usage: sa_manager [--ues N] [--json]\n");
      return 2;
    }
  }
  constexpr uint32_t kUesMax = 1 << 24;  // addresses in 10/8
  check(ues >= kParts && ues <= kUesMax, "--ues must be 10 to 16777216");
  Bench bench(ues);
  std::vector<Phase> phases = {bench.run("registration", 0)};
  phases.push_back(bench.run("re-registration", 1));
  bench.let_old_sets_rest();
  const double bytes_at_rest = bench.bytes_per_ue();
  is_json ? print_json(ues, phases, bytes_at_rest) : print_table(ues, phases, bytes_at_rest);
  return 0;
}
