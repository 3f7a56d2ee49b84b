/*
 * Deltas waiting to be committed: one for each address of each peer, in the order in which they came. Those of
 * one peer are chained in their order, and whoever keeps the peer keeps the first of them (the `owner`, below), so
 * that news of a peer that is known needs no second search; of all others the table keeps it, by their key.
 */
#ifndef PC_CACHE_PENDING_H
#define PC_CACHE_PENDING_H

#include "base/map.h"
#include "cache/pack.h"

/* Not packed, so that news is merged where it lies. What most don't have takes no room: 176 bytes for news of an
 * address without failures, 224 with. */
struct pc_pending {
    struct pc_map_node
        node; /* in the map: the first of a peer without owner; the hash is that of the key in all */
    struct pc_pending *sibling; /* the next of the same peer */
    struct pc_pending *earlier; /* in the order of coming, over all peers */
    struct pc_pending *later;
    int64_t removed_ms;
    int64_t first_seen_ms;
    int64_t last_seen_ms;
    int64_t last_success_ms;
    int64_t last_attempt_ms;
    int64_t rtt_at_ms;
    uint32_t rtt_us;
    uint32_t success_count;
    uint32_t failure_count;
    uint8_t source;
    uint8_t state; /* when trusted */
    bool trusted : 1;
    bool only_if_known : 1;
    bool has_failures : 1; /* room for them by kind */
    uint8_t addr_size;
    uint8_t key_size;
    uint8_t group_size;
    uint8_t proven_size;
    uint8_t bytes[]; /* address, key, group of the source, proven id, failures by kind */
};

struct pc_pending_table {
    struct pc_map ownerless;
    struct pc_pending *first;
    struct pc_pending *last;
    size_t count;
};

/* ENOMEM. */
int pc_cache_pending_init(struct pc_pending_table *table, const uint8_t secret[16]);
/* Frees the deltas too; the table may be filled again. */
void pc_cache_pending_deinit(struct pc_pending_table *table);
/* A peer comes in: the first of its deltas (NULL: none wait), which it owns from now on. `hash` here and below is
 * that of the key, as maps of the table's secret hash it. */
struct pc_pending *pc_cache_pending_hand_over(struct pc_pending_table *table, struct pc_bytes key,
                                              uint64_t hash);
/* It leaves: they have no owner again. */
void pc_cache_pending_take_back(struct pc_pending_table *table, struct pc_pending *first);
/*
 * In all that follows `owner` is where the first of the peer's deltas is kept; NULL: the table keeps it.
 *
 * Add news, merged with what waits for the same address of the same peer. ENOMEM: nothing changed; ELIMIT: too
 * many addresses of this peer wait.
 */
int pc_cache_pending_add(struct pc_pending_table *table, struct pc_pending **owner, uint64_t hash,
                         const struct pc_delta *delta);
/* The first of a peer without owner, NULL when none; the others by ->sibling. */
struct pc_pending *pc_cache_pending_of(const struct pc_pending_table *table, struct pc_bytes key,
                                       uint64_t hash);
static inline struct pc_bytes pc_cache_pending_key(const struct pc_pending *pending)
{
    return pc_bytes_of(pending->bytes + pending->addr_size, pending->key_size);
}
/* Its lines of the processor's cache are fetched while something else is done. */
static inline void pc_cache_pending_prefetch(const struct pc_pending *pending)
{
    for (size_t at = 0; pending && at < 3 * 64; at += 64)
        __builtin_prefetch((const char *)pending + at);
}
void pc_cache_pending_unpack(const struct pc_pending *pending, struct pc_delta *ret_delta);
/* Forget all that waits of a peer; `key` and `hash` are of one without owner. */
void pc_cache_pending_drop(struct pc_pending_table *table, struct pc_pending **owner, struct pc_bytes key,
                           uint64_t hash);
/* Move the earliest, whose peer has this owner, to another table of the same secret, which keeps it itself. ENOMEM:
 * nothing changed. */
int pc_cache_pending_move_first(struct pc_pending_table *from, struct pc_pending **owner,
                                struct pc_pending_table *to);

#endif
