/* Whom the policies of pruning name. */
#ifndef PC_CACHE_PRUNE_H
#define PC_CACHE_PRUNE_H

#include "cache/bucket.h"

struct pc_prune_rules {
    uint32_t policies; /* bits of PEERCACHE_PRUNE_…; CAPACITY is not a matter of one record */
    int64_t retention_ms;
    /* By schedule, nobody asked: unreliable then is (unless seed_rule) only who had no success in three dials or
     * more, or none for seven days in ten failures or more; and stale only who was dialled in vain since. */
    bool gently;
    bool seed_rule;
};

/* The policy that names this record, the first of unreliable and stale; 0: none. All its addresses must fall
 * under it. */
uint32_t pc_cache_prune_judge(const struct pc_record *record, const struct pc_prune_rules *rules,
                              int64_t now_ms);

#endif
