/* The pool of open connections: pool.h. */
#include "node/internal.h"

#include <stdlib.h>

void pc_node_pool_init(struct pc_node_pool *pool, const struct pc_peer_id *own_id)
{
    *pool = (struct pc_node_pool){ .own_key = pc_kad_key_of_peer(own_id) };
}

/* The first of its peer's, to be closed or not. */
static struct connection *head_of(struct pc_node *node, const struct pc_peer_id *id)
{
    struct pc_map_node *found = pc_base_map_find(&node->open_by_id, pc_addr_peer_id_bytes(id));
    return found ? PC_CONTAINER_OF(found, struct connection, by_id) : NULL;
}

struct connection *pc_node_pool_find(struct pc_node *node, const struct pc_peer_id *id)
{
    struct connection *head = head_of(node, id);
    return head && !head->cancelled ? head : NULL;
}

void pc_node_pool_used(struct pc_node *node, struct connection *connection)
{
    connection->used_us = node->now.mono_us;
}

void pc_node_pool_table_changed(struct pc_node *node)
{
    node->pool.changed = true;
}

/* ----- one connection a peer ----- */

static bool is_ours(const struct connection *connection)
{
    return connection->purpose != FOR_PEER;
}

static bool we_are_smaller(const struct pc_node *node, const struct pc_peer_id *id)
{
    struct pc_bytes own = pc_addr_peer_id_bytes(&node->options.own_id);
    struct pc_bytes other = pc_addr_peer_id_bytes(id);
    size_t size = own.size < other.size ? own.size : other.size;
    int order = memcmp(own.data, other.data, size);
    return order != 0 ? order < 0 : own.size < other.size;
}

/* Whether the newer of two of one peer survives. */
static bool newer_survives(const struct pc_node *node, const struct connection *older,
                           const struct connection *newer)
{
    bool at_once = is_ours(older) != is_ours(newer) &&
                   pc_base_time_sub(node->now.mono_us, older->opened_us) < PC_JOIN_DIAL_TIMEOUT_US;
    return !at_once || is_ours(newer) == we_are_smaller(node, &newer->id);
}

static void list_double(struct pc_node *node, struct connection *connection)
{
    struct pc_node_pool *pool = &node->pool;
    connection->is_double = true;
    connection->double_until_us = pc_base_time_add(node->now.mono_us, PC_POOL_DOUBLE_US);
    connection->double_previous = pool->double_last;
    connection->double_next = NULL;
    if (pool->double_last)
        pool->double_last->double_next = connection;
    else
        pool->double_first = connection;
    pool->double_last = connection;
}

static void unlist_double(struct pc_node *node, struct connection *connection)
{
    struct pc_node_pool *pool = &node->pool;
    if (!connection->is_double)
        return;
    connection->is_double = false;
    if (connection->double_previous)
        connection->double_previous->double_next = connection->double_next;
    else
        pool->double_first = connection->double_next;
    if (connection->double_next)
        connection->double_next->double_previous = connection->double_previous;
    else
        pool->double_last = connection->double_previous;
}

static void close_double(struct pc_node *node, struct connection *connection)
{
    unlist_double(node, connection);
    node->pool.doubles++;
    pc_node_connection_cancel(node, connection);
}

/* Another connection of its peer is used from now on. */
static void retire(struct pc_node *node, struct connection *connection)
{
    list_double(node, connection);
    if (is_ours(connection) && connection->request_count == 0)
        close_double(node, connection);
}

void pc_node_pool_opened(struct pc_node *node, struct connection *connection)
{
    connection->opened_us = node->now.mono_us;
    connection->used_us = node->now.mono_us;
    node->pool.open_count++;
    node->pool.changed = true;
    struct connection *head = head_of(node, &connection->id);
    if (connection->cancelled) {
        node->pool.closing++;
    } else if (!head) {
        connection->indexed = pc_base_map_insert(&node->open_by_id, &connection->by_id) == 0;
    } else if (newer_survives(node, head, connection)) {
        pc_base_map_replace(&node->open_by_id, &head->by_id, &connection->by_id);
        head->indexed = false;
        connection->indexed = true;
        connection->sibling = head;
        retire(node, head);
    } else {
        connection->sibling = head->sibling;
        head->sibling = connection;
        list_double(node,
                    connection); /* who dialled may still ask over it what he wanted: the pump closes it */
        node->pool.has_new_double = true;
    }
}

