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
    assert_int_equal(opened->protocol_count, 6);
    assert_string_equal(opened->protocols[0], "/ipfs/id/1.0.0");
    assert_string_equal(opened->protocols[1], "/ipfs/ping/1.0.0");
    assert_string_equal(opened->protocols[2], "/test/kad/1.0.0");
    assert_string_equal(opened->protocols[3], "/ipfs/id/push/1.0.0");
    assert_string_equal(opened->protocols[4], "/libp2p/autonat/2/dial-request");
    assert_string_equal(opened->protocols[5], "/libp2p/autonat/2/dial-back");
    assert_string_equal(opened->agent, "peercache/0.1.0");
    assert_int_equal(opened->addr_count, 1);
    struct pc_maddr observed;
    pc_addr_from_ip_port(&sim->nodes[0].address, &observed);
    assert_true(pc_bytes_equal(opened->observed, pc_addr_maddr_bytes(&observed)));

    struct sim_event *inbound = sim_find(sim, 1, PC_LIBP2P_OPENED);
    assert_non_null(inbound);
    assert_true(inbound->event.connection & PC_LIBP2P_INBOUND);
    assert_true(pc_addr_peer_id_equal(&inbound->event.id, id_of(0)));
    assert_int_equal(inbound->protocol_count, 3); /* a client announces no kad */
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

static void any_identity_is_proven(void **state)
{
    (void)state;
    struct sim *sim = new_pair(2, 4);
    dial(sim, 1, 1, NULL, S);
    struct sim_event *opened = sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + S);
    assert_non_null(opened);
    assert_true(pc_addr_peer_id_equal(&opened->event.id, id_of(1)));
    free_sim(sim);
}

static void another_identity_is_refused(void **state)
{
    (void)state;
    struct sim *sim = new_pair(3, 4);
    int64_t start_us = sim->now.mono_us;
    dial(sim, 1, 1, id_of(2), 10 * S);
    sim_run(sim, start_us + 5 * S);
    struct sim_event *failed = sim_find(sim, 0, PC_LIBP2P_FAILED);
    assert_non_null(failed);
    assert_int_equal(failed->event.outcome, PEERCACHE_WRONG_IDENTITY);
    assert_int_equal(failed->event.proven_us, -1);
    assert_int_equal(failed->at_us - start_us, 2 * sim->delay_us);
    char text[PC_PEER_ID_TEXT_BYTES];
    pc_addr_peer_id_format(id_of(1), text);
    assert_non_null(strstr(failed->event.detail, text));
    assert_int_equal(sim->event_count, 1);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[0].host), 0);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 0);
    free_sim(sim);
}

static void silence_is_a_timeout_at_the_deadline(void **state)
{
    (void)state;
    struct sim *sim = new_pair(4, 4);
    int64_t start_us = sim->now.mono_us;
    struct pc_ip_port nobody = sim_address(99, 4);
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, 1, &nobody, NULL, start_us + 3 * S),
                     0);
    sim_run(sim, start_us + 60 * S);
    assert_int_equal(sim->event_count, 1);
    assert_int_equal(sim->events[0].event.kind, PC_LIBP2P_FAILED);
    assert_int_equal(sim->events[0].event.outcome, PEERCACHE_TIMEOUT);
    assert_string_equal(sim->events[0].event.detail, "no answer");
    assert_int_equal(sim->events[0].at_us - start_us, 3 * S);
    assert_true(sim->sent_count > 1 && sim->sent_count < 20); /* asked again, not flooded */
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[0].host), 0);
    assert_true(pc_libp2p_host_deadline(sim->nodes[0].host) == PC_TIME_NEVER);
    free_sim(sim);
}

