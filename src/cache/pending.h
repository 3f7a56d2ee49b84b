/*
 * Deltas waiting to be committed: one for each address of each peer, in the order in which they came, packed.
 * Found by the peer's key; those of one peer are chained in their order.
 */
#ifndef PC_CACHE_PENDING_H
#define PC_CACHE_PENDING_H

#include "base/map.h"
#include "cache/pack.h"

struct pc_pending {
    struct pc_map_node node;    /* in the map: the first of its peer only */
    struct pc_pending *sibling; /* the next of the same peer */
    struct pc_pending *earlier; /* in the order of coming, over all peers */
    struct pc_pending *later;
    int64_t removed_ms;
    uint16_t packed_size;
    uint8_t key_size;
    uint8_t proven_size;
    bool only_if_known;
    bool trusted;
    uint8_t state;   /* when trusted */
    uint8_t bytes[]; /* key, proven id, packed address */
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
 * Add news, merged with what waits for the same address of the same peer. ENOMEM: nothing changed; ELIMIT:
 * too many addresses of this peer wait.
 */
int pc_cache_pending_add(struct pc_pending_table *table, const struct pc_delta *delta);
/* The first of a peer, NULL when none; the others by ->sibling. */
struct pc_pending *pc_cache_pending_of(const struct pc_pending_table *table, struct pc_bytes key);
void pc_cache_pending_unpack(const struct pc_pending *pending, struct pc_delta *ret_delta);
/* Forget all that waits of a peer. */
void pc_cache_pending_drop(struct pc_pending_table *table, struct pc_bytes key);
/* Move the earliest from one table to another. ENOMEM: nothing changed. */
int pc_cache_pending_move_first(struct pc_pending_table *from, struct pc_pending_table *to);

#endif
