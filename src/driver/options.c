#include "driver/options.h"

#include "addr/netgroup.h"
#include "driver/clock.h"
#include "driver/fetch_url.h"
#include "driver/resolve.h"
#include "kad/table.h"
#include "node/pool.h"

#include <peercache/peercache.h>

#include <sodium.h>
#include <stdlib.h>

#define SOURCES_FIRST 8 /* room of the first allocation */

peercache_node_options *peercache_node_options_new(void)
{
    peercache_node_options *options = calloc(1, sizeof(*options));
    if (!options)
        return NULL;
    options->mode = PEERCACHE_MODE_CLIENT;
    memcpy(options->network, "ipfs", sizeof("ipfs"));
    options->save = true;
    options->walk = true;
    options->dial_cached = true;
    options->max_peers = PEERCACHE_MAX_PEERS_DEFAULT;
    options->target = 5;
    options->min = 1;
    options->timeout_ms = 10000;
    options->save_period_ms = 3600000;
    options->connections_low = PC_POOL_LOW;
    options->connections_high = PC_POOL_HIGH;
    options->connection_idle_ms = PC_DRIVER_IDLE_DEFAULT_MS;
    options->bucket_group_max = PC_KAD_BUCKET_GROUP_MAX;
    options->table_group_max = PC_KAD_TABLE_GROUP_MAX;
    return options;
}

void peercache_node_options_free(peercache_node_options *options)
{
    if (!options)
        return;
    sodium_memzero(options->key, sizeof(options->key));
    free(options->sources);
    free(options);
}

void peercache_node_options_set_mode(peercache_node_options *options, peercache_mode mode)
{
    options->mode = mode;
}

int peercache_node_options_set_network(peercache_node_options *options, const char *network)
{
    if (!network || !pc_driver_network_name_valid(network)) {
        pc_base_reason(&options->error,
                       "\"%.64s\" is no name of a network: 1 to %d characters without blanks or '/', no "
                       "leading dot",
                       network ? network : "", PC_DRIVER_NETWORK_NAME_BYTES - 1);
        return PEERCACHE_EINVAL;
    }
    memcpy(options->network, network, strlen(network) + 1);
    return 0;
}

int peercache_node_options_set_kad_protocol(peercache_node_options *options, const char *protocol)
{
    if (!protocol || !pc_driver_kad_protocol_valid(protocol)) {
        pc_base_reason(&options->error, "\"%.96s\" is no Kademlia protocol: the form is /a/b",
                       protocol ? protocol : "");
        return PEERCACHE_EINVAL;
    }
    memcpy(options->kad_protocol, protocol, strlen(protocol) + 1);
    return 0;
}

void peercache_node_options_set_local(peercache_node_options *options, bool local)
{
    options->local = local;
}

/* NULL clears it. EINVAL: empty or too long. */
static int set_path(peercache_node_options *options, const char *what, const char *path,
                    char ret_path[PC_STORE_PATH_BYTES])
{
    size_t length = path ? strlen(path) : 0;
    if (path && length == 0) {
        pc_base_reason(&options->error, "the path of %s is empty", what);
        return PEERCACHE_EINVAL;
    }
    if (length >= PC_STORE_PATH_BYTES) {
        pc_base_reason(&options->error, "the path of %s is over %d bytes", what, PC_STORE_PATH_BYTES - 1);
        return PEERCACHE_EINVAL;
    }
    memcpy(ret_path, path ? path : "", length + 1);
    return 0;
}

int peercache_node_options_set_cache(peercache_node_options *options, const char *path)
{
    int result = set_path(options, "the cache", path, options->cache);
    if (result == 0)
        options->has_cache = path != NULL;
    return result;
}

int peercache_node_options_set_max_peers(peercache_node_options *options, uint32_t max_peers)
{
    if (max_peers < 1 || max_peers > PEERCACHE_MAX_PEERS_LIMIT) {
        pc_base_reason(&options->error, "%u peers at most: it must be 1 to %d", max_peers,
                       PEERCACHE_MAX_PEERS_LIMIT);
        return PEERCACHE_EINVAL;
    }
    options->max_peers = max_peers;
    return 0;
}

