/*
 * All QUIC connections of one node, both roles: datagrams and time in, datagrams and events out. No clock, no
 * socket. (RFC 9000, 9001; libp2p/specs quic, tls, connections, identify, ping, kad-dht.)
 *
 *   pc_libp2p_host_receive ─► │      │ ─► pc_libp2p_host_next_event   (opened, failed, closed, answered,
 * asked) pc_libp2p_host_dial …  ─► │ host │ pc_libp2p_host_expire  ─► │      │ ─► pc_libp2p_host_send
 * (datagrams, until it returns 0)
 *
 * The caller, after any call: takes events until there is none, then datagrams until there is none, then arms
 * its timer for pc_libp2p_host_deadline(). Nothing is done behind its back.
 *
 * A connection is known by a number: chosen by the caller for those it dials (the two top bits clear, never
 * reused), by the host for inbound ones (top bit set).
 *
 * A dialled connection is PROVEN when the certificate showed the peer id (after one round trip), and OPENED
 * when moreover the handshake is confirmed and identify was answered (after two; the identify request leaves
 * with the client's last flight).
 */
#ifndef PC_LIBP2P_HOST_H
#define PC_LIBP2P_HOST_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"
#include "base/log.h"
#include "base/rng.h"
#include "libp2p/autonat.h"
#include "libp2p/identity.h"
#include "libp2p/limits.h"
#include "libp2p/message.h"

#define PC_LIBP2P_INBOUND            (UINT64_C(1) << 63)
#define PC_LIBP2P_OUR_DIAL           (UINT64_C(1) << 62) /* connections of the host's own, of which nobody hears */
#define PC_LIBP2P_SOCKET_ANY         UINT32_MAX
#define PC_LIBP2P_SOCKET_APART       (UINT32_MAX - 1) /* one whose port is used for nothing else (AutoNAT) */
#define PC_LIBP2P_DATAGRAM_MAX_BYTES 1452 /* what we send at most: 1500 less IPv6 and UDP headers */
#define PC_LIBP2P_LISTEN_ADDRS_MAX   16

struct pc_libp2p_options {
    const struct pc_identity *identity; /* borrowed, outlives the host */
    const char *kad_protocol;           /* "/ipfs/kad/1.0.0"; copied */
    const char *agent;                  /* "peercache/0.1.0"; copied */
    bool server;         /* announces and answers kad; accepts inbound connections. A client drops what asks
                            for a connection without a word: a refusal would tell a scanner that somebody is there */
    bool accept_inbound; /* accepts them also when it is no server. Default false */
    uint32_t connections_max;   /* both directions; further inbound ones are refused. Default 1000.
                                           Of inbound ones whose handshake is not done a quarter are taken
                                           on trust, more only after a Retry (admission.h) */
    enum pc_netgroup_mode mode; /* what is a group. Default public */
    struct pc_libp2p_limits limits;
    uint32_t streams_max;      /* inbound streams open at once per connection. Default 32 */
    int64_t stream_timeout_us; /* an inbound stream that is not done by then is reset. Default 10 s */
    int64_t idle_timeout_us;   /* silence that ends a connection. Default 30 s */
    int64_t
        unused_timeout_us; /* an open connection over which neither side asked anything for so long is closed,
                                  unless it is kept. Default 0: never */
    struct pc_rng rng;     /* seed state, copied */
    const struct pc_log *log; /* borrowed, may be NULL */
};
/* All defaults; identity, kad_protocol and rng still to be set. */
void pc_libp2p_options_init(struct pc_libp2p_options *options);

struct pc_libp2p_host;

int pc_libp2p_host_new(const struct pc_libp2p_options *options, struct pc_libp2p_host **ret_host);
/* Drops everything at once; close connections and send first for a polite end. NULL does nothing. */
void pc_libp2p_host_free(struct pc_libp2p_host *host);
/* Our addresses for identify, without /p2p/ID. ELIMIT more than PC_LIBP2P_LISTEN_ADDRS_MAX. */
int pc_libp2p_host_set_addrs(struct pc_libp2p_host *host, const struct pc_maddr *addrs, size_t count);

/*
 * What is announced from now on: as a server or not, and these addresses. When that is another thing than before, the peers
 * of all connections that are proven are told, if they take it (identify-push). ELIMIT as above; nothing has changed then.
 */
