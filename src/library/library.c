/*
 * The public face of libpeercache: texts to values and back, and the way between working set and store. It
 * decides nothing of its own.
 *
 * The seed of all choices comes from the operating system (randombytes of libsodium) unless the options give
 * one; it also draws the writer id and the secret of a new file. The time comes from the calls only: it is
 * the latest that was given.
 */
#include "library/internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

const char *peercache_version(void)
{
    return PEERCACHE_VERSION;
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

int pc_library_refuse_unopened(peercache *cache)
{
    if (!cache)
        return PEERCACHE_EINVAL;
    return cache->set ? 0 : pc_library_fail(cache, PEERCACHE_ESTATE, "the cache is not open");
}

static int parse_addr(struct pc_reason *reason, const char *text, struct pc_maddr *ret_addr,
                      struct pc_peer_id *ret_id)
{
    uint8_t bytes[PC_MULTIADDR_MAX_BYTES];
    size_t size = 0;
    int result = pc_addr_multiaddr_parse(text, strlen(text), bytes, sizeof(bytes), &size, reason);
    if (result)
        return PEERCACHE_EPARSE;
    result = pc_addr_multiaddr_split(pc_bytes_of(bytes, size), ret_addr, ret_id);
    if (result)
        pc_base_reason(reason, "%.80s: %s", text, peercache_strerror(result));
    return result;
}

int pc_library_parse_peer(peercache *cache, const char *text, struct pc_peer_id *ret_id,
                          struct pc_maddr *ret_addr)
{
    struct pc_reason *reason = cache ? &cache->error : NULL;
    struct pc_maddr addr;
    ret_id->size = 0;
    ret_addr->size = 0;
    if (!text) {
        pc_base_reason(reason, "no peer id is given");
        return PEERCACHE_EINVAL;
    }
    if (text[0] != '/')
        return pc_addr_peer_id_parse(text, strlen(text), ret_id, reason);
    int result = parse_addr(reason, text, &addr, ret_id);
    if (result)
        return PEERCACHE_EPARSE;
    /* As it is kept; whether it may be is not asked. */
    if (addr.size && pc_addr_storable(pc_addr_maddr_bytes(&addr), PC_NETGROUP_LOCAL, true, ret_addr, NULL))
        *ret_addr = addr;
    return 0;
}

/* ---- Open and close ---- */

static int load_record(void *context, const struct pc_record *record)
{
    peercache *cache = context;
    int result = pc_cache_set_load(cache->set, record, cache->now_ms ? cache->now_ms : INT64_MAX);
    return result == PEERCACHE_ELIMIT ? 0 : result; /* full of better ones: it stays on disk */
}

static int load_best(peercache *cache, size_t count)
{
    const struct pc_store_query best = { .kind = PC_STORE_BEST, .count = count };
    int result = pc_store_query(cache->store, &best, load_record, cache);
    pc_cache_set_part(cache->set, cache->store->has_more);
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

static int open_store(peercache *cache, const char *path, const char *network)
{
    const peercache_options *options = &cache->options;
    struct pc_store_options store_options = {
        .network = network,
        .mode = cache->mode,
        .read_only = options->read_only,
        .no_create = options->no_create,
        .timeout_ms = PC_STORE_LOCK_TIMEOUT_MS,
        .peers_max = options->max_peers,
        .addrs_max = options->max_addrs,
        .record_max_bytes = options->max_record_bytes,
        .retention_ms = options->retention_ms,
    };
    pc_base_rng_bytes(&cache->rng, store_options.random, sizeof(store_options.random));
    /* Two that run under one seed are two writers all the same. */
    randombytes_buf(&store_options.writer_id, sizeof(store_options.writer_id));
    int result = pc_store_open(path, &store_options, &cache->store, &cache->error);
    if (result == 0)
        cache->read_only = cache->store->read_only;
    return result;
}

static int open_parts(peercache *cache, const char *path, const char *network)
{
    const peercache_options *options = &cache->options;
    struct pc_cache_set_options set_options = {
        .peers_max = options->max_peers,
        .addrs_max = options->max_addrs,
        .record_max_bytes = options->max_record_bytes,
        .source_limit = options->source_limit,
        .total_limit = options->total_limit,
        .memory_only = path == NULL,
        .count_at_once = true,
        .mode = cache->mode,
    };
    int result = path ? open_store(cache, path, network) : 0;
    if (result)
        return result;
    if (path)
        memcpy(set_options.secret, cache->store->secret, sizeof(set_options.secret));
    else
        pc_base_rng_bytes(&cache->rng, set_options.secret, sizeof(set_options.secret));
    struct pc_cache_set *set;
    result = pc_cache_set_new(&set_options, &set);
    if (result)
        return pc_library_fail(cache, result, "open");
    cache->set = set;
    if (!path)
        return 0;
    result = pc_library_load_bans(cache);
    if (result)
        result = pc_library_fail_in_store(cache, result);
    if (result == 0)
        result = load_best(cache, PC_LIBRARY_FIRST_LOAD);
    if (result) { /* the handle only tells why */
        pc_cache_set_free(cache->set);
        cache->set = NULL;
    }
    return result;
}

int peercache_open(const char *path, const char *network, const peercache_options *options,
                   peercache **ret_cache)
{
    uint8_t seed[PC_RNG_SEED_BYTES];
    if (!ret_cache)
        return PEERCACHE_EINVAL;
    peercache *cache = calloc(1, sizeof(*cache));
    *ret_cache = cache;
    if (!cache)
        return PEERCACHE_ENOMEM;
    peercache_options *defaults = options ? NULL : peercache_options_new();
    if (!options && !defaults)
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "open");
    cache->options = options ? *options : *defaults;
    peercache_options_free(defaults);
    if (sodium_init() < 0) {
        pc_base_reason(&cache->error, "the operating system gives no randomness");
        return PEERCACHE_ECRYPTO;
    }
    if (cache->options.has_seed)
        memcpy(seed, cache->options.seed, sizeof(seed));
    else
        randombytes_buf(seed, sizeof(seed));
    pc_base_rng_init(&cache->rng, seed);
    cache->mode = cache->options.local ? PC_NETGROUP_LOCAL : PC_NETGROUP_PUBLIC;
    cache->read_only = cache->options.read_only;
    if (!network || network[0] == '\0' || strlen(network) >= sizeof(cache->network))
        return pc_library_fail(cache, PEERCACHE_EINVAL, "the name of the network");
    memcpy(cache->network, network, strlen(network) + 1);
    return open_parts(cache, path, network);
}

void peercache_close(peercache *cache)
{
    if (!cache)
        return;
    if (cache->set && cache->store)
        (void)pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE); /* who wants to know flushes first */
    pc_cache_set_free(cache->set);
    pc_store_close(cache->store);
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
    return cache && cache->read_only;
}

