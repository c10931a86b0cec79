#include "crypto/ipsec_mb_manager.h"

#include <intel-ipsec-mb.h>

#include <string>

#include "crypto/engine.h"

namespace gmesp::crypto {
namespace {

uint64_t cpu_flags_needed(VectorArch arch) {
  switch (arch) {
    case VectorArch::kAvx:
      return IMB_CPUFLAGS_AVX;
    case VectorArch::kAvx2:
      return IMB_CPUFLAGS_AVX2;
    case VectorArch::kAvx512:
      return IMB_CPUFLAGS_AVX512;
    case VectorArch::kAuto:
    case VectorArch::kSse:
      break;
  }
  return IMB_CPUFLAGS_SSE;
}

void initialise(IMB_MGR* manager, VectorArch arch) {
  switch (arch) {
    case VectorArch::kAuto:
      return init_mb_mgr_auto(manager, nullptr);
    case VectorArch::kSse:
      return init_mb_mgr_sse(manager);
    case VectorArch::kAvx:
      return init_mb_mgr_avx(manager);
    case VectorArch::kAvx2:
      return init_mb_mgr_avx2(manager);
    case VectorArch::kAvx512:
      return init_mb_mgr_avx512(manager);
  }
}

}  // namespace

std::string_view name(VectorArch arch) {
  switch (arch) {
    case VectorArch::kAuto:
      break;
    case VectorArch::kSse:
      return "SSE";
    case VectorArch::kAvx:
      return "AVX";
    case VectorArch::kAvx2:
      return "AVX2";
    case VectorArch::kAvx512:
      return "AVX-512";
  }
  return "auto";
}

bool is_supported(VectorArch arch) {
  const uint64_t needed = cpu_flags_needed(arch);
  return (imb_get_feature_flags() & needed) == needed;
}

void ManagerDeleter::operator()(IMB_MGR* manager) const noexcept {
  free_mb_mgr(manager);
}

Manager make_manager(VectorArch arch) {
  if (!is_supported(arch)) {
    throw EngineError("IPsec-MB: this CPU lacks the instructions for " + std::string(name(arch)));
  }
  Manager manager(alloc_mb_mgr(0));
  if (!manager) throw EngineError("IPsec-MB: no memory for a manager");
  initialise(manager.get(), arch);
  // The self-test's outcome is an errno, too; it covers AES-CBC and HMAC-SHA-1 only, so gmespd's
  // own known_answer_test() is still needed.
  if (const int error = imb_get_errno(manager.get()); error != 0) {
    throw EngineError(std::string("IPsec-MB: ") + imb_get_strerror(error));
  }
  return manager;
}

VectorArch arch_of(const IMB_MGR& manager) {
  switch (manager.used_arch) {
    case IMB_ARCH_AVX512:
      return VectorArch::kAvx512;
    case IMB_ARCH_AVX2:
      return VectorArch::kAvx2;
    case IMB_ARCH_AVX:
      return VectorArch::kAvx;
    default:
      return VectorArch::kSse;
  }
}

}  // namespace gmesp::crypto
