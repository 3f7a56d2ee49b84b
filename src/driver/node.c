/* The public face of libpeercache-net: makes all parts of a node, and lets loop.c run them. */
#include "base/cursor.h"
#include "base/time.h"
#include "driver/listen.h"
#include "driver/loop.h"
#include "driver/notified.h"
#include "driver/observed.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define AGENT                  "peercache/" PC_VERSION
#define CONNECTIONS_SPARE      64      /* beside twice the high mark: handshakes, and dials of our own */
#define CONNECTIONS_GROUP_PART 4       /* one group has a quarter of all at most */
#define CACHE_LOAD_MAX         1000    /* records read before a join */
#define STORE_OPEN_TIMEOUT_MS  500     /* a join waits no longer for the lock of a cache */
#define PINGS_MAX              1000000 /* of peercache_node_set_ping */

/* ----- making ----- */

static int fail(struct peercache_node *node, int result, const char *text)
{
    pc_base_reason(&node->error, "%s", text);
    return result;
}

static int copy_options(struct peercache_node *node, const peercache_node_options *options)
{
    node->options = *options;
    node->options.sources = NULL;
    node->options.source_room = 0;
    if (options->source_count == 0)
        return 0;
    size_t size = options->source_count * sizeof(*options->sources);
    node->options.sources = malloc(size);
    if (!node->options.sources) {
        node->options.source_count = 0;
        return fail(node, PEERCACHE_ENOMEM, "out of memory");
    }
    memcpy(node->options.sources, options->sources, size);
    return 0;
}

/* The network's description, and the protocol: with one of its own a network needs no description, and what is
 * described of another protocol's network is of no use. */
static int choose_network(struct peercache_node *node)
{
    struct pc_driver_network_dirs dirs;
    const char *protocol = node->options.kad_protocol;
    struct pc_reason unused;
    node->network = malloc(sizeof(*node->network));
    if (!node->network)
        return fail(node, PEERCACHE_ENOMEM, "out of memory");
    pc_driver_network_dirs_of_environment(&dirs);
    int result = pc_driver_network_find(node->options.network, &dirs, node->network,
                                        *protocol ? &unused : &node->error);
    if (*protocol && (result != 0 || strcmp(node->network->kad_protocol, protocol) != 0)) {
        *node->network = (struct pc_driver_network){ .bootstrap_count = 0 };
        result = 0;
    }
    if (result == 0)
        memcpy(node->kad_protocol, *protocol ? protocol : node->network->kad_protocol,
               sizeof(node->kad_protocol));
    if (result == 0 && !pc_driver_options_described(&node->options))
        node->network->bootstrap_count = node->network->endpoint_count = 0; /* the version is no source */
    return result == PEERCACHE_ENOTFOUND ? PEERCACHE_EUNSUPPORTED : result;
}

/* The given peers, and behind them the bootstrap peers of the network's description. */
static int collect_sources(struct peercache_node *node, struct pc_node_source **ret_sources,
                           size_t *ret_count)
{
    size_t given = node->options.source_count, described = node->network->bootstrap_count;
    struct pc_node_source *sources = malloc((given + described + 1) * sizeof(*sources));
    if (!sources)
        return fail(node, PEERCACHE_ENOMEM, "out of memory");
    if (given > 0)
        memcpy(sources, node->options.sources, given * sizeof(*sources));
    for (size_t i = 0; i < described; i++) {
        int result = pc_driver_source_parse(node->network->bootstrap[i], &sources[given + i], &node->error);
        if (result != 0) {
            free(sources);
            return result;
        }
        sources[given + i].via = PEERCACHE_VIA_ENDPOINT;
    }
    *ret_sources = sources;
    *ret_count = given + described;
    return 0;
}