/* ---- Learn ---- */

static int add(peercache *cache, const char *addr, peercache_source source,
               const struct pc_netgroup *source_group, peercache_time now)
{
    struct pc_maddr bare;
    struct pc_peer_id id;
    bool names_allowed = source == PEERCACHE_SOURCE_FLAG || source == PEERCACHE_SOURCE_ENV;
    int result = parse_addr(&cache->error, addr, &bare, &id);
    if (result)
        return result;
    if (cache->read_only)
        return pc_addr_storable(pc_addr_maddr_bytes(&bare), cache->mode, names_allowed, &bare, &cache->error);
    result = pc_cache_set_add(cache->set, &id, pc_addr_maddr_bytes(&bare), names_allowed, source,
                              source_group, pc_library_advance(cache, now), &cache->error);
    return result == PEERCACHE_ENOMEM ? pc_library_fail(cache, result, "add") : result;
}

int peercache_add(peercache *cache, const char *addr, peercache_source source, peercache_time now)
{
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!addr || (unsigned)source >= PEERCACHE_SOURCE_COUNT)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "add");
    return add(cache, addr, source, NULL, now);
}

int peercache_add_from(peercache *cache, const char *addr, peercache_source source, const char *teller,
                       peercache_time now)
{
    struct pc_maddr teller_addr;
    struct pc_peer_id ignored;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!addr || !teller || (unsigned)source >= PEERCACHE_SOURCE_COUNT)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "add");
    result = parse_addr(&cache->error, teller, &teller_addr, &ignored);
    if (result)
        return result;
    struct pc_netgroup group = pc_addr_netgroup(pc_addr_maddr_bytes(&teller_addr), cache->mode);
    return add(cache, addr, source, &group, now);
}

