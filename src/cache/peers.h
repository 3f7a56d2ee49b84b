/* The peers of the working set as they are kept. */
#ifndef PC_CACHE_PEERS_H
#define PC_CACHE_PEERS_H

#include "cache/set_internal.h"

struct pc_bytes pc_cache_peer_key_of_node(const struct pc_map_node *node);
struct pc_cache_peer *pc_cache_peer_find(const struct pc_cache_set *set, struct pc_bytes key);
void pc_cache_peer_drop(struct pc_cache_set *set, struct pc_cache_peer *peer);
/*
 * Keep a record (its bucket is set) in the place of `known`, which is NULL when its peer is not in. A record
 * without addresses takes the peer out. ENOMEM, ELIMIT the set is full: nothing changed but, of a newcomer,
 * that one may have been displaced for it.
 */
int pc_cache_peer_put(struct pc_cache_set *set, struct pc_cache_peer *known, struct pc_record *record,
                      int64_t now_ms);
/* The best score of its addresses. */
int32_t pc_cache_record_score(const struct pc_record *record, int64_t now_ms);

#endif
