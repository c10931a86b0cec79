// Every setting once: where it is kept, what it may be, what it means. Reading, printing and the
// shipped example all walk this list, so they cannot disagree.
//
// A Visitor has table(name, comment, keys), tables(name, vector, comment, keys), key(name, value,
// codec, comment) and list(name, vector, codec, comment). Comments become those of the printed
// file. Threading: constants and templates only.
#pragma once

#include <string_view>
#include <utility>

#include "control/settings/codec.h"
#include "control/settings/text.h"
#include "dataplane/config.h"

namespace gmesp::dataplane {

bool is_device(std::string_view text);
bool is_audit_sink(std::string_view text);

using screen::ClearAction;
using screen::Method;
using screen::RuleAction;
using settings::Boolean;
using settings::Choice;
using settings::is_instance_name;
using settings::is_path;
using settings::is_path_or_empty;
using settings::kLogFormatNames;
using settings::kLogLevelNames;
using settings::PortRangeText;
using settings::SocketMode;
using settings::Text;
using settings::WholeNumber;

inline constexpr uint64_t kRateMax = 4'000'000'000;

inline bool is_memory_path(std::string_view text) {
  return text == kAutoMemoryPath || is_path_or_empty(text);
}

inline constexpr std::pair<std::string_view, Config::Idle> kIdleNames[] = {
    {"sleep", Config::Idle::kSleep},
    {"yield", Config::Idle::kYield},
    {"poll", Config::Idle::kPoll}};
inline constexpr std::pair<std::string_view, Config::Pages> kPagesNames[] = {
    {"auto", Config::Pages::kAuto},
    {"huge", Config::Pages::kHuge},
    {"small", Config::Pages::kSmall}};
inline constexpr std::pair<std::string_view, Config::DontFragment> kDontFragmentNames[] = {
    {"copy", Config::DontFragment::kCopy},
    {"set", Config::DontFragment::kSet},
    {"clear", Config::DontFragment::kClear}};
inline constexpr std::pair<std::string_view, Config::Dscp> kDscpNames[] = {
    {"copy", Config::Dscp::kCopy}, {"zero", Config::Dscp::kZero}};
inline constexpr std::pair<std::string_view, Method> kMethodNames[] = {
    {"REGISTER", Method::kRegister},
    {"INVITE", Method::kInvite},
    {"ACK", Method::kAck},
    {"BYE", Method::kBye},
    {"CANCEL", Method::kCancel},
    {"OPTIONS", Method::kOptions},
    {"PRACK", Method::kPrack},
    {"UPDATE", Method::kUpdate},
    {"INFO", Method::kInfo},
    {"MESSAGE", Method::kMessage},
    {"SUBSCRIBE", Method::kSubscribe},
    {"NOTIFY", Method::kNotify},
    {"PUBLISH", Method::kPublish},
    {"REFER", Method::kRefer}};
static_assert(std::size(kMethodNames) == screen::kMethods);
inline constexpr std::pair<std::string_view, ClearAction> kRefusalNames[] = {
    {"discard", ClearAction::kDiscard}, {"reject", ClearAction::kReject}};
inline constexpr std::pair<std::string_view, ClearAction> kCutStreamNames[] = {
    {"pass", ClearAction::kPass}, {"discard", ClearAction::kDiscard}};
inline constexpr std::pair<std::string_view, RuleAction> kShippedRulesNames[] = {
    {"off", RuleAction::kOff}, {"count", RuleAction::kCount}, {"drop", RuleAction::kDrop}};
inline constexpr std::pair<std::string_view, crypto::EngineChoice> kEngineNames[] = {
    {"auto", crypto::EngineChoice::kAuto},
    {"ipsec-mb", crypto::EngineChoice::kIpsecMb},
    {"openssl", crypto::EngineChoice::kOpenSsl}};
inline constexpr std::pair<std::string_view, crypto::Integrity> kIntegrityNames[] = {
    {crypto::info(crypto::Integrity::kHmacMd5_96).name, crypto::Integrity::kHmacMd5_96},
    {crypto::info(crypto::Integrity::kHmacSha1_96).name, crypto::Integrity::kHmacSha1_96}};
inline constexpr std::pair<std::string_view, crypto::Cipher> kCipherNames[] = {
    {crypto::info(crypto::Cipher::kNull).name, crypto::Cipher::kNull},
    {crypto::info(crypto::Cipher::kAesCbc128).name, crypto::Cipher::kAesCbc128},
    {crypto::info(crypto::Cipher::kDesEde3Cbc).name, crypto::Cipher::kDesEde3Cbc}};

template <class Visitor>
void visit_process(Visitor& v, Config& config) {
  v.table("instance", "Who this gmespd is. {instance} in paths below stands for the name.", [&] {
    v.key("name", config.instance.name,
          Text{is_instance_name, "1 to 32 letters, digits, '-' or '_'"},
          "Several gmespd on one machine need different names.");
  });
  v.table("control", "The Unix socket for libgmesp and gmespctl.", [&] {
    auto& control = config.control;
    v.key("socket", control.socket, Text{is_path, "an absolute path"},
          "Its folder is made if it is missing.");
    v.key("socket_mode", control.socket_mode, SocketMode{},
          "File permissions, octal. \"auto\": \"0600\", or \"0666\" where allowed_uids says who "
          "may connect.");
    v.list("allowed_uids", control.allowed_uids, WholeNumber{0, UINT32_MAX - 1},
           "Users that may connect, besides root and the one gmespd runs as.");
    v.key("connections_max", control.connections_max, WholeNumber{1, 64},
          "Connections at a time; one of them at most may change SA sets.");
  });
}

template <class Visitor>
void visit_pair(Visitor& v, Config::Pair& pair) {
  const Text device{is_device,
                    "a PCI address (\"0000:3b:00.0\") or a DPDK device string "
                    "(\"net_tap0,iface=gmesp-host\", net_af_packet, net_memif, net_virtio_user, "
                    "net_pcap, net_ring, net_null, ...)"};
  v.key(
      "access", pair.access, device,
      "Towards the UEs: PCI address (\"0000:3b:00.0\") or DPDK device string, for example\n"
      "\"net_af_packet0,iface=eth1\" or \"net_memif0,socket=/run/gmesp/memif.sock\".\n"
      "The kernel still sees the frames of a net_af_packet interface: give it no address and drop\n"
      "its ingress (nft, netdev hook), or packets reach the host past gmespd.");
  v.key("host", pair.host, device, "Towards the SIP proxy. A TAP is named by iface=.");
  v.key("access_mtu_bytes", pair.access_mtu_bytes, WholeNumber{1280, 9500},
        "Largest IP packet towards the UEs.");
  v.key("host_mtu_bytes", pair.host_mtu_bytes, WholeNumber{1280, 9500, 1, 0},
        "MTU of the host's interface. 0: access_mtu_bytes - 100, at least 1280, so that what the "
        "host\n"
        "sends fits with ESP around it.");
  v.key("promiscuous", pair.promiscuous, Boolean{},
        "Take every frame of the network, not only those to the port's own MAC.");
  v.key("share_mac", pair.share_mac, Boolean{},
        "Give a TAP on the host side the access port's MAC; the host then answers ARP and ND with\n"
        "the address that the network sends to.");
  v.key("queue_descriptors", pair.queue_descriptors, WholeNumber{64, 8192, 32},
        "Length of each receive and transmit queue.");
}

template <class Visitor>
void visit_machine(Visitor& v, Config& config) {
  v.tables("pair", config.pairs,
           "A pair of ports: what comes in on one leaves on the other. Repeat for more pairs.",
           [&](Config::Pair& pair) { visit_pair(v, pair); });
  v.table("workers", "The packet cores.", [&] {
    auto& workers = config.workers;
    v.key("count", workers.count, WholeNumber{0, 64}, "0: one per entry of cores, or one.");
    v.list("cores", workers.cores, WholeNumber{0, 1023},
           "CPU numbers, one per worker. Empty: from the highest CPU that gmespd may use down.");
    v.key("idle", workers.idle, Choice<Config::Idle>{kIdleNames},
          "With nothing to do: \"sleep\" (a shared machine), \"yield\", or \"poll\" (lowest "
          "latency,\nbut the whole core).");
    v.key("idle_sleep_us", workers.idle_sleep_us, WholeNumber{1, 10'000},
          "Length of one sleep. The kernel adds some 50 us.");
    v.key("idle_after_polls", workers.idle_after_polls, WholeNumber{1, 1'000'000},
          "Empty polls of all queues before a worker counts as idle.");
    v.key("burst_packets", workers.burst_packets, WholeNumber{1, 64},
          "Most packets taken from a queue at once.");
  });
  v.table("memory", "Memory for packet buffers.", [&] {
    auto& memory = config.memory;
    v.key(
        "pages", memory.pages, Choice<Config::Pages>{kPagesNames},
        "\"huge\" insists on hugepages, \"small\" goes without, \"auto\" takes them if enough are "
        "free.");
    v.key("megabytes", memory.megabytes, WholeNumber{64, 1'048'576, 1, 0},
          "0: computed from packet_buffers.");
    v.key("packet_buffers", memory.packet_buffers, WholeNumber{1024, 67'108'864, 1, 0},
          "0: computed from queues and workers.");
  });
}

template <class Visitor>
void visit_security(Visitor& v, Config& config) {
  v.table("sa", "Security associations. A set is the four SAs of one registration.", [&] {
    v.key("capacity_sets", config.sa.capacity_sets, WholeNumber{1, 2'000'000},
          "Sets at a time; a UE that re-registers has two for a while.");
    v.key("replay_window_packets", config.sa.replay_window_packets, WholeNumber{64, 4096, 64, 32},
          "RFC 2406 3.4.3.");
    v.key("memory_path", config.sa.memory_path,
          Text{is_memory_path, "an absolute path, \"auto\" or \"\""},
          "File for keys and state, on tmpfs or hugetlbfs, readable by nobody else. \"auto\":\n"
          "{instance}.sa on a hugetlbfs that is mounted and has pages to spare, else in /dev/shm.\n"
          "\"\": no file.");
    v.key(
        "restore", config.sa.restore, Boolean{},
        "After a crash, go on with the sets that the dead gmespd left in memory_path. false: wipe "
        "them.\nA clean stop wipes them either way.");
    v.key(
        "key_export", config.sa.key_export, Boolean{},
        "Let root and gmespd's own user have the keys of live sets (gmespctl sa export-keys), to\n"
        "decrypt captures. Raw keys then stand in memory_path too; every export is logged.");
  });
  v.table("protected_ports", "Ports of this P-CSCF that only ESP may reach (TS 33.203 7.1).", [&] {
    v.list("ranges", config.protected_ports.ranges, PortRangeText{},
           "port_pc and port_ps of every SA set come from these.");
    v.list("unprotected", config.protected_ports.unprotected, WholeNumber{1, UINT16_MAX},
           "Ports on which SIP is taken in the clear; never protected, as are 5060 and 5061 "
           "anyway.");
  });
  v.table("nat", "UEs behind NAT (TS 33.203 Annex M, RFC 3948).", [&] {
    auto& nat = config.nat;
    v.key("encapsulation_port", nat.encapsulation_port, WholeNumber{0, UINT16_MAX},
          "Our UDP port for encapsulated ESP. 0: no UDP encapsulation.");
    v.key("follow_peer_port", nat.follow_peer_port, Boolean{},
          "When the NAT gives a UE a new port: follow it on an authenticated packet, or keep the "
          "first\nand report.");
    v.key("tunnel_ttl", nat.tunnel_ttl, WholeNumber{1, 255}, "Of the outer header.");
    v.key("tunnel_dont_fragment", nat.tunnel_dont_fragment,
          Choice<Config::DontFragment>{kDontFragmentNames},
          "DF of the outer IPv4 header: \"copy\" from the inner one, \"set\" or \"clear\".");
    v.key("tunnel_dscp", nat.tunnel_dscp, Choice<Config::Dscp>{kDscpNames},
          "DSCP of the outer header: \"copy\" from the inner one, or \"zero\".");
  });
  v.table("crypto", "", [&] {
    v.key("engine", config.crypto.engine, Choice<crypto::EngineChoice>{kEngineNames},
          "\"auto\" chooses per algorithm, batch and CPU.");
    v.list("withdrawn_integrity", config.crypto.withdrawn_integrity,
           Choice<crypto::Integrity>{kIntegrityNames},
           "New SA sets with these are refused (TS 33.203 7.1).");
    v.list("withdrawn_cipher", config.crypto.withdrawn_cipher, Choice<crypto::Cipher>{kCipherNames},
           "Likewise.");
  });
}

template <class Visitor>
void visit_screen(Visitor& v, Config& config) {
  auto& screen = config.screen;
  const Choice<ClearAction> refusal{kRefusalNames};
  v.table("screen", "SIP before it reaches the host (TS 33.203 7.1).", [&] {
    v.key("enabled", screen.enabled, Boolean{}, "false: nothing below is in force.");
    v.list("ports", screen.ports, WholeNumber{1, UINT16_MAX},
           "Clear SIP ports, UDP and TCP. TLS (5061) is no SIP that can be read here.");
    v.list("methods", screen.methods, Choice<Method>{kMethodNames},
           "Requests that may come in clear whatever they are about.");
    v.list("responses", screen.responses, WholeNumber{1, 6},
           "Classes of responses that may: 4 is 400 to 499. Error messages are 4, 5 and 6.");
    v.key("emergency", screen.emergency, Boolean{},
          "Requests that ask for urn:service:sos or one below it may come in clear.");
    v.key("emergency_dialogs", screen.emergency_dialogs, Boolean{},
          "So may what follows in such a call.");
    v.key("keep_alive", screen.keep_alive, Boolean{}, "Line ends alone pass (RFC 5626 3.5.1).");
    v.key("stun", screen.stun, Boolean{}, "STUN passes (RFC 5626 3.5.2).");
    v.key("not_allowed", screen.not_allowed, refusal,
          "What may not come in clear: \"discard\", or \"reject\" UDP requests with an answer.");
    v.key("not_allowed_status", screen.not_allowed_status, WholeNumber{400, 699}, "Of the answer.");
    v.key("malformed", screen.malformed, refusal,
          "Requests that readers may read differently; \"reject\" answers 400, or 505.");
    v.key(
        "cut_stream", screen.cut_stream, Choice<ClearAction>{kCutStreamNames},
        "TCP, when the first segment ends inside the head of its message: \"pass\" and count, or\n"
        "\"discard\", which also hits large REGISTERs.");
    v.key("shipped_rules", screen.shipped_rules, Choice<RuleAction>{kShippedRulesNames},
          "Rules against scanners and forged identities that come with gmespd: \"off\", \"count\" "
          "or\n"
          "\"drop\".");
    v.list("rules", screen.rules, Text{is_path, "an absolute path"},
           "Files with rules of your own (gmespctl screen test tries them).");
    v.key("scan_clear", screen.scan_clear, Boolean{}, "Rules look at clear SIP that may pass.");
    v.key("scan_protected", screen.scan_protected, Boolean{}, "Rules look at decrypted SIP.");
  });
}

template <class Visitor>
void visit_bounds(Visitor& v, Config& config) {
  v.table("fragments", "Joining of IP fragments, per worker.", [&] {
    auto& fragments = config.fragments;
    v.key("datagrams_max", fragments.datagrams_max, WholeNumber{16, 65'536},
          "Unfinished datagrams at a time.");
    v.key("datagram_bytes_max", fragments.datagram_bytes_max, WholeNumber{1280, 65'000},
          "Larger ones are dropped.");
    v.key("per_source_max", fragments.per_source_max, WholeNumber{1, 65'536},
          "Unfinished datagrams of one IPv4 address or IPv6 /64.");
    v.key("timeout_ms", fragments.timeout_ms, WholeNumber{100, 60'000},
          "How long a datagram may stay unfinished.");
  });
  v.table("limits", "Rates per worker.", [&] {
    auto& limits = config.limits;
    v.key("clear_packets_per_second", limits.clear_packets_per_second, WholeNumber{0, kRateMax},
          "Clear traffic from the network to the host. 0: no limit, here and below.");
    v.key("sip_per_second", limits.sip_per_second, WholeNumber{0, kRateMax},
          "Clear SIP on screen.ports, datagrams and segments.");
    v.key("sip_per_source_per_second", limits.sip_per_source_per_second, WholeNumber{0, 1'000'000},
          "Of one source: an IPv4 address, behind which a NAT may hide many UEs, or an IPv6 /64.");
    v.key("connections_per_second", limits.connections_per_second, WholeNumber{0, kRateMax},
          "New TCP connections to screen.ports.");
    v.key("connections_per_source_per_second", limits.connections_per_source_per_second,
          WholeNumber{0, 1'000'000}, "Of one source.");
    v.key("sip_replies_per_second", limits.sip_replies_per_second, WholeNumber{0, 1'000'000},
          "Answers to requests that the screen rejects. 0: none.");
    v.key("fragments_per_second", limits.fragments_per_second, WholeNumber{0, kRateMax},
          "Fragments from the network.");
    v.key("fragments_per_source_per_second", limits.fragments_per_source_per_second,
          WholeNumber{0, 1'000'000}, "Of one source.");
    v.key("esp_failures_per_source_per_second", limits.esp_failures_per_source_per_second,
          WholeNumber{0, 1'000'000},
          "ESP with an unknown SPI or a wrong ICV: a source with more is shed while a worker is\n"
          "overloaded, and only then, since a source address is easily forged.");
    v.key("overload_packets", limits.overload_packets, WholeNumber{0, 8192},
          "A worker is overloaded when it finds so many packets waiting in an access queue, and\n"
          "for 10 ms more. It then sheds most clear traffic, so that registered users keep their\n"
          "service. Half of the pair's queue_descriptors is a good value. 0: it sheds nothing.");
    v.key("icmp_errors_per_second", limits.icmp_errors_per_second, WholeNumber{0, kRateMax},
          "\"Too big\" messages that gmespd sends itself.");
    v.key("audit_events_per_second", limits.audit_events_per_second, WholeNumber{0, 1'000'000},
          "Per reason; those left out are counted.");
  });
  v.table("path_mtu", "What is learned from \"too big\" messages (RFC 4301 8.2).", [&] {
    v.key("age_s", config.path_mtu.age_s, WholeNumber{10, 86'400}, "Forgotten after this time.");
    v.key("minimum_ipv4_bytes", config.path_mtu.minimum_ipv4_bytes, WholeNumber{256, 1500},
          "Smaller values are not believed.");
    v.key("minimum_ipv6_bytes", config.path_mtu.minimum_ipv6_bytes, WholeNumber{1280, 1500},
          "Likewise.");
  });
  v.table("sequence", "Sequence numbers (RFC 2406 3.3.3).", [&] {
    v.key("warn_percent", config.sequence.warn_percent, WholeNumber{1, 99},
          "An event says that an SA has used this much of them.");
  });
  v.table("log", "", [&] {
    v.key("level", config.log.level, Choice<Config::LogLevel>{kLogLevelNames},
          "Of the log on stderr: \"trace\", \"debug\", \"info\", \"warning\" or \"error\".");
    v.key("format", config.log.format, Choice<Config::LogFormat>{kLogFormatNames},
          "Of log and audit lines: \"text\" or \"json\".");
    v.key("audit", config.log.audit,
          Text{is_audit_sink, "\"stderr\", \"syslog\", \"off\" or an absolute path"},
          "Where audit lines go: \"stderr\", \"syslog\", \"off\" or a file.");
  });
}

template <class Visitor>
void visit_settings(Visitor& visitor, Config& config) {
  visit_process(visitor, config);
  visit_machine(visitor, config);
  visit_security(visitor, config);
  visit_screen(visitor, config);
  visit_bounds(visitor, config);
}

}  // namespace gmesp::dataplane
