/*
 * The public face of libpeercache: texts to values and back, and the way between working set and store. It
 * decides nothing of its own.
 *
 * The seed of all choices comes from the operating system (randombytes of libsodium) unless the options give
 * one; it also draws the writer id and the secret of a new file. The time comes from the calls only: it is
 * the latest that was given.
 */
#include "library/handle.h"

#include "base/time.h"

#include <sodium.h>
#include <stdlib.h>

#define MAX_PEERS_LIMIT  10000000
#define CLOSE_TIMEOUT_MS 5000

struct peercache_options {
    bool local;
    bool read_only;
    bool has_seed;
    uint32_t max_peers;
    uint8_t seed[PC_RNG_SEED_BYTES];
};

const char *peercache_version(void)
{
    return PEERCACHE_VERSION;
}

peercache_options *peercache_options_new(void)
{
    peercache_options *options = calloc(1, sizeof(*options));
    if (options)
        options->max_peers = PC_CACHE_SET_DEFAULT_PEERS;
    return options;
}

void peercache_options_free(peercache_options *options)
{
    free(options);
}

void peercache_options_set_local(peercache_options *options, bool local)
{
    options->local = local;
}

void peercache_options_set_read_only(peercache_options *options, bool read_only)
{
    options->read_only = read_only;
}

int peercache_options_set_max_peers(peercache_options *options, uint32_t max_peers)
{
    if (max_peers == 0 || max_peers > MAX_PEERS_LIMIT)
        return PEERCACHE_EINVAL;
    options->max_peers = max_peers;
    return 0;
}

void peercache_options_set_seed(peercache_options *options, const uint8_t seed[32])
{
    memcpy(options->seed, seed, sizeof(options->seed));
    options->has_seed = true;
}

int pc_library_fail(peercache *cache, int result, const char *what)
{
    pc_base_reason(&cache->error, "%s: %s", what, peercache_strerror(result));
    return result;
}

int pc_library_fail_in_store(peercache *cache, int result)
{
    cache->error = cache->store->error;
    return result;
}

int64_t pc_library_advance(peercache *cache, peercache_time now)
{
    cache->now_ms = pc_base_time_max(cache->now_ms, now.wall_ms);
    return cache->now_ms;
}

static int load_record(void *context, const struct pc_record *record)
{
    peercache *cache = context;
    int result = pc_cache_set_load(cache->set, record, cache->now_ms ? cache->now_ms : INT64_MAX);
    return result == PEERCACHE_ELIMIT ? 0 : result; /* full of better ones: it stays on disk */
}

int pc_library_load(peercache *cache)
{
    const struct pc_store_query best = { .kind = PC_STORE_BEST, .count = cache->peers_max };
    if (!cache->store)
        return 0;
    int result = pc_store_query(cache->store, &best, load_record, cache);
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

static int open_parts(peercache *cache, const char *path, const char *network,
                      const peercache_options *options)
{
    struct pc_cache_set_options set_options = {
        .peers_max = options->max_peers,
        .memory_only = path == NULL,
        .count_at_once = true,
        .mode = cache->mode,
    };
    int result;
    if (path) {
        struct pc_store_options store_options = {
            .network = network,
            .mode = cache->mode,
            .read_only = options->read_only,
            .timeout_ms = PC_STORE_LOCK_TIMEOUT_MS,
        };
        pc_base_rng_bytes(&cache->rng, store_options.random, sizeof(store_options.random));
        /* Two that run under one seed are two writers all the same. */
        randombytes_buf(&store_options.writer_id, sizeof(store_options.writer_id));
        result = pc_store_open(path, &store_options, &cache->store, &cache->error);
        if (result)
            return result;
        cache->read_only = cache->store->read_only;
        memcpy(set_options.secret, cache->store->secret, sizeof(set_options.secret));
    } else {
        pc_base_rng_bytes(&cache->rng, set_options.secret, sizeof(set_options.secret));
    }
    result = pc_cache_set_new(&set_options, &cache->set);
    if (result)
        return pc_library_fail(cache, result, "open");
    cache->peers_max = options->max_peers;
    return pc_library_load(cache);
}

int peercache_open(const char *path, const char *network, const peercache_options *options,
                   peercache **ret_cache)
{
    static const peercache_options defaults = { .max_peers = PC_CACHE_SET_DEFAULT_PEERS };
    uint8_t seed[PC_RNG_SEED_BYTES];
    peercache *cache = calloc(1, sizeof(*cache));
    *ret_cache = cache;
    if (!cache)
        return PEERCACHE_ENOMEM;
    options = options ? options : &defaults;
    if (sodium_init() < 0) {
        pc_base_reason(&cache->error, "the operating system gives no randomness");
        return PEERCACHE_ECRYPTO;
    }
    if (options->has_seed)
        memcpy(seed, options->seed, sizeof(seed));
    else
        randombytes_buf(seed, sizeof(seed));
    pc_base_rng_init(&cache->rng, seed);
    cache->mode = options->local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC;
    cache->read_only = options->read_only;
    if (!network || network[0] == '\0')
        return pc_library_fail(cache, PEERCACHE_EINVAL, "the network has no name");
    cache->network = strdup(network);
    if (!cache->network)
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "open");
    return open_parts(cache, path, network, options);
}

