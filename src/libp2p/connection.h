/*
 * One QUIC connection, dialled or accepted.
 *
 *   dial ─► SILENT ─► HANDSHAKING ─► PROVEN ─► OPEN ─┐
 *   accept ───────────────▲                          │
 *             └───────────┴────────────┴─────────────┴──► LINGERING ─► freed
 *
 * SILENT: nothing was received. PROVEN: the TLS handshake is done on our side and showed a peer id; identify
 * is asked. OPEN: it was answered and the handshake is confirmed. LINGERING: ngtcp2's and GnuTLS's objects
 * are gone; for three probe timeouts late datagrams are met with the closing packet (RFC 9000 section 10.2).
 */
#ifndef PC_LIBP2P_CONNECTION_H
#define PC_LIBP2P_CONNECTION_H

#include "libp2p/host_state.h"
#include "libp2p/ngtcp2_compat.h"
#include "libp2p/stream.h"

#define PC_CONNECTION_WINDOW (128 * 1024) /* what the peer may send ahead on all streams */
#define PC_CONNECTION_KEEP_ALIVE_US                                                                          \
    (15 * PC_US_PER_S)            /* of one that is kept; half the idle timeout if less */
#define PC_CONNECTION_CID_LIMIT 4 /* connection ids of the peer that we keep */
/* An inbound handshake takes no longer, however long a stream may take: a client's and a server's flight may
 * be lost twice each (sent again after 1 and 3 s) and the last round trip still be slow; what an attacker
 * leaves half done is gone as soon. */
#define PC_CONNECTION_HANDSHAKE_US  (5 * PC_US_PER_S)
#define PC_CONNECTION_LINGER_MAX_US (3 * PC_US_PER_S)
#define PC_CONNECTION_LINGER_MIN_US 1 /* when connections_max linger: the closing packet leaves, no more */
/* Streams of the peer that came to nothing: so many at once, and one more each second (a rapid-reset flood).
 */
#define PC_CONNECTION_FAULTS 128
#define PC_CLOSE_CODE_FAULT  1 /* application code of a connection closed for a broken protocol or limit */

enum pc_connection_state {
    PC_CONNECTION_SILENT,
    PC_CONNECTION_HANDSHAKING,
    PC_CONNECTION_PROVEN,
    PC_CONNECTION_OPEN,
    PC_CONNECTION_LINGERING,
};

/* The key of a remote in the host's map of silent dials: family, port, address. */
#define PC_SILENT_KEY_BYTES 19

/* A connection id that leads to this connection. */
struct pc_connection_cid {
    struct pc_map_node node;
    struct pc_connection_cid *next;
    struct pc_connection *connection;
    ngtcp2_cid cid;
};

/* A token of the peer: a datagram that ends in it is a stateless reset (RFC 9000 section 10.3.1). */
struct pc_connection_token {
    struct pc_map_node node;
    struct pc_connection_token *next;
    struct pc_connection *connection;
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
};

struct pc_connection {
    struct pc_libp2p_host *host;
    uint64_t number;
    uint64_t dials_back; /* for whom: the number of the DIAL_ASKED; 0: it is no such connection */
    unsigned state;
    bool inbound;
    bool in_sending;
    bool confirmed;      /* the handshake, by the other side too */
    bool handshaken;     /* the handshake is done on our side */
    bool stream_allowed; /* the peer raised its limit: streams that wait may be opened */
    bool reset;          /* by a stateless reset */
    bool half_open;      /* counted as such: admission.h */
    bool on_trust;       /* half-open without a token */
    bool kept;           /* by the caller */
    bool half_open_listed;
    bool takes_push; /* the peer wants to be told when we change */
    bool brought;    /* `dials_back`: the peer has taken the number */
    bool push_due;   /* we did, before it was known whether it does */
    struct pc_connection *previous;
    struct pc_connection *next;
    struct pc_connection *sending_previous;
    struct pc_connection *sending_next;
    struct pc_connection *half_open_previous;
    struct pc_connection *half_open_next;
    struct pc_map_node number_node;
    struct pc_map_node silent_node;
    struct pc_connection *silent_next; /* further silent dials to the same remote */
    uint8_t silent_key[PC_SILENT_KEY_BYTES];
    bool silent_listed;
    struct pc_heap_node timer;

    ngtcp2_conn *quic;
    gnutls_session_t tls; /* NULL as soon as the handshake is confirmed: it is the largest part */
    ngtcp2_crypto_conn_ref reference;
    struct pc_connection_cid *cids;
    struct pc_connection_token *tokens;

    struct pc_ip_port remote;
    struct pc_peer_id expected; /* size 0: any */
    struct pc_peer_id id;       /* size 0: none was proven */
    int64_t started_us;
    int64_t deadline_us; /* of the dial */
    int64_t proven_us;   /* from started_us; -1 */

    struct pc_stream *streams;
    struct pc_stream *write_first; /* those with something to write */
    struct pc_stream *write_last;
    int64_t fault_credit_us;
    int64_t fault_at_us;
    struct pc_libp2p_bucket push_bucket; /* of identify-pushes that it may send */
    uint64_t record_seq;                 /* of the newest signed record of the peer */

    struct pc_account *group; /* held */
    struct pc_account *peer;  /* held from PROVEN on */
    uint32_t stream_count;    /* inbound */
    size_t memory_bytes;      /* buffered on streams: shedding.h */
    uint32_t over;            /* requests over the rate, as of over_at_us */
    int64_t over_at_us;
    int64_t used_us; /* when either side asked something last */

