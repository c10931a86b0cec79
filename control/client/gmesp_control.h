/*
 * gmesp_control.h: what a SIP proxy tells gmesp-control, and what it is told.
 *
 * gmesp-control is the process that holds the security associations of a P-CSCF and their life
 * cycle (3GPP TS 33.203 7.2 to 7.5). A proxy reports what it sees in SIP: a REGISTER, the answer
 * to it, any other message from a UE. It gets a verdict: let it go on, reject it, drop it; where to
 * send what goes to the UE; which header values to add. It needs to know nothing of IPsec. The
 * names SM1 ... SM12 are those of TS 33.203 6.1.1.
 *
 * One registration, as the proxy sees it:
 *   REGISTER from the UE    gmesp_register()         forward, with the integrity-protection
 *                                                    indicator that the verdict gives
 *   401 from the S-CSCF     gmesp_challenge()        take ik and ck out of WWW-Authenticate, add
 *                                                    the verdict's Security-Server, send as it says
 *   REGISTER, with response gmesp_register()         as above
 *   200 from the S-CSCF     gmesp_register_answer()  send as the verdict says
 *   anything else           gmesp_message() for what comes from the UE, gmesp_route() for what goes
 *                           to it
 *
 * Two ways to call: gmesp_NAME(...) waits at most `timeout_ms` milliseconds (negative: 2,000);
 * gmesp_submit_NAME(...) does not wait, and gmesp_poll_verdict gives the verdict with your tag.
 *
 * Units: times are milliseconds, ports in host byte order, addresses 16 bytes in network order with
 * IPv4 as ::ffff:a.b.c.d (gmesp_address_from_text in gmesp.h). Texts end with a zero; NULL is the
 * same as "".
 *
 * Ownership: the library copies what it is given. Keys are wiped on the way; the caller's own copy
 * is the caller's to wipe.
 * Threading: one thread at a time per connection.
 * Fork: as with gmesp_dp: a child opens its own connection (GMESP_E_FORKED).
 * Errors: int results are enum gmesp_error of gmesp.h, with gmesp-control in place of gmespd;
 * gmesp_control_detail says more. An error means that there is no verdict; a proxy answers the UE
 * with 503, or drops what came on a protected port. After GMESP_E_TIMEOUT and
 * GMESP_E_DISCONNECTED what was reported may have taken effect: report it again, with the same
 * `transaction`.
 * Growth: structs begin with their size (GMESP_INIT sets it); fields are only appended.
 */
#ifndef GMESP_CONTROL_H
#define GMESP_CONTROL_H

#include "gmesp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GMESP_CONTROL_DEFAULT_SOCKET "/run/gmesp/control.sock"
#define GMESP_IDENTITY_BYTES 256
#define GMESP_IDENTITIES_MAX 32
#define GMESP_HEADER_LINES_MAX 16
#define GMESP_SECURITY_SERVER_BYTES 2048
#define GMESP_KEY_BYTES 16

/* --- connection ------------------------------------------------------------------------------- */

struct gmesp_control;

struct gmesp_control_options {
  uint32_t size;
  uint32_t wants_events;   /* 1: gmesp_control_poll_event gives events */
  int32_t timeout_ms;      /* for the hello; 0: 2000 */
  uint32_t reserved;       /* zero */
  const char *socket_path; /* NULL: GMESP_CONTROL_DEFAULT_SOCKET */
};

GMESP_API int gmesp_control_open(const struct gmesp_control_options *options,
                                 struct gmesp_control **control, char *detail, size_t detail_bytes);
GMESP_API void gmesp_control_close(struct gmesp_control *control);
GMESP_API const char *gmesp_control_detail(const struct gmesp_control *control);
/* Readable (POLLIN) when there may be a verdict or an event, and at hang-up. Only wait on it after
 * gmesp_poll_verdict and (if events are wanted) gmesp_control_poll_event have both returned
 * GMESP_E_AGAIN: other calls keep what comes while they wait. Never read from it. */
