/*
 * Failure of every allocation of a node. What it learns without memory may be lost, and dials; but it goes on, says what came
 * of its join, saves what it can and stops when it is told to; and a node that lives finds into its network all the same.
 */
#include "memory_check.h"

#include "node_world.h"

static void begin(const struct pc_node_options *options, size_t cached)
{
    MUST(pc_node_new(options, &world->node));
    step(&(struct pc_node_event){ .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&self_peer.addr) });
    load_peers(0, cached);
    step(&(struct pc_node_event){ .kind = PC_NODE_START });
}

/* Of the cached peers some are dead, and endpoints name others. */
static void make_mixed_world(struct pc_node_options *options)
{
    make_world(50, 8, true);
    *options = default_options(&self_peer);
    options->mode = PC_NETGROUP_PUBLIC;
    options->endpoint_count = 2;
    world->endpoints[0] = (struct endpoint){ .result = PEERCACHE_FETCH_TIMEOUT };
    world->endpoints[1] = (struct endpoint){ .result = PEERCACHE_FETCH_OK, .from = 20, .to = 32 };
    for (size_t i = 0; i < 10; i++)
        world->peers[i].habit = i % 3 == 0 ? SILENT : i % 3 == 1 ? REFUSES : LIVES;
}

static void one_join_survives_it(void **state)
{
    (void)state;
    unsigned failed = 0;
    failing_memory_first();
    do {
        struct pc_node_options options;
        make_mixed_world(&options);
        failing_memory_arm();
        begin(&options, 12);
        run_until(PC_TIME_NEVER - 1);
        failing_memory_disarm();
        HOLDS(world->stopped && world->done);
        failed += world->status == PEERCACHE_FAILED;
        tear_down(NULL);
    } while (failing_memory_next());
    print_message("# %u allocations of a join, %u of which are its end\n", failing_memory_count(), failed);
    assert_true(failing_memory_count() > 50);
    assert_true(failed <= 8); /* those of the plan itself */
}

/* A server: walks, tests, feelers, lookups of targets, the first commit. */
static void a_life_survives_it(void **state)
{
    (void)state;
    failing_memory_first();
    do {
        struct pc_node_options options;
        make_mixed_world(&options);
        options.once = false;
        options.server = true;
        failing_memory_arm();
        begin(&options, 12);
        run_until(world->now.mono_us + 900 * PC_US_PER_S);
        failing_memory_disarm();
        HOLDS(!world->stopped && world->done);
        HOLDS(world->status == PEERCACHE_JOINED);
        HOLDS(pc_node_table_count(world->node) >= 10);
        HOLDS(world->committed > 10);
        step(&(struct pc_node_event){ .kind = PC_NODE_STOP });
        run_until(PC_TIME_NEVER - 1);
        HOLDS(world->stopped);
        tear_down(NULL);
    } while (failing_memory_next());
    print_message("# %u allocations of a life\n", failing_memory_count());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_join_survives_it, tear_down),
        cmocka_unit_test_teardown(a_life_survives_it, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
