/*
 * One timer with microseconds. QUIC's loss timers are often shorter than a millisecond on a near path, and
 * uv_timer counts whole ones; so on Linux it is a timerfd under uv_poll, exact and never early. Elsewhere it
 * is uv_timer rounded up to the next millisecond; should it come early by a fraction of one, the owner finds
 * nothing due and arms it again for at least a millisecond, so that nothing spins.
 */
#ifndef PC_DRIVER_TIMER_H
#define PC_DRIVER_TIMER_H

#include "base/bytes.h"

#include <uv.h>

struct pc_driver_timer {
    union {
        uv_handle_t handle;
        uv_poll_t poll;
        uv_timer_t timer;
    } uv;
    int fd;        /* -1: none */
    int64_t at_us; /* armed for; PC_TIME_NEVER: not */
    bool open;
    void (*due)(void *context);
    void *context;
};

/* Not open; close is then allowed. */
void pc_driver_timer_init(struct pc_driver_timer *timer);
/* `due` is called on the loop's thread. EIO with the reason. */
int pc_driver_timer_open(struct pc_driver_timer *timer, uv_loop_t *loop, void (*due)(void *context),
                         void *context, struct pc_reason *ret_reason);
/* Arm for at_us of the monotonic clock, now or earlier: at once; PC_TIME_NEVER: not at all. */
void pc_driver_timer_set(struct pc_driver_timer *timer, int64_t at_us, int64_t now_us);
/* The loop must run once more before the memory goes. */
void pc_driver_timer_close(struct pc_driver_timer *timer);

#endif
