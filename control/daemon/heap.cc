#include "control/daemon/heap.h"

#include <malloc.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>

namespace gmesp::control {

void take_huge_pages(char** argv) {
  const char* tunables = std::getenv("GLIBC_TUNABLES");
  std::string wanted = tunables == nullptr ? "" : tunables;
  if (wanted.find("glibc.malloc.hugetlb") != std::string::npos) return;
  wanted += std::string(wanted.empty() ? "" : ":") + "glibc.malloc.hugetlb=1";
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error);
  setenv("GLIBC_TUNABLES", wanted.c_str(), true);
  execv(program.c_str(), argv);
  spdlog::warn("heap with pages of 4 KiB: {}: {}", program, strerror(errno));
}

void take_ahead(uint64_t bytes) {
  constexpr uint64_t kPageBytes = 4096;
  // The largest that still comes from the heap, and not from a mapping of its own.
  constexpr int kPieceBytes = 16 << 20;
  mallopt(M_MMAP_THRESHOLD, 2 * kPieceBytes);
  mallopt(M_TRIM_THRESHOLD, -1);
  struct Free {
    void operator()(void* piece) const { std::free(piece); }
  };
  std::vector<std::unique_ptr<void, Free>> pieces;
  for (uint64_t left = bytes; left != 0;) {
    const uint64_t piece_bytes = std::min<uint64_t>(left, kPieceBytes);
    void* piece = std::malloc(piece_bytes);
    if (piece == nullptr) throw std::bad_alloc();
    pieces.emplace_back(piece);
    auto* touched = static_cast<volatile uint8_t*>(piece);
    for (uint64_t at = 0; at < piece_bytes; at += kPageBytes) touched[at] = 0;
    left -= piece_bytes;
  }
}

}  // namespace gmesp::control