GMESP_API int gmesp_control_fd(const struct gmesp_control *control);

/* --- what the proxy reports ------------------------------------------------------------------- */

/* How a message came in; after decryption, so behind NAT these are the inner addresses. */
struct gmesp_arrival {
  uint8_t source[GMESP_ADDRESS_BYTES];
  uint8_t local[GMESP_ADDRESS_BYTES];
  uint16_t source_port;
  uint16_t local_port;
  uint8_t is_tcp;
  uint8_t reserved[3]; /* zero */
};

/* What the Authorization header of a REGISTER holds. */
enum gmesp_authentication_answer {
  GMESP_ANSWER_NONE = 0,                    /* SM1 */
  GMESP_ANSWER_RESPONSE = 1,                /* SM7 */
  GMESP_ANSWER_SYNCHRONISATION_FAILURE = 2, /* auts (TS 33.203 6.1.3) */
  GMESP_ANSWER_NETWORK_FAILURE = 3          /* empty response (6.1.2.2) */
};

struct gmesp_register_request {
  uint32_t size;
  uint32_t answer; /* enum gmesp_authentication_answer */
  struct gmesp_arrival arrival;
  uint8_t via[GMESP_ADDRESS_BYTES]; /* of the topmost Via, names resolved; zero: not known */
  const char *impi;             /* user name of Authorization; may be empty on an SA */
  const char *impu;             /* of To */
  const char *registration_key; /* tells registrations of one IMPI apart, if configured */
  const char *transaction;      /* Call-ID and CSeq; the same in a repetition */
  const char *const *security_client; /* header values, one per line of the message */
  const char *const *security_verify;
  uint32_t security_client_lines; /* at most GMESP_HEADER_LINES_MAX */
  uint32_t security_verify_lines;
};

/* SM4: a 401 with the keys that must not reach the UE. */
struct gmesp_challenge {
  uint32_t size;
  uint8_t ik_bytes; /* 16, or 0: the 401 brought none (refused) */
  uint8_t ck_bytes; /* 16, or 0 */
  uint8_t reserved[2];
  const char *impi;
  const char *registration_key;
  const char *transaction; /* that of SM1 */
  uint8_t ik[GMESP_KEY_BYTES];
  uint8_t ck[GMESP_KEY_BYTES];
};

/* Any final answer to a REGISTER but a challenge. */
struct gmesp_register_answer {
  uint32_t size;
  uint32_t status; /* 200 ... 699 */
  const char *impi;
  const char *registration_key;
  const char *transaction;
  const char *const *impus; /* all that are registered now; none: de-registered */
  uint32_t impu_count;      /* at most GMESP_IDENTITIES_MAX */
  uint32_t reserved;
  uint64_t expires_ms; /* the longest registration that the answer grants */
};

/* Any other message from a UE. */
struct gmesp_message {
  uint32_t size;
  uint8_t is_request;
  uint8_t is_emergency;
  uint16_t status; /* responses */
  struct gmesp_arrival arrival;
  const char *method; /* requests */
};

/* Whom to send to: by `impi`, or if that is empty by the address and protected server port of the
 * UE (as in its Contact). */
struct gmesp_destination {
  uint32_t size;
  uint16_t ue_port;
  uint16_t reserved;
  const char *impi;
  const char *registration_key;
  uint8_t ue_address[GMESP_ADDRESS_BYTES];
  uint64_t set; /* the set that the transaction began on (gmesp_verdict.arrived_on), 0: none */
};

struct gmesp_identities {
  uint32_t size;
  uint32_t impu_count;
  const char *impi;
  const char *registration_key;
  const char *const *impus;
};

/* --- verdicts --------------------------------------------------------------------------------- */

enum gmesp_action {
  GMESP_FORWARD = 1, /* let the message go on its way */
  GMESP_REJECT = 2,  /* answer with `sip_status` */
  GMESP_DISCARD = 3  /* drop it without an answer */
};

