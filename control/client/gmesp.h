/*
 * gmesp.h: drives gmespd, the ESP data plane of a P-CSCF (3GPP TS 33.203), over shared memory.
 *
 * A connection (struct gmesp_dp) is opened at gmespd's Unix socket. Through it SA sets are
 * installed, changed, removed and read; the unit is the set, the four SAs of one authenticated
 * registration (TS 33.203 7.1), and every change is atomic and acknowledged: after success it is
 * in force on all packet cores, after failure nothing has changed.
 *
 * Two ways to call:
 *  - gmesp_dp_NAME(...) waits for gmespd's answer, at most `timeout_ms` milliseconds (0: not at
 *    all, negative: without limit).
 *  - gmesp_dp_submit_NAME(...) does not wait. It takes a tag of your choice, and the answer is
 *    fetched with gmesp_dp_poll_completion. Answers may come in another order than commands.
 *
 * Units: times are CLOCK_BOOTTIME in milliseconds (gmesp_now_ms), time-outs milliseconds, sizes
 * bytes. Ports and SPIs are in host byte order. An address is 16 bytes in network order, IPv4 as
 * ::ffff:a.b.c.d (gmesp_address_from_text).
 *
 * Ownership: the library copies what it is given and keeps no pointer. Keys are copied into shared
 * memory, which gmespd wipes when it takes the command; copies on the way are wiped here, and so is
 * what gmesp_dp_get_keys found in shared memory. The caller's struct is the caller's to wipe:
 * gmesp_sa_set_wipe.
 *
 * Threading: one thread at a time per connection; different connections are independent.
 *
 * Fork: a connection belongs to the process that opened it. A child that uses an inherited one
 * gets GMESP_E_FORKED and harms nobody; it may gmesp_dp_close it, and open its own. gmespd ends a
 * connection when the process that opened it ends.
 *
 * Errors: every int result is an enum gmesp_error, 0 for success. gmesp_strerror gives its text,
 * gmesp_dp_detail what was found and what is allowed. After GMESP_E_TIMEOUT, GMESP_E_HUNG and
 * GMESP_E_DISCONNECTED the outcome of a command is not known: look with gmesp_dp_next_set.
 * The library neither prints, nor aborts, nor raises signals.
 *
 * Growth: structs begin with their size (GMESP_INIT sets it); fields are only appended.
 */
#ifndef GMESP_H
#define GMESP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GMESP_API __attribute__((visibility("default")))

/* Zeroes `*object` and sets its size: call it on every struct of this header before use. */
#define GMESP_INIT(object) \
  (memset((object), 0, sizeof *(object)), (void)((object)->size = (uint32_t)sizeof *(object)))

#define GMESP_DEFAULT_SOCKET "/run/gmesp/gmespd.sock"
#define GMESP_ADDRESS_BYTES 16
#define GMESP_ADDRESS_TEXT_BYTES 46
#define GMESP_DETAIL_BYTES 256
#define GMESP_INTEGRITY_KEY_BYTES_MAX 32
#define GMESP_CIPHER_KEY_BYTES_MAX 36
#define GMESP_SAS_PER_SET 4
/* not_after_ms of a set that does not expire. */
#define GMESP_FOREVER UINT64_MAX

