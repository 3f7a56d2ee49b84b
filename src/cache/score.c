/*
 * The score of an address, 0 to 1000, from its history alone. Integers only.
 *
 *     S = successes (64 at most), halved every 14 days since the last success
 *     F = failures (64 at most), halved every 2 days since the last attempt; counted half when the last
 *         attempt succeeded, for then they lie before it
 *
 *     score = 780 * (3 S + 1) / (3 S + F + 4)     one success outweighs three failures
 *           + 100, halved every day since the last success
 *           +  40, halved every day since it was last seen
 *           +  80 for a round trip of 1 ms or less, 8 less for each doubling, 0 from about one second on
 *
 * So the one never tried has 195 of the first line, and at most 235. A mixed history of one to one has at
 * least 390 while it is fresh, and returns towards 195 from above as it ages, for failures fade faster than
 * successes; one success of a year ago is worth what none is; failures only, and it sinks below. Thirty
 * successes have 750.
 *
 * Halving is exact for whole half-lives and by a table of sixteenths between.
 */
#include "cache/set.h"

#include "base/time.h"

#define DAY_MS             (INT64_C(24) * 3600 * 1000)
#define SUCCESS_HALF_MS    (14 * DAY_MS)
#define FAILURE_HALF_MS    (2 * DAY_MS)
#define RECENT_HALF_MS     DAY_MS
#define COUNT_MAX          64
#define ONE                256 /* S and F are kept in 1/256 */

#define RELIABILITY_POINTS 780
#define SUCCESS_WEIGHT     3
#define PRIOR_GOOD         1
#define PRIOR_ALL          4
#define SUCCESS_POINTS     100
#define SEEN_POINTS        40
#define RTT_POINTS         80
#define RTT_STEP_POINTS    8 /* for each doubling over 1 ms */

/* 65536 * 2^(-i/16) */
static const uint32_t sixteenths[16] = {
    65536, 62757, 60097, 57549, 55109, 52772, 50535, 48393,
    46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219,
};

static uint32_t decay(uint32_t value, int64_t at_ms, int64_t half_ms, int64_t now_ms)
{
    int64_t age_ms = pc_base_time_max(pc_base_time_sub(now_ms, at_ms), 0);
    int64_t halves = age_ms / half_ms;
    if (halves >= 32)
        return 0;
    uint64_t part = sixteenths[age_ms % half_ms * 16 / half_ms];
    return (uint32_t)(((uint64_t)value * part >> 16) >> halves);
}

static uint32_t rtt_points(uint32_t rtt_us)
{
    uint32_t points = RTT_POINTS;
    if (rtt_us == PC_RTT_UNKNOWN)
        return 0;
    for (uint32_t ms = rtt_us / 1000; ms > 1 && points > 0; ms /= 2)
        points -= RTT_STEP_POINTS;
    return points;
}

int32_t pc_cache_score(const struct pc_history *history, int64_t now_ms)
{
    uint32_t successes = history->success_count < COUNT_MAX ? history->success_count : COUNT_MAX;
    uint32_t failures = history->failure_count < COUNT_MAX ? history->failure_count : COUNT_MAX;
    uint32_t s = decay(successes * ONE, history->last_success_ms, SUCCESS_HALF_MS, now_ms);
    uint32_t f = decay(failures * ONE, history->last_attempt_ms, FAILURE_HALF_MS, now_ms);
    if (successes && history->last_success_ms >= history->last_attempt_ms)
        f /= 2;
    uint32_t score = RELIABILITY_POINTS * (SUCCESS_WEIGHT * s + PRIOR_GOOD * ONE) /
                     (SUCCESS_WEIGHT * s + f + PRIOR_ALL * ONE);
    if (successes)
        score += decay(SUCCESS_POINTS, history->last_success_ms, RECENT_HALF_MS, now_ms);
    if (history->last_seen_ms)
        score += decay(SEEN_POINTS, history->last_seen_ms, RECENT_HALF_MS, now_ms);
    return (int32_t)(score + rtt_points(history->rtt_us));
}
