/*
 * The working set: see set.h for the rules. Every piece of news becomes one delta, which goes two ways: onto
 * the record in memory, and to the deltas that wait for the store. So memory and store follow one rule, that
 * of record.c.
 */
#include "cache/set.h"

#include "base/time.h"
#include "cache/bucket.h"
#include "cache/news.h"
#include "cache/peers.h"

#include <assert.h>
#include <stdlib.h>

int pc_cache_set_new(const struct pc_cache_set_options *options, struct pc_cache_set **ret_set)
{
    uint8_t seed[PC_RNG_SEED_BYTES] = { 0 };
    struct pc_cache_set *set = calloc(1, sizeof(*set));
    if (!set)
        return PEERCACHE_ENOMEM;
    set->options = *options;
    pc_cache_quota_init(&set->quota, options->peers_max);
    set->found = malloc(sizeof(*set->found));
    set->walked = malloc(sizeof(*set->walked));
    bool has_memory = set->found && set->walked &&
                      pc_cache_pending_init(&set->waiting, options->secret) == 0 &&
                      pc_cache_pending_init(&set->out, options->secret) == 0;
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++) {
        struct pc_cache_table *table = &set->tables[state];
        size_t count = (size_t)1 << set->quota.bits[state];
        table->buckets = calloc(count, sizeof(*table->buckets));
        table->occupied = malloc(count * sizeof(*table->occupied));
        has_memory = has_memory && table->buckets && table->occupied;
    }
    if (!has_memory) {
        pc_cache_set_free(set);
        return PEERCACHE_ENOMEM;
    }
    pc_cache_bans_init(&set->bans);
    memcpy(seed, options->secret, sizeof(options->secret));
    pc_base_rng_init(&set->lots, seed);
    pc_base_map_init(&set->by_key, pc_cache_peer_key_of_node, options->secret);
    *ret_set = set;
    return 0;
}

void pc_cache_set_free(struct pc_cache_set *set)
{
    if (!set)
        return;
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++) {
        struct pc_cache_table *table = &set->tables[state];
        for (size_t i = 0; i < table->occupied_count; i++) {
            const struct pc_cache_bucket *bucket = &table->buckets[table->occupied[i]];
            for (size_t j = 0; j < bucket->count; j++)
                free(bucket->peers[j]);
            free(bucket->peers);
        }
        free(table->buckets);
        free(table->occupied);
    }
    pc_cache_bans_deinit(&set->bans);
    free(set->source_rates);
    pc_base_map_deinit(&set->by_key);
    pc_cache_pending_deinit(&set->waiting);
    pc_cache_pending_deinit(&set->out);
    free(set->batch);
    free(set->held);
    free(set->found);
    free(set->walked);
    free(set);
}

/* The set's time never goes back. */
int64_t pc_cache_advance(struct pc_cache_set *set, int64_t now_ms)
{
    set->now_ms = pc_base_time_max(set->now_ms, now_ms);
    return set->now_ms;
}

struct pc_cache_peer *pc_cache_find_peer(const struct pc_cache_set *set, const struct pc_peer_id *id,
                                         struct pc_bytes addr)
{
    struct pc_cache_key key;
    pc_cache_key_of(id, addr, &key);
    return pc_cache_peer_find(set, pc_cache_key_bytes(&key));
}

bool pc_cache_is_own_addr(const struct pc_cache_set *set, struct pc_bytes addr)
{
    for (size_t i = 0; i < set->own_addr_count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(&set->own_addrs[i]), addr))
            return true;
    return false;
}

bool pc_cache_is_own_id(const struct pc_cache_set *set, const struct pc_peer_id *id)
{
    return id->size && pc_addr_peer_id_equal(id, &set->options.own_id);
}

void pc_cache_look_up(const struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                      struct pc_known *ret_known)
{
    struct pc_cache_key key;
    pc_cache_key_of(id, addr, &key);
    ret_known->hash = pc_base_map_hash(&set->by_key, pc_cache_key_bytes(&key));
    ret_known->peer = pc_cache_peer_find_hashed(set, pc_cache_key_bytes(&key), ret_known->hash);
    if (ret_known->peer) {
        pc_cache_pending_prefetch(ret_known->peer->waiting); /* news is to follow */
        pc_cache_peer_unpack(ret_known->peer, &ret_known->record);
    } else {
        pc_cache_record_init(&ret_known->record, id);
    }
    ret_known->addr = pc_cache_record_find(&ret_known->record, addr);
}