static void hints_end_only_silent_dials(void **state)
{
    (void)state;
    struct sim *sim = new_pair(5, 4);
    struct pc_libp2p_host *host = sim->nodes[0].host;
    struct pc_ip_port nobody = sim_address(99, 4);
    struct pc_ip_port other = sim_address(98, 4);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(pc_libp2p_host_dial(host, sim->now, i, &nobody, NULL, sim->now.mono_us + 3 * S), 0);
    assert_int_equal(pc_libp2p_host_dial(host, sim->now, 4, &other, NULL, sim->now.mono_us + 3 * S), 0);
    dial(sim, 5, 1, id_of(1), 3 * S);
    pc_libp2p_host_close(host, sim->now, 2, 0); /* from the middle of those to one remote */
    sim_run(sim, sim->now.mono_us + sim->delay_us * 2 + 1);
    pc_libp2p_host_unreachable(host, sim->now, &nobody, PEERCACHE_REFUSED, "port unreachable");
    pc_libp2p_host_unreachable(host, sim->now, &sim->nodes[1].address, PEERCACHE_REFUSED, "forged");
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(sim->event_count, 4);
    unsigned refused = 0;
    for (size_t i = 0; i < sim->event_count; i++) {
        const struct pc_libp2p_event *event = &sim->events[i].event;
        if (event->kind == PC_LIBP2P_FAILED) {
            assert_true(event->connection == 1 || event->connection == 3);
            assert_int_equal(event->outcome, PEERCACHE_REFUSED);
            assert_string_equal(event->detail, "port unreachable");
            refused++;
        } else {
            assert_int_equal(event->kind, PC_LIBP2P_OPENED);
        }
    }
    assert_int_equal(refused, 2);
    pc_libp2p_host_unreachable(host, sim->now, &other, PEERCACHE_UNREACHABLE, "no route");
    sim_run(sim, sim->now.mono_us + 1);
    assert_int_equal(sim->events[4].event.connection, 4);
    assert_int_equal(sim->events[4].event.outcome, PEERCACHE_UNREACHABLE);
    free_sim(sim);
}

/* Both sides' numbers of the one connection of a pair. */
static void open_pair(struct sim *sim, uint64_t *ret_inbound)
{
    dial(sim, 1, 1, id_of(1), 10 * S);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + 10 * S));
    struct sim_event *inbound = sim_find(sim, 1, PC_LIBP2P_OPENED);
    if (!inbound)
        inbound = sim_run_until(sim, 1, PC_LIBP2P_OPENED, sim->now.mono_us + 10 * S);
    assert_non_null(inbound);
    *ret_inbound = inbound->event.connection;
}

static void pings_both_ways(void **state)
{
    (void)state;
    struct sim *sim = new_pair(6, 4);
    uint64_t inbound;
    open_pair(sim, &inbound);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(pc_libp2p_host_ping(sim->nodes[0].host, sim->now, 1, 70 + i, sim->now.mono_us + S),
                         0);
        struct sim_event *pong = sim_run_until(sim, 0, PC_LIBP2P_ANSWERED, sim->now.mono_us + S);
        assert_non_null(pong);
        assert_int_equal(pong->event.request, 70 + i);
        assert_int_equal(pong->event.connection, 1);
        assert_int_equal(pong->event.rtt_us, 2 * sim->delay_us);
    }
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[1].host, sim->now, inbound, 9, sim->now.mono_us + S), 0);
    struct sim_event *pong = sim_run_until(sim, 1, PC_LIBP2P_ANSWERED, sim->now.mono_us + S);
    assert_non_null(pong);
    assert_int_equal(pong->event.request, 9);
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[0].host, sim->now, 12345, 1, sim->now.mono_us + S),
                     PEERCACHE_ENOTFOUND);
    free_sim(sim);
}

/* More at once than the peer allows streams: they wait their turn. */
static void many_pings_at_once(void **state)
{
    (void)state;
    struct sim *sim = new_pair(7, 4);
    uint64_t inbound;
    open_pair(sim, &inbound);
    for (uint64_t i = 0; i < 300; i++)
        assert_int_equal(pc_libp2p_host_ping(sim->nodes[0].host, sim->now, 1, i, sim->now.mono_us + 20 * S),
                         0);
    sim_run(sim, sim->now.mono_us + 20 * S);
    unsigned answered = 0;
    for (size_t i = 0; i < sim->event_count; i++)
        answered += sim->events[i].node == 0 && sim->events[i].event.kind == PC_LIBP2P_ANSWERED;
    assert_int_equal(answered, 300);
    free_sim(sim);
}

