// The one table of totals that are not drops, and the counters of one worker.
//
// Threading: a worker writes its own counters (plain adds on relaxed atomics: one writer), anyone
// reads them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "dataplane/ipsec/drop_reason.h"

namespace gmesp::ipsec {

// clang-format off
#define GMESP_STATISTICS(row)                                                                                 \
  row(kAccessPackets,       "access_packets",       "packets", "received on access ports")                   \
  row(kHostPackets,         "host_packets",         "packets", "received on host ports")                     \
  row(kEspInPackets,        "esp_in_packets",       "packets", "ESP packets authenticated and delivered to the host") \
  row(kEspInBytes,          "esp_in_bytes",         "bytes",   "clear IP bytes of these")                    \
  row(kEspOutPackets,       "esp_out_packets",      "packets", "host packets protected and sent")            \
  row(kEspOutBytes,         "esp_out_bytes",        "bytes",   "clear IP bytes of these")                    \
  row(kClearInPackets,      "clear_in_packets",     "packets", "clear packets passed to the host")           \
  row(kClearOutPackets,     "clear_out_packets",    "packets", "clear packets passed to the access side")    \
  row(kFragmentsIn,         "fragments_in",         "packets", "fragments received")                         \
  row(kDatagramsJoined,     "datagrams_joined",     "packets", "datagrams joined from fragments")            \
  row(kFragmentsJoined,     "fragments_joined",     "packets", "fragments that became part of a joined datagram") \
  row(kDatagramsCut,        "datagrams_cut",        "packets", "datagrams cut into fragments for sending")   \
  row(kFragmentsOut,        "fragments_out",        "packets", "fragments sent")                             \
  row(kTooBigSent,          "too_big_sent",         "packets", "ICMP too-big messages sent to the host")     \
  row(kMssLowered,          "mss_lowered",          "packets", "TCP SYN segments whose MSS was lowered")     \
  row(kHandedOff,           "handed_off",           "packets", "packets given to the worker that owns their SA or datagram") \
  row(kUdpOnTcpSa,          "udp_on_tcp_sa",        "packets", "UDP on SA-b or SA-c, passed (TS 33.203 7.1)") \
  row(kOuterSourceChanged,  "outer_source_changed", "packets", "tunnel packets whose outer source is not the set's address") \
  row(kAuditSuppressed,     "audit_suppressed",     "events",  "audit events left out by the rate limit")    \
  row(kSipMethodAllowed,    "sip_method_allowed",   "packets", "clear: a REGISTER, or another method that the operator allows") \
  row(kSipEmergency,        "sip_emergency",        "packets", "clear: Request-URI or Route names an emergency service") \
  row(kSipEmergencyDialog,  "sip_emergency_dialog", "packets", "clear: message inside an emergency call")   \
  row(kSipResponseAllowed,  "sip_response_allowed", "packets", "clear: an error response, or another class that the operator allows") \
  row(kSipKeepAlive,        "sip_keep_alive",       "packets", "clear: line ends alone on a SIP port")      \
  row(kSipStun,             "sip_stun",             "packets", "clear: STUN on a SIP port")                 \
  row(kSipCutStream,        "sip_cut_stream",       "packets", "clear: first segment of a connection that ends inside the head of its message, passed") \
  row(kSipConnections,      "sip_connections",      "packets", "clear: SYN of a new connection to a SIP port") \
  row(kSipLaterSegments,    "sip_later_segments",   "packets", "clear: segments behind the first message of a connection") \
  row(kSipUnknownSegments,  "sip_unknown_segments", "packets", "clear: segments of connections whose beginning was not seen, or is forgotten") \
  row(kSipReplies,          "sip_replies",          "packets", "answers sent to refused requests")           \
  row(kSipRepliesLeftOut,   "sip_replies_left_out", "packets", "refused requests without an answer: rate, or none that fits") \
  row(kEngineCalls,         "engine_calls",         "calls",   "batches given to the crypto engine")         \
  row(kEngineJobs,          "engine_jobs",          "packets", "packets given to the crypto engine")          \
  row(kWaitedForCompany,    "waited_for_company",   "packets", "3DES packets that waited a few calls for others of their kind")
// clang-format on

enum class Statistic : uint8_t {
#define GMESP_ENUMERATOR(enumerator, name, unit, text) enumerator,
  GMESP_STATISTICS(GMESP_ENUMERATOR)
#undef GMESP_ENUMERATOR
};

struct StatisticInfo {
  std::string_view name;
  std::string_view unit;
  std::string_view text;
};

inline constexpr StatisticInfo kStatistics[] = {
#define GMESP_INFO(enumerator, name, unit, text) {name, unit, text},
    GMESP_STATISTICS(GMESP_INFO)
#undef GMESP_INFO
};
inline constexpr uint32_t kStatisticCount = std::size(kStatistics);

class WorkerCounters {
 public:
  void add(Statistic statistic, uint64_t amount = 1) {
    add(totals_[static_cast<uint32_t>(statistic)], amount);
  }
  void add(DropReason reason, uint64_t amount = 1) {
    add(drops_[static_cast<uint32_t>(reason)], amount);
  }
  uint64_t get(Statistic statistic) const {
    return totals_[static_cast<uint32_t>(statistic)].load(std::memory_order_relaxed);
  }
  uint64_t get(DropReason reason) const {
    return drops_[static_cast<uint32_t>(reason)].load(std::memory_order_relaxed);
  }

 private:
  static void add(std::atomic<uint64_t>& counter, uint64_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  alignas(64) std::array<std::atomic<uint64_t>, kStatisticCount> totals_{};
  std::array<std::atomic<uint64_t>, kDropReasonCount + 1> drops_{};
};

}  // namespace gmesp::ipsec