void peercache_node_options_set_save(peercache_node_options *options, bool save)
{
    options->save = save;
}

int pc_driver_source_parse(const char *text, struct pc_node_source *ret_source, struct pc_reason *ret_reason)
{
    struct pc_node_source source = { .via = PEERCACHE_VIA_FLAG };
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    struct pc_reason why = { "" };
    size_t size;
    size_t length = strlen(text);
    if (length >= sizeof(source.text)) {
        pc_base_reason(ret_reason, "a multiaddr of %zu characters is too long: \"%.64s…\"", length, text);
        return PEERCACHE_EPARSE;
    }
    int result = pc_addr_multiaddr_parse(text, length, bytes, sizeof(bytes), &size, &why);
    if (result == 0)
        result = pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &source.addr, &source.id);
    if (result == 0 && source.addr.size == 0) {
        pc_base_reason(&why, "a peer id without an address");
        result = PEERCACHE_EPARSE;
    }
    if (result != 0) {
        pc_base_reason(ret_reason, "\"%.96s\" cannot be dialled: %.80s", text,
                       why.text[0] != '\0' ? why.text : peercache_strerror(result));
        return PEERCACHE_EPARSE;
    }
    memcpy(source.text, text, length + 1);
    *ret_source = source;
    return 0;
}

static int add_source(peercache_node_options *options, const char *multiaddr, peercache_via via)
{
    struct pc_node_source source;
    int result = pc_driver_source_parse(multiaddr, &source, &options->error);
    if (result != 0)
        return result;
    source.via = via;
    if (options->source_count == PC_NODE_PEERS_MAX) {
        pc_base_reason(&options->error, "more than %d peers are given", PC_NODE_PEERS_MAX);
        return PEERCACHE_ELIMIT;
    }
    if (options->source_count == options->source_room) {
        size_t room = options->source_room > 0 ? options->source_room * 2 : SOURCES_FIRST;
        struct pc_node_source *sources = realloc(options->sources, room * sizeof(*sources));
        if (!sources) {
            pc_base_reason(&options->error, "out of memory");
            return PEERCACHE_ENOMEM;
        }
        options->sources = sources;
        options->source_room = room;
    }
    options->sources[options->source_count++] = source;
    return 0;
}

static int no_multiaddr(peercache_node_options *options)
{
    pc_base_reason(&options->error, "no multiaddr");
    return PEERCACHE_EPARSE;
}

int peercache_node_options_add_peer(peercache_node_options *options, const char *multiaddr)
{
    return multiaddr ? add_source(options, multiaddr, PEERCACHE_VIA_FLAG) : no_multiaddr(options);
}

