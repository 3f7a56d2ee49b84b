/*
 * Rate limits driven by the time given to them: so many at once, so many a minute in the long run. The
 * generic cell rate algorithm, a token bucket whose whole state is one moment: that until which what was
 * taken so far is paid off.
 */
#ifndef PC_CACHE_RATE_H
#define PC_CACHE_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pc_rate_limit {
    uint32_t burst;   /* 0: no limit */
    uint32_t per_min; /* not 0, unless there is no limit */
};

struct pc_rate {
    int64_t paid_us; /* 0 at first */
};

/* Take one. False: over the limit, nothing was taken. */
bool pc_cache_rate_take(struct pc_rate *rate, const struct pc_rate_limit *limit, int64_t now_ms);
/* Whether one could be taken. */
bool pc_cache_rate_allows(const struct pc_rate *rate, const struct pc_rate_limit *limit, int64_t now_ms);

#endif
