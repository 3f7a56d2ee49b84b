/*
 * Living: the routing table is tended, so that it holds true neighbours and nobody who is gone.
 *
 * - Refreshes, when the schedule says so (kad/schedule.h): a lookup of our own id, then of a target in each bucket that
 *   wants it. They are walks (walking.c).
 * - After each refresh a few of the cache that are not in the table are dialled for buckets that have room; before them, while the
 *   table is small, the given peers that are not in it.
 * - Then candidates (kad/candidates.h), peers that answers told of, for the room that is left.
 * - Members that the table wants tested are pinged, or dialled when no connection is open; who does not answer leaves.
 * - Feelers: now and then a dial to one cached peer that is new, or whose place a newcomer wants, so that what the cache
 *   calls tried stays true.
 *
 * All of these dials are probes: who is verified comes into table and cache by the way of every other dial.
 */
#include "node/internal.h"

#include <stdlib.h>

#define RECALL_PICKS 64 /* drawn after a refresh; most are in the table */
#define FEELER_PICKS 16 /* drawn for one feeler; the first that is new, and not connected, is dialled */

static bool probe_is_free(const struct pc_node *node)
{
    return node->probe_count < PC_NODE_PROBES_MAX;
}

/* What the cache knows of an address: its last dial failed. */
static bool is_failing(const struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    const struct pc_record *record = pc_cache_set_find(node->set, id);
    for (size_t i = 0; record && i < record->addr_count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(&record->addrs[i].addr), pc_addr_maddr_bytes(addr)))
            return record->addrs[i].history.last_attempt_ms > record->addrs[i].history.last_success_ms;
    return false;
}

/* Dial the first address of a peer that may be dialled. False: there is none, or no memory. */
static bool probe(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                  size_t addr_count, peercache_via via, bool is_test)
{
    for (size_t i = 0; i < addr_count; i++) {
        struct pc_joiner_candidate candidate = { .id = *id, .addr = addrs[i], .via = via };
        const char *unused;
        if (pc_addr_classify(pc_addr_maddr_bytes(&addrs[i]), &candidate.ip_port) != PC_ADDR_QUIC_V1 ||
            pc_node_why_not_dialled(node, &candidate, &unused) != PEERCACHE_OK)
            continue;
        struct connection *connection = pc_node_connection_new(node, ++node->next_connection, FOR_PROBE);
        if (!connection)
            return false; /* no memory: another time */
        connection->id = *id;
        connection->addr = addrs[i];
        connection->via = via;
        connection->is_test = is_test;
        connection->was_failing = via == PEERCACHE_VIA_CACHE && is_failing(node, id, &addrs[i]);
        node->probe_count++;
        pc_cache_set_attempt(node->set, id, pc_addr_maddr_bytes(&addrs[i]), node->now.wall_ms);
        struct pc_node_action *action = pc_node_act(node, PC_NODE_DIAL);
        action->connection = connection->number;
        action->remote = candidate.ip_port;
        action->id = *id;
        action->deadline_us = pc_base_time_add(node->now.mono_us, PC_JOIN_DIAL_TIMEOUT_US);
        return true;
    }
    return false;
}

void pc_node_probe_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome)
{
    node->probe_count--;
    if (outcome != PEERCACHE_OK && connection->is_test && !pc_node_pool_find(node, &connection->id))
        pc_node_table_remove(node, &connection->id);
    if (outcome == PEERCACHE_OK && connection->was_failing) {
        node->came_back = true;
        pc_node_recall(node, PC_NODE_RECALLS);
    }
}

void pc_node_table_remove(struct pc_node *node, const struct pc_peer_id *id)
{
    bool is_member = pc_kad_table_find(node->table, id) != NULL;
    if (is_member && pc_kad_table_is_neighbour(node->table, id))
        pc_kad_schedule_neighbour_left(&node->schedule, node->now.mono_us);
    pc_kad_table_remove(node->table, id); /* a replacement too: it is not to come in when a member leaves */
    if (is_member)
        pc_node_table_changed(node);
}

void pc_node_table_changed(struct pc_node *node)
{
    pc_kad_schedule_peers(&node->schedule, pc_kad_table_count(node->table), node->now.mono_us);
    node->wants_candidates = true;
    pc_node_pool_table_changed(node);
}

/* ----- tests of members ----- */

static void ping_member(struct pc_node *node, struct connection *connection)
{
    struct request *request = pc_node_request_new(node, connection, REQUEST_TEST);
    if (!request)
        return; /* no memory: the table gives it out again */
    struct pc_node_action *action = pc_node_act(node, PC_NODE_PING);
    action->connection = connection->number;
    action->request = request->number;
    action->deadline_us = pc_base_time_add(node->now.mono_us, PC_NODE_REQUEST_TIMEOUT_US);
}

