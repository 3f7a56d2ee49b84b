/*
 * A stop or a failure at every single call by which a save changes files, for both stores, by number: whatever
 * happens, the old or the new state is there afterwards, never a mixture, never nothing, and what was
 * acknowledged is there.
 *
 * What is done is one commit of two deltas on a cache with a history, on an open handle; and the making of a
 * new file. A loss of power is test_store_power.c; here the order of the JSON file's syncs is checked too.
 */
#include "conformance.h"
#include "faults.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW_MS    CONFORMANCE_NOW_MS
#define CALLS_MAX 200 /* of one save; more is a loop */

static const char *suffix;

/* Peers 1 and 2 with 3 successes each; the save under test adds 1 to both. */
static void make_old_state(void)
{
    struct pc_store *store = conformance_open(1);
    struct pc_delta deltas[2] = { conformance_delta(1, 3, NOW_MS), conformance_delta(2, 3, NOW_MS) };
    assert_int_equal(pc_store_commit(store, 1, deltas, 2, NOW_MS, 1000), 0);
    pc_store_close(store);
}

static void remove_all(void)
{
    char pattern[PC_STORE_PATH_BYTES + 4];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s*", conformance_path);
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            assert_int_equal(unlink(found.gl_pathv[i]), 0);
    globfree(&found);
}

