/* Looking at the cache: one peer, all of them, counts. */
#include "library/internal.h"

#include "cache/bucket.h"

#include <stdlib.h>

#define FIRST_GROUPS 1024

static int32_t rtt_ms_of(uint32_t rtt_us)
{
    return rtt_us == PC_RTT_UNKNOWN ? -1 : (int32_t)(rtt_us / 1000);
}

bool pc_library_peer_of(const peercache *cache, const struct pc_record *record, peercache_peer *ret_peer)
{
    struct pc_record visible = *record;
    uint64_t successes = 0, failures = 0;
    if (!pc_cache_bans_filter(pc_cache_set_bans(cache->set), &visible))
        return false;
    pc_addr_peer_id_format(&visible.id, ret_peer->id);
    ret_peer->state = visible.state;
    ret_peer->addr_count = 0;
    for (size_t i = 0; i < visible.addr_count; i++) {
        const struct pc_history *history = &visible.addrs[i].history;
        peercache_addr *addr = &ret_peer->addrs[ret_peer->addr_count];
        successes += history->success_count;
        failures += history->failure_count;
        if (pc_addr_multiaddr_format(pc_addr_maddr_bytes(&visible.addrs[i].addr), addr->addr,
                                     sizeof(addr->addr), NULL))
            continue; /* too long in text to be handed out */
        addr->success_count = history->success_count;
        addr->failure_count = history->failure_count;
        memcpy(addr->failures, history->failures, sizeof(addr->failures));
        addr->first_seen_ms = visible.addrs[i].first_seen_ms;
        addr->last_seen_ms = history->last_seen_ms;
        addr->last_success_ms = history->last_success_ms;
        addr->last_attempt_ms = history->last_attempt_ms;
        addr->rtt_ms = rtt_ms_of(history->rtt_us);
        addr->rtt_at_ms = history->rtt_at_ms;
        addr->score = pc_cache_score(history, pc_base_time_max(cache->now_ms, history->last_seen_ms));
        addr->learned_from = visible.addrs[i].source;
        ret_peer->addr_count++;
    }
    ret_peer->reliable = successes > failures;
    return true;
}

/* A place in the order: ids by their bytes, then those known by address only. */
struct place {
    struct pc_peer_id id;
    struct pc_maddr addr;
};

static int compare_bytes(struct pc_bytes a, struct pc_bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if ((x->id.size == 0) != (y->id.size == 0))
        return x->id.size == 0 ? 1 : -1;
    if (x->id.size)
        return compare_bytes(pc_addr_peer_id_bytes(&x->id), pc_addr_peer_id_bytes(&y->id));
    return compare_bytes(pc_addr_maddr_bytes(&x->addr), pc_addr_maddr_bytes(&y->addr));
}

static int visit_memory(peercache *cache, pc_store_visit visit, void *context)
{
    size_t count = 0;
    int result = 0;
    struct place *places = calloc(pc_cache_set_count(cache->set) + 1, sizeof(*places));
    if (!places)
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "iterate");
    for (const struct pc_record *r = pc_cache_set_next(cache->set, NULL); r;
         r = pc_cache_set_next(cache->set, r))
        places[count++] = (struct place){ .id = r->id, .addr = r->addrs[0].addr };
    qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct pc_record *record =
            places[i].id.size ? pc_cache_set_find(cache->set, &places[i].id)
                              : pc_cache_set_find_addr(cache->set, pc_addr_maddr_bytes(&places[i].addr));
        result = visit(context, record);
    }
    free(places);
    return result;
}

int pc_library_visit_all(peercache *cache, pc_store_visit visit, void *context)
{
    static const struct pc_store_query all = { .kind = PC_STORE_ALL };
    if (!cache->store)
        return visit_memory(cache, visit, context);
    int result = pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE);
    if (result)
        return result;
    result = pc_store_query(cache->store, &all, visit, context);
    cache->error = cache->store->error;
    return result;
}

struct visit {
    const peercache *cache;
    int (*visit)(void *context, const peercache_peer *peer);
    void *context;
};

static int visit_record(void *context, const struct pc_record *record)
{
    const struct visit *visit = context;
    peercache_peer peer;
    return pc_library_peer_of(visit->cache, record, &peer) ? visit->visit(visit->context, &peer) : 0;
}

int peercache_iterate(peercache *cache, int (*visit)(void *context, const peercache_peer *peer),
                      void *context)
{
    struct visit each = { cache, visit, context };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    return visit ? pc_library_visit_all(cache, visit_record, &each)
                 : pc_library_fail(cache, PEERCACHE_EINVAL, "iterate");
}

