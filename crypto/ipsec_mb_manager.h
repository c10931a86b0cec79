// An initialised IPsec-MB manager for a chosen vector extension.
//
// Ownership: `Manager` frees it. Threading: a manager belongs to one core; its block functions,
// which `expand` uses, keep no state and may be shared. Errors: EngineError.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

struct IMB_MGR;

namespace gmesp::crypto {

/// What IPsec-MB runs on. kAuto is the best that the CPU has.
enum class VectorArch : uint8_t { kAuto, kSse, kAvx, kAvx2, kAvx512 };

std::string_view name(VectorArch arch);

/// True if this CPU can run `arch`; IPsec-MB 1.3 crashes in its self-test if asked for more.
bool is_supported(VectorArch arch);

struct ManagerDeleter {
  void operator()(IMB_MGR* manager) const noexcept;
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

/// Throws EngineError if the CPU lacks `arch`, memory is short or the library's self-test fails.
Manager make_manager(VectorArch arch);

/// What a manager of make_manager runs on; never kAuto.
VectorArch arch_of(const IMB_MGR& manager);

}  // namespace gmesp::crypto
