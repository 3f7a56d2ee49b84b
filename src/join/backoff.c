/* The arithmetic of waiting: see backoff.h. */
#include "join/backoff.h"

#include <assert.h>

#define JITTER_PART 8

int64_t pc_join_backoff_decorrelated(struct pc_rng *rng, int64_t base_us, int64_t cap_us, int64_t before_us)
{
    assert(base_us > 0 && base_us <= cap_us);
    int64_t from_us = pc_base_time_max(base_us, pc_base_time_min(before_us, cap_us));
    int64_t top_us = from_us > cap_us / 3 ? cap_us : 3 * from_us;
    return base_us + (int64_t)pc_base_rng_below(rng, (uint64_t)(top_us - base_us) + 1);
}

int64_t pc_join_backoff_squared(struct pc_rng *rng, uint32_t failures)
{
    int64_t n = failures < 1000 ? failures : 1000; /* its square is far over the cap already */
    int64_t wait_us =
        pc_base_time_min(PC_JOIN_DIAL_BACKOFF_BASE_US + n * n * PC_US_PER_S, PC_JOIN_DIAL_BACKOFF_CAP_US);
    int64_t part_us = wait_us / JITTER_PART;
    return wait_us - part_us + (int64_t)pc_base_rng_below(rng, 2 * (uint64_t)part_us + 1);
}

int64_t pc_join_backoff_lengthened(struct pc_rng *rng, int64_t wait_us)
{
    assert(wait_us >= 0);
    return pc_base_time_add(wait_us, (int64_t)pc_base_rng_below(rng, (uint64_t)(wait_us / JITTER_PART) + 1));
}
