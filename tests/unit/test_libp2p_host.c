#include "check.h"

#include "sim_network.h"

#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S PC_US_PER_S

static struct pc_identity *identities[4];

static int make_identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint8_t seed[32];
        uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
        size_t size;
        memset(seed, (int)i + 1, sizeof(seed));
        assert_int_equal(pc_libp2p_key_generate(seed, key, sizeof(key), &size), 0);
        assert_int_equal(
            pc_libp2p_identity_new(pc_bytes_of(key, size), INT64_C(1780000000000), &identities[i], NULL), 0);
    }
    return 0;
}

static int free_identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        pc_libp2p_identity_free(identities[i]);
    return 0;
}

static struct pc_libp2p_options options_of(size_t identity, bool server)
{
    struct pc_libp2p_options options;
    pc_libp2p_options_init(&options);
    options.identity = identities[identity];
    options.kad_protocol = "/test/kad/1.0.0";
    options.server = server;
    pc_base_rng_init_u64(&options.rng, 1000 + identity);
    return options;
}

static const struct pc_peer_id *id_of(size_t identity)
{
    return pc_libp2p_identity_id(identities[identity]);
}

/* A client (node 0, identity 0) and a server (node 1, identity 1). */
static struct sim *new_pair(uint64_t seed, uint8_t family)
{
    struct sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    sim_init(sim, seed);
    struct pc_libp2p_options client = options_of(0, false);
    struct pc_libp2p_options server = options_of(1, true);
    assert_int_equal(sim_add_host(sim, &client, family), 0);
    assert_int_equal(sim_add_host(sim, &server, family), 1);
    return sim;
}

static void free_sim(struct sim *sim)
{
    sim_deinit(sim);
    free(sim);
}

static void dial(struct sim *sim, uint64_t number, size_t to, const struct pc_peer_id *expected,
                 int64_t for_us)
{
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, number, &sim->nodes[to].address,
                                         expected, sim->now.mono_us + for_us),
                     0);
}

static void check_dial(uint8_t family)
{
    struct sim *sim = new_pair(1, family);
    struct pc_maddr listen;
    int64_t start_us = sim->now.mono_us;
    int64_t rtt_us = 2 * sim->delay_us;
    pc_addr_from_ip_port(&sim->nodes[1].address, &listen);
    assert_int_equal(pc_libp2p_host_set_addrs(sim->nodes[1].host, &listen, 1), 0);
    dial(sim, 5, 1, id_of(1), 10 * S);
    sim_run(sim, start_us + S);
    struct sim_event *opened = sim_find(sim, 0, PC_LIBP2P_OPENED);
    assert_non_null(opened);
    assert_int_equal(opened->at_us - start_us, 2 * rtt_us);
    assert_int_equal(opened->event.proven_us, rtt_us);
    assert_int_equal(opened->event.rtt_us, rtt_us);
    assert_int_equal(opened->event.connection, 5);
    assert_int_equal(opened->event.outcome, PEERCACHE_OK);
    assert_true(pc_addr_peer_id_equal(&opened->event.id, id_of(1)));
    assert_true(pc_addr_ip_port_equal(&opened->event.remote, &sim->nodes[1].address));
    assert_int_equal(opened->protocol_count, 3);
    assert_string_equal(opened->protocols[0], "/ipfs/id/1.0.0");
    assert_string_equal(opened->protocols[1], "/ipfs/ping/1.0.0");
    assert_string_equal(opened->protocols[2], "/test/kad/1.0.0");
    assert_string_equal(opened->agent, "peercache/0.1.0");
    assert_int_equal(opened->addr_count, 1);
    struct pc_maddr observed;
    pc_addr_from_ip_port(&sim->nodes[0].address, &observed);
    assert_true(pc_bytes_equal(opened->observed, pc_addr_maddr_bytes(&observed)));

    struct sim_event *inbound = sim_find(sim, 1, PC_LIBP2P_OPENED);
    assert_non_null(inbound);
    assert_true(inbound->event.connection & PC_LIBP2P_INBOUND);
    assert_true(pc_addr_peer_id_equal(&inbound->event.id, id_of(0)));
    assert_int_equal(inbound->protocol_count, 2); /* a client announces no kad */
    free_sim(sim);
}

static void dial_opens_in_two_round_trips_ip4(void **state)
{
    (void)state;
    check_dial(4);
}

static void dial_opens_in_two_round_trips_ip6(void **state)
{
    (void)state;
    check_dial(6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dial_opens_in_two_round_trips_ip4),
        cmocka_unit_test(dial_opens_in_two_round_trips_ip6),
    };
    return cmocka_run_group_tests(tests, make_identities, free_identities);
}
