/*
 * The working set: see set.h for the rules. Every piece of news becomes one delta, which goes two ways: onto
 * the record in memory, and to the deltas that wait for the store. So memory and store follow one rule, that
 * of record.c.
 */
#include "cache/set.h"

#include "base/time.h"
#include "cache/bucket.h"
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
    set->found = malloc(sizeof(*set->found));
    set->walked = malloc(sizeof(*set->walked));
    if (!set->found || !set->walked) {
        free(set->found);
        free(set->walked);
        free(set);
        return PEERCACHE_ENOMEM;
    }
    memcpy(seed, options->secret, sizeof(options->secret));
    pc_base_rng_init(&set->lots, seed);
    pc_base_map_init(&set->by_key, pc_cache_peer_key_of_node, options->secret);
    pc_cache_pending_init(&set->waiting, options->secret);
    pc_cache_pending_init(&set->out, options->secret);
    *ret_set = set;
    return 0;
}

void pc_cache_set_free(struct pc_cache_set *set)
{
    if (!set)
        return;
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++) {
        for (size_t i = 0; i < set->tables[state].count; i++)
            free(set->tables[state].peers[i]);
        free(set->tables[state].peers);
    }
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
static int64_t advance(struct pc_cache_set *set, int64_t now_ms)
{
    set->now_ms = pc_base_time_max(set->now_ms, now_ms);
    return set->now_ms;
}

static struct pc_cache_peer *find_peer(const struct pc_cache_set *set, const struct pc_peer_id *id,
                                       struct pc_bytes addr)
{
    struct pc_cache_key key;
    pc_cache_key_of(id, addr, &key);
    return pc_cache_peer_find(set, pc_cache_key_bytes(&key));
}

static bool is_own_addr(const struct pc_cache_set *set, struct pc_bytes addr)
{
    for (size_t i = 0; i < set->own_addr_count; i++)
        if (pc_bytes_equal(pc_addr_maddr_bytes(&set->own_addrs[i]), addr))
            return true;
    return false;
}

static bool is_own_id(const struct pc_cache_set *set, const struct pc_peer_id *id)
{
    return id->size && pc_addr_peer_id_equal(id, &set->options.own_id);
}

/* One piece of news, onto the record in memory and to the deltas that wait. */
static int take_news(struct pc_cache_set *set, const struct pc_delta *delta, int64_t now_ms)
{
    struct pc_record record;
    struct pc_cache_peer *peer = find_peer(set, &delta->id, pc_addr_maddr_bytes(&delta->addr));
    if (peer)
        pc_cache_peer_unpack(peer, &record);
    else
        pc_cache_record_init(&record, &delta->id);
    if (!pc_cache_record_apply(&record, delta, now_ms) && !delta->removed_ms)
        return 0;
    if (!set->options.memory_only) {
        bool heard_of_only = !delta->history.success_count && !delta->history.failure_count &&
                             !delta->history.last_attempt_ms && !delta->removed_ms;
        if (heard_of_only && set->waiting.count >= PC_CACHE_PENDING_MAX)
            return PEERCACHE_ELIMIT;
        int result = pc_cache_pending_add(&set->waiting, delta);
        if (result)
            return result;
    }
    return pc_cache_peer_put(set, peer, &record, now_ms);
}

/* A delta about an address of the set, dated by what is known of it; false when it is not in. */
static bool delta_of_known(const struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                           struct pc_delta *ret_delta)
{
    struct pc_record record;
    const struct pc_cache_peer *peer = find_peer(set, id, addr);
    if (!peer)
        return false;
    pc_cache_peer_unpack(peer, &record);
    const struct pc_record_addr *known = pc_cache_record_find(&record, addr);
    if (!known)
        return false;
    pc_cache_delta_init(ret_delta, id, addr);
    ret_delta->history.last_seen_ms = known->history.last_seen_ms;
    ret_delta->source = known->source;
    ret_delta->source_group = known->source_group;
    ret_delta->first_seen_ms = known->first_seen_ms;
    return true;
}

/* The bare address, as it is kept: without /p2p/ID, IPv4-mapped as IPv4. Whether it may be kept is not asked.
 */
static bool normal_addr(struct pc_bytes addr, struct pc_maddr *ret_addr)
{
    return pc_addr_storable(addr, PC_NETGROUP_LOCAL, true, ret_addr, NULL) == 0;
}

