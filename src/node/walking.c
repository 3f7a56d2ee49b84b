/*
 * Walking: the iterative lookup of our own id over connections that are open, dialling the peers that are
 * not. What answers enters table and cache. It ends when the lookup is done or its time is up.
 */
#include "node/internal.h"

#include <stdlib.h>

static void out_of_memory(const struct pc_node *node)
{
    pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a peer is not asked");
}

/* Look a target up: our own id, of which all k closest are to answer, or one of a bucket. */
static void look_up(struct pc_node *node, const struct pc_peer_id *target, int64_t deadline_us)
{
    const struct pc_kad_entry *entries[PC_KAD_K];
    struct pc_kad_lookup_options options = {
        .target = pc_kad_keys_of(&node->keys, target),
        .own_id = node->options.own_id,
        .alpha = PC_KAD_ALPHA,
        .beta = node->is_finding || pc_addr_peer_id_equal(target, &node->options.own_id)
                    ? PC_KAD_BETA
                    : PC_KAD_BETA_REFRESH,
        .group_max = PC_KAD_LOOKUP_GROUP_MAX,
        .keys = &node->keys,
        .request_timeout_us = PC_TIME_NEVER, /* dials and requests end by deadlines of their own */
    };
    pc_base_rng_bytes(&node->rng, options.secret, sizeof(options.secret));
    node->walk_target = *target;
    node->lookup_number++;
    node->walk_deadline_us = deadline_us;
    if (pc_kad_lookup_new(&options, &node->lookup)) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: no lookup");
        return; /* the pump ends it at once */
    }
    size_t count = pc_kad_table_closest(node->table, &options.target, entries, PC_KAD_K);
    for (size_t i = 0; i < count; i++) {
        struct pc_kad_contact contact = pc_kad_entry_contact(entries[i]);
        if (pc_kad_lookup_add(node->lookup, &contact))
            out_of_memory(node);
    }
}

void pc_node_walk_begin(struct pc_node *node, int64_t deadline_us)
{
    look_up(node, &node->options.own_id, deadline_us);
}

void pc_node_walk_to(struct pc_node *node, const struct pc_peer_id *target, int64_t deadline_us)
{
    look_up(node, target, deadline_us);
}

/* Our neighbours are known: what else the refresh looks into, and a target for each bucket that it may choose. */
static void choose_buckets(struct pc_node *node)
{
    unsigned edge = pc_kad_table_edge(node->table);
    bool has_all = pc_kad_targets_reach(&node->targets, edge);
    pc_kad_targets_step(&node->targets, has_all ? PC_NODE_TARGET_RENEWALS : PC_NODE_TARGET_HASHES, edge);
    pc_kad_schedule_buckets(&node->schedule, node->table, node->now.mono_us, &node->refresh);
}

/* The next target of the refresh under way. False: there is none. */
static bool look_up_next(struct pc_node *node)
{
    while (node->refreshed_buckets < node->refresh.bucket_count) {
        struct pc_peer_id target;
        if (!pc_kad_targets_get(&node->targets, node->refresh.buckets[node->refreshed_buckets++], &target))
            continue; /* not found yet: another time */
        look_up(node, &target, pc_base_time_add(node->now.mono_us, PC_NODE_WALK_MAX_US));
        return true;
    }
    return false;
}

/* Dial the next address of the connection's target that can be dialled. False: none is left. */
static bool dial_target(struct pc_node *node, struct connection *connection)
{
    for (; connection->target_addr < connection->target->addr_count; connection->target_addr++) {
        struct pc_ip_port remote;
        const struct pc_maddr *addr = &connection->target->addrs[connection->target_addr];
        if (pc_addr_classify(pc_addr_maddr_bytes(addr), &remote) != PC_ADDR_QUIC_V1 ||
            pc_join_filter_judge(&node->filter, &remote) == PC_FILTER_DENIED)
            continue;
        connection->addr = *addr;
        connection->started_us = node->now.mono_us;
        pc_cache_set_attempt(node->set, &connection->id, pc_addr_maddr_bytes(addr), node->now.wall_ms);
        struct pc_node_action *action = pc_node_act(node, PC_NODE_DIAL);
        action->connection = connection->number;
        action->remote = remote;
        action->id = connection->id;
        action->deadline_us = pc_base_time_min(pc_base_time_add(node->now.mono_us, PC_JOIN_DIAL_TIMEOUT_US),
                                               node->walk_deadline_us);
        return true;
    }
    return false;
}

static void ask(struct pc_node *node, const struct pc_kad_entry *entry)
{
    struct connection *connection = pc_node_pool_find(node, &entry->id);
    if (pc_node_find_asked(node, entry))
        return;
    if (connection) {
        pc_node_find_node(node, connection, REQUEST_WALK);
        return;
    }
    if (node->options.exclusive) { /* nobody but those given is dialled */
        pc_node_walk_failed(node, &entry->id);
        return;
    }
    connection = pc_node_connection_new(node, ++node->next_connection, FOR_WALK);
    if (connection)
        connection->target = malloc(sizeof(*connection->target));
    if (!connection || !connection->target) {
        out_of_memory(node);
        if (connection)
            pc_node_connection_drop(node, connection);
        pc_node_walk_failed(node, &entry->id);
        return;
    }
    *connection->target = *entry;
    connection->id = entry->id;
    connection->via = PEERCACHE_VIA_DHT;
    if (!dial_target(node, connection)) {
        pc_node_walk_failed(node, &entry->id);
        pc_node_connection_drop(node, connection);
    }
}