static void find_node_is_asked_and_answered(void **state)
{
    (void)state;
    struct sim *sim = new_pair(8, 4);
    struct pc_maddr addr;
    struct pc_kad_peer *peers = calloc(PC_KAD_PEERS_MAX, sizeof(*peers));
    uint64_t inbound;
    assert_non_null(peers);
    pc_addr_from_ip_port(&sim->nodes[1].address, &addr);
    for (size_t i = 0; i < PC_KAD_PEERS_MAX; i++) {
        peers[i].id = *id_of(2);
        peers[i].addr_count = 8;
        for (size_t j = 0; j < 8; j++)
            peers[i].addrs[j] = pc_addr_maddr_bytes(&addr);
    }
    sim->answer = peers;
    sim->answer_count = PC_KAD_PEERS_MAX;
    open_pair(sim, &inbound);
    const char *key = "the key that is looked up";
    struct pc_bytes bytes = pc_bytes_of(key, strlen(key));
    int64_t start_us = sim->now.mono_us;
    assert_int_equal(
        pc_libp2p_host_find_node(sim->nodes[0].host, sim->now, 1, 21, bytes, sim->now.mono_us + S), 0);
    struct sim_event *answered = sim_run_until(sim, 0, PC_LIBP2P_ANSWERED, sim->now.mono_us + S);
    assert_non_null(answered);
    assert_int_equal(answered->at_us - start_us, 2 * sim->delay_us); /* one round trip: all in one flight */
    assert_int_equal(answered->event.request, 21);
    assert_int_equal(answered->peer_count, PC_KAD_PEERS_MAX);
    assert_true(pc_addr_peer_id_equal(&answered->first_peer, id_of(2)));
    assert_int_equal(answered->first_peer_addr_count, 8);
    struct sim_event *asked = sim_find(sim, 1, PC_LIBP2P_ASKED);
    assert_non_null(asked);
    assert_true(pc_bytes_equal(pc_bytes_of(asked->key, asked->key_size), bytes));
    assert_true(pc_addr_peer_id_equal(&asked->event.id, id_of(0)));
    assert_int_equal(asked->event.connection, inbound);

    /* A client does not serve it. */
    assert_int_equal(
        pc_libp2p_host_find_node(sim->nodes[1].host, sim->now, inbound, 22, bytes, sim->now.mono_us + S), 0);
    struct sim_event *failed = sim_run_until(sim, 1, PC_LIBP2P_REQUEST_FAILED, sim->now.mono_us + S);
    assert_non_null(failed);
    assert_int_equal(failed->event.request, 22);
    assert_int_equal(failed->event.outcome, PEERCACHE_PROTOCOL_MISMATCH);
    /* And the connection lives on. */
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[1].host, sim->now, inbound, 23, sim->now.mono_us + S), 0);
    assert_non_null(sim_run_until(sim, 1, PC_LIBP2P_ANSWERED, sim->now.mono_us + S));
    free_sim(sim);
    free(peers);
}

