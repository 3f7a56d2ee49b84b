/* Crawls by node_step, on virtual time. */
#include "node_world.h"

static struct pc_node_options crawl_options(const struct pc_node_source *source)
{
    struct pc_node_options options = default_options(&self_peer);
    options.sources = source;
    options.source_count = 1;
    options.crawl_concurrency = 20;
    options.crawl_timeout_us = PC_TIME_NEVER;
    return options;
}

/* Who can be heard of from one peer: told of by somebody who answers. */
static size_t reachable_from(size_t first, bool ret_reached[PEERS_MAX])
{
    size_t queue[PEERS_MAX], head = 0, count = 0;
    memset(ret_reached, 0, PEERS_MAX * sizeof(ret_reached[0]));
    ret_reached[first] = true;
    queue[count++] = first;
    for (; head < count; head++) {
        const struct peer *peer = &world->peers[queue[head]];
        for (size_t i = 0; peer->habit == LIVES && i < peer->neighbour_count; i++)
            if (!ret_reached[peer->neighbours[i]]) {
                ret_reached[peer->neighbours[i]] = true;
                queue[count++] = peer->neighbours[i];
            }
    }
    return count;
}

static uint32_t sum_ended(void)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        sum += world->crawl.ended[i];
    return sum;
}

static void test_a_crawl_meets_everyone_who_can_be_heard_of(void **state)
{
    (void)state;
    bool reached[PEERS_MAX];
    make_world(300, 15, false);
    struct pc_node_source source = source_of(&world->peers[0]);
    struct pc_node_options options = crawl_options(&source);
    run(&options);
    assert_true(world->crawl_done);
    assert_int_equal(world->crawl.end, PEERCACHE_CRAWL_COMPLETE);
    assert_int_equal(world->crawl.known, reachable_from(0, reached));
    assert_int_equal(world->crawl.alive, world->crawl.known);
    assert_int_equal(world->crawl.ended[PEERCACHE_OK], world->crawl.known);
    assert_int_equal(world->crawled, world->crawl.known);
    assert_int_equal(world->crawl.silent, 0);
    assert_int_equal(world->crawl.waiting + world->crawl.under_way, 0);
    assert_int_equal(world->crawl.rtt_count, world->crawl.alive);
    assert_int_equal(world->crawl.rtt_median_us, LATENCY_US);
    assert_string_equal(world->agent, "test/1");
    assert_int_equal(world->crawl.agent_count, 1);
    assert_int_equal(world->crawl.protocol_count, 1);
    assert_true(world->stopped && world->saved);
    assert_false(world->was_walked);
    assert_true(world->committed >= world->crawl.known);
    assert_true(world->closes >= world->crawl.alive);
}

static void test_peers_of_every_kind_are_counted_as_what_they_are(void **state)
{
    (void)state;
    static const enum habit habits[] = { SILENT, REFUSES, FOREIGN, IMPOSTOR, LIAR, MUTE };
    static const peercache_outcome ends[] = { PEERCACHE_TIMEOUT,           PEERCACHE_REFUSED,
                                              PEERCACHE_PROTOCOL_MISMATCH, PEERCACHE_WRONG_IDENTITY,
                                              PEERCACHE_MISBEHAVED,        PEERCACHE_OK };
    size_t count[6] = { 0 }, living = 0;
    bool reached[PEERS_MAX];
    make_world(200, 18, false);
    for (size_t i = 1; i < world->peer_count; i++)
        if (i % 4 == 0)
            world->peers[i].habit = habits[i / 4 % 6];
    size_t known = reachable_from(0, reached);
    for (size_t i = 0; i < world->peer_count; i++) {
        living += reached[i] && world->peers[i].habit == LIVES;
        for (size_t j = 0; j < 6; j++)
            count[j] += reached[i] && world->peers[i].habit == habits[j];
    }
    struct pc_node_source source = source_of(&world->peers[0]);
    struct pc_node_options options = crawl_options(&source);
    run(&options);
    assert_int_equal(world->crawl.end, PEERCACHE_CRAWL_COMPLETE);
    assert_int_equal(world->crawl.known, known);
    assert_int_equal(sum_ended(), known);
    for (size_t j = 0; j < 5; j++)
        assert_int_equal(world->crawl.ended[ends[j]], count[j]);
    assert_int_equal(world->crawl.ended[PEERCACHE_OK], living + count[5]);
    assert_int_equal(world->crawl.alive, living + count[4] + count[5]);
    assert_int_equal(world->crawl.silent, count[4] + count[5]);
    /* A dial may take longer than a join waits: nobody beyond the concurrency and the join's ten. */
    assert_true(world->most_under_way <= 20 + 10);
}

