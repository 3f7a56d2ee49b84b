#include "libp2p/rate.h"

#include "base/time.h"

#define TOKEN INT64_C(1000000) /* a microsecond refills per_s of its parts */

static void refill(struct pc_libp2p_bucket *bucket, struct pc_libp2p_rate rate, int64_t now_us)
{
    int64_t refilled;
    if (__builtin_mul_overflow(pc_base_time_sub(now_us, bucket->at_us), (int64_t)rate.per_s, &refilled) ||
        refilled > bucket->spent)
        refilled = bucket->spent;
    bucket->spent -= refilled;
    bucket->at_us = now_us;
}

bool pc_libp2p_rate_has(struct pc_libp2p_bucket *bucket, struct pc_libp2p_rate rate, uint32_t spare,
                        int64_t now_us)
{
    uint32_t burst = rate.burst > 0 ? rate.burst : 1;
    if (rate.per_s == 0)
        return true;
    refill(bucket, rate, now_us);
    if (spare >= burst)
        spare = burst - 1;
    return bucket->spent <= (int64_t)(burst - spare - 1) * TOKEN;
}

void pc_libp2p_rate_spend(struct pc_libp2p_bucket *bucket)
{
    bucket->spent = pc_base_time_add(bucket->spent, TOKEN);
}

bool pc_libp2p_rate_take(struct pc_libp2p_bucket *bucket, struct pc_libp2p_rate rate, int64_t now_us)
{
    if (!pc_libp2p_rate_has(bucket, rate, 0, now_us))
        return false;
    pc_libp2p_rate_spend(bucket);
    return true;
}
