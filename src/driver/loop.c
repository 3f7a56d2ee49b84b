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

#include "base/cursor.h"
#include "base/time.h"
#include "driver/listen.h"
#include "driver/notified.h"
#include "driver/observed.h"
#include "driver/report.h"

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
    pc_base_log(&node->log, PC_LOG_WARNING, "driver", "%s", text);
    tell(node, &event);
}

static void tell_completed(struct peercache_node *node, const peercache_node_event *told)
{
    peercache_node_event event = *told;
    peercache_endpoint_report endpoint;
    if (event.report) {
        event.report = pc_driver_report_complete(node, event.report);
        pc_driver_progress_joined(&node->progress, event.report->status);
        pc_driver_notified_status(node);
    }
    if (event.endpoint) {
        endpoint = *event.endpoint;
        pc_driver_report_endpoint(node, event.count, &endpoint);
        event.endpoint = &endpoint;
    }
    tell(node, &event);
}

/* ----- the edge of the pure node ----- */

static int64_t wait_ms(const struct peercache_node *node, int64_t deadline_us)
{
    int64_t left_us = pc_base_time_sub(deadline_us, node->clock.last.mono_us);
    return left_us > PC_US_PER_MS ? left_us / PC_US_PER_MS : 1;
}

static void begin_fetch(struct peercache_node *node, const struct pc_node_action *action)
{
    if (pc_driver_endpoints_fetch(node->endpoints, action->number, action->endpoint,
                                  wait_ms(node, action->deadline_us)) == 0)
        return;
    assert(node->refused_fetch_count < PC_JOIN_FETCHES_MAX);
    node->refused_fetches[node->refused_fetch_count++] = (struct pc_node_fetched){
        .number = action->number, .endpoint = action->endpoint, .result = PEERCACHE_FETCH_CANCELLED
    };
}

static void begin_resolve(struct peercache_node *node, const struct pc_node_action *action)
{
    if (pc_driver_names_resolve(node->names, &action->question, wait_ms(node, action->deadline_us)) == 0)
        return;
    assert(node->refused_question_count < PC_NAMES_AT_ONCE_MAX);
    node->refused_questions[node->refused_question_count++] =
        (struct pc_node_resolved){ .number = action->number, .outcome = PEERCACHE_CANCELLED };
}

/* On a thread of the pool. What a join found of the cache is a hint: when it is not kept, the next join waits for
 * the cache as one that knows nothing. */
static void write_join(void *context, struct pc_store *store)
{
    struct peercache_node *node = context;
    uint8_t bytes[4];
    struct pc_writer w;
    pc_base_writer_init(&w, bytes, sizeof(bytes));
    pc_base_write_u32(&w, node->kept_verified);
    if (store)
        (void)pc_store_meta_put(store, PC_DRIVER_JOIN_KEY, pc_bytes_of(bytes, sizeof(bytes)),
                                PC_STORE_LOCK_TIMEOUT_MS);
}

static void wrote_join(void *context, int result)
{
    struct peercache_node *node = context;
    (void)result;
    node->keeping_join = false;
}

static void keep_join(struct peercache_node *node, uint32_t verified)
{
    if (!node->worker || node->keeping_join)
        return;
    node->kept_verified = verified;
    node->keep_join = (struct pc_driver_store_job){ .work = write_join, .done = wrote_join, .context = node };
    node->keeping_join = pc_driver_store_worker_do(node->worker, &node->keep_join) == 0;
}

void pc_driver_loop_edge(void *context, const struct pc_node_action *action)
{
    struct peercache_node *node = context;
    switch (action->kind) {
    case PC_NODE_TELL:
        tell_completed(node, &action->event);
        return;
    case PC_NODE_COMMIT:
        node->refused_result = PEERCACHE_ESTATE; /* asked for a save without a store: a bug, but no loss */
        if (node->worker)
            node->refused_result = pc_driver_store_worker_commit(
                node->worker, action->deltas, action->delta_count, node->clock.last.wall_ms);
        node->refused_commit = node->refused_result != 0;
        return;
    case PC_NODE_TAKE_IN:
        if (node->take_in)
            pc_driver_take_in_begin(node->take_in);
        return;
    case PC_NODE_SAVED:
        pc_driver_asked_ended(node, PC_DRIVER_SAVE, action->result);
        return;
    case PC_NODE_STOPPED:
        node->state = PC_DRIVER_FLUSHING;
        if (!node->stop_asked) /* it stops by itself */
            pc_driver_notified_stopping(node);
        pc_driver_observed_close(node); /* a loop that is run no more would leave its clients waiting */
        node->flush_until_us = pc_base_time_add(node->clock.last.mono_us, LAST_FLUSH_US);
        return;
    case PC_NODE_FETCH:
        begin_fetch(node, action);
        return;
    case PC_NODE_RESOLVE:
        begin_resolve(node, action);
        return;
    case PC_NODE_CANCEL_FETCH:
        pc_driver_endpoints_cancel(node->endpoints, action->number);
        return;
    case PC_NODE_CANCEL_RESOLVE:
        pc_driver_names_cancel(node->names, action->number);
        return;
    case PC_NODE_KEEP_ENDPOINT:
        pc_driver_endpoints_keep(node->endpoints, action->endpoint, action->breaker, action->count);
        return;
    case PC_NODE_KEEP_JOIN:
        keep_join(node, action->count);
        return;
    case PC_NODE_DIAL:
    case PC_NODE_CLOSE:
    case PC_NODE_PING:
    case PC_NODE_FIND_NODE:
    case PC_NODE_ANSWER:
    case PC_NODE_PROBE:
    case PC_NODE_DIAL_BACK:
    case PC_NODE_REFUSE_DIAL:
    case PC_NODE_ANNOUNCE:
    case PC_NODE_KEEP:
        assert(false); /* the wire keeps these for itself */
    }
}

