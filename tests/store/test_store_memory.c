/*
 * Failure of every allocation in turn, for each kind of store: open, commit, query, metadata, check, close on a
 * cache with a history. Each call either works or says ENOMEM; nothing leaks; and afterwards the cache is whole,
 * with the commit or without it, never twice.
 */
#include "conformance.h"

#include "../unit/failing_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW_MS CONFORMANCE_NOW_MS

static const char *suffix;

static int visit_nothing(void *context, const struct pc_record *record)
{
    ++*(size_t *)context;
    (void)record;
    return 0;
}

static void require_memory_or_none(int result, const char *what, const struct pc_store *store)
{
    if (result && result != PEERCACHE_ENOMEM)
        fail_msg("allocation %u: %s: %d %s", failing_memory_number(), what, result,
                 store ? store->error.text : "");
}

/* A whole cycle. What fails is made again, as a caller would: the same commit under its number. */
static void cycle(void)
{
    static const enum pc_store_query_kind kinds[] = { PC_STORE_ALL, PC_STORE_BEST, PC_STORE_CHANGED };
    struct pc_store_options options = conformance_options(3);
    struct pc_store *store = NULL;
    struct pc_reason reason = { "" };
    struct pc_delta deltas[3] = { conformance_delta(1, 1, NOW_MS), conformance_delta(2, 1, NOW_MS) };
    uint8_t value[8];
    size_t size = 0;
    int result = 0;
    pc_cache_delta_init(&deltas[2], &(struct pc_peer_id){ .size = 0 }, pc_bytes_of(NULL, 0));
    deltas[2].id = conformance_id(3);
    deltas[2].removed_ms = NOW_MS;
    for (int i = 0; i < 2 && !store; i++) {
        result = pc_store_open(conformance_path, &options, &store, &reason);
        if (result && result != PEERCACHE_ENOMEM)
            fail_msg("allocation %u: open: %d %s", failing_memory_number(), result, reason.text);
    }
    assert_non_null(store);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct pc_store_query query = { .kind = kinds[i], .count = 10 };
        size_t count = 0;
        require_memory_or_none(pc_store_query(store, &query, visit_nothing, &count), "query", store);
        int again = 0;
        do
            result = pc_store_commit(store, i + 1, deltas, 3, NOW_MS, 1000);
        while (result == PEERCACHE_ENOMEM && ++again < 2);
        require_memory_or_none(result, "commit", store);
        assert_int_equal(result, 0);
    }
    require_memory_or_none(pc_store_meta_put(store, "x", pc_bytes_of("abc", 3), 1000), "meta", store);
    result = pc_store_meta_get(store, "x", value, sizeof(value), &size);
    if (result != PEERCACHE_ENOTFOUND)
        require_memory_or_none(result, "meta", store);
    require_memory_or_none(pc_store_check(store), "check", store);
    if (store->warning.text[0])
        fail_msg("allocation %u: %s", failing_memory_number(), store->warning.text);
    pc_store_close(store);
}

static void make_old_state(void)
{
    struct pc_store *store = conformance_open(1);
    for (uint32_t i = 1; i <= 4; i++) {
        struct pc_delta delta = conformance_delta(i, 3, NOW_MS - 10);
        conformance_commit(store, i, &delta);
    }
    pc_store_close(store);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    failing_memory_first();
    do {
        struct pc_record record;
        make_old_state();
        failing_memory_arm();
        cycle();
        failing_memory_disarm();
        struct pc_store *store = conformance_open(2);
        assert_string_equal(store->warning.text, "");
        assert_int_equal(conformance_count(store, PC_STORE_ALL), 3);
        assert_int_equal(conformance_find(store, 1, &record), 1);
        assert_int_equal(record.addrs[0].history.success_count, 6);
        assert_int_equal(conformance_find(store, 3, &record), 0);
        assert_int_equal(pc_store_check(store), 0);
        pc_store_close(store);
        assert_int_equal(unlink(conformance_path), 0);
    } while (failing_memory_next());
    print_message("# %u allocations of a cycle\n", failing_memory_count());
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(every_allocation_fails_once),
    };
    if (!failing_memory_hook_sqlite())
        return 1;
    suffix = argc > 1 ? argv[1] : ".json";
    conformance_suffix_set(suffix);
    conformance_use_memory();
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
