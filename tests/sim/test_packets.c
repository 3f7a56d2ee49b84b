/*
 * Packets: whole nodes, pc_node over the real libp2p, joined by simulated datagrams that are lost, doubled, reordered, delayed,
 * cut short and damaged, in networks that black out, and at addresses that change. Handshakes draw on the system's randomness,
 * so a run does not repeat to the byte: what is checked are invariants.
 *
 * - a dial ends by its deadline, and so does a question
 * - who is in a table, or was counted as a success, truly is that peer at that address: no damage makes another of it
 * - no timer is in the past
 * - what is kept stays bounded
 * - who lost everybody, in a network that works again, is joined again soon
 * - who is asked to stop has stopped soon, and nothing is left
 *
 * PACKET_SEEDS is how many seeds each case has; PACKET_SEED the first.
 */
#include "../unit/check.h"

#include "../unit/sim_network.h"

#include "cache/set.h"
#include "libp2p/key.h"
#include "node/internal.h"
#include "node/wire.h"

#include <stdlib.h>

#define S               PC_US_PER_S
#define KAD             "/packets/kad/1.0.0"
#define MEMBERS_MAX     20
#define DIAL_MOST_US    (PC_JOIN_DIAL_TIMEOUT_US + 2 * S)
#define JOINED_AGAIN_US (600 * S)

struct member {
    struct pc_wire wire;
    struct pc_identity *identity;
    struct pc_peer_id id;
    uint32_t commits_out;
    bool has_run; /* since it was checked last */
    struct crowd *crowd;
    size_t number;
};

struct crowd {
    struct sim sim;
    struct member members[MEMBERS_MAX];
    size_t count;
    bool is_dark;     /* nothing passes */
    size_t dark_node; /* nothing passes to or from it; SIZE_MAX: none */
};

/* ----- members ----- */

static void make_identity(struct member *member)
{
    uint8_t seed[32] = { 0 }, key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t size;
    seed[0] = (uint8_t)(member->number + 1);
    assert_int_equal(pc_libp2p_key_generate(seed, key, sizeof(key), &size), 0);
    assert_int_equal(
        pc_libp2p_identity_new(pc_bytes_of(key, size), INT64_C(1780000000000), &member->identity, NULL), 0);
    member->id = *pc_libp2p_identity_id(member->identity);
}

static void edge(void *context, const struct pc_node_action *action)
{
    struct member *member = context;
    if (action->kind == PC_NODE_COMMIT)
        member->commits_out++;
}

static void run(struct member *member, const struct pc_node_event *event)
{
    peercache_time now = member->crowd->sim.now;
    member->has_run = true;
    pc_node_wire_run(&member->wire, now, event);
    while (member->commits_out > 0) { /* a disk that never fails, and takes no time */
        member->commits_out--;
        pc_node_wire_run(&member->wire, now, &(struct pc_node_event){ .kind = PC_NODE_COMMITTED });
    }
}

static void make_host(struct member *member, uint64_t seed)
{
    struct pc_libp2p_options options;
    struct pc_maddr addr;
    pc_libp2p_options_init(&options);
    options.identity = member->identity;
    options.kad_protocol = KAD;
    options.server = true;
    pc_base_rng_init_u64(&options.rng, seed);
    assert_int_equal(pc_libp2p_host_new(&options, &member->wire.host), 0);
    pc_addr_from_ip_port(&member->crowd->sim.nodes[member->number].address, &addr);
    assert_int_equal(pc_libp2p_host_set_addrs(member->wire.host, &addr, 1), 0);
}

