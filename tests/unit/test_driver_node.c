/* Whole nodes over real sockets on loopback: each in its own thread, or in its own process. */
#include "check.h"

#include "store/store.h"

#include <peercache/node.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#define PATIENCE_MS 20000
#define TEXT_BYTES  600

static char folder[64];

/* ----- a node and what it told ----- */

struct witness {
    peercache_node *node;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char addr[TEXT_BYTES]; /* the first it listens on */
    uint32_t listening;
    uint32_t dialing;
    uint32_t verified;
    uint32_t unjoined;
    peercache_outcome code; /* of the last UNJOINED */
    char detail[TEXT_BYTES];
    uint32_t done;
    peercache_join_status status;
    char cause[64];
    int64_t elapsed_us;
    peercache_via via; /* of the first peer in the report */
    uint32_t walked;
    uint32_t pongs;
    int64_t rtt_us;
    uint32_t warnings;
    char warning[TEXT_BYTES];
    peercache_crawl_report crawl; /* its lists are gone */
    uint32_t met;                 /* JOIN_DONE with somebody verified */
    uint32_t stopped;
    bool saved;
    uint32_t after_stopped;
    int result; /* of run */
    bool stop_when_done;
    int tell_fd; /* -1, or a byte is written there at JOIN_DONE */
};

