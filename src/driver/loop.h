/* The parts of a running node, and the loop that moves data between them. See loop.c. */
#ifndef PC_DRIVER_LOOP_H
#define PC_DRIVER_LOOP_H

#include "driver/clock.h"
#include "driver/endpoints.h"
#include "driver/finds.h"
#include "driver/http_server.h"
#include "driver/names.h"
#include "driver/notify.h"
#include "driver/options.h"
#include "driver/routes.h"
#include "driver/start.h"
#include "driver/store_worker.h"
#include "driver/take_in.h"
#include "driver/timer.h"
#include "driver/udp.h"
#include "node/wire.h"

#define PC_DRIVER_JOIN_KEY                                                                                   \
    "join" /* in the store's metadata: peers from the cache that the last join verified */
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
    uv_async_t find_async;    /* the application wants a peer found */
    uv_async_t network_async; /* the application says that the network has changed */
    uv_signal_t stop_signals[PC_DRIVER_STOP_SIGNALS];
    uv_async_t asked_async; /* another thread asks for something, see asked.h */
    bool asked_async_open;
    bool async_open;
    bool network_async_open;
    bool find_async_open;
    size_t signals_open;
    bool stop_asked;
    struct pc_driver_timer timer;
    struct pc_driver_udp *udp;

    struct pc_driver_network *network; /* its description; empty when that is not used */
    char kad_protocol[PC_DRIVER_KAD_PROTOCOL_BYTES];
    struct pc_identity *identity;
    char id[PEERCACHE_PEER_ID_TEXT_BYTES];
    bool wildcard_missing; /* 0.0.0.0 or :: was asked for, and there is no such family here */
    size_t bound_count;
    struct pc_ip_port bound[PC_LIBP2P_LISTEN_ADDRS_MAX]; /* what is listened on, "any address" too */
    size_t listening_count;
    struct pc_ip_port listening[PC_LIBP2P_LISTEN_ADDRS_MAX]; /* what we can be reached at */

    struct pc_store *store;      /* NULL: none */
    bool store_opened;           /* it is there; told apart from `store`, which the worker may replace */
    struct pc_reason cache_busy; /* why it could not be opened for writing yet; "" it could */
    struct pc_reason cache_lost; /* why what the cache held is not used; "" it is, or a save began it anew */
    struct pc_driver_store_worker *worker;
    bool loading;                      /* somebody waits for the end of a taking in */
    struct pc_driver_take_in *take_in; /* NULL without a worker */
    bool refused_commit; /* a COMMIT that the worker could not take: to be answered after the step */
    int refused_result;
    uint64_t counts[PEERCACHE_STATE_COUNT]; /* peers of the store when it was opened */
    uint32_t last_verified;                 /* peers from the cache that the last join verified */

    size_t endpoint_count;
    const char *urls[PC_JOIN_ENDPOINTS_MAX]; /* of options or network */
    size_t endpoints_left_out;               /* of the network, for which there was no room */
    uint64_t endpoint_sources[PC_JOIN_ENDPOINTS_MAX];
    struct pc_driver_names *names;
    struct pc_driver_endpoints *endpoints;
    struct pc_driver_routes *routes; /* NULL: they are not watched */
    /* FETCHes and RESOLVEs that could not be begun, to be answered after the step. */
    struct pc_node_fetched refused_fetches[PC_JOIN_FETCHES_MAX];
    size_t refused_fetch_count;
    struct pc_node_resolved refused_questions[PC_NAMES_AT_ONCE_MAX];
    size_t refused_question_count;
    struct pc_driver_store_job keep_join; /* writes last_verified */
    bool keeping_join;
    uint32_t kept_verified;
    struct pc_driver_http_server *http; /* NULL: none, or no longer */
    struct pc_driver_notify notify;
    uv_timer_t notify_timer; /* of signs of life and the status */
    bool notify_timer_open;
    char http_place[PC_DRIVER_HTTP_PLACE_BYTES];
    peercache_time started;
    struct pc_log log; /* no sink: silence */
    peercache_join_report report;
    peercache_endpoint_report endpoint_reports[PC_JOIN_ENDPOINTS_MAX];

    bool ready; /* peercache_node_new went through */
    bool told;  /* the host was told of a remote that refuses; it has not been stepped since */
    struct pc_wire wire;
    int64_t flush_until_us;

    struct pc_driver_progress progress;
    struct pc_driver_finds finds;
    uv_thread_t thread; /* of peercache_node_start */
    bool has_thread;

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
/* Start the node, whose state is RUNNING; then its loop is to be run until the state is DONE, and `ended` called. */
void pc_driver_loop_begin(struct peercache_node *node);
void pc_driver_loop_ended(struct peercache_node *node);
/* All of it, in this thread. */
void pc_driver_loop_run(struct peercache_node *node);
/* Get ready to run: sockets, signals, and what is to be told at the start. ESTATE it runs or has run; EIO. */
int pc_driver_node_prepare(struct peercache_node *node);

/* What the sockets, the worker and the wire are given to call. */
struct pc_driver_udp_handler pc_driver_loop_udp_handler(struct peercache_node *node);
void pc_driver_loop_committed(void *node, int result, const char *text);
void pc_driver_loop_worker_idle(void *node);
/* What others committed. */
struct pc_driver_take_in_handler pc_driver_loop_take_in_handler(struct peercache_node *node);
void pc_driver_loop_edge(void *node, const struct pc_node_action *action);
/* What names, endpoints and routes are given to call. */
void pc_driver_loop_fetched(void *node, const struct pc_node_fetched *fetched);
void pc_driver_loop_resolved(void *node, const struct pc_node_resolved *resolved);
void pc_driver_loop_routes(void *node, bool has_ip4, bool has_ip6);
/* What was asked for is begun; asked.h is told of its end. */
void pc_driver_loop_save(struct peercache_node *node);
void pc_driver_loop_load(struct peercache_node *node);
/* Tell the application a WARNING. */
void pc_driver_loop_warn(struct peercache_node *node, const char *text);

#endif
