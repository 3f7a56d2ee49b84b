/*
 * A node on a thread of its own, or within an application's loop.
 *
 * The node's own loop can be run within another one: its backend descriptor becomes readable when one of its sockets
 * does, and its timers are those of uv_backend_timeout. A turn runs it without waiting, and again as long as there
 * was something to do, for what is begun in a callback is only handed to the kernel by the next run.
 */
#include "driver/start.h"

#include "driver/loop.h"

#include <poll.h>
#include <stdlib.h>

#define RUNS_PER_TURN 8 /* then the application has its turn */

/* ----- what others wait for ----- */

int pc_driver_progress_open(struct pc_driver_progress *progress)
{
    if (uv_mutex_init(&progress->lock) != 0)
        return PEERCACHE_EIO;
    if (uv_cond_init(&progress->changed) != 0) {
        uv_mutex_destroy(&progress->lock);
        return PEERCACHE_EIO;
    }
    progress->open = true;
    return 0;
}

void pc_driver_progress_close(struct pc_driver_progress *progress)
{
    if (!progress->open)
        return;
    uv_cond_destroy(&progress->changed);
    uv_mutex_destroy(&progress->lock);
    progress->open = false;
}

void pc_driver_progress_started(struct pc_driver_progress *progress, bool started)
{
    uv_mutex_lock(&progress->lock);
    progress->started = started;
    uv_mutex_unlock(&progress->lock);
}

void pc_driver_progress_begun(struct pc_driver_progress *progress)
{
    uv_mutex_lock(&progress->lock);
    progress->loop_thread = uv_thread_self();
    progress->has_loop_thread = true;
    uv_mutex_unlock(&progress->lock);
}

void pc_driver_progress_joined(struct pc_driver_progress *progress, peercache_join_status status)
{
    uv_mutex_lock(&progress->lock);
    progress->joined = true;
    progress->status = status;
    uv_cond_broadcast(&progress->changed);
    uv_mutex_unlock(&progress->lock);
}

void pc_driver_progress_ended(struct pc_driver_progress *progress)
{
    uv_mutex_lock(&progress->lock);
    progress->ended = true;
    uv_cond_broadcast(&progress->changed);
    uv_mutex_unlock(&progress->lock);
}

static int fail(struct peercache_node *node, int result, const char *text)
{
    pc_base_reason(&node->error, "%s", text);
    return result;
}

int peercache_node_wait_joined(peercache_node *node, uint32_t timeout_ms, peercache_join_status *ret_status)
{
    struct pc_driver_progress *progress = &node->progress;
    const uint64_t end_ns = uv_hrtime() + (uint64_t)timeout_ms * 1000000;
    int result = PEERCACHE_EBUSY;
    if (!progress->open)
        return PEERCACHE_ESTATE;
    uv_mutex_lock(&progress->lock);
    while (!progress->joined && !progress->ended) {
        uint64_t now_ns = uv_hrtime();
        if (now_ns >= end_ns || uv_cond_timedwait(&progress->changed, &progress->lock, end_ns - now_ns) != 0)
            break;
    }
    if (progress->joined) {
        *ret_status = progress->status;
        result = 0;
    } else if (progress->ended) {
        result = PEERCACHE_ESTATE;
    }
    uv_mutex_unlock(&progress->lock);
    return result;
}

/* ----- a thread of its own ----- */

static void run(void *context)
{
    struct peercache_node *node = context;
    pc_driver_loop_run(node);
    pc_driver_progress_ended(&node->progress);
}

int peercache_node_start(peercache_node *node)
{
    int result = pc_driver_node_prepare(node);
    if (result != 0)
        return result;
    int error = uv_thread_create(&node->thread, run, node);
    if (error != 0) {
        pc_driver_progress_started(&node->progress, false);
        node->state = PC_DRIVER_NEW; /* nothing has run: it may be started in another way */
        return fail(node, PEERCACHE_EIO, uv_strerror(error));
    }
    node->has_thread = true;
    return 0;
}

int peercache_node_wait_stopped(peercache_node *node)
{
    if (!node->has_thread)
        return fail(node, PEERCACHE_ESTATE, "the node was not started on a thread of its own");
    (void)uv_thread_join(&node->thread); /* it can only fail for a thread that is none */
    node->has_thread = false;
    return 0;
}

void pc_driver_start_join_thread(struct peercache_node *node)
{
    if (!node->has_thread)
        return;
    peercache_node_stop(node);
    (void)peercache_node_wait_stopped(node);
}

/* ----- within another loop ----- */

/* Its memory outlives the node's run by one turn of the application's loop. */
struct guest {
    struct peercache_node *node; /* NULL: it has ended */
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
};

static void on_closed(uv_handle_t *handle)
{
    struct guest *guest = handle->data;
    if (--guest->handles == 0)
        free(guest);
}

static bool is_readable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };
    return poll(&one, 1, 0) > 0;
}

static void on_due(uv_timer_t *timer);

static void turn(struct guest *guest)
{
    struct peercache_node *node = guest->node;
    bool busy = true;
    for (int runs = 0; busy && runs < RUNS_PER_TURN && node->state != PC_DRIVER_DONE; runs++) {
        uv_update_time(&node->loop);
        busy = is_readable(uv_backend_fd(&node->loop)) || uv_backend_timeout(&node->loop) == 0;
        (void)uv_run(&node->loop, UV_RUN_NOWAIT);
    }
    if (node->state == PC_DRIVER_DONE) {
        uv_close((uv_handle_t *)&guest->poll, on_closed);
        uv_close((uv_handle_t *)&guest->timer, on_closed);
        guest->node = NULL;
        pc_driver_loop_ended(node);
        pc_driver_progress_ended(&node->progress); /* the node may be freed from now on */
        return;
    }
    int wait_ms = busy ? 0 : uv_backend_timeout(&node->loop);
    if (wait_ms < 0)
        (void)uv_timer_stop(&guest->timer);
    else
        (void)uv_timer_start(&guest->timer, on_due, (uint64_t)wait_ms, 0);
}

static void on_due(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct guest *guest = poll->data;
    (void)status; /* an epoll descriptor has no errors of its own */
    (void)events;
    if (guest->node)
        turn(guest);
}

int peercache_node_start_on(peercache_node *node, struct uv_loop_s *loop)
{
    if (!loop)
        return fail(node, PEERCACHE_EINVAL, "no loop");
    if (node->state != PC_DRIVER_NEW)
        return pc_driver_node_prepare(node); /* which says why not */
    struct guest *guest = calloc(1, sizeof(*guest));
    if (!guest)
        return fail(node, PEERCACHE_ENOMEM, "out of memory");
    int error = uv_poll_init(loop, &guest->poll, uv_backend_fd(&node->loop));
    int result = error == 0 ? pc_driver_node_prepare(node) : fail(node, PEERCACHE_EIO, uv_strerror(error));
    if (result != 0) {
        if (error != 0) {
            free(guest); /* the loop knows nothing of it */
            return result;
        }
        guest->handles = 1;
        guest->poll.data = guest;
        uv_close((uv_handle_t *)&guest->poll, on_closed);
        return result;
    }
    (void)uv_timer_init(loop, &guest->timer); /* it can't fail */
    guest->handles = 2;
    guest->node = node;
    guest->poll.data = guest;
    guest->timer.data = guest;
    (void)uv_poll_start(&guest->poll, UV_READABLE, on_readable); /* nor can this, of a handle just made */
    pc_driver_loop_begin(node);
    turn(guest);
    return 0;
}
