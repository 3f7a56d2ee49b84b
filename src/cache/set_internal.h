/* What the files of the working set share. */
#ifndef PC_CACHE_SET_INTERNAL_H
#define PC_CACHE_SET_INTERNAL_H

#include "cache/bucket.h"
#include "cache/pending.h"
#include "cache/set.h"

/* A peer as kept: its key, then its addresses packed. */
struct pc_cache_peer {
    struct pc_map_node node;
    struct pc_pending *waiting; /* the first of its deltas that wait */
    uint32_t bucket;            /* all its bits */
    uint16_t place;             /* in its bucket */
    uint16_t day;               /* its standing, with the class */
    uint16_t packed_size;
    uint16_t packed_capacity;
    uint8_t key_size;
    uint8_t state;
    uint8_t addr_count;
    uint8_t class;
    uint8_t bytes[];
};

struct pc_cache_bucket {
    struct pc_cache_peer **peers; /* in no order, without gaps */
    uint16_t count;
    uint16_t capacity;
    uint32_t occupied; /* its place in the list of those that are not empty */
};

/* The peers of one state, by buckets. */
struct pc_cache_table {
    struct pc_cache_bucket *buckets;
    uint32_t *occupied; /* the buckets that are not empty, in no order */
    size_t occupied_count;
    size_t count; /* of peers */
};

/* A verified newcomer that met a full bucket, and the one whose place it gets when that one fails its test.
 */
struct pc_cache_contest {
    struct pc_cache_key newcomer;
    struct pc_cache_key incumbent;
    int64_t since_ms;
};

struct pc_cache_held {
    struct pc_peer_id id;
    struct pc_maddr addr;
    peercache_outcome outcome;
    uint32_t count;
    int64_t at_ms;
};

struct pc_cache_set {
    struct pc_cache_set_options options;
    int64_t now_ms;  /* the latest that was given */
    uint64_t losses; /* set.h */
    struct pc_cache_quota quota;
    struct pc_map by_key;
    struct pc_cache_table tables[PEERCACHE_STATE_COUNT];
    struct pc_cache_contest contests[PC_CACHE_CONTESTS_MAX]; /* the oldest first */
    size_t contest_count;
    struct pc_bans bans;
    struct pc_rate total_rate;
    struct pc_rate *source_rates; /* by the hash of the source; NULL until the first */
    struct pc_rng lots;           /* for whom to displace; from the store's secret, so that runs repeat */

    struct pc_pending_table waiting;
    struct pc_pending_table out; /* the batch given out, or to be given out again */
    struct pc_delta *batch;      /* out, unpacked; NULL when there is none */
    size_t batch_count;
    bool batch_is_out;
    bool batch_failed; /* when it was given out before: it may be in the store all the same */

    struct pc_cache_held *held; /* a ring */
    size_t held_first;
    size_t held_count;

    struct pc_maddr own_addrs[PC_CACHE_OWN_ADDRS_MAX];
    size_t own_addr_count;

    struct pc_record *found;  /* what find gave out last */
    struct pc_record *walked; /* what next gave out last */
};

/* By which rules an address may be stored. */
static inline enum pc_netgroup_mode pc_cache_storable_mode(const struct pc_cache_set *set)
{
    return set->options.admits_private ? PC_NETGROUP_LOCAL : set->options.mode;
}
static inline struct pc_bytes pc_cache_peer_key(const struct pc_cache_peer *peer)
{
    return pc_bytes_of(peer->bytes, peer->key_size);
}
static inline struct pc_cache_standing pc_cache_peer_standing(const struct pc_cache_peer *peer)
{
    return (struct pc_cache_standing){ peer->class, peer->day };
}
static inline struct pc_bytes pc_cache_peer_packed(const struct pc_cache_peer *peer)
{
    return pc_bytes_of(peer->bytes + peer->key_size, peer->packed_size);
}
/* Its lines of the processor's cache (a long one has more than three) are fetched at once and not one by one. */
static inline void pc_cache_peer_prefetch(const struct pc_cache_peer *peer)
{
    for (size_t at = 0; at < 3 * 64; at += 64)
        __builtin_prefetch((const char *)peer + at);
}
void pc_cache_peer_unpack(const struct pc_cache_peer *peer, struct pc_record *ret_record);

#endif
