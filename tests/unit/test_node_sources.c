/* node_step on virtual time: sources, endpoints, names, routes, and what goes wrong with them. */
#include "node_world.h"

#include "cache/ban.h"

static void an_empty_cache_is_filled_from_an_endpoint(void **state)
{
    (void)state;
    make_world(40, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.endpoint_count = 2;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_HTTP_ERROR };
    world->endpoints[1] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 0, .to = 20 };
    run(&options);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->elapsed_us, 4 * LATENCY_US); /* the answer, then a dial */
    assert_int_equal(world->via_count[PEERCACHE_VIA_ENDPOINT], 5);
    assert_int_equal(world->fetched, 2);
    const peercache_join_report *r = &world->report;
    assert_int_equal(r->sources[PEERCACHE_VIA_ENDPOINT].offered, 20);
    assert_int_equal(r->sources[PEERCACHE_VIA_ENDPOINT].verified, 5);
    assert_int_equal(r->endpoint_count, 2);
    assert_int_equal(r->metrics.fetches[PEERCACHE_FETCH_OK], 1);
    assert_int_equal(r->metrics.fetches[PEERCACHE_FETCH_HTTP_ERROR], 1);
    assert_int_equal(r->metrics.first_verified_us, 4 * LATENCY_US);
    assert_int_equal(r->metrics.fifth_verified_us, 4 * LATENCY_US);
    assert_null(r->cause);
    /* All are remembered, as new, from an endpoint. */
    for (size_t peer = 0; peer < 20; peer++) {
        size_t at = 0;
        while (at < world->committed && !pc_addr_peer_id_equal(&world->deltas[at].id, &world->peers[peer].id))
            at++;
        assert_true(at < world->committed);
        assert_int_equal(world->deltas[at].source, PEERCACHE_SOURCE_ENDPOINT);
    }
    assert_int_equal(world->kept_joins, 0); /* the cache had no part in it */
}

static void a_good_memory_asks_no_endpoint(void **state)
{
    (void)state;
    make_world(60, 12, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source bootstrap = source_of(&world->peers[59]);
    bootstrap.via = PEERCACHE_VIA_ENDPOINT;
    options.mode = PC_NETGROUP_PUBLIC;
    options.endpoint_count = 1;
    options.last_verified = 5;
    options.sources = &bootstrap;
    options.source_count = 1;
    options.walk = false;
    run_with_cache(&options, 0, 40);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_int_equal(world->elapsed_us, 2 * LATENCY_US);
    assert_int_equal(world->endpoints[0].asked, 0);
    assert_int_equal(world->report.sources[PEERCACHE_VIA_ENDPOINT].offered, 0);
    assert_int_equal(world->report.metrics.cache_hits, 5);
    assert_int_equal(world->kept_joins, 1);
    assert_int_equal(world->kept_verified, 5);
}

/* Lesson 14: a stale cache made joining slower than none at all. */
static void a_stale_cache_is_no_slower_than_none(void **state)
{
    (void)state;
    int64_t took_us[2];
    for (int cached = 0; cached < 2; cached++) {
        make_world(100, 0, true);
        struct pc_node_options options = default_options(&self_peer);
        options.mode = PC_NETGROUP_PUBLIC;
        options.endpoint_count = 1;
        options.walk = false;
        world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 80, .to = 100 };
        for (size_t i = 0; i < 80; i++)
            world->peers[i].habit = SILENT;
        run_with_cache(&options, 0, cached ? 80 : 0);
        assert_int_equal(world->status, PEERCACHE_JOINED);
        took_us[cached] = world->elapsed_us;
        assert_int_equal(world->kept_joins, cached);
        assert_int_equal(world->kept_verified, 0); /* so the next join waits for the cache no longer */
        tear_down(NULL);
    }
    assert_true(took_us[1] <= took_us[0] + 2 * LATENCY_US);
}

static void a_breaker_outlives_the_process(void **state)
{
    (void)state;
    uint8_t breaker[PC_BREAKER_BYTES];
    make_world(1, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    options.once = false;
    options.endpoint_count = 1;
    options.timeout_us = 60 * PC_US_PER_S;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_HTTP_ERROR };
    start(&options);
    run_until(world->now.mono_us + 150 * PC_US_PER_S);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    assert_string_equal(world->cause, "endpoints_down");
    assert_true(world->endpoints[0].kept >= 5);
    assert_true(world->endpoints[0].asked >= 15); /* five fetches with their retries */
    memcpy(breaker, world->endpoints[0].breaker, sizeof(breaker));
    tear_down(NULL);

    make_world(1, 0, true);
    options.once = true;
    options.timeout_us = 5 * PC_US_PER_S;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    world->now.wall_ms += 150000;
    step(&(struct pc_node_event){
        .kind = PC_NODE_ENDPOINT, .endpoint = 0, .breaker = pc_bytes_of(breaker, sizeof(breaker)) });
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_int_equal(world->endpoints[0].asked, 0);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "endpoints_down");
    assert_true(world->report.endpoints != NULL && world->stopped);
}

