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
#include "driver/clock.h"
#include "driver/listen.h"
#include "driver/options.h"
#include "driver/store_worker.h"
#include "driver/timer.h"
#include "driver/udp.h"
#include "node/wire.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define AGENT            "peercache/" PC_VERSION
#define CACHE_LOAD_MAX   1000                 /* records read before a join */
#define LAST_FLUSH_US    (200 * PC_US_PER_MS) /* for closing packets that the kernel does not take at once */
#define SERVE_TURNS_MAX  16 /* of one serve(): what is left then comes with the next round of the loop */
#define STOP_SIGNALS     2

enum run_state {
    RUN_NEW,
    RUN_RUNNING,
    RUN_FLUSHING, /* the node has stopped; its last datagrams and commits leave */
    RUN_DONE,
};

struct peercache_node {
    struct peercache_node_options options; /* a copy, sources too */
    struct pc_reason error;
    enum run_state state;
    struct pc_driver_clock clock;

    uv_loop_t loop;
    bool loop_open;
    uv_async_t stop_async;
    uv_signal_t stop_signals[STOP_SIGNALS];
    bool handles_open; /* stop_async and stop_signals */
    bool stop_asked;
    struct pc_driver_timer timer;
    struct pc_driver_udp *udp;

    char kad_protocol[PC_DRIVER_KAD_PROTOCOL_BYTES];
    struct pc_identity *identity;
    char id[PEERCACHE_PEER_ID_TEXT_BYTES];
    size_t listening_count;
    struct pc_ip_port listening[PC_LIBP2P_LISTEN_ADDRS_MAX]; /* what we can be reached at */

    struct pc_store *store; /* NULL: none */
    struct pc_driver_store_worker *worker;
    bool refused_commit; /* a COMMIT that the worker could not take: to be answered after the step */
    int refused_result;

    struct pc_wire wire;
    int64_t flush_until_us;

    void (*callback)(void *context, const peercache_node_event *event);
    void *callback_context;
};

static void serve(struct peercache_node *node, const struct pc_node_event *event);

/* ----- telling ----- */

static void tell(struct peercache_node *node, const peercache_node_event *event)
{
    if (node->callback)
        node->callback(node->callback_context, event);
}

static void warn(struct peercache_node *node, const char *text)
{
    peercache_node_event event = { .kind = PEERCACHE_NODE_WARNING, .text = text };
    tell(node, &event);
}

/* ----- the edge of the pure node ----- */

static void on_edge(void *context, const struct pc_node_action *action)
{
    struct peercache_node *node = context;
    switch (action->kind) {
    case PC_NODE_TELL:
        tell(node, &action->event);
        return;
    case PC_NODE_COMMIT:
        node->refused_result = PEERCACHE_ESTATE; /* asked for a save without a store: a bug, but no loss */
        if (node->worker)
            node->refused_result = pc_driver_store_worker_commit(node->worker, action->deltas,
                                                                 action->delta_count,
                                                                 node->clock.last.wall_ms);
        node->refused_commit = node->refused_result != 0;
        return;
    case PC_NODE_STOPPED:
        node->state = RUN_FLUSHING;
        node->flush_until_us = pc_base_time_add(node->clock.last.mono_us, LAST_FLUSH_US);
        return;
    case PC_NODE_DIAL:
    case PC_NODE_CLOSE:
    case PC_NODE_PING:
    case PC_NODE_FIND_NODE:
    case PC_NODE_ANSWER:
        break; /* the wire's own */
    }
    assert(!"an action that is not for the edge");
}

static void on_committed(void *context, int result, const char *text)
{
    struct pc_node_event event = { .kind = PC_NODE_COMMITTED, .result = result, .text = text };
    serve(context, &event);
}

/* ----- one turn ----- */

/* Take datagrams from the host while there is room, and send them. Whether any was sent or refused. */
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
    if (node->state != RUN_RUNNING)
        return; /* a node that has stopped is not stepped again */
    pc_node_wire_run(&node->wire, now, event);
    while (node->refused_commit && node->state == RUN_RUNNING) {
        struct pc_node_event answer = { .kind = PC_NODE_COMMITTED,
                                        .result = node->refused_result,
                                        .text = peercache_strerror(node->refused_result) };
        node->refused_commit = false;
        pc_node_wire_run(&node->wire, now, &answer);
    }
}

/* Whether the last datagrams and commits have left. */
static bool flushed(const struct peercache_node *node, peercache_time now)
{
    if (node->worker && !pc_driver_store_worker_idle(node->worker))
        return false;
    return pc_driver_udp_waiting(node->udp) == 0 || now.mono_us >= node->flush_until_us;
}

static void serve(struct peercache_node *node, const struct pc_node_event *event)
{
    peercache_time now = pc_driver_clock_now(&node->clock);
    int64_t deadline_us;
    step(node, now, event);
    for (int turn = 0; send_datagrams(node, now); turn++) {
        if (turn == SERVE_TURNS_MAX)
            break;
        /* What could not be sent was told to the host; a full queue goes on when there is room again. */
        step(node, now, NULL);
    }
    if (node->state == RUN_FLUSHING) {
        pc_driver_udp_stop_receiving(node->udp);
        if (flushed(node, now)) {
            node->state = RUN_DONE;
            uv_stop(&node->loop);
        }
        deadline_us = node->flush_until_us;
    } else {
        deadline_us = pc_node_wire_deadline(&node->wire);
    }
    pc_driver_timer_set(&node->timer, node->state == RUN_DONE ? PC_TIME_NEVER : deadline_us, now.mono_us);
}

/* ----- what the loop brings ----- */

static void on_received(void *context, const struct pc_datagram *datagram)
{
    struct peercache_node *node = context;
    peercache_time now = pc_driver_clock_now(&node->clock);
    if (node->state != RUN_RUNNING)
        return;
    pc_libp2p_host_receive(node->wire.host, now, datagram);
    step(node, now, NULL);
}

static void on_unreachable(void *context, const struct pc_ip_port *remote, peercache_outcome outcome,
                           const char *detail)
{
    struct peercache_node *node = context;
    if (node->state == RUN_RUNNING)
        pc_libp2p_host_unreachable(node->wire.host, node->clock.last, remote, outcome, detail);
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
    if (node->stop_asked || node->state != RUN_RUNNING)
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
