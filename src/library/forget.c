/*
 * Forgetting: remove, ban, prune.
 *
 * Prune walks the peers in the order of their keys, a chunk at a time. Keys are as good as random, so each chunk
 * is a fair sample of what is still ahead; of the surplus over the cap, each chunk gives its share, the least
 * standing first: new before tried, then by class and day.
 */
#include "library/internal.h"

#include "cache/prune.h"

#include <stdlib.h>

#define CHUNK          256
#define SCHEDULED_STEP 1024

int peercache_remove(peercache *cache, const char *peer_id_or_addr, peercache_time now)
{
    struct pc_peer_id id;
    struct pc_maddr addr;
    struct pc_record record;
    int result = pc_library_refuse_unopened(cache);
    if (result == 0)
        result = pc_library_parse_peer(cache, peer_id_or_addr, &id, &addr);
    if (result == 0)
        result = pc_library_load_one(cache, &id, &addr, &record);
    if (result == PEERCACHE_ENOTFOUND)
        return pc_library_fail(cache, result, peer_id_or_addr);
    if (result || cache->read_only)
        return result;
    result = pc_cache_set_remove_record(cache->set, &record, pc_library_advance(cache, now));
    return result ? pc_library_fail(cache, result, peer_id_or_addr)
                  : pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE);
}

/* ---- Bans ---- */

static int parse_ban(peercache *cache, const char *text, struct pc_ban *ret_ban)
{
    struct pc_reason reason = { "" };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (!text)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "ban");
    if (pc_cache_ban_parse(text, strlen(text), ret_ban, &reason) == 0)
        return 0;
    pc_base_reason(&cache->error, "%.80s: %s", text, reason.text);
    return PEERCACHE_EPARSE;
}

int peercache_ban(peercache *cache, const char *peer_id_or_cidr, peercache_time now)
{
    struct pc_ban ban;
    struct pc_peer_id id;
    struct pc_record record;
    int result = parse_ban(cache, peer_id_or_cidr, &ban);
    if (result || cache->read_only)
        return result;
    ban.since_ms = pc_base_time_max(pc_library_advance(cache, now), 1);
    if (cache->store) {
        result = pc_store_ban_put(cache->store, &ban, 1, PC_STORE_LOCK_TIMEOUT_MS);
        if (result)
            return pc_library_fail_in_store(cache, result);
    }
    if (pc_cache_ban_id(&ban, &id)) {
        result = pc_library_load_one(cache, &id, NULL, &record);
        if (result == 0)
            result = pc_cache_set_remove_record(cache->set, &record, cache->now_ms);
        if (result && result != PEERCACHE_ENOTFOUND)
            return result;
    }
    result = pc_cache_set_ban(cache->set, &ban, 1);
    return result ? pc_library_fail(cache, result, peer_id_or_cidr)
                  : pc_library_commit(cache, PC_LIBRARY_NO_DEADLINE);
}

int peercache_unban(peercache *cache, const char *peer_id_or_cidr)
{
    struct pc_ban ban;
    int result = parse_ban(cache, peer_id_or_cidr, &ban);
    if (result || cache->read_only)
        return result;
    if (cache->store)
        result = pc_store_ban_put(cache->store, &ban, 1, PC_STORE_LOCK_TIMEOUT_MS); /* its since_ms is 0 */
    if (result)
        return pc_library_fail_in_store(cache, result);
    result = pc_cache_set_unban(cache->set, &ban);
    if (result && !cache->store)
        return pc_library_fail(cache, result, peer_id_or_cidr);
    return 0; /* a ban that another process made: it was not in memory yet */
}

static int collect_ban(void *context, const struct pc_ban *ban)
{
    return pc_cache_bans_add(context, ban);
}

int pc_library_load_bans(peercache *cache)
{
    struct pc_bans stored;
    pc_cache_bans_init(&stored);
    int result = pc_store_bans(cache->store, collect_ban, &stored);
    const struct pc_bans *known = pc_cache_set_bans(cache->set);
    for (size_t i = known->count; i-- > 0 && result == 0;) { /* lifted by others */
        struct pc_ban ban = known->bans[i];
        if (!pc_cache_bans_has(&stored, &ban))
            result = pc_cache_set_unban(cache->set, &ban);
    }
    size_t fresh = 0;
    for (size_t i = 0; i < stored.count; i++)
        if (!pc_cache_bans_has(known, &stored.bans[i]))
            stored.bans[fresh++] = stored.bans[i];
    if (result == 0 && fresh)
        result = pc_cache_set_ban(cache->set, stored.bans, fresh);
    pc_cache_bans_deinit(&stored);
    return result;
}

