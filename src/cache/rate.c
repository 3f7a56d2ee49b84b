#include "cache/rate.h"

#include "base/time.h"

#define MIN_US (INT64_C(60) * PC_US_PER_S)

static int64_t after_one(const struct pc_rate *rate, const struct pc_rate_limit *limit, int64_t now_us)
{
    return pc_base_time_max(rate->paid_us, now_us) + MIN_US / limit->per_min;
}

/* Times over this are none that a clock shows: 200,000 years. */
static int64_t micros(int64_t now_ms)
{
    return pc_base_time_max(pc_base_time_min(now_ms, INT64_MAX / 2000000), 0) * PC_US_PER_MS;
}

bool pc_cache_rate_allows(const struct pc_rate *rate, const struct pc_rate_limit *limit, int64_t now_ms)
{
    if (limit->burst == 0)
        return true;
    int64_t now_us = micros(now_ms);
    return after_one(rate, limit, now_us) - now_us <= limit->burst * (MIN_US / limit->per_min);
}

bool pc_cache_rate_take(struct pc_rate *rate, const struct pc_rate_limit *limit, int64_t now_ms)
{
    if (!pc_cache_rate_allows(rate, limit, now_ms))
        return false;
    if (limit->burst)
        rate->paid_us = after_one(rate, limit, micros(now_ms));
    return true;
}
