/* The peers of the working set as they are kept. */
#ifndef PC_CACHE_PEERS_H
#define PC_CACHE_PEERS_H

#include "cache/set_internal.h"

struct pc_bytes pc_cache_peer_key_of_node(const struct pc_map_node *node);
struct pc_cache_peer *pc_cache_peer_find(const struct pc_cache_set *set, struct pc_bytes key);
/* The same by the hash of the key in the set's maps. */
struct pc_cache_peer *pc_cache_peer_find_hashed(const struct pc_cache_set *set, struct pc_bytes key,
                                                uint64_t hash);
void pc_cache_peer_drop(struct pc_cache_set *set, struct pc_cache_peer *peer);
/*
 * Keep a record in the place of *known, which is NULL when its peer is not in, and afterwards what is kept now;
 * `hash` is that of its key. A record without addresses takes the peer out. Its state becomes what it wins: verified, it is tried as soon as its bucket has a place
 * free; till then it stays new, and a contest is on. `trusted`: as it comes from the store, its state stands,
 * and only the cap of all peers turns it away. ENOMEM; ELIMIT no room; nothing changed then but that another
 * one may have been displaced for it.
 */
int pc_cache_peer_put(struct pc_cache_set *set, struct pc_cache_peer **known, uint64_t hash,
                      struct pc_record *record, bool trusted);
/* The same of one that is in, of which only the history of its addresses changed. */
int pc_cache_peer_update(struct pc_cache_set *set, struct pc_cache_peer **known, uint64_t hash,
                         struct pc_record *record);
/* The tests that contests wait for. A success: the contest is over. A failure: the places are changed, when
 * the newcomer is still there; ENOMEM, then later. */
int pc_cache_peer_tested(struct pc_cache_set *set, struct pc_bytes key, bool succeeded);
/* The next in a walk that begins with NULL: the new, then the tried, bucket by bucket; NULL at the end. */
const struct pc_cache_peer *pc_cache_peer_next(const struct pc_cache_set *set,
                                               const struct pc_cache_peer *peer);
/* The keys of those that are wanted, so that what is done to them may move or drop others. The caller frees
 * them. ENOMEM. */
int pc_cache_peers_collect(const struct pc_cache_set *set,
                           bool (*wanted)(const void *context, struct pc_record *record), const void *context,
                           struct pc_cache_key **ret_keys, size_t *ret_count);

#endif
