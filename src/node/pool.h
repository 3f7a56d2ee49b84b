/*
 * The pool of open connections: one a peer, reused by whoever wants to ask it; how many there are, and which stay.
 *
 * Two connections of one peer. Both ends come to the same choice without a word:
 *  - each side dialled, and the older was open for less than a dial may take: both dialled at the same time. The one that the smaller peer
 *    id (its bytes, compared as such) dialled survives.
 *  - otherwise the newer survives: who dials a peer whose connection it has does so because it has it no more.
 * Requests go over the survivor from then on. Who dialled the other one closes it as soon as nothing of ours is under way over
 * it; who accepted it only after PC_POOL_DOUBLE_US, so that requests of the dialler end in peace, and takes it back as the
 * peer's connection when the survivor goes first.
 *
 * Marks. With more open connections than the high mark, idle ones (no request of ours under way) are closed until the low mark
 * is reached:
 *  - first those whose peers are not in the routing table, and of them who just came (PC_POOL_GRACE_US) last; then members of the
 *    table; our neighbours in it last;
 *  - among equals those of the most crowded group first, the n-th of a group before the (n-1)-th of any, so that who comes
 *    with many ids from few networks pushes out himself;
 *  - then those that were not used for longest.
 *
 * Need. A server keeps the connections of its neighbours alive, for they are what its place in the network rests on, and their loss is
 * to be noticed: libp2p is told to keep them (KEEP), at most PC_KAD_K. All others end when they were not used
 * for a while (unused_timeout_us of libp2p/host.h).
 */
#ifndef PC_NODE_POOL_H
#define PC_NODE_POOL_H

#include "base/time.h"
#include "kad/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PC_POOL_LOW         256 /* default: some 16 MB of connections */
#define PC_POOL_HIGH        384
#define PC_POOL_GRACE_US    (10 * PC_US_PER_S)
#define PC_POOL_DOUBLE_US   (10 * PC_US_PER_S)
#define PC_POOL_TRIM_GAP_US PC_US_PER_S /* a look at all connections costs, so it is taken no oftener */
#define PC_POOL_KEEP_GAP_US PC_US_PER_S /* nor is one for the neighbours */

struct pc_node;
struct connection;
struct pc_peer_id;

struct pc_node_pool {
    struct pc_kad_key own_key;
    size_t open_count; /* those to be closed too */
    size_t closing;    /* of them */
    int64_t trim_at_us;
    bool changed; /* the table, or who is connected: the neighbours are looked at again */
    int64_t look_at_us;
    uint64_t neighbours[PC_KAD_K]; /* connections, by number */
    size_t neighbour_count;
    struct connection *double_first; /* those that are not used any more, the first to go first */
    struct connection *double_last;
    bool has_new_double;
    uint64_t trimmed; /* closed above the high mark */
    uint64_t doubles; /* closed because another one to the peer survived */
};

void pc_node_pool_init(struct pc_node_pool *pool, const struct pc_peer_id *own_id);
/* The connection to this peer, NULL when none is open. */
struct connection *pc_node_pool_find(struct pc_node *node, const struct pc_peer_id *id);
/* It is open, and its id proven: it is the peer's connection from now on, or another is. */
void pc_node_pool_opened(struct pc_node *node, struct connection *connection);
/* It is being dropped; nothing when it was never open. */
void pc_node_pool_gone(struct pc_node *node, struct connection *connection);
/* Something was asked over it, by either side. */
void pc_node_pool_used(struct pc_node *node, struct connection *connection);
/* A request of ours over it has ended. */
void pc_node_pool_request_ended(struct pc_node *node, struct connection *connection);
/* The routing table has changed, or whether we serve. */
void pc_node_pool_table_changed(struct pc_node *node);
void pc_node_pool_pump(struct pc_node *node);
int64_t pc_node_pool_deadline(const struct pc_node *node);

#endif
