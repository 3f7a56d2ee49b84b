/*
 * What the files of this room share of a host: its maps, heaps and queues. Everything else of a connection is
 * in connection.h, of a stream in stream.h.
 *
 * Two queues carry work out: `events`, and `sending`, the connections that may have a datagram to send. A
 * connection in `sending` has its timer set only when it has nothing more to send, so that the caller's
 * order (events, datagrams, timer) is what makes it right.
 */
#ifndef PC_LIBP2P_HOST_STATE_H
#define PC_LIBP2P_HOST_STATE_H

#include "base/heap.h"
#include "base/map.h"
#include "base/time.h"
#include "libp2p/account.h"
#include "libp2p/host.h"
#include "libp2p/peer_record.h"
#include "libp2p/quic_memory.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>

#define PC_LIBP2P_CID_BYTES         8    /* of the connection ids we choose: 64 random bits */
#define PC_LIBP2P_TEXT_BYTES        128  /* agent and kad protocol */
#define PC_LIBP2P_INITIAL_MIN_BYTES 1200 /* of a client's first datagram (RFC 9000 section 14.1) */

struct pc_connection;
struct pc_libp2p_loose; /* loose.c: a datagram of no connection */

/* An event on its way to the caller; `blob` is the memory that its pointers borrow from. */
struct pc_libp2p_queued {
    struct pc_libp2p_queued *next;
    struct pc_libp2p_queued *owner_next; /* of the same connection */
    struct pc_connection *owner;         /* NULL when it is gone */
    bool muted;                          /* the caller closed the connection: not told any more */
    struct pc_libp2p_event event;
    uint8_t *blob;
    struct pc_bytes message; /* in blob: what is decoded when the event is taken, or the key that is asked */
    bool record_counts;      /* of identify: its signed record holds, and its addresses are the peer's */
};

struct pc_libp2p_host {
    struct pc_libp2p_options options;
    char kad_protocol[PC_LIBP2P_TEXT_BYTES];
    char agent[PC_LIBP2P_TEXT_BYTES];
    struct pc_maddr addrs[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t addr_count;
    uint8_t secret[32];       /* stateless reset tokens are its keyed hash of the connection id */
    uint8_t retry_secret[32]; /* of the tokens in Retry packets, made of it */
    gnutls_priority_t priority;
    struct pc_quic_memory quic_memory;

    peercache_time now; /* never goes back on mono_us */
    int64_t origin_us;  /* mono_us of the first call; ngtcp2 counts from there */
    bool started;

    struct pc_map cids;    /* connection id → pc_connection_cid */
    struct pc_map tokens;  /* stateless reset token of a peer → pc_connection_token */
    struct pc_map numbers; /* number → pc_connection */
    struct pc_map silent;  /* remote → first pc_connection of the dials to it that received nothing yet */
    struct pc_map asks;    /* number of an ASKED or DIAL_ASKED → pc_stream */
    struct pc_map nonces;  /* of requests of ours to be dialled → pc_stream */
    struct pc_heap connection_timers;
    struct pc_heap stream_timers;

    struct pc_connection *connections;     /* all, lingering ones too */
    size_t alive_count;                    /* not lingering */
    size_t farewell_count;                 /* lingering, its closing packet not sent yet */
    size_t lingering_count;                /* lingering, closing packet sent or not */
    struct pc_connection *half_open_first; /* admission.h: alive, the oldest first */
    struct pc_connection *half_open_last;
    size_t half_open_count;     /* those that linger too */
    struct pc_connection *hand; /* shedding.h: the next to be looked at; NULL: the first */
    struct pc_accounts groups;
    struct pc_accounts peers;
    struct pc_libp2p_bucket requests;
    struct pc_libp2p_bucket handshakes;
    struct pc_connection *sending_first;
    struct pc_connection *sending_last;
    struct pc_libp2p_queued *events_first;
    struct pc_libp2p_queued *events_last;
    struct pc_libp2p_queued *taken; /* the event the caller looks at */
    struct pc_libp2p_loose *loose_first;
    struct pc_libp2p_loose *loose_last;
    size_t loose_count;
    struct pc_libp2p_bucket loose_bucket;
    struct pc_libp2p_bucket retry_bucket;

    struct pc_libp2p_counters counters;

    uint64_t next_inbound;
    uint64_t next_ask;
    uint64_t next_dial_back;

    /* Room for one message at a time, so that no connection needs it for itself. */
    struct pc_identify identify;
    struct pc_kad_message kad;
    struct pc_autonat_message autonat;
    uint8_t scratch[PC_IDENTIFY_MAX_BYTES + 16];

    struct pc_libp2p_counts counts;
    uint8_t record[PC_PEER_RECORD_MAX_BYTES]; /* our signed record */
    size_t record_size;
    uint64_t record_seq;
    bool record_current; /* made since our addresses changed */
};

/* ngtcp2's clock: nanoseconds from one second before the first call, so that it is never 0. */
static inline ngtcp2_tstamp pc_libp2p_host_ts(const struct pc_libp2p_host *host)
{
    return ((uint64_t)(host->now.mono_us - host->origin_us) + (uint64_t)PC_US_PER_S) * NGTCP2_MICROSECONDS;
}

/* Back to mono_us, rounded up: a timer must not fire before its time. */
static inline int64_t pc_libp2p_host_from_ts(const struct pc_libp2p_host *host, ngtcp2_tstamp ts)
{
    uint64_t us = ts / NGTCP2_MICROSECONDS + (ts % NGTCP2_MICROSECONDS != 0);
    if (ts == UINT64_MAX || us >= (uint64_t)(INT64_MAX / 2))
        return PC_TIME_NEVER;
    return pc_base_time_add(host->origin_us, (int64_t)us - PC_US_PER_S);
}

/* Queue an event of the connection; it and its blob are the queue's from now on. */
void pc_libp2p_host_queue_event(struct pc_connection *connection, struct pc_libp2p_queued *queued);
/* An event with its blob; NULL does nothing. */
void pc_libp2p_queued_free(struct pc_libp2p_queued *queued);
/* The connection may have something to send. */
void pc_libp2p_host_wake(struct pc_libp2p_host *host, struct pc_connection *connection);
/* It has nothing more to send. */
void pc_libp2p_host_unwake(struct pc_libp2p_host *host, struct pc_connection *connection);
/* 16 bytes that only we can make of a connection id. */
void pc_libp2p_host_reset_token(const struct pc_libp2p_host *host, const uint8_t *cid, size_t size,
                                uint8_t ret_token[16]);

#endif