/* 1 to 99 are gmespd's answers, 100 and up are the library's own. Never renumbered. */
enum gmesp_error {
  GMESP_OK = 0,
  GMESP_E_BAD_VERSION = 1,
  GMESP_E_BAD_RECORD = 2,
  GMESP_E_BAD_MODE = 3,
  GMESP_E_INTEGRITY_MISSING = 4,
  GMESP_E_UNKNOWN_ALGORITHM = 5,
  GMESP_E_ALGORITHM_WITHDRAWN = 6,
  GMESP_E_INTEGRITY_KEY_SIZE = 7,
  GMESP_E_CIPHER_KEY_SIZE = 8,
  GMESP_E_WEAK_DES_KEY = 9,
  GMESP_E_SPI_RESERVED = 10,
  GMESP_E_SPI_REPEATED = 11,
  GMESP_E_SPI_IN_USE = 12,
  GMESP_E_PORT_ZERO = 13,
  GMESP_E_PORTS_EQUAL = 14,
  GMESP_E_PORT_NOT_PROTECTED = 15,
  GMESP_E_MIXED_FAMILIES = 16,
  GMESP_E_ADDRESS_UNUSABLE = 17,
  GMESP_E_SELECTOR_IN_USE = 18,
  GMESP_E_TABLE_FULL = 19,
  GMESP_E_NOT_FOUND = 20,
  GMESP_E_ALREADY_EXPIRED = 21,
  GMESP_E_NOT_WRITER = 22,
  GMESP_E_UNKNOWN_COMMAND = 23,
  GMESP_E_OUTER_ADDRESS_UNUSABLE = 24,
  GMESP_E_END = 25,
  GMESP_E_LIFETIME_SHRINKS = 26,
  GMESP_E_SHUTTING_DOWN = 27,
  GMESP_E_BAD_ARGUMENT = 28,
  GMESP_E_KEY_EXPORT_OFF = 29,   /* [sa] key_export of gmespd is false */
  GMESP_E_KEYS_NOT_ALLOWED = 30, /* this process is neither root's nor of gmespd's own user */
  GMESP_E_SCREEN_OFF = 31,       /* [screen] enabled of gmespd is false */
  GMESP_E_RULES_NOT_ALLOWED = 32, /* this process is neither root's nor of gmespd's own user */
  GMESP_E_RULES_BUSY = 33,        /* another load is under way */
  GMESP_E_RULES_REFUSED = 34,     /* see gmesp_dp_detail; the old rules stay */

  GMESP_E_NOT_CONNECTED = 100, /* nobody listens at the socket, or no permission; see errno */
  GMESP_E_REFUSED = 101,       /* gmespd does not take this client: user, writer, limit */
  GMESP_E_VERSION = 102,       /* gmespd speaks another version of the shared memory */
  GMESP_E_DISCONNECTED = 103,  /* gmespd or its connection ended */
  GMESP_E_TIMEOUT = 104,       /* no answer in time, though gmespd is alive */
  GMESP_E_HUNG = 105,          /* gmespd's heartbeat stopped */
  GMESP_E_FORKED = 106,        /* the connection belongs to another process */
  GMESP_E_AGAIN = 107,         /* submit: too many unanswered commands; poll: nothing there */
  GMESP_E_PROTOCOL = 108,      /* gmespd sent what makes no sense; close the connection */
  GMESP_E_NO_MEMORY = 109,
  GMESP_E_STRUCT_SIZE = 110    /* `size` of a struct was not set, or has fields not known here */
};

/* Text of an error, in English, never NULL. */
GMESP_API const char *gmesp_strerror(int error);

/* --- times and addresses ---------------------------------------------------------------------- */

/* CLOCK_BOOTTIME in milliseconds. */
GMESP_API uint64_t gmesp_now_ms(void);

/* The moment `lifetime_ms` from now, for not_after_ms. */
GMESP_API uint64_t gmesp_not_after_ms(uint64_t lifetime_ms);

/* "192.0.2.1" or "2001:db8::1" to 16 bytes. GMESP_E_ADDRESS_UNUSABLE if it is neither. */
GMESP_API int gmesp_address_from_text(const char *text, uint8_t address[GMESP_ADDRESS_BYTES]);
/* And back; IPv4-mapped addresses are written as IPv4. */
GMESP_API void gmesp_address_to_text(const uint8_t address[GMESP_ADDRESS_BYTES],
                                     char text[GMESP_ADDRESS_TEXT_BYTES]);

/* --- SA sets ---------------------------------------------------------------------------------- */

enum gmesp_mode {
  GMESP_MODE_TRANSPORT = 1,               /* no NAT (TS 33.203 7.1) */
  GMESP_MODE_UDP_ENCAPSULATED_TUNNEL = 2  /* UE behind NAT (TS 33.203 M.7.1) */
};

enum gmesp_integrity {
  GMESP_INTEGRITY_HMAC_MD5_96 = 1,  /* RFC 2403, key of 16 bytes */
  GMESP_INTEGRITY_HMAC_SHA1_96 = 2  /* RFC 2404, key of 20 bytes */
};

