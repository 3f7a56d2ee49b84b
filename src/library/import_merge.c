#include "library/import_merge.h"

#include "base/time.h"
#include "cache/bucket.h"

#include <stdlib.h>

static struct pc_bytes key_of_node(const struct pc_map_node *node)
{
    const struct pc_library_batch_peer *peer =
        PC_CONST_CONTAINER_OF(node, struct pc_library_batch_peer, node);
    return pc_cache_key_bytes(&peer->key);
}

int pc_library_merge_init(struct pc_library_merge *merge, peercache *cache, bool trust)
{
    uint8_t secret[16];
    *merge = (struct pc_library_merge){ .cache = cache, .trust = trust };
    pc_base_rng_bytes(&cache->rng, secret, sizeof(secret));
    pc_base_map_init(&merge->by_key, key_of_node, secret);
    if (!trust || !cache->store || cache->read_only)
        return 0;
    merge->deltas = malloc(PC_CACHE_BATCH_MAX * sizeof(*merge->deltas));
    merge->peers = malloc(PC_CACHE_BATCH_MAX * sizeof(*merge->peers));
    return merge->deltas && merge->peers ? 0 : PEERCACHE_ENOMEM;
}

void pc_library_merge_deinit(struct pc_library_merge *merge)
{
    pc_base_map_deinit(&merge->by_key);
    free(merge->deltas);
    free(merge->peers);
}

static int take_record(void *context, const struct pc_record *record)
{
    *(struct pc_record *)context = *record;
    return 0;
}