    /* What ended it, said by a callback and acted on when ngtcp2 has returned. */
    bool condemned;
    peercache_outcome outcome;
    uint64_t close_code; /* 0: that of the outcome */
    char detail[PEERCACHE_DETAIL_BYTES];

    struct pc_libp2p_queued *events_first; /* those that wait to be taken, in order */
    struct pc_libp2p_queued *events_last;
    struct pc_libp2p_queued *opened; /* the event, made when identify was answered */
    struct pc_libp2p_queued *pushed; /* what was pushed before it was OPEN: told behind that */
    struct pc_libp2p_queued *final;  /* reserved, so that the end can always be told */

    uint8_t *farewell; /* LINGERING: the closing packet, NULL when nothing is to be said */
    size_t farewell_size;
    struct pc_ip_port farewell_local;
    uint32_t farewell_socket;
    bool farewell_due;
    uint32_t farewell_asked; /* datagrams that came meanwhile */
};

/* Dial; see pc_libp2p_host_dial. ENOMEM. */
int pc_libp2p_connection_dial(struct pc_libp2p_host *host, uint64_t number, const struct pc_ip_port *remote,
                              const struct pc_peer_id *expected, int64_t deadline_us);
/* Dial for one who asked to be dialled, from a socket apart. ENOMEM; EINVAL no address to dial. */
int pc_libp2p_connection_dial_back(struct pc_libp2p_host *host, const struct pc_ip_port *remote,
                                   const struct pc_peer_id *expected, uint64_t asked, int64_t deadline_us);
/*
 * A first datagram came. It may not be worth a connection. `retried`: it brought the token of our Retry, and
 * this is the connection id the client chose before that; NULL: no Retry was sent.
 */
void pc_libp2p_connection_accept(struct pc_libp2p_host *host, const struct pc_datagram *datagram,
                                 const ngtcp2_pkt_hd *header, const ngtcp2_cid *retried);
void pc_libp2p_connection_receive(struct pc_connection *connection, const struct pc_datagram *datagram);
/* Ask over a stream of its own; ends in an event with this number. ENOMEM. */
int pc_libp2p_connection_request(struct pc_connection *connection, enum pc_protocol protocol,
                                 uint64_t request, struct pc_bytes message, int64_t deadline_us);
void pc_libp2p_silent_key(const struct pc_ip_port *remote, uint8_t ret_key[PC_SILENT_KEY_BYTES]);
/* Its timer fired. */
void pc_libp2p_connection_expire(struct pc_connection *connection);
/* The next datagram; false: none for now, and the timer is set. May free the connection. */
bool pc_libp2p_connection_write(struct pc_connection *connection, struct pc_datagram *datagram);
/* The network said that nobody is there. */
void pc_libp2p_connection_unreachable(struct pc_connection *connection, peercache_outcome outcome,
                                      const char *detail);
/* Whether it is needed: see pc_libp2p_host_keep. */
void pc_libp2p_connection_keep(struct pc_connection *connection, bool keep);
/* The caller closes it: no further event. */
void pc_libp2p_connection_close(struct pc_connection *connection, uint64_t code);
void pc_libp2p_connection_free(struct pc_connection *connection);

/* Condemn: it will end so. The first word counts. */
void pc_libp2p_connection_condemn(struct pc_connection *connection, peercache_outcome outcome,
                                  const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Act on what callbacks and protocols left behind; `result` is ngtcp2's. May end or free the connection. */
void pc_libp2p_connection_settle(struct pc_connection *connection, int result);
/* A stream of the peer came to nothing. */
void pc_libp2p_connection_fault(struct pc_connection *connection);
/* The peer pushed what is in `pushed`, which becomes the connection's. */
void pc_libp2p_connection_pushed(struct pc_connection *connection, struct pc_libp2p_queued *pushed);
/* talk_identify.c: tell the peer what we are now. */
void pc_libp2p_identify_push(struct pc_connection *connection);

/* It is no more for the caller, and LINGERING: no number, no hints, no objects of ngtcp2 and GnuTLS. */
void pc_libp2p_connection_depart(struct pc_connection *connection);
/* PC_TIME_NEVER: it will not fire. */
void pc_libp2p_connection_set_timer(struct pc_connection *connection, int64_t at_us);

/* connection_end.c: condemn for ngtcp2's error; say why to the peer, then to the caller, and linger. */
void pc_libp2p_connection_condemn_for(struct pc_connection *connection, int result);
void pc_libp2p_connection_end(struct pc_connection *connection, int result);

/* tls.c: the GnuTLS session of the connection. EPROTO. */
int pc_libp2p_tls_new(struct pc_connection *connection);
/* Whether the handshake proved what it must; condemns otherwise. */
bool pc_libp2p_tls_accepted(struct pc_connection *connection);

/* callbacks.c: ngtcp2's callbacks of either role. */
void pc_libp2p_callbacks_init(ngtcp2_callbacks *callbacks, bool server);
/* A connection id leads to this connection. ENOMEM. */
int pc_libp2p_connection_add_cid(struct pc_connection *connection, const ngtcp2_cid *cid);
/* Both lists and their places in the host's maps. */
void pc_libp2p_connection_drop_cids(struct pc_connection *connection);
void pc_libp2p_connection_drop_tokens(struct pc_connection *connection);
/* The account of the group of an address, NULL when it has none. */
struct pc_account *pc_libp2p_host_group(struct pc_libp2p_host *host, const struct pc_ip_port *remote);
/* A fresh one. */
void pc_libp2p_host_new_cid(struct pc_libp2p_host *host, ngtcp2_cid *ret_cid);

#endif