int pc_cache_set_add(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                     bool names_allowed, peercache_source source, const struct pc_netgroup *source_group,
                     int64_t now_ms, struct pc_reason *ret_reason)
{
    struct pc_maddr normal;
    struct pc_delta delta;
    static const struct pc_peer_id nobody;
    now_ms = advance(set, now_ms);
    id = id ? id : &nobody;
    int result = pc_addr_storable(addr, set->options.mode, names_allowed, &normal, ret_reason);
    if (result)
        return result;
    if (is_own_id(set, id)) {
        pc_base_reason(ret_reason, "our own peer id");
        return PEERCACHE_EINVAL;
    }
    if (is_own_addr(set, pc_addr_maddr_bytes(&normal))) {
        pc_base_reason(ret_reason, "our own address");
        return PEERCACHE_EINVAL;
    }
    pc_cache_delta_init(&delta, id, pc_addr_maddr_bytes(&normal));
    delta.history.last_seen_ms = now_ms;
    delta.first_seen_ms = now_ms;
    delta.source = source;
    if (source_group)
        delta.source_group = *source_group;
    result = take_news(set, &delta, now_ms);
    if (result == PEERCACHE_ELIMIT)
        pc_base_reason(ret_reason, "no room for another peer");
    return result;
}

/* An address of a peer, or all of a peer (`addr` empty), goes. What is seen in this very moment may come
 * back, unless it was known to us: hence the date. */
static int put_tombstone(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                         int64_t last_seen_ms, int64_t now_ms)
{
    struct pc_delta delta;
    pc_cache_delta_init(&delta, id, addr);
    delta.removed_ms = pc_base_time_max(pc_base_time_max(last_seen_ms, now_ms - 1), 1);
    return take_news(set, &delta, now_ms);
}

int pc_cache_set_own_addr(struct pc_cache_set *set, struct pc_bytes addr)
{
    struct pc_maddr normal;
    if (!normal_addr(addr, &normal) || is_own_addr(set, pc_addr_maddr_bytes(&normal)))
        return 0;
    if (set->own_addr_count == PC_CACHE_OWN_ADDRS_MAX)
        return PEERCACHE_ELIMIT;
    set->own_addrs[set->own_addr_count++] = normal;
    struct pc_bytes own = pc_addr_maddr_bytes(&normal);
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++) {
        for (size_t i = set->tables[state].count; i-- > 0;) {
            struct pc_record record;
            pc_cache_peer_unpack(set->tables[state].peers[i], &record);
            const struct pc_record_addr *known = pc_cache_record_find(&record, own);
            if (!known)
                continue;
            int result = put_tombstone(set, &record.id, own, known->history.last_seen_ms, set->now_ms);
            if (result)
                return result;
            /* Whoever moved into the gap, or to the table of new ones, has been looked at. */
        }
    }
    return 0;
}

void pc_cache_set_attempt(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                          int64_t now_ms)
{
    struct pc_maddr normal;
    struct pc_delta delta;
    now_ms = advance(set, now_ms);
    if (!normal_addr(addr, &normal) || !delta_of_known(set, id, pc_addr_maddr_bytes(&normal), &delta))
        return;
    delta.history.last_attempt_ms = now_ms;
    /* A hint for the rotation of picks: when memory is out it is lost, and nothing else is. */
    (void)take_news(set, &delta, now_ms);
}

static int count_failure(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                         peercache_outcome outcome, int64_t at_ms, int64_t now_ms)
{
    struct pc_delta delta;
    if (!delta_of_known(set, id, addr, &delta))
        return PEERCACHE_ENOTFOUND;
    delta.history.failure_count = 1;
    delta.history.failures[outcome] = 1;
    delta.history.last_attempt_ms = at_ms;
    return take_news(set, &delta, now_ms);
}

static int hold_failure(struct pc_cache_set *set, const struct pc_peer_id *id, const struct pc_maddr *addr,
                        peercache_outcome outcome, int64_t now_ms)
{
    if (!set->held) {
        set->held = calloc(PC_CACHE_HELD_MAX, sizeof(*set->held));
        if (!set->held)
            return PEERCACHE_ENOMEM;
    }
    if (set->held_count == PC_CACHE_HELD_MAX) {
        set->held_first = (set->held_first + 1) % PC_CACHE_HELD_MAX;
        set->held_count--;
    }
    set->held[(set->held_first + set->held_count++) % PC_CACHE_HELD_MAX] =
        (struct pc_cache_held){ .id = *id, .addr = *addr, .outcome = outcome, .at_ms = now_ms };
    return 0;
}

int pc_cache_set_answered(struct pc_cache_set *set, int64_t now_ms)
{
    now_ms = advance(set, now_ms);
    while (set->held_count) {
        const struct pc_cache_held *held = &set->held[set->held_first];
        int result = count_failure(set, &held->id, pc_addr_maddr_bytes(&held->addr), held->outcome,
                                   held->at_ms, now_ms);
        if (result == PEERCACHE_ENOMEM)
            return result; /* the rest stays held */
        /* ENOTFOUND: displaced or removed meanwhile, nothing to count. ELIMIT: no room, as for any news. */
        set->held_first = (set->held_first + 1) % PC_CACHE_HELD_MAX;
        set->held_count--;
    }
    return 0;
}

