/* First datagrams from addresses that are made up, and Retry: admission.h. */
#include "check.h"

#include "raw_peer.h"
#include "sim_network.h"

#include "base/time.h"
#include "libp2p/connection.h"
#include "libp2p/loose.h"

#include <stdlib.h>
#include <string.h>

#define S PC_US_PER_S

static struct pc_identity *identities[2];

static int make_identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
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
    for (size_t i = 0; i < 2; i++)
        pc_libp2p_identity_free(identities[i]);
    return 0;
}

static struct pc_libp2p_options options_of(bool server, uint64_t seed, uint32_t connections_max)
{
    struct pc_libp2p_options options;
    pc_libp2p_options_init(&options);
    options.identity = identities[server];
    options.kad_protocol = "/test/kad/1.0.0";
    options.server = server;
    options.connections_max = connections_max;
    options.mode = PC_NETGROUP_LOCAL;        /* an address is a group */
    options.limits.connections_per_peer = 0; /* what groups and peers may is in test_libp2p_limits.c */
    options.limits.streams_per_peer = 0;
    options.limits.half_open_per_group = 0;
    options.limits.handshakes_per_group.per_s = 0;
    pc_base_rng_init_u64(&options.rng, seed);
    return options;
}

static struct pc_libp2p_host *host_of(bool server, uint64_t seed, uint32_t connections_max)
{
    struct pc_libp2p_options options = options_of(server, seed, connections_max);
    struct pc_libp2p_host *host;
    assert_int_equal(pc_libp2p_host_new(&options, &host), 0);
    return host;
}

/* A client (node 0) and a server (node 1). */
static struct sim *new_pair(uint32_t connections_max)
{
    struct sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    sim_init(sim, 1);
    struct pc_libp2p_options client = options_of(false, 1, 1000);
    struct pc_libp2p_options server = options_of(true, 2, connections_max);
    assert_int_equal(sim_add_host(sim, &client, 4), 0);
    assert_int_equal(sim_add_host(sim, &server, 4), 1);
    return sim;
}

static void free_sim(struct sim *sim)
{
    sim_deinit(sim);
    free(sim);
}

/* Node 0 dials node 1: OPENED after so many round trips exactly. */
static void check_dial(struct sim *sim, uint64_t number, unsigned round_trips)
{
    int64_t start_us = sim->now.mono_us;
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, number, &sim->nodes[1].address,
                                         pc_libp2p_identity_id(identities[1]), start_us + 10 * S),
                     0);
    struct sim_event *opened = sim_run_until(sim, 0, PC_LIBP2P_OPENED, start_us + 10 * S);
    assert_non_null(opened);
    assert_int_equal(opened->event.connection, number);
    assert_int_equal(opened->at_us - start_us, round_trips * 2 * sim->delay_us);
    assert_int_equal(opened->event.proven_us, (round_trips - 1) * 2 * sim->delay_us);
    assert_int_equal(opened->event.rtt_us, 2 * sim->delay_us);
}

/* First datagrams of real clients, each of which is then forgotten. */
static void inject_initials(struct sim *sim, size_t count)
{
    struct pc_libp2p_host *forger = host_of(false, 77, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
        struct pc_datagram datagram = { .data = data, .size = sizeof(data) };
        struct pc_ip_port from = sim_address(1000 + i, 4); /* nobody's */
        assert_int_equal(
            pc_libp2p_host_dial(forger, sim->now, i, &sim->nodes[1].address, NULL, sim->now.mono_us + S), 0);
        assert_true(pc_libp2p_host_send(forger, sim->now, &datagram));
        sim_inject(sim, &from, &sim->nodes[1].address, data, datagram.size);
    }
    pc_libp2p_host_free(forger);
}

static bool is_retry(const uint8_t *data)
{
    return (data[0] & 0xf0) == 0xf0;
}

struct retries {
    size_t count;
    size_t bytes_max;
};

