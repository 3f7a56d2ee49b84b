/*
 * A peer that does what the test says, right or wrong: bare ngtcp2 and GnuTLS, one connection, any
 * certificates, any ALPN, any bytes on any stream. It checks nothing of the other side.
 */
#ifndef TESTS_RAW_PEER_H
#define TESTS_RAW_PEER_H

#include "sim_network.h"

#include "libp2p/ngtcp2_compat.h"

#include <gnutls/gnutls.h>

#define RAW_STREAMS_MAX   256
#define RAW_RECEIVE_BYTES 8192 /* kept of each stream */

struct raw_stream {
    int64_t id; /* -1: free */
    uint8_t *out;
    size_t out_size;
    size_t out_capacity;
    size_t sent;
    bool finish;
    bool finish_sent;
    bool closed;
    bool reset; /* by the other side */
    size_t in_size;
    uint8_t in[RAW_RECEIVE_BYTES];
    bool in_ended;
};

struct raw_peer {
    bool server;
    gnutls_certificate_credentials_t credentials;
    const char *alpn; /* NULL: none */
    unsigned streams_allowed;
    /* The script; all may be NULL. */
    void (*on_handshake)(struct raw_peer *peer);
    void (*on_data)(struct raw_peer *peer, struct raw_stream *stream);
    void (*on_close)(struct raw_peer *peer, struct raw_stream *stream);
    void *context;

    struct pc_rng rng;
    peercache_time now;
    ngtcp2_conn *quic;
    gnutls_session_t tls;
    ngtcp2_crypto_conn_ref reference;
    struct pc_ip_port remote;
    bool handshaken;
    bool over;     /* closed, failed or idle */
    bool closing;  /* by us, with close_code */
    bool alerting; /* the handshake failed on our side */
    bool closed_by_peer;
    bool close_application;
    uint64_t close_code;
    size_t streams_closed;
    struct raw_stream *streams[RAW_STREAMS_MAX];
};

void raw_peer_init(struct raw_peer *peer, bool server, gnutls_certificate_credentials_t credentials,
                   uint64_t seed);
void raw_peer_deinit(struct raw_peer *peer);
struct sim_node raw_peer_node(struct raw_peer *peer);
void raw_peer_dial(struct raw_peer *peer, peercache_time now, const struct pc_ip_port *to);
/* NULL when no more streams are allowed. `capacity`: bytes that will ever be sent on it. */
struct raw_stream *raw_peer_open(struct raw_peer *peer, size_t capacity);
void raw_peer_send(struct raw_stream *stream, const void *data, size_t size);
void raw_peer_send_line(struct raw_stream *stream, const char *line);
void raw_peer_reset(struct raw_peer *peer, struct raw_stream *stream);
void raw_peer_close(struct raw_peer *peer, uint64_t code);

#endif
