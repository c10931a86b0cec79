#include "set_writer.h"

#include <fmt/format.h>
#include <poll.h>

#include <stdexcept>

namespace gmesp::bench {
namespace {

constexpr int kAnswerTimeout_ms = 10'000;

}  // namespace

SetWriter::SetWriter(const std::string& socket_path) {
  gmesp_dp_options options;
  GMESP_INIT(&options);
  options.role = GMESP_WRITER;
  options.socket_path = socket_path.c_str();
  char detail[GMESP_DETAIL_BYTES] = "";
  const int error = gmesp_dp_open(&options, &dp_, detail, sizeof detail);
  if (error != GMESP_OK)
    throw std::runtime_error(
        fmt::format("gmespd at {}: {}: {}", socket_path, gmesp_strerror(error), detail));
}

SetWriter::~SetWriter() {
  gmesp_dp_close(dp_);
}

void SetWriter::fail(int error, const char* detail) const {
  throw std::runtime_error(fmt::format("gmespd: {}: {}", gmesp_strerror(error), detail));
}

gmesp_info SetWriter::info() {
  gmesp_info info;
  GMESP_INIT(&info);
  const int error = gmesp_dp_get_info(dp_, &info, kAnswerTimeout_ms);
  if (error != GMESP_OK) fail(error, gmesp_dp_detail(dp_));
  return info;
}

bool SetWriter::sent(int error) {
  if (error != GMESP_OK && error != GMESP_E_AGAIN) fail(error, gmesp_dp_detail(dp_));
  return error == GMESP_OK;
}

bool SetWriter::try_install(const gmesp_sa_set& set, uint64_t tag) {
  return sent(gmesp_dp_submit_install(dp_, &set, tag));
}

bool SetWriter::try_remove(uint64_t set_id, uint64_t tag) {
  return sent(gmesp_dp_submit_remove(dp_, set_id, tag));
}

bool SetWriter::next_answer(gmesp_completion& answer) {
  GMESP_INIT(&answer);
  const int error = gmesp_dp_poll_completion(dp_, &answer);
  if (error == GMESP_E_AGAIN) return false;
  if (error != GMESP_OK) fail(error, gmesp_dp_detail(dp_));
  if (answer.error != GMESP_OK) fail(answer.error, answer.detail);
  return true;
}

void SetWriter::wait(int timeout_ms) {
  pollfd watched = {gmesp_dp_fd(dp_), POLLIN, 0};
  poll(&watched, 1, timeout_ms);
}

void SetWriter::run(uint32_t count, const std::function<bool(uint32_t)>& send,
                    const std::function<void(const gmesp_completion&)>& answered) {
  uint32_t next = 0, done = 0;
  gmesp_completion answer;
  while (done < count) {
    while (next < count && send(next)) ++next;
    const uint32_t done_before = done;
    while (next_answer(answer)) {
      ++done;
      answered(answer);
    }
    if (done == done_before) wait(kAnswerTimeout_ms);
  }
}

std::vector<uint64_t> SetWriter::install(const SubscriberOptions& subscribers, uint32_t first,
                                         uint32_t count,
                                         const std::function<void(uint32_t)>& done) {
  std::vector<uint64_t> set_ids(count);
  uint32_t answers = 0;
  const auto send = [&](uint32_t n) { return try_install(set_of(subscribers, first + n), n); };
  run(count, send, [&](const gmesp_completion& answer) {
    set_ids[answer.tag] = answer.set_id;
    done(++answers);
  });
  return set_ids;
}

void SetWriter::remove(const std::vector<uint64_t>& set_ids,
                       const std::function<void(uint32_t)>& done) {
  uint32_t answers = 0;
  run(
      static_cast<uint32_t>(set_ids.size()), [&](uint32_t n) { return try_remove(set_ids[n], n); },
      [&](const gmesp_completion&) { done(++answers); });
}

}  // namespace gmesp::bench