int peercache_candidate_parse(peercache *cache, const char *addr, peercache_candidate *ret_candidate)
{
    struct pc_maddr bare;
    struct pc_peer_id id;
    peercache_candidate candidate = { .state = PEERCACHE_NEW, .rtt_ms = -1 };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!addr || !ret_candidate)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "candidate");
    result = parse_addr(&cache->error, addr, &bare, &id);
    if (result)
        return result;
    if (pc_addr_multiaddr_format(pc_addr_maddr_bytes(&bare), candidate.addr, sizeof(candidate.addr), NULL))
        return pc_library_fail(cache, bare.size ? PEERCACHE_ELIMIT : PEERCACHE_EPARSE, addr);
    pc_addr_peer_id_format(&id, candidate.peer_id);
    *ret_candidate = candidate;
    return 0;
}

int peercache_report_more(peercache *cache, const peercache_candidate *candidate,
                          const peercache_outcome_report *report, peercache_time now)
{
    struct pc_maddr addr;
    struct pc_peer_id id = { .size = 0 }, proven = { .size = 0 };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!candidate || !report || (unsigned)report->outcome >= PEERCACHE_OUTCOME_COUNT || report->count == 0)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "report");
    if (pc_addr_maddr_parse(candidate->addr, strnlen(candidate->addr, sizeof(candidate->addr)), &addr,
                            &cache->error) ||
        (candidate->peer_id[0] &&
         pc_addr_peer_id_parse(candidate->peer_id, strnlen(candidate->peer_id, sizeof(candidate->peer_id)),
                               &id, &cache->error)))
        return PEERCACHE_EINVAL;
    if (report->proven_id &&
        pc_addr_peer_id_parse(report->proven_id, strlen(report->proven_id), &proven, &cache->error))
        return PEERCACHE_EPARSE;
    if (cache->read_only)
        return 0;
    int64_t rtt_us = (int64_t)report->rtt_ms * 1000;
    if (id.size)
        proven = id;
    const struct pc_cache_report all = {
        .outcome = report->outcome,
        .count = report->count,
        .unverified = report->unverified,
        .rtt_us =
            report->rtt_ms < 0 ? PC_RTT_UNKNOWN : (uint32_t)pc_base_time_min(rtt_us, PC_RTT_UNKNOWN - 1),
        .proven = proven.size ? &proven : NULL,
        .source = PEERCACHE_SOURCE_FLAG,
    };
    result = pc_cache_set_report_more(cache->set, &id, pc_addr_maddr_bytes(&addr), &all,
                                      pc_library_advance(cache, now));
    return result ? pc_library_fail(cache, result, candidate->addr) : 0;
}

int peercache_report(peercache *cache, const peercache_candidate *candidate, peercache_outcome outcome,
                     int32_t rtt_ms, peercache_time now)
{
    const peercache_outcome_report report = { outcome, 1, rtt_ms, false, NULL };
    return peercache_report_more(cache, candidate, &report, now);
}

/* ---- Pick ---- */

