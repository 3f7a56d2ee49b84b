/*
 * A token bucket: so many a second, and so many at once. Driven by the time given to it; integers only.
 *
 * It keeps what was spent and is not refilled yet, in millionths of a token, so that one that is all zeroes is full, and a second
 * refills per_s tokens exactly.
 */
#ifndef PC_LIBP2P_RATE_H
#define PC_LIBP2P_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct pc_libp2p_rate {
    uint32_t per_s; /* 0: no limit */
    uint32_t burst; /* below 1: 1 */
};

struct pc_libp2p_bucket {
    int64_t spent;
    int64_t at_us; /* of spent */
};

/* Whether a token is there, and `spare` more beside it, of which at most burst - 1 are asked for. `now_us` does not go back. */
bool pc_libp2p_rate_has(struct pc_libp2p_bucket *bucket, struct pc_libp2p_rate rate, uint32_t spare,
                        int64_t now_us);
/* Spend one that is there. */
void pc_libp2p_rate_spend(struct pc_libp2p_bucket *bucket);
/* Both: false when there is none, and nothing is spent. */
bool pc_libp2p_rate_take(struct pc_libp2p_bucket *bucket, struct pc_libp2p_rate rate, int64_t now_us);

#endif
