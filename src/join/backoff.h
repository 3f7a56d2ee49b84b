/*
 * How long to wait before trying again, two ways:
 *
 *   decorrelated  wait = min(cap, uniform in [base, 3 × the wait before]), as in AWS's "Exponential Backoff And
 *                 Jitter": clients that failed together do not come back together. For rounds and endpoints.
 *   squared       5 s + n² s up to 5 min after the nth failure, as go-libp2p's dial backoff, an eighth more or
 *                 less. For one address of a peer.
 */
#ifndef PC_JOIN_BACKOFF_H
#define PC_JOIN_BACKOFF_H

#include "base/rng.h"
#include "base/time.h"

#define PC_JOIN_DIAL_BACKOFF_BASE_US (5 * PC_US_PER_S)
#define PC_JOIN_DIAL_BACKOFF_CAP_US  (300 * PC_US_PER_S)

/* The wait after one of `before_us` (0: the first, which is in [base, 3 × base]). 0 < base ≤ cap. */
int64_t pc_join_backoff_decorrelated(struct pc_rng *rng, int64_t base_us, int64_t cap_us, int64_t before_us);
/* The wait of an address that failed `failures` times in a row, ≥ 1; at most the cap and an eighth. */
int64_t pc_join_backoff_squared(struct pc_rng *rng, uint32_t failures);
/* `wait_us` and up to an eighth of it more, never less. */
int64_t pc_join_backoff_lengthened(struct pc_rng *rng, int64_t wait_us);

#endif