void pc_driver_loop_fetched(void *context, const struct pc_node_fetched *fetched)
{
    struct pc_node_event event = { .kind = PC_NODE_FETCHED, .fetched = fetched };
    serve(context, &event);
}

void pc_driver_loop_resolved(void *context, const struct pc_node_resolved *resolved)
{
    struct pc_node_event event = { .kind = PC_NODE_RESOLVED, .resolved = resolved };
    serve(context, &event);
}

/* "Any address" means those of the interfaces there are now. */
static void look_at_listening(struct peercache_node *node)
{
    struct pc_ip_port found[PC_LIBP2P_LISTEN_ADDRS_MAX];
    struct pc_maddr addrs[PC_LIBP2P_LISTEN_ADDRS_MAX];
    struct pc_reason why;
    size_t count = 0;
    for (size_t i = 0; i < node->bound_count; i++) {
        if (pc_driver_listen_expand(&node->bound[i], node->options.local, found, PC_LIBP2P_LISTEN_ADDRS_MAX,
                                    &count, &why)) {
            pc_driver_loop_warn(node, why.text);
            return; /* what was known of them stays */
        }
    }
    for (size_t i = 0; i < count; i++)
        pc_addr_from_ip_port(&found[i], &addrs[i]);
    struct pc_node_event event = { .kind = PC_NODE_LISTENS, .addrs = addrs, .addr_count = count };
    serve(node, &event);
}

void pc_driver_loop_routes(void *context, bool has_ip4, bool has_ip6)
{
    struct peercache_node *node = context;
    struct pc_node_event event = { .kind = PC_NODE_ROUTES, .has_ip4 = has_ip4, .has_ip6 = has_ip6 };
    look_at_listening(node);
    serve(node, &event);
}

static void took_in_ban(void *context, const struct pc_ban *ban)
{
    struct pc_node_event event = { .kind = PC_NODE_BANNED, .ban = ban };
    serve(context, &event);
}

static void took_in_record(void *context, const struct pc_record *record)
{
    struct pc_node_event event = { .kind = PC_NODE_LOADED, .record = record };
    serve(context, &event);
}

/* What it has ended with is of use to the table at once when somebody waits for that. */
static void loaded(struct peercache_node *node, int result)
{
    struct pc_node_event event = { .kind = PC_NODE_RECALL };
    node->loading = false;
    serve(node, &event);
    pc_driver_asked_ended(node, PC_DRIVER_LOAD, result);
}

static void took_in(void *context, int result, const char *why)
{
    struct peercache_node *node = context;
    if (result != 0)
        pc_base_log(&node->log, PC_LOG_WARNING, "driver", "what others committed is not taken in: %s", why);
    if (node->loading)
        loaded(node, result);
}

void pc_driver_loop_save(struct peercache_node *node)
{
    struct pc_node_event event = { .kind = PC_NODE_SAVE };
    serve(node, &event);
}

void pc_driver_loop_load(struct peercache_node *node)
{
    if (node->take_in) {
        node->loading = true;
        pc_driver_take_in_begin(node->take_in);
    } else {
        loaded(node, 0);
    }
}

struct pc_driver_take_in_handler pc_driver_loop_take_in_handler(struct peercache_node *node)
{
    return (struct pc_driver_take_in_handler){
        .context = node, .ban = took_in_ban, .record = took_in_record, .done = took_in
    };
}

/* Whoever has stopped waits for it. */
void pc_driver_loop_worker_idle(void *context)
{
    struct peercache_node *node = context;
    if (node->state == PC_DRIVER_FLUSHING)
        serve(node, NULL);
}