static bool is_worth_waiting(const struct pc_cache_set *set, const struct pc_delta *delta)
{
    bool heard_of_only = !delta->history.success_count && !delta->history.failure_count &&
                         !delta->history.last_attempt_ms && !delta->removed_ms;
    return (!heard_of_only && !delta->only_if_known) || set->waiting.count < PC_CACHE_PENDING_MAX;
}

int pc_cache_let_wait(struct pc_cache_set *set, struct pc_cache_peer *peer, uint64_t hash,
                      const struct pc_delta *delta)
{
    return pc_cache_pending_add(&set->waiting, peer ? &peer->waiting : NULL, hash, delta);
}

/* News that memory has and the store will not hear of would be counted twice by who tells it again. The peer leaves
 * memory, as if it had not been loaded; what waited of it before waits on. */
static void forget_untold(struct pc_cache_set *set, struct pc_cache_peer *peer)
{
    set->options.is_part = true;
    pc_cache_peer_drop(set, peer);
}

/* One piece of news, onto the record in memory and to the deltas that wait. What has no room in memory is
 * told to the store all the same when it is verified. */
int pc_cache_take_news(struct pc_cache_set *set, struct pc_known *known, const struct pc_delta *delta,
                       int64_t now_ms)
{
    size_t addrs_before = known->record.addr_count;
    bool is_known = known->addr != NULL;
    int room = 0;
    if (!pc_cache_record_apply(&known->record, delta, now_ms) && !delta->removed_ms && !delta->only_if_known)
        return 0;
    if (!set->options.memory_only && !is_worth_waiting(set, delta))
        return PEERCACHE_ELIMIT;
    if (is_known && known->peer && known->record.addr_count == addrs_before)
        room = pc_cache_peer_update(set, &known->peer, known->hash, &known->record);
    else
        room = pc_cache_peer_put(set, &known->peer, known->hash, &known->record, false);
    if (!is_known && known->record.addr_count <= addrs_before) /* another gave way, or it itself */
        set->losses++;
    if (room == PEERCACHE_ENOMEM || (room && !delta->history.success_count) || set->options.memory_only)
        return room;
    int result = pc_cache_let_wait(set, known->peer, known->hash, delta);
    if (result == PEERCACHE_ENOMEM && known->peer)
        forget_untold(set, known->peer);
    return result ? result : room;
}

/* A delta about an address of the set, dated by what is known of it. */
void pc_cache_delta_of(const struct pc_known *known, struct pc_delta *ret_delta)
{
    pc_cache_delta_init(ret_delta, &known->record.id, pc_addr_maddr_bytes(&known->addr->addr));
    ret_delta->history.last_seen_ms = known->addr->history.last_seen_ms;
    ret_delta->source = known->addr->source;
    ret_delta->source_group = known->addr->source_group;
    ret_delta->first_seen_ms = known->addr->first_seen_ms;
}

/* The bare address, as it is kept: without /p2p/ID, IPv4-mapped as IPv4. Whether it may be kept is not asked.
 */
bool pc_cache_normal_addr(struct pc_bytes addr, struct pc_maddr *ret_addr)
{
    return pc_addr_storable(addr, PC_NETGROUP_LOCAL, true, ret_addr, NULL) == 0;
}

/* Who floods uses up its own rate, and not that of all. What people say (flags, the environment, imports) is
 * free. */
static int take_from_rates(struct pc_cache_set *set, const struct pc_maddr *addr, peercache_source source,
                           const struct pc_netgroup *source_group, int64_t now_ms,
                           struct pc_reason *ret_reason)
{
    const struct pc_rate_limit *total = &set->options.total_limit, *each = &set->options.source_limit;
    struct pc_rate *rate = NULL;
    if (source == PEERCACHE_SOURCE_FLAG || source == PEERCACHE_SOURCE_ENV ||
        source == PEERCACHE_SOURCE_IMPORT)
        return 0;
    if (each->burst) {
        if (!set->source_rates)
            set->source_rates = calloc(PC_CACHE_SOURCE_RATES, sizeof(*set->source_rates));
        if (!set->source_rates)
            return PEERCACHE_ENOMEM;
        struct pc_netgroup own = { .size = 0 };
        if (!source_group || source_group->size == 0) {
            own = pc_addr_netgroup(pc_addr_maddr_bytes(addr), set->options.mode);
            source_group = &own;
        }
        rate = &set->source_rates[pc_cache_hash_group(set->options.secret, source_group) %
                                  PC_CACHE_SOURCE_RATES];
    }
    if (!pc_cache_rate_allows(&set->total_rate, total, now_ms)) {
        pc_base_reason(ret_reason, "over the rate of updates of all sources");
        return PEERCACHE_ELIMIT;
    }
    if (rate && !pc_cache_rate_take(rate, each, now_ms)) {
        pc_base_reason(ret_reason, "over the rate of updates of one source");
        return PEERCACHE_ELIMIT;
    }
    (void)pc_cache_rate_take(&set->total_rate, total, now_ms); /* it allows */
    return 0;
}

