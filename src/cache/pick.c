/*
 * Whom to dial next.
 *
 * 1. Draw: from each table (tried, new) up to max(128, 16 * count) peers by lot without repeating; of each
 * its best address that is eligible. A small table is drawn whole. So the cost does not grow with the cache.
 * 2. Rank: the score, less 300 when the last attempt was without success and less than ten minutes ago (so
 *    that picks rotate), plus a lot of 0 to 63, so that of equals not always the same one is chosen.
 * 3. Spread: in the order of rank, each further peer of the same group costs 150 more, each further one of
 * the same source group 25 more. (One group never goes without bound, but in a cache of one group all may
 *    come.)
 * 4. Choose by what is left of the rank: one in eight from the new (rounded up, when count is 4 or more), the
 *    rest from the tried; where one table runs short the other fills in. Best first.
 *
 * Drawing without repeating and without memory: a walk over the table with a random start and a random stride
 * that has no divisor in common with its size.
 */
#include "base/time.h"
#include "cache/peers.h"

#include <stdlib.h>

#define DRAW_MIN             128
#define DRAW_PER_PICK        16
#define VISITS_PER_DRAW      8 /* peers looked at in search of eligible ones */
#define RECENT_ATTEMPT_MS    (INT64_C(10) * 60 * 1000)
#define RECENT_PENALTY       300
#define LOT                  64
#define GROUP_PENALTY        150
#define SOURCE_GROUP_PENALTY 25
#define NEW_SHARE            8
#define NEW_SHARE_FROM       4

struct drawn {
    const struct pc_cache_peer *peer;
    uint64_t group;
    uint64_t source_group; /* 0: none */
    int32_t score;
    int32_t rank;
    uint32_t order; /* in which it was drawn: decides between equals */
    uint8_t addr;
    uint8_t state;
    bool chosen;
};

/* How often a group was met: open addressing, at most half full. */
struct tally {
    uint64_t group; /* 0: free */
    uint32_t count;
};

static uint64_t hash_group(const struct pc_netgroup *group)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a: two groups taken for one would do no harm */
    if (group->size == 0)
        return 0;
    for (size_t i = 0; i < group->size; i++)
        hash = (hash ^ group->bytes[i]) * UINT64_C(1099511628211);
    return hash ? hash : 1;
}

static uint32_t tally_up(struct tally *tallies, size_t slots, uint64_t group)
{
    size_t at = (size_t)(group ^ (group >> 32)) & (slots - 1);
    while (tallies[at].group && tallies[at].group != group)
        at = (at + 1) & (slots - 1);
    tallies[at].group = group;
    return tallies[at].count++;
}