/* Where to send what goes to the UE. With UDP, or on a new TCP connection: from local_port to
 * remote_port; gmespd protects it by these ports. */
struct gmesp_send {
  uint64_t set;  /* 0: in clear */
  uint32_t mode; /* enum gmesp_mode: in tunnel mode addresses in SDP may need mending */
  uint16_t local_port;
  uint16_t remote_port;
  uint8_t local[GMESP_ADDRESS_BYTES];
  uint8_t remote[GMESP_ADDRESS_BYTES];
  uint8_t on_same_connection;       /* the request came by TCP: answer there */
  uint8_t same_connection_possible; /* the clause names another set, but that works too */
  uint8_t reserved[6];
};

struct gmesp_verdict {
  uint32_t size;
  int32_t error; /* enum gmesp_error; if not 0 nothing else here counts but tag and text */
  uint64_t tag;
  uint32_t action;  /* enum gmesp_action */
  uint32_t refusal; /* row of gmesp_control_refusal_name, 0: none */
  uint32_t sip_status; /* GMESP_REJECT: what fits */
  uint8_t is_integrity_protected; /* indicator towards the S-CSCF (TS 33.203 6.1.5) */
  uint8_t is_repetition;          /* seen before; nothing changed */
  uint8_t reserved[2];
  uint64_t arrived_on; /* set that the message came on, 0: in clear */
  struct gmesp_send send;
  char impi[GMESP_IDENTITY_BYTES]; /* of the user that the SA belongs to */
  uint32_t impu_count;
  uint32_t reserved2;
  char impus[GMESP_IDENTITIES_MAX][GMESP_IDENTITY_BYTES];
  char security_server[GMESP_SECURITY_SERVER_BYTES]; /* value for SM6 */
  char clause[64];                                   /* of a refusal */
  char text[GMESP_DETAIL_BYTES];                     /* of a refusal or error */
};

/* "no_agreement" and the like, never NULL. */
GMESP_API const char *gmesp_control_refusal_name(uint32_t refusal);

/* --- calls that wait -------------------------------------------------------------------------- */

GMESP_API int gmesp_register(struct gmesp_control *control,
                             const struct gmesp_register_request *request,
                             struct gmesp_verdict *verdict, int timeout_ms);
/* Answered when all four SAs are in force. */
GMESP_API int gmesp_challenge(struct gmesp_control *control,
                              const struct gmesp_challenge *challenge,
                              struct gmesp_verdict *verdict, int timeout_ms);
GMESP_API int gmesp_register_answer(struct gmesp_control *control,
                                    const struct gmesp_register_answer *answer,
                                    struct gmesp_verdict *verdict, int timeout_ms);
GMESP_API int gmesp_message(struct gmesp_control *control, const struct gmesp_message *message,
                            struct gmesp_verdict *verdict, int timeout_ms);
GMESP_API int gmesp_route(struct gmesp_control *control,
                          const struct gmesp_destination *destination,
                          struct gmesp_verdict *verdict, int timeout_ms);
/* Hints: a SIP transaction with the UE began or ended on `set`. A proxy that gives them has old
 * sets removed as soon as nothing is pending on them, instead of after 64*T1. They count per set:
 * a set on which no begin was ever told is waited for as long as without hints, whatever was told
 * on others; so tell every transaction, on the set it began on (verdict: arrived_on, send.set). */
GMESP_API int gmesp_transaction_begin(struct gmesp_control *control, uint64_t set,
                                      struct gmesp_verdict *verdict, int timeout_ms);
GMESP_API int gmesp_transaction_end(struct gmesp_control *control, uint64_t set,
                                    struct gmesp_verdict *verdict, int timeout_ms);
/* The set of registered IMPUs has changed. */
GMESP_API int gmesp_set_identities(struct gmesp_control *control,
                                   const struct gmesp_identities *identities,
                                   struct gmesp_verdict *verdict, int timeout_ms);
