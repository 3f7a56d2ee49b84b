/*
 * Failure of every allocation of two hosts that meet, ngtcp2's of a connection among them, which are ours. What is asked of
 * us works or says that memory is out; a connection may be lost, told as every loss is; and afterwards the hosts
 * are as good as new.
 */
#include "memory_check.h"

#include "base/time.h"
#include "sim_network.h"

#include <stdlib.h>
#include <string.h>

#define S PC_US_PER_S

static struct pc_identity *identities[2];

static struct pc_libp2p_options options_of(size_t number)
{
    struct pc_libp2p_options options;
    pc_libp2p_options_init(&options);
    options.identity = identities[number];
    options.kad_protocol = "/test/kad/1.0.0";
    options.server = number == 1;
    pc_base_rng_init_u64(&options.rng, 1000 + number);
    return options;
}

static void add_host(struct sim *sim, size_t number)
{
    struct pc_libp2p_options options = options_of(number);
    struct sim_node node = { .host = NULL };
    MUST(pc_libp2p_host_new(&options, &node.host));
    assert_int_equal(sim_add_node(sim, &node, 4), number);
}

/* How the connection of this number ended, or OK when it is there. */
static peercache_outcome meet(struct sim *sim, uint64_t number)
{
    const struct pc_peer_id *server = pc_libp2p_identity_id(identities[1]);
    size_t seen = sim->event_count;
    MUST(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, number, &sim->nodes[1].address, server,
                             sim->now.mono_us + 5 * S));
    sim_run(sim, sim->now.mono_us + 6 * S);
    for (; seen < sim->event_count; seen++) {
        const struct pc_libp2p_event *event = &sim->events[seen].event;
        if (sim->events[seen].node != 0 || event->connection != number)
            continue;
        HOLDS(event->kind == PC_LIBP2P_OPENED || event->kind == PC_LIBP2P_FAILED);
        HOLDS((event->kind == PC_LIBP2P_OPENED) == (event->outcome == PEERCACHE_OK));
        return event->outcome;
    }
    fail_msg("allocation %u: the dial never ended", failing_memory_number());
    return PEERCACHE_TIMEOUT;
}

/* True when it was answered; whatever becomes of it, it ends once. */
static bool ask(struct sim *sim, uint64_t connection, uint64_t request, bool is_ping)
{
    const struct pc_peer_id *key = pc_libp2p_identity_id(identities[0]);
    struct pc_libp2p_host *client = sim->nodes[0].host;
    size_t seen = sim->event_count;
    unsigned ends = 0;
    bool is_answered = false;
    int result;
    if (is_ping)
        AGAIN(result, pc_libp2p_host_ping(client, sim->now, connection, request, sim->now.mono_us + 3 * S));
    else
        AGAIN(result, pc_libp2p_host_find_node(client, sim->now, connection, request,
                                               pc_bytes_of(key->bytes, key->size), sim->now.mono_us + 3 * S));
    HOLDS(result == 0 || result == PEERCACHE_ENOTFOUND); /* the connection was lost meanwhile */
    sim_run(sim, sim->now.mono_us + 4 * S);
    for (; seen < sim->event_count; seen++) {
        const struct sim_event *event = &sim->events[seen];
        if (event->node != 0 || event->event.request != request)
            continue;
        is_answered = event->event.kind == PC_LIBP2P_ANSWERED;
        ends++;
    }
    HOLDS(ends == (result == 0));
    return is_answered;
}

static void use(struct sim *sim)
{
    struct pc_maddr listen;
    pc_addr_from_ip_port(&sim->nodes[1].address, &listen);
    MUST(pc_libp2p_host_set_addrs(sim->nodes[1].host, &listen, 1));
    if (meet(sim, 1) == PEERCACHE_OK) {
        (void)ask(sim, 1, 1, true);
        (void)ask(sim, 1, 2, false);
    }
    pc_libp2p_host_close(sim->nodes[0].host, sim->now, 1, 0);
    sim_run(sim, sim->now.mono_us + 60 * S);
}

static void hosts_survive_it(void **state)
{
    (void)state;
    struct pc_kad_peer known = { .id = { .size = 38, .bytes = { 0, 36, 8, 1, 18, 32 } } };
    unsigned lost = 0;
    failing_memory_first();
    do {
        static struct sim sim;
        sim_init(&sim, 7);
        sim.answer = &known;
        sim.answer_count = 1;
        failing_memory_arm();
        add_host(&sim, 0);
        add_host(&sim, 1);
        use(&sim);
        failing_memory_disarm();
        HOLDS(pc_libp2p_host_connection_count(sim.nodes[0].host) == 0);
        HOLDS(pc_libp2p_host_connection_count(sim.nodes[1].host) == 0);
        lost += !sim_find(&sim, 0, PC_LIBP2P_ANSWERED);
        HOLDS(meet(&sim, 2) == PEERCACHE_OK);
        HOLDS(ask(&sim, 2, 11, true) && ask(&sim, 2, 12, false));
        sim_deinit(&sim);
    } while (failing_memory_next());
    print_message("# %u allocations of a cycle, %u of which lost the connection or what was asked\n",
                  failing_memory_count(), lost);
    assert_true(failing_memory_count() > 20);
}

static void an_identity_survives_it(void **state)
{
    (void)state;
    uint8_t seed[32] = { 9 }, key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t size;
    assert_int_equal(pc_libp2p_key_generate(seed, key, sizeof(key), &size), 0);
    failing_memory_first();
    do {
        struct pc_identity *identity = NULL;
        struct pc_peer_id id;
        failing_memory_arm();
        MUST(pc_libp2p_identity_new(pc_bytes_of(key, size), INT64_C(1780000000000), &identity, NULL));
        failing_memory_disarm();
        assert_int_equal(pc_libp2p_certificate_verify(pc_libp2p_identity_certificate(identity),
                                                      INT64_C(1780000000000), &id, NULL),
                         0);
        HOLDS(pc_addr_peer_id_equal(&id, pc_libp2p_identity_id(identity)));
        pc_libp2p_identity_free(identity);
    } while (failing_memory_next());
}

static int make_identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t seed[32] = { (uint8_t)(i + 1) };
        uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
        size_t size;
        if (pc_libp2p_key_generate(seed, key, sizeof(key), &size) ||
            pc_libp2p_identity_new(pc_bytes_of(key, size), INT64_C(1780000000000), &identities[i], NULL))
            return -1;
    }
    return 0;
}

static int free_identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        pc_libp2p_identity_free(identities[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_survive_it),
        cmocka_unit_test(an_identity_survives_it),
    };
    return cmocka_run_group_tests(tests, make_identities, free_identities);
}
