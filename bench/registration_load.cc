// How many registrations gmesp-control and gmespd carry, and how long one waits for its SAs.
//
// Plays UEs, registrar and proxy at once over libgmesp, without waiting: SM1, SM4, SM7, SM10 of
// many users interleaved. Phases: fill (each user registers in clear), storm (each re-registers on
// its SA, takes the new one into use and so has the old one removed: three more calls), paced (the
// last of these, so many a second). bench/registrations starts the daemons, runs this and puts it
// in a table.
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/client/gmesp_control.h"
#include "registration_phase.h"

namespace {

using gmesp::bench::now_s;
using gmesp::bench::RegistrationPhase;

[[noreturn]] void die(const std::string& why) {
  fprintf(stderr, "registration_load: %s\n", why.c_str());
  exit(EXIT_FAILURE);
}

constexpr uint16_t kServerPort = 5062;
constexpr uint16_t kSipPort = 5060;
constexpr uint64_t kExpiresMs = 3'600'000;
/// UEs are at 10.128.0.1 and above: below are the subscribers of traffic_generator.
constexpr uint32_t kFirstHost = (128 << 16) + 1;

struct Ue {
  uint32_t attempts = 0;
  uint64_t set = 0;      ///< of the latest registration
  uint64_t old_set = 0;  ///< the one before
};

enum Step : uint64_t { kSm1, kSm4, kSm7, kSm10, kHintBegin, kMessage, kHintEnd, kSteps };

class Load {
 public:
  Load(const std::string& socket, uint32_t ues, std::map<std::string, pid_t> watched)
      : watched_(std::move(watched)), ues_(ues), server_(ues) {
    gmesp_control_options options;
    GMESP_INIT(&options);
    options.socket_path = socket.c_str();
    char detail[GMESP_DETAIL_BYTES];
    if (gmesp_control_open(&options, &control_, detail, sizeof detail) != GMESP_OK) die(detail);
    gmesp_control_hold(control_, 1);
    gmesp_address_from_text("10.255.255.1", local_);
  }
  ~Load() { gmesp_control_close(control_); }

  /// Registers every user once. `per_second` 0: as fast as `window` at a time get through.
  nlohmann::json run(const std::string& name, bool is_protected, uint32_t window,
                     double per_second) {
    is_protected_ = is_protected;
    done_ = started_ = 0;
    const auto count = static_cast<uint32_t>(ues_.size());
    RegistrationPhase phase(name, count, watched_);
    phase_ = &phase;
    while (done_ < count) {
      const uint64_t due =
          per_second == 0 ? count
                          : std::min(count, static_cast<uint32_t>(phase.elapsed_s() * per_second));
      while (started_ < due && started_ - done_ < window) start(started_++);
      collect();
      phase.note_done(done_);
    }
    return phase.result();
  }

 private:
  void start(uint32_t ue) {
    ++ues_[ue].attempts;
    step(ue, kSm1);
  }

  void identify(uint32_t ue) {
    snprintf(impi_, sizeof impi_, "%09u@ims.mnc001.mcc001.3gppnetwork.org", ue);
    snprintf(impu_, sizeof impu_, "sip:%09u@ims.mnc001.mcc001.3gppnetwork.org", ue);
    snprintf(transaction_, sizeof transaction_, "%08x@ue-%u %u", ue * 2654435761u, ue,
             ues_[ue].attempts);
  }