/* Each knows the one before it, the first the last: a ring, of which a network is to become. */
static void make_node(struct member *member, uint64_t seed)
{
    struct crowd *crowd = member->crowd;
    const struct member *known = &crowd->members[(member->number + crowd->count - 1) % crowd->count];
    struct pc_node_source source = { .id = known->id, .via = PEERCACHE_VIA_FLAG };
    struct pc_maddr own;
    pc_addr_from_ip_port(&crowd->sim.nodes[known->number].address, &source.addr);
    struct pc_node_options options = {
        .own_id = member->id,
        .kad_protocol = KAD,
        .server = true,
        .walk = true,
        .save = true,
        .mode = PC_NETGROUP_LOCAL,
        .dial_cached = true,
        .target = 5,
        .min = 1,
        .timeout_us = 10 * S,
        .sources = &source,
        .source_count = 1,
    };
    pc_base_rng_init_u64(&options.rng, seed);
    assert_int_equal(pc_node_new(&options, &member->wire.node), 0);
    pc_addr_from_ip_port(&crowd->sim.nodes[member->number].address, &own);
    run(member, &(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&own) });
    run(member, &(struct pc_node_event){ .kind = PC_NODE_ROUTES, .has_ip4 = true, .has_ip6 = false });
    run(member, &(struct pc_node_event){ .kind = PC_NODE_START });
}

static void start(struct member *member, uint64_t seed)
{
    member->wire = (struct pc_wire){ .edge = edge, .context = member };
    make_host(member, seed);
    make_node(member, seed + 1000);
}

/* The process is killed: nothing is said to anybody. */
static void kill_member(struct member *member)
{
    pc_node_free(member->wire.node);
    pc_libp2p_host_free(member->wire.host);
    member->wire.node = NULL;
    member->wire.host = NULL;
}

/* ----- what is checked, after everything that happens ----- */

static const struct member *who_is_at(const struct crowd *crowd, const struct pc_maddr *addr)
{
    struct pc_ip_port at;
    if (pc_addr_classify(pc_addr_maddr_bytes(addr), &at) != PC_ADDR_QUIC_V1)
        return NULL;
    for (size_t i = 0; i < crowd->count; i++)
        if (memcmp(crowd->sim.nodes[i].address.ip, at.ip, 4) ==
            0) /* of a moved one only the port is another */
            return &crowd->members[i];
    return NULL;
}

static void check_truth(const struct member *member)
{
    const struct crowd *crowd = member->crowd;
    const struct pc_node *node = member->wire.node;
    for (const struct pc_kad_entry *entry = pc_kad_table_next(node->table, NULL); entry;
         entry = pc_kad_table_next(node->table, entry)) {
        const struct member *there = who_is_at(crowd, &entry->addrs[0]);
        assert_non_null(there);
        assert_true(pc_addr_peer_id_equal(&there->id, &entry->id));
    }
    for (const struct pc_record *record = pc_cache_set_next(node->set, NULL); record;
         record = pc_cache_set_next(node->set, record))
        for (size_t i = 0; i < record->addr_count; i++)
            if (record->addrs[i].history.success_count > 0) {
                const struct member *there = who_is_at(crowd, &record->addrs[i].addr);
                assert_non_null(there);
                assert_true(pc_addr_peer_id_equal(&there->id, &record->id));
            }
}

static void check_dials(const struct member *member)
{
    const struct pc_node *node = member->wire.node;
    for (const struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n)) {
        const struct connection *connection = PC_CONST_CONTAINER_OF(n, struct connection, by_number);
        if (!connection->open)
            assert_in_range(node->now.mono_us - connection->started_us, 0, DIAL_MOST_US);
    }
}

static void check(struct member *member)
{
    const struct pc_node *node = member->wire.node;
    if (!node || member->wire.stopped || !member->has_run)
        return;
    member->has_run = false;
    check_dials(member);
    assert_true(node->connections.count <= 200);
    assert_true(node->requests.count <= 200);
    assert_true(pc_libp2p_host_connection_count(member->wire.host) <= 400);
    /* That of the host may be due again after what was sent; sim_network.c sees to it that it is not so for ever. */
    assert_true(pc_node_deadline(node) > member->crowd->sim.now.mono_us);
}

/* ----- its place in the network of datagrams ----- */