int peercache_bans(peercache *cache,
                   int (*visit)(void *context, const char *peer_id_or_cidr, int64_t since_ms), void *context)
{
    char text[PC_CACHE_BAN_TEXT_BYTES];
    int result = pc_library_refuse_unopened(cache);
    if (result == 0 && !visit)
        result = pc_library_fail(cache, PEERCACHE_EINVAL, "bans");
    if (result == 0 && cache->store) {
        result = pc_library_load_bans(cache);
        if (result)
            return pc_library_fail_in_store(cache, result);
    }
    const struct pc_bans *bans = result ? NULL : pc_cache_set_bans(cache->set);
    for (size_t i = 0; bans && i < bans->count && result == 0; i++) {
        pc_cache_ban_format(&bans->bans[i], text);
        result = visit(context, text, bans->bans[i].since_ms);
    }
    return result;
}

/* ---- Prune ---- */

struct doomed {
    struct pc_record record; /* id, and the first address with what was seen of it */
    struct pc_cache_standing standing;
    peercache_state state;
    uint32_t policy; /* 0: a ban */
    bool is_doomed;
};

struct chunk {
    peercache *cache;
    struct doomed *rows;
    size_t count;
    uint32_t policies;
    bool gently;
};

static int judge(void *context, const struct pc_record *record)
{
    struct chunk *chunk = context;
    struct doomed *row = &chunk->rows[chunk->count++];
    struct pc_record visible = *record;
    const struct pc_prune_rules rules = {
        .policies = chunk->policies,
        .retention_ms = chunk->cache->options.retention_ms,
        .seed_rule = chunk->cache->options.seed_rule,
        .gently = chunk->gently,
    };
    row->record = *record;
    row->standing = pc_cache_standing_of(record);
    row->state = record->state;
    row->policy = 0;
    row->is_doomed = !pc_cache_bans_filter(pc_cache_set_bans(chunk->cache->set), &visible);
    if (!row->is_doomed) {
        row->policy = pc_cache_prune_judge(record, &rules, chunk->cache->now_ms);
        row->is_doomed = row->policy != 0;
    }
    return 0;
}

static int by_standing(const void *a, const void *b)
{
    const struct doomed *const *x = a, *const *y = b;
    if ((*x)->state != (*y)->state)
        return (*x)->state < (*y)->state ? -1 : 1;
    return pc_cache_standing_compare((*x)->standing, (*y)->standing);
}

/* The chunk's share of the surplus. */
static void doom_surplus(struct chunk *chunk, struct pc_library_round *round)
{
    struct doomed *standing[CHUNK];
    size_t count = 0, gone = 0;
    uint64_t ahead = round->total > round->looked_at ? round->total - round->looked_at : 1;
    for (size_t i = 0; i < chunk->count; i++) {
        if (chunk->rows[i].is_doomed)
            gone++;
        else
            standing[count++] = &chunk->rows[i];
    }
    uint64_t share = (round->surplus * chunk->count + ahead - 1) / ahead;
    if (!(chunk->policies & PEERCACHE_PRUNE_CAPACITY) || round->surplus == 0)
        return;
    qsort(standing, count, sizeof(standing[0]), by_standing);
    for (size_t i = 0; i < count && gone < share; i++, gone++) {
        standing[i]->is_doomed = true;
        standing[i]->policy = PEERCACHE_PRUNE_CAPACITY;
    }
    round->surplus -= gone < round->surplus ? gone : round->surplus;
}

static int next_of_memory(peercache *cache, const struct pc_library_round *round, size_t count,
                          struct chunk *chunk)
{
    const struct pc_record *record = NULL;
    if (round->id.size)
        record = pc_cache_set_find(cache->set, &round->id);
    else if (round->addr.size)
        record = pc_cache_set_find_addr(cache->set, pc_addr_maddr_bytes(&round->addr));
    for (record = pc_cache_set_next(cache->set, record); record && chunk->count < count;
         record = pc_cache_set_next(cache->set, record))
        (void)judge(chunk, record);
    return 0;
}

