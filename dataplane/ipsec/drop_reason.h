// The one table of reasons: a packet that is not delivered leaves by exactly one of these rows.
//
// Each row: enumerator, counter name, clause, audit text. Add at the end of a group; names are what
// operators read in `gmespctl drops`.
#pragma once

#include <cstdint>
#include <string_view>

namespace gmesp::ipsec {

// clang-format off
#define GMESP_SCREEN_DROP_REASONS(row) \
  /* access side, floods and overload */                                                                               \
  row(kClearOverload,          "clear_overload",           "TS 33.203 7.1",     "clear packet shed: the worker is overloaded and protected traffic goes first") \
  row(kFragmentSourceRate,     "fragment_source_rate",     "RFC 2406 3.4.1",    "fragment beyond the configured rate of its source") \
  row(kFragmentRate,           "fragment_rate",            "RFC 2406 3.4.1",    "fragment beyond the configured rate of all sources") \
  row(kEspSourceShed,          "esp_source_shed",          "RFC 2406 3.4",      "the worker is overloaded and the ESP of this source failed too often") \
  /* access side, SIP in clear */                                                                                      \
  row(kSipSourceRate,          "sip_source_rate",          "TS 33.203 7.1",     "clear SIP beyond the configured rate of its source") \
  row(kSipRate,                "sip_rate",                 "TS 33.203 7.1",     "clear SIP beyond the configured rate of all sources") \
  row(kConnectionSourceRate,   "connection_source_rate",   "RFC 4987",          "new TCP connection to a clear SIP port beyond the rate of its source") \
  row(kConnectionRate,         "connection_rate",          "RFC 4987",          "new TCP connection to a clear SIP port beyond the rate of all sources") \
  row(kSipMethodNotAllowed,    "sip_method_not_allowed",   "TS 33.203 7.1",     "a request that may not come in clear")         \
  row(kSipResponseNotAllowed,  "sip_response_not_allowed", "TS 33.203 7.1",     "a response that may not come in clear")        \
  row(kSipMalformed,           "sip_malformed",            "RFC 3261 7",        "SIP that readers may read differently")        \
  row(kSipHeaderFieldsTooMany, "sip_header_fields_too_many", "gmesp",           "more header fields than the screen reads")     \
  row(kSipCutDatagram,         "sip_cut_datagram",         "RFC 3261 18.3",     "the datagram ends inside the head of its message") \
  row(kSipCutStreamRefused,    "sip_cut_stream_refused",   "RFC 3261 18.3",     "the first message of a connection cannot be judged in one segment, and the operator passes none such") \
  row(kSipNotSip,              "sip_not_sip",              "TS 33.203 7.1",     "neither SIP nor a keep-alive on a clear SIP port") \
  row(kSipKeepAliveRefused,    "sip_keep_alive_refused",   "RFC 5626 3.5.1",    "line ends alone, which the operator does not pass") \
  row(kSipStunRefused,         "sip_stun_refused",         "RFC 5626 3.5.2",    "STUN on a SIP port, which the operator does not pass") \
  row(kSipConnectionRefused,   "sip_connection_refused",   "TS 33.203 7.1",     "later segment of a connection whose first message was refused") \
  row(kSipRule,                "sip_rule",                 "gmesp",             "a rule of the screen drops this clear message") \
  row(kSipRuleProtected,       "sip_rule_protected",       "gmesp",             "a rule of the screen drops this decrypted message")

#define GMESP_OWN_DROP_REASONS(row) \
  /* gmespd itself */                                                                                                  \
  row(kHandoffFull,            "handoff_full",             "gmesp",             "the owning worker's queue is full")            \
  row(kTransmitFull,           "transmit_full",            "gmesp",             "the port did not take the packet")             \
  row(kNoBuffer,               "no_buffer",                "gmesp",             "no packet buffer is free")                     \
  row(kShutDown,               "shut_down",                "gmesp",             "gmespd is stopping")

#define GMESP_DROP_REASONS(row)                                                                                        \
  /* frames and IP headers */                                                                                          \
  row(kFrameTooShort,          "frame_too_short",          "IEEE 802.3",        "frame ends inside its Ethernet or VLAN header") \
  row(kIpHeaderBad,            "ip_header_bad",            "RFC 791, RFC 8200", "no valid IP header where one must stand") \
  row(kIpLengthBad,            "ip_length_bad",            "RFC 791, RFC 8200", "IP length exceeds the frame or is shorter than the header") \
  row(kIpChecksumBad,          "ip_checksum_bad",          "RFC 791",           "IPv4 header checksum is wrong")                \
  row(kExtensionHeaderBad,     "extension_header_bad",     "RFC 8200",          "IPv6 extension headers are cut off, out of order or too many") \
  row(kRoutingType0,           "routing_type_0",           "RFC 5095",          "IPv6 routing header of type 0 or with segments left") \
  row(kAhRefused,              "ah_refused",               "TS 33.203 6.3",     "AH is not used on Gm")                         \
  row(kL4Truncated,            "l4_truncated",             "RFC 768, RFC 9293", "TCP or UDP header is cut off")                 \
  row(kSourceAddressBad,       "source_address_bad",       "RFC 1122 3.2.1.3",  "source address is multicast, loopback or IPv4-mapped") \
  /* fragments */                                                                                                      \
  row(kFragmentBad,            "fragment_bad",             "RFC 791, RFC 8200", "fragment with a wrong length or beyond 65,535 bytes") \
  row(kFragmentOverlap,        "fragment_overlap",         "RFC 5722",          "fragments overlap; the whole datagram is dropped") \
  row(kFragmentTooLarge,       "fragment_too_large",       "RFC 2406 3.4.1",    "joined datagram would exceed the configured bound") \
  row(kFragmentTableFull,      "fragment_table_full",      "RFC 2406 3.4.1",    "too many datagrams are waiting for fragments")  \
  row(kFragmentTimeout,        "fragment_timeout",         "RFC 791, RFC 8200", "the rest of the datagram did not come in time") \
  row(kFragmentBudget,         "fragment_budget",          "RFC 2406 3.4.1",    "one source holds too many unfinished datagrams") \
  /* access side, before ESP */                                                                                        \
  row(kClearToProtectedPort,   "clear_to_protected_port",  "TS 33.203 7.1",     "clear packet to a protected port")             \
  row(kClearRateLimited,       "clear_rate_limited",       "TS 33.203 7.1",     "clear packet beyond the configured rate")      \
  row(kNatKeepAlive,           "nat_keep_alive",           "RFC 3948 2.3",      "NAT keep-alive; nothing to deliver")           \
  row(kIkeRefused,             "ike_refused",              "RFC 3948 2.2",      "IKE on the encapsulation port; IKE is not used on Gm") \
  row(kEncapsulationTooShort,  "encapsulation_too_short",  "RFC 3948 2",        "datagram on the encapsulation port is too short for ESP") \
  row(kUdpLengthBad,           "udp_length_bad",           "RFC 768",           "UDP length does not fit its IP packet")        \
  row(kUdpChecksumBad,         "udp_checksum_bad",         "RFC 3948 2.1",      "UDP checksum of an encapsulated packet is neither zero nor right") \
  row(kIcmpErrorRefused,       "icmp_error_refused",       "RFC 4301 6",        "unauthenticated ICMP error about protected traffic") \
  row(kPathMtuIgnored,         "path_mtu_ignored",         "RFC 4301 8.2",      "too-big message that matches no SA or is implausible") \
  row(kPathMtuTaken,           "path_mtu_taken",           "RFC 4301 8.2",      "too-big message handed to the path MTU table") \
  GMESP_SCREEN_DROP_REASONS(row) \
  /* ESP in */                                                                                                         \
  row(kEspTooShort,            "esp_too_short",            "RFC 2406 2",        "too short for an ESP header, IV, trailer and ICV") \
  row(kEspNotBlockAligned,     "esp_not_block_aligned",    "RFC 2406 2.4",      "ciphered bytes are not whole blocks")          \
  row(kEspToMulticast,         "esp_to_multicast",         "TS 33.203 7.1",     "ESP to a multicast or broadcast address")      \
  row(kUnknownSpi,             "unknown_spi",              "RFC 2406 3.4.2",    "no SA for this SPI and destination")           \
  row(kSaExpired,              "sa_expired",               "TS 33.203 7.4.2a",  "lifetime of the SA is over")                   \
  row(kEncapsulationMismatch,  "encapsulation_mismatch",   "TS 33.203 M.7.1",   "bare ESP on a tunnel SA or encapsulated ESP on a transport SA") \
  row(kSequenceZero,           "sequence_zero",            "RFC 2406 3.4.3",    "sequence number 0")                            \
  row(kReplayOld,              "replay_old",               "RFC 2406 3.4.3",    "sequence number left of the window")           \
  row(kReplaySeen,             "replay_seen",              "RFC 2406 3.4.3",    "sequence number was received before")          \
  row(kIcvWrong,               "icv_wrong",                "RFC 2406 3.4.4",    "integrity check failed")                       \
  row(kCryptoFailed,           "crypto_failed",            "RFC 2406 3.4",      "the crypto engine refused the packet")         \
  row(kPaddingBad,             "padding_bad",              "RFC 2406 2.4",      "padding is not 1, 2, 3, ... or longer than the payload") \
  row(kDummyPacket,            "dummy_packet",             "RFC 4303 2.6",      "dummy packet (next header 59); nothing to deliver") \
  row(kNextHeaderRefused,      "next_header_refused",      "TS 33.203 7.1",     "next header is not what the SA's mode carries") \
  row(kInnerHeaderBad,         "inner_header_bad",         "RFC 2401 5.2.1",    "inner packet is malformed, a fragment or cut off") \
  row(kSelectorAddress,        "selector_address",         "RFC 2401 5.2.1",    "inner addresses are not those of the SA")      \
  row(kSelectorPort,           "selector_port",            "RFC 2401 5.2.1",    "inner ports are not those of the SA")          \
  row(kSelectorProtocol,       "selector_protocol",        "RFC 2401 5.2.1",    "inner protocol is neither TCP nor UDP")        \
  row(kInnerChecksumBad,       "inner_checksum_bad",       "RFC 3948 3.1.2",    "inner TCP or UDP checksum is wrong")           \
  row(kEcnIllegal,             "ecn_illegal",              "RFC 4301 5.1.2",    "congestion mark on a packet whose inner header is not ECN-capable") \
  /* host side, ESP out */                                                                                             \
  row(kNoSaForProtectedPort,   "no_sa_for_protected_port", "TS 33.203 7.1",     "host sends from a protected port without an SA for it") \
  row(kIcmpQuotesProtected,    "icmp_quotes_protected",    "TS 33.203 7.1",     "host's ICMP error would carry protected bytes in clear") \
  row(kHostUsedEncapsulationPort, "host_used_encapsulation_port", "TS 33.203 M.7.2", "host sends from the encapsulation port")   \
  row(kPeerPortUnknown,        "peer_port_unknown",        "TS 33.203 M.7.2",   "nothing was received yet on this tunnel set, so port_Uenc is unknown") \
  row(kSequenceExhausted,      "sequence_exhausted",       "RFC 2406 3.3.3",    "sequence numbers of the SA are used up")       \
  row(kTooBigForPath,          "too_big_for_path",         "RFC 2401 6.1",      "does not fit the path MTU and must not be fragmented; the sender was told") \
  row(kNoRoomInBuffer,         "no_room_in_buffer",        "RFC 2406 3.3",      "the packet buffer has no room for the ESP overhead") \
  GMESP_OWN_DROP_REASONS(row)
// clang-format on

enum class DropReason : uint8_t {
  kNone,
#define GMESP_ENUMERATOR(enumerator, name, clause, text) enumerator,
  GMESP_DROP_REASONS(GMESP_ENUMERATOR)
#undef GMESP_ENUMERATOR
};

struct DropReasonInfo {
  std::string_view name;
  std::string_view clause;
  std::string_view text;
};

inline constexpr uint32_t kDropReasonCount = 0
#define GMESP_COUNT(enumerator, name, clause, text) +1
    GMESP_DROP_REASONS(GMESP_COUNT)
#undef GMESP_COUNT
    ;

inline constexpr DropReasonInfo kDropReasons[kDropReasonCount + 1] = {
    {"none", "", ""},
#define GMESP_INFO(enumerator, name, clause, text) {name, clause, text},
    GMESP_DROP_REASONS(GMESP_INFO)
#undef GMESP_INFO
};

constexpr const DropReasonInfo& info(DropReason reason) {
  return kDropReasons[static_cast<uint32_t>(reason)];
}

}  // namespace gmesp::ipsec
