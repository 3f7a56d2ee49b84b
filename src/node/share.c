/*
 * The best `count` of the working set in one walk: a heap keeps those found so far, the least of them first, and
 * a better one takes its place.
 */
#include "node/share.h"

#include "base/heap.h"
#include "node/internal.h"

#include <stdlib.h>

struct shared {
    struct pc_heap_node by_rank;
    struct pc_peer_id id;
};

/* Newest success first; those without one are behind all others, by when they were last seen. */
static int64_t rank_of(const struct pc_record *record)
{
    int64_t success_ms = 0, seen_ms = 0;
    for (size_t i = 0; i < record->addr_count; i++) {
        success_ms = pc_base_time_max(success_ms, record->addrs[i].history.last_success_ms);
        seen_ms = pc_base_time_max(seen_ms, record->addrs[i].history.last_seen_ms);
    }
    return success_ms > 0 ? success_ms : pc_base_time_sub(seen_ms, INT64_MAX);
}

static int put(struct pc_heap *heap, struct shared *shared, size_t room, size_t *count,
               const struct pc_record *record)
{
    int64_t rank = rank_of(record);
    struct shared *place;
    if (*count < room) {
        place = &shared[(*count)++];
        pc_base_heap_node_init(&place->by_rank);
    } else {
        place = PC_CONTAINER_OF(pc_base_heap_first(heap), struct shared, by_rank);
        if (place->by_rank.at >= rank)
            return 0;
    }
    place->id = record->id;
    return pc_base_heap_set(heap, &place->by_rank, rank);
}

/* The best of the set as ids, the best first. ENOMEM. */
static int choose(const struct pc_node *node, struct shared *shared, size_t room, struct pc_peer_id *ret_ids,
                  size_t *ret_count)
{
    struct pc_heap heap;
    size_t count = 0;
    int result = 0;
    pc_base_heap_init(&heap);
    for (const struct pc_record *record = pc_cache_set_next(node->set, NULL); record && result == 0;
         record = pc_cache_set_next(node->set, record))
        if (record->id.size > 0)
            result = put(&heap, shared, room, &count, record);
    for (size_t i = count; i > 0 && result == 0; i--) {
        struct pc_heap_node *least = pc_base_heap_first(&heap);
        ret_ids[i - 1] = PC_CONTAINER_OF(least, struct shared, by_rank)->id;
        pc_base_heap_remove(&heap, least);
    }
    pc_base_heap_deinit(&heap);
    *ret_count = count;
    return result;
}

/* Whether there is anything of ourselves to give. */
static bool own_record(const struct pc_node *node, struct pc_record *ret_record)
{
    struct pc_maddr addrs[PC_LIBP2P_LISTEN_ADDRS_MAX];
    size_t count;
    pc_cache_record_init(ret_record, &node->options.own_id);
    if (!pc_node_announcement(node, addrs, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct pc_record_addr own = { .source = PEERCACHE_SOURCE_FLAG };
        if (ret_record->addr_count == PEERCACHE_ADDRS_PER_PEER)
            break;
        if (pc_node_storable(node, pc_addr_maddr_bytes(&addrs[i]), &own.addr))
            continue;
        pc_cache_history_init(&own.history);
        ret_record->addrs[ret_record->addr_count++] = own;
    }
    return ret_record->addr_count > 0;
}

int pc_node_share(const struct pc_node *node, size_t count,
                  int (*visit)(void *context, const struct pc_record *record), void *context)
{
    struct pc_record own;
    int result = 0;
    size_t room = count < PC_NODE_SHARE_MAX ? count : PC_NODE_SHARE_MAX;
    if (room > 0 && own_record(node, &own)) {
        result = visit(context, &own);
        room--;
    }
    if (room == 0 || result != 0)
        return result;
    struct shared *shared = malloc(room * sizeof(*shared));
    struct pc_peer_id *ids = malloc(room * sizeof(*ids));
    size_t chosen = 0;
    if (!shared || !ids)
        result = PEERCACHE_ENOMEM;
    else
        result = choose(node, shared, room, ids, &chosen);
    for (size_t i = 0; i < chosen && result == 0; i++)
        result = visit(context, pc_cache_set_find(node->set, &ids[i]));
    free(ids);
    free(shared);
    return result;
}