static int make_identity(struct peercache_node *node)
{
    uint8_t seed[32];
    int result = 0;
    if (node->options.key_size == 0) {
        randombytes_buf(seed, sizeof(seed));
        result = pc_libp2p_key_generate(seed, node->options.key, sizeof(node->options.key),
                                        &node->options.key_size);
        sodium_memzero(seed, sizeof(seed));
        if (result != 0)
            return fail(node, result, "no key could be made");
    }
    result = pc_libp2p_identity_new(pc_bytes_of(node->options.key, node->options.key_size),
                                    pc_driver_clock_now(&node->clock).wall_ms, &node->identity, &node->error);
    sodium_memzero(node->options.key, sizeof(node->options.key));
    if (result == 0)
        pc_addr_peer_id_format(pc_libp2p_identity_id(node->identity), node->id);
    return result;
}

static bool is_wildcard(const struct pc_ip_port *address)
{
    static const uint8_t zero[16];
    return memcmp(address->ip, zero, sizeof(zero)) == 0;
}

/* A family that this machine lacks is no fault where "any address" was asked for. */
static int listen_on(struct peercache_node *node, const struct pc_ip_port *address)
{
    struct pc_ip_port bound;
    int result = pc_driver_udp_bind(node->udp, address, &bound, &node->error);
    if (result == PEERCACHE_EUNSUPPORTED && is_wildcard(address)) {
        node->wildcard_missing = true;
        return 0;
    }
    if (result != 0)
        return PEERCACHE_EIO;
    node->bound[node->bound_count++] = bound;
    return pc_driver_listen_expand(&bound, node->options.local, node->listening, PC_LIBP2P_LISTEN_ADDRS_MAX,
                                   &node->listening_count, &node->error);
}

static int open_sockets(struct peercache_node *node)
{
    static const struct pc_ip_port anywhere[] = { { .family = 4 }, { .family = 6 } };
    static const struct pc_ip_port loopback = { .family = 4, .ip = { 127, 0, 0, 1 } };
    const struct pc_driver_udp_handler handler = pc_driver_loop_udp_handler(node);
    const struct peercache_node_options *options = &node->options;
    bool listens = options->mode != PEERCACHE_MODE_CLIENT;
    int result = pc_driver_udp_new(&node->loop, &handler, &node->udp);
    if (result != 0)
        return fail(node, result, "out of memory");
    for (size_t i = 0; i < options->listen_count && result == 0; i++)
        result = listen_on(node, &options->listens[i].address);
    if (listens && options->listen_count == 0 && options->local)
        result = listen_on(node, &loopback);
    if (listens && options->listen_count == 0 && !options->local) {
        result = listen_on(node, &anywhere[0]);
        if (result == 0)
            result = listen_on(node, &anywhere[1]);
    }
    if (result != 0)
        return result;
    result = pc_driver_udp_bind_to_dial(node->udp, &node->error);
    if (result == 0 && listens) /* for those who ask to be dialled */
        result = pc_driver_udp_bind_apart(node->udp, &node->error);
    return result;
}

/* A corrupt cache never stops a join: it goes on without, and the application is told. */
static int lose_cache(struct peercache_node *node)
{
    node->cache_lost = node->error;
    return 0;
}

static struct pc_store_options store_options(const struct peercache_node *node, bool read_only,
                                             int64_t now_ms)
{
    struct pc_store_options options = {
        .network = node->options.network,
        .mode = node->options.local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC,
        .read_only = read_only,
        .timeout_ms = STORE_OPEN_TIMEOUT_MS,
        .peers_max = node->options.max_peers,
        .now_ms = now_ms,
    };
    randombytes_buf(options.random, sizeof(options.random));
    return options;
}

/* On a thread of the pool; the loop leaves node->store alone while a commit is under way. */
static int reopen_store(void *context, struct pc_store **store, int64_t now_ms, struct pc_reason *ret_reason)
{
    const struct peercache_node *node = context;
    struct pc_store_options options = store_options(node, false, now_ms);
    struct pc_store *opened = NULL;
    options.timeout_ms =
        PC_STORE_LOCK_TIMEOUT_MS; /* nobody waits for this thread, and what is not saved is lost */
    int result = pc_store_open(node->options.cache, &options, &opened, ret_reason);
    if (result == 0 && opened->read_only) {
        *ret_reason = opened->warning;
        result = PEERCACHE_EREADONLY;
        pc_store_close(opened);
    }
    if (result != 0)
        return result;
    pc_store_close(*store);
    *store = opened;
    return 0;
}

