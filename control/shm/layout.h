// The shared-memory contract between gmespd and the processes that drive it: what stands in the
// memfd, byte by byte.
//
// One memfd per connection, made and sealed by gmespd, handed over with SCM_RIGHTS after the hello
// on the Unix socket. It holds a header and three single-producer single-consumer rings of fixed
// slots: commands (client to gmespd), completions (gmespd to client; every command is answered
// once), events (gmespd to client, dropped and counted when the client does not read).
//
// Trust: gmespd copies a slot out once, wipes keys in the slot, and validates only its own copy;
// indices read from the memory are masked and range-checked. A client wipes the slot of an answer,
// which may carry keys too (kGetKeys). Units stand in names; integers are in host byte order (one
// machine); addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Versioning: a struct
// that may grow carries `size` and `version`; a version that is not known is refused with both
// numbers named. Only append fields; never renumber an enum.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gmesp::shm {

inline constexpr uint32_t kMagic = 0x47'4d'53'50;  // "GMSP"
inline constexpr uint16_t kAbiVersion = 1;
inline constexpr uint32_t kRecordVersion = 1;

enum class Mode : uint8_t {
  kTransport = 1,              ///< no NAT (TS 33.203 7.1)
  kUdpEncapsulatedTunnel = 2,  ///< behind NAT (TS 33.203 M.7.1)
};

/// The four SAs of one authenticated registration, as TS 33.203 7.1 names their parameters.
/// `uc`/`us` are the UE's client and server side, `pc`/`ps` the P-CSCF's. An SPI is chosen by the
/// side that receives with it.
struct SaSetRecord {
  uint16_t size;      ///< sizeof(SaSetRecord) of the writer
  uint16_t version;   ///< kRecordVersion
  uint8_t mode;       ///< Mode
  uint8_t integrity;  ///< crypto::Integrity
  uint8_t cipher;     ///< crypto::Cipher
  uint8_t integrity_key_bytes;
  uint8_t cipher_key_bytes;
  uint8_t reserved0[3];  ///< zero

  uint16_t port_uc, port_us, port_pc, port_ps;
  uint32_t spi_uc, spi_us, spi_pc, spi_ps;

  /// What the selectors compare: in transport mode the addresses of the packet, in tunnel mode of
  /// the inner header.
  uint8_t ue_address[16];
  uint8_t local_address[16];
  /// Tunnel mode: the outer header. Equal to the two above where TS 33.203 Annex M is followed to
  /// the letter; in transport mode they must be equal or zero.
  uint8_t outer_ue_address[16];
  uint8_t outer_local_address[16];
  /// Tunnel mode: port_Uenc if known already (a re-push after a restart), else 0: learned from the
  /// first authenticated packet (M.7.2). Zero in transport mode.
  uint16_t outer_ue_port;
  uint16_t reserved1[3];  ///< zero

  /// "Not after": CLOCK_BOOTTIME in milliseconds; gmespd stops the set then, with or without
  /// control (R-7.1-09). UINT64_MAX: 2^32-1 seconds and more are not told apart from for ever.
  uint64_t not_after_ms;
  /// Free for the owner (gmesp-control puts its registration here); gmespd returns it in every view
  /// and event.
  uint64_t cookie;

  uint8_t integrity_key[32];  ///< room for AES-GMAC later (R-B-01)
  uint8_t cipher_key[36];     ///< room for an AES-256-GCM key and salt later
  uint8_t reserved2[4];       ///< zero
};
static_assert(sizeof(SaSetRecord) == 200);

/// The four SAs of a set (requirements: SA-a .. SA-d), in the order of their counters.
enum class SaRole : uint8_t {
  kInUcPs = 0,   ///< SA-a: port_uc to port_ps, spi_ps
  kOutPsUc = 1,  ///< SA-b: port_ps to port_uc, spi_uc
  kInUsPc = 2,   ///< SA-c: port_us to port_pc, spi_pc
  kOutPcUs = 3,  ///< SA-d: port_pc to port_us, spi_us
};
inline constexpr uint32_t kSasPerSet = 4;