/* Answers name the same addresses over and over. Of one without a date of its first sighting that is still to be learnt. */
static bool was_just_heard(const struct pc_known *known, int64_t now_ms)
{
    return known->peer && known->addr && known->addr->first_seen_ms > 0 &&
           pc_base_time_sub(now_ms, known->addr->history.last_seen_ms) < PC_CACHE_HEARD_AGAIN_MS;
}

uint64_t pc_cache_set_losses(const struct pc_cache_set *set)
{
    return set->losses;
}

int pc_cache_set_add(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                     bool names_allowed, peercache_source source, const struct pc_netgroup *source_group,
                     int64_t now_ms, struct pc_reason *ret_reason)
{
    struct pc_maddr normal;
    struct pc_delta delta;
    struct pc_known known;
    static const struct pc_peer_id nobody;
    now_ms = pc_cache_advance(set, now_ms);
    id = id ? id : &nobody;
    int result = pc_addr_storable(addr, pc_cache_storable_mode(set), names_allowed, &normal, ret_reason);
    if (result)
        return result;
    if (pc_cache_is_own_id(set, id)) {
        pc_base_reason(ret_reason, "our own peer id");
        return PEERCACHE_EINVAL;
    }
    if (pc_cache_is_own_addr(set, pc_addr_maddr_bytes(&normal))) {
        pc_base_reason(ret_reason, "our own address");
        return PEERCACHE_EINVAL;
    }
    if (pc_cache_bans_cover_id(&set->bans, id) ||
        pc_cache_bans_cover_addr(&set->bans, pc_addr_maddr_bytes(&normal))) {
        pc_base_reason(ret_reason, "banned");
        return PEERCACHE_EPERM;
    }
    pc_cache_look_up(set, id, pc_addr_maddr_bytes(&normal), &known);
    if (was_just_heard(&known, now_ms))
        return 0;
    result = take_from_rates(set, &normal, source, source_group, now_ms, ret_reason);
    if (result)
        return result;
    pc_cache_delta_init(&delta, id, pc_addr_maddr_bytes(&normal));
    delta.history.last_seen_ms = now_ms;
    delta.first_seen_ms = now_ms;
    delta.source = source;
    if (source_group)
        delta.source_group = *source_group;
    result = pc_cache_take_news(set, &known, &delta, now_ms);
    if (result == PEERCACHE_ELIMIT)
        pc_base_reason(ret_reason, "no room for another peer of this group from this source");
    return result;
}

int pc_cache_set_take_in(struct pc_cache_set *set, const struct pc_delta *delta, int64_t now_ms,
                         bool *ret_known)
{
    struct pc_known known;
    now_ms = pc_cache_advance(set, now_ms);
    pc_cache_look_up(set, &delta->id, pc_addr_maddr_bytes(&delta->addr), &known);
    *ret_known = known.addr != NULL;
    if (!delta->trusted)
        return pc_cache_take_news(set, &known, delta, now_ms);
    set->losses++;
    bool was_tried = known.peer && known.peer->state == PEERCACHE_TRIED;
    if (!pc_cache_record_apply(&known.record, delta, now_ms))
        return 0;
    known.record.state = was_tried ? PEERCACHE_TRIED : delta->state;
    int result = pc_cache_peer_put(set, &known.peer, known.hash, &known.record, true);
    return result || set->options.memory_only ? result
                                              : pc_cache_let_wait(set, known.peer, known.hash, delta);
}

/* An address of a peer, or all of a peer (`addr` empty), goes. What is seen in this very moment may come
 * back, unless it was known to us: hence the date. */