static void count_retries(struct sim *sim, void *context, const struct sim_flight *flight)
{
    struct retries *retries = context;
    (void)sim;
    if (!is_retry(flight->data))
        return;
    retries->count++;
    if (flight->size > retries->bytes_max)
        retries->bytes_max = flight->size;
}

static void a_flood_costs_others_one_round_trip(void **state)
{
    (void)state;
    struct sim *sim = new_pair(1000);
    struct retries retries = { 0 };
    const struct pc_libp2p_host *server = sim->nodes[1].host;
    sim->tap = count_retries;
    sim->tap_context = &retries;
    inject_initials(sim, 2000);
    sim_run(sim, sim->now.mono_us + sim->delay_us + 1);
    assert_int_equal(server->half_open_count, 250);
    assert_int_equal(pc_libp2p_host_connection_count(server), 250);
    assert_int_equal(server->lingering_count, 0);
    assert_int_equal(server->loose_count, 0);
    assert_int_equal(retries.count, 1750);
    assert_true(retries.bytes_max <= 150); /* an eighth of what it answers */
    check_dial(sim, 1, 3);
    assert_int_equal(retries.count, 1751);
    assert_int_equal(server->half_open_count, 250);
    assert_int_equal(pc_libp2p_host_connection_count(server), 251);

    /* What the flood left is given up, and all is as before. */
    sim_run(sim, sim->now.mono_us + PC_CONNECTION_HANDSHAKE_US);
    assert_int_equal(pc_libp2p_host_connection_count(server), 1);
    sim_run(sim, sim->now.mono_us + PC_CONNECTION_LINGER_MAX_US);
    assert_int_equal(server->half_open_count, 0);
    assert_int_equal(server->lingering_count, 0);
    check_dial(sim, 2, 2);
    assert_int_equal(retries.count, 1751);
    free_sim(sim);
}

static void usual_load_sees_no_retry(void **state)
{
    (void)state;
    struct sim *sim = new_pair(1000);
    struct retries retries = { 0 };
    int64_t start_us = sim->now.mono_us;
    sim->tap = count_retries;
    sim->tap_context = &retries;
    for (uint64_t i = 0; i < 250; i++)
        assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, i, &sim->nodes[1].address, NULL,
                                             start_us + 10 * S),
                         0);
    sim_run(sim, start_us + S);
    unsigned opened = 0;
    for (size_t i = 0; i < sim->event_count; i++) {
        if (sim->events[i].node != 0)
            continue;
        assert_int_equal(sim->events[i].event.kind, PC_LIBP2P_OPENED);
        assert_int_equal(sim->events[i].at_us - start_us, 4 * sim->delay_us);
        opened++;
    }
    assert_int_equal(opened, 250);
    assert_int_equal(retries.count, 0);
    assert_int_equal(sim->nodes[1].host->half_open_count, 0);
    check_dial(sim, 1000, 2); /* those that are open do not count */
    assert_int_equal(retries.count, 0);
    free_sim(sim);
}

/* Of 8 places 6 are taken by clients, 2 by nobody. */
static struct sim *new_full_server(void)
{
    struct sim *sim = new_pair(8);
    for (uint64_t i = 0; i < 6; i++)
        check_dial(sim, i, 2);
    inject_initials(sim, 3);
    sim_run(sim, sim->now.mono_us + sim->delay_us + 1);
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 8);
    assert_int_equal(sim->nodes[1].host->half_open_count, 2);
    return sim;
}

