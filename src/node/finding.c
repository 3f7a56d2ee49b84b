/*
 * Finding a peer by its id: a lookup of it, which dials whoever is closest, and so the peer itself as soon as anybody names
 * it. Found is who proved the id in a handshake, whatever network it is of. One after the other, between refreshes.
 */
#include "node/internal.h"

bool pc_node_may_find(const struct pc_node *node)
{
    return node->find_count < PC_NODE_FINDS_MAX;
}

void pc_node_on_find(struct pc_node *node, const struct pc_peer_id *id)
{
    if (pc_node_may_find(node) && node->phase != PHASE_STOPPING)
        node->finds[node->find_count++] = *id;
}

static void is_at(struct pc_node *node, const struct pc_maddr *addr, int64_t rtt_us)
{
    node->is_found = true;
    node->found_addr = *addr;
    node->found_rtt_us = rtt_us;
}

bool pc_node_find_begin(struct pc_node *node)
{
    if (node->find_count == 0)
        return false;
    const struct pc_peer_id *id = &node->finds[0];
    const struct connection *connection = pc_node_pool_find(node, id);
    node->is_finding = true;
    node->is_found = false;
    node->found_addr.size = 0;
    node->find_outcome = PEERCACHE_UNREACHABLE;
    node->find_detail = "nobody who was asked knows where it is";
    node->refresh.bucket_count = 0;
    pc_node_move(node, PHASE_WALKING);
    if (connection && !pc_kad_table_find(node->table, id)) /* a client of ours: nobody has its address */
        is_at(node, &connection->addr, -1);
    pc_node_walk_to(node, id, pc_base_time_add(node->now.mono_us, PC_NODE_WALK_MAX_US));
    return true;
}

static bool is_sought(const struct pc_node *node, const struct pc_peer_id *id)
{
    return node->is_finding && pc_addr_peer_id_equal(id, &node->finds[0]);
}

bool pc_node_find_asked(struct pc_node *node, const struct pc_kad_entry *entry)
{
    if (!is_sought(node, &entry->id) || !pc_node_pool_find(node, &entry->id))
        return false;
    is_at(node, &entry->addrs[0], -1);
    return true;
}

bool pc_node_find_dial_ended(struct pc_node *node, const struct connection *connection,
                             peercache_outcome outcome, int64_t rtt_us)
{
    if (!is_sought(node, &connection->id) || node->is_found)
        return false;
    node->found_addr = connection->addr;
    if (outcome == PEERCACHE_OK || outcome == PEERCACHE_PROTOCOL_MISMATCH) {
        is_at(node, &connection->addr, rtt_us);
        return true;
    }
    node->find_outcome = outcome;
    node->find_detail = "it was named, and the dial failed";
    return false;
}

void pc_node_find_end(struct pc_node *node, bool timed_out)
{
    struct connection found = { .id = node->finds[0], .addr = node->found_addr, .via = PEERCACHE_VIA_DHT };
    node->is_finding = false;
    node->find_count--;
    memmove(&node->finds[0], &node->finds[1], node->find_count * sizeof(node->finds[0]));
    if (node->is_found)
        (void)pc_node_tell_dial(node, PEERCACHE_NODE_FOUND, &found, PEERCACHE_OK, "", node->found_rtt_us, -1);
    else if (timed_out)
        (void)pc_node_tell_dial(node, PEERCACHE_NODE_FOUND, &found, PEERCACHE_TIMEOUT,
                                "the search took too long", -1, -1);
    else
        (void)pc_node_tell_dial(node, PEERCACHE_NODE_FOUND, &found, node->find_outcome, node->find_detail, -1,
                                -1);
    pc_node_live(node);
}
