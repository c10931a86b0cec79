#include "control/mnl/data_plane.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/client/gmesp.h"

namespace gmesp::mnl {
namespace {

/// Another writer stays for a few milliseconds; processes that met once should not meet again.
constexpr long kPauseMinNs = 500'000;
constexpr long kPauseSpreadNs = 2'000'000;

void pause_before_retry(unsigned attempt) {
  const unsigned mixed = (static_cast<unsigned>(getpid()) + attempt) * 2654435761u;
  const timespec pause{0, kPauseMinNs + static_cast<long>(mixed >> 8) % kPauseSpreadNs};
  nanosleep(&pause, nullptr);
}

int errno_of(int error) {
  switch (error) {
    case GMESP_E_NOT_CONNECTED:
      return ECONNREFUSED;
    case GMESP_E_REFUSED:
      return EBUSY;
    case GMESP_E_DISCONNECTED:
      return ECONNRESET;
    case GMESP_E_TIMEOUT:
      return ETIMEDOUT;
    case GMESP_E_HUNG:
      return ETIMEDOUT;
    case GMESP_E_SHUTTING_DOWN:
      return ECONNREFUSED;
    case GMESP_E_NO_MEMORY:
      return ENOMEM;
    case GMESP_E_TABLE_FULL:
      return ENOBUFS;
    case GMESP_E_SPI_IN_USE:
      return EEXIST;
    case GMESP_E_SELECTOR_IN_USE:
      return EEXIST;
    case GMESP_E_PORT_NOT_PROTECTED:
      return EADDRNOTAVAIL;
    case GMESP_E_VERSION:
      return EPROTO;
    case GMESP_E_PROTOCOL:
      return EPROTO;
    default:
      return EINVAL;
  }
}

/// Which setting to look at, for errors that a setting can cure.
const char* advice(int error) {
  switch (error) {
    case GMESP_E_NOT_CONNECTED:
      return " (GMESP_MNL_SOCKET must be gmespd's [control] socket)";
    case GMESP_E_REFUSED:
      return " (gmespd's [control] allowed_uids must have this user; gmesp-control and this "
             "library "
             "cannot both be the writer)";
    case GMESP_E_TIMEOUT:
      return " (GMESP_MNL_TIMEOUT_MS)";
    case GMESP_E_TABLE_FULL:
      return " (gmespd's [sa] capacity_sets)";
    case GMESP_E_PORT_NOT_PROTECTED:
      return " (gmespd's [protected_ports] ranges must have the proxy's ipsec ports)";
    default:
      return "";
  }
}

}  // namespace

DataPlane::DataPlane(const Settings& settings, gmesp_role role)
    : settings_(settings), role_(role), until_ms_(gmesp_now_ms() + settings.timeout_ms) {}

DataPlane::~DataPlane() {
  gmesp_dp_close(dp_);
}

int DataPlane::left_ms() const {
  const uint64_t now_ms = gmesp_now_ms();
  return now_ms >= until_ms_ ? 0 : static_cast<int>(until_ms_ - now_ms);
}

bool DataPlane::fail(int error, const char* what, Problem& problem) const {
  const char* detail = gmesp_dp_detail(dp_);
  return problem.set(errno_of(error), "%s: %s%s%.90s%s", what, gmesp_strerror(error),
                     detail[0] != '\0' ? ": " : "", detail, advice(error));
}

bool DataPlane::open(Problem& problem) {
  if (role_ == GMESP_WRITER && !turn_.take(settings_.timeout_ms))
    return problem.set(ETIMEDOUT, "other processes of the proxy were busy with gmespd for %u ms%s",
                       settings_.timeout_ms, advice(GMESP_E_TIMEOUT));
  gmesp_dp_options options;
  GMESP_INIT(&options);
  options.role = role_;
  options.socket_path = settings_.socket_path;
  int refusal = GMESP_OK;
  char reason[GMESP_DETAIL_BYTES];
  for (unsigned attempt = 0;; ++attempt) {
    const int left = left_ms();
    options.timeout_ms = left > 0 ? left : 1;
    char detail[GMESP_DETAIL_BYTES];
    const int error = gmesp_dp_open(&options, &dp_, detail, sizeof detail);
    if (error == GMESP_OK) return true;
    // The last of several attempts has little time: that it ran out says less than why the one
    // before was refused.
    if (error != GMESP_E_TIMEOUT || refusal == GMESP_OK) {
      refusal = error;
      memcpy(reason, detail, sizeof reason);
    }
    // Nothing was asked yet, so a hang-up during the handshake may be followed by another one.
    if ((error != GMESP_E_REFUSED && error != GMESP_E_DISCONNECTED) || left == 0)
      return problem.set(errno_of(refusal), "%s: %.110s%s", gmesp_strerror(refusal), reason,
                         advice(refusal));
    pause_before_retry(attempt);
  }
}

bool DataPlane::install(const gmesp_sa_set& set, Problem& problem) {
  const int error = gmesp_dp_install(dp_, &set, nullptr, left_ms());
  return error == GMESP_OK || fail(error, "install", problem);
}

bool DataPlane::remove(uint64_t set_id, Problem& problem) {
  const int error = gmesp_dp_remove(dp_, set_id, left_ms());
  return error == GMESP_OK || error == GMESP_E_NOT_FOUND || fail(error, "remove", problem);
}

/// Waits for one answer, at most until the time of the call is over.
int DataPlane::next_answer(gmesp_completion& answer) {
  for (;;) {
    GMESP_INIT(&answer);
    const int error = gmesp_dp_poll_completion(dp_, &answer);
    if (error != GMESP_E_AGAIN) return error;
    const int left = left_ms();
    if (left == 0) return GMESP_E_TIMEOUT;
    pollfd readable{gmesp_dp_fd(dp_), POLLIN, 0};
    poll(&readable, 1, left);
  }
}

bool DataPlane::look(uint64_t first_place, gmesp_completion* answers, unsigned count,
                     Problem& problem) {
  for (unsigned i = 0; i < count; ++i) {
    const int error = gmesp_dp_submit_next_set(dp_, first_place + i, i);
    if (error != GMESP_OK) return fail(error, "look", problem);
  }
  for (unsigned i = 0; i < count; ++i) {
    gmesp_completion answer;
    int error = next_answer(answer);
    if (error == GMESP_OK && answer.error != GMESP_E_END) error = answer.error;
    if (error == GMESP_OK && answer.tag >= count) error = GMESP_E_PROTOCOL;
    if (error != GMESP_OK) return fail(error, "look", problem);
    answers[answer.tag] = answer;
  }
  return true;
}

}  // namespace gmesp::mnl
