/* The worker over a store that is slow, fails on demand, and notices when it is used by two at once; commits and jobs. */
#include "check.h"

#include "driver/store_worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COMMITS_MAX 64

struct slow_store {
    struct pc_store head;
    atomic_int inside;
    atomic_int overlaps;
    int delay_ms;
    int fail_number; /* the commit (from 1) that fails; 0 none */
    int count;
    uint64_t sequences[COMMITS_MAX];
    uint64_t first_counts[COMMITS_MAX]; /* success_count of the first delta: which batch it was */
    size_t sizes[COMMITS_MAX];
    int64_t times[COMMITS_MAX];
    pthread_t thread;
};

static int slow_commit(struct pc_store *store, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                       int64_t now_ms, uint32_t timeout_ms)
{
    struct slow_store *slow = (struct slow_store *)(void *)store;
    struct timespec delay = { .tv_nsec = slow->delay_ms * 1000000L };
    if (atomic_fetch_add(&slow->inside, 1) != 0)
        atomic_fetch_add(&slow->overlaps, 1);
    if (timeout_ms != PC_STORE_LOCK_TIMEOUT_MS)
        abort();
    nanosleep(&delay, NULL);
    slow->sequences[slow->count] = sequence;
    slow->sizes[slow->count] = count;
    slow->times[slow->count] = now_ms;
    slow->first_counts[slow->count] = count > 0 ? deltas[0].history.success_count : 0;
    slow->thread = pthread_self();
    slow->count++;
    atomic_fetch_sub(&slow->inside, 1);
    if (slow->count == slow->fail_number) {
        (void)snprintf(store->error.text, sizeof(store->error.text), "disk full (commit %d)", slow->count);
        return PEERCACHE_EFULL;
    }
    return 0;
}

static const struct pc_store_ops slow_ops = { .commit = slow_commit };

static uv_loop_t loop;
static struct slow_store slow;
static struct pc_store *store;
static int reopen_failures; /* until it can be opened */
static struct pc_driver_store_worker *worker;
static int done_count;
static int results[COMMITS_MAX];
static char texts[COMMITS_MAX][192];
static int again; /* commits made from within done */

static struct pc_delta delta(uint32_t number)
{
    return (struct pc_delta){ .history = { .success_count = number } };
}

static void on_done(void *context, int result, const char *text)
{
    assert_ptr_equal(context, &slow);
    results[done_count] = result;
    (void)snprintf(texts[done_count], sizeof(texts[0]), "%s", text);
    done_count++;
    if (again > 0) {
        struct pc_delta more = delta(1000 + (uint32_t)again);
        again--;
        assert_int_equal(pc_driver_store_worker_commit(worker, &more, 1, 7), 0);
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&slow, 0, sizeof(slow));
    slow.head.ops = &slow_ops;
    done_count = 0;
    again = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    store = &slow.head;
    return pc_driver_store_worker_new(&loop, &store, NULL, on_done, &slow, &worker);
}

static int teardown(void **state)
{
    (void)state;
    assert_true(pc_driver_store_worker_idle(worker));
    pc_driver_store_worker_free(worker);
    return uv_loop_close(&loop);
}

