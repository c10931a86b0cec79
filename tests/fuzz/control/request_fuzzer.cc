// Requests of proxies, from any bytes, to verdicts: decoding must be safe and the SA manager must
// hold its bounds whatever it is asked.
#include <cstdlib>
#include <string>
#include <utility>

#include "control/daemon/reply.h"
#include "control/daemon/request.h"
#include "control/sa/sa_manager.h"

namespace {

using namespace gmesp;

/// Acknowledges every set at once.
class World final : public sa::Sink {
 public:
  World() : manager_(policy(), *this, 1, 1) {}

  void ask(const control::Request& request) {
    now_ms_ += 1 + request.tag % 100'000;
    switch (request.kind) {
      case link::Kind::kRegister:
        return tell(manager_.on_register(request.register_request(), now_ms_));
      case link::Kind::kChallenge:
        tell(manager_.on_challenge(request.challenge(), 1, now_ms_));
        if (installing_ != 0) manager_.installed(std::exchange(installing_, 0), 1);
        return;
      case link::Kind::kRegisterAnswer:
        return tell(manager_.on_register_answer(request.register_answer(), now_ms_));
      case link::Kind::kMessage:
        return tell(manager_.on_message(request.message(), now_ms_));
      case link::Kind::kRoute:
        return tell(manager_.route(request.ue, request.set, now_ms_));
      case link::Kind::kDeregistered:
        return tell(manager_.on_deregistered(request.impi, request.registration_key, now_ms_));
      default:
        manager_.evict(request.impi, now_ms_);
    }
  }

  bool install(const sa::NewSet& set) override {
    installing_ = set.set->number;
    return true;
  }
  void remove(const sa::SaSet&, sa::GoneBecause) override {}
  void set_not_after(const sa::SaSet&) override {}
  void answer(uint64_t, const sa::Verdict& verdict) override { tell(verdict); }
  void changed(const sa::Context&) override {}
  sa::KeyFingerprint fingerprint(std::span<const uint8_t> key) override {
    sa::KeyFingerprint fingerprint{};
    for (size_t i = 0; i < key.size(); ++i) fingerprint[i % 16] ^= key[i];
    return fingerprint;
  }

 private:
  static sa::Policy policy() {
    sa::Policy policy;
    policy.procedures_max = 64;
    return policy;
  }
  void tell(const sa::Verdict& verdict) {
    control::Reply reply(0);
    reply.verdict(verdict);
    link::MessageReader reader;
    if (!reader.open(reply.data(), reply.finish())) std::abort();
    if (manager_.procedures() > 128) std::abort();
  }

  uint64_t now_ms_ = 1;
  sa::SetNumber installing_ = 0;
  sa::SaManager manager_;
};

}  // namespace

/// The input is a row of messages, each behind its length in two bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  World world;
  while (bytes >= 2) {
    const size_t length = std::min<size_t>(bytes - 2, data[0] | data[1] << 8);
    link::MessageReader reader;
    control::Request request;
    std::string why;
    if (reader.open(data + 2, length) && request.read(reader, why)) world.ask(request);
    data += 2 + length;
    bytes -= 2 + length;
  }
  return 0;
}