int pc_libp2p_host_announce(struct pc_libp2p_host *host, peercache_time now, bool server,
                            const struct pc_maddr *addrs, size_t count);
/* What happened since the host was made. */
struct pc_libp2p_counts {
    uint64_t pushes_sent; /* identify-push */
    uint64_t pushes_received;
    uint64_t pushes_refused; /* over their rate */
    uint64_t records_good;   /* signed peer records that were checked */
    uint64_t records_bad;    /* malformed, forged, or of somebody else: ignored */
    uint64_t records_stale;  /* older than one that was seen: ignored */
    uint64_t dials_back;     /* for peers who asked (AutoNAT) */
};
const struct pc_libp2p_counts *pc_libp2p_host_counts(const struct pc_libp2p_host *host);

struct pc_datagram {
    uint32_t socket; /* the driver's number of the socket it came by / should leave by; SOCKET_ANY: any of the
                        family */
    struct pc_ip_port local; /* the address it came to / should leave from; family 0: the kernel's choice */
    struct pc_ip_port remote;
    uint8_t ecn; /* the two ECN bits */
    uint8_t *data;
    size_t size; /* received: its bytes. send: room on entry, bytes on return */
};

/* A datagram came. Bad ones are dropped: they are data, not errors. */
void pc_libp2p_host_receive(struct pc_libp2p_host *host, peercache_time now,
                            const struct pc_datagram *datagram);
/* The network said that a remote refuses (REFUSED: ICMP port unreachable) or that there is no way
 * (UNREACHABLE). A hint: it ends only dials to it that have received nothing yet. */
void pc_libp2p_host_unreachable(struct pc_libp2p_host *host, peercache_time now,
                                const struct pc_ip_port *remote, peercache_outcome outcome,
                                const char *detail);
/* Timers up to now. */
void pc_libp2p_host_expire(struct pc_libp2p_host *host, peercache_time now);
/* mono_us of the next timer, PC_TIME_NEVER when none. */
int64_t pc_libp2p_host_deadline(const struct pc_libp2p_host *host);
/* The next datagram to send: true and *datagram filled (data and size are the caller's room of at least
 * PC_LIBP2P_DATAGRAM_MAX_BYTES). */
bool pc_libp2p_host_send(struct pc_libp2p_host *host, peercache_time now, struct pc_datagram *datagram);

/*
 * Dial. `expected` may be NULL: any id is then proven. Ends in OPENED or FAILED, at the latest at
 * deadline_us. ENOMEM; ELIMIT connections_max, and none of them half-open or greedier than a newcomer (shedding.h). EINVAL the number is
 * in use or has a top bit, or the remote has no family or port.
 */
int pc_libp2p_host_dial(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                        const struct pc_ip_port *remote, const struct pc_peer_id *expected,
                        int64_t deadline_us);
/* Ask over an open connection; ends in ANSWERED or REQUEST_FAILED with this number. ENOTFOUND the connection
 * is gone or not opened yet; ELIMIT a key over some 16 KB; ENOMEM. */
int pc_libp2p_host_ping(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                        uint64_t request, int64_t deadline_us);
int pc_libp2p_host_find_node(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                             uint64_t request, struct pc_bytes key, int64_t deadline_us);
/* Answer an ASKED. ENOTFOUND its stream is gone, which is no fault; ELIMIT more than PC_KAD_PEERS_MAX peers
 * or addresses over a bound; ENOMEM. Not answered, it is reset after stream_timeout_us. */
int pc_libp2p_host_answer(struct pc_libp2p_host *host, peercache_time now, uint64_t asked,
                          const struct pc_kad_peer *peers, size_t count);
/* Ask to be dialled at an address of ours, over a fresh connection (AutoNAT v2); ends in PROBED or REQUEST_FAILED.
 * Errors as of ping, and ELIMIT an address over 8 KB. */
int pc_libp2p_host_probe(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                         uint64_t request, struct pc_bytes addr, int64_t deadline_us);
/* Answer a DIAL_ASKED: dial the address of this index, which is at `to`, once the peer has sent so many bytes (0: at once).
 * It hears what came of it. ENOTFOUND its stream is gone, which is no fault; ELIMIT connections_max, it is refused. */
int pc_libp2p_host_dial_back(struct pc_libp2p_host *host, peercache_time now, uint64_t asked,
                             uint32_t addr_index, const struct pc_ip_port *to, uint32_t data_bytes);