int peercache_find(peercache *cache, const char *peer_id_or_addr, peercache_peer *ret_peer)
{
    struct pc_peer_id id;
    struct pc_maddr addr;
    struct pc_record record;
    int result = pc_library_refuse_unopened(cache);
    if (result == 0 && !ret_peer)
        result = pc_library_fail(cache, PEERCACHE_EINVAL, "find");
    if (result == 0)
        result = pc_library_parse_peer(cache, peer_id_or_addr, &id, &addr);
    if (result == 0)
        result = pc_library_load_one(cache, &id, &addr, &record);
    if (result == 0 && !pc_library_peer_of(cache, &record, ret_peer))
        result = PEERCACHE_ENOTFOUND;
    return result == PEERCACHE_ENOTFOUND ? pc_library_fail(cache, result, peer_id_or_addr) : result;
}

/* ---- Counts ---- */

struct counting {
    const peercache *cache;
    peercache_stats stats;
    uint64_t *groups; /* their hashes, open addressing, at most half full; 0: free */
    size_t slots;
};

static int count_group(struct counting *counting, uint64_t hash)
{
    hash = hash ? hash : 1;
    if (2 * counting->stats.groups >= counting->slots) {
        size_t slots = counting->slots ? 2 * counting->slots : FIRST_GROUPS;
        uint64_t *groups = calloc(slots, sizeof(*groups));
        if (!groups)
            return PEERCACHE_ENOMEM;
        for (size_t i = 0; i < counting->slots; i++) {
            size_t at = counting->groups[i] & (slots - 1);
            while (counting->groups[i] && groups[at])
                at = (at + 1) & (slots - 1);
            if (counting->groups[i])
                groups[at] = counting->groups[i];
        }
        free(counting->groups);
        counting->groups = groups;
        counting->slots = slots;
    }
    size_t at = hash & (counting->slots - 1);
    while (counting->groups[at] && counting->groups[at] != hash)
        at = (at + 1) & (counting->slots - 1);
    counting->stats.groups += counting->groups[at] == 0;
    counting->groups[at] = hash;
    return 0;
}

static int count_record(void *context, const struct pc_record *record)
{
    static const uint8_t secret[16];
    struct counting *counting = context;
    struct pc_record visible = *record;
    uint64_t successes = 0, failures = 0;
    int result = 0;
    if (!pc_cache_bans_filter(pc_cache_set_bans(counting->cache->set), &visible))
        return 0;
    for (size_t i = 0; i < visible.addr_count && result == 0; i++) {
        const struct pc_history *h = &visible.addrs[i].history;
        struct pc_netgroup group =
            pc_addr_netgroup(pc_addr_maddr_bytes(&visible.addrs[i].addr), counting->cache->mode);
        int64_t latest_ms =
            pc_base_time_max(pc_base_time_max(h->last_seen_ms, h->last_success_ms), h->last_attempt_ms);
        counting->stats.last_updated_ms = pc_base_time_max(counting->stats.last_updated_ms, latest_ms);
        successes += h->success_count;
        failures += h->failure_count;
        if (group.size)
            result = count_group(counting, pc_cache_hash_group(secret, &group));
    }
    counting->stats.peers++;
    counting->stats.addresses += visible.addr_count;
    counting->stats.reliable += successes > failures;
    *(visible.state == PEERCACHE_TRIED ? &counting->stats.tried_peers : &counting->stats.new_peers) += 1;
    return result;
}

int peercache_get_stats(peercache *cache, peercache_stats *ret_stats)
{
    struct counting counting = { .cache = cache };
    int result = pc_library_refuse_unopened(cache);
    if (result == 0 && !ret_stats)
        result = pc_library_fail(cache, PEERCACHE_EINVAL, "stats");
    if (result)
        return result;
    result = pc_library_visit_all(cache, count_record, &counting);
    free(counting.groups);
    if (result)
        return result == PEERCACHE_ENOMEM ? pc_library_fail(cache, result, "stats") : result;
    counting.stats.banned = pc_cache_set_bans(cache->set)->count;
    counting.stats.in_memory = pc_cache_set_count(cache->set);
    counting.stats.pending = pc_cache_set_pending(cache->set);
    counting.stats.size_bytes = cache->store ? pc_store_size_bytes(cache->store) : 0;
    counting.stats.store = cache->store ? cache->store->ops->name : "memory";
    *ret_stats = counting.stats;
    return 0;
}