static int open_store(struct peercache_node *node)
{
    int64_t now_ms = pc_driver_clock_now(&node->clock).wall_ms;
    struct pc_store_options options = store_options(node, !node->options.save, now_ms);
    pc_driver_reopen reopen = NULL;
    if (!node->options.has_cache)
        return 0;
    /* Nothing to read, and nothing is to be made: no cache, and no error. */
    if (!node->options.save && access(node->options.cache, F_OK) != 0 && errno == ENOENT)
        return 0;
    int result = pc_store_open(node->options.cache, &options, &node->store, &node->error);
    if (result == PEERCACHE_ECORRUPT && !node->options.save)
        return lose_cache(node); /* what is not to be saved is not moved aside either */
    if ((result == PEERCACHE_EBUSY || result == PEERCACHE_EFULL) && node->options.save) {
        /* No cache whatever may hold up a join: it is read, and saved to when that is possible. */
        struct pc_reason unused;
        node->cache_busy = node->error;
        options = store_options(node, true, now_ms);
        (void)pc_store_open(node->options.cache, &options, &node->store, &unused);
        reopen = reopen_store;
        result = 0;
    }
    node->store_opened = node->store != NULL;
    if (result == 0 && node->options.save && (reopen || !node->store->read_only)) {
        result = pc_driver_store_worker_new(&node->loop, &node->store, reopen, pc_driver_loop_committed, node,
                                            &node->worker);
        if (result == 0) {
            const struct pc_driver_take_in_handler handler = pc_driver_loop_take_in_handler(node);
            pc_driver_store_worker_on_idle(node->worker, pc_driver_loop_worker_idle, node);
            result = pc_driver_take_in_new(node->worker, &handler, &node->take_in);
        }
        if (result != 0)
            (void)fail(node, result, "out of memory");
    }
    return result;
}

static bool is_given(const struct peercache_node *node, const char *url)
{
    for (size_t i = 0; i < node->endpoint_count; i++)
        if (strcmp(node->urls[i], url) == 0)
            return true;
    return false;
}

/* What serves the plan of the join: name servers, endpoints, and which families there are. */
static int open_outside(struct peercache_node *node)
{
    const struct peercache_node_options *given = &node->options;
    for (size_t i = 0; i < given->endpoint_count; i++)
        node->urls[node->endpoint_count++] = given->endpoints[i];
    for (size_t i = 0; i < node->network->endpoint_count && node->endpoint_count < PC_JOIN_ENDPOINTS_MAX; i++)
        if (!is_given(node, node->network->endpoints[i]))
            node->urls[node->endpoint_count++] = node->network->endpoints[i];
    for (size_t i = 0; i < node->network->endpoint_count; i++)
        node->endpoints_left_out += !is_given(node, node->network->endpoints[i]);
    for (size_t i = 0; i < node->endpoint_count; i++) {
        uint8_t hash[crypto_hash_sha256_BYTES];
        crypto_hash_sha256(hash, (const uint8_t *)node->urls[i], strlen(node->urls[i]));
        memcpy(&node->endpoint_sources[i], hash, sizeof(node->endpoint_sources[i]));
    }
    int result = pc_driver_names_new(&node->loop, given->resolver[0] != '\0' ? given->resolver : NULL,
                                     pc_driver_loop_resolved, node, &node->names, &node->error);
    if (result != 0)
        return result;
    const char *version = node->network->network_version;
    const struct pc_driver_endpoints_options options = {
        .loop = &node->loop,
        .names = node->names,
        .urls = node->urls,
        .url_count = node->endpoint_count,
        .ca_file = given->ca_file[0] != '\0' ? given->ca_file : NULL,
        .network = { .name = node->options.network, .version = version[0] != '\0' ? version : NULL },
        .done = pc_driver_loop_fetched,
        .context = node,
        .log = &node->log,
    };
    result = pc_driver_endpoints_new(&options, &node->endpoints);
    return result != 0 ? fail(node, result, peercache_strerror(result)) : 0;
}