static void proven_addresses_displace_half_open_connections(void **state)
{
    (void)state;
    struct sim *sim = new_full_server();
    const struct pc_libp2p_host *server = sim->nodes[1].host;
    const struct pc_connection *second = server->half_open_last;
    check_dial(sim, 10, 3);
    assert_int_equal(pc_libp2p_host_connection_count(server), 8);
    assert_int_equal(server->half_open_count, 1);
    assert_ptr_equal(server->half_open_first, second); /* the older one went */
    check_dial(sim, 11, 3);
    assert_int_equal(pc_libp2p_host_connection_count(server), 8);
    assert_int_equal(server->half_open_count, 0);

    /* Nobody is left to be displaced: refused at once, not sent round. */
    int64_t start_us = sim->now.mono_us;
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[0].host, sim->now, 12, &sim->nodes[1].address, NULL,
                                         start_us + 10 * S),
                     0);
    struct sim_event *failed = sim_run_until(sim, 0, PC_LIBP2P_FAILED, start_us + 10 * S);
    assert_non_null(failed);
    assert_int_equal(failed->event.outcome, PEERCACHE_REFUSED);
    assert_int_equal(failed->at_us - start_us, 2 * sim->delay_us);
    for (size_t i = 0; i < sim->event_count; i++)
        assert_int_not_equal(sim->events[i].event.kind, PC_LIBP2P_CLOSED); /* the proven ones stayed */
    free_sim(sim);
}

static void own_dials_displace_half_open_connections(void **state)
{
    (void)state;
    struct sim *sim = new_full_server();
    struct pc_libp2p_host *server = sim->nodes[1].host;
    struct pc_ip_port nobody = sim_address(99, 4);
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(pc_libp2p_host_dial(server, sim->now, i, &nobody, NULL, sim->now.mono_us + S), 0);
    assert_int_equal(server->half_open_count, 0);
    assert_int_equal(server->counters.shed[PC_SHED_HALF_OPEN], 2);
    /* Then of the six of one address those that are more than another's first. */
    for (uint64_t i = 2; i < 7; i++)
        assert_int_equal(pc_libp2p_host_dial(server, sim->now, i, &nobody, NULL, sim->now.mono_us + S), 0);
    assert_int_equal(server->counters.shed[PC_SHED_CROWDED], 5);
    assert_int_equal(pc_libp2p_host_dial(server, sim->now, 7, &nobody, NULL, sim->now.mono_us + S),
                     PEERCACHE_ELIMIT);
    assert_int_equal(server->alive_count, 8);
    free_sim(sim);
}

/* A handshake that fails at once leaves nothing that is alive: it counts all the same, while it lingers. */
static void failed_handshakes_count_while_they_linger(void **state)
{
    (void)state;
    struct sim *sim = new_pair(8);
    struct raw_peer peers[2];
    struct retries retries = { 0 };
    gnutls_certificate_credentials_t none;
    assert_int_equal(gnutls_certificate_allocate_credentials(&none), 0);
    for (size_t i = 0; i < 2; i++) {
        raw_peer_init(&peers[i], false, none, 100 + i);
        peers[i].alpn = "h3";
        struct sim_node node = raw_peer_node(&peers[i]);
        (void)sim_add_node(sim, &node, 4);
        raw_peer_dial(&peers[i], sim->now, &sim->nodes[1].address);
    }
    sim->tap = count_retries;
    sim->tap_context = &retries;
    sim_run(sim, sim->now.mono_us + 3 * sim->delay_us);
    assert_int_equal(sim->nodes[1].host->half_open_count, 2);
    assert_int_equal(sim->nodes[1].host->lingering_count, 2);
    assert_null(sim->nodes[1].host->half_open_first); /* nothing to be displaced */
    assert_int_equal(pc_libp2p_host_connection_count(sim->nodes[1].host), 0);
    assert_int_equal(retries.count, 0);
    check_dial(sim, 1, 3);
    assert_int_equal(retries.count, 1);
    sim_run(sim, sim->now.mono_us + PC_CONNECTION_LINGER_MAX_US);
    assert_int_equal(sim->nodes[1].host->half_open_count, 0);
    check_dial(sim, 2, 2);
    free_sim(sim);
    for (size_t i = 0; i < 2; i++)
        raw_peer_deinit(&peers[i]);
    gnutls_certificate_free_credentials(none);
}

