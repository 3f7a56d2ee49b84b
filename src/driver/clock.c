#include "driver/clock.h"

#include "base/time.h"

#include <time.h>

void pc_driver_clock_init(struct pc_driver_clock *clock)
{
    *clock = (struct pc_driver_clock){ { INT64_MIN, INT64_MIN } };
}

peercache_time pc_driver_clock_now(struct pc_driver_clock *clock)
{
    struct timespec wall = { 0 };
    struct timespec mono = { 0 };
    /* Neither can fail: both clocks exist on every system this builds on. Zero would stand still, no more. */
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_MONOTONIC, &mono);
    int64_t wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    int64_t mono_us = (int64_t)mono.tv_sec * PC_US_PER_S + mono.tv_nsec / 1000;
    clock->last.wall_ms = pc_base_time_max(clock->last.wall_ms, wall_ms);
    clock->last.mono_us = pc_base_time_max(clock->last.mono_us, mono_us);
    return clock->last;
}
