/* The connections and the requests under way, by number and by peer. */
#include "node/internal.h"

#include <stdlib.h>

/* Numbers are counted by our own side, and nobody else chooses them: they need no hash with a secret. */
static uint64_t hash_of(uint64_t number)
{
    uint64_t hash = number * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

struct connection *pc_node_connection_find(struct pc_node *node, uint64_t number)
{
    struct pc_number_bytes key = pc_number_bytes_of(number);
    struct pc_map_node *found = pc_base_map_find_hashed(
        &node->connections, pc_bytes_of(key.bytes, sizeof(key.bytes)), hash_of(number));
    return found ? PC_CONTAINER_OF(found, struct connection, by_number) : NULL;
}

struct connection *pc_node_connection_new(struct pc_node *node, uint64_t number,
                                          enum connection_purpose purpose)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->number = number;
    connection->key = pc_number_bytes_of(number);
    connection->purpose = purpose;
    connection->started_us = node->now.mono_us;
    if (pc_base_map_insert_hashed(&node->connections, &connection->by_number, hash_of(number))) {
        free(connection);
        return NULL;
    }
    return connection;
}

void pc_node_connection_opened(struct pc_node *node, struct connection *connection,
                               const struct pc_peer_id *id)
{
    connection->open = true;
    connection->id = *id;
    free(connection->target);
    connection->target = NULL;
    pc_node_pool_opened(node, connection);
}

static void unlist_cancelled(struct pc_node *node, struct connection *connection)
{
    if (!connection->cancelled)
        return;
    if (connection->cancelled_previous)
        connection->cancelled_previous->cancelled_next = connection->cancelled_next;
    else
        node->cancelled_first = connection->cancelled_next;
    if (connection->cancelled_next)
        connection->cancelled_next->cancelled_previous = connection->cancelled_previous;
}

void pc_node_connection_drop(struct pc_node *node, struct connection *connection)
{
    pc_node_pool_gone(node, connection);
    unlist_cancelled(node, connection);
    pc_base_map_remove(&node->connections, &connection->by_number);
    free(connection->target);
    free(connection);
}

void pc_node_connection_cancel(struct pc_node *node, struct connection *connection)
{
    if (connection->cancelled)
        return;
    connection->cancelled = true;
    if (connection->open)
        node->pool.closing++;
    connection->cancelled_next = node->cancelled_first;
    if (connection->cancelled_next)
        connection->cancelled_next->cancelled_previous = connection;
    node->cancelled_first = connection;
}

struct request *pc_node_request_new(struct pc_node *node, struct connection *connection,
                                    enum request_kind kind)
{
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->number = ++node->next_request;
    request->key = pc_number_bytes_of(request->number);
    request->connection = connection->number;
    request->kind = kind;
    request->id = connection->id;
    if (pc_base_map_insert_hashed(&node->requests, &request->by_number, hash_of(request->number))) {
        free(request);
        return NULL;
    }
    connection->request_count++;
    pc_node_pool_used(node, connection);
    return request;
}

struct request *pc_node_request_find(struct pc_node *node, uint64_t number)
{
    struct pc_number_bytes key = pc_number_bytes_of(number);
    struct pc_map_node *found =
        pc_base_map_find_hashed(&node->requests, pc_bytes_of(key.bytes, sizeof(key.bytes)), hash_of(number));
    return found ? PC_CONTAINER_OF(found, struct request, by_number) : NULL;
}

void pc_node_request_drop(struct pc_node *node, struct request *request)
{
    struct connection *connection = pc_node_connection_find(node, request->connection);
    pc_base_map_remove(&node->requests, &request->by_number);
    free(request);
    if (connection) {
        connection->request_count--;
        pc_node_pool_request_ended(node, connection);
    }
}

void pc_node_find_node(struct pc_node *node, struct connection *connection, enum request_kind kind)
{
    struct request *request = pc_node_request_new(node, connection, kind);
    if (!request) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: a peer is not asked");
        if (kind == REQUEST_WALK)
            pc_node_walk_failed(node, &connection->id);
        return;
    }
    /* No answer is waited for longer than the join or the walk that wants it may last. */
    int64_t ends_us = node->walk_deadline_us;
    if (kind == REQUEST_JOIN) {
        node->join_requests++;
        ends_us = pc_base_time_add(node->join_started_us, node->options.timeout_us);
    }
    struct pc_node_action *action = pc_node_act(node, PC_NODE_FIND_NODE);
    action->connection = connection->number;
    action->request = request->number;
    action->key = pc_addr_peer_id_bytes(kind == REQUEST_JOIN ? &node->options.own_id : &node->walk_target);
    action->deadline_us =
        pc_base_time_min(ends_us, pc_base_time_add(node->now.mono_us, PC_NODE_REQUEST_TIMEOUT_US));
}