/* Which families there are. What the system does not tell is taken to be there, and a change then needs the
 * application to tell. */
static void look_at_routes(struct peercache_node *node)
{
    bool has_ip4 = true, has_ip6 = true;
    struct pc_reason unused;
    (void)pc_driver_routes_now(node->options.local, &has_ip4, &has_ip6, &unused);
    struct pc_node_event event = { .kind = PC_NODE_ROUTES, .has_ip4 = has_ip4, .has_ip6 = has_ip6 };
    pc_node_wire_run(&node->wire, pc_driver_clock_now(&node->clock), &event);
    (void)pc_driver_routes_watch(&node->loop, node->options.local, pc_driver_loop_routes, node, &node->routes,
                                 &unused);
}

static void seed(struct pc_rng *ret_rng)
{
    uint8_t bytes[PC_RNG_SEED_BYTES];
    randombytes_buf(bytes, sizeof(bytes));
    pc_base_rng_init(ret_rng, bytes);
    sodium_memzero(bytes, sizeof(bytes));
}

static int make_host(struct peercache_node *node)
{
    struct pc_libp2p_options options;
    pc_libp2p_options_init(&options);
    options.identity = node->identity;
    options.kad_protocol = node->kad_protocol;
    options.agent = AGENT;
    options.accept_inbound = node->options.mode != PEERCACHE_MODE_CLIENT; /* to serve is the node's to say */
    options.mode = node->options.local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC;
    options.connections_max = 2 * node->options.connections_high + CONNECTIONS_SPARE;
    options.limits.connections_per_group = options.connections_max / CONNECTIONS_GROUP_PART;
    options.unused_timeout_us = (int64_t)node->options.connection_idle_ms * PC_US_PER_MS;
    options.log = &node->log;
    seed(&options.rng);
    int result = pc_libp2p_host_new(&options, &node->wire.host);
    return result != 0 ? fail(node, result, peercache_strerror(result)) : 0;
}

/* The pure node, told where it listens. ping_count 0: to join from the given sources. */
static int make_pure_node(struct peercache_node *node, const struct pc_node_source *sources,
                          size_t source_count, uint32_t ping_count)
{
    const struct peercache_node_options *given = &node->options;
    struct pc_node_options options = {
        .own_id = *pc_libp2p_identity_id(node->identity),
        .kad_protocol = node->kad_protocol,
        .server =
            given->mode == PEERCACHE_MODE_SERVER || (given->mode == PEERCACHE_MODE_AUTO && given->local),
        .automatic = given->mode == PEERCACHE_MODE_AUTO && !given->local,
        .announce = given->announces,
        .announce_count = given->announce_count,
        .once = given->once,
        .walk = given->walk,
        .save = node->worker != NULL,
        .mode = given->local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC,
        .target = given->target,
        .min = given->min,
        .timeout_us = (int64_t)given->timeout_ms * PC_US_PER_MS,
        .sources = sources,
        .source_count = source_count,
        .endpoint_count = node->endpoint_count,
        .endpoint_sources = node->endpoint_sources,
        .dial_cached = given->dial_cached,
        .exclusive = given->exclusive,
        .filter = &given->filter,
        .last_verified = node->last_verified,
        .connections_low = given->connections_low,
        .connections_high = given->connections_high,
        .bucket_group_max = given->bucket_group_max,
        .table_group_max = given->table_group_max,
        .peers_max = given->max_peers,
        .save_period_us = (int64_t)given->save_period_ms * PC_US_PER_MS,
        .refresh_period_us = (int64_t)given->refresh_period_ms * PC_US_PER_MS,
        .ping_count = ping_count,
        .log = &node->log,
    };
    if (ping_count == 0 && given->crawl_concurrency > 0) {
        options.crawl_concurrency = given->crawl_concurrency;
        options.crawl_timeout_us =
            given->crawl_timeout_ms > 0 ? (int64_t)given->crawl_timeout_ms * PC_US_PER_MS : PC_TIME_NEVER;
        options.timeout_us = pc_base_time_min(options.timeout_us, options.crawl_timeout_us);
    }
    struct pc_node *pure = NULL;
    seed(&options.rng);
    if (node->store)
        memcpy(options.secret, node->store->secret, sizeof(options.secret));
    else
        randombytes_buf(options.secret, sizeof(options.secret));
    int result = pc_node_new(&options, &pure);
    if (result != 0)
        return fail(node, result, peercache_strerror(result));
    pc_node_free(node->wire.node);
    node->wire.node = pure;
    for (size_t i = 0; i < node->listening_count; i++) {
        struct pc_maddr addr;
        pc_addr_from_ip_port(&node->listening[i], &addr);
        struct pc_node_event event = { .kind = PC_NODE_LISTENING, .addr = pc_addr_maddr_bytes(&addr) };
        pc_node_wire_run(&node->wire, pc_driver_clock_now(&node->clock), &event);
    }
    return 0;
}