static int next_chunk(peercache *cache, const struct pc_library_round *round, size_t count,
                      struct chunk *chunk)
{
    const struct pc_store_query query = {
        .kind = PC_STORE_AFTER, .count = count, .id = round->id, .addr = round->addr
    };
    chunk->count = 0;
    if (!cache->store)
        return next_of_memory(cache, round, count, chunk);
    int result = pc_store_query(cache->store, &query, judge, chunk);
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

static void begin_round(peercache *cache, struct pc_library_round *round, uint64_t new_count,
                        uint64_t tried_count)
{
    memset(round, 0, sizeof(*round));
    round->total = new_count + tried_count;
    if (round->total > cache->options.max_peers)
        round->surplus = round->total - cache->options.max_peers;
}

static int count_all(peercache *cache, uint64_t ret_counts[PEERCACHE_STATE_COUNT])
{
    ret_counts[PEERCACHE_NEW] = pc_cache_set_count(cache->set);
    ret_counts[PEERCACHE_TRIED] = 0;
    if (!cache->store)
        return 0;
    int result = pc_store_count(cache->store, ret_counts);
    return result ? pc_library_fail_in_store(cache, result) : 0;
}

static void tally(peercache_pruned *pruned, uint32_t policy)
{
    pruned->banned += policy == 0;
    pruned->unreliable += policy == PEERCACHE_PRUNE_UNRELIABLE;
    pruned->stale += policy == PEERCACHE_PRUNE_STALE;
    pruned->capacity += policy == PEERCACHE_PRUNE_CAPACITY;
}

struct prune {
    bool dry_run;
    size_t most;
    int64_t deadline_us;
    int (*visit)(void *context, const peercache_peer *peer, uint32_t policy);
    void *context;
};

/* Remove those of a chunk, or tell of them. */
static int carry_out(peercache *cache, const struct chunk *chunk, const struct prune *prune,
                     peercache_pruned *pruned)
{
    int result = 0;
    for (size_t i = 0; i < chunk->count && result == 0; i++) {
        const struct doomed *row = &chunk->rows[i];
        peercache_peer peer;
        if (!row->is_doomed)
            continue;
        tally(pruned, row->policy);
        if (prune->visit && pc_library_peer_of(cache, &row->record, &peer))
            result = prune->visit(prune->context, &peer, row->policy);
        if (result == 0 && !prune->dry_run && !cache->read_only)
            result = pc_cache_set_remove_record(cache->set, &row->record, cache->now_ms);
    }
    return result ? result : pc_library_commit(cache, prune->deadline_us);
}

static int run(peercache *cache, struct pc_library_round *round, uint32_t policies, bool gently,
               const struct prune *prune, peercache_pruned *ret_pruned)
{
    peercache_pruned pruned = { .looked_at = 0 };
    struct chunk chunk = { .cache = cache, .policies = policies, .gently = gently };
    uint64_t counts[PEERCACHE_STATE_COUNT];
    int result = pc_library_commit(cache, prune->deadline_us);
    if (result == 0 && round->looked_at == 0) {
        result = count_all(cache, counts);
        if (result == 0)
            begin_round(cache, round, counts[PEERCACHE_NEW], counts[PEERCACHE_TRIED]);
    }
    chunk.rows = result ? NULL : calloc(CHUNK, sizeof(*chunk.rows));
    if (!chunk.rows)
        return result ? result : pc_library_fail(cache, PEERCACHE_ENOMEM, "prune");
    while (result == 0 && !pruned.done && pruned.looked_at < prune->most) {
        size_t left = prune->most - (size_t)pruned.looked_at;
        size_t wanted = left < CHUNK ? left : CHUNK;
        result = next_chunk(cache, round, wanted, &chunk);
        if (result)
            break;
        doom_surplus(&chunk, round);
        pruned.done = chunk.count < wanted;
        pruned.looked_at += chunk.count;
        round->looked_at += chunk.count;
        if (chunk.count) {
            /* In memory the walk goes on behind the last one that stays. */
            size_t last = chunk.count - 1;
            while (!cache->store && last > 0 && chunk.rows[last].is_doomed)
                last--;
            round->id = chunk.rows[last].record.id;
            round->addr = chunk.rows[last].record.addrs[0].addr;
        }
        result = carry_out(cache, &chunk, prune, &pruned);
        if (prune->deadline_us != PC_LIBRARY_NO_DEADLINE && pc_store_left_ms(prune->deadline_us) == 0)
            break; /* the next call goes on */
    }
    free(chunk.rows);
    if (pruned.done)
        memset(round, 0, sizeof(*round));
    if (result == 0)
        *ret_pruned = pruned;
    return result;
}

int peercache_prune(peercache *cache, uint32_t policies, bool dry_run, size_t most, peercache_time now,
                    int (*visit)(void *context, const peercache_peer *peer, uint32_t policy), void *context,
                    peercache_pruned *ret_pruned)
{
    const struct prune prune = { dry_run, most, PC_LIBRARY_NO_DEADLINE, visit, context };
    int result = pc_library_refuse_unopened(cache);
    if (result)
        return result;
    if (policies & ~(uint32_t)PEERCACHE_PRUNE_ALL || most == 0 || most > PEERCACHE_PRUNE_STEP_MAX ||
        !ret_pruned)
        return pc_library_fail(cache, PEERCACHE_EINVAL, "prune");
    (void)pc_library_advance(cache, now);
    return run(cache, &cache->rounds[dry_run], policies ? policies : PEERCACHE_PRUNE_ALL, false, &prune,
               ret_pruned);
}

int pc_library_prune_on_schedule(peercache *cache, int64_t deadline_us)
{
    const struct prune prune = { false, SCHEDULED_STEP, deadline_us, NULL, NULL };
    peercache_pruned pruned;
    if (cache->options.prune_interval_ms == 0 || cache->read_only)
        return 0;
    if (cache->pruned_ms == 0) /* the first is due an interval after the first flush */
        cache->pruned_ms = cache->now_ms;
    if (pc_base_time_sub(cache->now_ms, cache->pruned_ms) < cache->options.prune_interval_ms)
        return 0;
    int result = run(cache, &cache->scheduled, PEERCACHE_PRUNE_ALL, true, &prune, &pruned);
    if (result == 0 && pruned.done)
        cache->pruned_ms = cache->now_ms;
    return result;
}