/* All IMPUs are de-registered by the network or by expiry. */
GMESP_API int gmesp_deregistered(struct gmesp_control *control, const char *impi,
                                 const char *registration_key, struct gmesp_verdict *verdict,
                                 int timeout_ms);

/* --- calls that do not wait ------------------------------------------------------------------- */

/* GMESP_E_AGAIN: 256 requests are without a fetched verdict, or gmesp-control is behind. */
GMESP_API int gmesp_submit_register(struct gmesp_control *control,
                                    const struct gmesp_register_request *request, uint64_t tag);
GMESP_API int gmesp_submit_challenge(struct gmesp_control *control,
                                     const struct gmesp_challenge *challenge, uint64_t tag);
GMESP_API int gmesp_submit_register_answer(struct gmesp_control *control,
                                           const struct gmesp_register_answer *answer,
                                           uint64_t tag);
GMESP_API int gmesp_submit_message(struct gmesp_control *control,
                                   const struct gmesp_message *message, uint64_t tag);
GMESP_API int gmesp_submit_route(struct gmesp_control *control,
                                 const struct gmesp_destination *destination, uint64_t tag);
GMESP_API int gmesp_submit_transaction_begin(struct gmesp_control *control, uint64_t set,
                                             uint64_t tag);
GMESP_API int gmesp_submit_transaction_end(struct gmesp_control *control, uint64_t set,
                                           uint64_t tag);
GMESP_API int gmesp_submit_set_identities(struct gmesp_control *control,
                                          const struct gmesp_identities *identities, uint64_t tag);
GMESP_API int gmesp_submit_deregistered(struct gmesp_control *control, const char *impi,
                                        const char *registration_key, uint64_t tag);
/* Nonzero: submitted requests are kept from here on, and go out many at a time; zero: they go at
 * once, and now those that were kept. Sent together they cost both processes far less. A call that
 * waits, and polling that finds nothing, send them in any case, so nothing is held for ever. */
GMESP_API void gmesp_control_hold(struct gmesp_control *control, int is_held);
/* GMESP_OK, GMESP_E_AGAIN if there is none yet, or what is wrong with the connection. */
GMESP_API int gmesp_poll_verdict(struct gmesp_control *control, struct gmesp_verdict *verdict);

/* --- events ----------------------------------------------------------------------------------- */

enum gmesp_control_event_kind {
  GMESP_CONTROL_SET_GONE = 1,        /* close TCP connections on its port pairs */
  GMESP_CONTROL_PEER_PORT = 2,       /* port_Uenc learned or changed */
  GMESP_CONTROL_SEQUENCE_NEAR_END = 3, /* the user should be re-authenticated */
  GMESP_CONTROL_DATA_PLANE_DOWN = 4,
  GMESP_CONTROL_DATA_PLANE_UP = 5
};

/* Why a set is gone. */
enum gmesp_gone_because {
  GMESP_GONE_EXPIRED = 1,
  GMESP_GONE_REPLACED = 2,
  GMESP_GONE_FAILED = 3,
  GMESP_GONE_DEREGISTERED = 4,
  GMESP_GONE_EVICTED = 5,
  GMESP_GONE_WITHDRAWN = 6,
  GMESP_GONE_LOST = 7
};

struct gmesp_control_event {
  uint32_t size;
  uint32_t kind;    /* enum gmesp_control_event_kind */
  uint32_t because; /* enum gmesp_gone_because */
  uint16_t peer_port;
  uint16_t reserved;
  uint64_t set;
  uint8_t ue_address[GMESP_ADDRESS_BYTES];
  uint8_t local_address[GMESP_ADDRESS_BYTES];
  uint16_t port_uc, port_us, port_pc, port_ps;
  char impi[GMESP_IDENTITY_BYTES];
};
/* Results as gmesp_poll_verdict. */
GMESP_API int gmesp_control_poll_event(struct gmesp_control *control,
                                       struct gmesp_control_event *event);
