/* The parts of a running node, and the loop that moves data between them. See loop.c. */
#ifndef PC_DRIVER_LOOP_H
#define PC_DRIVER_LOOP_H

#include "driver/clock.h"
#include "driver/options.h"
#include "driver/store_worker.h"
#include "driver/timer.h"
#include "driver/udp.h"
#include "node/wire.h"

#define PC_DRIVER_STOP_SIGNALS 2 /* SIGINT, SIGTERM */

enum pc_driver_run_state {
    PC_DRIVER_NEW,
    PC_DRIVER_RUNNING,
    PC_DRIVER_FLUSHING, /* the node has stopped; its last datagrams and commits leave */
    PC_DRIVER_DONE,
};

struct peercache_node {
    struct peercache_node_options options; /* a copy, sources too */
    struct pc_reason error;
    enum pc_driver_run_state state;
    struct pc_driver_clock clock;

    uv_loop_t loop;
    bool loop_open;
    uv_async_t stop_async;
    uv_signal_t stop_signals[PC_DRIVER_STOP_SIGNALS];
    bool async_open;
    size_t signals_open;
    bool stop_asked;
    struct pc_driver_timer timer;
    struct pc_driver_udp *udp;

    char kad_protocol[PC_DRIVER_KAD_PROTOCOL_BYTES];
    struct pc_identity *identity;
    char id[PEERCACHE_PEER_ID_TEXT_BYTES];
    bool wildcard_missing; /* 0.0.0.0 or :: was asked for, and there is no such family here */
    size_t listening_count;
    struct pc_ip_port listening[PC_LIBP2P_LISTEN_ADDRS_MAX]; /* what we can be reached at */

    struct pc_store *store;      /* NULL: none */
    struct pc_reason cache_busy; /* why it could not be opened for writing yet; "" it could */
    struct pc_reason cache_lost; /* why what the cache held is not used; "" it is */
    struct pc_driver_store_worker *worker;
    bool refused_commit; /* a COMMIT that the worker could not take: to be answered after the step */
    int refused_result;

    bool ready; /* peercache_node_new went through */
    bool told;  /* the host was told of a remote that refuses; it has not been stepped since */
    struct pc_wire wire;
    int64_t flush_until_us;

    void (*callback)(void *context, const peercache_node_event *event);
    void *callback_context;
};

/* Open uv's loop, the handles of stopping (signals only when asked for), and the timer. EIO with node->error.
 */
int pc_driver_loop_open(struct peercache_node *node);
/* Close its handles, run the loop until they are, and close it. A node half made is fine. */
void pc_driver_loop_close(struct peercache_node *node);
/* Begin to take signals. EIO with node->error. */
int pc_driver_loop_start_signals(struct peercache_node *node);
/* Start the node, whose state is RUNNING, and run until it is DONE. */
void pc_driver_loop_run(struct peercache_node *node);

/* What the sockets, the worker and the wire are given to call. */
struct pc_driver_udp_handler pc_driver_loop_udp_handler(struct peercache_node *node);
void pc_driver_loop_committed(void *node, int result, const char *text);
void pc_driver_loop_edge(void *node, const struct pc_node_action *action);
/* Tell the application a WARNING. */
void pc_driver_loop_warn(struct peercache_node *node, const char *text);

#endif