/* The peer's connection goes: the newest other one takes its place. */
static void hand_over(struct pc_node *node, struct connection *connection)
{
    struct connection *heir = connection->sibling;
    connection->indexed = false;
    while (heir && heir->cancelled)
        heir = heir->sibling;
    if (!heir) {
        pc_base_map_remove(&node->open_by_id, &connection->by_id);
        return;
    }
    pc_base_map_replace(&node->open_by_id, &connection->by_id, &heir->by_id);
    heir->indexed = true;
    unlist_double(node, heir);
    node->pool.changed = true;
}

static void unlink_sibling(struct pc_node *node, const struct connection *connection)
{
    struct connection *before = head_of(node, &connection->id);
    while (before && before->sibling != connection)
        before = before->sibling; /* at most what one peer may have of connections */
    if (before)
        before->sibling = connection->sibling;
}

void pc_node_pool_gone(struct pc_node *node, struct connection *connection)
{
    struct pc_node_pool *pool = &node->pool;
    if (!connection->open)
        return;
    pool->open_count--;
    pool->changed |= connection->is_neighbour;
    if (connection->cancelled)
        pool->closing--;
    unlist_double(node, connection);
    if (connection->indexed)
        hand_over(node, connection);
    else
        unlink_sibling(node, connection);
}

void pc_node_pool_request_ended(struct pc_node *node, struct connection *connection)
{
    if (connection->is_double && is_ours(connection) && connection->request_count == 0)
        close_double(node, connection);
}

/* Those that were given their time, and those of ours over which nothing was asked. */
static void close_doubles(struct pc_node *node)
{
    struct pc_node_pool *pool = &node->pool;
    while (pool->double_first && pool->double_first->double_until_us <= node->now.mono_us)
        close_double(node, pool->double_first);
    if (!pool->has_new_double)
        return;
    pool->has_new_double = false;
    for (struct connection *c = pool->double_first, *next; c; c = next) {
        next = c->double_next;
        pc_node_pool_request_ended(node, c);
    }
}

/* ----- the marks ----- */

/* In the order in which they are closed. */
enum worth {
    OF_NOBODY,
    OF_NEWCOMER, /* of nobody, and just opened: it has a moment to ask for what it came for */
    OF_MEMBER,
    OF_NEIGHBOUR,
};

struct closable {
    struct connection *connection;
    struct pc_netgroup group;
    enum worth worth;
    unsigned fellows; /* of its group and worth, how many were used later */
};

static int by_group(const void *left, const void *right)
{
    const struct closable *a = left, *b = right;
    if (a->worth != b->worth)
        return a->worth < b->worth ? -1 : 1;
    int order = memcmp(a->group.bytes, b->group.bytes, sizeof(a->group.bytes));
    if (order != 0)
        return order;
    if (a->connection->used_us != b->connection->used_us)
        return a->connection->used_us > b->connection->used_us ? -1 : 1;
    return a->connection->number > b->connection->number ? -1 : 1;
}

/* The first to be closed first. */
static int by_value(const void *left, const void *right)
{
    const struct closable *a = left, *b = right;
    if (a->worth != b->worth)
        return a->worth < b->worth ? -1 : 1;
    if (a->fellows != b->fellows)
        return a->fellows > b->fellows ? -1 : 1;
    if (a->connection->used_us != b->connection->used_us)
        return a->connection->used_us < b->connection->used_us ? -1 : 1;
    return a->connection->number < b->connection->number ? -1 : 1;
}

static enum worth worth_of(const struct pc_node *node, const struct connection *connection)
{
    if (connection->is_neighbour)
        return OF_NEIGHBOUR;
    if (pc_kad_table_find(node->table, &connection->id))
        return OF_MEMBER;
    return pc_base_time_sub(node->now.mono_us, connection->opened_us) < PC_POOL_GRACE_US ? OF_NEWCOMER
                                                                                         : OF_NOBODY;
}

static bool may_close(const struct connection *connection)
{
    return connection->open && !connection->cancelled && connection->request_count == 0 &&
           connection->purpose != FOR_PING;
}