/* Without the white space around it; cut in place. */
static char *trim(char *text)
{
    static const char blanks[] = " \t\r\n\v\f";
    text += strspn(text, blanks);
    size_t length = strlen(text);
    while (length > 0 && strchr(blanks, text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

int peercache_node_options_add_env_peers(peercache_node_options *options, const char *list)
{
    size_t count_before = options->source_count;
    int result = 0;
    if (!list)
        return no_multiaddr(options);
    char *copy = strdup(list);
    if (!copy) {
        pc_base_reason(&options->error, "out of memory");
        return PEERCACHE_ENOMEM;
    }
    char *next = copy;
    for (char *part = strsep(&next, ","); part && result == 0; part = strsep(&next, ",")) {
        part = trim(part);
        if (*part != '\0')
            result = add_source(options, part, PEERCACHE_VIA_ENV);
    }
    if (result != 0)
        options->source_count = count_before; /* all of the list or nothing */
    free(copy);
    return result;
}

int peercache_node_options_add_endpoint(peercache_node_options *options, const char *url)
{
    struct pc_reason why = { "out of memory" };
    if (!url) {
        pc_base_reason(&options->error, "no URL");
        return PEERCACHE_EPARSE;
    }
    int result = pc_driver_fetch_url_check_endpoint(url, &why);
    if (result != 0) {
        pc_base_reason(&options->error, "\"%.64s\" cannot be asked: %.110s", url, why.text);
        return result;
    }
    if (options->endpoint_count == PC_JOIN_ENDPOINTS_MAX) {
        pc_base_reason(&options->error, "more than %d endpoints are given", PC_JOIN_ENDPOINTS_MAX);
        return PEERCACHE_ELIMIT;
    }
    memcpy(options->endpoints[options->endpoint_count++], url, strlen(url) + 1);
    return 0;
}

void peercache_node_options_set_described_sources(peercache_node_options *options, bool use)
{
    options->has_described = true;
    options->described = use;
}

void peercache_node_options_set_dial_cached(peercache_node_options *options, bool dial)
{
    options->dial_cached = dial;
}

void peercache_node_options_set_exclusive(peercache_node_options *options, bool exclusive)
{
    options->exclusive = exclusive;
}

static int add_network(peercache_node_options *options, const char *cidr, bool allowed)
{
    if (!cidr) {
        pc_base_reason(&options->error, "no network");
        return PEERCACHE_EPARSE;
    }
    return pc_join_filter_add(&options->filter, cidr, allowed, &options->error);
}

int peercache_node_options_allow(peercache_node_options *options, const char *cidr)
{
    return add_network(options, cidr, true);
}

int peercache_node_options_deny(peercache_node_options *options, const char *cidr)
{
    return add_network(options, cidr, false);
}

int peercache_node_options_set_resolver(peercache_node_options *options, const char *server)
{
    struct pc_ip_port address;
    int result = server ? pc_driver_resolver_server_parse(server, &address, &options->error) : 0;
    if (result != 0)
        return result;
    if (server)
        pc_addr_ip_port_format(&address, options->resolver);
    else
        options->resolver[0] = '\0';
    return 0;
}

int peercache_node_options_set_ca_file(peercache_node_options *options, const char *path)
{
    return set_path(options, "the certificates", path, options->ca_file);
}

/* An ip:port that QUIC is spoken at. `what` it is for goes into the reason. EPARSE, EUNSUPPORTED. */
static int parse_place(peercache_node_options *options, const char *what, const char *multiaddr,
                       struct pc_ip_port *ret_place)
{
    struct pc_node_source source;
    struct pc_reason why = { "" };
    int result = pc_driver_source_parse(multiaddr, &source, &why);
    if (result != 0) {
        pc_base_reason(&options->error, "no address to %s: %.160s", what, why.text);
        return result;
    }
    if (source.id.size != 0 ||
        pc_addr_classify(pc_addr_maddr_bytes(&source.addr), ret_place) != PC_ADDR_QUIC_V1) {
        pc_base_reason(&options->error,
                       "\"%.96s\" is no address to %s: the form is /ip4|ip6/ADDRESS/udp/PORT/quic-v1",
                       multiaddr, what);
        return PEERCACHE_EUNSUPPORTED;
    }
    return 0;
}

int peercache_node_options_add_listen(peercache_node_options *options, const char *multiaddr)
{
    struct pc_driver_listen listen;
    if (!multiaddr)
        return no_multiaddr(options);
    int result = parse_place(options, "listen on", multiaddr, &listen.address);
    if (result != 0)
        return result;
    if (options->listen_count == PC_LIBP2P_LISTEN_ADDRS_MAX) {
        pc_base_reason(&options->error, "more than %d addresses to listen on", PC_LIBP2P_LISTEN_ADDRS_MAX);
        return PEERCACHE_ELIMIT;
    }
    memcpy(listen.text, multiaddr, strlen(multiaddr) + 1);
    options->listens[options->listen_count++] = listen;
    return 0;
}

int peercache_node_options_add_announce(peercache_node_options *options, const char *multiaddr)
{
    struct pc_ip_port place;
    if (!multiaddr)
        return no_multiaddr(options);
    int result = parse_place(options, "announce", multiaddr, &place);
    if (result != 0)
        return result;
    if (pc_addr_scope_of(&place) == PC_SCOPE_UNUSABLE) {
        pc_base_reason(&options->error, "\"%.96s\" is no address to announce: nobody could dial it",
                       multiaddr);
        return PEERCACHE_EUNSUPPORTED;
    }
    if (options->announce_count == PC_LIBP2P_LISTEN_ADDRS_MAX) {
        pc_base_reason(&options->error, "more than %d addresses to announce", PC_LIBP2P_LISTEN_ADDRS_MAX);
        return PEERCACHE_ELIMIT;
    }
    pc_addr_from_ip_port(&place, &options->announces[options->announce_count++]);
    return 0;
}

int peercache_node_options_set_key(peercache_node_options *options, const uint8_t *key, size_t length)
{
    struct pc_identity *identity = NULL;
    struct pc_driver_clock clock;
    if (!key || length == 0 || length > sizeof(options->key)) {
        pc_base_reason(&options->error, "a private key of %zu bytes", length);
        return PEERCACHE_EPARSE;
    }
    /* Make the identity once, so that a key that can't be used is told here and not by peercache_node_new. */
    pc_driver_clock_init(&clock);
    int result = pc_libp2p_identity_new(pc_bytes_of(key, length), pc_driver_clock_now(&clock).wall_ms,
                                        &identity, &options->error);
    if (result != 0)
        return result;
    pc_libp2p_identity_free(identity);
    memcpy(options->key, key, length);
    options->key_size = length;
    return 0;
}

int peercache_node_options_set_target(peercache_node_options *options, uint32_t target, uint32_t min)
{
    if (min < 1 || min > target || target > PC_DRIVER_TARGET_MAX) {
        pc_base_reason(&options->error, "target %u and minimum %u: it must be 1 <= minimum <= target <= %d",
                       target, min, PC_DRIVER_TARGET_MAX);
        return PEERCACHE_EINVAL;
    }
    options->target = target;
    options->min = min;
    return 0;
}

static int check_period(struct peercache_node_options *options, const char *what, uint32_t period_ms)
{
    if (period_ms >= PC_DRIVER_PERIOD_MIN_MS && period_ms <= PC_DRIVER_PERIOD_MAX_MS)
        return 0;
    pc_base_reason(&options->error, "a %s period of %u ms: it must be %d to %d", what, period_ms,
                   PC_DRIVER_PERIOD_MIN_MS, PC_DRIVER_PERIOD_MAX_MS);
    return PEERCACHE_EINVAL;
}

int peercache_node_options_set_save_period(peercache_node_options *options, uint32_t period_ms)
{
    int result = check_period(options, "save", period_ms);
    if (result == 0)
        options->save_period_ms = period_ms;
    return result;
}

int peercache_node_options_set_refresh_period(peercache_node_options *options, uint32_t period_ms)
{
    int result = period_ms == 0 ? 0 : check_period(options, "refresh", period_ms);
    if (result == 0)
        options->refresh_period_ms = period_ms;
    return result;
}

int peercache_node_options_set_timeout(peercache_node_options *options, uint32_t timeout_ms)
{
    if (timeout_ms < 1 || timeout_ms > PC_DRIVER_JOIN_TIMEOUT_MAX_MS) {
        pc_base_reason(&options->error, "a timeout of %u ms: it must be 1 to %d", timeout_ms,
                       PC_DRIVER_JOIN_TIMEOUT_MAX_MS);
        return PEERCACHE_EINVAL;
    }
    options->timeout_ms = timeout_ms;
    return 0;
}

int peercache_node_options_set_connections(peercache_node_options *options, uint32_t low, uint32_t high)
{
    if (low < 1 || low > high || high > PC_DRIVER_CONNECTIONS_MAX) {
        pc_base_reason(&options->error, "marks of %u and %u connections: it must be 1 <= low <= high <= %d",
                       low, high, PC_DRIVER_CONNECTIONS_MAX);
        return PEERCACHE_EINVAL;
    }
    options->connections_low = low;
    options->connections_high = high;
    return 0;
}

int peercache_node_options_set_connection_idle(peercache_node_options *options, uint32_t idle_ms)
{
    if (idle_ms != 0 && (idle_ms < PC_DRIVER_IDLE_MIN_MS || idle_ms > PC_DRIVER_IDLE_MAX_MS)) {
        pc_base_reason(&options->error, "unused for %u ms: it must be %d to %d, or 0 for never", idle_ms,
                       PC_DRIVER_IDLE_MIN_MS, PC_DRIVER_IDLE_MAX_MS);
        return PEERCACHE_EINVAL;
    }
    options->connection_idle_ms = idle_ms;
    return 0;
}

int peercache_node_options_set_table_groups(peercache_node_options *options, uint32_t per_bucket,
                                            uint32_t per_table)
{
    const uint32_t most = PC_KAD_BUCKETS * PC_KAD_K;
    if (per_bucket < 1 || per_bucket > per_table || per_table > most) {
        pc_base_reason(
            &options->error,
            "%u peers of a group in a bucket and %u in the table: it must be 1 <= bucket <= table <= %u",
            per_bucket, per_table, most);
        return PEERCACHE_EINVAL;
    }
    options->bucket_group_max = per_bucket;
    options->table_group_max = per_table;
    return 0;
}

void peercache_node_options_set_walk(peercache_node_options *options, bool walk)
{
    options->walk = walk;
}

void peercache_node_options_set_once(peercache_node_options *options, bool once)
{
    options->once = once;
}

int peercache_node_options_set_crawl(peercache_node_options *options, uint32_t concurrency,
                                     uint32_t timeout_ms)
{
    if (concurrency < 1 || concurrency > PC_DRIVER_CRAWL_AT_ONCE_MAX) {
        pc_base_reason(&options->error, "a crawl of %u peers at once: it must be 1 to %d", concurrency,
                       PC_DRIVER_CRAWL_AT_ONCE_MAX);
        return PEERCACHE_EINVAL;
    }
    options->crawl_concurrency = concurrency;
    options->crawl_timeout_ms = timeout_ms;
    return 0;
}

void peercache_node_options_set_notify(peercache_node_options *options, bool notify)
{
    options->notify = notify;
}

void peercache_node_options_set_handle_signals(peercache_node_options *options, bool handle)
{
    options->handle_signals = handle;
}

int peercache_node_options_set_http(peercache_node_options *options, const char *place)
{
    int result = place ? pc_driver_http_place_parse(place, &options->http, &options->error) : 0;
    if (result == 0)
        options->has_http = place != NULL;
    return result;
}

int peercache_node_options_set_log(peercache_node_options *options, const char *levels,
                                   void (*write)(void *context, peercache_log_level level, const char *room,
                                                 const char *text),
                                   void *context)
{
    struct pc_observe_log_levels wanted;
    pc_observe_log_levels_init(&wanted, PC_LOG_INFO);
    int result = levels ? pc_observe_log_levels_parse(levels, &wanted, &options->error) : 0;
    if (result != 0)
        return result;
    options->log_levels = wanted;
    options->log_write = write;
    options->log_context = context;
    return 0;
}

const char *peercache_node_options_errmsg(const peercache_node_options *options)
{
    return options->error.text;
}

const char *peercache_join_status_name(peercache_join_status status)
{
    switch (status) {
    case PEERCACHE_JOINED:
        return "joined";
    case PEERCACHE_DEGRADED:
        return "degraded";
    case PEERCACHE_FAILED:
        return "failed";
    }
    return "unknown";
}

const char *peercache_crawl_end_name(peercache_crawl_end end)
{
    switch (end) {
    case PEERCACHE_CRAWL_COMPLETE:
        return "complete";
    case PEERCACHE_CRAWL_TIMED_OUT:
        return "timed_out";
    case PEERCACHE_CRAWL_STOPPED:
        return "stopped";
    }
    return "unknown";
}