static void test_the_time_is_up(void **state)
{
    (void)state;
    make_world(300, 15, false);
    for (size_t i = 50; i < world->peer_count; i++)
        world->peers[i].habit = SILENT;
    struct pc_node_source source = source_of(&world->peers[0]);
    struct pc_node_options options = crawl_options(&source);
    int64_t started_us = world->now.mono_us;
    options.crawl_timeout_us = 12 * PC_US_PER_S;
    run(&options);
    assert_true(world->crawl_done);
    assert_int_equal(world->crawl.end, PEERCACHE_CRAWL_TIMED_OUT);
    assert_int_equal(world->now.mono_us - started_us, 12 * PC_US_PER_S);
    assert_int_equal(world->crawl.elapsed_us, 12 * PC_US_PER_S);
    assert_true(world->crawl.alive > 0 && world->crawl.under_way > 0);
    assert_int_equal(sum_ended() + world->crawl.waiting + world->crawl.under_way, world->crawl.known);
}

/* After any number of steps a stop ends it, with a report. */
static void test_a_stop_at_any_step_is_reported(void **state)
{
    (void)state;
    uint64_t steps = 0;
    for (uint64_t at = 3; at < 400; at += 7) {
        make_world(60, 8, false);
        struct pc_node_source source = source_of(&world->peers[0]);
        struct pc_node_options options = crawl_options(&source);
        world->stop_at_step = at;
        run(&options);
        assert_true(world->crawl_done && world->done);
        if (world->crawl.end == PEERCACHE_CRAWL_STOPPED)
            steps = at;
        else
            assert_int_equal(world->crawl.end, PEERCACHE_CRAWL_COMPLETE);
        assert_int_equal(sum_ended() + world->crawl.waiting + world->crawl.under_way, world->crawl.known);
        tear_down(state);
    }
    assert_true(steps > 20);
}

static void test_nobody_to_begin_with(void **state)
{
    (void)state;
    make_world(3, 1, false);
    world->peers[0].habit = SILENT;
    struct pc_node_source source = source_of(&world->peers[0]);
    struct pc_node_options options = crawl_options(&source);
    run(&options);
    assert_int_equal(world->status, PEERCACHE_FAILED);
    assert_true(world->crawl_done);
    assert_int_equal(world->crawl.end, PEERCACHE_CRAWL_COMPLETE);
    assert_int_equal(world->crawl.alive, 0);
    assert_int_equal(world->crawl.rtt_count, 0);
    assert_int_equal(world->crawl.rtt_median_us, -1);
    assert_int_equal(world->crawl.ended[PEERCACHE_TIMEOUT], 1);
}

/* The cache alone is enough to begin with; the part of the network that nobody tells of is met through it. */
static void test_cached_peers_are_crawled_too(void **state)
{
    (void)state;
    make_world(100, 8, false);
    for (size_t i = 0; i < world->peer_count; i++) /* two halves that know nothing of each other */
        for (size_t j = 0; j < world->peers[i].neighbour_count; j++)
            world->peers[i].neighbours[j] = world->peers[i].neighbours[j] / 2 * 2 + i % 2;
    struct pc_node_options options = crawl_options(NULL);
    options.source_count = 0;
    run_with_cache(&options, 0, 30);
    assert_true(world->crawl.alive > 90);
}

static void test_only_the_given_ones_when_they_are_exclusive(void **state)
{
    (void)state;
    make_world(100, 8, false);
    struct pc_node_source sources[] = { source_of(&world->peers[0]), source_of(&world->peers[1]) };
    struct pc_node_options options = crawl_options(sources);
    options.source_count = 2;
    options.exclusive = true;
    run(&options);
    assert_int_equal(world->crawl.known, 2);
    assert_int_equal(world->crawl.alive, 2);
    assert_int_equal(world->dials, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_crawl_meets_everyone_who_can_be_heard_of, tear_down),
        cmocka_unit_test_teardown(test_peers_of_every_kind_are_counted_as_what_they_are, tear_down),
        cmocka_unit_test_teardown(test_the_time_is_up, tear_down),
        cmocka_unit_test_teardown(test_a_stop_at_any_step_is_reported, tear_down),
        cmocka_unit_test_teardown(test_nobody_to_begin_with, tear_down),
        cmocka_unit_test_teardown(test_cached_peers_are_crawled_too, tear_down),
        cmocka_unit_test_teardown(test_only_the_given_ones_when_they_are_exclusive, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
