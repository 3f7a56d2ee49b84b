/* Pinging: one dial, then so many pings a second apart; an answer, or the dial's failure, is told as PONG. */
#include "node/internal.h"

void pc_node_ping_begin(struct pc_node *node)
{
    const struct pc_node_source *target = &node->sources[0];
    struct pc_joiner_candidate candidate = { .id = target->id, .addr = target->addr, .via = target->via };
    struct connection unborn = { .id = target->id, .addr = target->addr, .via = target->via };
    const char *detail = "";
    node->join_started_us = node->now.mono_us;
    if (pc_addr_classify(pc_addr_maddr_bytes(&target->addr), &candidate.ip_port) != PC_ADDR_QUIC_V1)
        candidate.ip_port.family = 0;
    peercache_outcome refusal = pc_node_why_not_dialled(node, &candidate, &detail);
    if (refusal != PEERCACHE_OK) {
        pc_node_ping_ended(node, &unborn, refusal, detail, -1);
        return;
    }
    struct connection *connection = pc_node_connection_new(node, ++node->next_connection, FOR_PING);
    if (!connection) {
        pc_node_ping_ended(node, &unborn, PEERCACHE_CANCELLED, "out of memory", -1);
        return;
    }
    connection->id = target->id;
    connection->addr = target->addr;
    connection->via = target->via;
    struct pc_node_action *action = pc_node_act(node, PC_NODE_DIAL);
    action->connection = connection->number;
    action->remote = candidate.ip_port;
    action->id = target->id;
    action->deadline_us = pc_base_time_add(
        node->now.mono_us, pc_base_time_min(PC_JOIN_DIAL_TIMEOUT_US, node->options.timeout_us));
}

void pc_node_ping_opened(struct pc_node *node, struct connection *connection)
{
    node->ping_connection = connection->number;
    node->ping_at_us = node->now.mono_us;
}

void pc_node_ping_pump(struct pc_node *node)
{
    if (node->now.mono_us < node->ping_at_us || node->pings_sent == node->options.ping_count ||
        !pc_node_has_room(node, 0))
        return;
    struct connection *connection = pc_node_connection_find(node, node->ping_connection);
    struct request *request = connection ? pc_node_request_new(node, connection, REQUEST_PING) : NULL;
    if (!request) {
        struct connection gone = { .id = node->sources[0].id, .addr = node->sources[0].addr };
        pc_node_ping_ended(node, connection ? connection : &gone, PEERCACHE_CANCELLED,
                           connection ? "out of memory" : "the connection is gone", -1);
        return;
    }
    node->pings_sent++;
    node->ping_at_us = node->pings_sent < node->options.ping_count
                           ? pc_base_time_add(node->ping_at_us, PC_NODE_PING_EVERY_US)
                           : PC_TIME_NEVER;
    struct pc_node_action *action = pc_node_act(node, PC_NODE_PING);
    action->connection = connection->number;
    action->request = request->number;
    action->deadline_us = pc_base_time_add(
        node->now.mono_us, pc_base_time_min(PC_NODE_REQUEST_TIMEOUT_US, node->options.timeout_us));
}

void pc_node_ping_ended(struct pc_node *node, struct connection *connection, peercache_outcome outcome,
                        const char *detail, int64_t rtt_us)
{
    (void)pc_node_tell_dial(node, PEERCACHE_NODE_PONG, connection, outcome, detail, rtt_us, -1);
    node->pings_ended++;
    /* Without a connection no further ping can be answered. */
    if (node->pings_ended == node->options.ping_count || !connection->open)
        pc_node_begin_stop(node);
}
