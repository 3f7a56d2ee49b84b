/* How news reaches the working set: shared by set.c (what is heard of) and report.c (what became of dials). */
#ifndef PC_CACHE_NEWS_H
#define PC_CACHE_NEWS_H

#include "cache/set_internal.h"

/* What is known of an address of a peer. */
struct pc_known {
    uint64_t hash;               /* of its key */
    struct pc_cache_peer *peer;  /* NULL: not in */
    struct pc_record record;     /* unpacked; empty when not in */
    struct pc_record_addr *addr; /* in the record; NULL: not this address */
};

/* The set's time never goes back. */
int64_t pc_cache_advance(struct pc_cache_set *set, int64_t now_ms);
struct pc_cache_peer *pc_cache_find_peer(const struct pc_cache_set *set, const struct pc_peer_id *id,
                                         struct pc_bytes addr);
bool pc_cache_is_own_addr(const struct pc_cache_set *set, struct pc_bytes addr);
bool pc_cache_is_own_id(const struct pc_cache_set *set, const struct pc_peer_id *id);
/* The bare address, as it is kept: without /p2p/ID, IPv4-mapped as IPv4. Whether it may be kept is not asked. */
bool pc_cache_normal_addr(struct pc_bytes addr, struct pc_maddr *ret_addr);
void pc_cache_look_up(const struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                      struct pc_known *ret_known);
/* A delta about a known address, dated by what is known of it. */
void pc_cache_delta_of(const struct pc_known *known, struct pc_delta *ret_delta);
/* One piece of news, onto the record in memory and to the deltas that wait; what was looked up is used up. What
 * has no room in memory is told to the store all the same when it is verified. ENOMEM; ELIMIT. */
int pc_cache_take_news(struct pc_cache_set *set, struct pc_known *known, const struct pc_delta *delta,
                       int64_t now_ms);
/* A delta of this key waits for the store; `peer` is its own, NULL when it is not in. ENOMEM; ELIMIT. */
int pc_cache_let_wait(struct pc_cache_set *set, struct pc_cache_peer *peer, uint64_t hash,
                      const struct pc_delta *delta);
/* An address of a peer, or all of a peer (`addr` empty), goes. */
int pc_cache_put_tombstone(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                           int64_t last_seen_ms, int64_t now_ms);

#endif