static void receive(void *context, peercache_time now, const struct pc_datagram *datagram)
{
    struct member *member = context;
    if (!member->wire.host)
        return;
    pc_libp2p_host_receive(member->wire.host, now, datagram);
    run(member, NULL);
}

static bool send_one(void *context, peercache_time now, struct pc_datagram *datagram)
{
    struct member *member = context;
    if (member->wire.host && pc_libp2p_host_send(member->wire.host, now, datagram))
        return true;
    check(member); /* all that came of what happened has been done */
    return false;
}

static void expire(void *context, peercache_time now)
{
    struct member *member = context;
    if (!member->wire.host)
        return;
    if (member->wire.stopped)
        pc_libp2p_host_expire(member->wire.host, now);
    else
        run(member, NULL);
}

static int64_t deadline(void *context)
{
    const struct member *member = context;
    return member->wire.host ? pc_node_wire_deadline(&member->wire) : PC_TIME_NEVER;
}

static bool swallows(struct sim *sim, void *context, const struct sim_flight *flight)
{
    const struct crowd *crowd = context;
    if (crowd->is_dark)
        return true;
    if (crowd->dark_node == SIZE_MAX)
        return false;
    const struct pc_ip_port *dark = &sim->nodes[crowd->dark_node].address;
    return pc_addr_ip_port_equal(&flight->from, dark) || pc_addr_ip_port_equal(&flight->to, dark);
}

static struct crowd *new_crowd(size_t count, uint64_t seed)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    assert_non_null(crowd);
    assert_true(count <= MEMBERS_MAX);
    sim_init(&crowd->sim, seed);
    crowd->sim.jitter_us = 15000;
    crowd->sim.swallows = swallows;
    crowd->sim.swallows_context = crowd;
    crowd->dark_node = SIZE_MAX;
    crowd->count = count;
    for (size_t i = 0; i < count; i++) {
        struct member *member = &crowd->members[i];
        const struct sim_node node = {
            .context = member, .receive = receive, .send = send_one, .expire = expire, .deadline = deadline
        };
        member->crowd = crowd;
        member->number = sim_add_node(&crowd->sim, &node, 4);
        make_identity(member);
    }
    for (size_t i = 0; i < count; i++)
        start(&crowd->members[i], seed * 100 + i);
    return crowd;
}

static void run_for(struct crowd *crowd, int64_t us)
{
    sim_run(&crowd->sim, crowd->sim.now.mono_us + us);
    for (size_t i = 0; i < crowd->count; i++)
        if (crowd->members[i].wire.node && !crowd->members[i].wire.stopped)
            check_truth(&crowd->members[i]);
}

static void set_trouble(struct crowd *crowd, unsigned percent)
{
    crowd->sim.loss_percent = percent;
    crowd->sim.double_percent = percent / 2;
    crowd->sim.reorder_percent = percent;
    crowd->sim.truncate_percent = percent / 4;
    crowd->sim.damage_percent = percent / 4;
}

static bool all_have_peers(const struct crowd *crowd, size_t least)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (pc_node_table_count(crowd->members[i].wire.node) < least)
            return false;
    return true;
}

static void wait_joined(struct crowd *crowd, size_t least)
{
    for (int64_t us = 0; us < JOINED_AGAIN_US && !all_have_peers(crowd, least); us += 5 * S)
        run_for(crowd, 5 * S);
    assert_true(all_have_peers(crowd, least));
}