static int candidate_of(const struct pc_pick *pick, peercache_candidate *ret_candidate)
{
    int result = pc_addr_multiaddr_format(pc_addr_maddr_bytes(&pick->addr), ret_candidate->addr,
                                          sizeof(ret_candidate->addr), NULL);
    if (result)
        return result; /* too long in text to be handed out */
    pc_addr_peer_id_format(&pick->id, ret_candidate->peer_id);
    ret_candidate->state = pick->state;
    ret_candidate->score = pick->score;
    ret_candidate->rtt_ms = pick->rtt_us == PC_RTT_UNKNOWN ? -1 : (int32_t)(pick->rtt_us / 1000);
    return 0;
}

/* The randomness of a pick: the filter's own, or that of the cache. */
static struct pc_rng *rng_of(peercache *cache, const peercache_filter *filter, struct pc_rng *own)
{
    if (!filter || !filter->has_seed)
        return &cache->rng;
    pc_base_rng_init(own, filter->seed);
    return own;
}

int peercache_pick(peercache *cache, peercache_time now, const peercache_filter *filter,
                   peercache_candidate *ret_candidates, size_t count, size_t *ret_count)
{
    struct pc_rng own;
    size_t given = 0, picked = 0;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if ((count && !ret_candidates) || !ret_count)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "pick");
    count = count < PC_CACHE_PICK_MAX ? count : PC_CACHE_PICK_MAX;
    struct pc_pick *picks = count ? malloc(count * sizeof(*picks)) : NULL;
    if (count && !picks)
        return pc_library_fail(cache, PEERCACHE_ENOMEM, "pick");
    result =
        pc_cache_set_pick_filtered(cache->set, rng_of(cache, filter, &own), pc_library_advance(cache, now),
                                   filter ? &filter->filter : NULL, picks, count, &picked);
    for (size_t i = 0; i < picked && result == 0; i++)
        given += candidate_of(&picks[i], &ret_candidates[given]) == 0;
    free(picks);
    if (result)
        return pc_library_fail(cache, result, "pick");
    *ret_count = given;
    return 0;
}

struct explain {
    int (*visit)(void *context, const peercache_explanation *explanation);
    void *context;
};

static int visit_explanation(void *context, const struct pc_explanation *explanation)
{
    const struct explain *explain = context;
    peercache_explanation out;
    if (candidate_of(&explanation->pick, &out.candidate))
        return 0;
    out.chosen = explanation->chosen;
    static_assert(sizeof(out.why) >= sizeof(explanation->why.text), "a reason fits");
    memcpy(out.why, explanation->why.text, sizeof(explanation->why.text));
    return explain->visit(explain->context, &out);
}

int peercache_explain(peercache *cache, peercache_time now, const peercache_filter *filter, size_t count,
                      int (*visit)(void *context, const peercache_explanation *explanation), void *context)
{
    struct explain explain = { visit, context };
    struct pc_rng own;
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!visit)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "explain");
    result = pc_cache_set_explain(cache->set, rng_of(cache, filter, &own), pc_library_advance(cache, now),
                                  filter ? &filter->filter : NULL, count, visit_explanation, &explain);
    return result == PEERCACHE_ENOMEM ? pc_library_fail(cache, result, "explain") : result;
}

/* ---- Keep ---- */

static int keep_record(void *context, const struct pc_record *record)
{
    *(struct pc_record *)context = *record;
    return 1;
}

int pc_library_load_one(peercache *cache, const struct pc_peer_id *id, const struct pc_maddr *addr,
                        struct pc_record *ret_record)
{
    struct pc_store_query query = { .kind = PC_STORE_BY_ID, .id = *id };
    const struct pc_record *known;
    if (!id->size)
        query.addr = *addr;
    if (cache->store) {
        int result = pc_store_query(cache->store, &query, keep_record, ret_record);
        if (result < 0)
            return pc_library_fail_in_store(cache, result);
        if (result == 1) {
            result = load_record(cache, ret_record);
            if (result)
                return pc_library_fail(cache, result, "load");
        }
        known = id->size ? pc_cache_set_find(cache->set, id)
                         : pc_cache_set_find_addr(cache->set, pc_addr_maddr_bytes(addr));
        if (known)
            *ret_record = *known; /* with what is pending laid over it */
        return known || result == 1 ? 0 : PEERCACHE_ENOTFOUND;
    }
    known = id->size ? pc_cache_set_find(cache->set, id)
                     : pc_cache_set_find_addr(cache->set, pc_addr_maddr_bytes(addr));
    if (!known)
        return PEERCACHE_ENOTFOUND;
    *ret_record = *known;
    return 0;
}