/* What the cache was worth when it was used last. Who does not know takes its tried ones for live. */
static void load_last_join(struct peercache_node *node)
{
    uint8_t bytes[4];
    size_t size = 0;
    if (!node->store || pc_store_count(node->store, node->counts))
        return;
    if (pc_store_meta_get(node->store, PC_DRIVER_JOIN_KEY, bytes, sizeof(bytes), &size) == 0) {
        struct pc_reader r;
        pc_base_reader_init(&r, bytes, size);
        node->last_verified = pc_base_read_u32(&r);
    } else {
        node->last_verified = node->counts[PEERCACHE_TRIED] < node->options.target
                                  ? (uint32_t)node->counts[PEERCACHE_TRIED]
                                  : node->options.target;
    }
}

static int make_joining_node(struct peercache_node *node)
{
    struct pc_node_source *sources = NULL;
    size_t count = 0;
    int result = collect_sources(node, &sources, &count);
    if (result == 0) {
        load_last_join(node);
        result = make_pure_node(node, sources, count, 0);
    }
    free(sources);
    return result;
}

static int on_record(void *context, const struct pc_record *record)
{
    struct peercache_node *node = context;
    struct pc_node_event event = { .kind = PC_NODE_LOADED, .record = record };
    pc_node_wire_run(&node->wire, pc_driver_clock_now(&node->clock), &event);
    return 0;
}

static int on_ban(void *context, const struct pc_ban *ban)
{
    struct peercache_node *node = context;
    struct pc_node_event event = { .kind = PC_NODE_BANNED, .ban = ban };
    pc_node_wire_run(&node->wire, pc_driver_clock_now(&node->clock), &event);
    return 0;
}

static void load_endpoints(struct peercache_node *node)
{
    pc_driver_endpoints_load(node->endpoints, node->store);
    for (size_t i = 0; i < node->endpoint_count; i++) {
        struct pc_node_event event = { .kind = PC_NODE_ENDPOINT,
                                       .endpoint = i,
                                       .breaker = pc_driver_endpoints_breaker(node->endpoints, i) };
        if (event.breaker.size > 0)
            pc_node_wire_run(&node->wire, pc_driver_clock_now(&node->clock), &event);
    }
}