void pc_cache_set_drop_held(struct pc_cache_set *set)
{
    set->held_count = 0;
}

/* An address known without id turned out to be this peer's: its history goes there, in memory as in the store
 * (where the delta says so by its proven_id). */
static int adopt(struct pc_cache_set *set, const struct pc_peer_id *proven, struct pc_delta *delta,
                 int64_t now_ms)
{
    struct pc_record bare, record;
    struct pc_cache_peer *peer;
    struct pc_cache_peer *known = find_peer(set, &delta->id, pc_addr_maddr_bytes(&delta->addr));
    delta->proven_id = *proven;
    if (!set->options.memory_only) {
        int result = pc_cache_pending_add(&set->waiting, delta);
        if (result)
            return result;
    }
    peer = find_peer(set, proven, pc_addr_maddr_bytes(&delta->addr));
    if (peer)
        pc_cache_peer_unpack(peer, &record);
    else
        pc_cache_record_init(&record, proven);
    if (known) {
        pc_cache_peer_unpack(known, &bare);
        const struct pc_record_addr *from = &bare.addrs[0];
        struct pc_delta moved;
        pc_cache_delta_init(&moved, proven, pc_addr_maddr_bytes(&from->addr));
        moved.history = from->history;
        moved.source = from->source;
        moved.source_group = from->source_group;
        moved.first_seen_ms = from->first_seen_ms;
        (void)pc_cache_record_apply(&record, &moved, now_ms);
        pc_cache_peer_drop(set, known);
    }
    (void)pc_cache_record_apply(&record, delta, now_ms);
    return pc_cache_peer_put(set, peer, &record, now_ms);
}

static int count_success(struct pc_cache_set *set, const struct pc_peer_id *id, const struct pc_maddr *addr,
                         const struct pc_peer_id *proven, uint32_t rtt_us, peercache_source source,
                         int64_t now_ms)
{
    struct pc_delta delta;
    struct pc_bytes bytes = pc_addr_maddr_bytes(addr);
    if (is_own_id(set, id) || (proven && is_own_id(set, proven)) || is_own_addr(set, bytes))
        return PEERCACHE_EINVAL;
    if (!delta_of_known(set, id, bytes, &delta)) {
        struct pc_maddr storable;
        int result = pc_addr_storable(bytes, set->options.mode, false, &storable, NULL);
        if (result)
            return result;
        pc_cache_delta_init(&delta, id, bytes);
        delta.source = source;
        delta.first_seen_ms = now_ms;
    }
    delta.history.success_count = 1;
    delta.history.last_seen_ms = now_ms;
    delta.history.last_success_ms = now_ms;
    delta.history.last_attempt_ms = now_ms;
    if (rtt_us != PC_RTT_UNKNOWN) {
        delta.history.rtt_us = rtt_us;
        delta.history.rtt_at_ms = now_ms;
    }
    if (id->size == 0 && proven && proven->size)
        return adopt(set, proven, &delta, now_ms);
    return take_news(set, &delta, now_ms);
}

int pc_cache_set_report(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                        peercache_outcome outcome, const struct pc_peer_id *proven, uint32_t rtt_us,
                        peercache_source source, int64_t now_ms)
{
    struct pc_maddr normal;
    struct pc_delta known;
    now_ms = advance(set, now_ms);
    if (!normal_addr(addr, &normal))
        return PEERCACHE_ENOTFOUND;
    struct pc_bytes bytes = pc_addr_maddr_bytes(&normal);
    int result = 0;
    if (outcome == PEERCACHE_OK) {
        result = count_success(set, id, &normal, proven, rtt_us, source, now_ms);
        int released = pc_cache_set_answered(set, now_ms);
        return result ? result : released;
    }
    bool is_known = delta_of_known(set, id, bytes, &known);
    switch (outcome) {
    case PEERCACHE_TIMEOUT:
    case PEERCACHE_UNREACHABLE:
    case PEERCACHE_DNS_FAILED:
        if (!is_known)
            return PEERCACHE_ENOTFOUND;
        if (set->options.count_at_once)
            return count_failure(set, id, bytes, outcome, now_ms, now_ms);
        known.history.last_attempt_ms = now_ms;
        result = take_news(set, &known, now_ms);
        return result ? result : hold_failure(set, id, &normal, outcome, now_ms);
    case PEERCACHE_REFUSED:
    case PEERCACHE_TLS_FAILED:
    case PEERCACHE_MISBEHAVED:
        result = pc_cache_set_answered(set, now_ms);
        if (result)
            return result;
        return count_failure(set, id, bytes, outcome, now_ms, now_ms);
    case PEERCACHE_WRONG_IDENTITY:
    case PEERCACHE_PROTOCOL_MISMATCH:
        result = pc_cache_set_answered(set, now_ms);
        if (result)
            return result;
        if (!is_known)
            return PEERCACHE_ENOTFOUND;
        return put_tombstone(set, id, bytes, known.history.last_seen_ms, now_ms);
    case PEERCACHE_UNSUPPORTED:
    case PEERCACHE_DENIED:
    case PEERCACHE_CANCELLED:
        return is_known ? 0 : PEERCACHE_ENOTFOUND;
    case PEERCACHE_OK:
    case PEERCACHE_OUTCOME_COUNT:
        break;
    }
    return PEERCACHE_EINVAL;
}

