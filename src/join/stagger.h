/* How long endpoints wait for the cache: long enough to spare them where the cache serves, never longer than
 * its last result deserves. */
#ifndef PC_JOIN_STAGGER_H
#define PC_JOIN_STAGGER_H

#include "base/time.h"

#include <stdint.h>

#define PC_JOIN_STAGGER_MAX_US  (500 * PC_US_PER_MS)
#define PC_JOIN_STAGGER_EACH_US (100 * PC_US_PER_MS) /* for every peer that the cache verified last time */
#define PC_JOIN_CACHE_OLD_MS    (24 * 3600 * INT64_C(1000)) /* half of new peers are gone after hours */

/* What the cache was worth last time. */
struct pc_join_memory {
    uint32_t candidates;    /* that it can offer now */
    int64_t age_ms;         /* since its last success */
    uint32_t last_verified; /* peers from the cache that the last join verified */
};

/* 0 when it is empty, old, or verified nothing last time. */
static inline int64_t pc_join_stagger_us(const struct pc_join_memory *memory)
{
    if (memory->candidates == 0 || memory->age_ms > PC_JOIN_CACHE_OLD_MS)
        return 0;
    return pc_base_time_min(memory->last_verified * PC_JOIN_STAGGER_EACH_US, PC_JOIN_STAGGER_MAX_US);
}

#endif