int pc_cache_put_tombstone(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                           int64_t last_seen_ms, int64_t now_ms)
{
    struct pc_delta delta;
    pc_cache_delta_init(&delta, id, addr);
    struct pc_known known;
    delta.removed_ms = pc_base_time_max(pc_base_time_max(last_seen_ms, now_ms - 1), 1);
    pc_cache_look_up(set, id, addr, &known);
    return pc_cache_take_news(set, &known, &delta, now_ms);
}

static bool holds_own(const void *context, struct pc_record *record)
{
    return pc_cache_record_find(record, *(const struct pc_bytes *)context) != NULL;
}

static int drop_own(struct pc_cache_set *set, const struct pc_cache_key *key, struct pc_bytes own)
{
    struct pc_record record;
    const struct pc_cache_peer *peer = pc_cache_peer_find(set, pc_cache_key_bytes(key));
    if (!peer)
        return 0;
    pc_cache_peer_unpack(peer, &record);
    const struct pc_record_addr *known = pc_cache_record_find(&record, own);
    return known ? pc_cache_put_tombstone(set, &record.id, own, known->history.last_seen_ms, set->now_ms) : 0;
}

int pc_cache_set_own_addr(struct pc_cache_set *set, struct pc_bytes addr)
{
    struct pc_maddr normal;
    if (!pc_cache_normal_addr(addr, &normal) || pc_cache_is_own_addr(set, pc_addr_maddr_bytes(&normal)))
        return 0;
    if (set->own_addr_count == PC_CACHE_OWN_ADDRS_MAX)
        return PEERCACHE_ELIMIT;
    struct pc_bytes own = pc_addr_maddr_bytes(&normal);
    struct pc_cache_key *keys;
    size_t count;
    int result = pc_cache_peers_collect(set, holds_own, &own, &keys, &count);
    if (result)
        return result;
    for (size_t i = 0; i < count && result == 0; i++)
        result = drop_own(set, &keys[i], own);
    free(keys);
    set->losses++;
    if (result == 0) /* last, so that who asks again after a failure does not find it done */
        set->own_addrs[set->own_addr_count++] = normal;
    return result;
}

bool pc_cache_set_is_own_addr(const struct pc_cache_set *set, struct pc_bytes addr)
{
    struct pc_maddr normal;
    return pc_cache_normal_addr(addr, &normal) && pc_cache_is_own_addr(set, pc_addr_maddr_bytes(&normal));
}

void pc_cache_set_disown_addr(struct pc_cache_set *set, struct pc_bytes addr)
{
    struct pc_maddr normal;
    if (!pc_cache_normal_addr(addr, &normal))
        return;
    for (size_t i = 0; i < set->own_addr_count; i++) {
        if (!pc_bytes_equal(pc_addr_maddr_bytes(&set->own_addrs[i]), pc_addr_maddr_bytes(&normal)))
            continue;
        set->own_addrs[i] = set->own_addrs[--set->own_addr_count];
        return;
    }
}

static int64_t latest_seen(const struct pc_record *record)
{
    int64_t last_seen_ms = 0;
    for (size_t i = 0; i < record->addr_count; i++)
        last_seen_ms = pc_base_time_max(last_seen_ms, record->addrs[i].history.last_seen_ms);
    return last_seen_ms;
}

/* By id, or by `addr` when the id is not known: then its address is the whole of it. */
static int remove_peer(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                       int64_t last_seen_ms, int64_t now_ms)
{
    struct pc_record record;
    struct pc_cache_key key;
    struct pc_cache_peer *peer = pc_cache_find_peer(set, id, addr);
    if (peer) {
        pc_cache_peer_unpack(peer, &record);
        last_seen_ms = pc_base_time_max(last_seen_ms, latest_seen(&record));
    }
    pc_cache_key_of(id, addr, &key);
    pc_cache_pending_drop(&set->waiting, peer ? &peer->waiting : NULL, pc_cache_key_bytes(&key),
                          pc_base_map_hash(&set->by_key, pc_cache_key_bytes(&key)));
    return pc_cache_put_tombstone(set, id, id->size ? pc_bytes_of(NULL, 0) : addr, last_seen_ms, now_ms);
}

int pc_cache_set_remove(struct pc_cache_set *set, const struct pc_peer_id *id, int64_t now_ms)
{
    return remove_peer(set, id, pc_bytes_of(NULL, 0), 0, pc_cache_advance(set, now_ms));
}