/// Why a command failed. 0 is success. Texts: status_text().
enum class Status : uint32_t {
  kOk = 0,
  kBadVersion = 1,
  kBadRecord = 2,  ///< reserved bytes not zero, sizes off
  kBadMode = 3,
  kIntegrityMissing = 4,  ///< integrity is never optional (R-7.1-03)
  kUnknownAlgorithm = 5,
  kAlgorithmWithdrawn = 6,  ///< R-7.1-04
  kIntegrityKeySize = 7,
  kCipherKeySize = 8,
  kWeakDesKey = 9,    ///< R-I-03
  kSpiReserved = 10,  ///< 0..255 (RFC 2406 2.1)
  kSpiRepeated = 11,  ///< inside one set, on the same side
  kSpiInUse = 12,     ///< an inbound (SPI, destination) of another set
  kPortZero = 13,
  kPortsEqual = 14,        ///< client and server port of one side
  kPortNotProtected = 15,  ///< port_pc or port_ps outside the configured protected ports
  kMixedFamilies = 16,     ///< R-D-S3
  kAddressUnusable = 17,   ///< unspecified, multicast, loopback, broadcast
  kSelectorInUse =
      18,  ///< (UE address, UE port, local address, local port) of another set (R-7.1-25)
  kTableFull = 19,
  kNotFound = 20,  ///< no live set of that id
  kAlreadyExpired = 21,
  kNotWriter = 22,  ///< this connection may only read
  kUnknownCommand = 23,
  kOuterAddressUnusable = 24,
  kEnd = 25,              ///< a query walked past the last row
  kLifetimeShrinks = 26,  ///< not_after may only grow (R-7.4.2a-08)
  kShuttingDown = 27,
  kBadArgument = 28,
  kKeyExportOff = 29,     ///< [sa] key_export is false: raw keys are not kept
  kKeysNotAllowed = 30,   ///< keys are for root and gmespd's own user
  kScreenOff = 31,        ///< [screen] enabled is false
  kRulesNotAllowed = 32,  ///< rules are for root and gmespd's own user
  kRulesBusy = 33,        ///< another load is under way
  kRulesRefused = 34      ///< what is wrong with the files; the old rules stay
};
const char* status_text(Status status);

enum class CommandKind : uint32_t {
  kInstallSet = 1,
  kRemoveSet = 2,
  kSetNotAfter = 3,
  kRemoveAll = 4,
  kWithdrawAlgorithm =
      5,  ///< argument: integrity number, cipher number (0: none), remove live sets (0/1)
  kRestoreAlgorithm = 6,
  kSetPeerPort = 7,    ///< port_Uenc known to control (re-push, R-M-08)
  kGetSet = 16,        ///< by id
  kNextSet = 17,       ///< first live set at or after a table index; walks the table
  kGetReason = 18,     ///< row n of the drop reasons
  kGetStatistic = 19,  ///< row n of the totals
  kGetPort = 20,       ///< row n of the ports
  kGetInfo = 21,
  kGetKeys = 22,  ///< by id; for root and gmespd's own user alone
  /// For root and gmespd's own user alone; not only the writer, which gmesp-control is all the
  /// time.
  kAddRuleFile = 23,  ///< `text`: the absolute path of a rule file, for this connection's next load
  kLoadRules = 24,    ///< value: RuleLoad; answered when in force, or refused and nothing changed
  kGetRule = 25,      ///< row n of the screen's rules
};

/// Which files kLoadRules takes.
enum class RuleLoad : uint32_t {
  kAdded = 0,       ///< those of kAddRuleFile, and the shipped rules as configured
  kConfigured = 1,  ///< those of gmespd's configuration, read again
};

struct Command {
  uint32_t kind;  ///< CommandKind
  uint32_t size;  ///< bytes used in `body`
  uint64_t tag;   ///< the client's; comes back in the completion
  union Body {
    SaSetRecord record;
    struct {
      uint64_t set_id;
      uint64_t value;  ///< not_after_ms, peer port, row or table index
      uint32_t integrity;
      uint32_t cipher;
      uint32_t remove_live;
      uint32_t reserved;
    } argument;
    char text[200];  ///< ends with a zero
  } body;
};
static_assert(sizeof(Command) == 216);

/// What an SA has done since it was installed.
struct SaCounters {
  uint64_t packets;   ///< authenticated in, or protected out
  uint64_t bytes;     ///< of inner IP packets
  uint32_t sequence;  ///< highest accepted in, last used out
  uint32_t icv_failures;
  uint32_t replays;
  uint32_t other_drops;  ///< selectors, padding, lengths, next header, ...
};
static_assert(sizeof(SaCounters) == 32);