void pc_node_walk_pump(struct pc_node *node)
{
    bool timed_out = node->now.mono_us >= node->walk_deadline_us;
    while (node->lookup && !timed_out && !(node->is_finding && node->is_found) && pc_node_has_room(node, 0)) {
        const struct pc_kad_entry *entry = pc_kad_lookup_next(node->lookup, node->now.mono_us);
        if (!entry)
            break;
        ask(node, entry);
    }
    if (node->unfinished && !timed_out)
        return;
    if (!node->lookup || timed_out || (node->is_finding && node->is_found) ||
        pc_kad_lookup_done(node->lookup)) {
        if (!pc_node_has_room(node, 0))
            return;
        pc_node_walk_end(node);
    }
}

void pc_node_walk_end(struct pc_node *node)
{
    bool timed_out = node->now.mono_us >= node->walk_deadline_us;
    uint32_t count = node->lookup ? (uint32_t)pc_kad_lookup_answered_count(node->lookup) : 0;
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n)) {
        struct connection *connection = PC_CONTAINER_OF(n, struct connection, by_number);
        if (connection->purpose == FOR_WALK && !connection->open)
            pc_node_connection_cancel(node, connection);
    }
    pc_kad_lookup_free(node->lookup);
    node->lookup = NULL;
    node->walk_deadline_us = PC_TIME_NEVER;
    if (node->is_finding) {
        pc_node_find_end(node, timed_out);
        return;
    }
    if (pc_addr_peer_id_equal(&node->walk_target, &node->options.own_id)) {
        pc_node_tell(node, &(peercache_node_event){ .kind = PEERCACHE_NODE_WALKED, .count = count });
        if (!node->options.once)
            choose_buckets(node);
    }
    if (look_up_next(node))
        node->unfinished = true; /* nothing is under way yet: the next step begins with it */
    else
        pc_node_after_walk(node);
}

void pc_node_walk_dial_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                             int64_t rtt_us)
{
    if (pc_node_find_dial_ended(node, connection, outcome, rtt_us))
        return;
    if (outcome == PEERCACHE_OK) {
        if (node->lookup)
            pc_node_find_node(node, connection, REQUEST_WALK);
        return;
    }
    struct connection *other = pc_node_pool_find(node, &connection->id);
    if (other) { /* it dialled us meanwhile */
        if (node->lookup && !connection->cancelled)
            pc_node_find_node(node, other, REQUEST_WALK);
        return;
    }
    /* A proven peer of another network is one at all its addresses. */
    bool proven = outcome == PEERCACHE_PROTOCOL_MISMATCH || outcome == PEERCACHE_DENIED;
    if (node->lookup && connection->target && !connection->cancelled && !proven) {
        /* Another address of the peer, on a connection of its own: numbers are never used twice. */
        struct connection *again = pc_node_connection_new(node, ++node->next_connection, FOR_WALK);
        if (again) {
            again->target = connection->target;
            connection->target = NULL;
            again->target_addr = (uint8_t)(connection->target_addr + 1);
            again->id = connection->id;
            again->via = connection->via;
            if (dial_target(node, again))
                return;
            pc_node_connection_drop(node, again);
        }
    }
    pc_node_walk_failed(node, &connection->id);
    pc_node_table_remove(node, &connection->id);
}

/* A peer that was told of as a contact; the addresses are the caller's. False: there is none to be dialled, or nothing new. */
static bool contact_of(struct pc_node *node, const struct pc_kad_peer *peer, bool may_skip,
                       struct pc_maddr ret_addrs[PC_KAD_ADDRS_PER_PEER], struct pc_kad_contact *ret_contact)
{
    size_t count = 0;
    for (size_t i = 0; i < peer->addr_count && count < PC_KAD_ADDRS_PER_PEER; i++) {
        struct pc_node_heard *heard = pc_node_hear(node, peer->addrs[i]);
        if (!heard->may_be_stored || heard->ip_port.family == 0)
            continue;
        if (count == 0 && may_skip && pc_node_lookup_has_heard(node, &peer->id, heard))
            return false;
        if (count == 0)
            ret_contact->group = heard->group;
        ret_addrs[count++] = heard->addr;
    }
    ret_contact->id = peer->id;
    ret_contact->addrs = ret_addrs;
    ret_contact->addr_count = count;
    return count > 0;
}

void pc_node_walk_answered(struct pc_node *node, const struct pc_peer_id *id,
                           const struct pc_kad_message *kad)
{
    struct pc_kad_contact contacts[PC_KAD_PEERS_MAX];
    struct pc_maddr addrs[PC_KAD_PEERS_MAX][PC_KAD_ADDRS_PER_PEER];
    size_t count = 0;
    if (!node->lookup)
        return;
    /* Of more than k the lookup takes the closest, and who it knows is to take a place among them. */
    bool may_skip = kad->peer_count <= PC_KAD_K;
    for (size_t i = 0; i < kad->peer_count; i++)
        count += contact_of(node, &kad->peers[i], may_skip, addrs[count], &contacts[count]);
    if (pc_kad_lookup_answered(node->lookup, id, contacts, count))
        out_of_memory(node);
}

void pc_node_walk_failed(struct pc_node *node, const struct pc_peer_id *id)
{
    if (node->lookup)
        pc_kad_lookup_failed(node->lookup, id);
}
