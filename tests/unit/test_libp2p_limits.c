/* What peers, groups and all together may have of a host, and who goes first: limits.h, admission.h, shedding.h. */
#include "check.h"

#include "sim_network.h"

#include "base/time.h"
#include "libp2p/connection.h"
#include "libp2p/shedding.h"

#include <stdlib.h>
#include <string.h>

#define S          PC_US_PER_S
#define IDENTITIES 4

static struct pc_identity *identities[IDENTITIES];

static int make_identities(void **state)
{
    (void)state;
    for (size_t i = 0; i < IDENTITIES; i++) {
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
    for (size_t i = 0; i < IDENTITIES; i++)
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
    pc_base_rng_init_u64(&options.rng, 70 + identity);
    return options;
}

/* Node 0 is the server. */
static struct sim *new_sim(const struct pc_libp2p_options *server)
{
    struct sim *sim = malloc(sizeof(*sim));
    assert_non_null(sim);
    sim_init(sim, 1);
    assert_int_equal(sim_add_host(sim, server, 4), 0);
    return sim;
}

static void free_sim(struct sim *sim)
{
    sim_deinit(sim);
    free(sim);
}

/* A client in a network by number, at 51.<group>.0.n. */
static size_t add_client(struct sim *sim, size_t identity, uint8_t group)
{
    struct pc_libp2p_options options = options_of(identity, false);
    pc_base_rng_init_u64(&options.rng, 1000 + sim->node_count);
    size_t index = sim_add_host(sim, &options, 4);
    sim->nodes[index].address.ip[0] = 51;
    sim->nodes[index].address.ip[1] = group;
    return index;
}

static const struct pc_libp2p_host *server_of(const struct sim *sim)
{
    return sim->nodes[0].host;
}

static uint64_t shed_of(const struct sim *sim, enum pc_libp2p_shed reason)
{
    return pc_libp2p_host_counters(server_of(sim))->shed[reason];
}

static void dial(struct sim *sim, size_t from, uint64_t number)
{
    assert_int_equal(pc_libp2p_host_dial(sim->nodes[from].host, sim->now, number, &sim->nodes[0].address,
                                         pc_libp2p_identity_id(identities[0]), sim->now.mono_us + 9 * S),
                     0);
}

static size_t count_events(const struct sim *sim, size_t node, enum pc_libp2p_event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->event_count; i++)
        count += sim->events[i].node == node && sim->events[i].event.kind == kind;
    return count;
}

static void open_one(struct sim *sim, size_t from, uint64_t number)
{
    sim->event_count = 0;
    dial(sim, from, number);
    assert_non_null(sim_run_until(sim, from, PC_LIBP2P_OPENED, sim->now.mono_us + 9 * S));
    sim_run(sim, sim->now.mono_us + 4 * sim->delay_us); /* the server identifies the client, too */
}

static void ask(struct sim *sim, size_t from, uint64_t connection, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pc_libp2p_host_find_node(sim->nodes[from].host, sim->now, connection, i + 1,
                                                  pc_bytes_of("key", 3), sim->now.mono_us + 9 * S),
                         0);
}

/* ---- a rate -------------------------------------------------------------------------------------------- */