static int load_cache(struct peercache_node *node)
{
    const struct pc_store_query best = { .kind = PC_STORE_BEST, .count = CACHE_LOAD_MAX };
    if (!node->store)
        return 0;
    int result = pc_store_bans(node->store, on_ban, node);
    if (result == 0)
        result = pc_store_query(node->store, &best, on_record, node);
    if (result == 0)
        load_endpoints(node);
    if (result != 0)
        node->error = node->store->error;
    return result == PEERCACHE_ECORRUPT ? lose_cache(node) : result; /* a store that may write begins anew */
}

static int make_all(struct peercache_node *node, const peercache_node_options *options)
{
    int result;
    if (!options)
        return fail(node, PEERCACHE_EINVAL, "no options");
    if (options->mode == PEERCACHE_MODE_CLIENT && (options->listen_count > 0 || options->announce_count > 0))
        return fail(node, PEERCACHE_EINVAL,
                    options->listen_count > 0 ? "a client does not listen" : "a client announces nothing");
    if (options->crawl_concurrency > 0 && options->mode != PEERCACHE_MODE_CLIENT)
        return fail(node, PEERCACHE_EINVAL, "a server does not crawl: it would enter others' tables");
    if (sodium_init() < 0)
        return fail(node, PEERCACHE_ECRYPTO, "libsodium cannot be used");
    node->wire.edge = pc_driver_loop_edge;
    node->wire.context = node;
    pc_driver_observed_log(node, options);
    if ((result = copy_options(node, options)) != 0 || (result = choose_network(node)) != 0 ||
        (result = make_identity(node)) != 0 || (result = pc_driver_loop_open(node)) != 0 ||
        (result = open_sockets(node)) != 0 || (result = open_store(node)) != 0 ||
        (result = open_outside(node)) != 0 || (result = make_host(node)) != 0 ||
        (result = make_joining_node(node)) != 0 || (result = pc_driver_observed_open(node)) != 0 ||
        (result = pc_driver_notified_open(node)) != 0)
        return result;
    look_at_routes(node);
    result = load_cache(node);
    pc_driver_endpoints_use(node->endpoints, node->worker);
    return result;
}

int peercache_node_new(const peercache_node_options *options, peercache_node **ret_node)
{
    struct peercache_node *node = calloc(1, sizeof(*node));
    *ret_node = node;
    if (!node)
        return PEERCACHE_ENOMEM;
    pc_driver_clock_init(&node->clock);
    pc_driver_timer_init(&node->timer);
    pc_driver_notify_init(&node->notify);
    int result = pc_driver_progress_open(&node->progress);
    if (result == 0)
        result = pc_driver_finds_open(&node->finds);
    if (result != 0)
        return fail(node, result, "no lock can be made");
    result = make_all(node, options);
    if (result == 0)
        result = pc_driver_loop_start_signals(node);
    node->ready = result == 0;
    return result;
}

void peercache_node_free(peercache_node *node)
{
    if (!node)
        return;
    pc_driver_start_join_thread(node);
    assert(node->state != PC_DRIVER_RUNNING && node->state != PC_DRIVER_FLUSHING);
    pc_driver_loop_close(node);
    pc_driver_udp_free(node->udp);
    pc_driver_take_in_free(node->take_in);
    pc_driver_store_worker_free(node->worker);
    pc_store_close(node->store);
    pc_node_free(node->wire.node);
    pc_libp2p_host_free(node->wire.host);
    pc_libp2p_identity_free(node->identity);
    free(node->options.sources);
    free(node->network);
    pc_driver_finds_close(&node->finds);
    pc_driver_progress_close(&node->progress);
    sodium_memzero(node->options.key, sizeof(node->options.key));
    free(node);
}

/* ----- using ----- */

const char *peercache_node_errmsg(const peercache_node *node)
{
    return node->error.text;
}

void peercache_node_on_event(peercache_node *node,
                             void (*callback)(void *context, const peercache_node_event *event),
                             void *context)
{
    node->callback = callback;
    node->callback_context = context;
}

const char *peercache_node_id(const peercache_node *node)
{
    return node->id;
}

