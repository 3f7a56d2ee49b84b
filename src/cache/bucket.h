/*
 * Buckets and quotas, after Bitcoin Core's addrman; docs/cache.md has the shares as formulas and as a table.
 *
 * A bucket is a number of 32 bits, hashed under the secret of the store; a cache of `peers_max` reads its first
 * bits only. (A file has buckets of its own number, which only grows.)
 *
 *     tried:  first 8 bits:   H(group, H(group, source) mod 4)     a group reaches 4 of 256
 *     new:    first 10 bits:  H(source, H(group, source) mod 32)   a source reaches 32 of 1024,
 *                                                                  and one group from it 1
 *     the other bits:         H(peer), so that large caches split each of them evenly
 *
 * `source` is the group of whoever told us. One that nobody told (a flag, a peer that came by itself) speaks
 * for itself: its own group is its source. All imports are one source.
 */
#ifndef PC_CACHE_BUCKET_H
#define PC_CACHE_BUCKET_H

#include "cache/record.h"

#define PC_CACHE_BUCKETS_NEW            1024
#define PC_CACHE_BUCKETS_TRIED          256
#define PC_CACHE_NEW_BUCKETS_OF_SOURCE  32
#define PC_CACHE_TRIED_BUCKETS_OF_GROUP 4
#define PC_CACHE_BUCKET_CAPACITY_MIN    4
#define PC_CACHE_BUCKET_CAPACITY_MAX    64

/*
 * The room of a cache. The tried have half of it; the new all that the tried leave. The buckets of each state
 * have places for twice its room, so that peers of many groups are not turned away by the lot of the hash.
 */
struct pc_cache_quota {
    uint32_t peers_max;
    uint32_t tried_max;                       /* half, one at least */
    uint8_t bits[PEERCACHE_STATE_COUNT];      /* there are 2^bits buckets */
    uint16_t capacity[PEERCACHE_STATE_COUNT]; /* of each */
};

/* peers_max from 1 up to ten million. */
void pc_cache_quota_init(struct pc_cache_quota *ret_quota, uint32_t peers_max);
/* The same with buckets that are there already: their capacity follows. */
void pc_cache_quota_init_bits(struct pc_cache_quota *ret_quota, uint32_t peers_max,
                              const uint8_t bits[PEERCACHE_STATE_COUNT]);
/* Which of the buckets of this cache a bucket is. */
static inline uint32_t pc_cache_quota_bucket(const struct pc_cache_quota *quota, peercache_state state,
                                             uint32_t bucket)
{
    return (uint32_t)((uint64_t)bucket >> (32 - quota->bits[state]));
}

/* The keyed hash of a group alone. */
uint64_t pc_cache_hash_group(const uint8_t secret[16], const struct pc_netgroup *group);
/* The slots among which the hash of a pair chooses: the buckets that a group (tried) or a source (new) reaches,
 * of those with the first bits. A smaller cache has fewer of both, so that the share stays. */
uint32_t pc_cache_bucket_slots(const struct pc_cache_quota *quota, peercache_state state);
/* The first bits, of a peer of this group told by this source (whose group is empty when nobody told). */
uint32_t pc_cache_bucket_of(const struct pc_cache_quota *quota, const uint8_t secret[16],
                            peercache_state state, const struct pc_netgroup *group, peercache_source source,
                            const struct pc_netgroup *source_group);
/* The bucket of a record in this state: by the address known longest (the least in bytes of several), so that
 * it stays put while others come and go. 0 for a record without addresses. */
uint32_t pc_cache_bucket_of_record(const struct pc_cache_quota *quota, const uint8_t secret[16],
                                   enum pc_netgroup_mode mode, const struct pc_record *record,
                                   peercache_state state);

/*
 * The order within a bucket: by class, then by the day of the last success (tried) or sighting (new). Neither
 * changes with the passing of time, so that it can stand in an index.
 */
enum pc_cache_class {
    PC_CACHE_CLASS_DEAD,    /* three failures or more and never a success */
    PC_CACHE_CLASS_DOUBTED, /* a failure or two, never a success */
    PC_CACHE_CLASS_UNTESTED,
    PC_CACHE_CLASS_POOR, /* successes, but three times as many failures */
    PC_CACHE_CLASS_MIXED,
    PC_CACHE_CLASS_GOOD,   /* more successes than failures */
    PC_CACHE_CLASS_STEADY, /* eight successes or more, three times the failures */
};
struct pc_cache_standing {
    uint8_t class;
    uint16_t day; /* since 1970 */
};
/* Of a record in its state: the class of its best address. */
struct pc_cache_standing pc_cache_standing_of(const struct pc_record *record);
static inline int pc_cache_standing_compare(struct pc_cache_standing a, struct pc_cache_standing b)
{
    return a.class != b.class ? (int)a.class - (int)b.class : (int)a.day - (int)b.day;
}

/* A success is known of one of its addresses: the record may be tried, when a place is free. */
bool pc_cache_record_is_verified(const struct pc_record *record);

#endif
