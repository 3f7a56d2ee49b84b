/* node_step on virtual time: joining, walking, serving, stopping. */
#include "node_world.h"

static void nothing_to_try_is_no_sources(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    run(&options);
    assert_true(world->done);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "no_sources");
    assert_int_equal(world->dials, 0);
    assert_int_equal(world->listening, 1);
    assert_false(world->saved); /* nothing was there to save */
}

static void one_peer_is_enough_to_join_and_walk(void **state)
{
    (void)state;
    make_world(40, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_string_equal(world->cause, "");
    assert_int_equal(world->verified, 5);
    assert_int_equal(world->via_count[PEERCACHE_VIA_FLAG], 1);
    assert_int_equal(world->via_count[PEERCACHE_VIA_DHT], 4);
    /* One round trip to prove, one to verify, one to ask, two for the next. */
    assert_int_equal(world->elapsed_us, 5 * LATENCY_US);
    assert_true(world->was_walked);
    assert_in_range(world->walked, 20, 40);
    assert_true(world->saved);
    assert_in_range(pc_node_cache_count(world->node), 35, 40);
    assert_int_equal(world->failed, 0);
}

static void no_walk_stops_after_the_report(void **state)
{
    (void)state;
    make_world(40, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    options.walk = false;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_false(world->was_walked);
    assert_true(world->saved);
}

static void a_network_of_three_is_degraded_and_ends_when_exhausted(void **state)
{
    (void)state;
    make_world(3, 3, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_true(world->elapsed_us < PC_US_PER_S);
}

static void silent_peers_are_timeouts_when_time_is_up(void **state)
{
    (void)state;
    make_world(3, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[3];
    for (size_t i = 0; i < 3; i++) {
        world->peers[i].habit = SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 3;
    options.timeout_us = 2 * PC_US_PER_S;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_int_equal(world->code_count[PEERCACHE_TIMEOUT], 3);
    assert_int_equal(world->failed, 3);
    assert_int_equal(world->elapsed_us, 2 * PC_US_PER_S);
    /* Nobody answered at all: the fault may be ours, no failure is counted, but the attempts are. */
    for (size_t i = 0; i < world->committed; i++)
        assert_int_equal(world->deltas[i].history.failure_count, 0);
}

static void failures_keep_their_code_and_others_go_on(void **state)
{
    (void)state;
    make_world(30, 6, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[9];
    memset(sources, 0, sizeof(sources));
    world->peers[20].habit = REFUSES;
    world->peers[21].habit = FOREIGN;
    world->peers[22].habit = IMPOSTOR;
    world->peers[23].habit = SILENT;
    for (size_t i = 0; i < 30; i++) /* nobody tells of the bad ones, so that each is met once */
        for (size_t j = 0; j < world->peers[i].neighbour_count; j++)
            world->peers[i].neighbours[j] %= 20;
    for (size_t i = 0; i < 4; i++)
        sources[i] = source_of(&world->peers[20 + i]);
    sources[4] = source_of(&self_peer);
    static const char dnsaddr[] = "/dnsaddr/bootstrap.example.org";
    assert_int_equal(pc_addr_maddr_parse(dnsaddr, strlen(dnsaddr), &sources[5].addr, NULL), 0);
    static const char tcp[] = "/ip4/127.0.0.1/tcp/4001";
    assert_int_equal(pc_addr_maddr_parse(tcp, strlen(tcp), &sources[6].addr, NULL), 0);
    static const char zero[] = "/ip4/0.0.0.0/udp/4001/quic-v1";
    assert_int_equal(pc_addr_maddr_parse(zero, strlen(zero), &sources[7].addr, NULL), 0);
    sources[8] = source_of(&world->peers[1]);
    options.sources = sources;
    options.source_count = 9;
    options.target = 12;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->code_count[PEERCACHE_REFUSED], 1);
    assert_int_equal(world->code_count[PEERCACHE_PROTOCOL_MISMATCH], 1);
    assert_int_equal(world->code_count[PEERCACHE_WRONG_IDENTITY], 1);
    assert_int_equal(world->code_count[PEERCACHE_UNSUPPORTED], 1);
    assert_int_equal(world->code_count[PEERCACHE_DNS_FAILED], 1);
    assert_int_equal(world->code_count[PEERCACHE_DENIED], 2);
    /* Neither the foreign peer nor we ourselves are remembered. */
    for (size_t i = 0; i < world->committed; i++) {
        const struct pc_delta *delta = &world->deltas[i];
        assert_false(pc_addr_peer_id_equal(&delta->id, &self_peer.id));
        if (pc_addr_peer_id_equal(&delta->id, &world->peers[21].id))
            assert_int_equal(delta->history.success_count, 0);
    }
}

static void loopback_is_denied_without_local_mode(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    options.mode = PC_NETGROUP_PUBLIC;
    run(&options);
    assert_int_equal(world->code_count[PEERCACHE_DENIED], 1);
    assert_int_equal(world->dials, 0);
    assert_string_equal(world->cause, "denied");
}

static void a_loaded_cache_joins_without_sources(void **state)
{
    (void)state;
    make_world(60, 12, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    for (size_t i = 0; i < 20; i++)
        world->peers[i].habit = i % 2 ? REFUSES : SILENT;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 40);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->via_count[PEERCACHE_VIA_CACHE] > 0);
    assert_int_equal(world->via_count[PEERCACHE_VIA_FLAG], 0);
    assert_true(world->elapsed_us < 2 * PC_US_PER_S); /* the silent ones hold nobody up */
    assert_in_range(world->most_under_way, 1, 128 + 10);
    assert_true(world->saved);
}

static void silence_counts_when_others_answered_meanwhile(void **state)
{
    (void)state;
    make_world(3, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[3];
    for (size_t i = 0; i < 3; i++) {
        world->peers[i].habit = i == 0 ? LIVES : SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 3;
    options.timeout_us = 2 * PC_US_PER_S;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(1, 3); /* only who is remembered can be counted against */
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    size_t failures = 0;
    for (size_t i = 0; i < world->committed; i++)
        failures += world->deltas[i].history.failure_count;
    assert_int_equal(failures, 2);
}

static void a_live_cache_joins_in_two_round_trips(void **state)
{
    (void)state;
    make_world(60, 12, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 40);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    /* One to prove, one to verify; a join through one peer needs five, see above. */
    assert_int_equal(world->elapsed_us, 2 * LATENCY_US);
}

static void dials_under_way_are_given_up_at_the_target(void **state)
{
    (void)state;
    make_world(10, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[10];
    for (size_t i = 0; i < 10; i++) {
        world->peers[i].habit = i < 5 ? LIVES : SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 10;
    options.walk = false;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->dialed, 10);
    assert_int_equal(world->failed, 0); /* given up is not failed */
    assert_int_equal(world->closes, 10);
}

static void a_liar_is_closed_and_the_join_goes_on(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[2];
    world->peers[0].habit = LIAR;
    sources[0] = source_of(&world->peers[0]);
    sources[1] = source_of(&world->peers[1]);
    options.sources = sources;
    options.source_count = 2;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->was_walked);
}

static void a_question_without_answer_ends_with_the_join(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    world->peers[0].habit = MUTE;
    options.sources = &source;
    options.source_count = 1;
    options.timeout_us = PC_US_PER_S;
    int64_t began = world->now.mono_us;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->elapsed_us, PC_US_PER_S);
    assert_int_equal(world->now.mono_us - began, PC_US_PER_S); /* the walk's question too */
}

static void a_failed_commit_warns_and_is_not_saved(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    world->commit_result = PEERCACHE_EFULL;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->warnings >= 1);
    assert_false(world->saved);
}

static void no_save_commits_nothing(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.sources = &source;
    options.source_count = 1;
    options.save = false;
    run(&options);
    assert_int_equal(world->committed, 0);
    assert_false(world->saved);
}

static void five_hundred_sources_stay_within_the_limits(void **state)
{
    (void)state;
    static struct pc_node_source sources[500];
    make_world(500, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    for (size_t i = 0; i < 500; i++) {
        world->peers[i].habit = i == 499 ? LIVES : REFUSES;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 500;
    run(&options);
    assert_int_equal(world->verified, 1);
    assert_int_equal(world->failed, 499);
    assert_int_equal(world->code_count[PEERCACHE_REFUSED], 499);
    assert_in_range(world->most_under_way, 1, 10); /* nobody stalls */
}

static void a_server_learns_from_inbound_peers_and_answers(void **state)
{
    (void)state;
    make_world(40, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    options.server = true;
    options.once = false;
    start(&options);
    run_until(world->now.mono_us + PC_US_PER_S);
    assert_string_equal(world->cause, "no_sources");
    struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | 1, &world->peers[7]);
    inbound->event.id = world->peers[7].id;
    inbound->event.remote = world->peers[7].at;
    run_until(world->now.mono_us + 5 * PC_US_PER_S);
    /* Its first peer is a lonely node's way in: it looked itself up through it. */
    assert_true(world->was_walked);
    assert_in_range(pc_node_table_count(world->node), 13, 40);
    struct pc_libp2p_event asked = {
        .kind = PC_LIBP2P_ASKED,
        .connection = PC_LIBP2P_INBOUND | 1,
        .asked = 1,
        .id = world->peers[7].id,
        .key = pc_addr_peer_id_bytes(&world->peers[3].id),
    };
    world->asker = asked.id;
    step(&(struct pc_node_event){ .kind = PC_NODE_WIRE, .wire = &asked });
    assert_in_range(world->answer_count, 12, PC_KAD_PEERS_MAX);
    assert_false(world->answer_holds_asker);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
    assert_true(world->saved);
}

static void a_lonely_server_tries_again(void **state)
{
    (void)state;
    make_world(20, 10, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    world->peers[0].habit = REFUSES;
    start(&options);
    run_until(world->now.mono_us + 60 * PC_US_PER_S);
    assert_in_range(world->join_done_count, 2, 8);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    world->peers[0].habit = LIVES;
    run_until(world->now.mono_us + 400 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    uint64_t steps = world->steps;
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    assert_true(world->steps - steps < 2000); /* an hour of a node at rest */
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

static void stop_is_taken_at_every_step(void **state)
{
    (void)state;
    for (uint64_t at = 2; at < 120; at++) {
        make_world(40, 12, false);
        struct pc_node_options options = default_options(&self_peer);
        struct pc_node_source sources[3] = { source_of(&world->peers[0]), source_of(&world->peers[1]),
                                             source_of(&world->peers[2]) };
        world->peers[1].habit = SILENT;
        options.sources = sources;
        options.source_count = 3;
        world->stop_at_step = at;
        run(&options);
        assert_int_equal(world->join_done_count, 1); /* the report of the one join is owed, whatever comes */
        pc_node_free(world->node);
        world->node = NULL;
    }
}

static void a_join_that_is_stopped_reports_what_it_has(void **state)
{
    (void)state;
    make_world(40, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[40];
    for (size_t i = 0; i < 40; i++) { /* more dials under way than one step has room to tell of */
        world->peers[i].habit = i == 0 ? LIVES : SILENT;
        sources[i] = source_of(&world->peers[i]);
    }
    options.sources = sources;
    options.source_count = 40;
    start(&options);
    run_until(3 * PC_US_PER_S);
    assert_false(world->done);
    int64_t began = world->now.mono_us;
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped && world->saved);
    assert_int_equal(world->now.mono_us, began);
    assert_int_equal(world->join_done_count, 1);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->verified, 1);
    assert_int_equal(world->dialed, 1 + world->code_count[PEERCACHE_CANCELLED]);
    assert_true(world->code_count[PEERCACHE_CANCELLED] > PC_NODE_TELLS_MAX);
}

static void pings_are_a_second_apart(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    world->peers[0].habit = FOREIGN; /* a ping asks for life, not for our network */
    options.sources = &source;
    options.source_count = 1;
    options.ping_count = 3;
    int64_t began = world->now.mono_us;
    run(&options);
    assert_int_equal(world->pongs, 3);
    assert_int_equal(world->code_count[PEERCACHE_OK], 3);
    assert_int_equal(world->now.mono_us - began, 2 * PC_US_PER_S + 3 * LATENCY_US);
}

static void ping_of_a_closed_port_ends_at_once(void **state)
{
    (void)state;
    make_world(1, 0, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    world->peers[0].habit = REFUSES;
    options.sources = &source;
    options.source_count = 1;
    options.ping_count = 3;
    run(&options);
    assert_int_equal(world->pongs, 1);
    assert_int_equal(world->code_count[PEERCACHE_REFUSED], 1);
}

static void a_run_repeats_from_its_seed(void **state)
{
    (void)state;
    int64_t elapsed[2];
    uint64_t steps[2];
    for (size_t i = 0; i < 2; i++) {
        make_world(100, 12, false);
        struct pc_node_options options = default_options(&self_peer);
        struct pc_node_source source = source_of(&world->peers[0]);
        options.sources = &source;
        options.source_count = 1;
        run(&options);
        elapsed[i] = world->now.mono_us;
        steps[i] = world->steps;
        pc_node_free(world->node);
        world->node = NULL;
    }
    assert_true(elapsed[0] == elapsed[1]);
    assert_true(steps[0] == steps[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_to_try_is_no_sources, tear_down),
        cmocka_unit_test_teardown(one_peer_is_enough_to_join_and_walk, tear_down),
        cmocka_unit_test_teardown(no_walk_stops_after_the_report, tear_down),
        cmocka_unit_test_teardown(a_network_of_three_is_degraded_and_ends_when_exhausted, tear_down),
        cmocka_unit_test_teardown(silent_peers_are_timeouts_when_time_is_up, tear_down),
        cmocka_unit_test_teardown(silence_counts_when_others_answered_meanwhile, tear_down),
        cmocka_unit_test_teardown(failures_keep_their_code_and_others_go_on, tear_down),
        cmocka_unit_test_teardown(loopback_is_denied_without_local_mode, tear_down),
        cmocka_unit_test_teardown(a_loaded_cache_joins_without_sources, tear_down),
        cmocka_unit_test_teardown(a_live_cache_joins_in_two_round_trips, tear_down),
        cmocka_unit_test_teardown(dials_under_way_are_given_up_at_the_target, tear_down),
        cmocka_unit_test_teardown(a_liar_is_closed_and_the_join_goes_on, tear_down),
        cmocka_unit_test_teardown(a_question_without_answer_ends_with_the_join, tear_down),
        cmocka_unit_test_teardown(a_failed_commit_warns_and_is_not_saved, tear_down),
        cmocka_unit_test_teardown(no_save_commits_nothing, tear_down),
        cmocka_unit_test_teardown(five_hundred_sources_stay_within_the_limits, tear_down),
        cmocka_unit_test_teardown(a_server_learns_from_inbound_peers_and_answers, tear_down),
        cmocka_unit_test_teardown(a_lonely_server_tries_again, tear_down),
        cmocka_unit_test_teardown(stop_is_taken_at_every_step, tear_down),
        cmocka_unit_test_teardown(a_join_that_is_stopped_reports_what_it_has, tear_down),
        cmocka_unit_test_teardown(pings_are_a_second_apart, tear_down),
        cmocka_unit_test_teardown(ping_of_a_closed_port_ends_at_once, tear_down),
        cmocka_unit_test_teardown(a_run_repeats_from_its_seed, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