static void a_rate_is_so_many_a_second_and_so_many_at_once(void **state)
{
    (void)state;
    const struct pc_libp2p_rate rate = { .per_s = 3, .burst = 5 };
    struct pc_libp2p_bucket bucket = { 0 };
    int64_t now_us = 12345;
    for (unsigned i = 0; i < 5; i++)
        assert_true(pc_libp2p_rate_take(&bucket, rate, now_us));
    assert_false(pc_libp2p_rate_take(&bucket, rate, now_us));
    assert_false(pc_libp2p_rate_take(&bucket, rate, now_us + 333333));
    assert_true(pc_libp2p_rate_take(&bucket, rate, now_us + 333334));
    assert_false(pc_libp2p_rate_take(&bucket, rate, now_us + 333334));
    /* No part of a token is lost by looking often, nor are there ever more than the burst. */
    for (int64_t us = 333334; us < S; us++)
        assert_int_equal(pc_libp2p_rate_take(&bucket, rate, now_us + us), us == 666667);
    now_us += 3600 * S;
    for (unsigned i = 0; i < 5; i++)
        assert_true(pc_libp2p_rate_take(&bucket, rate, now_us));
    assert_false(pc_libp2p_rate_take(&bucket, rate, now_us));
    now_us = INT64_MAX;
    assert_true(pc_libp2p_rate_has(&bucket, rate, 4, now_us));
    pc_libp2p_rate_spend(&bucket);
    assert_false(pc_libp2p_rate_has(&bucket, rate, 4, now_us));
    assert_true(pc_libp2p_rate_has(&bucket, rate, 3, now_us));

    const struct pc_libp2p_rate none = { 0 };
    for (unsigned i = 0; i < 100; i++)
        assert_true(pc_libp2p_rate_take(&bucket, none, now_us));
    const struct pc_libp2p_rate fast = { .per_s = UINT32_MAX, .burst = UINT32_MAX };
    bucket = (struct pc_libp2p_bucket){ 0 };
    assert_true(pc_libp2p_rate_take(&bucket, fast, 0));
    assert_true(pc_libp2p_rate_has(&bucket, fast, UINT32_MAX, 1));
}

/* ---- accounts ------------------------------------------------------------------------------------------ */

static void accounts_outlive_their_holders_for_a_while(void **state)
{
    (void)state;
    static const uint8_t secret[16];
    struct pc_accounts accounts;
    pc_libp2p_accounts_init(&accounts, secret);
    struct pc_account *one = pc_libp2p_accounts_hold(&accounts, pc_bytes_of("one", 3), 0);
    assert_ptr_equal(pc_libp2p_accounts_hold(&accounts, pc_bytes_of("one", 3), 0), one);
    assert_int_equal(one->users, 2);
    pc_libp2p_accounts_let_go(&accounts, one, 1);
    assert_int_equal(accounts.idle_count, 0);
    pc_libp2p_accounts_let_go(&accounts, one, 1);
    assert_int_equal(accounts.idle_count, 1);
    pc_libp2p_rate_spend(&one->requests);
    struct pc_account *again = pc_libp2p_accounts_hold(&accounts, pc_bytes_of("one", 3), 2);
    assert_ptr_equal(again, one);
    assert_true(again->requests.spent > 0); /* who left and came back has spent what he spent */
    pc_libp2p_accounts_let_go(&accounts, again, 3);
    pc_libp2p_accounts_let_go(&accounts, NULL, 3);

    /* Any number that come and go leave a bounded number behind, the oldest of them first to be forgotten. */
    for (uint32_t i = 0; i < 3 * PC_ACCOUNTS_IDLE; i++)
        pc_libp2p_accounts_let_go(&accounts,
                                  pc_libp2p_accounts_hold(&accounts, pc_bytes_of(&i, sizeof(i)), 3), 3);
    assert_in_range(accounts.idle_count, 1, PC_ACCOUNTS_IDLE + 1);
    assert_null(pc_libp2p_accounts_find(&accounts, pc_bytes_of("one", 3)));
    for (uint32_t i = 0; i < PC_ACCOUNTS_IDLE; i++)
        pc_libp2p_accounts_let_go(&accounts, pc_libp2p_accounts_hold(&accounts, pc_bytes_of("one", 3), 3),
                                  PC_ACCOUNT_KEEP_US + 3 + i);
    struct pc_account *late =
        pc_libp2p_accounts_hold(&accounts, pc_bytes_of("late", 4), 3 * PC_ACCOUNT_KEEP_US);
    assert_in_range(accounts.idle_count, 0, PC_ACCOUNTS_IDLE - 1);
    pc_libp2p_accounts_let_go(&accounts, late, 3 * PC_ACCOUNT_KEEP_US);
    pc_libp2p_accounts_deinit(&accounts);
}

/* ---- connections --------------------------------------------------------------------------------------- */