static void commits_run_one_at_a_time_and_are_copied(void **state)
{
    (void)state;
    slow.delay_ms = 3;
    for (uint32_t i = 0; i < 5; i++) {
        struct pc_delta batch[2] = { delta(i + 1), delta(99) };
        assert_int_equal(pc_driver_store_worker_commit(worker, batch, 2, 100 + (int64_t)i), 0);
        memset(batch, 0xee, sizeof(batch));
        assert_false(pc_driver_store_worker_idle(worker));
        assert_int_equal(pc_driver_store_worker_commit(worker, batch, 2, 0), PEERCACHE_ESTATE);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(done_count, 5);
    assert_int_equal(slow.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(results[i], 0);
        assert_int_equal(slow.first_counts[i], i + 1);
        assert_int_equal(slow.sizes[i], 2);
        assert_int_equal(slow.times[i], 100 + i);
        assert_int_equal(slow.sequences[i], i + 1);
    }
}

static void the_loop_does_not_wait(void **state)
{
    (void)state;
    struct pc_delta one = delta(1);
    slow.delay_ms = 100;
    assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 0), 0);
    for (int i = 0; i < 10; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        assert_int_equal(done_count, 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(done_count, 1);
    assert_false(pthread_equal(slow.thread, pthread_self()));
}

static void a_failure_is_told_and_retried_under_its_number(void **state)
{
    (void)state;
    struct pc_delta one = delta(1);
    slow.fail_number = 2;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 0), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(done_count, 4);
    assert_int_equal(results[0], 0);
    assert_string_equal(texts[0], "");
    assert_int_equal(results[1], PEERCACHE_EFULL);
    assert_string_equal(texts[1], "disk full (commit 2)");
    assert_int_equal(results[2], 0);
    assert_string_equal(texts[2], "");
    const uint64_t numbers[] = { 1, 2, 2, 3 };
    assert_memory_equal(slow.sequences, numbers, sizeof(numbers));
}

static void a_commit_from_within_done(void **state)
{
    (void)state;
    struct pc_delta one = delta(1);
    again = 5;
    assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 0), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(done_count, 6);
    assert_int_equal(atomic_load(&slow.overlaps), 0);
    assert_int_equal(slow.first_counts[1], 1005);
    assert_int_equal(slow.first_counts[5], 1001);
}

static int reopen(void *context, struct pc_store **place, int64_t now_ms, struct pc_reason *ret_reason)
{
    assert_ptr_equal(context, &slow);
    assert_int_equal(now_ms, 5);
    if (reopen_failures > 0) {
        reopen_failures--;
        pc_base_reason(ret_reason, "still locked");
        return PEERCACHE_EBUSY;
    }
    *place = &slow.head;
    return 0;
}

static void a_store_that_could_not_be_opened_is_opened_for_a_commit(void **state)
{
    (void)state;
    struct pc_delta one = delta(1);
    pc_driver_store_worker_free(worker);
    store = NULL;
    reopen_failures = 1;
    assert_int_equal(pc_driver_store_worker_new(&loop, &store, reopen, on_done, &slow, &worker), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 5), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(results[0], PEERCACHE_EBUSY);
    assert_string_equal(texts[0], "still locked");
    assert_int_equal(results[1], 0);
    assert_int_equal(results[2], 0);
    assert_int_equal(slow.count, 2);
    assert_ptr_equal(store, &slow.head);
}

/* ----- jobs ----- */

#define JOBS_MAX 32

/* What ran, in its order: of work on the pool, of done on the loop. A commit's end is 'C'. */
static char worked_text[JOBS_MAX + 1], done_text[JOBS_MAX + 1];

struct test_job {
    struct pc_driver_store_job job;
    char name;
    int more; /* asked for again in done */
    struct pc_store *store;
    pthread_t thread;
};

static void append(char *text, char c)
{
    size_t size = strlen(text);
    if (size == JOBS_MAX)
        abort();
    text[size] = c;
    text[size + 1] = '\0';
}

static void job_work(void *context, struct pc_store *given)
{
    struct test_job *job = context;
    struct timespec delay = { .tv_nsec = 2000000L };
    if (atomic_fetch_add(&slow.inside, 1) != 0)
        atomic_fetch_add(&slow.overlaps, 1);
    nanosleep(&delay, NULL);
    append(worked_text, job->name);
    job->store = given;
    job->thread = pthread_self();
    atomic_fetch_sub(&slow.inside, 1);
}

static void job_done(void *context, int result)
{
    struct test_job *job = context;
    assert_int_equal(result, 0);
    assert_false(pthread_equal(job->thread, pthread_self()));
    append(done_text, job->name);
    if (job->more > 0) {
        job->more--;
        assert_int_equal(pc_driver_store_worker_do(worker, &job->job), 0);
    }
}

