/*
 * Whom to dial next.
 *
 * 1. Draw: a walk over the buckets of each table (tried, new) in an order drawn by lot, one peer of each,
 * then a second one, and so on; of each peer its best address that passes the filter. Until 8 for each one
 *    wanted are found, 64 at least (of the new 8 for each one of their share, 32 at least, unless a filter
 * may leave little of the tried). So the cost does not grow with the cache, and who fills a few buckets is
 * drawn as often as those.
 * 2. Rank: the score, less 300 when the last attempt was without success and less than ten minutes ago (so
 *    that picks rotate), plus a lot of 0 to 63, so that of equals not always the same one is chosen.
 * 3. Spread: in the order of rank, each further peer of the same group costs 150 more, each further one of
 *    the same source group 25 more. (One group never goes without bound, but in a cache of one group all may
 *    come.)
 * 4. Choose by what is left of the rank: of four or more, one whose place a newcomer waits for, and one in
 *    eight from the new (rounded up); the rest from the tried; where one table runs short the other fills in.
 *    Best first.
 */
#include "cache/pick.h"
#include "base/time.h"
#include "cache/dialable.h"
#include "cache/peers.h"

#include <stdlib.h>

#define DRAW_MIN             64
#define DRAW_MIN_NEW         32
#define DRAW_PER_PICK        8
#define LOOK_AHEAD           32
#define VISITS_MIN           2048 /* peers looked at in search of those that pass a filter */
#define RECENT_ATTEMPT_MS    (INT64_C(10) * 60 * 1000)
#define REST_MAX_MS          (INT64_C(3600) * 1000)
#define RECENT_PENALTY       300
#define LOT                  64
#define GROUP_PENALTY        150
#define SOURCE_GROUP_PENALTY 25
#define NEW_SHARE            8
#define NEW_SHARE_FROM       4
#define SPREAD_ODD           2654435761u /* Knuth's multiplier: scatters the place of the first looked at */

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
    const struct pc_drawn *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? 1 : -1;
    return x->order < y->order ? -1 : x->order > y->order;
}

int pc_cache_key_compare(const void *a, const void *b)
{
    const struct pc_cache_key *x = a, *y = b;
    size_t common = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->bytes, y->bytes, common);
    return order ? order : (int)x->size - (int)y->size;
}

bool pc_cache_pick_leaves_out(const struct pc_pick_filter *filter, const struct pc_cache_peer *peer)
{
    struct pc_cache_key key;
    if (filter->left_out_count == 0)
        return false;
    key.size = peer->key_size;
    memcpy(key.bytes, peer->bytes, peer->key_size);
    return bsearch(&key, filter->left_out, filter->left_out_count, sizeof(key), pc_cache_key_compare) != NULL;
}

bool pc_cache_pick_is_eligible(struct pc_bytes addr, const struct pc_pick_filter *filter)
{
    struct pc_ip_port ip_port;
    if (filter->quic_only && pc_addr_classify(addr, &ip_port) != PC_ADDR_QUIC_V1)
        return false;
    if (!filter->transports && !filter->families)
        return true;
    struct pc_dialable dialable = pc_cache_dialable_of(addr);
    return (!filter->transports || filter->transports & dialable.transport) &&
           (!filter->families || filter->families & dialable.family);
}

static bool failed_lately(const struct pc_history *history, int64_t now_ms)
{
    return history->last_attempt_ms > history->last_success_ms &&
           pc_base_time_sub(now_ms, history->last_attempt_ms) < RECENT_ATTEMPT_MS;
}

bool pc_cache_rests(const struct pc_record_addr *addr, int64_t now_ms)
{
    const struct pc_history *history = &addr->history;
    if (history->last_attempt_ms <= history->last_success_ms)
        return false;
    int64_t since_ms = pc_base_time_max(history->last_success_ms, addr->first_seen_ms);
    int64_t failing_ms = pc_base_time_sub(history->last_attempt_ms, since_ms);
    return pc_base_time_sub(now_ms, history->last_attempt_ms) < pc_base_time_min(failing_ms / 4, REST_MAX_MS);
}