enum gmesp_cipher {
  GMESP_CIPHER_NULL = 1,        /* RFC 2410, no key */
  GMESP_CIPHER_AES_CBC = 2,     /* RFC 3602, key of 16 bytes */
  GMESP_CIPHER_DES_EDE3_CBC = 3 /* RFC 2451, key of 24 bytes */
};

/* The four SAs of one authenticated registration, named as in TS 33.203 7.1: `uc` and `us` are the
 * UE's client and server side, `pc` and `ps` the P-CSCF's. An SPI is chosen by the side that
 * receives with it. Keys are ESP keys, that is after the expansion of TS 33.203 Annex I. */
struct gmesp_sa_set {
  uint32_t size;
  uint8_t mode;      /* enum gmesp_mode */
  uint8_t integrity; /* enum gmesp_integrity */
  uint8_t cipher;    /* enum gmesp_cipher */
  uint8_t integrity_key_bytes;
  uint8_t cipher_key_bytes;
  uint8_t reserved[7]; /* zero */
  uint16_t port_uc, port_us, port_pc, port_ps;
  uint32_t spi_uc, spi_us, spi_pc, spi_ps;
  /* Selectors: the addresses of the packet; in tunnel mode those of the inner header. */
  uint8_t ue_address[GMESP_ADDRESS_BYTES];
  uint8_t local_address[GMESP_ADDRESS_BYTES];
  /* Tunnel mode: the outer header. Transport mode: equal to the two above, or zero. */
  uint8_t outer_ue_address[GMESP_ADDRESS_BYTES];
  uint8_t outer_local_address[GMESP_ADDRESS_BYTES];
  /* Tunnel mode: the UE's UDP port seen from here (port_Uenc), 0 to learn it. Else 0. */
  uint16_t outer_ue_port;
  uint16_t reserved2[3]; /* zero */
  uint64_t not_after_ms; /* gmesp_not_after_ms(lifetime), or GMESP_FOREVER */
  uint64_t cookie;       /* yours; comes back in every view and event */
  uint8_t integrity_key[GMESP_INTEGRITY_KEY_BYTES_MAX];
  uint8_t cipher_key[GMESP_CIPHER_KEY_BYTES_MAX];
  uint8_t reserved3[4]; /* zero */
};

/* Wipes both keys. */
GMESP_API void gmesp_sa_set_wipe(struct gmesp_sa_set *set);

/* The four SAs of a set, in the order of gmesp_set_view.sa. */
enum gmesp_sa_role {
  GMESP_SA_IN_UC_PS = 0,  /* SA-a: port_uc to port_ps, spi_ps */
  GMESP_SA_OUT_PS_UC = 1, /* SA-b: port_ps to port_uc, spi_uc */
  GMESP_SA_IN_US_PC = 2,  /* SA-c: port_us to port_pc, spi_pc */
  GMESP_SA_OUT_PC_US = 3  /* SA-d: port_pc to port_us, spi_us */
};

struct gmesp_sa_counters {
  uint64_t packets; /* authenticated in, or protected out */
  uint64_t bytes;   /* of inner IP packets */
  uint32_t sequence;
  uint32_t icv_failures;
  uint32_t replays;
  uint32_t other_drops;
};

/* A live set: everything but keys. */
struct gmesp_set_view {
  uint32_t size;
  uint16_t path_mtu_bytes; /* learned, 0: none */
  uint16_t reserved;
  uint64_t set_id; /* its low 32 bits are its index in the table; never reused by this gmespd */
  uint64_t installed_ms;
  uint64_t last_inbound_ms; /* last authenticated packet, 0: none yet */
  struct gmesp_sa_set set;  /* without keys; outer_ue_port as learned */
  struct gmesp_sa_counters sa[GMESP_SAS_PER_SET]; /* by enum gmesp_sa_role */
};

/* --- connection ------------------------------------------------------------------------------- */

struct gmesp_dp;

enum gmesp_role {
  GMESP_READER = 1, /* queries and events */
  GMESP_WRITER = 2  /* may change SA sets; gmespd has one at a time */
};

