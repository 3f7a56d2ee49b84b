#include "node/status.h"

#include "node/internal.h"

#include <stdlib.h>

const char *pc_node_standing_name(enum pc_node_standing standing)
{
    switch (standing) {
#define PC_X(name, word)                                                                                     \
    case name:                                                                                               \
        return word;
        PC_NODE_STANDINGS(PC_X)
#undef PC_X
    case PC_NODE_STANDING_COUNT:
        break;
    }
    return "unknown";
}

static const char *phase_name(enum node_phase phase)
{
    switch (phase) {
    case PHASE_IDLE:
        return "idle";
    case PHASE_JOINING:
        return "joining";
    case PHASE_WALKING:
        return "walking";
    case PHASE_LIVING:
        return "living";
    case PHASE_PINGING:
        return "pinging";
    case PHASE_CRAWLING:
        return "crawling";
    case PHASE_STOPPING:
        return "stopping";
    case PHASE_STOPPED:
        return "stopped";
    }
    return "unknown";
}

static enum pc_node_standing standing_of(const struct pc_node *node, uint32_t verified)
{
    switch ((enum node_phase)node->phase) {
    case PHASE_IDLE:
    case PHASE_PINGING:
        return PC_NODE_IDLE;
    case PHASE_STOPPING:
    case PHASE_STOPPED:
        return PC_NODE_STOPPING;
    case PHASE_JOINING:
    case PHASE_WALKING:
    case PHASE_LIVING:
    case PHASE_CRAWLING:
        break;
    }
    if (!node->report_told)
        return PC_NODE_JOINING;
    switch (pc_node_join_status(node, verified)) {
    case PEERCACHE_JOINED:
        return PC_NODE_JOINED;
    case PEERCACHE_DEGRADED:
        return PC_NODE_DEGRADED;
    case PEERCACHE_FAILED:
        break;
    }
    return PC_NODE_FAILED;
}

static void look_at_join(const struct pc_node *node, struct pc_node_status *status)
{
    status->target = node->options.target;
    status->min = node->options.min;
    status->join.first_verified_us = -1;
    status->join.fifth_verified_us = -1;
    if (node->plan) {
        status->verified = pc_plan_verified_count(node->plan);
        pc_plan_metrics(node->plan, &status->join);
        status->endpoint_count = node->options.exclusive ? 0 : node->options.endpoint_count;
    }
    for (size_t i = 0; i < status->endpoint_count; i++)
        pc_node_report_endpoint(node, i, &status->endpoints[i]);
    /* The last report stays until the next is told; one that was told always has a sentence, if an empty one. */
    status->has_report = node->report.next_step != NULL;
    status->cause = node->report.cause ? node->report.cause : "";
    status->next_step = status->has_report ? node->report.next_step : "";
}

static void look_at_wire(const struct pc_node *node, peercache_time now, struct pc_node_status *status)
{
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n)) {
        const struct connection *connection = PC_CONST_CONTAINER_OF(n, struct connection, by_number);
        if (!connection->open)
            status->dialing++;
        else if (connection->purpose == FOR_PEER)
            status->inbound++;
        else
            status->outbound++;
    }
    status->requests = node->requests.count;
    status->trimmed = node->pool.trimmed;
    status->doubles = node->pool.doubles;
    status->answered_ago_us = node->answered_at_us == INT64_MIN
                                  ? -1
                                  : pc_base_time_max(pc_base_time_sub(now.mono_us, node->answered_at_us), 0);
}

static void look_at_table(const struct pc_node *node, struct pc_node_status *status)
{
    static const size_t most = PC_NODE_TABLE_BUCKETS * PC_KAD_K;
    const struct pc_kad_key own = pc_kad_key_of_peer(&node->options.own_id);
    const struct pc_kad_entry **entries = malloc(most * sizeof(const struct pc_kad_entry *));
    status->table_count = pc_kad_table_count(node->table);
    if (!entries) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: the status shows no buckets");
        return;
    }
    size_t count = pc_kad_table_closest(node->table, &own, entries, most);
    for (size_t i = 0; i < count; i++)
        status->buckets[pc_kad_key_common_prefix(&own, &entries[i]->key)]++;
    free(entries);
}

static void look_at_cache(const struct pc_node *node, struct pc_node_status *status)
{
    for (const struct pc_record *record = pc_cache_set_next(node->set, NULL); record;
         record = pc_cache_set_next(node->set, record))
        status->tried += record->state == PEERCACHE_TRIED;
    status->fresh = pc_cache_set_count(node->set) - status->tried;
    status->pending = pc_cache_set_pending(node->set);
    status->is_saving = node->commit_out;
    status->save_failed = node->commit_failed;
    status->last_success_ms = node->newest_success_ms;
}

void pc_node_status_of(const struct pc_node *node, peercache_time now, struct pc_node_status *ret_status)
{
    struct pc_node_status *status = ret_status;
    *status = (struct pc_node_status){ .phase = phase_name((enum node_phase)node->phase),
                                       .id = node->options.own_id,
                                       .is_automatic = node->options.automatic,
                                       .reachability = node->reachability,
                                       .own_addr_count = node->own_addr_count };
    status->is_server = pc_node_announcement(node, status->announced, &status->announced_count);
    memcpy(status->own_addrs, node->own_addrs, node->own_addr_count * sizeof(status->own_addrs[0]));
    look_at_join(node, status);
    status->standing = standing_of(node, status->verified);
    look_at_wire(node, now, status);
    look_at_table(node, status);
    look_at_cache(node, status);
}