/* Lesson 16: one failed round of all endpoints at start, and the node stayed alone for ever. */
static void a_node_that_failed_joins_once_something_answers(void **state)
{
    (void)state;
    make_world(30, 5, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.once = false;
    options.endpoint_count = 1;
    options.sources = &source;
    options.source_count = 1;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_REFUSED };
    world->peers[0].habit = SILENT;
    start(&options);
    run_until(world->now.mono_us + 3600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    unsigned rounds = world->join_done_count;
    assert_true(rounds >= 3);
    assert_true(world->endpoints[0].asked < 400); /* its breaker is open most of the time */
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 1, .to = 30 };
    run_until(world->now.mono_us + 2 * 3600 * PC_US_PER_S);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->join_done_count > rounds);
    assert_true(world->was_walked);
    assert_true(pc_node_table_count(world->node) > 5);
}

/* Lesson of a poisoned cache: all entries of one attacker's group, and wrong identities. */
static void a_poisoned_cache_does_not_keep_us_out(void **state)
{
    (void)state;
    make_world(60, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.endpoint_count = 1;
    options.last_verified = 5;
    options.walk = false;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 50, .to = 60 };
    for (size_t i = 0; i < 50; i++) {
        world->peers[i].habit = IMPOSTOR;
        world->peers[i].at.ip[0] = 66;
        world->peers[i].at.ip[1] = 6;
        world->peers[i].at.ip[3] = (uint8_t)i;
        pc_addr_from_ip_port(&world->peers[i].at, &world->peers[i].addr);
    }
    run_with_cache(&options, 0, 50);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    assert_true(world->elapsed_us <= PC_JOIN_STAGGER_MAX_US + 6 * LATENCY_US);
    /* What lied is out at once: it is removed, not merely marked. */
    size_t removed = 0;
    for (size_t i = 0; i < world->committed; i++)
        removed += world->deltas[i].removed_ms > 0;
    assert_true(removed > 0);
    assert_int_equal(removed, world->code_count[PEERCACHE_WRONG_IDENTITY]);

    /* Without anybody honest the report says so. */
    tear_down(NULL);
    make_world(20, 0, true);
    for (size_t i = 0; i < 20; i++)
        world->peers[i].habit = IMPOSTOR;
    options.endpoint_count = 0;
    run_with_cache(&options, 0, 20);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "poisoned");
}

static void exclusive_dials_nobody_else(void **state)
{
    (void)state;
    make_world(40, 10, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[30]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.sources = &source;
    options.source_count = 1;
    options.exclusive = true;
    options.endpoint_count = 1;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 0, .to = 20 };
    run_with_cache(&options, 0, 20);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->dials, 1);
    assert_int_equal(world->endpoints[0].asked, 0);
    assert_true(world->was_walked);
}

static void networks_are_allowed_and_denied(void **state)
{
    (void)state;
    static struct pc_join_filter filter;
    for (int allowed = 0; allowed < 2; allowed++) {
        make_world(2, 0, true);
        struct pc_node_options options = default_options(&self_peer);
        struct pc_node_source sources[2];
        options.mode = PC_NETGROUP_PUBLIC;
        world->peers[0].at.ip[0] = 10; /* private */
        pc_addr_from_ip_port(&world->peers[0].at, &world->peers[0].addr);
        memset(&filter, 0, sizeof(filter));
        if (allowed)
            assert_int_equal(pc_join_filter_add(&filter, "10.0.0.0/8", true, NULL), 0);
        assert_int_equal(pc_join_filter_add(&filter, "16.0.0.0/4", false, NULL), 0);
        for (size_t i = 0; i < 2; i++)
            sources[i] = source_of(&world->peers[i]);
        options.sources = sources;
        options.source_count = 2;
        options.filter = &filter;
        run(&options);
        assert_int_equal(world->dials, allowed); /* peers[1] is 21.1.0.1 */
        assert_int_equal(world->verified, allowed);
        size_t stored = 0;
        for (size_t i = 0; i < world->committed; i++)
            stored += world->deltas[i].history.success_count > 0;
        assert_int_equal(stored, allowed); /* what is allowed is remembered too */
        if (!allowed)
            assert_string_equal(world->cause, "denied");
        const peercache_source_report *flag = &world->report.sources[PEERCACHE_VIA_FLAG];
        assert_int_equal(flag->offered, 2);
        assert_int_equal(flag->dialed, allowed);
        assert_int_equal(flag->ended[PEERCACHE_DENIED], 2 - allowed);
        assert_int_equal(world->code_count[PEERCACHE_DENIED],
                         2 - allowed); /* each is told, with its reason */
        tear_down(NULL);
    }
}