struct gmesp_dp_options {
  uint32_t size;
  uint32_t role;           /* enum gmesp_role */
  uint32_t wants_events;   /* 1: gmesp_dp_poll_event gives events */
  int32_t timeout_ms;      /* for the handshake; 0: 5000 */
  const char *socket_path; /* NULL: GMESP_DEFAULT_SOCKET */
};

/* Connects. On success `*dp` is yours to close. On failure it is NULL, and `detail` (may be NULL)
 * gets a text of at most `detail_bytes` with its final zero. */
GMESP_API int gmesp_dp_open(const struct gmesp_dp_options *options, struct gmesp_dp **dp,
                            char *detail, size_t detail_bytes);
/* Ends the connection; NULL is allowed. Commands without an answer may or may not take effect. */
GMESP_API void gmesp_dp_close(struct gmesp_dp *dp);

/* What was found and what is allowed, for the last failed call; empty if there is no more to say.
 * Valid until the next call with this connection. */
GMESP_API const char *gmesp_dp_detail(const struct gmesp_dp *dp);

/* Readable (POLLIN) when there may be a completion or an event, and at hang-up. Only wait on it
 * after gmesp_dp_poll_completion and then (if events are wanted) gmesp_dp_poll_event have returned
 * GMESP_E_AGAIN, in this order; that arms it. Never read from it. */
GMESP_API int gmesp_dp_fd(const struct gmesp_dp *dp);

/* --- commands that wait ----------------------------------------------------------------------- */

GMESP_API int gmesp_dp_install(struct gmesp_dp *dp, const struct gmesp_sa_set *set,
                               uint64_t *set_id, int timeout_ms);
/* After success nothing is accepted or sent on the set any more. */
GMESP_API int gmesp_dp_remove(struct gmesp_dp *dp, uint64_t set_id, int timeout_ms);
/* A lifetime may only grow (TS 33.203 7.4.2a). */
GMESP_API int gmesp_dp_set_not_after(struct gmesp_dp *dp, uint64_t set_id, uint64_t not_after_ms,
                                     int timeout_ms);
/* Tunnel mode: port_Uenc known from elsewhere, 1 to 65535. */
GMESP_API int gmesp_dp_set_peer_port(struct gmesp_dp *dp, uint64_t set_id, uint16_t port,
                                     int timeout_ms);
/* `removed_sets` may be NULL. */
GMESP_API int gmesp_dp_remove_all(struct gmesp_dp *dp, uint64_t *removed_sets, int timeout_ms);
/* Algorithms no new set may use from now on. `integrity` and `cipher`: one or both, 0 for none.
 * Live sets stay, or with `remove_live` != 0 go now. */
GMESP_API int gmesp_dp_withdraw(struct gmesp_dp *dp, int integrity, int cipher, int remove_live,
                                int timeout_ms);
GMESP_API int gmesp_dp_restore(struct gmesp_dp *dp, int integrity, int cipher, int timeout_ms);

/* --- queries that wait ------------------------------------------------------------------------ */

GMESP_API int gmesp_dp_get_set(struct gmesp_dp *dp, uint64_t set_id, struct gmesp_set_view *view,
                               int timeout_ms);
/* First live set at or after table index `*index`, which is moved behind it: start with 0 and call
 * until GMESP_E_END. */
GMESP_API int gmesp_dp_next_set(struct gmesp_dp *dp, uint64_t *index, struct gmesp_set_view *view,
                                int timeout_ms);

/* A live set with its keys, for decrypting captures: as gmesp_dp_install takes it, with
 * outer_ue_port as learned. gmespd must run with `[sa] key_export = true`, and gives keys to
 * processes of root and of its own user alone (the user at gmesp_dp_open); it logs every such call,
 * granted or refused. Nothing of the keys is left in the library or in shared memory; `*set` is
 * yours to wipe, with gmesp_sa_set_wipe, and after an error it holds no key. */
GMESP_API int gmesp_dp_get_keys(struct gmesp_dp *dp, uint64_t set_id, struct gmesp_sa_set *set,
                                int timeout_ms);

