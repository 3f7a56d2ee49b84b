/*
 * peercache_node: the loop between the world and the pure node. It does input and output and decides nothing.
 *
 *   datagram ─► host ─┐                                ┌─► host ─► datagrams
 *   time ─────────────┼─► pc_node_wire_run (one turn) ─┼─► COMMIT ─► store worker ─► COMMITTED
 *   stop, COMMITTED ──┘                                ├─► TELL ─► the callback
 *                                                      └─► STOPPED ─► last datagrams, end of the loop
 *
 * Every callback of the loop ends in serve(): step, send what there is to send, arm the one timer. Work that
 * an edge action asks for while the node is being stepped is only noted, and done after the step.
 */
#include "driver/loop.h"

#include "base/time.h"

#include <assert.h>
#include <signal.h>

#define LAST_FLUSH_US   (200 * PC_US_PER_MS) /* for closing packets that the kernel does not take at once */
#define SERVE_TURNS_MAX 16 /* of one serve(): what is left then comes with the next round of the loop */

static void serve(struct peercache_node *node, const struct pc_node_event *event);

/* ----- telling ----- */

static void tell(struct peercache_node *node, const peercache_node_event *event)
{
    if (node->callback)
        node->callback(node->callback_context, event);
}

void pc_driver_loop_warn(struct peercache_node *node, const char *text)
{
    peercache_node_event event = { .kind = PEERCACHE_NODE_WARNING, .text = text };
    tell(node, &event);
}

/* ----- the edge of the pure node ----- */

void pc_driver_loop_edge(void *context, const struct pc_node_action *action)
{
    struct peercache_node *node = context;
    switch (action->kind) {
    case PC_NODE_TELL:
        tell(node, &action->event);
        return;
    case PC_NODE_COMMIT:
        node->refused_result = PEERCACHE_ESTATE; /* asked for a save without a store: a bug, but no loss */
        if (node->worker)
            node->refused_result = pc_driver_store_worker_commit(
                node->worker, action->deltas, action->delta_count, node->clock.last.wall_ms);
        node->refused_commit = node->refused_result != 0;
        return;
    case PC_NODE_STOPPED:
        node->state = PC_DRIVER_FLUSHING;
        node->flush_until_us = pc_base_time_add(node->clock.last.mono_us, LAST_FLUSH_US);
        return;
    case PC_NODE_FETCH:
    case PC_NODE_RESOLVE:
    case PC_NODE_CANCEL_FETCH:
    case PC_NODE_CANCEL_RESOLVE:
    case PC_NODE_KEEP_ENDPOINT:
    case PC_NODE_KEEP_JOIN:
        return; /* nothing asks for these yet */
    case PC_NODE_DIAL:
    case PC_NODE_CLOSE:
    case PC_NODE_PING:
    case PC_NODE_FIND_NODE:
    case PC_NODE_ANSWER:
        assert(false); /* the wire keeps these for itself */
    }
}

void pc_driver_loop_committed(void *context, int result, const char *text)
{
    struct pc_node_event event = { .kind = PC_NODE_COMMITTED, .result = result, .text = text };
    serve(context, &event);
}

/* ----- one turn ----- */

/* Take datagrams from the host while there is room, and send them. Whether any was taken. */
static bool send_datagrams(struct peercache_node *node, peercache_time now)
{
    struct pc_datagram *slot;
    bool any = false;
    while ((slot = pc_driver_udp_slot(node->udp)) && pc_libp2p_host_send(node->wire.host, now, slot)) {
        pc_driver_udp_keep(node->udp);
        any = true;
    }
    pc_driver_udp_flush(node->udp);
    return any;
}

static void step(struct peercache_node *node, peercache_time now, const struct pc_node_event *event)
{
    if (node->state != PC_DRIVER_RUNNING)
        return; /* a node that has stopped is not stepped again */
    pc_node_wire_run(&node->wire, now, event);
    while (node->refused_commit && node->state == PC_DRIVER_RUNNING) {
        struct pc_node_event answer = { .kind = PC_NODE_COMMITTED,
                                        .result = node->refused_result,
                                        .text = peercache_strerror(node->refused_result) };
        node->refused_commit = false;
        pc_node_wire_run(&node->wire, now, &answer);
    }
}

/* The node has stopped: end the loop once the last datagrams and commits have left. When to look again. */
static int64_t flush(struct peercache_node *node, peercache_time now)
{
    bool datagrams_left = pc_driver_udp_waiting(node->udp) > 0 && now.mono_us < node->flush_until_us;
    pc_driver_udp_stop_receiving(node->udp);
    if (!datagrams_left && (!node->worker || pc_driver_store_worker_idle(node->worker))) {
        node->state = PC_DRIVER_DONE;
        uv_stop(&node->loop);
    }
    return datagrams_left ? node->flush_until_us : PC_TIME_NEVER; /* a commit's end is an event of its own */
}

