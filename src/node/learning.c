/* What a node learns from others, and what it answers them. */
#include "node/internal.h"

#include <stdlib.h>

static void note(struct pc_node *node, int result, const struct pc_reason *reason)
{
    if (result == PEERCACHE_ENOMEM)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: an address is not remembered");
    else if (result == PEERCACHE_EUNSUPPORTED)
        pc_base_log(node->options.log, PC_LOG_DEBUG, "node", "not remembered: %s",
                    reason ? reason->text : "");
}

bool pc_node_names(const struct pc_identify *identify, const char *protocol)
{
    struct pc_bytes name = pc_bytes_of(protocol, strlen(protocol));
    for (size_t i = 0; i < identify->protocol_count; i++)
        if (pc_bytes_equal(identify->protocols[i], name))
            return true;
    return false;
}

bool pc_node_speaks_our_protocol(const struct pc_node *node, const struct pc_identify *identify)
{
    return pc_node_names(identify, node->kad_protocol);
}

static peercache_source source_of_dial(const struct connection *connection)
{
    switch (connection->via) {
    case PEERCACHE_VIA_FLAG:
        return PEERCACHE_SOURCE_FLAG;
    case PEERCACHE_VIA_ENV:
        return PEERCACHE_SOURCE_ENV;
    case PEERCACHE_VIA_ENDPOINT:
        return PEERCACHE_SOURCE_ENDPOINT;
    case PEERCACHE_VIA_CACHE: /* known already, and the first source stays */
    case PEERCACHE_VIA_DHT:
    case PEERCACHE_VIA_COUNT:
        break;
    }
    return PEERCACHE_SOURCE_DHT;
}

/* Does the end of a dial show that our side of the network works? */
static bool is_answer(peercache_outcome outcome)
{
    switch (outcome) {
    case PEERCACHE_OK:
    case PEERCACHE_REFUSED:
    case PEERCACHE_TLS_FAILED:
    case PEERCACHE_WRONG_IDENTITY:
    case PEERCACHE_PROTOCOL_MISMATCH:
    case PEERCACHE_MISBEHAVED:
        return true;
    case PEERCACHE_TIMEOUT:
    case PEERCACHE_UNREACHABLE:
    case PEERCACHE_DNS_FAILED:
    case PEERCACHE_UNSUPPORTED:
    case PEERCACHE_DENIED:
    case PEERCACHE_CANCELLED:
    case PEERCACHE_OUTCOME_COUNT:
        break;
    }
    return false;
}

/* What is held back of a family that is a black hole is not counted, whatever answers elsewhere. */
static void drop_held_of_holes(struct pc_node *node)
{
    for (uint8_t family = 4; node->plan && family <= 6; family += 2)
        if (pc_plan_is_hole(node->plan, family))
            pc_cache_set_drop_held_of(node->set, family);
}

void pc_node_learn_outcome(struct pc_node *node, const struct connection *connection,
                           peercache_outcome outcome, const struct pc_peer_id *proven, int64_t rtt_us)
{
    uint32_t rtt = rtt_us < 0 || rtt_us >= PC_RTT_UNKNOWN ? PC_RTT_UNKNOWN : (uint32_t)rtt_us;
    struct pc_ip_port remote;
    if (outcome == PEERCACHE_OK) {
        node->newest_success_ms = node->now.wall_ms;
        pc_node_save_news(node);
    }
    if (is_answer(outcome)) {
        node->answered_at_us = node->now.mono_us;
        drop_held_of_holes(node); /* before the rest of what is held counts */
    } else if (node->plan &&
               pc_addr_classify(pc_addr_maddr_bytes(&connection->addr), &remote) == PC_ADDR_QUIC_V1 &&
               !pc_plan_failure_counts(node->plan, remote.family)) {
        return; /* nothing comes through this family, whoever is dialled */
    }
    int result = pc_cache_set_report(node->set, &connection->id, pc_addr_maddr_bytes(&connection->addr),
                                     outcome, proven, rtt, source_of_dial(connection), node->now.wall_ms);
    note(node, result, &(struct pc_reason){ "an address that is never stored" });
    /* The cache holds silence back until something answers. Where something did while this dial was under way
     * it counts at once: a program that ends after one join would never see another answer. */
    if (outcome == PEERCACHE_OK || node->answered_at_us >= connection->started_us)
        note(node, pc_cache_set_answered(node->set, node->now.wall_ms), NULL);
}

void pc_node_answered(struct pc_node *node)
{
    node->answered_at_us = node->now.mono_us;
    drop_held_of_holes(node);
    note(node, pc_cache_set_answered(node->set, node->now.wall_ms), NULL);
}

int pc_node_storable(const struct pc_node *node, struct pc_bytes addr, struct pc_maddr *ret_addr)
{
    struct pc_ip_port where;
    struct pc_maddr normal;
    if (pc_addr_storable(addr, node->options.mode, false, ret_addr, NULL) == 0)
        return 0;
    /* A private address of a network that is allowed by name. */
    int result = pc_addr_storable(addr, PC_NETGROUP_LOCAL, false, &normal, NULL);
    if (result)
        return result;
    if (pc_addr_classify(pc_addr_maddr_bytes(&normal), &where) != PC_ADDR_QUIC_V1 ||
        pc_join_filter_judge(&node->filter, &where) != PC_FILTER_ALLOWED)
        return PEERCACHE_EUNSUPPORTED;
    *ret_addr = normal;
    return 0;
}