/// A live set as others may see it: everything but keys.
struct SetView {
  uint64_t set_id;           ///< (generation << 32) | table index; never reused
  uint64_t installed_ms;     ///< CLOCK_BOOTTIME
  uint64_t last_inbound_ms;  ///< last authenticated packet, 0: none yet
  SaSetRecord record;        ///< keys and their sizes zeroed; outer_ue_port as learned
  uint16_t path_mtu;         ///< learned, 0: none
  uint16_t reserved[3];
  SaCounters sa[kSasPerSet];  ///< by SaRole
};

struct ReasonRow {
  uint64_t packets;
  char name[40];    ///< "clear_to_protected_port"
  char clause[48];  ///< "TS 33.203 7.1"
  char text[160];   ///< the audit text
};

struct StatisticRow {
  uint64_t value;
  char name[56];
  char unit[24];
  char text[160];
};

struct PortRow {
  char name[32];    ///< access0
  char device[64];  ///< 0000:3b:00.0, net_tap0
  char driver[32];
  uint8_t link_up;
  uint8_t role;  ///< 0 access, 1 host
  uint16_t mtu;
  uint16_t queues;
  uint16_t reserved;
  uint32_t speed_mbps;  ///< 0: not told by the driver
  uint64_t rx_packets, rx_bytes, rx_missed, rx_errors;
  uint64_t tx_packets, tx_bytes, tx_errors, tx_full;
};

/// A rule of the screen and what it has met since gmespd's start.
struct RuleRow {
  uint64_t matched;  ///< messages
  uint64_t dropped;  ///< of these, those it alone would have dropped
  char name[40];
  char action[16];  ///< "drop"
  char where[16];   ///< "header"
  char sides[16];   ///< "clear", "protected", "both"
  char header[64];  ///< where is "header": its name
  char comment[192];
};

struct InfoRow {
  char version[32];
  uint32_t process_id;
  uint32_t workers;
  uint64_t started_ms;  ///< CLOCK_BOOTTIME
  uint64_t capacity_sets;
  uint64_t live_sets;
  uint64_t epoch;  ///< grows with every start of gmespd: read the live sets again; restored ones
                   ///< keep their ids, other ids of another epoch are dead
  uint32_t window_packets;
  uint32_t reserved;
  char engine[160];
  uint32_t restored_sets;  ///< after the death of a former gmespd, at the start
  uint32_t lost_sets;      ///< left by it and not restored
};

struct Completion {
  uint64_t tag;
  uint32_t status;  ///< Status
  uint32_t kind;    ///< of the command
  uint64_t set_id;  ///< install: the new set; kNextSet: the set found
  uint64_t value;   ///< kRemoveAll: sets removed; kNextSet: the index to go on from
  union Body {
    SetView set;
    ReasonRow reason;
    StatisticRow statistic;
    PortRow port;
    InfoRow info;
    RuleRow rule;
    SaSetRecord keys;  ///< kGetKeys: the set as it could be installed again
    char detail[256];  ///< failures: what was found and what is allowed, zero-terminated
  } body;
};
static_assert(sizeof(Completion) <= 448);

enum class EventKind : uint32_t {
  kPeerPortLearned = 1,  ///< value: port_Uenc (M.7.2)
  kPeerPortChanged = 2,  ///< value: the port seen; kept or followed by configuration (R-M-09)
  kFirstInbound = 3,     ///< first authenticated packet on an SA of a set; role says which
  kSequenceNearEnd = 4,  ///< value: sequence number (R-2406-06)
  kSequenceEnd = 5,
  kSetExpired = 6,  ///< not_after reached, the set is gone
  kSetRemoved = 7,
  kAudit = 8,           ///< reason, addresses, SPI (R-2406-15)
  kPathMtuLearned = 9,  ///< value: bytes
  kPortDown = 10,       ///< value: port row
  kPortUp = 11,
  kKeysExported = 12,  ///< value: the process that got the keys of the set
  kSipRule = 13,       ///< value: row of the screen's rules, one with action "event", that matched
};

struct Event {
  uint32_t kind;     ///< EventKind
  uint8_t role;      ///< SaRole where it applies
  uint8_t protocol;  ///< audit: IP protocol seen
  uint16_t reason;   ///< audit: row of the drop reasons
  uint64_t time_ms;  ///< CLOCK_BOOTTIME
  uint64_t set_id;   ///< 0: none
  uint64_t cookie;
  uint64_t value;
  uint32_t spi;
  uint32_t sequence;
  uint8_t source[16];
  uint8_t destination[16];
  uint16_t source_port;
  uint16_t destination_port;
  uint32_t suppressed;  ///< audit: events of this reason left out since the last one (rate limit)
};
static_assert(sizeof(Event) == 88);

}  // namespace gmesp::shm