/* Rows are counted from 0 on; GMESP_E_END behind the last one. Texts end with a zero. */
struct gmesp_reason {
  uint32_t size;
  uint32_t reserved;
  uint64_t packets;
  char name[40];
  char clause[48]; /* of the specification */
  char text[160];
};
GMESP_API int gmesp_dp_get_reason(struct gmesp_dp *dp, uint64_t row, struct gmesp_reason *reason,
                                  int timeout_ms);

struct gmesp_statistic {
  uint32_t size;
  uint32_t reserved;
  uint64_t value;
  char name[56];
  char unit[24];
  char text[160];
};
GMESP_API int gmesp_dp_get_statistic(struct gmesp_dp *dp, uint64_t row,
                                     struct gmesp_statistic *statistic, int timeout_ms);

struct gmesp_port {
  uint32_t size;
  uint8_t link_up;
  uint8_t role; /* 0 access, 1 host */
  uint16_t mtu_bytes;
  char name[32];
  char device[64];
  char driver[32];
  uint16_t queues;
  uint16_t reserved;
  uint32_t speed_mbps; /* 0: the driver does not say */
  uint64_t rx_packets, rx_bytes, rx_missed, rx_errors;
  uint64_t tx_packets, tx_bytes, tx_errors, tx_full;
};
GMESP_API int gmesp_dp_get_port(struct gmesp_dp *dp, uint64_t row, struct gmesp_port *port,
                                int timeout_ms);

struct gmesp_info {
  uint32_t size;
  uint32_t process_id;
  uint32_t workers;
  uint32_t window_packets; /* anti-replay window */
  uint64_t started_ms;
  uint64_t capacity_sets;
  uint64_t live_sets;
  /* Grows with every start of gmespd: read the live sets again. Restored sets keep their ids; other
   * ids of another epoch are dead. */
  uint64_t epoch;
  char version[32];
  char engine[160];
  uint32_t restored_sets; /* at the start, after the death of a former gmespd */
  uint32_t lost_sets;     /* left by it and not restored; gmespd's log says why */
};
GMESP_API int gmesp_dp_get_info(struct gmesp_dp *dp, struct gmesp_info *info, int timeout_ms);

/* --- rules of the SIP screen ------------------------------------------------------------------ */

#define GMESP_RULE_PATH_BYTES 200 /* of one path, with its final zero */
#define GMESP_RULE_FILES_MAX 16

/* Puts other rules in force: those of `count` files, absolute paths that gmespd reads itself,
 * beside the shipped rules as configured; with `paths` NULL, the files of gmespd's configuration,
 * read again. After GMESP_OK every packet core uses them; counts go on by name. After an error the
 * old rules are in force. Compiling may take seconds: allow for it in `timeout_ms`. A reader may
 * call it, if its process is root's or of gmespd's own user. */
GMESP_API int gmesp_dp_load_rules(struct gmesp_dp *dp, const char *const *paths, size_t count,
                                  int timeout_ms);

struct gmesp_rule {
  uint32_t size;
  uint32_t reserved;
  uint64_t matched; /* messages */
  uint64_t dropped; /* of these, those that this rule alone would have dropped */
  char name[40];
  char action[16];
  char where[16];
  char sides[16]; /* "clear", "protected" or "both" */
  char header[64];
  char comment[192];
};
GMESP_API int gmesp_dp_get_rule(struct gmesp_dp *dp, uint64_t row, struct gmesp_rule *rule,
                                int timeout_ms);

/* --- commands that do not wait ---------------------------------------------------------------- */

/* GMESP_E_AGAIN: fetch completions first. gmesp_dp_depth commands always find room. */
GMESP_API int gmesp_dp_submit_install(struct gmesp_dp *dp, const struct gmesp_sa_set *set,
                                      uint64_t tag);
GMESP_API int gmesp_dp_submit_remove(struct gmesp_dp *dp, uint64_t set_id, uint64_t tag);
GMESP_API int gmesp_dp_submit_set_not_after(struct gmesp_dp *dp, uint64_t set_id,
                                            uint64_t not_after_ms, uint64_t tag);