static int fail_late(peercache *cache)
{
    pc_base_reason(&cache->error, "the time was over before all was written: %zu news are still pending",
                   pc_cache_set_pending(cache->set));
    return PEERCACHE_EBUSY;
}

int pc_library_commit(peercache *cache, int64_t deadline_us)
{
    const bool has_deadline = deadline_us != PC_LIBRARY_NO_DEADLINE;
    const struct pc_delta *deltas;
    for (bool is_first = true; cache->store && pc_cache_set_pending(cache->set); is_first = false) {
        uint32_t left_ms = has_deadline ? pc_store_left_ms(deadline_us) : PC_STORE_LOCK_TIMEOUT_MS;
        if (left_ms == 0 && !is_first)
            return fail_late(cache);
        size_t count = pc_cache_set_take(cache->set, &deltas, PC_CACHE_BATCH_MAX);
        if (count == 0)
            return pc_library_fail(cache, PEERCACHE_ENOMEM, "flush");
        int result =
            pc_store_commit(cache->store, cache->sequence + 1, deltas, count, cache->now_ms, left_ms);
        (void)pc_cache_set_settle(cache->set, result == 0); /* a batch is out: can't fail */
        if (result)
            return pc_library_fail_in_store(cache, result);
        cache->sequence++;
    }
    return 0;
}

int peercache_flush(peercache *cache, uint32_t timeout_ms)
{
    const int64_t deadline_us = pc_store_deadline_us(timeout_ms);
    int result = pc_library_refuse_unopened(cache);
    if (result == 0)
        result = pc_library_commit(cache, deadline_us);
    return result ? result : pc_library_prune_on_schedule(cache, deadline_us);
}

int peercache_refresh(peercache *cache)
{
    static const struct pc_store_query changed = { .kind = PC_STORE_CHANGED };
    int result = pc_library_refuse_unopened(cache);
    if (result || !cache->store)
        return result;
    result = pc_library_load_bans(cache);
    if (result == 0)
        result = pc_store_query(cache->store, &changed, load_record, cache);
    if (result)
        return pc_library_fail_in_store(cache, result);
    size_t most = cache->options.max_peers < PC_CACHE_SET_DEFAULT_PEERS ? cache->options.max_peers
                                                                        : PC_CACHE_SET_DEFAULT_PEERS;
    size_t in_memory = pc_cache_set_count(cache->set);
    if (!cache->store->has_more || in_memory >= most)
        return 0;
    return load_best(cache, 2 * in_memory + PC_LIBRARY_LOAD_STEP);
}

int peercache_check(peercache *cache, bool repair, peercache_time now)
{
    int result = pc_library_refuse_unopened(cache);
    if (result || !cache->store)
        return result;
    (void)pc_library_advance(cache, now);
    result = pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE);
    if (result && result != PEERCACHE_ECORRUPT)
        return result;
    cache->error.text[0] = '\0';
    result = pc_store_check(cache->store);
    if (result == 0)
        return 0;
    if (result != PEERCACHE_ECORRUPT || !repair)
        return pc_library_fail_in_store(cache, result);
    result = pc_store_repair(cache->store, PC_STORE_LOCK_TIMEOUT_MS);
    if (result)
        return pc_library_fail_in_store(cache, result);
    cache->error = cache->store->warning;
    return 0;
}