static void requests_end_at_their_deadline_or_with_the_connection(void **state)
{
    (void)state;
    struct sim *sim = new_pair(9, 4);
    struct pc_libp2p_host *host = sim->nodes[0].host;
    uint64_t inbound;
    sim->leave_unanswered = true;
    open_pair(sim, &inbound);
    int64_t start_us = sim->now.mono_us;
    struct pc_bytes key = pc_bytes_of("k", 1);
    assert_int_equal(pc_libp2p_host_find_node(host, sim->now, 1, 1, key, start_us + 2 * S), 0);
    struct sim_event *failed = sim_run_until(sim, 0, PC_LIBP2P_REQUEST_FAILED, start_us + 5 * S);
    assert_non_null(failed);
    assert_int_equal(failed->event.outcome, PEERCACHE_TIMEOUT);
    assert_int_equal(failed->at_us - start_us, 2 * S);
    struct sim_event *asked = sim_find(sim, 1, PC_LIBP2P_ASKED);
    assert_non_null(asked);
    sim_run(sim, sim->now.mono_us + S); /* the reset arrives */
    assert_int_equal(pc_libp2p_host_answer(sim->nodes[1].host, sim->now, asked->event.asked, NULL, 0),
                     PEERCACHE_ENOTFOUND);

    assert_int_equal(pc_libp2p_host_find_node(host, sim->now, 1, 2, key, sim->now.mono_us + 20 * S), 0);
    sim_run(sim, sim->now.mono_us + S);
    pc_libp2p_host_close(sim->nodes[1].host, sim->now, inbound, 0);
    struct sim_event *closed = sim_run_until(sim, 0, PC_LIBP2P_CLOSED, sim->now.mono_us + S);
    assert_non_null(closed);
    assert_int_equal(closed->event.outcome, PEERCACHE_OK);
    failed = &sim->events[sim->event_count - 2];
    assert_int_equal(failed->event.kind, PC_LIBP2P_REQUEST_FAILED);
    assert_int_equal(failed->event.request, 2);
    assert_int_equal(failed->event.outcome, PEERCACHE_CANCELLED);
    sim_run(sim, sim->now.mono_us + 10 * S);
    assert_int_equal(pc_libp2p_host_connection_count(host), 0);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 0);
    assert_true(pc_libp2p_host_deadline(host) == PC_TIME_NEVER);
    free_sim(sim);
}

static void idle_connections_end(void **state)
{
    (void)state;
    struct sim *sim = new_pair(10, 4);
    uint64_t inbound;
    open_pair(sim, &inbound);
    sim_run(sim, sim->now.mono_us + 40 * S);
    for (size_t node = 0; node < 2; node++) {
        struct sim_event *closed = sim_find(sim, node, PC_LIBP2P_CLOSED);
        assert_non_null(closed);
        assert_int_equal(closed->event.outcome, PEERCACHE_TIMEOUT);
        assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[node].host), 0);
        assert_true(pc_libp2p_host_deadline(sim->nodes[node].host) == PC_TIME_NEVER);
    }
    free_sim(sim);
}

static void a_closed_connection_says_no_more(void **state)
{
    (void)state;
    struct sim *sim = new_pair(11, 4);
    struct pc_libp2p_host *host = sim->nodes[0].host;
    dial(sim, 1, 1, id_of(1), 10 * S);
    pc_libp2p_host_close(host, sim->now, 1, 0); /* before its first datagram */
    dial(sim, 2, 1, id_of(1), 10 * S);
    sim_run(sim, sim->now.mono_us + 2 * sim->delay_us + 1); /* proven, not open */
    pc_libp2p_host_close(host, sim->now, 2, 0);
    pc_libp2p_host_close(host, sim->now, 777, 0); /* of nobody */
    sim_run(sim, sim->now.mono_us + 20 * S);
    for (size_t i = 0; i < sim->event_count; i++)
        assert_int_not_equal(sim->events[i].node, 0);
    assert_int_equal(pc_libp2p_host_connection_count(host), 0);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 0);
    assert_true(pc_libp2p_host_deadline(host) == PC_TIME_NEVER);
    free_sim(sim);
}

