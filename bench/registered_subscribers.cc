// Test users that are registered already: their sets at gmespd, and the file by which a
// gmesp-control that starts afterwards knows whose they are. So it leaves them alone, and traffic
// of theirs can run while others register.
//
// Usage: registered_subscribers --socket GMESPD --state FILE [--ues N] and the options that say
// which sets. Run it before gmesp-control.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include "control/daemon/saved_registration.h"
#include "control/daemon/state_file.h"
#include "frame_options.h"
#include "set_writer.h"

namespace {

using namespace gmesp;
using namespace gmesp::bench;

/// Numbers of sets begin at 1, those of UEs at 0.
gmesp_sa_set numbered_set_of(const SubscriberOptions& options, uint32_t ue) {
  gmesp_sa_set set = set_of(options, ue);
  set.cookie = uint64_t{ue} + 1;
  return set;
}

std::vector<uint64_t> install(SetWriter& writer, const FrameStoreOptions& options) {
  std::vector<uint64_t> set_ids(options.ues);
  for (uint32_t sent = 0, answered = 0; answered < options.ues;) {
    while (sent < options.ues &&
           writer.try_install(numbered_set_of(options.subscribers, sent), sent))
      ++sent;
    gmesp_completion answer;
    while (writer.next_answer(answer)) {
      set_ids[answer.tag] = answer.set_id;
      ++answered;
    }
    if (answered < sent) writer.wait(1000);
  }
  return set_ids;
}

std::string registration_of(const gmesp_sa_set& from, uint64_t set_id) {
  sa::SaSet set{};
  set.number = from.cookie;
  set.data_plane_id = set_id;
  set.not_after_ms = from.not_after_ms;
  set.drop_at_ms = UINT64_MAX;
  std::copy_n(from.ue_address, set.ue.size(), set.ue.begin());
  std::copy_n(from.local_address, set.local.size(), set.local.begin());
  set.spi_uc = from.spi_uc;
  set.spi_us = from.spi_us;
  set.spi_pc = from.spi_pc;
  set.spi_ps = from.spi_ps;
  set.port_uc = from.port_uc;
  set.port_us = from.port_us;
  set.port_pc = from.port_pc;
  set.port_ps = from.port_ps;
  set.mode = static_cast<sa::Mode>(from.mode);
  set.algorithms = {static_cast<sa::Integrity>(from.integrity),
                    static_cast<sa::Cipher>(from.cipher)};
  set.state = sa::SetState::kLive;
  sa::Context context;
  context.impi = "subscriber" + std::to_string(from.cookie) + "@ims.test";
  context.impus = {"sip:" + context.impi};
  context.sets = {&set};
  context.latest = set.number;
  return control::save_registration(context);
}

void register_all(const std::string& socket, const std::string& state,
                  const FrameStoreOptions& options) {
  constexpr uint64_t kStateBytesMax = uint64_t{2} << 30;
  SetWriter writer(socket);
  const std::vector<uint64_t> set_ids = install(writer, options);
  control::StateFile file(state, kStateBytesMax);
  for (uint32_t ue = 0; ue < options.ues; ++ue) {
    uint32_t record = 0;
    if (!file.put(record, registration_of(numbered_set_of(options.subscribers, ue), set_ids[ue])))
      throw std::runtime_error("no room in " + state);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Registered test users: their sets at gmespd, and gmesp-control's state file");
  std::string socket, state;
  FrameStoreOptions options;
  app.add_option("--socket", socket, "of gmespd")->required();
  app.add_option("--state", state, "file for gmesp-control, [state] path")->required();
  add_frame_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    register_all(socket, state, options);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "registered_subscribers: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
