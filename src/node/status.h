/* How a node is, for those who look at it from outside: a plain copy that borrows nothing but constant texts. */
#ifndef PC_NODE_STATUS_H
#define PC_NODE_STATUS_H

#include "node/node.h"
#include "node/reach.h"

#define PC_NODE_TABLE_BUCKETS 256

/* How a node stands to its network. */
#define PC_NODE_STANDINGS(X)                                                                                 \
    X(PC_NODE_IDLE, "idle")         /* not started, or it pings and joins nothing */                         \
    X(PC_NODE_JOINING, "joining")   /* a round is under way whose end was not told yet */                    \
    X(PC_NODE_JOINED, "joined")     /* the target is reached */                                              \
    X(PC_NODE_DEGRADED, "degraded") /* at least the minimum */                                               \
    X(PC_NODE_FAILED, "failed")     /* below the minimum; a node that lives on goes on trying */             \
    X(PC_NODE_STOPPING, "stopping") /* or stopped */

enum pc_node_standing {
#define PC_X(name, word) name,
    PC_NODE_STANDINGS(PC_X)
#undef PC_X
        PC_NODE_STANDING_COUNT
};
/* "joined"; "unknown" outside of the list. */
const char *pc_node_standing_name(enum pc_node_standing standing);

struct pc_node_status {
    const char
        *phase; /* "idle", "joining", "walking", "living", "pinging", "crawling", "stopping", "stopped" */
    enum pc_node_standing standing;
    struct pc_peer_id id;
    bool is_automatic; /* serves as long as it can be reached */
    bool is_server;    /* it serves now */
    enum pc_reachability reachability;
    struct pc_maddr announced[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t announced_count;
    struct pc_maddr own_addrs[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t own_addr_count;

    /* the join, as it is now */
    uint32_t target;
    uint32_t min;
    uint32_t verified;
    struct pc_join_metrics join; /* all zero, and the times -1, before there was one */
    size_t endpoint_count;
    /* As in the last step; `url` is "": its owner knows it. */
    peercache_endpoint_report endpoints[PC_JOIN_ENDPOINTS_MAX];
    /* the last report */
    bool has_report;
    const char *cause;     /* "" when there is none */
    const char *next_step; /* "" when there is none */

    /* the wire */
    size_t outbound;         /* open connections that we dialled */
    size_t inbound;          /* and that peers dialled, and were identified */
    size_t dialing;          /* not open yet */
    size_t requests;         /* under way */
    uint64_t trimmed;        /* connections closed above the high mark */
    uint64_t doubles;        /* closed because another one to the peer was there */
    int64_t answered_ago_us; /* since a peer that we dialled gave a sign of life; -1: none ever did */

    /* the routing table: peers whose keys share exactly i leading bits with ours */
    size_t table_count;
    uint8_t buckets[PC_NODE_TABLE_BUCKETS];

    /* the working set of the cache */
    size_t tried;
    size_t fresh;            /* in the table `new` */
    size_t pending;          /* changes that are not saved yet */
    bool is_saving;          /* a commit is under way */
    bool save_failed;        /* the last commit did */
    int64_t last_success_ms; /* wall time of the newest of all peers; 0: never */
};

/* Walks what it counts: connections, table, working set. */
void pc_node_status_of(const struct pc_node *node, peercache_time now, struct pc_node_status *ret_status);

#endif