/* Events that wait when the caller closes are not told any more; those of others are. */
static void closing_mutes_what_waits(void **state)
{
    (void)state;
    struct sim *sim = new_pair(19, 4);
    struct pc_libp2p_host *host = sim->nodes[0].host;
    struct pc_ip_port nobody = sim_address(99, 4);
    struct pc_libp2p_event event;
    dial(sim, 1, 1, id_of(1), 10 * S);
    dial(sim, 2, 1, id_of(1), 10 * S);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + S));
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + S));
    assert_int_equal(pc_libp2p_host_dial(host, sim->now, 3, &nobody, NULL, sim->now.mono_us + S), 0);
    for (uint64_t number = 1; number <= 2; number++) {
        for (uint64_t i = 0; i < 3; i++)
            assert_int_equal(
                pc_libp2p_host_ping(host, sim->now, number, 10 * number + i, sim->now.mono_us + 1), 0);
    }
    sim->now.mono_us += 10;
    pc_libp2p_host_expire(host, sim->now); /* six requests fail, and wait to be told */
    pc_libp2p_host_unreachable(host, sim->now, &nobody, PEERCACHE_REFUSED, "refused");
    pc_libp2p_host_close(host, sim->now, 1, 0);
    unsigned told = 0;
    while (pc_libp2p_host_next_event(host, &event)) {
        assert_int_not_equal(event.connection, 1);
        told++;
    }
    assert_int_equal(told, 4);
    free_sim(sim);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    struct sim *sim = new_pair(12, 4);
    struct pc_libp2p_host *host = sim->nodes[0].host;
    struct pc_ip_port to = sim->nodes[1].address;
    struct pc_ip_port nowhere = { 0 };
    dial(sim, 1, 1, NULL, S);
    assert_int_equal(pc_libp2p_host_dial(host, sim->now, 1, &to, NULL, S), PEERCACHE_EINVAL);
    assert_int_equal(pc_libp2p_host_dial(host, sim->now, PC_LIBP2P_INBOUND | 3, &to, NULL, S),
                     PEERCACHE_EINVAL);
    assert_int_equal(pc_libp2p_host_dial(host, sim->now, 2, &nowhere, NULL, S), PEERCACHE_EINVAL);
    assert_int_equal(pc_libp2p_host_ping(host, sim->now, 1, 1, S), PEERCACHE_ENOTFOUND); /* not open yet */
    assert_int_equal(pc_libp2p_host_answer(host, sim->now, 4, NULL, 0), PEERCACHE_ENOTFOUND);
    assert_int_equal(pc_libp2p_host_set_addrs(host, NULL, PC_LIBP2P_LISTEN_ADDRS_MAX + 1), PEERCACHE_ELIMIT);
    /* A clock that goes back is taken as standing still. */
    peercache_time before = { .wall_ms = sim->now.wall_ms - 5000, .mono_us = sim->now.mono_us - 4000 };
    pc_libp2p_host_expire(host, before);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + S));
    free_sim(sim);
}

static void full_hosts_refuse(void **state)
{
    (void)state;
    struct sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    sim_init(sim, 13);
    struct pc_libp2p_options client = options_of(0, false);
    struct pc_libp2p_options server = options_of(1, true);
    server.connections_max = 2;
    client.connections_max = 4;
    (void)sim_add_host(sim, &client, 4);
    (void)sim_add_host(sim, &server, 4);
    for (uint64_t i = 1; i <= 4; i++)
        dial(sim, i, 1, id_of(1), S);
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, 5, &sim->nodes[1].address, NULL, S),
                     PEERCACHE_ELIMIT);
    sim_run(sim, sim->now.mono_us + S / 2);
    unsigned opened = 0;
    unsigned refused = 0;
    for (size_t i = 0; i < sim->event_count; i++) {
        if (sim->events[i].node != 0)
            continue;
        opened += sim->events[i].event.kind == PC_LIBP2P_OPENED;
        refused += sim->events[i].event.kind == PC_LIBP2P_FAILED &&
                   sim->events[i].event.outcome == PEERCACHE_REFUSED;
    }
    assert_int_equal(opened, 2);
    assert_int_equal(refused, 2);
    free_sim(sim);
}

static void a_client_is_not_there_for_dialers(void **state)
{
    (void)state;
    struct sim *sim = new_pair(14, 4);
    struct pc_libp2p_options other = options_of(2, false);
    (void)sim_add_host(sim, &other, 4);
    dial(sim, 1, 2, id_of(2), 2 * S);
    struct sim_event *failed = sim_run_until(sim, 0, PC_LIBP2P_FAILED, sim->now.mono_us + 5 * S);
    assert_non_null(failed);
    assert_int_equal(failed->event.outcome, PEERCACHE_TIMEOUT);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[2].host), 0);
    /* What the dialler sent, again and again, was seen and turned away without an answer. */
    assert_true(pc_libp2p_host_counters(sim->nodes[2].host)->shed[PC_SHED_CLIENT] > 0);
    free_sim(sim);
}

