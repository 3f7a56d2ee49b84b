/*
 * Power is lost at every change that a process makes on its disk, for both stores, with several ways for what was not synced to
 * get lost: what is left is a whole cache, that of the first so many commits, none of which is there in part; those that were
 * synced are there, which are all that a close has ended, and with the JSON file all that were acknowledged.
 */
#include "conformance.h"
#include "power.h"

#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW_MS      CONFORMANCE_NOW_MS
#define COMMITS     12
#define CHANGES_MAX 2000
#define PEERS       5

static const char *suffix;

/* What the process that loses its power tells of itself. */
struct told {
    unsigned acknowledged;
    unsigned closed; /* acknowledged when it closed the store last */
    unsigned changes;
};
static struct told *told;

/* Commit number n: peer 0, and one of the others. */
static void commit(struct pc_store *store, unsigned n)
{
    struct pc_delta deltas[2] = { conformance_delta(100, 1, NOW_MS + n),
                                  conformance_delta(101 + n % PEERS, 1, NOW_MS + n) };
    assert_int_equal(pc_store_commit(store, n + 1, deltas, 2, NOW_MS + n, 1000), 0);
    told->acknowledged = n + 1;
}

/* Twelve commits, with a close and another open after every fourth. */
static void live(void)
{
    struct pc_store *store = conformance_open(3);
    for (unsigned n = 0; n < COMMITS; n++) {
        if (n > 0 && n % 4 == 0) {
            pc_store_close(store);
            told->closed = told->acknowledged;
            store = conformance_open(3);
        }
        commit(store, n);
    }
    pc_store_close(store);
    told->closed = told->acknowledged;
}

static void empty(const char *directory)
{
    char pattern[PC_STORE_PATH_BYTES + 2];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s/*", directory);
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            assert_true(unlink(found.gl_pathv[i]) == 0 || rmdir(found.gl_pathv[i]) == 0);
    globfree(&found);
}

/* In a child. True: it lost its power; false: it lived to its end, and told how many changes that took. */
static bool loses_power(const char *after, unsigned at, uint64_t seed)
{
    char path[PC_STORE_PATH_BYTES];
    int status = 0;
    (void)snprintf(path, sizeof(path), "%s", conformance_path);
    *told = (struct told){ 0 };
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        power_arm(dirname(path), after, at, seed);
        live();
        told->changes = power_disarm();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == POWER_LOST);
    return WEXITSTATUS(status) == POWER_LOST;
}

static uint32_t successes(struct pc_store *store, uint32_t number)
{
    struct pc_record record;
    return conformance_find(store, number, &record) ? record.addrs[0].history.success_count : 0;
}

/* How many commits are there. */
static unsigned look(void)
{
    struct pc_store *store = conformance_open(2);
    assert_string_equal(store->warning.text, ""); /* nothing is corrupt */
    if (pc_store_check(store))
        fail_msg("%s", store->error.text);
    uint32_t whole = successes(store, 100);
    for (uint32_t peer = 0; peer < PEERS; peer++) {
        uint32_t expected = 0;
        for (uint32_t n = 0; n < whole; n++)
            expected += n % PEERS == peer;
        assert_int_equal(successes(store, 101 + peer), expected);
    }
    pc_store_close(store);
    return whole;
}

static void lose_everywhere(uint64_t seed)
{
    char directory[PC_STORE_PATH_BYTES], here[PC_STORE_PATH_BYTES], after[PC_STORE_PATH_BYTES + 8];
    unsigned lost = 0, losses = 0, step = strcmp(suffix, ".json") == 0 ? 1 : 3;
    (void)snprintf(here, sizeof(here), "%s", conformance_path);
    (void)snprintf(directory, sizeof(directory), "%s", conformance_path);
    (void)snprintf(after, sizeof(after), "%s.after", dirname(directory));
    assert_int_equal(mkdir(after, 0700), 0);
    for (unsigned at = 1;; at += step) {
        assert_in_range(at, 1, CHANGES_MAX);
        empty(directory);
        empty(after);
        if (!loses_power(after, at, seed * CHANGES_MAX + at))
            break;
        losses++;
        const char *name = strrchr(here, '/');
        assert_true(snprintf(conformance_path, sizeof(conformance_path), "%s%s", after, name) > 0);
        unsigned found = look();
        assert_in_range(found, told->closed, told->acknowledged + 1);
        if (strcmp(suffix, ".json") == 0)
            assert_true(found >= told->acknowledged);
        lost += told->acknowledged > found;
        (void)snprintf(conformance_path, sizeof(conformance_path), "%s", here);
    }
    print_message("# power was lost %u times, %u of them with a commit that was not synced\n", losses, lost);
    assert_int_equal(told->acknowledged, COMMITS);
    assert_true(losses * step >= COMMITS * 2);
    if (strcmp(suffix, ".db") == 0)
        assert_true(lost > 0); /* else nothing was tried */
    empty(after);
    assert_int_equal(rmdir(after), 0);
}

/* POWER_SEEDS of them, for those who have the time. */
static void what_is_left_is_a_prefix(void **state)
{
    const char *seeds = getenv("POWER_SEEDS");
    uint64_t count = seeds ? strtoull(seeds, NULL, 10) : 1;
    (void)state;
    for (uint64_t seed = 0; seed < count; seed++)
        lose_everywhere(seed);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { CASE(what_is_left_is_a_prefix) };
    suffix = argc > 1 ? argv[1] : ".json";
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED)
        return 2;
    conformance_suffix_set(suffix);
    conformance_use_memory();
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
