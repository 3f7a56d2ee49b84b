/*
 * Where an import puts what it reads.
 *
 * Untrusted, an address goes the way of every newcomer, told by the one source that all imports are.
 *
 * Trusted, it is laid over what is known: counts are raised to those of the document and never added to them,
 * so that importing the same document again, or what another process already took in, counts nothing twice;
 * times, round-trip times and sources merge as ever. On disk this is a delta of what is missing, committed in
 * batches straight to the store, for the working set is only a part of it.
 */
#ifndef PC_LIBRARY_IMPORT_MERGE_H
#define PC_LIBRARY_IMPORT_MERGE_H

#include "base/map.h"
#include "cache/pack.h"
#include "library/handle.h"

/* A peer of the batch, as it will be. */
struct pc_library_batch_peer {
    struct pc_map_node node;
    struct pc_cache_key key;
    struct pc_record record;
};

struct pc_library_merge {
    peercache *cache;
    bool trust;
    struct pc_delta *deltas;             /* PC_CACHE_BATCH_MAX; only of the trusted, to a store */
    struct pc_library_batch_peer *peers; /* as many */
    size_t delta_count, peer_count;
    struct pc_map by_key;
};

/* ENOMEM; deinit in any case. */
int pc_library_merge_init(struct pc_library_merge *merge, peercache *cache, bool trust);
void pc_library_merge_deinit(struct pc_library_merge *merge);
/* One address, storable as it is; trusted, `state` is its peer's, if it was ever verified. *ret_known: the cache has it already. ELIMIT no room; EPERM banned; ENOMEM;
 * those of flush, and then nothing more may be put. */
int pc_library_merge_put(struct pc_library_merge *merge, const struct pc_peer_id *id,
                         const struct pc_record_addr *addr, peercache_state state, bool *ret_known);
/* Commit what is left, and let the working set know of it. */
int pc_library_merge_finish(struct pc_library_merge *merge);

#endif