void peercache_close(peercache *cache)
{
    if (!cache)
        return;
    if (cache->set && cache->store)
        (void)peercache_flush(cache, CLOSE_TIMEOUT_MS); /* who wants to know flushes first */
    pc_cache_set_free(cache->set);
    pc_store_close(cache->store);
    free(cache->network);
    free(cache);
}

const char *peercache_errmsg(const peercache *cache)
{
    return cache ? cache->error.text : "";
}

const char *peercache_warning(const peercache *cache)
{
    return cache && cache->store && cache->store->warning.text[0] ? cache->store->warning.text : NULL;
}

bool peercache_is_read_only(const peercache *cache)
{
    return cache->read_only;
}

int pc_library_refuse_unopened(peercache *cache)
{
    return cache->set ? 0 : pc_library_fail(cache, PEERCACHE_ESTATE, "the cache is not open");
}

int peercache_add(peercache *cache, const char *addr, peercache_source source, peercache_time now)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size = 0;
    struct pc_maddr bare;
    struct pc_peer_id id;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!addr || (unsigned)source >= PEERCACHE_SOURCE_COUNT)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "add");
    result = pc_addr_multiaddr_parse(addr, strlen(addr), bytes, sizeof(bytes), &size, &cache->error);
    if (result)
        return PEERCACHE_EPARSE;
    result = pc_addr_multiaddr_split(pc_bytes_of(bytes, size), &bare, &id);
    if (result)
        return pc_library_fail(cache, result, addr);
    if (cache->read_only)
        return pc_addr_storable(pc_addr_maddr_bytes(&bare), cache->mode, false, &bare, &cache->error);
    result = pc_cache_set_add(cache->set, &id, pc_addr_maddr_bytes(&bare), false, source, NULL,
                              pc_library_advance(cache, now), &cache->error);
    return result == PEERCACHE_ENOMEM ? pc_library_fail(cache, result, "add") : result;
}

int peercache_pick(peercache *cache, peercache_time now, const peercache_filter *filter,
                   peercache_candidate *ret_candidates, size_t count, size_t *ret_count)
{
    size_t given = 0;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    (void)filter; /* nobody can make one yet */
    if (count > PC_CACHE_PICK_MAX)
        count = PC_CACHE_PICK_MAX;
    struct pc_pick *picks = count ? malloc(count * sizeof(*picks)) : NULL;
    if (count && !picks)
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "pick");
    size_t picked =
        pc_cache_set_pick(cache->set, &cache->rng, pc_library_advance(cache, now), false, picks, count);
    for (size_t i = 0; i < picked; i++) {
        peercache_candidate *candidate = &ret_candidates[given];
        if (pc_addr_multiaddr_format(pc_addr_maddr_bytes(&picks[i].addr), candidate->addr,
                                     sizeof(candidate->addr), NULL))
            continue; /* too long in text to be handed out */
        pc_addr_peer_id_format(&picks[i].id, candidate->peer_id);
        candidate->state = picks[i].state;
        candidate->score = picks[i].score;
        candidate->rtt_ms = picks[i].rtt_us == PC_RTT_UNKNOWN ? -1 : (int32_t)(picks[i].rtt_us / 1000);
        given++;
    }
    free(picks);
    *ret_count = given;
    return 0;
}

int peercache_report(peercache *cache, const peercache_candidate *candidate, peercache_outcome outcome,
                     int32_t rtt_ms, peercache_time now)
{
    struct pc_maddr addr;
    struct pc_peer_id id = { .size = 0 };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!candidate || (unsigned)outcome >= PEERCACHE_OUTCOME_COUNT)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "report");
    if (pc_addr_maddr_parse(candidate->addr, strnlen(candidate->addr, sizeof(candidate->addr)), &addr,
                            &cache->error) ||
        (candidate->peer_id[0] &&
         pc_addr_peer_id_parse(candidate->peer_id, strnlen(candidate->peer_id, sizeof(candidate->peer_id)),
                               &id, &cache->error)))
        return PEERCACHE_EINVAL;
    if (cache->read_only)
        return 0;
    uint32_t rtt_us =
        rtt_ms < 0 ? PC_RTT_UNKNOWN : (uint32_t)pc_base_time_min((int64_t)rtt_ms * 1000, PC_RTT_UNKNOWN - 1);
    result = pc_cache_set_report(cache->set, &id, pc_addr_maddr_bytes(&addr), outcome, id.size ? &id : NULL,
                                 rtt_us, PEERCACHE_SOURCE_FLAG, pc_library_advance(cache, now));
    return result ? pc_library_fail(cache, result, candidate->addr) : 0;
}