static void test_members(struct pc_node *node)
{
    const struct pc_kad_entry *member;
    while (probe_is_free(node) && pc_node_has_room(node, 0) &&
           (member = pc_kad_table_next_test(node->table, node->now.mono_us)) != NULL) {
        const struct pc_kad_entry copy = *member; /* a dial that cannot be made changes the table */
        struct connection *connection = pc_node_pool_find(node, &copy.id);
        if (connection)
            ping_member(node, connection);
        else if (!probe(node, &copy.id, copy.addrs, copy.addr_count, PEERCACHE_VIA_DHT, true))
            pc_node_table_remove(node, &copy.id);
    }
}

void pc_node_test_ended(struct pc_node *node, const struct pc_peer_id *id, bool answered)
{
    if (answered)
        pc_kad_table_answered(node->table, id, node->now.mono_us);
    else
        pc_node_table_remove(node, id);
}

/* ----- candidates ----- */

void pc_node_offer_candidate(struct pc_node *node, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                             size_t addr_count)
{
    struct pc_kad_contact contact = { .id = *id, .addrs = addrs, .addr_count = addr_count };
    if (node->options.once || addr_count == 0 || pc_kad_table_find(node->table, id))
        return;
    contact.group = pc_addr_netgroup(pc_addr_maddr_bytes(&addrs[0]), node->options.mode);
    if (pc_kad_candidates_offer(node->candidates, &contact, node->now.mono_us))
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a peer is not kept in mind");
    node->wants_candidates = true;
}

/* For buckets with room, not deeper than our neighbours: those are found by lookups of our own id. But of whom the cache alone
 * tells no lookup finds. */
static void dial_candidates(struct pc_node *node)
{
    unsigned edge = node->wants_deep_candidates ? PC_KAD_BUCKETS - 1 : pc_kad_table_edge(node->table);
    if (!node->wants_candidates || node->options.exclusive)
        return;
    for (unsigned bucket = 0; bucket < PC_KAD_BUCKETS && bucket <= edge; bucket++) {
        struct pc_kad_entry entry;
        size_t wanted = PC_KAD_K - pc_kad_table_bucket_count(node->table, bucket);
        for (; wanted > 0; wanted--) {
            if (!probe_is_free(node) || !pc_node_has_room(node, 0))
                return; /* goes on when a probe has ended */
            if (!pc_kad_candidates_take(node->candidates, bucket, node->now.mono_us, &entry))
                break;
            if (!pc_node_pool_find(node, &entry.id))
                (void)probe(node, &entry.id, entry.addrs, entry.addr_count, PEERCACHE_VIA_DHT, false);
        }
    }
    node->wants_candidates = node->wants_deep_candidates = false;
}

/* ----- of the cache ----- */

/* Of those that may be reached from here. `rested`: without those that keep failing and were dialled lately. */
static size_t pick(struct pc_node *node, bool rested, struct pc_pick *ret_picks, size_t count)
{
    const struct pc_pick_filter filter = { .quic_only = true,
                                           .rested = rested,
                                           .families = (node->has_ip4 ? PEERCACHE_FAMILY_IP4 : 0u) |
                                                       (node->has_ip6 ? PEERCACHE_FAMILY_IP6 : 0u) };
    size_t given = 0;
    if (filter.families == 0) /* which would be any */
        return 0;
    if (pc_cache_set_pick_filtered(node->set, &node->rng, node->now.wall_ms, &filter, ret_picks, count,
                                   &given))
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: no cached peer is dialled");
    return given;
}

static bool has_place(struct pc_node *node, const struct pc_peer_id *id)
{
    const struct pc_kad_key key = pc_kad_keys_of(&node->keys, id);
    unsigned bucket = pc_kad_key_common_prefix(&node->targets.own_key, &key);
    return bucket < PC_KAD_BUCKETS && pc_kad_table_bucket_count(node->table, bucket) < PC_KAD_K;
}

/* Dial up to so many of those. Returns how many were. */
static unsigned recall_some(struct pc_node *node, bool rested, unsigned most)
{
    struct pc_pick picks[RECALL_PICKS];
    unsigned recalled = 0;
    size_t count = pick(node, rested, picks, RECALL_PICKS);
    for (size_t i = 0; i < count && recalled < most && probe_is_free(node) && pc_node_has_room(node, 0); i++)
        if (picks[i].id.size > 0 && !pc_kad_table_find(node->table, &picks[i].id) &&
            !pc_node_pool_find(node, &picks[i].id) && has_place(node, &picks[i].id))
            recalled += probe(node, &picks[i].id, &picks[i].addr, 1, PEERCACHE_VIA_CACHE, false);
    return recalled;
}

