/*
 * Many processes on one cache, some killed with SIGKILL at random moments: the final counts are exactly the sum
 * of what was acknowledged (the one commit under way when a process was killed may or may not be there), the
 * file is whole, no temporary is left.
 *
 * Scale: 64 processes of 100 commits each under sanitizers; PEERCACHE_STRESS=1 (make stress) runs 64 of 1,000.
 * The figures (total, longest wait) are said as a comment, not asserted: machines differ.
 */
#include "conformance.h"

#include "base/rng.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOW_MS          CONFORMANCE_NOW_MS
#define PROCESSES       64
#define SCALED_COMMITS  100
#define FULL_COMMITS    1000
#define LOCK_TIMEOUT_MS 300000 /* it is long under a sanitizer and on two cores; the waits are measured */
#define COMMON          1000   /* the peer that all raise */

struct report {
    volatile uint32_t acknowledged;
    int64_t longest_us;
};

static int64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A process raises its own peer and the common one by each commit. */
static void work(uint32_t number, uint32_t commits, struct report *report)
{
    struct pc_store_options options = conformance_options((uint8_t)(10 + number));
    struct pc_store *store = NULL;
    options.timeout_ms = LOCK_TIMEOUT_MS;
    if (pc_store_open(conformance_path, &options, &store, NULL))
        _exit(1);
    for (uint32_t i = 1; i <= commits; i++) {
        struct pc_delta deltas[2] = { conformance_delta(number, 1, NOW_MS),
                                      conformance_delta(COMMON, 1, NOW_MS) };
        int64_t before_us = monotonic_us();
        if (pc_store_commit(store, i, deltas, 2, NOW_MS, LOCK_TIMEOUT_MS)) {
            (void)fprintf(stderr, "# process %u: %s\n", number, store->error.text);
            _exit(2);
        }
        int64_t took_us = monotonic_us() - before_us;
        report->longest_us = took_us > report->longest_us ? took_us : report->longest_us;
        report->acknowledged = i;
    }
    if (number % 2)
        pc_store_close(store);
    _exit(0); /* every other one without closing */
}

static size_t count_temporaries(void)
{
    char pattern[PC_STORE_PATH_BYTES + 16];
    glob_t found;
    (void)snprintf(pattern, sizeof(pattern), "%s.tmp-*", conformance_path);
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    (void)snprintf(pattern, sizeof(pattern), "%s.corrupt-*", conformance_path);
    count += glob(pattern, GLOB_APPEND, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

/* Every fourth is killed once it has done a random part of its work. */
static void kill_some(const pid_t *pids, const struct report *reports, uint32_t commits)
{
    struct pc_rng rng;
    uint32_t limits[PROCESSES];
    size_t left = 0;
    bool killed[PROCESSES] = { false };
    pc_base_rng_init_u64(&rng, (uint64_t)monotonic_us());
    for (size_t i = 0; i < PROCESSES; i += 4, left++)
        limits[i] = (uint32_t)pc_base_rng_below(&rng, commits);
    while (left > 0) {
        for (size_t i = 0; i < PROCESSES; i += 4) {
            if (killed[i] || reports[i].acknowledged < limits[i])
                continue;
            (void)usleep((useconds_t)pc_base_rng_below(&rng, 3000)); /* anywhere in a commit */
            assert_int_equal(kill(pids[i], SIGKILL), 0);
            killed[i] = true;
            left--;
        }
        (void)usleep(200);
    }
}

static void what_was_acknowledged_is_there_whoever_is_killed(void **state)
{
    (void)state;
    uint32_t commits = getenv("PEERCACHE_STRESS") ? FULL_COMMITS : SCALED_COMMITS;
    pid_t pids[PROCESSES];
    uint32_t total = 0, unknown = 0;
    int64_t longest_us = 0;
    struct pc_record record;
    struct report *reports =
        mmap(NULL, PROCESSES * sizeof(*reports), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(reports != MAP_FAILED);
    int64_t before_us = monotonic_us();
    (void)fflush(NULL);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            work(i, commits, &reports[i]);
    }
    kill_some(pids, reports, commits);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (i % 4)
            assert_int_equal(status, 0);
    }
    int64_t took_us = monotonic_us() - before_us;
    struct pc_store *store = conformance_open(1);
    assert_string_equal(store->warning.text, "");
    for (uint32_t i = 0; i < PROCESSES; i++) {
        uint32_t count = conformance_find(store, i, &record) ? record.addrs[0].history.success_count : 0;
        uint32_t acknowledged = reports[i].acknowledged;
        assert_in_range(count, acknowledged, acknowledged + (i % 4 == 0));
        if (i % 4)
            assert_int_equal(count, commits);
        unknown += count - acknowledged;
        total += count;
        longest_us = reports[i].longest_us > longest_us ? reports[i].longest_us : longest_us;
    }
    assert_int_equal(conformance_find(store, COMMON, &record), 1);
    assert_int_equal(record.addrs[0].history.success_count, total); /* both deltas of a commit, or none */
    assert_int_equal(record.addrs[0].history.failure_count, 2 * total);
    if (pc_store_check(store))
        fail_msg("%s", store->error.text);
    pc_store_close(store);
    assert_int_equal(count_temporaries(), 0);
    print_message(
        "# %d processes: %u commits in %lld ms, %u of them never acknowledged, longest wait %lld ms\n",
        PROCESSES, total, (long long)took_us / 1000, unknown, (long long)longest_us / 1000);
    assert_int_equal(munmap(reports, PROCESSES * sizeof(*reports)), 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, conformance_setup, conformance_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_acknowledged_is_there_whoever_is_killed),
    };
    const char *suffix = argc > 1 ? argv[1] : ".json";
    conformance_suffix_set(suffix);
    return cmocka_run_group_tests_name(suffix, tests, NULL, NULL);
}