/* The server process dies and starts again: it knows the connection no more, and says so. */
static void a_restarted_peer_resets(void **state)
{
    (void)state;
    struct sim *sim = new_pair(15, 4);
    uint64_t inbound;
    open_pair(sim, &inbound);
    sim_run(sim, sim->now.mono_us + S);
    struct pc_libp2p_options server = options_of(1, true); /* the same seed: the same reset secret */
    pc_libp2p_host_free(sim->nodes[1].host);
    assert_int_equal(pc_libp2p_host_new(&server, &sim->nodes[1].host), 0);
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[0].host, sim->now, 1, 1, sim->now.mono_us + 9 * S), 0);
    struct sim_event *closed = sim_run_until(sim, 0, PC_LIBP2P_CLOSED, sim->now.mono_us + 9 * S);
    assert_non_null(closed);
    assert_non_null(strstr(closed->event.detail, "stateless reset"));
    free_sim(sim);
}

struct seen {
    size_t count;
    struct sim_flight last;
};

static void remember_last(struct sim *sim, void *context, const struct sim_flight *flight)
{
    struct seen *seen = context;
    (void)sim;
    seen->count++;
    seen->last = *flight;
}

static void unknown_versions_are_negotiated(void **state)
{
    (void)state;
    struct sim *sim = new_pair(16, 4);
    struct seen seen = { 0 };
    struct pc_ip_port from = sim_address(50, 4);
    uint8_t initial[1200] = { 0xc3, 0xba, 0xba, 0xba, 0xba, 8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 9, 9, 9 };
    sim->tap = remember_last;
    sim->tap_context = &seen;
    sim_inject(sim, &from, &sim->nodes[1].address, initial, 1199); /* too small to be answered */
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(seen.count, 0);
    sim_inject(sim, &from, &sim->nodes[1].address, initial, sizeof(initial));
    sim_inject(sim, &from, &sim->nodes[0].address, initial, sizeof(initial)); /* a client says nothing */
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(seen.count, 1);
    const uint8_t expected[] = { 0, 0, 0, 0, 4, 9, 9, 9, 9, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1 };
    assert_int_equal(seen.last.size, 1 + sizeof(expected));
    assert_true(seen.last.data[0] & 0x80);
    assert_memory_equal(seen.last.data + 1, expected, sizeof(expected));
    for (unsigned i = 0; i < 5000; i++)
        sim_inject(sim, &from, &sim->nodes[1].address, initial, sizeof(initial));
    sim_run(sim, sim->now.mono_us + S / 10); /* all of them within it */
    assert_true(seen.count <= 1 + 101);
    free_sim(sim);
}

static void losses_delay_and_do_not_break(void **state)
{
    (void)state;
    const unsigned losses[] = { 10, 30 };
    for (size_t l = 0; l < 2; l++) {
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct sim *sim = new_pair(100 + seed, seed % 2 ? 4 : 6);
            uint64_t inbound;
            sim->loss_percent = losses[l];
            sim->double_percent = 10;
            sim->reorder_percent = 20;
            dial(sim, 1, 1, id_of(1), 25 * S);
            assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + 25 * S));
            struct sim_event *opened = sim_find(sim, 1, PC_LIBP2P_OPENED);
            if (!opened)
                opened = sim_run_until(sim, 1, PC_LIBP2P_OPENED, sim->now.mono_us + 25 * S);
            assert_non_null(opened);
            inbound = opened->event.connection;
            assert_int_equal(
                pc_libp2p_host_ping(sim->nodes[1].host, sim->now, inbound, 1, sim->now.mono_us + 25 * S), 0);
            assert_non_null(sim_run_until(sim, 1, PC_LIBP2P_ANSWERED, sim->now.mono_us + 25 * S));
            free_sim(sim);
        }
    }
}

static void damaged_datagrams_are_only_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct sim *sim = new_pair(200 + seed, 4);
        sim->damage_percent = 15;
        sim->truncate_percent = 10;
        sim->double_percent = 10;
        dial(sim, 1, 1, id_of(1), 30 * S);
        assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + 30 * S));
        sim_run(sim, sim->now.mono_us + S);
        free_sim(sim);
    }
}