static int by_rank(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? 1 : -1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool is_eligible(const struct pc_record_addr *addr, bool quic_only)
{
    struct pc_ip_port ip_port;
    return !quic_only || pc_addr_classify(pc_addr_maddr_bytes(&addr->addr), &ip_port) == PC_ADDR_QUIC_V1;
}

static int32_t rank_of(const struct pc_history *history, int32_t score, int64_t now_ms)
{
    bool failed_lately = history->last_attempt_ms > history->last_success_ms &&
                         pc_base_time_sub(now_ms, history->last_attempt_ms) < RECENT_ATTEMPT_MS;
    return failed_lately ? score - RECENT_PENALTY : score;
}

/* The best eligible address of a peer; false when there is none. */
static bool consider(const struct pc_cache_set *set, const struct pc_cache_peer *peer, int64_t now_ms,
                     bool quic_only, struct drawn *ret_drawn)
{
    struct pc_record record;
    bool found = false;
    size_t best = 0;
    pc_cache_peer_unpack(peer, &record);
    for (size_t i = 0; i < record.addr_count; i++) {
        const struct pc_history *history = &record.addrs[i].history;
        if (!is_eligible(&record.addrs[i], quic_only))
            continue;
        int32_t score = pc_cache_score(history, now_ms);
        int32_t rank = rank_of(history, score, now_ms);
        if (found && rank <= ret_drawn->rank)
            continue;
        found = true;
        best = i;
        ret_drawn->score = score;
        ret_drawn->rank = rank;
    }
    if (!found)
        return false;
    struct pc_netgroup group =
        pc_addr_netgroup(pc_addr_maddr_bytes(&record.addrs[best].addr), set->options.mode);
    ret_drawn->peer = peer;
    ret_drawn->addr = (uint8_t)best;
    ret_drawn->state = peer->state;
    ret_drawn->chosen = false;
    ret_drawn->group = hash_group(&group);
    ret_drawn->source_group = hash_group(&record.addrs[best].source_group);
    return true;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static size_t draw(const struct pc_cache_set *set, const struct pc_cache_table *table, struct pc_rng *rng,
                   int64_t now_ms, bool quic_only, size_t most, struct drawn *ret_drawn)
{
    size_t drawn = 0;
    if (table->count == 0)
        return 0;
    uint64_t at = pc_base_rng_below(rng, table->count);
    uint64_t stride = 1;
    if (table->count > 2) {
        do
            stride = 1 + pc_base_rng_below(rng, table->count - 1);
        while (common_divisor(stride, table->count) != 1);
    }
    size_t visits = table->count < most * VISITS_PER_DRAW ? table->count : most * VISITS_PER_DRAW;
    for (; visits > 0 && drawn < most; visits--, at = (at + stride) % table->count) {
        if (!consider(set, table->peers[at], now_ms, quic_only, &ret_drawn[drawn]))
            continue;
        ret_drawn[drawn].rank += (int32_t)pc_base_rng_below(rng, LOT);
        drawn++;
    }
    return drawn;
}

static void spread(struct drawn *drawn, size_t count, struct tally *tallies, size_t slots)
{
    struct tally *groups = tallies;
    struct tally *sources = tallies + slots;
    for (size_t i = 0; i < count; i++)
        drawn[i].order = (uint32_t)i;
    qsort(drawn, count, sizeof(*drawn), by_rank);
    for (size_t i = 0; i < count; i++) {
        if (drawn[i].group)
            drawn[i].rank -= (int32_t)(GROUP_PENALTY * tally_up(groups, slots, drawn[i].group));
        if (drawn[i].source_group)
            drawn[i].rank -=
                (int32_t)(SOURCE_GROUP_PENALTY * tally_up(sources, slots, drawn[i].source_group));
    }
    qsort(drawn, count, sizeof(*drawn), by_rank);
}

/* Mark the best `count` of one state; how many were marked. */
static size_t choose(struct drawn *drawn, size_t drawn_count, peercache_state state, size_t count)
{
    size_t chosen = 0;
    for (size_t i = 0; i < drawn_count && chosen < count; i++) {
        if (drawn[i].chosen || drawn[i].state != (uint8_t)state)
            continue;
        drawn[i].chosen = true;
        chosen++;
    }
    return chosen;
}

static void give(const struct drawn *drawn, struct pc_pick *ret_pick)
{
    struct pc_record record;
    pc_cache_peer_unpack(drawn->peer, &record);
    memset(ret_pick, 0, sizeof(*ret_pick));
    ret_pick->id = record.id;
    ret_pick->addr.size = record.addrs[drawn->addr].addr.size;
    memcpy(ret_pick->addr.bytes, record.addrs[drawn->addr].addr.bytes, ret_pick->addr.size);
    ret_pick->state = (peercache_state)drawn->state;
    ret_pick->score = drawn->score;
    ret_pick->rtt_us = record.addrs[drawn->addr].history.rtt_us;
}

size_t pc_cache_set_pick(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms, bool quic_only,
                         struct pc_pick *ret_picks, size_t count)
{
    const struct pc_cache_table *fresh = &set->tables[PEERCACHE_NEW];
    const struct pc_cache_table *tried = &set->tables[PEERCACHE_TRIED];
    size_t given = 0;
    now_ms = pc_base_time_max(set->now_ms, now_ms);
    count = count < PC_CACHE_PICK_MAX ? count : PC_CACHE_PICK_MAX;
    size_t most = count * DRAW_PER_PICK > DRAW_MIN ? count * DRAW_PER_PICK : DRAW_MIN;
    size_t most_tried = tried->count < most ? tried->count : most;
    size_t most_fresh = fresh->count < most ? fresh->count : most;
    if (count == 0 || most_tried + most_fresh == 0)
        return 0;
    size_t slots = 16;
    while (slots < 2 * (most_tried + most_fresh))
        slots *= 2;
    struct drawn *drawn = calloc(most_tried + most_fresh, sizeof(*drawn));
    struct tally *tallies = calloc(2 * slots, sizeof(*tallies));
    if (!drawn || !tallies)
        goto free_both;

    size_t total = 0;
    if (most_tried)
        total += draw(set, tried, rng, now_ms, quic_only, most_tried, drawn);
    if (most_fresh)
        total += draw(set, fresh, rng, now_ms, quic_only, most_fresh, drawn + total);
    spread(drawn, total, tallies, slots);

    size_t share = count >= NEW_SHARE_FROM ? (count + NEW_SHARE - 1) / NEW_SHARE : 0;
    size_t chosen = choose(drawn, total, PEERCACHE_NEW, share);
    chosen += choose(drawn, total, PEERCACHE_TRIED, count - chosen);
    (void)choose(drawn, total, PEERCACHE_NEW, count - chosen);
    for (size_t i = 0; i < total; i++)
        if (drawn[i].chosen)
            give(&drawn[i], &ret_picks[given++]);

free_both:
    free(drawn);
    free(tallies);
    return given;
}
