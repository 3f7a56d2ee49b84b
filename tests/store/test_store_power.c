/*
 * The loss of power at every change that a store makes on its drive, for both stores, by number; what was not synced is lost
 * by lot. What is left is a prefix of what was committed, whole, and no file is found corrupt:
 *
 * - JSON file: every commit that was acknowledged;
 * - SQLite: no less than when it was closed last, for it may lose what was acknowledged since (WAL, synchronous=NORMAL).
 *
 * And that the drive is worth the trouble: on one that lies about its syncs, this fails.
 */
#include "conformance.h"
#include "on_drive.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS      CONFORMANCE_NOW_MS
#define COMMITS     12
#define CHANGES_MAX 2000
#define PEERS       5

static const char *suffix;

/* What the process that loses its power got done. */
struct told {
    unsigned acknowledged;
    unsigned closed; /* acknowledged when it closed the store last */
};

/* Commit number n: peer 0, and one of the others. */
static int commit(struct pc_store *store, unsigned n)
{
    struct pc_delta deltas[2] = { conformance_delta(100, 1, NOW_MS + n),
                                  conformance_delta(101 + n % PEERS, 1, NOW_MS + n) };
    return pc_store_commit(store, n + 1, deltas, 2, NOW_MS + n, 1000);
}

static void close_store(struct pc_store *store, struct told *told)
{
    pc_store_close(store);
    if (!on_drive_is_dead())
        told->closed = told->acknowledged;
}

/* Twelve commits, with a close and another open after every fourth; to the end, or until there is no power. */
static void live(struct told *told)
{
    struct pc_store *store = on_drive_open(3);
    for (unsigned n = 0; n < COMMITS && store; n++) {
        if (n > 0 && n % 4 == 0) {
            close_store(store, told);
            store = on_drive_open(3);
        }
        if (!store || commit(store, n))
            break;
        told->acknowledged = n + 1;
    }
    close_store(store, told);
}

static uint32_t successes(struct pc_store *store, uint32_t number)
{
    struct pc_record record;
    return conformance_find(store, number, &record) ? record.addrs[0].history.success_count : 0;
}

/* How many commits are there; -1: not a number of them, whole. */
static int look(void)
{
    on_drive_process();
    struct pc_store *store = on_drive_open(2);
    bool is_well = store->warning.text[0] == '\0' && pc_store_check(store) == 0; /* nothing is corrupt */
    uint32_t whole = successes(store, 100);
    for (uint32_t peer = 0; peer < PEERS; peer++) {
        uint32_t expected = 0;
        for (uint32_t n = 0; n < whole; n++)
            expected += n % PEERS == peer;
        is_well &= successes(store, 101 + peer) == expected;
    }
    pc_store_close(store);
    return is_well ? (int)whole : -1;
}

/* One life that loses its power at a change; *ret_is_well: what it left is what it must. False: it lived to its end. */
static bool lose_at(unsigned at, uint64_t seed, uint32_t syncs_dropped_one_in, bool *ret_is_well,
                    bool *ret_is_less)
{
    struct told told = { 0 };
    on_drive_fresh(seed * CHANGES_MAX + at);
    drive_drop_syncs(on_drive, syncs_dropped_one_in);
    drive_arm(on_drive, DRIVE_POWER, at);
    live(&told);
    (void)drive_disarm(on_drive);
    if (!on_drive_is_dead()) {
        assert_int_equal(told.acknowledged, COMMITS);
        return false;
    }
    drive_drop_syncs(on_drive, 0);
    int found = look();
    unsigned least = strcmp(suffix, ".json") == 0 ? told.acknowledged : told.closed;
    *ret_is_well = found >= (int)least && found <= (int)told.acknowledged + 1;
    *ret_is_less = found < (int)told.acknowledged;
    return true;
}

static void lose_everywhere(uint64_t seed)
{
    unsigned lost = 0, at = 1;
    bool is_well = true, is_less = false;
    for (; lose_at(at, seed, 0, &is_well, &is_less); at++) {
        assert_in_range(at, 1, CHANGES_MAX);
        if (!is_well)
            fail_msg("seed %llu, change %u: not what was committed", (unsigned long long)seed, at);
        lost += is_less;
    }
    print_message("# power was lost %u times, %u of them with a commit that was not synced\n", at - 1, lost);
    assert_true(at > COMMITS * 2);
    if (strcmp(suffix, ".db") == 0)
        assert_true(lost > 0); /* else nothing was tried */
    else
        assert_int_equal(lost, 0);
}

/* POWER_SEEDS of them, for those who have the time. */
static void what_is_left_is_a_prefix(void **state)
{
    const char *seeds = getenv("POWER_SEEDS");
    uint64_t count = seeds ? strtoull(seeds, NULL, 10) : 2;
    (void)state;
    for (uint64_t seed = 0; seed < count; seed++)
        lose_everywhere(seed);
}

static void a_drive_that_lies_about_its_syncs_is_found_out(void **state)
{
    unsigned broken = 0;
    bool is_well = true, is_less;
    (void)state;
    for (unsigned at = 1; lose_at(at, 1, 2, &is_well, &is_less); at++)
        broken += !is_well;
    assert_true(broken > 0);
}

static int end(void **state)
{
    (void)state;
    on_drive_end();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_left_is_a_prefix, end),
        cmocka_unit_test_teardown(a_drive_that_lies_about_its_syncs_is_found_out, end),
    };
    suffix = argc > 1 ? argv[1] : ".json";
    on_drive_begin(suffix);
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
