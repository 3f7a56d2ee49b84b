/*
 * Deltas waiting to be committed: one for each address of each peer, in the order in which they came. Found by
 * the peer's key; those of one peer are chained in their order.
 */
#ifndef PC_CACHE_PENDING_H
#define PC_CACHE_PENDING_H

#include "base/map.h"
#include "cache/pack.h"

/* Not packed, so that news is merged where it lies; what one address of one peer takes: about 240 bytes. */
struct pc_pending {
    struct pc_map_node node;    /* in the map: the first of its peer only; the hash is that of the key in all */
    struct pc_pending *sibling; /* the next of the same peer */
    struct pc_pending *earlier; /* in the order of coming, over all peers */
    struct pc_pending *later;
    int64_t removed_ms;
    int64_t first_seen_ms;
    struct pc_history history;
    struct pc_netgroup source_group;
    uint8_t source;
    uint8_t state; /* when trusted */
    bool trusted;
    bool only_if_known;
    uint8_t addr_size;
    uint8_t key_size;
    uint8_t proven_size;
    uint8_t bytes[]; /* address, key, proven id */
};

struct pc_pending_table {
    struct pc_map by_peer;
    struct pc_pending *first;
    struct pc_pending *last;
    size_t count;
};

void pc_cache_pending_init(struct pc_pending_table *table, const uint8_t secret[16]);
/* Frees the deltas too. */
void pc_cache_pending_deinit(struct pc_pending_table *table);
/*
 * Add news, merged with what waits for the same address of the same peer. `hash` is that of its key, as maps of
 * the table's secret hash it. *first_of_peer: the first that waits of this peer, NULL when that was not looked
 * up; then it is, and afterwards it is what it is now. ENOMEM: nothing changed; ELIMIT: too many addresses of
 * this peer wait.
 */
int pc_cache_pending_add(struct pc_pending_table *table, const struct pc_delta *delta, uint64_t hash,
                         struct pc_pending **first_of_peer);
/* The first of a peer, NULL when none; the others by ->sibling. */
struct pc_pending *pc_cache_pending_of(const struct pc_pending_table *table, struct pc_bytes key);
static inline struct pc_bytes pc_cache_pending_key(const struct pc_pending *pending)
{
    return pc_bytes_of(pending->bytes + pending->addr_size, pending->key_size);
}
void pc_cache_pending_unpack(const struct pc_pending *pending, struct pc_delta *ret_delta);
/* Forget all that waits of a peer. */
void pc_cache_pending_drop(struct pc_pending_table *table, struct pc_bytes key);
/* Move the earliest from one table to another of the same secret. ENOMEM: nothing changed. */
int pc_cache_pending_move_first(struct pc_pending_table *from, struct pc_pending_table *to);

#endif