struct visit {
    int (*visit)(void *context, const peercache_peer *peer);
    void *context;
};

static int visit_record(void *context, const struct pc_record *record)
{
    const struct visit *visit = context;
    peercache_peer peer;
    pc_addr_peer_id_format(&record->id, peer.id);
    peer.state = record->state;
    peer.addr_count = 0;
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_history *history = &record->addrs[i].history;
        peercache_addr *addr = &peer.addrs[peer.addr_count];
        if (pc_addr_multiaddr_format(pc_addr_maddr_bytes(&record->addrs[i].addr), addr->addr,
                                     sizeof(addr->addr), NULL))
            continue; /* too long in text to be handed out */
        addr->success_count = history->success_count;
        addr->failure_count = history->failure_count;
        addr->last_seen_ms = history->last_seen_ms;
        addr->last_success_ms = history->last_success_ms;
        addr->last_attempt_ms = history->last_attempt_ms;
        addr->rtt_ms = history->rtt_us == PC_RTT_UNKNOWN ? -1 : (int32_t)(history->rtt_us / 1000);
        addr->learned_from = record->addrs[i].source;
        peer.addr_count++;
    }
    return visit->visit(visit->context, &peer);
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

static int walk_memory(peercache *cache, pc_store_visit visit, void *context)
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

int pc_library_walk(peercache *cache, pc_store_visit visit, void *context)
{
    static const struct pc_store_query all = { .kind = PC_STORE_ALL };
    if (!cache->store)
        return walk_memory(cache, visit, context);
    int result = peercache_flush(cache, PC_STORE_LOCK_TIMEOUT_MS);
    if (result)
        return result;
    result = pc_store_query(cache->store, &all, visit, context);
    cache->error = cache->store->error;
    return result;
}

int peercache_iterate(peercache *cache, int (*visit)(void *context, const peercache_peer *peer),
                      void *context)
{
    struct visit each = { visit, context };
    int result = pc_library_refuse_unopened(cache);
    return result ? result : pc_library_walk(cache, visit_record, &each);
}

static int find_any(void *context, const struct pc_record *record)
{
    (void)record;
    *(bool *)context = true;
    return 0;
}

int peercache_remove(peercache *cache, const char *peer_id, peercache_time now)
{
    struct pc_store_query query = { .kind = PC_STORE_BY_ID };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!peer_id || pc_addr_peer_id_parse(peer_id, strlen(peer_id), &query.id, &cache->error))
        return PEERCACHE_EPARSE;
    bool found = pc_cache_set_find(cache->set, &query.id) != NULL;
    if (!found && cache->store) {
        result = pc_store_query(cache->store, &query, find_any, &found);
        if (result)
            return pc_library_fail_in_store(cache, result);
    }
    if (!found)
        return pc_library_fail(cache, PEERCACHE_ENOTFOUND, peer_id);
    if (cache->read_only)
        return 0;
    result = pc_cache_set_remove(cache->set, &query.id, pc_library_advance(cache, now));
    if (result)
        return pc_library_fail(cache, result, peer_id);
    return peercache_flush(cache, PC_STORE_LOCK_TIMEOUT_MS);
}

int peercache_flush(peercache *cache, uint32_t timeout_ms)
{
    const struct pc_delta *deltas;
    size_t count;
    int result = pc_library_refuse_unopened(cache);
    if (result || !cache->store)
        return result;
    while ((count = pc_cache_set_take(cache->set, &deltas, PC_CACHE_BATCH_MAX))) {
        result = pc_store_commit(cache->store, cache->sequence + 1, deltas, count, cache->now_ms, timeout_ms);
        (void)pc_cache_set_settle(cache->set, result == 0); /* a batch is out: can't fail */
        if (result)
            return pc_library_fail_in_store(cache, result);
        cache->sequence++;
    }
    if (pc_cache_set_pending(cache->set))
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "flush");
    return 0;
}

int peercache_refresh(peercache *cache)
{
    static const struct pc_store_query changed = { .kind = PC_STORE_CHANGED };
    int result = pc_library_refuse_unopened(cache);
    if (result || !cache->store)
        return result;
    result = pc_store_query(cache->store, &changed, load_record, cache);
    return result ? pc_library_fail_in_store(cache, result) : 0;
}