/* ---- tokens -------------------------------------------------------------------------------------------- */

/* A server of 4 places, one of which is half-open, and a client that was sent a Retry; no network between. */
struct retried {
    peercache_time now;
    struct pc_libp2p_host *client;
    struct pc_libp2p_host *server;
    uint8_t again[PC_LIBP2P_DATAGRAM_MAX_BYTES]; /* the client's first datagram with the token */
    size_t again_size;
    size_t token_at;
    size_t token_size;
};

static size_t take(struct pc_libp2p_host *host, peercache_time now, uint8_t *data)
{
    struct pc_datagram datagram = { .data = data, .size = PC_LIBP2P_DATAGRAM_MAX_BYTES };
    return pc_libp2p_host_send(host, now, &datagram) ? datagram.size : 0;
}

static void give(struct pc_libp2p_host *host, peercache_time now, size_t from, uint8_t *data, size_t size)
{
    struct pc_datagram datagram = {
        .local = sim_address(1, 4), .remote = sim_address(from, 4), .data = data, .size = size
    };
    pc_libp2p_host_receive(host, now, &datagram);
}

static void retried_init(struct retried *r)
{
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    struct pc_ip_port to = sim_address(1, 4);
    struct pc_libp2p_host *forger = host_of(false, 77, 1);
    *r = (struct retried){ .now = { .wall_ms = INT64_C(1780000000000), .mono_us = 5000 } };
    r->client = host_of(false, 1, 1);
    r->server = host_of(true, 2, 4);
    assert_int_equal(pc_libp2p_host_dial(forger, r->now, 1, &to, NULL, 60 * S), 0);
    size_t size = take(forger, r->now, data);
    pc_libp2p_host_free(forger);
    give(r->server, r->now, 90, data, size);
    while (take(r->server, r->now, data) > 0)
        ;
    assert_int_equal(pc_libp2p_host_connection_count(r->server), 1);

    assert_int_equal(pc_libp2p_host_dial(r->client, r->now, 1, &to, NULL, 60 * S), 0);
    size = take(r->client, r->now, data);
    give(r->server, r->now, 0, data, size);
    size = take(r->server, r->now, data);
    assert_true(size > 0 && size <= 150 && is_retry(data));
    assert_int_equal(take(r->server, r->now, data + size), 0);
    assert_int_equal(pc_libp2p_host_connection_count(r->server), 1);
    give(r->client, r->now, 1, data, size);
    r->again_size = take(r->client, r->now, r->again);
    assert_true(r->again_size >= 1200);
    assert_int_equal(r->again[5], PC_LIBP2P_CID_BYTES);
    assert_int_equal(r->again[14], PC_LIBP2P_CID_BYTES);
    assert_int_equal(r->again[23], 0x40); /* the length, in two bytes */
    r->token_size = r->again[24];
    r->token_at = 25;
    assert_int_equal(r->token_size, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN);
    assert_int_equal(r->again[r->token_at], NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY);
}

static void retried_deinit(struct retried *r)
{
    pc_libp2p_host_free(r->client);
    pc_libp2p_host_free(r->server);
}

/* The server closes what it never opened; the client is told that it was refused. */
static void check_invalid(struct retried *r)
{
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    struct pc_libp2p_event event;
    assert_int_equal(pc_libp2p_host_connection_count(r->server), 1);
    size_t size = take(r->server, r->now, data);
    assert_true(size > 0 && size < r->again_size && !is_retry(data));
    give(r->client, r->now, 1, data, size);
    assert_true(pc_libp2p_host_next_event(r->client, &event));
    assert_int_equal(event.kind, PC_LIBP2P_FAILED);
    assert_int_equal(event.outcome, PEERCACHE_REFUSED);
    assert_non_null(strstr(event.detail, "transport code 11")); /* INVALID_TOKEN */
    assert_int_equal(take(r->server, r->now, data), 0);
}