/* Peers that were given, and are in neither table nor pool, in a network that looks small: it may be an island, of those who met while
 * the others could not be reached. Names were the join's to resolve. */
static void dial_given(struct pc_node *node)
{
    if (pc_kad_table_count(node->table) >= PC_KAD_K)
        return;
    for (size_t i = 0; i < node->options.source_count && probe_is_free(node) && pc_node_has_room(node, 0);
         i++) {
        const struct pc_node_source *source = &node->sources[i];
        if (source->id.size > 0 && !pc_kad_table_find(node->table, &source->id) &&
            !pc_node_pool_find(node, &source->id))
            (void)probe(node, &source->id, &source->addr, 1, source->via, false);
    }
}

void pc_node_recall(struct pc_node *node, unsigned most)
{
    node->recalls_wanted = most;
    node->recall_begins = true;
}

/* Who is in the cache and not in the table may be back, as after a partition of the network: then nobody in the table is
 * of the other half, and no answer tells of it. Picks rotate, so that in time all have their turn; who keeps failing is
 * left alone longer and longer. But one is dialled each time, and where one is back the others may be too. */
static void recall(struct pc_node *node)
{
    if (node->recalls_wanted == 0 || !probe_is_free(node) || !pc_node_has_room(node, 0))
        return;
    bool may_be_back = node->came_back, begins = node->recall_begins;
    unsigned most = node->recalls_wanted;
    node->recalls_wanted = 0;
    node->came_back = node->recall_begins = false;
    if (begins)
        dial_given(node);
    if (node->options.exclusive || !node->options.dial_cached)
        return;
    unsigned recalled = recall_some(node, !may_be_back, most);
    if (!probe_is_free(node) || !pc_node_has_room(node, 0))
        node->recalls_wanted = most - recalled; /* goes on when a probe has ended */
    else if (recalled == 0 && begins && !may_be_back)
        (void)recall_some(node, false, 1);
}

/* Those never verified first, so that the others come in as the newest, which stay. */
void pc_node_recall_all(struct pc_node *node)
{
    static const peercache_state order[] = { PEERCACHE_NEW, PEERCACHE_TRIED };
    if (node->options.exclusive || !node->options.dial_cached)
        return;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        for (const struct pc_record *record = pc_cache_set_next(node->set, NULL); record;
             record = pc_cache_set_next(node->set, record)) {
            struct pc_maddr addrs[PEERCACHE_ADDRS_PER_PEER];
            if (record->state != order[i] || record->id.size == 0 || !has_place(node, &record->id))
                continue;
            for (size_t j = 0; j < record->addr_count; j++)
                addrs[j] = record->addrs[j].addr;
            pc_node_offer_candidate(node, &record->id, addrs, record->addr_count);
        }
    node->wants_deep_candidates = true;
}

/* ----- feelers ----- */

static void feel(struct pc_node *node)
{
    struct pc_pick picks[FEELER_PICKS];
    if (node->now.mono_us < node->feeler_at_us || !probe_is_free(node) || !pc_node_has_room(node, 0))
        return;
    node->feeler_at_us = pc_base_time_add(node->now.mono_us, pc_node_jittered(node, PC_NODE_FEELER_EVERY_US));
    if (node->options.exclusive || !node->options.dial_cached)
        return;
    size_t count = pc_cache_set_to_test(node->set, node->now.wall_ms, picks, FEELER_PICKS);
    bool contested = count > 0;
    if (!contested)
        count = pick(node, true, picks, FEELER_PICKS);
    for (size_t i = 0; i < count; i++)
        if ((contested || picks[i].state == PEERCACHE_NEW) && picks[i].id.size > 0 &&
            !pc_node_pool_find(node, &picks[i].id) &&
            probe(node, &picks[i].id, &picks[i].addr, 1, PEERCACHE_VIA_CACHE, false))
            return;
}

/* ----- the pump ----- */

void pc_node_tend_begin(struct pc_node *node)
{
    node->feeler_at_us = pc_base_time_add(node->now.mono_us, pc_node_jittered(node, PC_NODE_FEELER_EVERY_US));
    pc_kad_schedule_start(&node->schedule, node->now.mono_us);
    pc_node_table_changed(node);
}

void pc_node_tend_pump(struct pc_node *node)
{
    test_members(node);
    recall(node); /* before the others: whom we met ourselves is worth more than whom we are told of */
    dial_candidates(node);
    feel(node);
}

int64_t pc_node_tend_deadline(const struct pc_node *node)
{
    if (!probe_is_free(node))
        return PC_TIME_NEVER; /* the end of one is an event */
    if (node->recalls_wanted > 0)
        return node->now
            .mono_us; /* a refresh has ended, which in a quiet network may be the last event for long */
    return pc_base_time_min(pc_kad_table_test_at_us(node->table), node->feeler_at_us);
}