/* Whoever answers Retries is where he says, and stalls his handshakes all the same. */
static void a_group_holds_few_half_open_places(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.limits.half_open_per_group = 8;
    struct sim *sim = new_sim(&options);
    for (unsigned i = 0; i < 20; i++)
        dial(sim, add_client(sim, 1, 7), 1);
    sim_run(sim, sim->now.mono_us + sim->delay_us + 1);
    assert_int_equal(server_of(sim)->half_open_count, 4); /* on trust: they go on, and are proven */
    sim_run(sim, sim->now.mono_us + sim->delay_us);       /* Retries have come, and tokens are on their way */
    assert_int_equal(pc_libp2p_host_counters(server_of(sim))->retries, 16);
    sim->loss_percent = 100; /* nothing that is sent now arrives: they never go on */
    sim_run(sim, sim->now.mono_us + sim->delay_us);
    const struct pc_account *group = server_of(sim)->connections->group;
    assert_int_equal(group->half_open, 8);
    assert_int_equal(shed_of(sim, PC_SHED_HALF_OPEN_GROUP), 8);
    assert_int_equal(server_of(sim)->half_open_count, 0);

    sim->loss_percent = 0;
    size_t other = add_client(sim, 2, 8);
    int64_t start_us = sim->now.mono_us;
    dial(sim, other, 1);
    struct sim_event *opened = sim_run_until(sim, other, PC_LIBP2P_OPENED, start_us + 9 * S);
    assert_non_null(opened);
    assert_int_equal(opened->at_us - start_us, 4 * sim->delay_us); /* another group notices nothing */
    sim_run(sim, start_us + PC_CONNECTION_HANDSHAKE_US + 3 * PC_CONNECTION_LINGER_MAX_US);
    assert_int_equal(group->half_open, 0);
    free_sim(sim);
}

/* The total of handshakes on trust is the caller's to set. */
static void retries_begin_where_they_are_told_to(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.limits.half_open = 3;
    struct sim *sim = new_sim(&options);
    for (uint8_t i = 0; i < 5; i++)
        dial(sim, add_client(sim, 1, i), 1);
    sim_run(sim, sim->now.mono_us + sim->delay_us + 1);
    assert_int_equal(server_of(sim)->half_open_count, 3);
    assert_int_equal(pc_libp2p_host_counters(server_of(sim))->retries, 2);
    free_sim(sim);
}

static void handshakes_have_a_rate(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.limits.handshakes_per_group = (struct pc_libp2p_rate){ .per_s = 1, .burst = 4 };
    struct sim *sim = new_sim(&options);
    size_t client = add_client(sim, 1, 1);
    for (uint64_t i = 0; i < 4; i++) {
        open_one(sim, client, i);
        pc_libp2p_host_close(sim->nodes[client].host, sim->now, i, 0); /* and again */
    }
    /* Two on trust, two with a token, then the client comes again until there is one to spend. */
    assert_int_equal(pc_libp2p_host_counters(server_of(sim))->retries, 2);
    assert_int_equal(shed_of(sim, PC_SHED_HANDSHAKES_GROUP), 0);
    int64_t start_us = sim->now.mono_us;
    open_one(sim, client, 5);
    assert_true(shed_of(sim, PC_SHED_HANDSHAKES_GROUP) > 0);
    assert_in_range(sim->now.mono_us - start_us, S / 2, 4 * S);
    free_sim(sim);
}

static void a_peer_has_few_connections(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.limits.connections_per_peer = 2;
    struct sim *sim = new_sim(&options);
    size_t clients[3];
    for (uint8_t i = 0; i < 3; i++)
        clients[i] = add_client(sim, 1, i); /* one id at three places */
    open_one(sim, clients[0], 1);
    open_one(sim, clients[1], 1);
    sim->event_count = 0;
    dial(sim, clients[2], 1);
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(shed_of(sim, PC_SHED_CONNECTIONS_PEER), 1);
    struct sim_event *failed = sim_find(sim, clients[2], PC_LIBP2P_FAILED);
    assert_non_null(failed);
    assert_int_equal(failed->event.outcome, PEERCACHE_REFUSED);
    assert_int_equal(pc_libp2p_host_connection_count(server_of(sim)), 2);
    pc_libp2p_host_close(sim->nodes[clients[0]].host, sim->now, 1, 0);
    sim_run(sim, sim->now.mono_us + S);
    open_one(sim, clients[2], 2);
    free_sim(sim);
}

