/* The handle of libpeercache, and what the files of this room share. */
#ifndef PC_LIBRARY_HANDLE_H
#define PC_LIBRARY_HANDLE_H

#include "base/rng.h"
#include "cache/set.h"
#include "store/store.h"

#include <peercache/peercache.h>

struct peercache {
    struct pc_store *store; /* NULL: in memory only */
    struct pc_cache_set *set;
    struct pc_rng rng;
    char *network;
    enum pc_netgroup_mode mode;
    uint32_t peers_max;
    bool read_only;
    int64_t now_ms;
    uint64_t sequence; /* of the last batch committed */
    struct pc_reason error;
};

/* Keep "what: text of the result" as the text of the failure, and return the result. */
int pc_library_fail(peercache *cache, int result, const char *what);
/* The same with the store's own text. */
int pc_library_fail_in_store(peercache *cache, int result);
/* A handle whose open failed can only be asked why, and closed: ESTATE. */
int pc_library_refuse_unopened(peercache *cache);
/* The time of the handle never goes back. */
int64_t pc_library_advance(peercache *cache, peercache_time now);
/* Take the best of what is on disk into memory. Nothing to do in memory only. */
int pc_library_load(peercache *cache);
/* Every record, as peercache_iterate. */
int pc_library_walk(peercache *cache, pc_store_visit visit, void *context);

#endif