void pc_driver_loop_committed(void *context, int result, const char *text)
{
    struct peercache_node *node = context;
    struct pc_node_event event = { .kind = PC_NODE_COMMITTED, .result = result, .text = text };
    if (result == 0) { /* what could only be read at first was opened for writing since */
        node->store_opened = true;
        node->cache_busy.text[0] = '\0';
        node->cache_lost.text[0] = '\0'; /* it was begun anew */
    }
    serve(node, &event);
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

/* What could not be begun while the node was stepped is told now, and what the application asked for meanwhile. */
static bool next_left(struct peercache_node *node, struct pc_node_event *ret_event)
{
    if (node->refused_commit) {
        node->refused_commit = false;
        *ret_event = (struct pc_node_event){ .kind = PC_NODE_COMMITTED,
                                             .result = node->refused_result,
                                             .text = peercache_strerror(node->refused_result) };
    } else if (node->refused_fetch_count > 0) {
        *ret_event = (struct pc_node_event){ .kind = PC_NODE_FETCHED,
                                             .fetched = &node->refused_fetches[--node->refused_fetch_count] };
    } else if (node->refused_question_count > 0) {
        *ret_event =
            (struct pc_node_event){ .kind = PC_NODE_RESOLVED,
                                    .resolved = &node->refused_questions[--node->refused_question_count] };
    } else if (pc_node_may_find(node->wire.node)) {
        *ret_event = (struct pc_node_event){ .kind = PC_NODE_FIND, .id = pc_driver_finds_take(&node->finds) };
        return ret_event->id != NULL;
    } else {
        return false;
    }
    return true;
}

static void step(struct peercache_node *node, peercache_time now, const struct pc_node_event *event)
{
    if (node->state != PC_DRIVER_RUNNING)
        return; /* a node that has stopped is not stepped again */
    pc_node_wire_run(&node->wire, now, event);
    struct pc_node_event answer;
    while (node->state == PC_DRIVER_RUNNING && next_left(node, &answer))
        pc_node_wire_run(&node->wire, now, &answer);
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
    return datagrams_left ? node->flush_until_us
                          : PC_TIME_NEVER; /* that the worker is idle is an event of its own */
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
        if (node->told || (node->state == PC_DRIVER_RUNNING && pc_libp2p_host_has_event(node->wire.host))) {
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
    pc_driver_notified_stopping(node);
    serve(node, &event);
}

static void on_stop_async(uv_async_t *async)
{
    ask_to_stop(async->data);
}

static void on_find_async(uv_async_t *async)
{
    serve(async->data, NULL);
}

static void on_network_async(uv_async_t *async)
{
    struct peercache_node *node = async->data;
    bool has_ip4 = true, has_ip6 = true;
    struct pc_reason unused; /* what cannot be known is taken to be there */
    (void)pc_driver_routes_now(node->options.local, &has_ip4, &has_ip6, &unused);
    pc_driver_loop_routes(node, has_ip4, has_ip6);
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
    result = uv_async_init(&node->loop, &node->network_async, on_network_async);
    if (result < 0)
        return fail(node, result);
    node->network_async.data = node;
    node->network_async_open = true;
    result = uv_async_init(&node->loop, &node->find_async, on_find_async);
    if (result < 0)
        return fail(node, result);
    node->find_async.data = node;
    node->find_async_open = true;
    for (size_t i = 0; node->options.handle_signals && i < PC_DRIVER_STOP_SIGNALS; i++) {
        result = uv_signal_init(&node->loop, &node->stop_signals[i]);
        if (result < 0)
            return fail(node, result);
        node->stop_signals[i].data = node;
        node->signals_open++;
    }
    result = pc_driver_asked_open(node);
    if (result != 0)
        return result;
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

void pc_driver_loop_begin(struct peercache_node *node)
{
    struct pc_node_event event = { .kind = PC_NODE_START, .is_part = node->store && node->store->has_more };
    pc_driver_progress_begun(&node->progress);
    pc_driver_notified_ready(node);
    serve(node, &event);
}

void pc_driver_loop_ended(struct peercache_node *node)
{
    assert(node->state == PC_DRIVER_DONE);
    for (size_t i = 0; i < node->signals_open; i++)
        (void)uv_signal_stop(&node->stop_signals[i]);
}

void pc_driver_loop_run(struct peercache_node *node)
{
    pc_driver_loop_begin(node);
    (void)uv_run(&node->loop, UV_RUN_DEFAULT); /* until uv_stop: the handle of stop keeps it alive */
    pc_driver_loop_ended(node);
}

static void on_endpoints_closed(void *context)
{
    struct peercache_node *node = context;
    pc_driver_names_close(node->names);
}

void pc_driver_loop_close(struct peercache_node *node)
{
    for (size_t i = 0; i < node->signals_open; i++)
        uv_close((uv_handle_t *)&node->stop_signals[i], NULL);
    if (node->async_open)
        uv_close((uv_handle_t *)&node->stop_async, NULL);
    if (node->network_async_open)
        uv_close((uv_handle_t *)&node->network_async, NULL);
    if (node->find_async_open)
        uv_close((uv_handle_t *)&node->find_async, NULL);
    pc_driver_asked_close(node);
    pc_driver_observed_close(node);
    pc_driver_notified_close(node);
    pc_driver_routes_close(node->routes);
    if (node->endpoints) /* before the names, whose resolver they use */
        pc_driver_endpoints_close(node->endpoints, on_endpoints_closed, node);
    else
        pc_driver_names_close(node->names);
    pc_driver_timer_close(&node->timer);
    pc_driver_udp_close(node->udp);
    if (!node->loop_open)
        return;
    (void)uv_run(&node->loop, UV_RUN_DEFAULT); /* until all handles are closed */
    int busy = uv_loop_close(&node->loop);
    assert(busy == 0);
    (void)busy;
}