static void a_group_has_few_connections_and_a_crowd_makes_room(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.connections_max = 6;
    options.limits.connections_per_group = 4;
    struct sim *sim = new_sim(&options);
    size_t crowd = add_client(sim, 1, 1);
    for (uint64_t i = 0; i < 4; i++)
        open_one(sim, crowd, i);
    sim->event_count = 0;
    dial(sim, crowd, 4);
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(shed_of(sim, PC_SHED_CONNECTIONS_GROUP), 1);
    assert_non_null(sim_find(sim, crowd, PC_LIBP2P_FAILED));

    /* Four and two others are all there is room for; of the crowd some go for those of smaller groups, and the rest stays. */
    for (uint8_t i = 2; i < 7; i++)
        open_one(sim, add_client(sim, 2 + i % 2, i), 1);
    assert_int_equal(shed_of(sim, PC_SHED_CROWDED), 3);
    assert_int_equal(pc_libp2p_host_connection_count(server_of(sim)), 6);
    size_t last = add_client(sim, 2, 7);
    sim->event_count = 0;
    dial(sim, last, 1);
    sim_run(sim, sim->now.mono_us + S);
    assert_int_equal(shed_of(sim, PC_SHED_CONNECTIONS), 1); /* all are equal now */
    assert_int_equal(sim_find(sim, last, PC_LIBP2P_FAILED)->event.outcome, PEERCACHE_REFUSED);
    free_sim(sim);
}

/* ---- streams and requests ------------------------------------------------------------------------------ */

static void streams_have_a_limit(void **state)
{
    (void)state;
    for (unsigned scope = 0; scope < 3; scope++) {
        struct pc_libp2p_options options = options_of(0, true);
        *(scope == 0   ? &options.limits.streams_per_peer
          : scope == 1 ? &options.limits.streams_per_group
                       : &options.limits.streams) = 3;
        struct sim *sim = new_sim(&options);
        size_t client = add_client(sim, 1, 1);
        open_one(sim, client, 1);
        sim->leave_unanswered = true;
        ask(sim, client, 1, 8);
        sim_run(sim, sim->now.mono_us + S);
        assert_int_equal(count_events(sim, 0, PC_LIBP2P_ASKED), 3);
        assert_int_equal(count_events(sim, client, PC_LIBP2P_REQUEST_FAILED), 5);
        assert_int_equal(sim_find(sim, client, PC_LIBP2P_REQUEST_FAILED)->event.outcome, PEERCACHE_REFUSED);
        assert_int_equal(shed_of(sim, scope == 0   ? PC_SHED_STREAMS_PEER
                                      : scope == 1 ? PC_SHED_STREAMS_GROUP
                                                   : PC_SHED_STREAMS),
                         5);
        sim_run(sim, sim->now.mono_us + 20 * S);
        assert_int_equal(pc_libp2p_host_counters(server_of(sim))->streams, 0);
        free_sim(sim);
    }
}

static void requests_have_a_rate(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.limits.requests_per_peer = (struct pc_libp2p_rate){ .per_s = 2, .burst = 7 };
    struct sim *sim = new_sim(&options);
    size_t client = add_client(sim, 1, 1);
    open_one(sim, client, 1); /* its identify came before its id was known */
    ask(sim, client, 1, 9);
    sim_run(sim, sim->now.mono_us + S / 4);
    assert_int_equal(count_events(sim, client, PC_LIBP2P_ANSWERED), 7);
    assert_int_equal(count_events(sim, client, PC_LIBP2P_REQUEST_FAILED), 2);
    assert_int_equal(sim_find(sim, client, PC_LIBP2P_REQUEST_FAILED)->event.outcome, PEERCACHE_REFUSED);
    assert_int_equal(shed_of(sim, PC_SHED_REQUESTS_PEER), 2);
    assert_int_equal(count_events(sim, client, PC_LIBP2P_CLOSED), 0); /* it may come again */
    sim_run(sim, sim->now.mono_us + S);
    sim->event_count = 0;
    ask(sim, client, 1, 3);
    sim_run(sim, sim->now.mono_us + S / 4);
    assert_int_equal(count_events(sim, client, PC_LIBP2P_ANSWERED), 2);

    /* A peer of its own does not feel it. */
    size_t other = add_client(sim, 2, 1);
    open_one(sim, other, 1);
    sim->event_count = 0;
    ask(sim, other, 1, 5);
    sim_run(sim, sim->now.mono_us + S / 4);
    assert_int_equal(count_events(sim, other, PC_LIBP2P_ANSWERED), 5);
    free_sim(sim);
}