/* Neither what the cache had nor what others tell: by id, and by the network. */
static void who_is_banned_is_not_remembered(void **state)
{
    (void)state;
    char texts[2][PC_PEER_ID_TEXT_BYTES];
    make_world(20, 19, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.target = 20;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    pc_addr_peer_id_format(&world->peers[3].id, texts[0]);
    const uint8_t *ip = world->peers[12].at.ip;
    (void)snprintf(texts[1], sizeof(texts[1]), "%u.%u.0.0/16", ip[0], ip[1]);
    load_peers(0, 10);
    for (size_t i = 0; i < 2; i++) {
        struct pc_ban ban;
        assert_int_equal(pc_cache_ban_parse(texts[i], strlen(texts[i]), &ban, NULL), 0);
        step(&(struct pc_node_event){ .kind = PC_NODE_BANNED, .ban = &ban });
    }
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    for (size_t i = 0; i < world->committed; i++) {
        assert_false(pc_addr_peer_id_equal(&world->deltas[i].id, &world->peers[3].id) &&
                     world->deltas[i].history.success_count > 0);
        assert_false(pc_addr_peer_id_equal(&world->deltas[i].id, &world->peers[12].id));
    }
}

/* Whom a peer names and we may not dial is neither offered nor a failure. */
static void who_is_denied_is_not_taken_from_others(void **state)
{
    (void)state;
    static struct pc_join_filter filter;
    make_world(20, 10, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.sources = &source;
    options.source_count = 1;
    options.filter = &filter;
    memset(&filter, 0, sizeof(filter));
    assert_int_equal(pc_join_filter_add(&filter, "0.0.0.0/0", false, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        char one[32];
        const uint8_t *ip = world->peers[i].at.ip;
        (void)snprintf(one, sizeof(one), "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
        assert_int_equal(pc_join_filter_add(&filter, one, true, NULL), 0);
    }
    run(&options);
    assert_in_range(world->verified, 1, 4);
    assert_int_equal(world->failed, 0);
    assert_true(world->report.sources[PEERCACHE_VIA_DHT].offered <=
                4 * 3); /* by each the others, again and again */
}

/* What a living node counts of its second round, the bootstrap peers of its begin included. */
static void each_round_is_counted_by_itself(void **state)
{
    (void)state;
    make_world(3, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source sources[3];
    options.mode = PC_NETGROUP_PUBLIC;
    options.once = false;
    options.timeout_us = 6 * PC_US_PER_S;
    for (size_t i = 0; i < 3; i++) {
        world->peers[i].habit = REFUSES;
        sources[i] = source_of(&world->peers[i]);
        sources[i].via = i == 0 ? PEERCACHE_VIA_FLAG : PEERCACHE_VIA_ENDPOINT;
    }
    options.sources = sources;
    options.source_count = 3;
    start(&options);
    int64_t until_us = world->now.mono_us;
    for (unsigned round = 1; round < 6; round++) {
        for (unsigned i = 0; world->join_done_count < round && i < 3600; i++)
            run_until(until_us += PC_US_PER_S);
        assert_int_equal(world->join_done_count, round);
        assert_int_equal(world->report.sources[PEERCACHE_VIA_FLAG].offered, 1);
        assert_int_equal(world->report.sources[PEERCACHE_VIA_ENDPOINT].offered, 2);
    }
}

/* IPv6 leads nowhere here: once that is known, what was held back against its peers is not counted, whoever answers. */
static void a_black_hole_blames_nobody(void **state)
{
    (void)state;
    make_world(63, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[60]);
    options.mode = PC_NETGROUP_PUBLIC;
    options.once = false;
    options.timeout_us = 60 * PC_US_PER_S;
    options.sources = &source;
    options.source_count = 1;
    options.endpoint_count = 1;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_HTTP_ERROR };
    for (size_t i = 0; i < 60; i++) {
        struct peer *peer = &world->peers[i];
        peer->habit = SILENT;
        peer->at = (struct pc_ip_port){ .family = 6, .ip = { 0x2a, 0x01, (uint8_t)i, 1, 1 }, .port = 4001 };
        pc_addr_from_ip_port(&peer->at, &peer->addr);
    }
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 60);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(world->now.mono_us + 12 * PC_US_PER_S);
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 61, .to = 63 };
    run_until(world->now.mono_us + 120 * PC_US_PER_S);
    assert_int_equal(world->verified, 3);
    assert_true(world->report.local.ip6_is_hole);
    assert_false(world->report.local.ip4_is_hole);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    /* Those that were under way when the first of IPv4 answered. */
    assert_in_range(world->blamed, 0, PC_JOIN_UNSTALLED_MAX);
}

static void a_name_is_resolved_and_dialled(void **state)
{
    (void)state;
    make_world(5, 0, true);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[3]);
    static char name[64];
    (void)snprintf(name, sizeof(name), "/dns4/peer.example/udp/%u/quic-v1", world->peers[3].at.port);
    assert_int_equal(pc_addr_maddr_parse(name, strlen(name), &source.addr, NULL), 0);
    options.mode = PC_NETGROUP_PUBLIC;
    options.sources = &source;
    options.source_count = 1;
    world->resolves_to = 3;
    run(&options);
    assert_int_equal(world->status, PEERCACHE_DEGRADED);
    assert_int_equal(world->questions, 1);
    assert_int_equal(world->via_count[PEERCACHE_VIA_FLAG], 1);
    assert_int_equal(world->report.metrics.first_verified_us, 4 * LATENCY_US);
    assert_int_equal(world->report.local.questions, 1);
    tear_down(NULL);

    make_world(5, 0, true);
    run(&options);
    assert_string_equal(world->cause, "dns_failed");
    assert_int_equal(world->code_count[PEERCACHE_DNS_FAILED], 1);
}

/* No interface: nothing is dialled and nobody is blamed; a route that comes is used at once. */
static void offline_blames_nobody(void **state)
{
    (void)state;
    make_world(30, 5, true);
    struct pc_node_options options = default_options(&self_peer);
    options.mode = PC_NETGROUP_PUBLIC;
    options.once = false;
    assert_int_equal(pc_node_new(&options, &world->node), 0);
    load_peers(0, 20);
    step(&(struct pc_node_event){ .kind = PC_NODE_ROUTES });
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
    run_until(world->now.mono_us + 100 * PC_US_PER_S);
    assert_int_equal(world->dials, 0);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_string_equal(world->cause, "offline");
    assert_false(world->report.local.has_ip4 || world->report.local.has_ip6);
    int64_t back_us = world->now.mono_us;
    step(&(struct pc_node_event){ .kind = PC_NODE_ROUTES, .has_ip4 = true });
    run_until(back_us + 4 * LATENCY_US);
    assert_int_equal(world->status, PEERCACHE_JOINED);
    step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
    run_until(PC_TIME_NEVER - 1);
    for (size_t i = 0; i < world->committed; i++)
        assert_int_equal(world->deltas[i].history.failure_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_empty_cache_is_filled_from_an_endpoint, tear_down),
        cmocka_unit_test_teardown(a_good_memory_asks_no_endpoint, tear_down),
        cmocka_unit_test_teardown(a_stale_cache_is_no_slower_than_none, tear_down),
        cmocka_unit_test_teardown(a_breaker_outlives_the_process, tear_down),
        cmocka_unit_test_teardown(a_node_that_failed_joins_once_something_answers, tear_down),
        cmocka_unit_test_teardown(a_poisoned_cache_does_not_keep_us_out, tear_down),
        cmocka_unit_test_teardown(exclusive_dials_nobody_else, tear_down),
        cmocka_unit_test_teardown(networks_are_allowed_and_denied, tear_down),
        cmocka_unit_test_teardown(who_is_banned_is_not_remembered, tear_down),
        cmocka_unit_test_teardown(who_is_denied_is_not_taken_from_others, tear_down),
        cmocka_unit_test_teardown(each_round_is_counted_by_itself, tear_down),
        cmocka_unit_test_teardown(a_black_hole_blames_nobody, tear_down),
        cmocka_unit_test_teardown(a_name_is_resolved_and_dialled, tear_down),
        cmocka_unit_test_teardown(offline_blames_nobody, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