GMESP_API int gmesp_dp_submit_set_peer_port(struct gmesp_dp *dp, uint64_t set_id, uint16_t port,
                                            uint64_t tag);
GMESP_API int gmesp_dp_submit_get_set(struct gmesp_dp *dp, uint64_t set_id, uint64_t tag);
GMESP_API int gmesp_dp_submit_next_set(struct gmesp_dp *dp, uint64_t index, uint64_t tag);

/* Nonzero: gmespd is not woken for each submitted command from here on; zero: it is, and now once
 * for all that wait. For many commands at a time; a call that waits, and polling that finds no
 * completion, wake gmespd in any case, so nothing is held for ever. */
GMESP_API void gmesp_dp_hold(struct gmesp_dp *dp, int is_held);

/* How many submitted commands may be without a fetched completion. */
GMESP_API uint32_t gmesp_dp_depth(const struct gmesp_dp *dp);

struct gmesp_completion {
  uint32_t size;
  int32_t error; /* enum gmesp_error, gmespd's answer */
  uint64_t tag;
  uint64_t set_id;     /* install: the new set; next_set: the set found */
  uint64_t next_index; /* next_set: the table index to go on from */
  struct gmesp_set_view view;      /* get_set, next_set */
  char detail[GMESP_DETAIL_BYTES]; /* failures */
};
/* Fetches one completion. GMESP_OK, GMESP_E_AGAIN if there is none yet, or what is wrong with the
 * connection (then no further completion comes). */
GMESP_API int gmesp_dp_poll_completion(struct gmesp_dp *dp, struct gmesp_completion *completion);

/* --- events ----------------------------------------------------------------------------------- */

enum gmesp_event_kind {
  GMESP_EVENT_PEER_PORT_LEARNED = 1, /* value: port_Uenc (TS 33.203 M.7.2) */
  GMESP_EVENT_PEER_PORT_CHANGED = 2, /* value: the port seen */
  GMESP_EVENT_FIRST_INBOUND = 3,     /* first authenticated packet on SA `role` of the set */
  GMESP_EVENT_SEQUENCE_NEAR_END = 4, /* value: sequence number */
  GMESP_EVENT_SEQUENCE_END = 5,
  GMESP_EVENT_SET_EXPIRED = 6,
  GMESP_EVENT_SET_REMOVED = 7,
  GMESP_EVENT_AUDIT = 8, /* a dropped packet: reason, addresses, SPI */
  GMESP_EVENT_PATH_MTU_LEARNED = 9, /* value: bytes */
  GMESP_EVENT_PORT_DOWN = 10,       /* value: row of gmesp_dp_get_port */
  GMESP_EVENT_PORT_UP = 11,
  GMESP_EVENT_KEYS_EXPORTED = 12, /* value: the process that got the keys of the set */
  GMESP_EVENT_SIP_RULE = 13 /* value: row of gmesp_dp_get_rule, a rule with action "event" */
};

struct gmesp_event {
  uint32_t size;
  uint32_t kind; /* enum gmesp_event_kind */
  uint64_t time_ms;
  uint64_t set_id; /* 0: none */
  uint64_t cookie;
  uint64_t value;
  uint32_t spi;
  uint32_t sequence;
  uint8_t source[GMESP_ADDRESS_BYTES];
  uint8_t destination[GMESP_ADDRESS_BYTES];
  uint16_t source_port;
  uint16_t destination_port;
  uint16_t reason;     /* audit: row of gmesp_dp_get_reason */
  uint8_t role;        /* enum gmesp_sa_role where it applies */
  uint8_t protocol;    /* audit: IP protocol seen */
  uint32_t suppressed; /* audit: events of this reason left out since the last one */
  uint32_t reserved;
};
/* Fetches one event; results as gmesp_dp_poll_completion. */
GMESP_API int gmesp_dp_poll_event(struct gmesp_dp *dp, struct gmesp_event *event);
/* Events gmespd had to leave out because this process did not fetch them in time. */
GMESP_API uint64_t gmesp_dp_events_lost(const struct gmesp_dp *dp);

#ifdef __cplusplus
}
#endif

#endif /* GMESP_H */
