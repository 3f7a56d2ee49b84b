#include "check.h"

#include "base/time.h"
#include "driver/clock.h"
#include "driver/timer.h"

#include <peercache/types.h>

static uv_loop_t loop;
static struct pc_driver_timer timer;
static struct pc_driver_clock edge;
static int due_count;
static int64_t due_at_us;

static void on_due(void *context)
{
    assert_ptr_equal(context, &edge);
    due_count++;
    due_at_us = pc_driver_clock_now(&edge).mono_us;
    uv_stop(&loop);
}

static int setup(void **state)
{
    struct pc_reason why;
    (void)state;
    due_count = 0;
    pc_driver_clock_init(&edge);
    pc_driver_timer_init(&timer);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(pc_driver_timer_open(&timer, &loop, on_due, &edge, &why), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pc_driver_timer_close(&timer);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

/* Never early; how late is the machine's affair, but the best of many tries shows that microseconds count. */
static void microseconds_count(void **state)
{
    (void)state;
    int64_t best_us = INT64_MAX;
    for (int i = 0; i < 50; i++) {
        int64_t now_us = pc_driver_clock_now(&edge).mono_us;
        int64_t at_us = now_us + 300;
        pc_driver_timer_set(&timer, at_us, now_us);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(due_count, i + 1);
        assert_true(due_at_us >= at_us);
        best_us = pc_base_time_min(best_us, due_at_us - at_us);
    }
#ifdef __linux__
    assert_true(best_us < 500);
#endif
}

static void the_past_is_now_and_zero_too(void **state)
{
    (void)state;
    const int64_t past[] = { 0, -5, INT64_MIN, 1 };
    for (int i = 0; i < 4; i++) {
        pc_driver_timer_set(&timer, past[i], pc_driver_clock_now(&edge).mono_us);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(due_count, i + 1);
    }
}

static void the_last_setting_holds(void **state)
{
    (void)state;
    int64_t now_us = pc_driver_clock_now(&edge).mono_us;
    pc_driver_timer_set(&timer, now_us, now_us);
    pc_driver_timer_set(&timer, now_us + 3600 * PC_US_PER_S, now_us);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(due_count, 0);
    pc_driver_timer_set(&timer, now_us, now_us);
    pc_driver_timer_set(&timer, PC_TIME_NEVER, now_us);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(due_count, 0);
    pc_driver_timer_set(&timer, now_us + 2000, now_us);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(due_count, 1);
}

static void clocks_never_go_back(void **state)
{
    (void)state;
    peercache_time last = pc_driver_clock_now(&edge);
    assert_true(last.wall_ms > INT64_C(1600000000000)); /* after 2020: milliseconds of 1970 */
    for (int i = 0; i < 1000; i++) {
        peercache_time now = pc_driver_clock_now(&edge);
        assert_true(now.mono_us >= last.mono_us && now.wall_ms >= last.wall_ms);
        last = now;
    }
    /* A clock that is set back stands still. */
    edge.last.wall_ms += 3600000;
    edge.last.mono_us += 3600 * PC_US_PER_S;
    peercache_time ahead = edge.last;
    peercache_time now = pc_driver_clock_now(&edge);
    assert_int_equal(now.wall_ms, ahead.wall_ms);
    assert_int_equal(now.mono_us, ahead.mono_us);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(microseconds_count),
        TEST(the_past_is_now_and_zero_too),
        TEST(the_last_setting_holds),
        TEST(clocks_never_go_back),
    };
    return cmocka_run_group_tests_name("driver_timer", tests, NULL, NULL);
}
