#include "driver/observed.h"

#include "base/time.h"
#include "driver/report.h"
#include "node/share.h"

#include <stdlib.h>

/* ----- HTTP ----- */

static void look_at_cache(const struct peercache_node *node, struct pc_observation *observation)
{
    peercache_cache_report cache = { .path = "", .problem = "" };
    pc_driver_report_cache(node, &cache);
    observation->store_path = cache.path;
    observation->store_problem = cache.problem;
    observation->store_is_healthy = cache.is_healthy;
    observation->store_is_writable = cache.is_writable;
}

static void look(void *context, struct pc_observation *ret_observation)
{
    struct peercache_node *node = context;
    peercache_time now = pc_driver_clock_now(&node->clock);
    size_t resident = 0;
    if (uv_resident_set_memory(&resident) != 0)
        resident = 0; /* not known */
    *ret_observation = (struct pc_observation){
        .version = PC_VERSION,
        .network = node->options.network,
        .started_ms = node->started.wall_ms,
        .uptime_us = pc_base_time_sub(now.mono_us, node->started.mono_us),
        .resident_bytes = resident,
        .turned_away = *pc_libp2p_host_counters(node->wire.host),
        .descriptors = pc_driver_report_descriptors(),
        .descriptors_max = pc_driver_report_descriptors_max(),
    };
    look_at_cache(node, ret_observation);
    ret_observation->counts = *pc_libp2p_host_counts(node->wire.host);
    pc_driver_udp_traffic(node->udp, &ret_observation->datagrams_received, &ret_observation->datagrams_sent);
    pc_node_status_of(node->wire.node, now, &ret_observation->node);
    for (size_t i = 0; i < ret_observation->node.endpoint_count; i++)
        pc_driver_report_endpoint(node, i, &ret_observation->node.endpoints[i]);
}

static int each_peer(void *context, size_t count,
                     int (*visit)(void *visit_context, const struct pc_record *record), void *visit_context)
{
    const struct peercache_node *node = context;
    return pc_node_share(node->wire.node, count, visit, visit_context);
}

static void answer(void *context, const struct pc_observe_request *request,
                   struct pc_observe_answer *ret_answer)
{
    struct peercache_node *node = context;
    const char *version = node->network->network_version;
    const struct pc_observe_source source = {
        .look = look,
        .each_peer = each_peer,
        .context = node,
        .network_version = version[0] != '\0' ? version : NULL,
        .now_ms = pc_driver_clock_now(&node->clock).wall_ms,
    };
    pc_observe_answer(request, &source, ret_answer);
}

int pc_driver_observed_open(struct peercache_node *node)
{
    const struct pc_driver_http_options options = { .place = node->options.http,
                                                    .answer = answer,
                                                    .context = node };
    if (!node->options.has_http)
        return 0;
    int result = pc_driver_http_server_new(&node->loop, &options, &node->http, &node->error);
    if (result == 0)
        pc_driver_http_place_format(pc_driver_http_server_place(node->http), node->http_place);
    return result;
}

void pc_driver_observed_close(struct peercache_node *node)
{
    pc_driver_http_server_close(node->http);
    node->http = NULL;
}

/* ----- the log ----- */

static peercache_log_level public_level(enum pc_log_level level)
{
    switch (level) {
    case PC_LOG_ERROR:
        return PEERCACHE_LOG_ERROR;
    case PC_LOG_WARNING:
        return PEERCACHE_LOG_WARNING;
    case PC_LOG_INFO:
        return PEERCACHE_LOG_INFO;
    case PC_LOG_DEBUG:
        break;
    }
    return PEERCACHE_LOG_DEBUG;
}

static void on_log(void *context, enum pc_log_level level, const char *room, const char *text)
{
    const struct peercache_node_options *options = &((const struct peercache_node *)context)->options;
    if (pc_observe_log_wants(&options->log_levels, level, room))
        options->log_write(options->log_context, public_level(level), room, text);
}

void pc_driver_observed_log(struct peercache_node *node, const struct peercache_node_options *options)
{
    if (options->log_write)
        node->log = (struct pc_log){ .write = on_log,
                                     .context = node,
                                     .level = pc_observe_log_most(&options->log_levels) };
}
