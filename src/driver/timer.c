#include "driver/timer.h"

#include "base/time.h"

#include <peercache/types.h>

#include <errno.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/timerfd.h>
#endif

void pc_driver_timer_init(struct pc_driver_timer *timer)
{
    *timer = (struct pc_driver_timer){ .fd = -1, .at_us = PC_TIME_NEVER };
}

#ifdef __linux__

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct pc_driver_timer *timer = poll->data;
    uint64_t expirations;
    (void)status;
    (void)events;
    /* Nothing to read: it was armed anew since the loop looked. The new time stands. */
    if (read(timer->fd, &expirations, sizeof(expirations)) != (ssize_t)sizeof(expirations))
        return;
    timer->at_us = PC_TIME_NEVER;
    timer->due(timer->context);
}

int pc_driver_timer_open(struct pc_driver_timer *timer, uv_loop_t *loop, void (*due)(void *context),
                         void *context, struct pc_reason *ret_reason)
{
    int result;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer->fd < 0) {
        pc_base_reason(ret_reason, "no timer: %s", uv_strerror(-errno));
        return PEERCACHE_EIO;
    }
    result = uv_poll_init(loop, &timer->uv.poll, timer->fd);
    if (result < 0) {
        pc_base_reason(ret_reason, "no timer: %s", uv_strerror(result));
        (void)close(timer->fd);
        timer->fd = -1;
        return PEERCACHE_EIO;
    }
    timer->open = true;
    timer->due = due;
    timer->context = context;
    timer->uv.poll.data = timer;
    result = uv_poll_start(&timer->uv.poll, UV_READABLE, on_poll);
    if (result < 0) {
        pc_base_reason(ret_reason, "no timer: %s", uv_strerror(result));
        return PEERCACHE_EIO; /* closed with the rest */
    }
    return 0;
}

void pc_driver_timer_set(struct pc_driver_timer *timer, int64_t at_us, int64_t now_us)
{
    struct itimerspec spec = { 0 }; /* all zero disarms */
    (void)now_us;
    if (!timer->open || at_us == timer->at_us)
        return;
    timer->at_us = at_us;
    if (at_us != PC_TIME_NEVER) {
        int64_t us = pc_base_time_max(at_us, 1); /* zero would disarm */
        spec.it_value.tv_sec = (time_t)(us / PC_US_PER_S);
        spec.it_value.tv_nsec = (long)(us % PC_US_PER_S * 1000);
    }
    /* It fails only for a bad descriptor or value, and there is none. */
    (void)timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

#else

static void on_timer(uv_timer_t *uv)
{
    struct pc_driver_timer *timer = uv->data;
    timer->at_us = PC_TIME_NEVER;
    timer->due(timer->context);
}

int pc_driver_timer_open(struct pc_driver_timer *timer, uv_loop_t *loop, void (*due)(void *context),
                         void *context, struct pc_reason *ret_reason)
{
    int result = uv_timer_init(loop, &timer->uv.timer);
    if (result < 0) {
        pc_base_reason(ret_reason, "no timer: %s", uv_strerror(result));
        return PEERCACHE_EIO;
    }
    timer->open = true;
    timer->due = due;
    timer->context = context;
    timer->uv.timer.data = timer;
    return 0;
}

void pc_driver_timer_set(struct pc_driver_timer *timer, int64_t at_us, int64_t now_us)
{
    if (!timer->open || at_us == timer->at_us)
        return;
    timer->at_us = at_us;
    if (at_us == PC_TIME_NEVER) {
        (void)uv_timer_stop(&timer->uv.timer);
        return;
    }
    int64_t wait_us = pc_base_time_max(pc_base_time_sub(at_us, now_us), 0);
    uv_update_time(timer->uv.timer.loop); /* uv counts from the start of its round */
    (void)uv_timer_start(&timer->uv.timer, on_timer, (uint64_t)(wait_us / 1000 + (wait_us % 1000 != 0)), 0);
}

#endif

void pc_driver_timer_close(struct pc_driver_timer *timer)
{
    if (timer->open)
        uv_close(&timer->uv.handle, NULL);
    timer->open = false;
    if (timer->fd >= 0)
        (void)close(timer->fd);
    timer->fd = -1;
}