int pc_node_remember(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr,
                     peercache_source source, const struct pc_netgroup *teller)
{
    struct pc_reason reason = { "" };
    int result = pc_cache_set_add(node->set, id, pc_addr_maddr_bytes(addr), false, source, teller,
                                  node->now.wall_ms, &reason);
    note(node, result, &reason);
    return result;
}

void pc_node_learn_server(struct pc_node *node, const struct connection *connection,
                          const struct pc_identify *identify)
{
    struct pc_maddr addrs[PC_KAD_ADDRS_PER_PEER];
    size_t count = 0;
    struct pc_ip_port remote;
    struct pc_netgroup teller = pc_addr_netgroup(pc_addr_maddr_bytes(&connection->addr), node->options.mode);
    bool inbound = connection->purpose == FOR_PEER;

    /* The address we dialled is proven; the port that an inbound peer came from may be one that nobody
     * listens on. */
    if (!inbound)
        addrs[count++] = connection->addr;
    for (size_t i = 0; i < identify->addr_count; i++) {
        struct pc_maddr addr;
        if (pc_node_storable(node, identify->addrs[i], &addr))
            continue;
        (void)pc_node_remember(node, &connection->id, &addr,
                               inbound ? PEERCACHE_SOURCE_INBOUND : PEERCACHE_SOURCE_DHT, &teller);
        if (count < PC_KAD_ADDRS_PER_PEER &&
            pc_addr_classify(pc_addr_maddr_bytes(&addr), &remote) == PC_ADDR_QUIC_V1 &&
            (count == 0 || !pc_bytes_equal(pc_addr_maddr_bytes(&addrs[0]), pc_addr_maddr_bytes(&addr))))
            addrs[count++] = addr;
    }
    if (count == 0)
        return; /* a server that nobody could dial */
    enum pc_kad_place place;
    if (pc_kad_table_verified(node->table, &(struct pc_kad_contact){ connection->id, teller, addrs, count },
                              node->now.mono_us, &place) == PEERCACHE_ENOMEM)
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a peer is not in the table");
    pc_kad_candidates_remove(node->candidates, &connection->id);
    pc_node_save_news(node);
    /* The first peer of a node that lives alone is its way in: the schedule refreshes at once. */
    pc_node_table_changed(node);
}

void pc_node_learn_answer(struct pc_node *node, const struct connection *teller,
                          const struct pc_kad_message *kad)
{
    struct pc_netgroup group = pc_addr_netgroup(pc_addr_maddr_bytes(&teller->addr), node->options.mode);
    for (size_t i = 0; i < kad->peer_count; i++) {
        const struct pc_kad_peer *peer = &kad->peers[i];
        if (pc_addr_peer_id_equal(&peer->id, &node->options.own_id))
            continue;
        struct pc_maddr addrs[PC_KAD_ADDRS_PER_PEER];
        size_t count = 0;
        bool is_member = false;
        for (size_t j = 0; j < peer->addr_count; j++) {
            struct pc_node_heard *heard = pc_node_hear(node, peer->addrs[j]);
            if (!heard->may_be_stored)
                continue;
            pc_node_remember_heard(node, &peer->id, heard, &group);
            pc_node_join_offer_heard(node, &peer->id, heard);
            is_member = is_member || pc_node_heard_of_member(node, &peer->id, heard);
            if (!is_member && count < PC_KAD_ADDRS_PER_PEER)
                addrs[count++] = heard->addr;
        }
        if (!is_member)
            pc_node_offer_candidate(node, &peer->id, addrs, count);
    }
}

void pc_node_answer(struct pc_node *node, const struct pc_libp2p_event *asked)
{
    const struct pc_kad_entry *entries[PC_KAD_K + 1];
    /* Most ask for their own neighbours. Of any other key none is kept: who asks may make them up. */
    struct pc_kad_key target = pc_bytes_equal(asked->key, pc_addr_peer_id_bytes(&asked->id))
                                   ? pc_kad_keys_of(&node->keys, &asked->id)
                                   : pc_kad_key_of(asked->key);
    struct connection *connection = pc_node_connection_find(node, asked->connection);
    if (connection)
        pc_node_pool_used(node, connection);
    size_t found = pc_kad_table_closest(node->table, &target, entries, PC_KAD_K + 1);
    size_t count = 0;
    for (size_t i = 0; i < found && count < PC_KAD_K; i++) {
        if (pc_addr_peer_id_equal(&entries[i]->id, &asked->id))
            continue; /* the one who asks knows itself */
        struct pc_kad_peer *peer = &node->answer[count++];
        peer->id = entries[i]->id;
        peer->addr_count = entries[i]->addr_count;
        for (size_t j = 0; j < entries[i]->addr_count; j++)
            peer->addrs[j] = pc_addr_maddr_bytes(&entries[i]->addrs[j]);
    }
    struct pc_node_action *action = pc_node_act(node, PC_NODE_ANSWER);
    action->asked = asked->asked;
    action->peers = node->answer;
    action->peer_count = count;
}
