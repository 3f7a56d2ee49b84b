/*
 * What a host bears of others, and what it counts of those it turned away.
 *
 * Three scopes: a peer (one proven id), a group (the network its address lies in, addr/netgroup.h) and the host in all.
 * Ids cost nothing and addresses little; groups are what an attacker has few of. So a limit per peer keeps one program in its
 * place, a limit per group one owner of many ids, and the total our own memory and time. What is over is shed, and counted by
 * its reason:
 *
 *   first datagram ─► dropped, sent a Retry, or refused                       (admission.h)
 *   handshake done ─► closed when the peer has connections enough              RESOURCE_LIMIT_EXCEEDED
 *   stream opened  ─► reset                                                    RESOURCE_LIMIT_EXCEEDED
 *   request        ─► its stream is reset; who goes on all the same is closed  RATE_LIMITED
 *   bytes buffered ─► who holds more of them than others do is closed          RESOURCE_LIMIT_EXCEEDED
 *
 * The codes are those of libp2p/specs error-codes, so that an honest peer knows that it may come again later.
 *
 * The defaults are meant for a server in an open network: a crawler that asks one node for each of its buckets, or sixteen
 * questions at once without a pause, is not near them; see docs/limits.md for the arithmetic. Limits of 0 are none.
 */
#ifndef PC_LIBP2P_LIMITS_H
#define PC_LIBP2P_LIMITS_H

#include "libp2p/rate.h"

#include <stddef.h>
#include <stdint.h>

/* Codes of a reset stream or a closed connection. */
#define PC_LIBP2P_CODE_RESOURCE_LIMIT   0x1002
#define PC_LIBP2P_CODE_RATE_LIMITED     0x1003

#define PC_LIMIT_CONNECTIONS_PER_GROUP  256 /* a quarter of the default of connections_max */
#define PC_LIMIT_CONNECTIONS_PER_PEER   8
#define PC_LIMIT_HALF_OPEN_PER_GROUP    64
#define PC_LIMIT_HANDSHAKES_PER_S       250 /* at 1 to 1.6 ms each some third of a core */
#define PC_LIMIT_HANDSHAKES_BURST       1000
#define PC_LIMIT_GROUP_HANDSHAKES_PER_S 32
#define PC_LIMIT_GROUP_HANDSHAKES_BURST 256
#define PC_LIMIT_STREAMS                16384
#define PC_LIMIT_STREAMS_PER_GROUP      4096
#define PC_LIMIT_STREAMS_PER_PEER       128
#define PC_LIMIT_REQUESTS_PER_S         20000 /* at 20 us each two fifths of a core */
#define PC_LIMIT_REQUESTS_BURST         20000
#define PC_LIMIT_GROUP_REQUESTS_PER_S   4000
#define PC_LIMIT_GROUP_REQUESTS_BURST   8000
#define PC_LIMIT_PEER_REQUESTS_PER_S    500
#define PC_LIMIT_PEER_REQUESTS_BURST    2000
#define PC_LIMIT_MEMORY_BYTES           (64U << 20)
#define PC_LIMIT_MEMORY_PER_GROUP_BYTES (16U << 20)
#define PC_LIMIT_MEMORY_PER_PEER_BYTES  (1U << 20)

struct pc_libp2p_limits {
    uint32_t connections_per_group;             /* inbound */
    uint32_t connections_per_peer;              /* inbound */
    uint32_t half_open;                         /* inbound, not proven, taken without a Retry. 0: a quarter of
                                                   connections_max */
    uint32_t half_open_per_group;               /* inbound, not proven; half of them without a Retry */
    struct pc_libp2p_rate handshakes;           /* inbound, begun; half of the burst without a Retry */
    struct pc_libp2p_rate handshakes_per_group; /* the same */
    uint32_t streams;                           /* inbound, open; of one connection: options.streams_max */
    uint32_t streams_per_group;
    uint32_t streams_per_peer;
    struct pc_libp2p_rate requests; /* FIND_NODE, pings, identify and the like, asked of us */
    struct pc_libp2p_rate requests_per_group;
    struct pc_libp2p_rate requests_per_peer;
    size_t memory_bytes; /* buffered on streams: not read by us, or not by them */
    size_t memory_per_group_bytes;
    size_t memory_per_peer_bytes;
};
/* The defaults. */
void pc_libp2p_limits_init(struct pc_libp2p_limits *limits);

/* Why something was turned away. */
#define PC_LIBP2P_SHEDS(X)                                                                                   \
    X(PC_SHED_CLIENT, "client")           /* a first datagram to a host that accepts nobody: dropped */      \
    X(PC_SHED_CONNECTIONS, "connections") /* connections_max, and nobody greedier than the newcomer */       \
    X(PC_SHED_CONNECTIONS_GROUP, "connections_group")                                                        \
    X(PC_SHED_CONNECTIONS_PEER, "connections_peer")                                                          \
    X(PC_SHED_HALF_OPEN, "half_open") /* the oldest handshake on trust made room */                          \
    X(PC_SHED_HALF_OPEN_GROUP, "half_open_group")                                                            \
    X(PC_SHED_HANDSHAKES, "handshakes") /* over the rate: dropped, and will come again */                    \
    X(PC_SHED_HANDSHAKES_GROUP, "handshakes_group")                                                          \
    X(PC_SHED_RETRY_RATE, "retry_rate") /* over the rate of Retries: dropped */                              \
    X(PC_SHED_CROWDED, "crowded") /* closed: of the most crowded group, for a newcomer of a smaller one */   \
    X(PC_SHED_GREEDY, "greedy")   /* closed: it went on asking over its rate */                              \
    X(PC_SHED_STREAMS, "streams")                                                                            \
    X(PC_SHED_STREAMS_GROUP, "streams_group")                                                                \
    X(PC_SHED_STREAMS_PEER, "streams_peer")                                                                  \
    X(PC_SHED_REQUESTS, "requests")                                                                          \
    X(PC_SHED_REQUESTS_GROUP, "requests_group")                                                              \
    X(PC_SHED_REQUESTS_PEER, "requests_peer")                                                                \
    X(PC_SHED_MEMORY, "memory")                                                                              \
    X(PC_SHED_MEMORY_GROUP, "memory_group")                                                                  \
    X(PC_SHED_MEMORY_PEER, "memory_peer")

enum pc_libp2p_shed {
#define PC_X(name, word) name,
    PC_LIBP2P_SHEDS(PC_X)
#undef PC_X
        PC_SHED_COUNT
};
/* "client"; "unknown" outside of the list. */
const char *pc_libp2p_shed_name(enum pc_libp2p_shed shed);

struct pc_libp2p_counters {
    /* since the host was made */
    uint64_t shed[PC_SHED_COUNT];
    uint64_t retries; /* sent */
    /* now */
    size_t streams; /* inbound */
    size_t buffered_bytes;
};

#endif