/* The busy leave half of what is there for all to the modest. */
static void the_modest_are_answered_when_it_is_short(void **state)
{
    (void)state;
    for (unsigned scope = 0; scope < 2; scope++) {
        struct pc_libp2p_options options = options_of(0, true);
        options.limits.requests_per_peer = (struct pc_libp2p_rate){ .per_s = 1, .burst = 20 };
        *(scope ? &options.limits.requests : &options.limits.requests_per_group) =
            (struct pc_libp2p_rate){ .per_s = 1, .burst = 24 };
        struct sim *sim = new_sim(&options);
        size_t busy = add_client(sim, 1, 1);
        size_t modest = add_client(sim, 2, 1);
        open_one(sim, busy, 1);
        open_one(sim, modest, 1);
        sim->event_count = 0;
        ask(sim, busy, 1, 20);
        sim_run(sim, sim->now.mono_us + S / 2);
        size_t answered = count_events(sim, busy, PC_LIBP2P_ANSWERED);
        assert_in_range(answered, 9, 12);
        assert_true(shed_of(sim, scope ? PC_SHED_REQUESTS : PC_SHED_REQUESTS_GROUP) > 0);
        ask(sim, modest, 1, 8);
        sim_run(sim, sim->now.mono_us + S / 2);
        assert_int_equal(count_events(sim, modest, PC_LIBP2P_ANSWERED), 8);
        free_sim(sim);
    }
}