static void tokens_are_good_for_one_address(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    give(r.server, r.now, 55, r.again, r.again_size);
    check_invalid(&r);
    retried_deinit(&r);
    retried_init(&r);
    struct pc_datagram datagram = {
        .local = sim_address(1, 4), .remote = sim_address(0, 4), .data = r.again, .size = r.again_size
    };
    datagram.remote.port++;
    pc_libp2p_host_receive(r.server, r.now, &datagram);
    check_invalid(&r);
    retried_deinit(&r);
}

static void tokens_expire(void **state)
{
    (void)state;
    struct retried r;
    retried_init(&r);
    r.now.mono_us += PC_LIBP2P_RETRY_VALID_US;
    give(r.server, r.now, 0, r.again, r.again_size);
    check_invalid(&r);
    retried_deinit(&r);
    retried_init(&r);
    r.now.mono_us += PC_LIBP2P_RETRY_VALID_US - 1;
    give(r.server, r.now, 0, r.again, r.again_size);
    assert_int_equal(pc_libp2p_host_connection_count(r.server), 2);
    retried_deinit(&r);
}

/* Another server's secret is another: a token does not outlive a restart. */
static void tokens_are_good_for_one_server(void **state)
{
    (void)state;
    struct retried r;
    struct retried other;
    retried_init(&r);
    retried_init(&other);
    pc_libp2p_host_free(other.server);
    other.server = host_of(true, 3, 4);
    give(other.server, r.now, 0, r.again, r.again_size);
    assert_int_equal(pc_libp2p_host_connection_count(other.server), 0);
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    assert_true(take(other.server, r.now, data) > 0 && !is_retry(data));
    retried_deinit(&r);
    retried_deinit(&other);
}

static void a_token_replayed_makes_one_connection(void **state)
{
    (void)state;
    struct retried r;
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    struct pc_libp2p_event event;
    retried_init(&r);
    for (unsigned i = 0; i < 10; i++)
        give(r.server, r.now, 0, r.again, r.again_size);
    assert_int_equal(pc_libp2p_host_connection_count(r.server), 2);
    assert_int_equal(r.server->half_open_count, 1); /* this one is not counted there */
    bool opened = false;
    for (unsigned i = 0; i < 20 && !opened; i++) {
        for (size_t size; (size = take(r.server, r.now, data)) > 0;)
            give(r.client, r.now, 1, data, size);
        for (size_t size; (size = take(r.client, r.now, data)) > 0;)
            give(r.server, r.now, 0, data, size);
        while (pc_libp2p_host_next_event(r.client, &event))
            opened |= event.kind == PC_LIBP2P_OPENED;
    }
    assert_true(opened);
    retried_deinit(&r);
}

/* The token is sent again whole, so the damage is in it or in what it is bound to. */
static void damaged_tokens_are_refused(void **state)
{
    (void)state;
    struct retried r;
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    retried_init(&r);
    for (size_t at = 6; at < r.token_at + r.token_size; at++) {
        if (at == 14)
            at = r.token_at; /* its own id and the lengths are not the server's business */
        memcpy(data, r.again, r.again_size);
        data[at] ^= 0x10;
        give(r.server, r.now, 0, data, r.again_size);
        assert_int_equal(pc_libp2p_host_connection_count(r.server), 1);
        assert_true(take(r.server, r.now, data) > 0);
        assert_int_equal(is_retry(data), at == r.token_at); /* without its first byte it is not ours */
        assert_int_equal(take(r.server, r.now, data), 0);
    }
    give(r.server, r.now, 0, r.again, r.again_size);
    assert_int_equal(pc_libp2p_host_connection_count(r.server), 2);
    retried_deinit(&r);
}