/* What the cache knows of a peer, from memory or disk; without addresses when it is nothing. */
static int look_up(peercache *cache, const struct pc_peer_id *id, struct pc_bytes addr,
                   struct pc_record *ret_record)
{
    const struct pc_record *known =
        id->size ? pc_cache_set_find(cache->set, id) : pc_cache_set_find_addr(cache->set, addr);
    pc_cache_record_init(ret_record, id);
    if (known) {
        *ret_record = *known;
        return 0;
    }
    if (!cache->store)
        return 0;
    struct pc_store_query query = { .kind = PC_STORE_BY_ID, .id = *id };
    if (id->size == 0) {
        query.addr.size = (uint16_t)addr.size;
        memcpy(query.addr.bytes, addr.data, addr.size);
    }
    int result = pc_store_query(cache->store, &query, take_record, ret_record);
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

static uint32_t missing(uint32_t wanted, uint32_t known)
{
    return wanted > known ? wanted - known : 0;
}

/* What is missing of an address for its counts to be those of the document. */
static void delta_of(const struct pc_peer_id *id, const struct pc_record_addr *addr,
                     const struct pc_history *known, int64_t now_ms, struct pc_delta *ret_delta)
{
    struct pc_history *h = &ret_delta->history;
    pc_cache_delta_init(ret_delta, id, pc_addr_maddr_bytes(&addr->addr));
    *h = addr->history;
    h->last_seen_ms = h->last_seen_ms ? h->last_seen_ms : now_ms; /* a format without times: seen there now */
    ret_delta->trusted = true;
    ret_delta->source = addr->source;
    ret_delta->source_group = addr->source_group;
    ret_delta->first_seen_ms = addr->first_seen_ms ? addr->first_seen_ms : h->last_seen_ms;
    if (!known)
        return;
    h->success_count = missing(h->success_count, known->success_count);
    h->failure_count = missing(h->failure_count, known->failure_count);
    for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        h->failures[i] = missing(h->failures[i], known->failures[i]);
}

/* Nothing is tried that was never verified, whatever a document says. */
static peercache_state state_of(const struct pc_record *record, peercache_state wanted)
{
    return pc_cache_record_is_verified(record) ? wanted : PEERCACHE_NEW;
}

static int commit(struct pc_library_merge *merge)
{
    peercache *cache = merge->cache;
    if (merge->delta_count == 0)
        return 0;
    /* the number is used up also when it fails: nobody can tell whether it reached the disk */
    int result = pc_store_commit(cache->store, ++cache->sequence, merge->deltas, merge->delta_count,
                                 cache->now_ms, PC_STORE_LOCK_TIMEOUT_MS);
    for (size_t i = 0; i < merge->peer_count; i++)
        pc_base_map_remove(&merge->by_key, &merge->peers[i].node);
    merge->delta_count = merge->peer_count = 0;
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

/* The peer as it will be after the batch; taken into the batch. */
static int batch_peer(struct pc_library_merge *merge, const struct pc_peer_id *id, struct pc_bytes addr,
                      struct pc_record **ret_record)
{
    struct pc_library_batch_peer *peer = &merge->peers[merge->peer_count];
    pc_cache_key_of(id, addr, &peer->key);
    struct pc_map_node *node = pc_base_map_find(&merge->by_key, pc_cache_key_bytes(&peer->key));
    if (node) {
        *ret_record = &PC_CONTAINER_OF(node, struct pc_library_batch_peer, node)->record;
        return 0;
    }
    int result = look_up(merge->cache, id, addr, &peer->record);
    if (result == 0)
        result = pc_base_map_insert(&merge->by_key, &peer->node);
    if (result)
        return result;
    merge->peer_count++;
    *ret_record = &peer->record;
    return 0;
}

static int put_trusted_on_disk(struct pc_library_merge *merge, const struct pc_peer_id *id,
                               const struct pc_record_addr *addr, peercache_state state, bool *ret_known)
{
    struct pc_record *record = NULL;
    int result = merge->delta_count == PC_CACHE_BATCH_MAX ? commit(merge) : 0;
    if (result == 0)
        result = batch_peer(merge, id, pc_addr_maddr_bytes(&addr->addr), &record);
    if (result)
        return result;
    const struct pc_record_addr *known = pc_cache_record_find(record, pc_addr_maddr_bytes(&addr->addr));
    struct pc_delta *delta = &merge->deltas[merge->delta_count++];
    delta_of(id, addr, known ? &known->history : NULL, merge->cache->now_ms, delta);
    *ret_known = known != NULL;
    (void)pc_cache_record_apply(record, delta, merge->cache->now_ms); /* whether it changed is all one */
    delta->state = state_of(record, state);
    return 0;
}

static int put_trusted_in_memory(struct pc_library_merge *merge, struct pc_record *record,
                                 const struct pc_record_addr *known, const struct pc_record_addr *addr,
                                 peercache_state state)
{
    peercache *cache = merge->cache;
    struct pc_delta delta;
    bool was_tried = record->addr_count && record->state == PEERCACHE_TRIED;
    delta_of(&record->id, addr, known ? &known->history : NULL, cache->now_ms, &delta);
    (void)pc_cache_record_apply(record, &delta, cache->now_ms);
    record->state = state_of(record, was_tried ? PEERCACHE_TRIED : state);
    return pc_cache_set_load(cache->set, record, cache->now_ms);
}

int pc_library_merge_put(struct pc_library_merge *merge, const struct pc_peer_id *id,
                         const struct pc_record_addr *addr, peercache_state state, bool *ret_known)
{
    peercache *cache = merge->cache;
    struct pc_record record;
    const struct pc_bans *bans = pc_cache_set_bans(cache->set);
    if (pc_cache_bans_cover_id(bans, id) || pc_cache_bans_cover_addr(bans, pc_addr_maddr_bytes(&addr->addr)))
        return PEERCACHE_EPERM;
    if (merge->deltas)
        return put_trusted_on_disk(merge, id, addr, state, ret_known);
    int result = look_up(cache, id, pc_addr_maddr_bytes(&addr->addr), &record);
    if (result)
        return result;
    const struct pc_record_addr *known = pc_cache_record_find(&record, pc_addr_maddr_bytes(&addr->addr));
    *ret_known = known != NULL;
    if (cache->read_only)
        return 0;
    if (merge->trust)
        return put_trusted_in_memory(merge, &record, known, addr, state);
    result = pc_cache_set_add(cache->set, id, pc_addr_maddr_bytes(&addr->addr), false,
                              PEERCACHE_SOURCE_IMPORT, NULL, cache->now_ms, &cache->error);
    if (result == 0 && pc_cache_set_pending(cache->set) >= PC_CACHE_BATCH_MAX)
        result = peercache_flush(cache, PC_STORE_LOCK_TIMEOUT_MS);
    return result;
}

int pc_library_merge_finish(struct pc_library_merge *merge)
{
    if (!merge->deltas)
        return merge->cache->read_only ? 0 : peercache_flush(merge->cache, PC_STORE_LOCK_TIMEOUT_MS);
    int result = commit(merge);
    return result ? result : pc_library_load(merge->cache);
}