int pc_cache_set_remove(struct pc_cache_set *set, const struct pc_peer_id *id, int64_t now_ms)
{
    struct pc_record record;
    int64_t last_seen_ms = 0;
    now_ms = advance(set, now_ms);
    const struct pc_cache_peer *peer = find_peer(set, id, pc_bytes_of(NULL, 0));
    if (peer) {
        pc_cache_peer_unpack(peer, &record);
        for (size_t i = 0; i < record.addr_count; i++)
            last_seen_ms = pc_base_time_max(last_seen_ms, record.addrs[i].history.last_seen_ms);
    }
    struct pc_cache_key key;
    pc_cache_key_of(id, pc_bytes_of(NULL, 0), &key);
    pc_cache_pending_drop(&set->waiting, pc_cache_key_bytes(&key));
    return put_tombstone(set, id, pc_bytes_of(NULL, 0), last_seen_ms, now_ms);
}

static bool overlay(const struct pc_pending_table *table, struct pc_bytes key, struct pc_record *record,
                    int64_t now_ms)
{
    bool changed = false;
    for (const struct pc_pending *p = pc_cache_pending_of(table, key); p; p = p->sibling) {
        struct pc_delta delta;
        pc_cache_pending_unpack(p, &delta);
        if (delta.proven_id.size) { /* it goes on under the proven id: here nothing is left */
            changed |= record->addr_count > 0;
            pc_cache_record_init(record, &record->id);
        } else {
            changed |= pc_cache_record_apply(record, &delta, now_ms);
        }
    }
    return changed;
}

int pc_cache_set_load(struct pc_cache_set *set, const struct pc_record *record, int64_t now_ms)
{
    struct pc_record laid;
    if (is_own_id(set, &record->id) || (record->id.size == 0 && record->addr_count == 0))
        return 0;
    pc_cache_record_init(&laid, &record->id);
    for (size_t i = 0; i < record->addr_count; i++) { /* as news, for what comes from a file is checked so */
        const struct pc_record_addr *addr = &record->addrs[i];
        struct pc_delta delta;
        if (is_own_addr(set, pc_addr_maddr_bytes(&addr->addr)))
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
    (void)overlay(&set->out, pc_cache_key_bytes(&key), &laid, now_ms);
    (void)overlay(&set->waiting, pc_cache_key_bytes(&key), &laid, now_ms);
    return pc_cache_peer_put(set, pc_cache_peer_find(set, pc_cache_key_bytes(&key)), &laid, now_ms);
}

void pc_cache_set_unload(struct pc_cache_set *set, const struct pc_peer_id *id)
{
    struct pc_cache_peer *peer = find_peer(set, id, pc_bytes_of(NULL, 0));
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
    return id->size ? give_out(find_peer(set, id, pc_bytes_of(NULL, 0)), set->found) : NULL;
}

const struct pc_record *pc_cache_set_find_addr(const struct pc_cache_set *set, struct pc_bytes addr)
{
    static const struct pc_peer_id nobody;
    return addr.size <= PC_MADDR_MAX_BYTES ? give_out(find_peer(set, &nobody, addr), set->found) : NULL;
}

const struct pc_record *pc_cache_set_next(const struct pc_cache_set *set, const struct pc_record *record)
{
    size_t state = 0;
    size_t index = 0;
    if (record) {
        const struct pc_cache_peer *peer =
            find_peer(set, &record->id, pc_addr_maddr_bytes(&record->addrs[0].addr));
        if (!peer)
            return NULL;
        state = peer->state;
        index = peer->index + 1;
    }
    for (; state < PEERCACHE_STATE_COUNT; state++, index = 0)
        if (index < set->tables[state].count)
            return give_out(set->tables[state].peers[index], set->walked);
    return NULL;
}

size_t pc_cache_set_pending(const struct pc_cache_set *set)
{
    return set->waiting.count + set->out.count;
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
        while (set->batch_count < most && pc_cache_pending_move_first(&set->waiting, &set->out) == 0)
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
    if (!committed)
        return 0;
    free(set->batch);
    set->batch = NULL;
    set->batch_count = 0;
    pc_cache_pending_deinit(&set->out);
    return 0;
}
