#include "driver/options.h"

#include "driver/clock.h"

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
    options->target = 5;
    options->min = 1;
    options->timeout_ms = 10000;
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

int peercache_node_options_set_cache(peercache_node_options *options, const char *path)
{
    size_t length = path ? strlen(path) : 0;
    if (path && length == 0) {
        pc_base_reason(&options->error, "the path of the cache is empty");
        return PEERCACHE_EINVAL;
    }
    if (length >= sizeof(options->cache)) {
        pc_base_reason(&options->error, "the path of the cache is over %zu bytes",
                       sizeof(options->cache) - 1);
        return PEERCACHE_EINVAL;
    }
    options->has_cache = path != NULL;
    if (path)
        memcpy(options->cache, path, length + 1);
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

int peercache_node_options_add_peer(peercache_node_options *options, const char *multiaddr)
{
    struct pc_node_source source;
    if (!multiaddr) {
        pc_base_reason(&options->error, "no multiaddr");
        return PEERCACHE_EPARSE;
    }
    int result = pc_driver_source_parse(multiaddr, &source, &options->error);
    if (result != 0)
        return result;
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

int peercache_node_options_add_listen(peercache_node_options *options, const char *multiaddr)
{
    struct pc_driver_listen listen;
    struct pc_node_source source;
    if (!multiaddr) {
        pc_base_reason(&options->error, "no multiaddr");
        return PEERCACHE_EPARSE;
    }
    struct pc_reason why = { "" };
    int result = pc_driver_source_parse(multiaddr, &source, &why);
    if (result != 0) {
        pc_base_reason(&options->error, "no address to listen on: %.160s", why.text);
        return result;
    }
    if (source.id.size != 0 ||
        pc_addr_classify(pc_addr_maddr_bytes(&source.addr), &listen.address) != PC_ADDR_QUIC_V1) {
        pc_base_reason(&options->error,
                       "\"%.96s\" is no address to listen on: the form is "
                       "/ip4|ip6/ADDRESS/udp/PORT/quic-v1",
                       multiaddr);
        return PEERCACHE_EUNSUPPORTED;
    }
    if (options->listen_count == PC_LIBP2P_LISTEN_ADDRS_MAX) {
        pc_base_reason(&options->error, "more than %d addresses to listen on", PC_LIBP2P_LISTEN_ADDRS_MAX);
        return PEERCACHE_ELIMIT;
    }
    memcpy(listen.text, multiaddr, strlen(multiaddr) + 1);
    options->listens[options->listen_count++] = listen;
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

void peercache_node_options_set_walk(peercache_node_options *options, bool walk)
{
    options->walk = walk;
}

void peercache_node_options_set_once(peercache_node_options *options, bool once)
{
    options->once = once;
}

void peercache_node_options_set_handle_signals(peercache_node_options *options, bool handle)
{
    options->handle_signals = handle;
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
