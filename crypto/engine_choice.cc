#include "crypto/engine_choice.h"

#include <array>

namespace gmesp::crypto {
namespace {

struct BreakEven {
  uint32_t inbound;
  uint32_t outbound;
};

constexpr uint32_t kNever = kNeverOnLanes;

// Columns as index_of(): NULL, AES, 3DES with MD5; NULL, AES, 3DES with SHA-1. {inbound, outbound}.
//
// Measured with bench/crypto_ceiling at 300 bytes, a usual SIP message, on an AMD EPYC with AVX2
// and SHA-NI. Outbound ns a packet, on OpenSSL and in batches of 1, 2, 4, 8 on IPsec-MB's lanes:
//                  OpenSSL    AVX2                      AVX                       SSE
//   null/md5           681    1313  701  403  248      1212  651  371  215      1322  716  398  223
//   aes/md5           1064    1653  892  516  321      1553  836  471  286      1563  867  481  311
//   null/sha-1         300    1282  681  383  215      1182  621  331  323       321  195  185  184
//   aes/sha-1          661    1573  856  486  283      1503  802  431  393       591  336  263  264
//   3des/sha-1       12000  635000 in any number: IPsec-MB 1.3 has 3DES lanes for AVX-512 only
//
// IPsec-MB uses SHA-NI in its SSE manager only. Such CPUs may also lack it, hence 2 where 1 would
// do. AVX is used by CPUs too old for SHA-NI, where OpenSSL's SHA-1 is slower than above, hence 4.
//
// AVX-512 on a Zen 5, where AES and NULL go in stages (job_stages.h) in lanes of our own:
//                  OpenSSL    1     2     3     4     6     8    32
//   null/md5           531    1032   506   334   253   169   129    42
//   aes/md5            791    1472   726   484   358   239   179    77
//   3des/md5          8968   35433 17697 11858  8986  5997  4547  2318
//   null/sha-1         215     761   386   257   190   140   108    45
//   aes/sha-1          451    1182   596   401   293   220   167    79
//   3des/sha-1        8573   33841 17281 11614  8661  5887  4434  2262
// A draw counts for OpenSSL.
constexpr std::array<BreakEven, kSuiteCount> kSse = {
    {{3, 3}, {2, 2}, {kNever, kNever}, {2, 2}, {2, 2}, {kNever, kNever}}};
constexpr std::array<BreakEven, kSuiteCount> kAvx = {
    {{2, 2}, {2, 2}, {kNever, kNever}, {4, 4}, {3, 3}, {kNever, kNever}}};
constexpr std::array<BreakEven, kSuiteCount> kAvx2 = {
    {{3, 3}, {2, 2}, {kNever, kNever}, {6, 6}, {4, 3}, {kNever, kNever}}};
constexpr std::array<BreakEven, kSuiteCount> kAvx512 = {
    {{2, 2}, {2, 2}, {5, 5}, {4, 4}, {3, 3}, {5, 5}}};

const std::array<BreakEven, kSuiteCount>& table(VectorArch arch) {
  switch (arch) {
    case VectorArch::kAvx512:
      return kAvx512;
    case VectorArch::kAvx2:
      return kAvx2;
    case VectorArch::kAvx:
      return kAvx;
    case VectorArch::kSse:
    case VectorArch::kAuto:
      break;
  }
  return kSse;
}

}  // namespace

uint32_t break_even_jobs(VectorArch arch, Suite suite, Direction direction) {
  const BreakEven& jobs = table(arch)[index_of(suite)];
  return direction == Direction::kInbound ? jobs.inbound : jobs.outbound;
}

}  // namespace gmesp::crypto