const char *peercache_node_http(const peercache_node *node)
{
    return node->http_place;
}

int peercache_node_set_ping(peercache_node *node, const char *multiaddr, uint32_t count)
{
    struct pc_node_source source;
    if (!node->ready || node->state != PC_DRIVER_NEW)
        return fail(node, PEERCACHE_ESTATE, "the node has been run already, or could not be made");
    if (!multiaddr || count < 1 || count > PINGS_MAX) {
        pc_base_reason(&node->error, "%u pings: it must be 1 to %d, of one multiaddr", count, PINGS_MAX);
        return PEERCACHE_EINVAL;
    }
    int result = pc_driver_source_parse(multiaddr, &source, &node->error);
    if (result != 0)
        return result;
    return make_pure_node(node, &source, 1, count); /* one that has loaded nothing: it joins nothing */
}

void peercache_node_network_changed(peercache_node *node)
{
    if (node->network_async_open)
        (void)uv_async_send(&node->network_async); /* it can only fail on a handle that is closing */
}

int peercache_node_find_peer(peercache_node *node, const char *peer_id)
{
    struct pc_peer_id id;
    if (!peer_id || !node->find_async_open)
        return PEERCACHE_EINVAL;
    if (pc_addr_peer_id_parse(peer_id, strlen(peer_id), &id, NULL))
        return PEERCACHE_EPARSE;
    if (pc_addr_peer_id_equal(&id, pc_libp2p_identity_id(node->identity)))
        return PEERCACHE_EINVAL;
    int result = pc_driver_finds_put(&node->finds, &id);
    if (result == 0)
        (void)uv_async_send(&node->find_async); /* it can only fail on a handle that is closing */
    return result;
}

void peercache_node_stop(peercache_node *node)
{
    if (node->async_open)
        (void)uv_async_send(&node->stop_async); /* it can only fail on a handle that is closing */
}

static void warn_at_start(struct peercache_node *node)
{
    if (node->cache_busy.text[0] != '\0') {
        struct pc_reason told;
        pc_base_reason(&told, "only read for now: %s", node->cache_busy.text);
        pc_driver_loop_warn(node, told.text);
    } else if (node->store && node->store->warning.text[0] != '\0') {
        pc_driver_loop_warn(node, node->store->warning.text);
    }
    if (node->cache_lost.text[0] != '\0') {
        struct pc_reason told;
        pc_base_reason(&told, "the cache is corrupt, what it held is not used: %s", node->cache_lost.text);
        pc_driver_loop_warn(node, told.text);
    }
    if (node->endpoints_left_out > 0) {
        struct pc_reason told;
        pc_base_reason(&told,
                       "%zu endpoints of the network are not asked: %d are, those that were given first",
                       node->endpoints_left_out, PC_JOIN_ENDPOINTS_MAX);
        pc_driver_loop_warn(node, told.text);
    }
    if (node->wildcard_missing)
        pc_driver_loop_warn(node, "this machine lacks IPv6 or IPv4: the other is listened on alone");
    if (node->options.mode != PEERCACHE_MODE_CLIENT && node->listening_count == 0)
        pc_driver_loop_warn(node, "no interface has an address that others could reach");
}

int pc_driver_node_prepare(struct peercache_node *node)
{
    if (!node->ready || node->state != PC_DRIVER_NEW)
        return fail(node, PEERCACHE_ESTATE, "the node has been run already, or could not be made");
    int result = pc_driver_udp_start(node->udp, &node->error);
    if (result != 0)
        return result;
    node->state = PC_DRIVER_RUNNING;
    pc_driver_progress_started(&node->progress, true);
    node->started = pc_driver_clock_now(&node->clock);
    warn_at_start(node);
    return 0;
}

int peercache_node_run(peercache_node *node)
{
    int result = pc_driver_node_prepare(node);
    if (result != 0)
        return result;
    pc_driver_loop_run(node);
    pc_driver_progress_ended(&node->progress);
    return 0;
}