/* The best eligible address of a peer; false when there is none. */
static bool consider(const struct pc_cache_set *set, const struct pc_cache_peer *peer, int64_t now_ms,
                     const struct pc_pick_filter *filter, struct pc_drawn *ret_drawn)
{
    struct pc_record_addr addr;
    struct pc_reader r;
    struct pc_bytes packed = pc_cache_peer_packed(peer);
    bool found = false;
    if (pc_cache_pick_leaves_out(filter, peer))
        return false;
    pc_base_reader_init(&r, packed.data, packed.size);
    for (uint8_t i = 0; i < peer->addr_count; i++) {
        (void)pc_cache_unpack_addr(&r, &addr); /* our own packing */
        if (!pc_cache_pick_is_eligible(pc_addr_maddr_bytes(&addr.addr), filter) ||
            (filter->rested && pc_cache_rests(&addr, now_ms)))
            continue;
        int32_t score = pc_cache_score(&addr.history, now_ms);
        bool lately = failed_lately(&addr.history, now_ms);
        int32_t rank = lately ? score - RECENT_PENALTY : score;
        if (found && rank <= ret_drawn->rank)
            continue;
        struct pc_netgroup group = pc_addr_netgroup(pc_addr_maddr_bytes(&addr.addr), set->options.mode);
        *ret_drawn = (struct pc_drawn){
            .peer = peer,
            .group = hash_group(&group),
            .source_group = hash_group(&addr.source_group),
            .score = score,
            .rank = rank,
            .addr = i,
            .state = peer->state,
            .failed_lately = lately,
        };
        found = true;
    }
    return found;
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

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A walk over all of `count` in an order drawn by lot, without memory: a start, and a stride that has no
 * divisor in common with it. */
static uint64_t draw_stride(struct pc_rng *rng, uint64_t count)
{
    uint64_t stride = 1;
    if (count > 2) {
        do
            stride = 1 + pc_base_rng_below(rng, count - 1);
        while (common_divisor(stride, count) != 1);
    }
    return stride;
}

/* A walk over the buckets of a table that goes on where it stopped: one peer of each, then a second one, and so
 * on. */
struct walk {
    const struct pc_cache_table *table;
    uint64_t start;
    uint64_t stride;
    uint32_t lot;   /* which one of a bucket is its first */
    uint64_t at;    /* in the list of buckets */
    uint64_t steps; /* of this round */
    uint32_t round;
    size_t left; /* peers to look at */
};

static const struct pc_cache_peer *walk_next(struct walk *walk)
{
    const struct pc_cache_table *table = walk->table;
    while (walk->left > 0) {
        uint32_t number = table->occupied[walk->at];
        const struct pc_cache_bucket *bucket = &table->buckets[number];
        uint32_t round = walk->round;
        walk->at = (walk->at + walk->stride) % table->occupied_count;
        if (++walk->steps == table->occupied_count) {
            walk->steps = 0;
            walk->at = walk->start;
            walk->round++;
        }
        if (round >= bucket->count)
            continue;
        walk->left--;
        return bucket->peers[((walk->lot ^ number * SPREAD_ODD) % bucket->count + round) % bucket->count];
    }
    return NULL;
}

/* What is looked at next: peers lie all over memory, so that many are fetched while others are looked at. */
static size_t look_ahead(struct walk *walk, const struct pc_cache_peer **ret_peers, size_t count)
{
    size_t found = 0;
    for (; found < count; found++) {
        ret_peers[found] = walk_next(walk);
        if (!ret_peers[found])
            break;
        pc_cache_peer_prefetch(ret_peers[found]);
    }
    return found;
}

static size_t draw(const struct pc_cache_set *set, const struct pc_cache_table *table, struct pc_rng *rng,
                   int64_t now_ms, const struct pc_pick_filter *filter, size_t most,
                   struct pc_drawn *ret_drawn)
{
    const struct pc_cache_peer *peers[LOOK_AHEAD];
    size_t drawn = 0, found;
    if (table->count == 0 || most == 0)
        return 0;
    struct walk walk = { .table = table };
    walk.at = walk.start = pc_base_rng_below(rng, table->occupied_count);
    walk.stride = draw_stride(rng, table->occupied_count);
    walk.lot = (uint32_t)pc_base_rng_u64(rng);
    walk.left = smaller(table->count, larger(most * DRAW_PER_PICK, VISITS_MIN));
    while ((found = look_ahead(&walk, peers, smaller(LOOK_AHEAD, most - drawn))) > 0) {
        for (size_t i = 0; i < found; i++) {
            if (!consider(set, peers[i], now_ms, filter, &ret_drawn[drawn]))
                continue;
            ret_drawn[drawn].lot = (uint8_t)pc_base_rng_below(rng, LOT);
            ret_drawn[drawn].rank += ret_drawn[drawn].lot;
            drawn++;
        }
    }
    return drawn;
}

static void spread(struct pc_drawn *drawn, size_t count, struct tally *tallies, size_t slots)
{
    struct tally *groups = tallies;
    struct tally *sources = tallies + slots;
    for (size_t i = 0; i < count; i++)
        drawn[i].order = (uint32_t)i;
    qsort(drawn, count, sizeof(*drawn), by_rank);
    for (size_t i = 0; i < count; i++) {
        if (drawn[i].group)
            drawn[i].group_before = tally_up(groups, slots, drawn[i].group);
        if (drawn[i].source_group)
            drawn[i].source_before = tally_up(sources, slots, drawn[i].source_group);
        drawn[i].rank -=
            (int32_t)(GROUP_PENALTY * drawn[i].group_before + SOURCE_GROUP_PENALTY * drawn[i].source_before);
    }
    qsort(drawn, count, sizeof(*drawn), by_rank);
}

/* Mark the best `count` of one state; how many were marked. */
static size_t choose(struct pc_drawn *drawn, size_t drawn_count, peercache_state state, size_t count)
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

/* One whose place is waited for, in the draw or added to it, where there is room for one more. */
static size_t add_contested(const struct pc_cache_set *set, int64_t now_ms,
                            const struct pc_pick_filter *filter, struct pc_drawn *drawn, size_t *total)
{
    for (size_t i = 0; i < set->contest_count; i++) {
        const struct pc_cache_contest *contest = &set->contests[i];
        const struct pc_cache_peer *peer = pc_cache_peer_find(set, pc_cache_key_bytes(&contest->incumbent));
        size_t at = 0;
        if (!peer || peer->state != PEERCACHE_TRIED ||
            pc_base_time_sub(now_ms, contest->since_ms) > PC_CACHE_CONTEST_MS)
            continue;
        while (at < *total && drawn[at].peer != peer)
            at++;
        if (at == *total && !consider(set, peer, now_ms, filter, &drawn[at]))
            continue;
        if (drawn[at].failed_lately) /* it is being tested */
            continue;
        *total += at == *total;
        drawn[at].is_contested = true;
        drawn[at].chosen = true;
        return 1;
    }
    return 0;
}

int pc_cache_pick_run(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms,
                      const struct pc_pick_filter *filter, size_t count, struct pc_drawn **ret_drawn,
                      size_t *ret_total)
{
    const struct pc_cache_table *fresh = &set->tables[PEERCACHE_NEW];
    const struct pc_cache_table *tried = &set->tables[PEERCACHE_TRIED];
    size_t share = count >= NEW_SHARE_FROM ? (count + NEW_SHARE - 1) / NEW_SHARE : 0;
    bool is_filtered = filter->quic_only || filter->transports || filter->families || filter->left_out_count;
    size_t new_wanted = is_filtered ? count : larger(share, count - smaller(count, tried->count));
    size_t most_tried = smaller(tried->count, larger(count * DRAW_PER_PICK, DRAW_MIN));
    size_t most_fresh = smaller(fresh->count, larger(new_wanted * DRAW_PER_PICK, DRAW_MIN_NEW));
    size_t slots = 16;
    while (slots < 2 * (most_tried + most_fresh))
        slots *= 2;
    struct pc_drawn *drawn = calloc(most_tried + most_fresh + 1, sizeof(*drawn));
    struct tally *tallies = calloc(2 * slots, sizeof(*tallies));
    if (!drawn || !tallies) {
        free(drawn);
        free(tallies);
        return PEERCACHE_ENOMEM;
    }
    size_t total = draw(set, tried, rng, now_ms, filter, most_tried, drawn);
    total += draw(set, fresh, rng, now_ms, filter, most_fresh, drawn + total);
    spread(drawn, total, tallies, slots);
    free(tallies);

    size_t chosen = count >= NEW_SHARE_FROM ? add_contested(set, now_ms, filter, drawn, &total) : 0;
    chosen += choose(drawn, total, PEERCACHE_NEW, share);
    chosen += choose(drawn, total, PEERCACHE_TRIED, count - chosen);
    (void)choose(drawn, total, PEERCACHE_NEW, count - chosen);
    *ret_drawn = drawn;
    *ret_total = total;
    return 0;
}

void pc_cache_pick_give(const struct pc_cache_peer *peer, uint8_t addr, int32_t score,
                        struct pc_pick *ret_pick)
{
    struct pc_record record;
    pc_cache_peer_unpack(peer, &record);
    memset(ret_pick, 0, sizeof(*ret_pick));
    ret_pick->id.size = record.id.size;
    memcpy(ret_pick->id.bytes, record.id.bytes, record.id.size);
    ret_pick->addr.size = record.addrs[addr].addr.size;
    memcpy(ret_pick->addr.bytes, record.addrs[addr].addr.bytes, ret_pick->addr.size);
    ret_pick->state = (peercache_state)peer->state;
    ret_pick->score = score;
    ret_pick->rtt_us = record.addrs[addr].history.rtt_us;
}

int pc_cache_set_pick_filtered(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms,
                               const struct pc_pick_filter *filter, struct pc_pick *ret_picks, size_t count,
                               size_t *ret_count)
{
    static const struct pc_pick_filter anyone;
    struct pc_drawn *drawn;
    size_t total, given = 0;
    now_ms = pc_base_time_max(set->now_ms, now_ms);
    count = smaller(count, PC_CACHE_PICK_MAX);
    if (count == 0 || set->by_key.count == 0) {
        *ret_count = 0;
        return 0;
    }
    int result = pc_cache_pick_run(set, rng, now_ms, filter ? filter : &anyone, count, &drawn, &total);
    if (result)
        return result;
    for (size_t i = 0; i < total; i++)
        if (drawn[i].chosen)
            pc_cache_pick_give(drawn[i].peer, drawn[i].addr, drawn[i].score, &ret_picks[given++]);
    free(drawn);
    *ret_count = given;
    return 0;
}

size_t pc_cache_set_pick(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms, bool quic_only,
                         struct pc_pick *ret_picks, size_t count)
{
    const struct pc_pick_filter filter = { .quic_only = quic_only };
    size_t given = 0;
    return pc_cache_set_pick_filtered(set, rng, now_ms, &filter, ret_picks, count, &given) ? 0 : given;
}

size_t pc_cache_set_to_test(const struct pc_cache_set *set, int64_t now_ms, struct pc_pick *ret_picks,
                            size_t count)
{
    static const struct pc_pick_filter anyone;
    size_t given = 0;
    now_ms = pc_base_time_max(set->now_ms, now_ms);
    for (size_t i = 0; i < set->contest_count && given < count; i++) {
        const struct pc_cache_contest *contest = &set->contests[i];
        const struct pc_cache_peer *peer = pc_cache_peer_find(set, pc_cache_key_bytes(&contest->incumbent));
        struct pc_drawn drawn;
        if (!peer || peer->state != PEERCACHE_TRIED ||
            pc_base_time_sub(now_ms, contest->since_ms) > PC_CACHE_CONTEST_MS ||
            !consider(set, peer, now_ms, &anyone, &drawn))
            continue;
        pc_cache_pick_give(peer, drawn.addr, drawn.score, &ret_picks[given++]);
    }
    return given;
}