/* Events left out because 1,024 were there that this process had not fetched. */
GMESP_API uint64_t gmesp_control_events_lost(const struct gmesp_control *control);

/* --- for the operator ------------------------------------------------------------------------- */

enum gmesp_set_state {
  GMESP_SET_INSTALLING = 0,   /* not acknowledged by gmespd yet */
  GMESP_SET_REGISTRATION = 1, /* carries SM7 and SM12 only */
  GMESP_SET_LIVE = 2,
  GMESP_SET_LINGERING = 3 /* only for its last answer */
};

struct gmesp_registration_set {
  uint64_t number;
  uint64_t data_plane_id; /* set_id of gmesp.h */
  uint64_t not_after_ms;  /* CLOCK_BOOTTIME */
  uint64_t drop_at_ms;    /* UINT64_MAX: no deadline but its lifetime */
  uint32_t state;         /* enum gmesp_set_state */
  uint32_t pending_transactions;
  uint32_t spi_uc, spi_us, spi_pc, spi_ps;
  uint16_t port_uc, port_us, port_pc, port_ps;
  uint16_t peer_port;
  uint8_t mode, integrity, cipher; /* as in gmesp_sa_set */
  uint8_t is_latest;
  uint8_t is_outbound; /* new messages to the UE go on it */
  uint8_t reserved;
  uint8_t ue_address[GMESP_ADDRESS_BYTES];
  uint8_t local_address[GMESP_ADDRESS_BYTES];
};

struct gmesp_registration {
  uint32_t size;
  uint32_t set_count;
  char impi[GMESP_IDENTITY_BYTES];
  char registration_key[GMESP_IDENTITY_BYTES];
  uint32_t impu_count;
  uint32_t procedures; /* registrations under way */
  char impus[GMESP_IDENTITIES_MAX][GMESP_IDENTITY_BYTES];
  struct gmesp_registration_set sets[4];
};
/* The first registration behind `*cursor`, which is moved: start with 0, call until GMESP_E_END.
 * `impi` not empty: of this user only. What comes and goes meanwhile may be missed. */
GMESP_API int gmesp_next_registration(struct gmesp_control *control, const char *impi,
                                      uint64_t *cursor, struct gmesp_registration *registration,
                                      int timeout_ms);

struct gmesp_refusal {
  uint32_t size;
  uint32_t refusal;
  uint64_t time_ms; /* CLOCK_BOOTTIME */
  uint8_t source[GMESP_ADDRESS_BYTES];
  uint16_t source_port;
  uint16_t sip_status;
  uint32_t reserved;
  char impi[GMESP_IDENTITY_BYTES];
  char name[40];
  char clause[64];
  char text[GMESP_DETAIL_BYTES];
};
/* Youngest first; GMESP_E_END behind the oldest one kept. */
GMESP_API int gmesp_next_refusal(struct gmesp_control *control, uint64_t *cursor,
                                 struct gmesp_refusal *refusal, int timeout_ms);

/* Counters and gauges of gmesp-control, by row. */
GMESP_API int gmesp_control_get_statistic(struct gmesp_control *control, uint64_t row,
                                          struct gmesp_statistic *statistic, int timeout_ms);

/* As gmesp_dp_withdraw, for new and (remove_live) live sets of every user, in gmespd too. */
GMESP_API int gmesp_control_withdraw(struct gmesp_control *control, int integrity, int cipher,
                                     int remove_live, int timeout_ms);
GMESP_API int gmesp_control_restore(struct gmesp_control *control, int integrity, int cipher,
                                    int timeout_ms);
/* Removes all SAs of a user at once. GMESP_E_NOT_FOUND: not known. */
GMESP_API int gmesp_control_evict(struct gmesp_control *control, const char *impi, int timeout_ms);
/* Reads the configuration file again; the detail says what is wrong with it. */
GMESP_API int gmesp_control_reload(struct gmesp_control *control, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* GMESP_CONTROL_H */
