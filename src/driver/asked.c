#include "driver/asked.h"

#include "driver/loop.h"

/* ----- on the loop's thread ----- */

/* Take up what was asked for and is not under way yet; false: nothing. */
static bool take_up(struct peercache_node *node, enum pc_driver_asked_for what)
{
    struct pc_driver_asked *asked = &node->progress.asked[what];
    uv_mutex_lock(&node->progress.lock);
    bool any = asked->asked > asked->begun;
    asked->begun = asked->asked;
    uv_mutex_unlock(&node->progress.lock);
    return any;
}

static void on_asked(uv_async_t *async)
{
    struct peercache_node *node = async->data;
    if (node->state != PC_DRIVER_RUNNING)
        return; /* who waits learns that it has ended */
    if (take_up(node, PC_DRIVER_SAVE))
        pc_driver_loop_save(node);
    if (node->state == PC_DRIVER_RUNNING && take_up(node, PC_DRIVER_LOAD))
        pc_driver_loop_load(node);
}

int pc_driver_asked_open(struct peercache_node *node)
{
    int error = uv_async_init(&node->loop, &node->asked_async, on_asked);
    if (error < 0) {
        pc_base_reason(&node->error, "the event loop cannot be set up: %s", uv_strerror(error));
        return PEERCACHE_EIO;
    }
    node->asked_async.data = node;
    node->asked_async_open = true;
    return 0;
}

void pc_driver_asked_ended(struct peercache_node *node, enum pc_driver_asked_for what, int result)
{
    struct pc_driver_asked *asked = &node->progress.asked[what];
    uv_mutex_lock(&node->progress.lock);
    asked->ended = asked->begun;
    asked->result = result;
    uv_cond_broadcast(&node->progress.changed);
    uv_mutex_unlock(&node->progress.lock);
}

void pc_driver_asked_close(struct peercache_node *node)
{
    if (node->asked_async_open)
        uv_close((uv_handle_t *)&node->asked_async, NULL);
    node->asked_async_open = false;
}

/* ----- on any thread ----- */

/* Under the lock. Whoever waits on the thread that is to do it would wait for ever. */
static bool may_wait(const struct pc_driver_progress *progress)
{
    uv_thread_t self = uv_thread_self();
    return !progress->has_loop_thread || !uv_thread_equal(&self, &progress->loop_thread);
}

static int ask(peercache_node *node, enum pc_driver_asked_for what, uint32_t timeout_ms)
{
    struct pc_driver_progress *progress = &node->progress;
    struct pc_driver_asked *asked = &progress->asked[what];
    const uint64_t end_ns = uv_hrtime() + (uint64_t)timeout_ms * 1000000;
    int result = PEERCACHE_EBUSY;
    if (!progress->open)
        return PEERCACHE_ESTATE;
    uv_mutex_lock(&progress->lock);
    if (!progress->started || progress->ended || (timeout_ms > 0 && !may_wait(progress))) {
        uv_mutex_unlock(&progress->lock);
        return PEERCACHE_ESTATE;
    }
    const uint64_t mine = ++asked->asked;
    (void)uv_async_send(&node->asked_async); /* it can only fail on a handle that is closing */
    while (timeout_ms > 0 && asked->ended < mine && !progress->ended) {
        uint64_t now_ns = uv_hrtime();
        if (now_ns >= end_ns || uv_cond_timedwait(&progress->changed, &progress->lock, end_ns - now_ns) != 0)
            break;
    }
    if (timeout_ms == 0)
        result = 0;
    else if (asked->ended >= mine)
        result = asked->result;
    else if (progress->ended)
        result = PEERCACHE_ESTATE;
    uv_mutex_unlock(&progress->lock);
    return result;
}

int peercache_node_save_peers_to_cache(peercache_node *node, uint32_t timeout_ms)
{
    return ask(node, PC_DRIVER_SAVE, timeout_ms);
}

int peercache_node_load_peers_from_cache(peercache_node *node, uint32_t timeout_ms)
{
    return ask(node, PC_DRIVER_LOAD, timeout_ms);
}