static void who_goes_on_over_his_rate_is_closed(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.limits.requests_per_peer = (struct pc_libp2p_rate){ .per_s = 1, .burst = 2 };
    struct sim *sim = new_sim(&options);
    size_t client = add_client(sim, 1, 1);
    open_one(sim, client, 1);
    unsigned rounds = 0;
    while (!sim_find(sim, client, PC_LIBP2P_CLOSED)) {
        assert_true(rounds++ < 2 * PC_GREED_MAX / 30);
        sim->event_count = 0;
        ask(sim, client, 1, 30);
        sim_run(sim, sim->now.mono_us + 5 * sim->delay_us);
    }
    assert_int_equal(shed_of(sim, PC_SHED_GREEDY), 1);
    assert_int_equal(shed_of(sim, PC_SHED_REQUESTS_PEER), PC_GREED_MAX + 1);
    assert_int_equal(server_of(sim)->alive_count, 0);
    free_sim(sim);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

/* Answers of some 6 KB that the client never acknowledges. */
static void who_does_not_read_is_closed(void **state)
{
    (void)state;
    struct pc_kad_peer peers[20];
    struct pc_maddr addr;
    struct pc_ip_port at = sim_address(1, 6);
    pc_addr_from_ip_port(&at, &addr);
    for (size_t i = 0; i < 20; i++) {
        peers[i] = (struct pc_kad_peer){ .id = *pc_libp2p_identity_id(identities[3]) };
        while (peers[i].addr_count < 8)
            peers[i].addrs[peers[i].addr_count++] = pc_addr_maddr_bytes(&addr);
    }
    for (unsigned scope = 0; scope < 3; scope++) {
        struct pc_libp2p_options options = options_of(0, true);
        *(scope == 0   ? &options.limits.memory_per_peer_bytes
          : scope == 1 ? &options.limits.memory_per_group_bytes
                       : &options.limits.memory_bytes) = 60000;
        struct sim *sim = new_sim(&options);
        sim->answer = peers;
        sim->answer_count = 20;
        size_t slow = add_client(sim, 1, 1);
        size_t other = add_client(sim, 2, 1);
        open_one(sim, slow, 1);
        open_one(sim, other, 1);
        sim->event_count = 0;
        ask(sim, slow, 1, 30);
        sim_run(sim, sim->now.mono_us + sim->delay_us - 1); /* the requests are on their way */
        sim->loss_percent = 100;
        sim_run(sim, sim->now.mono_us + sim->delay_us);
        assert_int_equal(shed_of(sim, scope == 0   ? PC_SHED_MEMORY_PEER
                                      : scope == 1 ? PC_SHED_MEMORY_GROUP
                                                   : PC_SHED_MEMORY),
                         1);
        assert_int_equal(count_events(sim, 0, PC_LIBP2P_CLOSED), 1);
        assert_int_equal(server_of(sim)->alive_count, 1); /* the other one stays */
        assert_true(pc_libp2p_host_counters(server_of(sim))->buffered_bytes < 60000);
        sim->loss_percent = 0;
        sim->event_count = 0;
        ask(sim, other, 1, 8);
        sim_run(sim, sim->now.mono_us + S);
        assert_int_equal(count_events(sim, other, PC_LIBP2P_ANSWERED), 8);
        sim_run(sim, sim->now.mono_us + 60 * S);
        assert_int_equal(pc_libp2p_host_counters(server_of(sim))->buffered_bytes,
                         0); /* all that was counted was given back */
        free_sim(sim);
    }
}

/* ---- need ---------------------------------------------------------------------------------------------- */

static void what_is_unused_is_closed_and_what_is_kept_lives(void **state)
{
    (void)state;
    struct pc_libp2p_options options = options_of(0, true);
    options.unused_timeout_us = 20 * S;
    struct sim *sim = new_sim(&options);
    size_t clients[3];
    uint64_t inbound[3];
    for (uint8_t i = 0; i < 3; i++) {
        clients[i] = add_client(sim, 1 + i, i);
        open_one(sim, clients[i], 1);
        inbound[i] = PC_LIBP2P_INBOUND | i;
    }
    sim->event_count = 0;
    pc_libp2p_host_keep(sim->nodes[0].host, sim->now, inbound[1], true);
    pc_libp2p_host_keep(sim->nodes[0].host, sim->now, 12345, true); /* nobody's */
    sim_run(sim, sim->now.mono_us + 15 * S);
    assert_int_equal(pc_libp2p_host_ping(sim->nodes[clients[2]].host, sim->now, 1, 1, sim->now.mono_us + S),
                     0);
    sim_run(sim, sim->now.mono_us + 10 * S);
    struct sim_event *closed = sim_find(sim, 0, PC_LIBP2P_CLOSED);
    assert_non_null(closed);
    assert_int_equal(closed->event.connection, inbound[0]); /* not the one that was pinged */
    assert_int_equal(closed->event.outcome, PEERCACHE_TIMEOUT);
    assert_non_null(sim_find(sim, clients[0], PC_LIBP2P_CLOSED)); /* politely */
    assert_int_equal(count_events(sim, 0, PC_LIBP2P_CLOSED), 1);

    /* Kept: neither side's idle timeout (30 s) ends it, for hours. Let go, it has its time again. */
    sim_run(sim, sim->now.mono_us + 3600 * S);
    assert_int_equal(count_events(sim, 0, PC_LIBP2P_CLOSED), 2);
    assert_int_equal(server_of(sim)->alive_count, 1);
    pc_libp2p_host_keep(sim->nodes[0].host, sim->now, inbound[1], false);
    sim_run(sim, sim->now.mono_us + 19 * S);
    assert_int_equal(server_of(sim)->alive_count, 1);
    sim_run(sim, sim->now.mono_us + 2 * S);
    assert_int_equal(server_of(sim)->alive_count, 0);
    free_sim(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_so_many_a_second_and_so_many_at_once),
        cmocka_unit_test(accounts_outlive_their_holders_for_a_while),
        cmocka_unit_test(a_group_holds_few_half_open_places),
        cmocka_unit_test(retries_begin_where_they_are_told_to),
        cmocka_unit_test(handshakes_have_a_rate),
        cmocka_unit_test(a_peer_has_few_connections),
        cmocka_unit_test(a_group_has_few_connections_and_a_crowd_makes_room),
        cmocka_unit_test(streams_have_a_limit),
        cmocka_unit_test(requests_have_a_rate),
        cmocka_unit_test(the_modest_are_answered_when_it_is_short),
        cmocka_unit_test(who_goes_on_over_his_rate_is_closed),
        cmocka_unit_test(who_does_not_read_is_closed),
        cmocka_unit_test(what_is_unused_is_closed_and_what_is_kept_lives),
    };
    return cmocka_run_group_tests(tests, make_identities, free_identities);
}