/* Everybody stops: within the time that a save and a polite word take. */
static void end_crowd(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (crowd->members[i].wire.node)
            run(&crowd->members[i], &(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_for(crowd, 2 * S);
    for (size_t i = 0; i < crowd->count; i++) {
        struct member *member = &crowd->members[i];
        if (member->wire.node)
            assert_true(member->wire.stopped);
    }
    run_for(crowd, 60 * S); /* nobody is left waiting for somebody who is gone */
    for (size_t i = 0; i < crowd->count; i++) {
        struct member *member = &crowd->members[i];
        if (member->wire.host)
            assert_int_equal(pc_libp2p_host_connection_count(member->wire.host), 0);
        kill_member(member);
        pc_libp2p_identity_free(member->identity);
    }
    sim_deinit(&crowd->sim);
    free(crowd);
}

/* ----- the cases, each with several seeds ----- */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void with_seeds(void (*play)(uint64_t seed))
{
    uint64_t first = number_of("PACKET_SEED", 1), count = number_of("PACKET_SEEDS", 2);
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        play(seed);
    }
}

static void play_bad_network(uint64_t seed)
{
    static const size_t sizes[] = { 2, 3, 5, 8, 13, 20 };
    struct crowd *crowd = new_crowd(sizes[seed % 6], seed);
    set_trouble(crowd, 5 + 5 * (unsigned)(seed % 4));
    run_for(crowd, 90 * S);
    set_trouble(crowd, 0);
    wait_joined(crowd, crowd->count - 1 < 3 ? 1 : 3);
    end_crowd(crowd);
}

static void play_blackout(uint64_t seed)
{
    struct crowd *crowd = new_crowd(5, seed);
    wait_joined(crowd, 3);
    crowd->is_dark = true;
    run_for(crowd, (20 + (int64_t)(seed % 4) * 60) * S);
    crowd->is_dark = false;
    wait_joined(crowd, 3);
    crowd->dark_node = seed % 5;
    run_for(crowd, 150 * S);
    crowd->dark_node = SIZE_MAX;
    wait_joined(crowd, 3);
    end_crowd(crowd);
}

/* Behind a NAT that forgets: the same host sends from another port from now on. */
static void play_moved(uint64_t seed)
{
    struct crowd *crowd = new_crowd(4, seed);
    wait_joined(crowd, 2);
    for (uint64_t i = 0; i < 4; i++) {
        struct member *member = &crowd->members[(seed + i) % 4];
        struct sim_node *place = &crowd->sim.nodes[member->number];
        place->seen_as = place->address;
        place->seen_as.port = (uint16_t)(5000 + i);
        run(member, &(struct pc_node_event){ .kind = PC_NODE_ROUTES, .has_ip4 = true, .has_ip6 = false });
        run_for(crowd, 20 * S);
    }
    for (size_t i = 0; i < crowd->count; i++) /* and back, so that what is announced is true again */
        crowd->sim.nodes[i].seen_as.family = 0;
    wait_joined(crowd, 2);
    end_crowd(crowd);
}

static void play_killed(uint64_t seed)
{
    struct crowd *crowd = new_crowd(5, seed);
    set_trouble(crowd, 4);
    for (uint64_t i = 0; i < 5; i++) {
        struct member *member = &crowd->members[(seed * 3 + i) % 5];
        run_for(crowd, (int64_t)pc_base_rng_below(&crowd->sim.rng, 20 * S));
        kill_member(member);
        run_for(crowd, (int64_t)pc_base_rng_below(&crowd->sim.rng, 40 * S));
        start(member, seed * 100 + 50 + i);
    }
    set_trouble(crowd, 0);
    wait_joined(crowd, 3);
    end_crowd(crowd);
}

static void datagrams_are_lost_doubled_reordered_cut_and_damaged(void **state)
{
    (void)state;
    play_bad_network(87); /* fell into two islands, whose peers knew enough others to look no further */
    with_seeds(play_bad_network);
}

static void networks_black_out_and_come_back(void **state)
{
    (void)state;
    with_seeds(play_blackout);
}

static void addresses_change_under_open_connections(void **state)
{
    (void)state;
    with_seeds(play_moved);
}

static void processes_are_killed_and_come_back(void **state)
{
    (void)state;
    with_seeds(play_killed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_are_lost_doubled_reordered_cut_and_damaged),
        cmocka_unit_test(networks_black_out_and_come_back),
        cmocka_unit_test(addresses_change_under_open_connections),
        cmocka_unit_test(processes_are_killed_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