static size_t count_temporaries(void)
{
    char pattern[PC_STORE_PATH_BYTES + 8];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s.tmp-*", conformance_path);
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static int save(struct pc_store *store)
{
    struct pc_delta deltas[2] = { conformance_delta(1, 1, NOW_MS), conformance_delta(2, 1, NOW_MS) };
    return pc_store_commit(store, 7, deltas, 2, NOW_MS, 1000);
}

/* 3 or 4 successes of both; and the cache is whole. */
static uint32_t look(struct pc_store *store)
{
    struct pc_record one, two;
    assert_string_equal(store->warning.text, "");
    assert_int_equal(conformance_find(store, 1, &one), 1);
    assert_int_equal(conformance_find(store, 2, &two), 1);
    assert_int_equal(one.addrs[0].history.success_count, two.addrs[0].history.success_count);
    assert_in_range(one.addrs[0].history.success_count, 3, 4);
    assert_int_equal(conformance_count(store, PC_STORE_ALL), 2);
    if (pc_store_check(store))
        fail_msg("%s", store->error.text);
    return one.addrs[0].history.success_count;
}

static uint32_t look_afterwards(void)
{
    struct pc_store *store = conformance_open(2);
    uint32_t count = look(store);
    assert_int_equal(count_temporaries(), 0);
    pc_store_close(store);
    return count;
}

static unsigned count_calls_of_a_save(void)
{
    make_old_state();
    struct pc_store *store = conformance_open(3);
    faults_arm(FAULT_NONE, 0);
    int result = save(store);
    unsigned calls = faults_disarm();
    assert_int_equal(result, 0);
    pc_store_close(store);
    assert_int_equal(look_afterwards(), 4);
    remove_all();
    assert_in_range(calls, 1, CALLS_MAX);
    return calls;
}

/* In a child: the save, with a close too, stopped at a call. What it acknowledged it says by its end. */
static int stopped_child(enum fault fault, unsigned at)
{
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct pc_store *store = conformance_open(3);
        faults_arm(fault, at);
        int result = save(store);
        if (result == 0)
            pc_store_close(store);
        (void)faults_disarm();
        _exit(result ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_stop_at_every_call_leaves_old_or_new(void **state)
{
    (void)state;
    static const enum fault faults[] = { FAULT_STOP, FAULT_STOP_HALF };
    unsigned calls = count_calls_of_a_save(), stops = 0, olds = 0;
    for (size_t i = 0; i < 2; i++) {
        int ended = FAULT_STOPPED;
        for (unsigned at = 1; ended == FAULT_STOPPED; at++) {
            assert_in_range(at, 1, CALLS_MAX);
            make_old_state();
            ended = stopped_child(faults[i], at);
            uint32_t count = look_afterwards();
            stops += ended == FAULT_STOPPED;
            olds += count == 3;
            if (ended != FAULT_STOPPED) { /* it went on to its end */
                assert_int_equal(ended, 0);
                assert_int_equal(count, 4);
            }
            remove_all();
        }
    }
    print_message("# %u calls of a save, %u stops, the old state after %u\n", calls, stops, olds);
    assert_true(stops >= 2 * calls && olds > 0 && olds < stops);
}

/* What a failure left behind is old or new, and the retry of the same commit makes it new, once. */
static void fail_at(enum fault fault, unsigned at, bool *ret_failed)
{
    make_old_state();
    struct pc_store *store = conformance_open(3);
    faults_arm(fault, at);
    int result = save(store);
    (void)faults_disarm();
    *ret_failed = result != 0;
    if (result && !store->error.text[0])
        fail_msg("call %u: no reason for %d", at, result);
    if (result && !strstr(store->error.text, conformance_path))
        fail_msg("call %u: %s", at, store->error.text);
    /* SQLite doesn't tell why a sync failed. */
    if (fault == FAULT_ENOSPC && result && !(strcmp(suffix, ".db") == 0 && result == PEERCACHE_EIO))
        assert_int_equal(result, PEERCACHE_EFULL);
    if (fault == FAULT_EIO && result)
        assert_int_equal(result, PEERCACHE_EIO);
    if (fault == FAULT_SHORT) /* no failure; nor is this, but SQLite takes it for one of a sync */
        assert_int_equal(result, 0);
    if (fault == FAULT_EINTR && strcmp(suffix, ".json") == 0)
        assert_int_equal(result, 0);
    assert_int_equal(count_temporaries(), fault == FAULT_EIO && count_temporaries() ? 1 : 0);
    uint32_t count = look(store); /* by the handle that failed */
    if (result == 0)
        assert_int_equal(count, 4);
    assert_int_equal(save(store), 0);
    assert_int_equal(look(store), 4);
    pc_store_close(store);
    assert_int_equal(look_afterwards(), 4);
    remove_all();
}

static void a_failure_at_every_call_is_told_and_retried(void **state)
{
    (void)state;
    static const enum fault faults[] = { FAULT_EIO, FAULT_EIO_ONCE, FAULT_ENOSPC, FAULT_EINTR, FAULT_SHORT };
    unsigned calls = count_calls_of_a_save();
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        unsigned failures = 0;
        for (unsigned at = 1; at <= calls; at++) {
            bool failed = false;
            fail_at(faults[i], at, &failed);
            failures += failed;
        }
        if (faults[i] == FAULT_EIO || faults[i] == FAULT_ENOSPC)
            assert_true(failures > 0);
    }
}

/* The making of a new file: it is there whole or not at all, and the next open makes it. */
static void a_stop_at_every_call_of_a_first_open_leaves_a_cache_or_nothing(void **state)
{
    (void)state;
    int ended = FAULT_STOPPED;
    unsigned at = 1;
    for (; ended == FAULT_STOPPED; at++) {
        int status = 0;
        assert_in_range(at, 1, CALLS_MAX);
        (void)fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            faults_arm(FAULT_STOP, at);
            pc_store_close(conformance_open(3));
            (void)faults_disarm();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        ended = WEXITSTATUS(status);
        struct pc_store *store = conformance_open(2);
        assert_string_equal(store->warning.text, "");
        assert_int_equal(conformance_count(store, PC_STORE_ALL), 0);
        assert_int_equal(save(store), 0);
        pc_store_close(store);
        assert_int_equal(count_temporaries(), 0);
        remove_all();
    }
    assert_true(at > 4);
    assert_int_equal(ended, 0);
}

static void a_json_save_syncs_before_and_after_its_rename(void **state)
{
    (void)state;
    make_old_state();
    struct pc_store *store = conformance_open(3);
    faults_arm(FAULT_NONE, 0);
    assert_int_equal(save(store), 0);
    (void)faults_disarm();
    assert_false(faults_saw_unsynced());
    pc_store_close(store);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(a_stop_at_every_call_leaves_old_or_new),
        CASE(a_failure_at_every_call_is_told_and_retried),
        CASE(a_stop_at_every_call_of_a_first_open_leaves_a_cache_or_nothing),
        CASE(a_json_save_syncs_before_and_after_its_rename),
    };
    suffix = argc > 1 ? argv[1] : ".json";
    conformance_suffix_set(suffix);
    conformance_use_memory();
    size_t count = sizeof(tests) / sizeof(tests[0]) - (strcmp(suffix, ".json") != 0);
    return _cmocka_run_group_tests(suffix, tests, count, NULL, NULL);
}