/* Or refuse to. ENOTFOUND. */
int pc_libp2p_host_refuse_dial(struct pc_libp2p_host *host, peercache_time now, uint64_t asked,
                               enum pc_autonat_status status);
/* Close politely (CONNECTION_CLOSE, application code `code`). No further event of it. Unknown numbers are
 * ignored. */
void pc_libp2p_host_close(struct pc_libp2p_host *host, peercache_time now, uint64_t connection,
                          uint64_t code);
/*
 * Whether the connection is needed: one that is kept is never closed for being unused, nor shed for a newcomer, and silence over
 * it is broken before either side takes it for dead (a PING frame after half of the shorter idle timeout, 15 s at most).
 * Unknown numbers are ignored, and those not opened.
 */
void pc_libp2p_host_keep(struct pc_libp2p_host *host, peercache_time now, uint64_t connection, bool keep);
/* True while there are closing packets still to be sent or connections alive. */
size_t pc_libp2p_host_connection_count(const struct pc_libp2p_host *host);
/* Borrowed, as long as the host. */
const struct pc_libp2p_counters *pc_libp2p_host_counters(const struct pc_libp2p_host *host);

enum pc_libp2p_event_kind {
    PC_LIBP2P_OPENED,   /* a dial succeeded, or an inbound connection was identified */
    PC_LIBP2P_FAILED,   /* a dial ended otherwise; the connection is gone */
    PC_LIBP2P_CLOSED,   /* an opened connection is gone: outcome and detail say why (OK: the peer closed it,
                           TIMEOUT: idle, silent or unused; MISBEHAVED: over a limit of ours, too) */
    PC_LIBP2P_ANSWERED, /* a ping (rtt_us) or a FIND_NODE (kad) was answered */
    PC_LIBP2P_REQUEST_FAILED, /* outcome: TIMEOUT, MISBEHAVED (malformed, over a limit), PROTOCOL_MISMATCH
                                 (refused the protocol), REFUSED (a limit of the peer: it may be
                                 asked later), CANCELLED (connection gone) */
    PC_LIBP2P_ASKED,          /* a peer asks FIND_NODE(key): answer with number `asked` */
    PC_LIBP2P_IDENTIFIED, /* the peer of an opened connection says what it is now (identify-push): `identify`,
                                 of which an empty field or list is one that it does not speak of */
    PC_LIBP2P_PROBED,     /* a request to be dialled ended: `probe` */
    PC_LIBP2P_DIAL_ASKED, /* a peer asks to be dialled at one of the addresses in `dial`: dial back or refuse with number
                                 `asked`; `remote` is where it is seen */
};

enum pc_libp2p_probe {
    PC_LIBP2P_UNDECIDED, /* the server would not, or says what is not so */
    PC_LIBP2P_CAME_BACK, /* a fresh connection came, with the number */
    PC_LIBP2P_CUT_OFF,   /* the server could not connect */
};

/* Valid until the next call on the host, like all it points to. */
struct pc_libp2p_event {
    enum pc_libp2p_event_kind kind;
    uint64_t connection;
    uint64_t request; /* ANSWERED, REQUEST_FAILED */
    uint64_t asked;   /* ASKED */
    peercache_outcome outcome;
    char detail[PEERCACHE_DETAIL_BYTES];
    struct pc_peer_id id; /* the proven id; size 0 when none was proven */
    struct pc_ip_port remote;
    int64_t proven_us; /* OPENED, FAILED: from dial to proof; -1 not proven */
    int64_t rtt_us; /* OPENED: smoothed round trip of the connection; ANSWERED a ping: its time; -1 unknown */
    /* OPENED, IDENTIFIED. Its addresses are those of its signed record, if that has a good signature. */
    const struct pc_identify *identify;
    const struct pc_kad_message *kad;      /* ANSWERED a FIND_NODE */
    struct pc_bytes key;                   /* ASKED */
    enum pc_libp2p_probe probe;            /* PROBED */
    const struct pc_autonat_message *dial; /* DIAL_ASKED */
};
bool pc_libp2p_host_next_event(struct pc_libp2p_host *host, struct pc_libp2p_event *ret_event);
/* Whether next_event may have one. Sending brings some too: it ends connections that cannot go on. */
bool pc_libp2p_host_has_event(const struct pc_libp2p_host *host);

#endif
