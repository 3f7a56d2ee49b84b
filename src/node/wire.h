/*
 * Joins node_step to libp2p: wire actions go to the host, the host's events to the node. Pure. What is for
 * the edge (COMMIT, TELL, STOPPED) is handed to it in order.
 */
#ifndef PC_NODE_WIRE_H
#define PC_NODE_WIRE_H

#include "libp2p/host.h"
#include "node/node.h"

#define PC_WIRE_FAILURES_MAX 1024

/* A dial (request 0) or request that could not be begun. */
struct pc_wire_failure {
    uint64_t connection;
    uint64_t request;
    int result;
};

/* Made by the owner with node, host, edge and context set and all else zero. */
struct pc_wire {
    struct pc_node *node;
    struct pc_libp2p_host *host;
    /* Takes what is not for libp2p (COMMIT, TELL, FETCH, …); must not step the node from inside. */
    void (*edge)(void *context, const struct pc_node_action *action);
    void *context;
    bool stopped;
    struct pc_wire_failure failures[PC_WIRE_FAILURES_MAX]; /* a ring */
    size_t failure_first;
    size_t failure_count;
};

/*
 * Step the node with `event` (NULL: none), then with all events of the host, applying the actions, until both
 * are at rest. Call after receive, expire and unreachable too, with NULL. A node or host timer that is due is
 * served as well.
 */
void pc_node_wire_run(struct pc_wire *wire, peercache_time now, const struct pc_node_event *event);
/* The earlier of both deadlines. */
int64_t pc_node_wire_deadline(const struct pc_wire *wire);

#endif