int pc_cache_set_remove_record(struct pc_cache_set *set, const struct pc_record *record, int64_t now_ms)
{
    struct pc_bytes addr =
        record->addr_count ? pc_addr_maddr_bytes(&record->addrs[0].addr) : pc_bytes_of(NULL, 0);
    return remove_peer(set, &record->id, addr, latest_seen(record), pc_cache_advance(set, now_ms));
}

/* ---- Bans ---- */

bool pc_cache_bans_filter(const struct pc_bans *bans, struct pc_record *record)
{
    if (pc_cache_bans_cover_id(bans, &record->id))
        record->addr_count = 0;
    for (size_t i = record->addr_count; i-- > 0;)
        if (pc_cache_bans_cover_addr(bans, pc_addr_maddr_bytes(&record->addrs[i].addr)))
            pc_cache_record_take_out(record, i);
    return record->addr_count > 0;
}

static bool is_covered(const void *context, struct pc_record *record)
{
    const struct pc_cache_set *set = context;
    size_t before = record->addr_count;
    (void)pc_cache_bans_filter(&set->bans, record);
    return record->addr_count < before;
}

static int drop_banned(struct pc_cache_set *set, const struct pc_cache_key *key)
{
    struct pc_record record;
    struct pc_cache_peer *peer = pc_cache_peer_find(set, pc_cache_key_bytes(key));
    if (!peer)
        return 0;
    pc_cache_peer_unpack(peer, &record);
    if (pc_cache_bans_filter(&set->bans, &record))
        return pc_cache_peer_put(set, &peer, peer->node.hash, &record, true);
    pc_cache_peer_drop(set, peer);
    return 0;
}

int pc_cache_set_ban(struct pc_cache_set *set, const struct pc_ban *bans, size_t count)
{
    bool has_range = false;
    int result = 0;
    set->losses++;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct pc_peer_id id;
        result = pc_cache_bans_add(&set->bans, &bans[i]);
        if (pc_cache_ban_id(&bans[i], &id))
            pc_cache_set_unload(set, &id);
        else
            has_range = true;
    }
    if (result || !has_range)
        return result;
    struct pc_cache_key *keys;
    size_t covered;
    result = pc_cache_peers_collect(set, is_covered, set, &keys, &covered);
    if (result)
        return result;
    for (size_t i = 0; i < covered && result == 0; i++)
        result = drop_banned(set, &keys[i]);
    free(keys);
    return result;
}

int pc_cache_set_unban(struct pc_cache_set *set, const struct pc_ban *ban)
{
    return pc_cache_bans_remove(&set->bans, ban);
}

const struct pc_bans *pc_cache_set_bans(const struct pc_cache_set *set)
{
    return &set->bans;
}

/* ---- From the store ---- */

/* Lay a chain of deltas over a record. */
static void overlay(const struct pc_pending *first, struct pc_record *record, int64_t now_ms)
{
    for (const struct pc_pending *p = first; p; p = p->sibling) {
        struct pc_delta delta;
        pc_cache_pending_unpack(p, &delta);
        if (delta.proven_id.size) /* it goes on under the proven id: here nothing is left */
            pc_cache_record_init(record, &record->id);
        else
            (void)pc_cache_record_apply(record, &delta, now_ms);
    }
}

int pc_cache_set_load(struct pc_cache_set *set, const struct pc_record *record, int64_t now_ms)
{
    struct pc_record laid;
    if (pc_cache_is_own_id(set, &record->id) || (record->id.size == 0 && record->addr_count == 0))
        return 0;
    set->losses++;
    pc_cache_record_init(&laid, &record->id);
    for (size_t i = 0; i < record->addr_count; i++) { /* as news, for what comes from a file is checked so */
        const struct pc_record_addr *addr = &record->addrs[i];
        struct pc_delta delta;
        if (pc_cache_is_own_addr(set, pc_addr_maddr_bytes(&addr->addr)))
            continue;
        pc_cache_delta_init(&delta, &record->id, pc_addr_maddr_bytes(&addr->addr));
        delta.history = addr->history;
        delta.source = addr->source;
        delta.source_group = addr->source_group;
        delta.first_seen_ms = addr->first_seen_ms;
        (void)pc_cache_record_apply(&laid, &delta, now_ms);
    }
    struct pc_cache_key key;
    pc_cache_key_of(&record->id, pc_addr_maddr_bytes(&record->addrs[0].addr), &key);
    struct pc_bytes name = pc_cache_key_bytes(&key);
    uint64_t hash = pc_base_map_hash(&set->by_key, name);
    struct pc_cache_peer *peer = pc_cache_peer_find_hashed(set, name, hash);
    const struct pc_pending *out = pc_cache_pending_of(&set->out, name, hash);
    if (out && set->batch_failed)
        return 0; /* nobody knows whether the record has it: laid over it, it may count twice */
    overlay(out, &laid, now_ms);
    overlay(peer ? peer->waiting : pc_cache_pending_of(&set->waiting, name, hash), &laid, now_ms);
    (void)pc_cache_bans_filter(&set->bans, &laid);
    laid.state = record->state;
    return pc_cache_peer_put(set, &peer, hash, &laid, true);
}