/* Whatever flies is sent in all its shorter forms too, before it. */
static void inject_truncations(struct sim *sim, void *context, const struct sim_flight *flight)
{
    size_t *left = context;
    for (size_t size = 1; size<flight->size && * left> 0; size++, --*left)
        sim_inject(sim, &flight->from, &flight->to, flight->data, size);
}

static void every_truncation_is_survived(void **state)
{
    (void)state;
    struct sim *sim = new_pair(17, 4);
    size_t left = 20000;
    sim->tap = inject_truncations;
    sim->tap_context = &left;
    dial(sim, 1, 1, id_of(1), 10 * S);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_OPENED, sim->now.mono_us + 10 * S));
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[0].host, sim->now, 1, 1, sim->now.mono_us + 5 * S), 0);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_ANSWERED, sim->now.mono_us + 5 * S));
    sim_run(sim, sim->now.mono_us + S);
    assert_true(pc_libp2p_host_connection_count(sim->nodes[1].host) == 1);
    free_sim(sim);
}

static void garbage_is_dropped(void **state)
{
    (void)state;
    struct sim *sim = new_pair(18, 4);
    uint64_t inbound;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 18);
    open_pair(sim, &inbound);
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t data[1400];
        size_t size = (size_t)pc_base_rng_below(&rng, sizeof(data)) + 1;
        struct pc_ip_port from = sim_address((size_t)pc_base_rng_below(&rng, 100) + 2, 4);
        pc_base_rng_bytes(&rng, data, size);
        if (i % 3 == 0 && size >= 1200) { /* looks like a client's first */
            const uint8_t head[] = { 0xc0, 0, 0, 0, 1, 8 };
            memcpy(data, head, sizeof(head));
            data[14] = 8;
            data[23] = 0;
            data[24] = 0x44;
            data[25] = 0x80;
        }
        sim_inject(sim, i % 7 ? &from : &sim->nodes[0].address, &sim->nodes[1].address, data, size);
        sim_inject(sim, i % 7 ? &from : &sim->nodes[1].address, &sim->nodes[0].address, data, size);
        sim_run(sim, sim->now.mono_us + 1000);
    }
    assert_true(pc_libp2p_host_connection_count(sim->nodes[1].host) == 1);
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[0].host, sim->now, 1, 1, sim->now.mono_us + 5 * S), 0);
    assert_non_null(sim_run_until(sim, 0, PC_LIBP2P_ANSWERED, sim->now.mono_us + 5 * S));
    free_sim(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dial_opens_in_two_round_trips_ip4),
        cmocka_unit_test(dial_opens_in_two_round_trips_ip6),
        cmocka_unit_test(any_identity_is_proven),
        cmocka_unit_test(another_identity_is_refused),
        cmocka_unit_test(silence_is_a_timeout_at_the_deadline),
        cmocka_unit_test(hints_end_only_silent_dials),
        cmocka_unit_test(pings_both_ways),
        cmocka_unit_test(many_pings_at_once),
        cmocka_unit_test(find_node_is_asked_and_answered),
        cmocka_unit_test(requests_end_at_their_deadline_or_with_the_connection),
        cmocka_unit_test(idle_connections_end),
        cmocka_unit_test(a_closed_connection_says_no_more),
        cmocka_unit_test(closing_mutes_what_waits),
        cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(full_hosts_refuse),
        cmocka_unit_test(a_client_is_not_there_for_dialers),
        cmocka_unit_test(a_restarted_peer_resets),
        cmocka_unit_test(unknown_versions_are_negotiated),
        cmocka_unit_test(losses_delay_and_do_not_break),
        cmocka_unit_test(damaged_datagrams_are_only_lost),
        cmocka_unit_test(every_truncation_is_survived),
        cmocka_unit_test(garbage_is_dropped),
    };
    return cmocka_run_group_tests(tests, make_identities, free_identities);
}
