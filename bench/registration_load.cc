// How many registrations gmesp-control and gmespd carry, and how long one waits for its SAs.
//
// Plays UEs, registrar and proxy at once over libgmesp, without waiting: SM1, SM4, SM7, SM10 of
// many users interleaved. Phases: fill (each user registers in clear), storm (each re-registers on
// its SA), paced (so many a second; time from SM4 to the verdict). bench/registrations starts the
// daemons, runs this and puts it in a table.
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/client/gmesp_control.h"

namespace {

double now_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

[[noreturn]] void die(const std::string& why) {
  fprintf(stderr, "registration_load: %s\n", why.c_str());
  exit(EXIT_FAILURE);
}

constexpr uint16_t kServerPort = 5062;
constexpr uint16_t kSipPort = 5060;
constexpr uint64_t kExpiresMs = 3'600'000;

struct Ue {
  uint32_t attempts = 0;
  uint64_t set = 0;      ///< of the latest registration
  uint64_t old_set = 0;  ///< the one before
};

enum Step : uint64_t { kSm1, kSm4, kSm7, kSm10, kHintBegin, kMessage, kHintEnd, kSteps };

class Load {
 public:
  Load(const std::string& socket, uint32_t ues) : ues_(ues), server_(ues) {
    gmesp_control_options options;
    GMESP_INIT(&options);
    options.socket_path = socket.c_str();
    char detail[GMESP_DETAIL_BYTES];
    if (gmesp_control_open(&options, &control_, detail, sizeof detail) != GMESP_OK) die(detail);
    gmesp_address_from_text("10.255.255.1", local_);
  }
  ~Load() { gmesp_control_close(control_); }

  /// Registers every user once. `per_second` 0: as fast as `window` at a time get through.
  nlohmann::json run(const char* phase, bool is_protected, uint32_t window, double per_second) {
    is_protected_ = is_protected;
    done_ = started_ = 0;
    waits_us_.clear();
    const auto count = static_cast<uint32_t>(ues_.size());
    std::vector<double> deciles;
    const double begin_s = now_s();
    double decile_s = begin_s;
    while (done_ < count) {
      const double elapsed_s = now_s() - begin_s;
      const uint64_t due =
          per_second == 0
              ? count
              : std::min<uint64_t>(count, static_cast<uint64_t>(elapsed_s * per_second));
      while (started_ < due && started_ - done_ < window) start(started_++);
      collect();
      if (count >= 10 && done_ >= (deciles.size() + 1) * (count / 10) && deciles.size() < 10) {
        const double s = now_s();
        deciles.push_back(count / 10 / (s - decile_s));
        decile_s = s;
        if (isatty(2)) fprintf(stderr, "\r%s: %zu0 %%", phase, deciles.size());
      }
    }
    if (isatty(2)) fprintf(stderr, "\r");
    const double seconds = now_s() - begin_s;
    nlohmann::json result = {{"phase", phase},
                             {"registrations", count},
                             {"seconds", seconds},
                             {"registrations_per_s", count / seconds},
                             {"per_s_by_decile", deciles}};
    std::sort(waits_us_.begin(), waits_us_.end());
    for (const auto& [name, share] : {std::pair("sm4_wait_p50_us", 0.5),
                                      {"sm4_wait_p99_us", 0.99},
                                      {"sm4_wait_p999_us", 0.999}})
      result[name] =
          waits_us_[static_cast<size_t>(share * static_cast<double>(waits_us_.size() - 1))];
    return result;
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
    ++ue;  // 10.0.0.0 is no host
    const uint8_t address[16] = {0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0,
                                 0xff,
                                 0xff,
                                 10,
                                 static_cast<uint8_t>(ue >> 16),
                                 static_cast<uint8_t>(ue >> 8),
                                 static_cast<uint8_t>(ue)};
    memcpy(arrival.source, address, sizeof address);
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
    bool is_any = false;
    while ((error = gmesp_poll_verdict(control_, verdict)) == GMESP_OK) {
      take(*verdict);
      is_any = true;
    }
    if (error != GMESP_E_AGAIN) die(gmesp_strerror(error));
    if (is_any) return;
    pollfd readable{gmesp_control_fd(control_), POLLIN, 0};
    poll(&readable, 1, 1);
  }

  void take(const gmesp_verdict& verdict) {
    const auto ue = static_cast<uint32_t>(verdict.tag / kSteps);
    const auto step_taken = static_cast<Step>(verdict.tag % kSteps);
    if (verdict.error != GMESP_OK || verdict.action != GMESP_FORWARD)
      die("step " + std::to_string(step_taken) + " of user " + std::to_string(ue) + ": " +
          gmesp_strerror(verdict.error) + ", " + verdict.text);
    if (step_taken == kSm4) {
      waits_us_.push_back((now_s() - sm4_at_[ue % kWaitSlots]) * 1e6);
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
  gmesp_control* control_ = nullptr;
  std::vector<Ue> ues_;
  std::vector<std::string> server_;
  uint8_t local_[GMESP_ADDRESS_BYTES];
  char impi_[128], impu_[128], transaction_[128];
  bool is_protected_ = false;
  uint64_t done_ = 0;
  uint64_t started_ = 0;
  uint64_t random_ = 88'172'645'463'325'252;
  std::vector<double> sm4_at_ = std::vector<double>(kWaitSlots);
  std::vector<double> waits_us_;
  gmesp_verdict verdict_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Registrations through gmesp-control and gmespd, in JSON");
  std::string socket = GMESP_CONTROL_DEFAULT_SOCKET;
  uint32_t ues = 100'000;
  uint32_t window = 64;
  uint32_t storms = 1;
  double paced_per_s = 0;
  app.add_option("--socket", socket, "of gmesp-control");
  app.add_option("--ues", ues, "users")->check(CLI::Range(10u, 8'000'000u));
  app.add_option("--window", window, "registrations at a time")->check(CLI::Range(1u, 200u));
  app.add_option("--storms", storms, "how often all re-register")->check(CLI::Range(0u, 6u));
  app.add_option("--paced", paced_per_s, "last storm at so many a second; 0: as fast as it goes");
  CLI11_PARSE(app, argc, argv);
  Load load(socket, ues);
  nlohmann::json phases = nlohmann::json::array();
  phases.push_back(load.run("fill", false, window, 0));
  for (uint32_t i = 0; i < storms; ++i) {
    const bool is_paced = paced_per_s > 0 && i + 1 == storms;
    phases.push_back(
        load.run(is_paced ? "paced" : "storm", true, window, is_paced ? paced_per_s : 0));
  }
  puts(phases.dump(2).c_str());
}