/* All that may be closed, in no order. NULL: memory. */
static struct closable *collect(struct pc_node *node, size_t *ret_count)
{
    size_t count = 0;
    struct closable *all = malloc((node->pool.open_count + 1) * sizeof(*all));
    if (!all)
        return NULL;
    for (struct pc_map_node *n = pc_base_map_next(&node->connections, NULL); n;
         n = pc_base_map_next(&node->connections, n)) {
        struct connection *connection = PC_CONTAINER_OF(n, struct connection, by_number);
        if (may_close(connection))
            all[count++] = (struct closable){
                .connection = connection,
                .group = pc_addr_netgroup(pc_addr_maddr_bytes(&connection->addr), node->options.mode),
                .worth = worth_of(node, connection),
            };
    }
    *ret_count = count;
    return all;
}

static void trim(struct pc_node *node)
{
    struct pc_node_pool *pool = &node->pool;
    size_t open = pool->open_count - pool->closing;
    size_t count;
    if (open <= node->options.connections_high || node->now.mono_us < pool->trim_at_us)
        return;
    pool->trim_at_us = pc_base_time_add(node->now.mono_us, PC_POOL_TRIM_GAP_US);
    struct closable *all = collect(node, &count);
    if (!all) {
        pc_base_log(node->options.log, PC_LOG_ERROR, "node",
                    "out of memory: no connection is closed for another");
        return;
    }
    qsort(all, count, sizeof(*all), by_group);
    for (size_t i = 1; i < count; i++)
        if (all[i].worth == all[i - 1].worth && pc_addr_netgroup_equal(&all[i].group, &all[i - 1].group))
            all[i].fellows = all[i - 1].fellows + 1;
    qsort(all, count, sizeof(*all), by_value);
    for (size_t i = 0; i < count && open > node->options.connections_low; i++, open--) {
        pool->trimmed++;
        pc_node_connection_cancel(node, all[i].connection);
    }
    free(all);
}

/* ----- need ----- */

static bool is_among(const uint64_t *numbers, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

/* Whether it is that of a neighbour; of a server it is kept then. Who is in nobody's table loses nothing by dialling again. */
static void judge_need(struct pc_node *node, uint64_t number, bool is_neighbour)
{
    struct connection *connection = pc_node_connection_find(node, number);
    if (!connection)
        return;
    bool is_needed = is_neighbour && node->serves;
    connection->is_neighbour = is_neighbour;
    if (connection->is_kept == is_needed)
        return;
    connection->is_kept = is_needed;
    struct pc_node_action *action = pc_node_act(node, PC_NODE_KEEP);
    action->connection = number;
    action->keep = is_needed;
}

static void look_at_neighbours(struct pc_node *node)
{
    struct pc_node_pool *pool = &node->pool;
    const struct pc_kad_entry *closest[PC_KAD_K];
    uint64_t numbers[PC_KAD_K];
    size_t count = 0;
    if (!pool->changed || node->now.mono_us < pool->look_at_us)
        return;
    if (node->action_count + 2 * PC_KAD_K >= PC_NODE_ACTIONS_MAX) {
        node->unfinished = true;
        return;
    }
    pool->changed = false;
    pool->look_at_us = pc_base_time_add(node->now.mono_us, PC_POOL_KEEP_GAP_US);
    size_t found = pc_kad_table_closest(node->table, &pool->own_key, closest, PC_KAD_K);
    for (size_t i = 0; i < found; i++) {
        const struct connection *connection = pc_node_pool_find(node, &closest[i]->id);
        if (connection)
            numbers[count++] = connection->number;
    }
    for (size_t i = 0; i < pool->neighbour_count; i++)
        if (!is_among(numbers, count, pool->neighbours[i]))
            judge_need(node, pool->neighbours[i], false);
    for (size_t i = 0; i < count; i++)
        judge_need(node, numbers[i], true);
    memcpy(pool->neighbours, numbers, count * sizeof(numbers[0]));
    pool->neighbour_count = count;
}

/* ----- the pump ----- */

void pc_node_pool_pump(struct pc_node *node)
{
    close_doubles(node);
    trim(node);
    look_at_neighbours(node);
}

int64_t pc_node_pool_deadline(const struct pc_node *node)
{
    const struct pc_node_pool *pool = &node->pool;
    int64_t at_us = PC_TIME_NEVER;
    if (pool->double_first)
        at_us = pool->double_first->double_until_us;
    if (pool->open_count - pool->closing > node->options.connections_high)
        at_us = pc_base_time_min(at_us, pool->trim_at_us);
    return pool->changed ? pc_base_time_min(at_us, pool->look_at_us) : at_us;
}