static void job_init(struct test_job *job, char name)
{
    *job = (struct test_job){ .job = { .work = job_work, .done = job_done, .context = job }, .name = name };
}

static void on_commit_among_jobs(void *context, int result, const char *text)
{
    on_done(context, result, text);
    append(done_text, 'C');
}

static void on_idle(void *context)
{
    unsigned *count = context;
    assert_true(pc_driver_store_worker_idle(worker));
    ++*count;
}

static void jobs_and_commits_keep_their_order(void **state)
{
    (void)state;
    struct test_job jobs[6];
    struct pc_delta one = delta(1);
    pc_driver_store_worker_free(worker);
    worked_text[0] = done_text[0] = '\0';
    assert_int_equal(pc_driver_store_worker_new(&loop, &store, NULL, on_commit_among_jobs, &slow, &worker),
                     0);
    unsigned idle = 0;
    pc_driver_store_worker_on_idle(worker, on_idle, &idle);
    for (size_t i = 0; i < 6; i++) {
        job_init(&jobs[i], (char)('a' + i));
        if (i == 3) {
            assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 7), 0);
            assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 7), PEERCACHE_ESTATE);
        }
        assert_int_equal(pc_driver_store_worker_do(worker, &jobs[i].job), 0);
        assert_false(pc_driver_store_worker_idle(worker));
    }
    assert_string_equal(done_text, "");
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(pc_driver_store_worker_idle(worker));
    assert_int_equal(idle, 1); /* after the last alone */
    pc_driver_store_worker_on_idle(worker, NULL, NULL);
    assert_string_equal(worked_text, "abcdef");
    assert_string_equal(done_text, "abcCdef");
    assert_int_equal(slow.count, 1);
    assert_int_equal(atomic_load(&slow.overlaps), 0);
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(jobs[i].store, &slow.head);
}

static void jobs_from_within_done_go_behind_what_waits(void **state)
{
    (void)state;
    struct test_job a, b, lone;
    worked_text[0] = done_text[0] = '\0';
    job_init(&a, 'a');
    job_init(&b, 'b');
    a.more = 2;
    assert_int_equal(pc_driver_store_worker_do(worker, &a.job), 0);
    assert_int_equal(pc_driver_store_worker_do(worker, &b.job), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(worked_text, "abaa");
    assert_string_equal(done_text, "abaa");
    job_init(&lone, 'l'); /* with nothing behind it */
    lone.more = 3;
    assert_int_equal(pc_driver_store_worker_do(worker, &lone.job), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(done_text, "abaallll");
    assert_int_equal(atomic_load(&slow.overlaps), 0);
}

static void a_job_learns_that_no_store_is_open(void **state)
{
    (void)state;
    struct test_job before, after;
    struct pc_delta one = delta(1);
    worked_text[0] = done_text[0] = '\0';
    pc_driver_store_worker_free(worker);
    store = NULL;
    reopen_failures = 0;
    assert_int_equal(pc_driver_store_worker_new(&loop, &store, reopen, on_done, &slow, &worker), 0);
    job_init(&before, 'b');
    job_init(&after, 'a');
    assert_int_equal(pc_driver_store_worker_do(worker, &before.job), 0);
    assert_int_equal(pc_driver_store_worker_commit(worker, &one, 1, 5), 0);
    assert_int_equal(pc_driver_store_worker_do(worker, &after.job), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_string_equal(done_text, "ba");
    assert_null(before.store);
    assert_ptr_equal(after.store, &slow.head);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commits_run_one_at_a_time_and_are_copied),
        TEST(the_loop_does_not_wait),
        TEST(a_failure_is_told_and_retried_under_its_number),
        TEST(a_commit_from_within_done),
        TEST(a_store_that_could_not_be_opened_is_opened_for_a_commit),
        TEST(jobs_and_commits_keep_their_order),
        TEST(jobs_from_within_done_go_behind_what_waits),
        TEST(a_job_learns_that_no_store_is_open),
    };
    return cmocka_run_group_tests_name("driver_store_worker", tests, NULL, NULL);
}
