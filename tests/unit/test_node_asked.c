/* node_step on virtual time: what its owner asks for, to save now and to offer the cache to the table. */
#include "node_world.h"

#include <peercache/types.h>

static void live_among(size_t peers, bool save)
{
    make_world(peers, 12, false);
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.save = save;
    options.sources = &source;
    options.source_count = 1;
    start(&options);
    run_until(world->now.mono_us + 60 * PC_US_PER_S);
    assert_in_range(pc_node_table_count(world->node), 3, peers);
}

static void ask(enum pc_node_event_kind kind)
{
    step(&(struct pc_node_event){ .kind = kind });
}

static void stop(void)
{
    ask(PC_NODE_STOP);
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped);
}

/* Members with an open connection live now, and the cache is told so, though nothing else is new. */
static void a_save_holds_the_members_and_is_answered(void **state)
{
    (void)state;
    live_among(20, true);
    ask(PC_NODE_SAVE); /* what came since the last */
    run_until(world->now.mono_us + PC_US_PER_S);
    assert_int_equal(world->saved_told, 1);
    unsigned before = world->commits;
    world->now.wall_ms += 1000;
    ask(PC_NODE_SAVE);
    assert_true(world->commit_out);
    assert_int_equal(world->saved_told, 1);
    run_until(world->now.mono_us);
    assert_int_equal(world->saved_told, 2);
    assert_int_equal(world->saved_result, 0);
    assert_int_equal(world->commits, before + 1);
    assert_in_range(world->last_batch_count, 3, 20);
    for (size_t i = 0; i < world->last_batch_count; i++) {
        assert_int_equal(world->last_batch[i].history.last_seen_ms, world->now.wall_ms);
        assert_int_equal(world->last_batch[i].history.success_count, 0); /* no dial was made for it */
    }
    stop();
}

/* Who asks while a save is under way waits for what is known by then. */
static void two_saves_are_answered_at_once(void **state)
{
    (void)state;
    live_among(20, true);
    world->now.wall_ms += 1000;
    ask(PC_NODE_SAVE);
    assert_true(world->commit_out);
    unsigned before = world->commits;
    world->now.wall_ms += 1000;
    ask(PC_NODE_SAVE);
    run_until(world->now.mono_us);
    assert_int_equal(world->saved_told, 1);
    assert_int_equal(world->commits, before + 1);
    stop();
}

static void a_save_that_fails_is_answered_with_why(void **state)
{
    (void)state;
    live_among(20, true);
    world->commit_result = PEERCACHE_EFULL;
    world->now.wall_ms += 1000;
    ask(PC_NODE_SAVE);
    run_until(world->now.mono_us);
    assert_int_equal(world->saved_told, 1);
    assert_int_equal(world->saved_result, PEERCACHE_EFULL);
    assert_int_equal(world->warnings, 1);
    world->commit_result = 0;
    ask(PC_NODE_SAVE); /* at once, not on schedule */
    run_until(world->now.mono_us);
    assert_int_equal(world->saved_told, 2);
    assert_int_equal(world->saved_result, 0);
    stop();
}

static void without_a_cache_there_is_nothing_to_save(void **state)
{
    (void)state;
    live_among(20, false);
    ask(PC_NODE_SAVE);
    assert_int_equal(world->saved_told, 1);
    assert_int_equal(world->saved_result, 0);
    assert_int_equal(world->commits, 0);
    stop();
}

static void a_save_when_it_stops_is_answered(void **state)
{
    (void)state;
    live_among(20, true);
    ask(PC_NODE_SAVE);
    stop();
    assert_int_equal(world->saved_told, 1);
    assert_true(world->saved);
}

/* While the disk is slow others go on dialling: one save is enough for who stops. */
static void who_dials_a_node_that_stops_is_not_saved(void **state)
{
    (void)state;
    live_among(20, true);
    run_until(world->now.mono_us + 90 * PC_US_PER_S); /* it hears of them again: news, a minute later */
    ask(PC_NODE_STOP);
    assert_true(world->commit_out);
    unsigned commits = world->commits, closes = world->closes;
    world->commit_out = false; /* it takes its time */
    for (size_t i = 0; i < 5; i++) {
        struct pending *inbound = push(0, PC_LIBP2P_OPENED, PC_LIBP2P_INBOUND | (1000 + i), &world->peers[i]);
        inbound->event.id = world->peers[i].id;
        inbound->event.remote = world->peers[i].at;
    }
    run_until(world->now.mono_us);
    assert_false(world->stopped);
    assert_int_equal(world->closes, closes + 5);
    world->commit_out = true;
    run_until(PC_TIME_NEVER - 1);
    assert_true(world->stopped && world->saved);
    assert_int_equal(world->commits, commits);
}

/* Ten know each other; of the others the cache alone tells. */
static void the_cache_is_offered_to_the_buckets_that_it_fills(void **state)
{
    (void)state;
    make_world(60, 9, false);
    for (size_t i = 0; i < 60; i++)
        for (size_t j = 0; j < world->peers[i].neighbour_count; j++)
            world->peers[i].neighbours[j] = (i + 1 + j) % 10;
    struct pc_node_options options = default_options(&self_peer);
    struct pc_node_source source = source_of(&world->peers[0]);
    options.server = true;
    options.once = false;
    options.sources = &source;
    options.source_count = 1;
    start(&options);
    run_until(world->now.mono_us + 300 * PC_US_PER_S);
    assert_int_equal(pc_node_table_count(world->node), 10);
    load_peers(10, 60);
    unsigned before = world->dials;
    run_until(world->now.mono_us + PC_US_PER_S);
    assert_int_equal(world->dials, before); /* being loaded is no offer */
    ask(PC_NODE_RECALL);
    run_until(world->now.mono_us + 5 * PC_US_PER_S);
    assert_in_range(pc_node_table_count(world->node), 20, 60); /* each bucket keeps five candidates */
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_save_holds_the_members_and_is_answered, tear_down),
        cmocka_unit_test_teardown(two_saves_are_answered_at_once, tear_down),
        cmocka_unit_test_teardown(a_save_that_fails_is_answered_with_why, tear_down),
        cmocka_unit_test_teardown(without_a_cache_there_is_nothing_to_save, tear_down),
        cmocka_unit_test_teardown(a_save_when_it_stops_is_answered, tear_down),
        cmocka_unit_test_teardown(who_dials_a_node_that_stops_is_not_saved, tear_down),
        cmocka_unit_test_teardown(the_cache_is_offered_to_the_buckets_that_it_fills, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