  uint16_t port_uc(uint32_t attempt) const { return static_cast<uint16_t>(30'000 + attempt); }

  gmesp_arrival arrival(uint32_t ue, bool on_sa, uint32_t attempt) const {
    gmesp_arrival arrival{};
    const uint32_t host = kFirstHost + ue;
    const uint8_t address[] = {10, static_cast<uint8_t>(host >> 16),
                               static_cast<uint8_t>(host >> 8), static_cast<uint8_t>(host)};
    memset(arrival.source + 10, 0xff, 2);  // IPv4 in IPv6
    memcpy(arrival.source + 12, address, sizeof address);
    memcpy(arrival.local, local_, sizeof local_);
    arrival.source_port = on_sa ? port_uc(attempt) : kSipPort;
    arrival.local_port = on_sa ? kServerPort : kSipPort;
    return arrival;
  }

  void send_register(uint32_t ue, bool is_response, uint64_t tag) {
    const uint32_t attempt = ues_[ue].attempts;
    char offer[256];
    const uint32_t spi = 1000 + ue * 16 + attempt % 8 * 2;
    snprintf(offer, sizeof offer,
             "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=%u;spi-s=%u;port-c=%u;port-s=20000,"
             "ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=%u;spi-s=%u;port-c=%u;port-s=20000",
             spi, spi + 1, port_uc(attempt), spi, spi + 1, port_uc(attempt));
    const char* client[] = {offer};
    const char* verify[] = {server_[ue].c_str()};
    gmesp_register_request request;
    GMESP_INIT(&request);
    request.impi = impi_;
    request.impu = impu_;
    request.transaction = transaction_;
    request.security_client = client;
    request.security_client_lines = 1;
    if (is_response) {
      strncat(transaction_, "r", sizeof transaction_ - strlen(transaction_) - 1);
      request.answer = GMESP_ANSWER_RESPONSE;
      request.security_verify = verify;
      request.security_verify_lines = 1;
      request.arrival = arrival(ue, true, attempt);
    } else {
      request.arrival = arrival(ue, is_protected_, attempt - 1);
    }
    check(gmesp_submit_register(control_, &request, tag));
  }

  void send_challenge(uint32_t ue, uint64_t tag) {
    struct gmesp_challenge challenge;
    GMESP_INIT(&challenge);
    challenge.impi = impi_;
    challenge.transaction = transaction_;
    challenge.ik_bytes = challenge.ck_bytes = GMESP_KEY_BYTES;
    for (uint8_t i = 0; i < GMESP_KEY_BYTES; ++i) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      challenge.ik[i] = static_cast<uint8_t>(random_ >> 56);
      challenge.ck[i] = static_cast<uint8_t>(random_ >> 48);
    }
    sm4_at_[ue % kWaitSlots] = now_s();
    check(gmesp_submit_challenge(control_, &challenge, tag));
  }

  void send_answer(uint64_t tag) {
    const char* impus[] = {impu_};
    strncat(transaction_, "r", sizeof transaction_ - strlen(transaction_) - 1);
    struct gmesp_register_answer answer;
    GMESP_INIT(&answer);
    answer.status = 200;
    answer.impi = impi_;
    answer.transaction = transaction_;
    answer.impus = impus;
    answer.impu_count = 1;
    answer.expires_ms = kExpiresMs;
    check(gmesp_submit_register_answer(control_, &answer, tag));
  }

  void send_message(uint32_t ue, uint64_t tag) {
    struct gmesp_message message;
    GMESP_INIT(&message);
    message.is_request = 1;
    message.method = "SUBSCRIBE";
    message.arrival = arrival(ue, true, ues_[ue].attempts);
    check(gmesp_submit_message(control_, &message, tag));
  }

  void step(uint32_t ue, Step step) {
    identify(ue);
    const uint64_t tag = uint64_t{ue} * kSteps + step;
    switch (step) {
      case kSm1:
        return send_register(ue, false, tag);
      case kSm4:
        return send_challenge(ue, tag);
      case kSm7:
        return send_register(ue, true, tag);
      case kSm10:
        return send_answer(tag);
      case kHintBegin:
        return check(gmesp_submit_transaction_begin(control_, ues_[ue].old_set, tag));
      case kMessage:
        return send_message(ue, tag);
      case kHintEnd:
        return check(gmesp_submit_transaction_end(control_, ues_[ue].old_set, tag));
      case kSteps:
        return;
    }
  }

  void collect() {
    gmesp_verdict* verdict = &verdict_;
    GMESP_INIT(verdict);
    int error;
    while ((error = gmesp_poll_verdict(control_, verdict)) == GMESP_OK) take(*verdict);
    if (error != GMESP_E_AGAIN) die(gmesp_strerror(error));
    pollfd readable{gmesp_control_fd(control_), POLLIN, 0};
    // A timer that is due before the kernel's next tick doubles what a wait costs, so there is one
    // only when nothing else will come.
    poll(&readable, 1, started_ == done_ ? 1 : kTickMs);
  }

  void take(const gmesp_verdict& verdict) {
    const auto ue = static_cast<uint32_t>(verdict.tag / kSteps);
    const auto step_taken = static_cast<Step>(verdict.tag % kSteps);
    if (verdict.error != GMESP_OK || verdict.action != GMESP_FORWARD)
      die("step " + std::to_string(step_taken) + " of user " + std::to_string(ue) + ": " +
          gmesp_strerror(verdict.error) + ", " + verdict.text);
    if (step_taken == kSm4) {
      phase_->note_wait(now_s() - sm4_at_[ue % kWaitSlots]);
      server_[ue] = verdict.security_server;
    }
    if (step_taken == kSm10) {
      ues_[ue].old_set = ues_[ue].set;
      ues_[ue].set = verdict.send.set;
      server_[ue] = {};
    }
    const Step last = is_protected_ ? kHintEnd : kSm10;
    if (step_taken == last)
      ++done_;
    else
      step(ue, static_cast<Step>(step_taken + 1));
  }

  static void check(int error) {
    if (error != GMESP_OK) die(gmesp_strerror(error));
  }

  static constexpr uint32_t kWaitSlots = 65'536;
  static constexpr int kTickMs = 10;
  gmesp_control* control_ = nullptr;
  const std::map<std::string, pid_t> watched_;
  RegistrationPhase* phase_ = nullptr;  ///< the one that runs
  std::vector<Ue> ues_;
  std::vector<std::string> server_;
  uint8_t local_[GMESP_ADDRESS_BYTES];
  char impi_[128], impu_[128], transaction_[128];
  bool is_protected_ = false;
  uint64_t done_ = 0;
  uint64_t started_ = 0;
  uint64_t random_ = 88'172'645'463'325'252;
  std::vector<double> sm4_at_ = std::vector<double>(kWaitSlots);
  gmesp_verdict verdict_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Registrations through gmesp-control and gmespd, in JSON");
  std::string socket = GMESP_CONTROL_DEFAULT_SOCKET;
  uint32_t ues = 100'000;
  uint32_t window = 64;
  uint32_t storms = 1;
  double rate_per_s = 0;
  std::map<std::string, pid_t> watched;
  app.add_option("--socket", socket, "of gmesp-control");
  app.add_option("--ues", ues, "users")->check(CLI::Range(10u, 8'000'000u));
  app.add_option("--window", window, "registrations at a time")->check(CLI::Range(1u, 200u));
  app.add_option("--storms", storms, "how often all re-register")->check(CLI::Range(0u, 6u));
  app.add_option("--rate", rate_per_s, "last phase at so many a second; 0: as fast as it goes")
      ->check(CLI::Range(0.0, 1e6));
  for (const char* daemon : {"control", "gmespd"})
    app.add_option("--" + std::string(daemon), watched[daemon], "process whose core time is told")
        ->required();
  CLI11_PARSE(app, argc, argv);
  Load load(socket, ues, std::move(watched));
  nlohmann::json phases = nlohmann::json::array();
  for (uint32_t i = 0; i <= storms; ++i) {
    const double rate = i == storms ? rate_per_s : 0;
    const char* name = rate > 0 ? "paced" : i == 0 ? "fill" : "storm";
    phases.push_back(load.run(name, i > 0, window, rate));
  }
  puts(phases.dump(2).c_str());
}