static void garbage_tokens_are_no_tokens(void **state)
{
    (void)state;
    struct retried r;
    struct pc_rng rng;
    pc_base_rng_init_u64(&rng, 5);
    retried_init(&r);
    for (size_t size = 0; size < 1300; size++) { /* longer than the datagram, too */
        uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
        pc_base_rng_bytes(&rng, data, sizeof(data));
        const uint8_t head[] = { 0xc0, 0, 0, 0, 1, 8 };
        memcpy(data, head, sizeof(head));
        data[14] = 8;
        data[23] = (uint8_t)(0x40 | (size >> 8));
        data[24] = (uint8_t)size;
        if (size % 2 == 0)
            data[25] = NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY;
        if (25 + size + 2 <= 1200) {
            data[25 + size] = (uint8_t)(0x40 | ((1200 - 27 - size) >> 8));
            data[26 + size] = (uint8_t)(1200 - 27 - size);
        }
        give(r.server, r.now, 60, data, 1200);
        assert_int_equal(pc_libp2p_host_connection_count(r.server), 1);
        size_t answer = take(r.server, r.now, data);
        assert_true(answer < 1200);
        if (size < 1000 && size != NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN)
            assert_true(answer > 0 && is_retry(data));
        assert_int_equal(take(r.server, r.now, data), 0);
    }
    retried_deinit(&r);
}

/* By rate, and by how many wait to be sent; other answers have a rate of their own. */
static void retries_are_limited(void **state)
{
    (void)state;
    struct retried r;
    uint8_t data[PC_LIBP2P_DATAGRAM_MAX_BYTES];
    uint8_t initial[1200] = { 0xc0, 0, 0, 0, 1, 8 };
    retried_init(&r);
    r.now.mono_us += S;
    initial[23] = 0;
    initial[14] = 8;
    initial[24] = 0x44;
    initial[25] = 0x80;
    size_t waiting = 0;
    for (unsigned i = 0; i < PC_LIBP2P_LOOSE_MAX + 50; i++)
        give(r.server, r.now, i, initial, sizeof(initial));
    while (take(r.server, r.now, data) > 0)
        waiting++;
    assert_int_equal(waiting, PC_LIBP2P_LOOSE_MAX);
    size_t sent = waiting;
    for (unsigned i = 0; i < PC_LIBP2P_RETRY_RATE + 100; i++) {
        give(r.server, r.now, i, initial, sizeof(initial));
        sent += take(r.server, r.now, data) > 0;
    }
    assert_int_equal(sent, PC_LIBP2P_RETRY_RATE);
    give(r.server, r.now, 55, r.again, r.again_size); /* a bad token is still refused */
    assert_true(take(r.server, r.now, data) > 0 && !is_retry(data));
    give(r.server, r.now, 0, r.again, r.again_size); /* and a good one still does */
    assert_int_equal(pc_libp2p_host_connection_count(r.server), 2);
    r.now.mono_us += S / 1000;
    while (take(r.server, r.now, data) > 0)
        ;
    sent = 0;
    for (unsigned i = 0; i < 100; i++) {
        give(r.server, r.now, i, initial, sizeof(initial));
        sent += take(r.server, r.now, data) > 0;
    }
    assert_int_equal(sent, PC_LIBP2P_RETRY_RATE / 1000);
    retried_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_costs_others_one_round_trip),
        cmocka_unit_test(usual_load_sees_no_retry),
        cmocka_unit_test(proven_addresses_displace_half_open_connections),
        cmocka_unit_test(own_dials_displace_half_open_connections),
        cmocka_unit_test(failed_handshakes_count_while_they_linger),
        cmocka_unit_test(tokens_are_good_for_one_address),
        cmocka_unit_test(tokens_expire),
        cmocka_unit_test(tokens_are_good_for_one_server),
        cmocka_unit_test(a_token_replayed_makes_one_connection),
        cmocka_unit_test(damaged_tokens_are_refused),
        cmocka_unit_test(garbage_tokens_are_no_tokens),
        cmocka_unit_test(retries_are_limited),
    };
    return cmocka_run_group_tests(tests, make_identities, free_identities);
}
