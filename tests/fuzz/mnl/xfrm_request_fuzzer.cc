// What a proxy might send to its netlink socket, as bytes: the reader never touches a byte that is
// not there, ends, and gives out only requests within their bounds; what PendingSet makes of them
// is a set that gmespd could be asked for, or a problem with a text.
#include <cstdint>
#include <cstring>
#include <memory>

#include "control/mnl/pending_set.h"
#include "control/mnl/xfrm_request.h"
#include "invariant.h"

namespace gmesp::mnl {
namespace {

void check_problem(const Problem& problem) {
  GMESP_INVARIANT(problem.error_number > 0);
  GMESP_INVARIANT(std::memchr(problem.text, 0, sizeof problem.text) != nullptr);
  GMESP_INVARIANT(problem.text[0] != '\0');
}

bool is_zero(const uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (bytes[i] != 0) return false;
  return true;
}

void check_new_sa(const Request& request) {
  const Protection& keys = request.protection;
  const bool is_md5 = keys.integrity == GMESP_INTEGRITY_HMAC_MD5_96;
  GMESP_INVARIANT(is_md5 || keys.integrity == GMESP_INTEGRITY_HMAC_SHA1_96);
  GMESP_INVARIANT(keys.integrity_key_bytes == (is_md5 ? 16 : 20));
  GMESP_INVARIANT(keys.cipher >= GMESP_CIPHER_NULL && keys.cipher <= GMESP_CIPHER_DES_EDE3_CBC);
  GMESP_INVARIANT(keys.cipher_key_bytes <= 24);
  GMESP_INVARIANT(is_zero(keys.integrity_key + keys.integrity_key_bytes,
                          sizeof keys.integrity_key - keys.integrity_key_bytes));
  GMESP_INVARIANT(is_zero(keys.cipher_key + keys.cipher_key_bytes,
                          sizeof keys.cipher_key - keys.cipher_key_bytes));
  GMESP_INVARIANT(request.flow.source_port != 0 && request.flow.destination_port != 0);
}

void collect(const Request& request, PendingSet& pending) {
  Problem problem{};
  if (request.kind == RequestKind::kNewSa) {
    check_new_sa(request);
    if (!pending.can_take(request)) pending.wipe();
    if (!pending.take_sa(request, 1, problem)) check_problem(problem);
  }
  if (request.kind == RequestKind::kNewPolicy && !pending.take_policy(request, problem))
    check_problem(problem);
  GMESP_INVARIANT(pending.sas() <= GMESP_SAS_PER_SET && pending.policies() <= pending.sas());
  if (!pending.is_complete()) return;
  gmesp_sa_set set;
  if (pending.build(set, problem)) {
    GMESP_INVARIANT(is_sa_of(set, set.local_address, set.spi_ps));
    GMESP_INVARIANT(set.size == sizeof set && set.mode == GMESP_MODE_TRANSPORT);
  } else {
    check_problem(problem);
  }
  pending.wipe();
  GMESP_INVARIANT(is_zero(reinterpret_cast<const uint8_t*>(&pending), sizeof pending));
}

}  // namespace
}  // namespace gmesp::mnl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace gmesp::mnl;
  // A copy of its exact size, so that the sanitizer sees the first byte too many.
  const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes]);
  std::memcpy(copy.get(), data, bytes);
  PendingSet pending{};
  RequestReader reader(copy.get(), bytes);
  while (!reader.is_at_end()) {
    Request request;
    Problem problem{};
    if (!reader.read(request, problem)) {
      check_problem(problem);
      GMESP_INVARIANT(reader.is_at_end());
      const auto* keys = reinterpret_cast<const uint8_t*>(&request.protection);
      GMESP_INVARIANT(is_zero(keys, sizeof request.protection));
      break;
    }
    collect(request, pending);
  }
  return 0;
}