static void on_event(void *context, const peercache_node_event *event)
{
    struct witness *w = context;
    pthread_mutex_lock(&w->lock);
    if (w->stopped > 0)
        w->after_stopped++;
    switch (event->kind) {
    case PEERCACHE_NODE_LISTENING:
        if (w->listening++ == 0)
            (void)snprintf(w->addr, sizeof(w->addr), "%s", event->addr);
        break;
    case PEERCACHE_NODE_DIALING:
        w->dialing++;
        break;
    case PEERCACHE_NODE_VERIFIED:
        w->verified++;
        break;
    case PEERCACHE_NODE_UNJOINED:
        w->unjoined++;
        w->code = event->dial->code;
        (void)snprintf(w->detail, sizeof(w->detail), "%s", event->dial->detail);
        break;
    case PEERCACHE_NODE_JOIN_DONE:
        w->done++;
        w->met += event->report->verified > 0;
        w->status = event->report->status;
        w->elapsed_us = event->report->elapsed_us;
        (void)snprintf(w->cause, sizeof(w->cause), "%s", event->report->cause ? event->report->cause : "");
        if (event->report->peer_count > 0)
            w->via = event->report->peers[0].via;
        if (w->tell_fd >= 0 && write(w->tell_fd, "J", 1) != 1)
            abort();
        if (w->stop_when_done)
            peercache_node_stop(w->node);
        break;
    case PEERCACHE_NODE_WALKED:
        w->walked++;
        break;
    case PEERCACHE_NODE_FOUND:
    case PEERCACHE_NODE_PONG:
        w->pongs++;
        w->code = event->dial->code;
        w->rtt_us = event->dial->rtt_us;
        break;
    case PEERCACHE_NODE_FETCHED:
    case PEERCACHE_NODE_CRAWLED:
        break;
    case PEERCACHE_NODE_CRAWL_DONE:
        w->crawl = *event->crawl;
        break;
    case PEERCACHE_NODE_WARNING:
        w->warnings++;
        (void)snprintf(w->warning, sizeof(w->warning), "%s", event->text);
        break;
    case PEERCACHE_NODE_STOPPED:
        w->stopped++;
        w->saved = event->saved;
        break;
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void witness_init(struct witness *w)
{
    memset(w, 0, sizeof(*w));
    w->tell_fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
}

static void witness_deinit(struct witness *w)
{
    peercache_node_free(w->node);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

/* Wait until a counter of the witness is not 0. */
static void wait_for(struct witness *w, const uint32_t *counter)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&w->lock);
    int result = 0;
    while (*counter == 0 && result == 0)
        result = pthread_cond_timedwait(&w->changed, &w->lock, &until);
    pthread_mutex_unlock(&w->lock);
    assert_int_equal(result, 0);
}

static peercache_node_options *local_options(peercache_mode mode)
{
    peercache_node_options *options = peercache_node_options_new();
    assert_non_null(options);
    peercache_node_options_set_mode(options, mode);
    peercache_node_options_set_local(options, true);
    return options;
}

static void make(struct witness *w, peercache_node_options *options)
{
    int result = peercache_node_new(options, &w->node);
    if (result != 0)
        print_message("# %s\n", peercache_node_errmsg(w->node));
    assert_int_equal(result, 0);
    peercache_node_on_event(w->node, on_event, w);
    peercache_node_options_free(options);
}

static void *run_thread(void *context)
{
    struct witness *w = context;
    w->result = peercache_node_run(w->node);
    return NULL;
}

static void start_server(struct witness *w)
{
    witness_init(w);
    make(w, local_options(PEERCACHE_MODE_SERVER));
    assert_int_equal(pthread_create(&w->thread, NULL, run_thread, w), 0);
    wait_for(w, &w->listening);
}

static void finish_server(struct witness *w)
{
    peercache_node_stop(w->node);
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    assert_int_equal(w->result, 0);
    assert_int_equal(w->stopped, 1);
    assert_int_equal(w->after_stopped, 0);
    witness_deinit(w);
}

static void run_here(struct witness *w)
{
    assert_int_equal(peercache_node_run(w->node), 0);
    assert_int_equal(w->stopped, 1);
    assert_int_equal(w->after_stopped, 0);
}

static void path_in(const char *name, char *ret_path, size_t capacity)
{
    (void)snprintf(ret_path, capacity, "%s/%s", folder, name);
}

/* ----- joining ----- */

static void a_client_joins_and_pings_a_server(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    start_server(&server);
    assert_non_null(strstr(server.addr, "/ip4/127.0.0.1/udp/"));
    assert_non_null(strstr(server.addr, peercache_node_id(server.node)));

    witness_init(&client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
    assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
    peercache_node_options_set_once(options, true);
    make(&client, options);
    run_here(&client);
    assert_int_equal(client.verified, 1);
    assert_int_equal(client.done, 1);
    assert_int_equal(client.status, PEERCACHE_JOINED);
    assert_int_equal(client.via, PEERCACHE_VIA_FLAG);
    assert_int_equal(client.walked, 1);
    assert_int_equal(client.listening, 0);
    assert_false(client.saved);
    assert_int_equal(peercache_node_run(client.node), PEERCACHE_ESTATE);
    witness_deinit(&client);

    witness_init(&client);
    make(&client, local_options(PEERCACHE_MODE_CLIENT));
    assert_int_equal(peercache_node_set_ping(client.node, server.addr, 2), 0);
    run_here(&client);
    assert_int_equal(client.pongs, 2);
    assert_int_equal(client.code, PEERCACHE_OK);
    assert_true(client.rtt_us > 0);
    assert_int_equal(client.done, 0);
    witness_deinit(&client);
    finish_server(&server);
}

static void over_ipv6_and_with_wildcards(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    witness_init(&server);
    peercache_node_options *options = local_options(PEERCACHE_MODE_SERVER);
    assert_int_equal(peercache_node_options_add_listen(options, "/ip6/::1/udp/0/quic-v1"), 0);
    int result = peercache_node_new(options, &server.node);
    if (result == PEERCACHE_EIO) { /* no IPv6 on this machine */
        peercache_node_options_free(options);
        witness_deinit(&server);
        CHECK_CANNOT_RUN("no IPv6 here");
    }
    peercache_node_free(server.node);
    assert_int_equal(peercache_node_options_add_listen(options, "/ip4/0.0.0.0/udp/0/quic-v1"), 0);
    make(&server, options);
    assert_int_equal(pthread_create(&server.thread, NULL, run_thread, &server), 0);
    wait_for(&server, &server.done); /* with nobody to join that is at once, after all it listens on */
    assert_non_null(strstr(server.addr, "/ip6/::1/udp/"));
    assert_true(server.listening >= 2); /* 0.0.0.0 became the interfaces' addresses */

    witness_init(&client);
    options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
    assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
    peercache_node_options_set_once(options, true);
    make(&client, options);
    run_here(&client);
    assert_int_equal(client.status, PEERCACHE_JOINED);
    witness_deinit(&client);
    finish_server(&server);
}

/* Join one address and expect that it fails. */
static void a_client_crawls_a_server(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    start_server(&server);
    for (int times = 0; times < 2;
         times++) { /* the second meets nobody but the server either: no trace of the first */
        witness_init(&client);
        peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
        assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
        assert_int_equal(peercache_node_options_set_crawl(options, 10, 0), 0);
        make(&client, options);
        run_here(&client);
        assert_int_equal(client.done, 1);
        assert_int_equal(client.crawl.end, PEERCACHE_CRAWL_COMPLETE);
        assert_int_equal(client.crawl.known, 1);
        assert_int_equal(client.crawl.alive, 1);
        assert_int_equal(client.crawl.ended[PEERCACHE_OK], 1);
        assert_true(client.crawl.rtt_median_us > 0);
        assert_int_equal(client.crawl.agent_count, 1);
        assert_int_equal(client.walked, 0);
        witness_deinit(&client);
    }
    finish_server(&server);
    assert_string_equal(peercache_crawl_end_name(PEERCACHE_CRAWL_TIMED_OUT), "timed_out");
    assert_string_equal(peercache_crawl_end_name((peercache_crawl_end)99), "unknown");
}

static void join_in_vain(struct witness *client, const char *addr)
{
    witness_init(client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    if (addr)
        assert_int_equal(peercache_node_options_add_peer(options, addr), 0);
    peercache_node_options_set_once(options, true);
    make(client, options);
    run_here(client);
    assert_int_equal(client->done, 1);
    assert_int_equal(client->status, PEERCACHE_FAILED);
    witness_deinit(client);
}

static void a_port_where_nothing_listens_is_refused_at_once(void **state)
{
    (void)state;
    struct witness client;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    char text[TEXT_BYTES];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    (void)snprintf(text, sizeof(text), "/ip4/127.0.0.1/udp/%u/quic-v1", ntohs(address.sin_port));
    join_in_vain(&client, text);
    assert_int_equal(client.unjoined, 1);
#ifdef __linux__
    assert_int_equal(client.code, PEERCACHE_REFUSED);
    assert_true(client.elapsed_us < 1000000); /* and not after the dial's 5 s */
#endif
}

static void another_identity_is_told(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    char addr[TEXT_BYTES];
    start_server(&server);
    (void)snprintf(addr, sizeof(addr), "%s", server.addr);
    char *id = strstr(addr, "/p2p/");
    assert_non_null(id);
    (void)snprintf(id, sizeof(addr) - (size_t)(id - addr), "%s",
                   "/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8");
    join_in_vain(&client, addr);
    assert_int_equal(client.code, PEERCACHE_WRONG_IDENTITY);
    finish_server(&server);
}

static void nothing_to_try(void **state)
{
    (void)state;
    struct witness client;
    join_in_vain(&client, NULL);
    assert_string_equal(client.cause, "no_sources");
    assert_int_equal(client.dialing, 0);
    join_in_vain(&client, "/dnsaddr/bootstrap.example");
    assert_int_equal(client.code, PEERCACHE_DNS_FAILED);
}

/* ----- other ways to run ----- */

static void on_a_thread_of_its_own(void **state)
{
    (void)state;
    struct witness server, client;
    peercache_join_status status;
    witness_init(&server);
    make(&server, local_options(PEERCACHE_MODE_SERVER));
    assert_int_equal(peercache_node_wait_stopped(server.node), PEERCACHE_ESTATE);
    assert_int_equal(peercache_node_start(server.node), 0);
    assert_int_equal(peercache_node_start(server.node), PEERCACHE_ESTATE);
    assert_int_equal(peercache_node_run(server.node), PEERCACHE_ESTATE);
    assert_int_equal(peercache_node_wait_joined(server.node, PATIENCE_MS, &status), 0);
    assert_int_equal(status, PEERCACHE_FAILED); /* nobody to join through */
    wait_for(&server, &server.listening);

    witness_init(&client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
    assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
    make(&client, options);
    assert_int_equal(peercache_node_start(client.node), 0);
    assert_int_equal(peercache_node_wait_joined(client.node, PATIENCE_MS, &status), 0);
    assert_int_equal(status, PEERCACHE_JOINED);
    peercache_node_stop(client.node);
    assert_int_equal(peercache_node_wait_stopped(client.node), 0);
    assert_int_equal(client.stopped, 1);
    witness_deinit(&client);
    witness_deinit(&server); /* free stops it, and waits */
}

/* One that is silent: the join takes its time, and who waits does not wait for it. */
static void waiting_for_a_join_has_an_end(void **state)
{
    (void)state;
    struct witness client;
    peercache_join_status status = PEERCACHE_JOINED;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(at);
    char addr[64];
    int silent = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(silent >= 0);
    assert_int_equal(bind(silent, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(addr, sizeof(addr), "/ip4/127.0.0.1/udp/%u/quic-v1", ntohs(at.sin_port));
    witness_init(&client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_peer(options, addr), 0);
    make(&client, options);
    assert_int_equal(peercache_node_start(client.node), 0);
    assert_int_equal(peercache_node_wait_joined(client.node, 50, &status), PEERCACHE_EBUSY);
    assert_int_equal(status, PEERCACHE_JOINED); /* untouched */
    peercache_node_stop(client.node);
    assert_int_equal(peercache_node_wait_joined(client.node, PATIENCE_MS, &status), PEERCACHE_ESTATE);
    witness_deinit(&client);
    (void)close(silent);
}

/* ----- saving and loading when asked to ----- */

struct asking {
    struct witness witness;
    int waiting; /* what was returned in callback */
    int asking;
};

static void ask_in_callback(void *context, const peercache_node_event *event)
{
    struct asking *a = context;
    if (event->kind == PEERCACHE_NODE_JOIN_DONE) {
        a->waiting = peercache_node_save_peers_to_cache(a->witness.node, 1000);
        a->asking = peercache_node_save_peers_to_cache(a->witness.node, 0);
    }
    on_event(&a->witness, event);
}

static int count_record(void *context, const struct pc_record *record)
{
    (void)record;
    ++*(size_t *)context;
    return 0;
}

static size_t peers_in(const char *path)
{
    const struct pc_store_query all = { .kind = PC_STORE_ALL };
    struct pc_store_options options = {
        .network = "ipfs", .mode = PC_NETGROUP_LOCAL, .timeout_ms = 5000, .read_only = true
    };
    struct pc_store *store = NULL;
    struct pc_reason why = { "" };
    size_t count = 0;
    assert_int_equal(pc_store_open(path, &options, &store, &why), 0);
    assert_int_equal(pc_store_query(store, &all, count_record, &count), 0);
    pc_store_close(store);
    return count;
}

/* Another process learns of a node. */
static void put_in(const char *path, const char *multiaddr)
{
    struct pc_store_options options = { .network = "ipfs", .mode = PC_NETGROUP_LOCAL, .timeout_ms = 5000 };
    struct pc_store *store = NULL;
    struct pc_reason why = { "" };
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size;
    struct pc_maddr addr;
    struct pc_peer_id id;
    struct pc_delta delta;
    assert_int_equal(pc_addr_multiaddr_parse(multiaddr, strlen(multiaddr), bytes, sizeof(bytes), &size, &why),
                     0);
    assert_int_equal(pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &addr, &id), 0);
    pc_cache_delta_init(&delta, &id, pc_addr_maddr_bytes(&addr));
    delta.history.last_seen_ms = delta.first_seen_ms = 1000;
    options.writer_id = 77;
    assert_int_equal(pc_store_open(path, &options, &store, &why), 0);
    assert_int_equal(pc_store_commit(store, 1, &delta, 1, 2000, 5000), 0);
    pc_store_close(store);
}

static void saves_and_loads_when_asked(void **state)
{
    (void)state;
    struct witness server, stranger;
    struct asking a = { .waiting = 1, .asking = 1 };
    peercache_join_status status;
    char path[512], lock_path[520];
    path_in("asked.db", path, sizeof(path));
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    start_server(&server);
    start_server(&stranger);
    witness_init(&a.witness);
    peercache_node_options *options = local_options(PEERCACHE_MODE_SERVER);
    assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    make(&a.witness, options);
    peercache_node_on_event(a.witness.node, ask_in_callback, &a);
    assert_int_equal(peercache_node_save_peers_to_cache(a.witness.node, 1000), PEERCACHE_ESTATE);
    assert_int_equal(peercache_node_load_peers_from_cache(a.witness.node, 0), PEERCACHE_ESTATE);
    assert_int_equal(peercache_node_start(a.witness.node), 0);
    assert_int_equal(peercache_node_wait_joined(a.witness.node, PATIENCE_MS, &status), 0);
    assert_int_equal(peercache_node_save_peers_to_cache(a.witness.node, PATIENCE_MS), 0);
    assert_int_equal(peers_in(path), 1);
    assert_int_equal(a.waiting, PEERCACHE_ESTATE); /* it would have waited for itself */
    assert_int_equal(a.asking, 0);

    /* While another holds the lock nothing is saved, and who waits is told when its time is over. */
    int lock = open(lock_path, O_RDWR | O_CLOEXEC);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(peercache_node_save_peers_to_cache(a.witness.node, 50), PEERCACHE_EBUSY);
    assert_int_equal(close(lock), 0);
    assert_int_equal(peercache_node_save_peers_to_cache(a.witness.node, PATIENCE_MS), 0);

    /* The stranger was alone, and is dialled as soon as it is taken in. */
    put_in(path, stranger.addr);
    assert_int_equal(peercache_node_load_peers_from_cache(a.witness.node, PATIENCE_MS), 0);
    wait_for(&stranger, &stranger.met);
    peercache_node_stop(a.witness.node);
    assert_int_equal(peercache_node_wait_stopped(a.witness.node), 0);
    assert_int_equal(peercache_node_save_peers_to_cache(a.witness.node, 1000), PEERCACHE_ESTATE);
    witness_deinit(&a.witness);
    assert_int_equal(peers_in(path), 2);
    finish_server(&stranger);
    finish_server(&server);
}

/* Without a cache the same calls do nothing, and go well. */
static void saves_and_loads_without_a_cache(void **state)
{
    (void)state;
    struct witness server;
    witness_init(&server);
    make(&server, local_options(PEERCACHE_MODE_SERVER));
    assert_int_equal(peercache_node_start(server.node), 0);
    assert_int_equal(peercache_node_save_peers_to_cache(server.node, PATIENCE_MS), 0);
    assert_int_equal(peercache_node_load_peers_from_cache(server.node, PATIENCE_MS), 0);
    witness_deinit(&server);
}

struct application {
    uv_loop_t loop;
    uv_timer_t tick;
    uint32_t ticks;
    struct witness server, client;
};

static void on_tick(uv_timer_t *tick)
{
    struct application *app = tick->data;
    app->ticks++;
    if (app->client.stopped > 0 && app->server.stopped == 0)
        peercache_node_stop(app->server.node);
    if (app->server.stopped > 0)
        uv_close((uv_handle_t *)tick, NULL);
}

static int connect_to(const char *place)
{
    const char *colon = strrchr(place, ':');
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_non_null(colon);
    at.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Ask the server over HTTP while the application's loop turns. */
static void ask_within(struct application *app, const char *path, const char *wanted)
{
    char text[4096], request[128];
    size_t size = 0;
    int fd = connect_to(peercache_node_http(app->server.node));
    assert_true(fd >= 0);
    int length = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
    assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
    for (ssize_t got = -1; got != 0;) {
        got = recv(fd, text + size, sizeof(text) - 1 - size, MSG_DONTWAIT);
        if (got > 0)
            size += (size_t)got;
        else if (got < 0)
            assert_int_not_equal(uv_run(&app->loop, UV_RUN_ONCE), 0); /* its timer wakes it */
    }
    text[size] = '\0';
    (void)close(fd);
    assert_non_null(strstr(text, wanted));
}

/* Two nodes and a timer of the application's own, all in one loop; one of them serves HTTP. */
static void within_the_loop_of_an_application(void **state)
{
    (void)state;
    static struct application app;
    memset(&app, 0, sizeof(app));
    assert_int_equal(uv_loop_init(&app.loop), 0);
    assert_int_equal(uv_timer_init(&app.loop, &app.tick), 0);
    app.tick.data = &app;
    assert_int_equal(uv_timer_start(&app.tick, on_tick, 5, 5), 0);
    witness_init(&app.server);
    peercache_node_options *server_options = local_options(PEERCACHE_MODE_SERVER);
    assert_int_equal(peercache_node_options_set_http(server_options, "127.0.0.1:0"), 0);
    make(&app.server, server_options);
    assert_int_equal(peercache_node_start_on(app.server.node, NULL), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_start_on(app.server.node, &app.loop), 0);
    assert_int_equal(peercache_node_start_on(app.server.node, &app.loop), PEERCACHE_ESTATE);
    while (app.server.listening == 0)
        assert_int_not_equal(uv_run(&app.loop, UV_RUN_ONCE), 0);

    ask_within(&app, "/healthz", "ok\n");
    ask_within(&app, "/status.json", peercache_node_id(app.server.node));
    int idle = connect_to(peercache_node_http(app.server.node)); /* who says nothing holds up no stop */
    assert_true(idle >= 0);

    witness_init(&app.client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    char path[256];
    path_in("within.db", path, sizeof(path));
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    assert_int_equal(peercache_node_options_add_peer(options, app.server.addr), 0);
    assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
    peercache_node_options_set_once(options, true);
    make(&app.client, options);
    assert_int_equal(peercache_node_start_on(app.client.node, &app.loop), 0);
    assert_int_equal(uv_run(&app.loop, UV_RUN_DEFAULT), 0); /* it ends: nothing of the nodes is left in it */
    assert_int_equal(app.client.status, PEERCACHE_JOINED);
    assert_int_equal(app.client.walked, 1);
    assert_true(app.client.saved);
    assert_int_equal(app.server.stopped, 1);
    assert_true(app.ticks > 1);
    /* It ended with the node's run, and not only with its memory. */
    assert_int_equal(connect_to(peercache_node_http(app.server.node)), -1);
    char byte;
    assert_true(recv(idle, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
    (void)close(idle);
    witness_deinit(&app.client);
    witness_deinit(&app.server);
    assert_int_equal(uv_loop_close(&app.loop), 0);
}

/* ----- stopping ----- */

static void stop_from_the_callback_and_before_run(void **state)
{
    (void)state;
    struct witness w;
    witness_init(&w);
    make(&w, local_options(PEERCACHE_MODE_SERVER));
    w.stop_when_done = true; /* a server with nobody to join goes on living until it is told */
    run_here(&w);
    assert_int_equal(w.done, 1);
    witness_deinit(&w);

    witness_init(&w);
    make(&w, local_options(PEERCACHE_MODE_SERVER));
    peercache_node_stop(w.node);
    peercache_node_stop(w.node);
    run_here(&w);
    assert_int_equal(w.listening, 1);
    witness_deinit(&w);
}

/* ----- the cache ----- */

struct found {
    size_t records;
    size_t tried;
};

static int on_found(void *context, const struct pc_record *record)
{
    struct found *found = context;
    found->records++;
    if (record->state == PEERCACHE_TRIED)
        found->tried++;
    return 0;
}

static struct found look_into(const char *path)
{
    const struct pc_store_options options = { .network = "ipfs",
                                              .mode = PC_NETGROUP_LOCAL,
                                              .read_only = true,
                                              .timeout_ms = 1000,
                                              .now_ms = 1700000000000 };
    const struct pc_store_query all = { .kind = PC_STORE_ALL };
    struct pc_store *store = NULL;
    struct pc_reason why = { "" };
    struct found found = { 0 };
    int result = pc_store_open(path, &options, &store, &why);
    if (result != 0)
        print_message("# %s\n", why.text);
    assert_int_equal(result, 0);
    assert_int_equal(pc_store_query(store, &all, on_found, &found), 0);
    pc_store_close(store);
    return found;
}

static void a_client_remembers_and_rejoins_from_memory(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    char path[128];
    path_in("client.db", path, sizeof(path));
    start_server(&server);
    for (int round = 0; round < 2; round++) {
        witness_init(&client);
        peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
        if (round == 0)
            assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
        assert_int_equal(peercache_node_options_set_cache(options, path), 0);
        assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
        peercache_node_options_set_once(options, true);
        make(&client, options);
        run_here(&client);
        assert_int_equal(client.status, PEERCACHE_JOINED);
        assert_int_equal(client.via, round == 0 ? PEERCACHE_VIA_FLAG : PEERCACHE_VIA_CACHE);
        assert_true(client.saved);
        witness_deinit(&client);
        struct found found = look_into(path);
        assert_int_equal(found.records, 1);
        assert_int_equal(found.tried, 1);
    }
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    finish_server(&server);
}

static void without_save_nothing_is_written(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    char path[128];
    struct stat status;
    path_in("unsaved.db", path, sizeof(path));
    start_server(&server);
    witness_init(&client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    peercache_node_options_set_save(options, false);
    assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
    peercache_node_options_set_once(options, true);
    make(&client, options);
    run_here(&client);
    assert_int_equal(client.status, PEERCACHE_JOINED);
    assert_false(client.saved);
    witness_deinit(&client);
    assert_int_equal(stat(path, &status), -1);
    finish_server(&server);
}

static void a_corrupt_cache_is_told_and_the_join_goes_on(void **state)
{
    (void)state;
    struct witness server;
    struct witness client;
    char path[128];
    path_in("client.db", path, sizeof(path));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 4096; i++)
        (void)fputc(0xa5, file);
    assert_int_equal(fclose(file), 0);
    start_server(&server);
    witness_init(&client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_peer(options, server.addr), 0);
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    assert_int_equal(peercache_node_options_set_target(options, 1, 1), 0);
    peercache_node_options_set_once(options, true);
    make(&client, options);
    run_here(&client);
    assert_int_equal(client.status, PEERCACHE_JOINED);
    assert_int_equal(client.warnings, 1);
    assert_non_null(strstr(client.warning, "client.db"));
    assert_true(client.saved);
    witness_deinit(&client);
    assert_int_equal(look_into(path).tried, 1);
    finish_server(&server);
}

#define PAGE_BYTES 4096 /* SQLite's default */

/* A cache of so many peers. */
static void make_cache(const char *path, size_t count)
{
    struct pc_store_options options = { .network = "ipfs", .mode = PC_NETGROUP_LOCAL, .timeout_ms = 5000 };
    struct pc_store *store = NULL;
    struct pc_reason why = { "" };
    struct pc_delta *deltas = calloc(count, sizeof(*deltas));
    assert_non_null(deltas);
    for (size_t i = 0; i < count; i++) {
        struct pc_peer_id id = { .size = 38, .bytes = { 0x00, 0x24, 0x08, 0x01, 0x12, 0x20 } };
        struct pc_ip_port at = { .family = 4, .port = (uint16_t)(20000 + i), .ip = { 127, 0, 0, 1 } };
        struct pc_maddr addr;
        memcpy(id.bytes + 10, &i, sizeof(i));
        pc_addr_from_ip_port(&at, &addr);
        pc_cache_delta_init(&deltas[i], &id, pc_addr_maddr_bytes(&addr));
        deltas[i].history.last_seen_ms = 1000;
        deltas[i].first_seen_ms = 1000;
    }
    assert_int_equal(pc_store_open(path, &options, &store, &why), 0);
    assert_int_equal(pc_store_commit(store, 1, deltas, count, 2000, 5000), 0);
    pc_store_close(store);
    free(deltas);
}

static size_t read_whole(const char *path, uint8_t *bytes, size_t capacity)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(bytes, 1, capacity, file);
    assert_true(size < capacity);
    assert_int_equal(fclose(file), 0);
    return size;
}

/* Found when it is opened, in the middle of reading it or never: the node lives. Without leave to save the
 * file stays as it is; the first page is left out there, as without it a file is no cache at all. */
static void no_bad_page_stops_a_node(void **state)
{
    (void)state;
    enum { BYTES_MAX = 1 << 20 };
    static uint8_t good[BYTES_MAX], now[BYTES_MAX];
    char path[128];
    unsigned told = 0;
    path_in("pages.db", path, sizeof(path));
    make_cache(path, 300);
    size_t size = read_whole(path, good, sizeof(good));
    assert_true(size > 8 * PAGE_BYTES);
    for (size_t at = 0; at < size; at += PAGE_BYTES) {
        for (int save = 0; save <= 1; save++) {
            if (at == 0 && !save)
                continue;
            struct witness client;
            FILE *file = fopen(path, "w");
            assert_non_null(file);
            assert_int_equal(fwrite(good, 1, size, file), size);
            assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
            for (size_t i = 0; i < PAGE_BYTES; i++)
                (void)fputc(0xa5, file);
            assert_int_equal(fclose(file), 0);
            witness_init(&client);
            peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
            assert_int_equal(peercache_node_options_set_cache(options, path), 0);
            assert_int_equal(peercache_node_options_set_timeout(options, 1), 0);
            peercache_node_options_set_save(options, save);
            peercache_node_options_set_once(options, true);
            make(&client, options);
            run_here(&client);
            assert_int_equal(client.done, 1);
            told += client.warnings;
            witness_deinit(&client);
            if (!save) {
                assert_int_equal(read_whole(path, now, sizeof(now)), size);
                memset(now + at, 0, PAGE_BYTES);
                for (size_t i = 0; i < size; i++)
                    assert_true((i >= at && i < at + PAGE_BYTES) || now[i] == good[i]);
            }
        }
    }
    assert_true(told >= 4);
}

static void the_cache_of_another_network_is_refused(void **state)
{
    (void)state;
    struct witness client;
    char path[128];
    path_in("client.db", path, sizeof(path));
    witness_init(&client);
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    make(&client, options);
    witness_deinit(&client);
    options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_set_network(options, "mychain"), 0);
    assert_int_equal(peercache_node_options_set_kad_protocol(options, "/mychain/kad"), 0);
    assert_int_equal(peercache_node_options_set_cache(options, path), 0);
    peercache_node *node = NULL;
    assert_int_equal(peercache_node_new(options, &node), PEERCACHE_ENETWORK);
    assert_non_null(strstr(peercache_node_errmsg(node), "client.db"));
    peercache_node_free(node);
    peercache_node_options_free(options);
}

/* A signal between the making of a node and its run: the run ends as it begins. */
static void a_signal_before_the_run_ends_it(void **state)
{
    (void)state;
    struct witness w;
    witness_init(&w);
    peercache_node_options *options = local_options(PEERCACHE_MODE_SERVER);
    peercache_node_options_set_handle_signals(options, true);
    make(&w, options);
    assert_int_equal(raise(SIGTERM), 0);
    run_here(&w);
    assert_int_equal(w.stopped, 1);
    witness_deinit(&w);
}

/* What the forked server does: reads the peer to join, joins, tells, lives until SIGTERM. */
static int forked_server(const char *path, int from_parent, int to_parent)
{
    struct witness w;
    char addr[TEXT_BYTES] = "";
    ssize_t size = read(from_parent, addr, sizeof(addr) - 1);
    if (size <= 0)
        return 10;
    witness_init(&w);
    w.tell_fd = to_parent;
    peercache_node_options *options = peercache_node_options_new();
    peercache_node_options_set_mode(options, PEERCACHE_MODE_SERVER);
    peercache_node_options_set_local(options, true);
    peercache_node_options_set_handle_signals(options, true);
    if (peercache_node_options_add_peer(options, addr) != 0 ||
        peercache_node_options_set_cache(options, path) != 0 ||
        peercache_node_options_set_target(options, 1, 1) != 0)
        return 11;
    if (peercache_node_new(options, &w.node) != 0)
        return 12;
    peercache_node_options_free(options);
    peercache_node_on_event(w.node, on_event, &w);
    if (peercache_node_run(w.node) != 0)
        return 13;
    bool good = w.stopped == 1 && w.saved && w.status == PEERCACHE_JOINED;
    witness_deinit(&w);
    return good ? 0 : 14;
}

static void sigterm_saves(void **state)
{
    (void)state;
    struct witness server;
    char path[128];
    int to_child[2];
    int to_parent[2];
    int status = 0;
    path_in("server.db", path, sizeof(path));
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    pid_t child = fork(); /* before there are threads */
    if (child == 0)
        _exit(forked_server(path, to_child[0], to_parent[1]));
    start_server(&server);
    assert_int_equal(write(to_child[1], server.addr, strlen(server.addr)), strlen(server.addr));
    struct pollfd joined = { .fd = to_parent[0], .events = POLLIN };
    assert_int_equal(poll(&joined, 1, PATIENCE_MS), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(look_into(path).tried, 1);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(to_parent[i]);
    }
    finish_server(&server);
}

/* ----- what is wrong is told before anything is dialled ----- */

static void expect_failure(peercache_node_options *options, int expected, const char *word)
{
    peercache_node *node = NULL;
    int result = peercache_node_new(options, &node);
    assert_non_null(node);
    if (!strstr(peercache_node_errmsg(node), word))
        print_message("# %s\n", peercache_node_errmsg(node));
    assert_int_equal(result, expected);
    assert_non_null(strstr(peercache_node_errmsg(node), word));
    assert_int_equal(peercache_node_run(node), PEERCACHE_ESTATE);
    assert_int_equal(peercache_node_set_ping(node, "/ip4/127.0.0.1/udp/1/quic-v1", 1), PEERCACHE_ESTATE);
    peercache_node_stop(node);
    peercache_node_free(node);
    peercache_node_options_free(options);
}

static void nodes_that_cannot_be_made(void **state)
{
    (void)state;
    peercache_node_options *options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_set_network(options, "nosuchnetwork"), 0);
    expect_failure(options, PEERCACHE_EUNSUPPORTED, "ipfs");

    options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_add_listen(options, "/ip4/127.0.0.1/udp/0/quic-v1"), 0);
    expect_failure(options, PEERCACHE_EINVAL, "client");

    options = local_options(PEERCACHE_MODE_SERVER);
    assert_int_equal(peercache_node_options_set_crawl(options, 1, 0), 0);
    expect_failure(options, PEERCACHE_EINVAL, "crawl");

    options = local_options(PEERCACHE_MODE_SERVER);
    assert_int_equal(peercache_node_options_add_listen(options, "/ip4/198.51.100.7/udp/4001/quic-v1"), 0);
    expect_failure(options, PEERCACHE_EIO, "198.51.100.7:4001");

    options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_set_cache(options, folder), 0);
    expect_failure(options, PEERCACHE_EFORMAT, folder);

    peercache_node *node = NULL;
    assert_int_equal(peercache_node_new(NULL, &node), PEERCACHE_EINVAL);
    peercache_node_free(node);
    peercache_node_free(NULL);

    /* A network of one's own needs no description when its protocol is given. */
    options = local_options(PEERCACHE_MODE_CLIENT);
    assert_int_equal(peercache_node_options_set_network(options, "mychain"), 0);
    assert_int_equal(peercache_node_options_set_kad_protocol(options, "/mychain/kad"), 0);
    assert_int_equal(peercache_node_new(options, &node), 0);
    assert_int_equal(peercache_node_set_ping(node, "nonsense", 1), PEERCACHE_EPARSE);
    assert_int_equal(peercache_node_set_ping(node, "/ip4/127.0.0.1/udp/1/quic-v1", 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_set_ping(node, "/ip4/127.0.0.1/udp/1/quic-v1", 1000001),
                     PEERCACHE_EINVAL);
    assert_int_equal(strncmp(peercache_node_id(node), "12D3KooW", 8), 0);
    peercache_node_free(node);
    peercache_node_options_free(options);
}

static void options_check_what_they_are_given(void **state)
{
    (void)state;
    peercache_node_options *o = peercache_node_options_new();
    assert_string_equal(peercache_node_options_errmsg(o), "");
    assert_int_equal(peercache_node_options_set_network(o, ""), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_network(o, "a/b"), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_network(o, ".a"), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_network(o, NULL), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_kad_protocol(o, "kad"), PEERCACHE_EINVAL);
    assert_non_null(strstr(peercache_node_options_errmsg(o), "\"kad\""));
    assert_int_equal(peercache_node_options_set_cache(o, ""), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_target(o, 0, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_target(o, 2, 3), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_target(o, 1001, 1), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_target(o, 1000, 1000), 0);
    assert_int_equal(peercache_node_options_set_timeout(o, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_timeout(o, 3600001), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_timeout(o, 3600000), 0);
    assert_int_equal(peercache_node_options_set_crawl(o, 0, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_set_crawl(o, 501, 0), PEERCACHE_EINVAL);
    assert_int_equal(peercache_node_options_add_peer(o, "example.org:4001"), PEERCACHE_EPARSE);
    assert_non_null(strstr(peercache_node_options_errmsg(o), "example.org:4001"));
    assert_int_equal(peercache_node_options_add_peer(o, ""), PEERCACHE_EPARSE);
    assert_int_equal(peercache_node_options_add_peer(o, NULL), PEERCACHE_EPARSE);
    assert_int_equal(peercache_node_options_add_listen(o, "/ip4/0.0.0.0/tcp/1"), PEERCACHE_EUNSUPPORTED);
    assert_int_equal(peercache_node_options_add_listen(o, "/dns4/example.org/udp/1/quic-v1"),
                     PEERCACHE_EUNSUPPORTED);
    assert_int_equal(
        peercache_node_options_add_listen(o, "/ip4/127.0.0.1/udp/1/quic-v1/p2p/"
                                             "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"),
        PEERCACHE_EUNSUPPORTED);
    assert_int_equal(peercache_node_options_add_listen(o, "nonsense"), PEERCACHE_EPARSE);
    assert_int_equal(peercache_node_options_set_key(o, (const uint8_t *)"garbage", 7), PEERCACHE_EPARSE);
    assert_true(peercache_node_options_errmsg(o)[0] != '\0');
    assert_int_equal(peercache_node_options_set_key(o, NULL, 0), PEERCACHE_EPARSE);
    for (int i = 0; i < 256; i++)
        assert_int_equal(peercache_node_options_add_peer(o, "/ip4/127.0.0.1/udp/1/quic-v1"), 0);
    assert_int_equal(peercache_node_options_add_peer(o, "/ip4/127.0.0.1/udp/1/quic-v1"), PEERCACHE_ELIMIT);
    peercache_node_options_free(o);
    peercache_node_options_free(NULL);
}

static int setup(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/peercache-node-XXXXXX", 27);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    char path[512];
    (void)state;
    DIR *dir = opendir(folder);
    if (!dir)
        return -1;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)unlink(path);
    }
    (void)closedir(dir);
    return rmdir(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sigterm_saves), /* first: it forks, and there must be no threads of uv's pool yet */
        TEST(a_signal_before_the_run_ends_it),
        TEST(a_client_joins_and_pings_a_server),
        TEST(a_client_crawls_a_server),
        TEST(over_ipv6_and_with_wildcards),
        TEST(a_port_where_nothing_listens_is_refused_at_once),
        TEST(another_identity_is_told),
        TEST(nothing_to_try),
        TEST(on_a_thread_of_its_own),
        TEST(waiting_for_a_join_has_an_end),
        TEST(saves_and_loads_when_asked),
        TEST(saves_and_loads_without_a_cache),
        TEST(within_the_loop_of_an_application),
        TEST(stop_from_the_callback_and_before_run),
        TEST(a_client_remembers_and_rejoins_from_memory),
        TEST(without_save_nothing_is_written),
        TEST(a_corrupt_cache_is_told_and_the_join_goes_on),
        TEST(no_bad_page_stops_a_node),
        TEST(the_cache_of_another_network_is_refused),
        TEST(nodes_that_cannot_be_made),
        TEST(options_check_what_they_are_given),
    };
    return cmocka_run_group_tests_name("driver_node", tests, NULL, NULL);
}
