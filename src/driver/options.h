/* What peercache_node_options holds (peercache/node.h). Everything in it is checked when it is set. */
#ifndef PC_DRIVER_OPTIONS_H
#define PC_DRIVER_OPTIONS_H

#include "driver/fetch.h"
#include "driver/http_listen.h"
#include "driver/network.h"
#include "join/endpoints.h"
#include "join/filter.h"
#include "libp2p/identity.h"
#include "node/node.h"
#include "observe/log.h"
#include "store/store.h"

#include <peercache/node.h>

#define PC_DRIVER_JOIN_TIMEOUT_MAX_MS 3600000
#define PC_DRIVER_TARGET_MAX          1000
#define PC_DRIVER_CRAWL_AT_ONCE_MAX   500 /* half of the connections a host has by default */
#define PC_DRIVER_PERIOD_MIN_MS       1000
#define PC_DRIVER_PERIOD_MAX_MS       86400000
#define PC_DRIVER_CONNECTIONS_MAX     100000
#define PC_DRIVER_IDLE_MIN_MS         1000
#define PC_DRIVER_IDLE_MAX_MS         86400000
#define PC_DRIVER_IDLE_DEFAULT_MS     60000

struct pc_driver_listen {
    char text[PEERCACHE_ADDR_TEXT_BYTES]; /* as given, for errors */
    struct pc_ip_port address;
};

struct peercache_node_options {
    peercache_mode mode;
    char network[PC_DRIVER_NETWORK_NAME_BYTES];
    char kad_protocol[PC_DRIVER_KAD_PROTOCOL_BYTES]; /* "": that of the network's description */
    bool local;
    bool save;
    bool walk;
    bool once;
    bool handle_signals;
    bool notify;
    bool dial_cached;
    bool exclusive;
    bool has_described; /* `described` was set; until then it is used unless `local` */
    bool described;
    uint32_t max_peers;
    uint32_t target;
    uint32_t min;
    uint32_t timeout_ms;
    uint32_t crawl_concurrency; /* 0: no crawl */
    uint32_t crawl_timeout_ms;  /* 0: none */
    uint32_t save_period_ms;
    uint32_t refresh_period_ms; /* 0: as the table is filled */
    uint32_t connections_low;
    uint32_t connections_high;
    uint32_t connection_idle_ms;
    uint32_t bucket_group_max;
    uint32_t table_group_max;
    bool has_cache;
    char cache[PC_STORE_PATH_BYTES];
    size_t key_size; /* 0: a fresh key */
    uint8_t key[PC_PRIVATE_KEY_MAX_BYTES];
    size_t source_count;
    struct pc_node_source *sources; /* grown by doubling */
    size_t source_room;
    size_t endpoint_count;
    char endpoints[PC_JOIN_ENDPOINTS_MAX][PC_DRIVER_FETCH_URL_MAX_BYTES + 1];
    struct pc_join_filter filter;
    char resolver[PC_IP_PORT_TEXT_BYTES]; /* "": those of the system */
    char ca_file[PC_STORE_PATH_BYTES];    /* "": what the system trusts */
    size_t listen_count;
    struct pc_driver_listen listens[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t announce_count;
    struct pc_maddr announces[PC_LIBP2P_LISTEN_ADDRS_MAX];
    bool has_http;
    struct pc_driver_http_place http;
    struct pc_observe_log_levels log_levels;
    void (*log_write)(void *context, peercache_log_level level, const char *room, const char *text);
    void *log_context;
    struct pc_reason error;
};

/* Whether the bootstrap peers and endpoints of the network's description are used. */
static inline bool pc_driver_options_described(const struct peercache_node_options *options)
{
    return options->has_described ? options->described : !options->local;
}

/* A peer to dial, from its text, via FLAG. EPARSE with the reason. */
int pc_driver_source_parse(const char *text, struct pc_node_source *ret_source, struct pc_reason *ret_reason);

#endif