static void serve(struct peercache_node *node, const struct pc_node_event *event)
{
    peercache_time now = pc_driver_clock_now(&node->clock);
    bool more = true;
    step(node, now, event);
    for (int turn = 0; more && turn < SERVE_TURNS_MAX; turn++) {
        node->told = false;
        /* A full queue goes on when there is room again: that too ends in serve(). */
        more = send_datagrams(node, now);
        if (node->told) {
            step(node, now, NULL);
            more = true;
        }
    }
    int64_t deadline_us = pc_node_wire_deadline(&node->wire);
    if (more)
        deadline_us = now.mono_us;
    if (node->state != PC_DRIVER_RUNNING)
        deadline_us = more ? now.mono_us : flush(node, now);
    pc_driver_timer_set(&node->timer, deadline_us, now.mono_us);
}

/* ----- what the loop brings ----- */

static void on_received(void *context, const struct pc_datagram *datagram)
{
    struct peercache_node *node = context;
    peercache_time now = pc_driver_clock_now(&node->clock);
    if (node->state != PC_DRIVER_RUNNING)
        return;
    pc_libp2p_host_receive(node->wire.host, now, datagram);
    step(node, now, NULL);
}

static void on_unreachable(void *context, const struct pc_ip_port *remote, peercache_outcome outcome,
                           const char *detail)
{
    struct peercache_node *node = context;
    if (node->state != PC_DRIVER_RUNNING)
        return;
    pc_libp2p_host_unreachable(node->wire.host, node->clock.last, remote, outcome, detail);
    node->told = true;
}

static void on_rest(void *context)
{
    serve(context, NULL);
}

static void on_due(void *context)
{
    serve(context, NULL);
}

static void ask_to_stop(struct peercache_node *node)
{
    struct pc_node_event event = { .kind = PC_NODE_STOP };
    if (node->stop_asked || node->state != PC_DRIVER_RUNNING)
        return;
    node->stop_asked = true;
    serve(node, &event);
}

static void on_stop_async(uv_async_t *async)
{
    ask_to_stop(async->data);
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
    (void)number;
    ask_to_stop(signal->data);
}

struct pc_driver_udp_handler pc_driver_loop_udp_handler(struct peercache_node *node)
{
    return (struct pc_driver_udp_handler){
        .context = node,
        .received = on_received,
        .unreachable = on_unreachable,
        .rest = on_rest,
    };
}

/* ----- its life ----- */

static int fail(struct peercache_node *node, int uv_error)
{
    pc_base_reason(&node->error, "the event loop cannot be set up: %s", uv_strerror(uv_error));
    return PEERCACHE_EIO;
}

int pc_driver_loop_open(struct peercache_node *node)
{
    int result = uv_loop_init(&node->loop);
    if (result < 0)
        return fail(node, result);
    node->loop_open = true;
    result = uv_async_init(&node->loop, &node->stop_async, on_stop_async);
    if (result < 0)
        return fail(node, result);
    node->stop_async.data = node;
    node->async_open = true;
    for (size_t i = 0; node->options.handle_signals && i < PC_DRIVER_STOP_SIGNALS; i++) {
        result = uv_signal_init(&node->loop, &node->stop_signals[i]);
        if (result < 0)
            return fail(node, result);
        node->stop_signals[i].data = node;
        node->signals_open++;
    }
    return pc_driver_timer_open(&node->timer, &node->loop, on_due, node, &node->error);
}

int pc_driver_loop_start_signals(struct peercache_node *node)
{
    static const int numbers[PC_DRIVER_STOP_SIGNALS] = { SIGINT, SIGTERM };
    for (size_t i = 0; i < node->signals_open; i++) {
        int result = uv_signal_start(&node->stop_signals[i], on_stop_signal, numbers[i]);
        if (result < 0)
            return fail(node, result);
    }
    return 0;
}

void pc_driver_loop_run(struct peercache_node *node)
{
    struct pc_node_event event = { .kind = PC_NODE_START };
    serve(node, &event);
    (void)uv_run(&node->loop, UV_RUN_DEFAULT); /* until uv_stop: the handle of stop keeps it alive */
    assert(node->state == PC_DRIVER_DONE);
    for (size_t i = 0; i < node->signals_open; i++)
        (void)uv_signal_stop(&node->stop_signals[i]);
}

void pc_driver_loop_close(struct peercache_node *node)
{
    for (size_t i = 0; i < node->signals_open; i++)
        uv_close((uv_handle_t *)&node->stop_signals[i], NULL);
    if (node->async_open)
        uv_close((uv_handle_t *)&node->stop_async, NULL);
    pc_driver_timer_close(&node->timer);
    pc_driver_udp_close(node->udp);
    if (!node->loop_open)
        return;
    (void)uv_run(&node->loop, UV_RUN_DEFAULT); /* until all handles are closed */
    int busy = uv_loop_close(&node->loop);
    assert(busy == 0);
    (void)busy;
}