void pc_cache_set_part(struct pc_cache_set *set, bool is_part)
{
    set->options.is_part = is_part;
}

void pc_cache_set_unload(struct pc_cache_set *set, const struct pc_peer_id *id)
{
    struct pc_cache_peer *peer = pc_cache_find_peer(set, id, pc_bytes_of(NULL, 0));
    if (peer)
        pc_cache_peer_drop(set, peer);
}

size_t pc_cache_set_count(const struct pc_cache_set *set)
{
    return set->by_key.count;
}

static const struct pc_record *give_out(const struct pc_cache_peer *peer, struct pc_record *record)
{
    if (!peer)
        return NULL;
    pc_cache_peer_unpack(peer, record);
    return record;
}

const struct pc_record *pc_cache_set_find(const struct pc_cache_set *set, const struct pc_peer_id *id)
{
    return id->size ? give_out(pc_cache_find_peer(set, id, pc_bytes_of(NULL, 0)), set->found) : NULL;
}

const struct pc_record *pc_cache_set_find_addr(const struct pc_cache_set *set, struct pc_bytes addr)
{
    static const struct pc_peer_id nobody;
    return addr.size <= PC_MADDR_MAX_BYTES ? give_out(pc_cache_find_peer(set, &nobody, addr), set->found)
                                           : NULL;
}

const struct pc_record *pc_cache_set_next(const struct pc_cache_set *set, const struct pc_record *record)
{
    const struct pc_cache_peer *peer = NULL;
    if (record) {
        peer = pc_cache_find_peer(set, &record->id, pc_addr_maddr_bytes(&record->addrs[0].addr));
        if (!peer)
            return NULL;
    }
    return give_out(pc_cache_peer_next(set, peer), set->walked);
}

size_t pc_cache_set_pending(const struct pc_cache_set *set)
{
    return set->waiting.count + set->out.count;
}

/* The earliest that waits goes to the batch. */
static int move_out(struct pc_cache_set *set)
{
    const struct pc_pending *moving = set->waiting.first;
    struct pc_cache_peer *peer =
        pc_cache_peer_find_hashed(set, pc_cache_pending_key(moving), moving->node.hash);
    return pc_cache_pending_move_first(&set->waiting, peer ? &peer->waiting : NULL, &set->out);
}

size_t pc_cache_set_take(struct pc_cache_set *set, const struct pc_delta **ret_deltas, size_t count)
{
    if (set->batch_is_out)
        return 0;
    if (!set->batch) {
        size_t most = count < PC_CACHE_BATCH_MAX ? count : PC_CACHE_BATCH_MAX;
        most = most < set->waiting.count ? most : set->waiting.count;
        if (most == 0)
            return 0;
        set->batch = malloc(most * sizeof(*set->batch));
        if (!set->batch)
            return 0;
        set->batch_count = 0;
        while (set->batch_count < most && move_out(set) == 0)
            pc_cache_pending_unpack(set->out.last, &set->batch[set->batch_count++]);
        if (set->batch_count == 0) {
            free(set->batch);
            set->batch = NULL;
            return 0;
        }
    }
    set->batch_is_out = true;
    *ret_deltas = set->batch;
    return set->batch_count;
}

int pc_cache_set_settle(struct pc_cache_set *set, bool committed)
{
    if (!set->batch_is_out)
        return PEERCACHE_ESTATE;
    set->batch_is_out = false;
    set->batch_failed = !committed;
    if (!committed)
        return 0;
    free(set->batch);
    set->batch = NULL;
    set->batch_count = 0;
    pc_cache_pending_deinit(&set->out);
    return 0;
}
