/*
 * When to refresh the routing table, and which parts of it: continuous bootstrap as a clock without a clock.
 *
 *   not started ──start──► waiting ──begin, once it is due──► running
 *                             ▲                                  │
 *                             └───────────── ended ──────────────┘
 *
 * While it waits, a refresh is due
 *   - at once: at the start, when the first peer comes, when the last one leaves, when the network changes (1 s
 *     after the one before);
 *   - soon: when a neighbour left, or so many others that the table is thin (10 s after the one before);
 *   - by period: 10 s for every 5 peers, 10 s to 20 min, so that it stretches as the table fills and shrinks
 *     as it thins. Where no peer has come for 180 s before the last one ended, the network is idle and is
 *     asked every 5 to 10 min, unless the period is longer. An empty table waits 10 s, and twice as long
 *     each time, up to 5 min: never for ever. None is longer than the owner's longest. All of these an eighth
 *     more or less.
 *
 * Pure; `now_us` never goes back, and is the time until which the caller has told everything.
 */
#ifndef PC_KAD_SCHEDULE_H
#define PC_KAD_SCHEDULE_H

#include "base/rng.h"
#include "kad/table.h"
#include "kad/targets.h"

#define PC_KAD_REFRESH_BUCKETS 4 /* looked into by one refresh, beside our own id */

#define PC_KAD_AT_ONCE_US      (1 * PC_US_PER_S)
#define PC_KAD_SOON_US         (10 * PC_US_PER_S)
#define PC_KAD_PERIOD_MIN_US   (10 * PC_US_PER_S)
#define PC_KAD_PERIOD_PEERS    5
#define PC_KAD_PERIOD_MAX_US   (1200 * PC_US_PER_S)
#define PC_KAD_IDLE_AFTER_US   (180 * PC_US_PER_S)
#define PC_KAD_IDLE_MIN_US     (300 * PC_US_PER_S)
#define PC_KAD_IDLE_MAX_US     (600 * PC_US_PER_S)
#define PC_KAD_LONELY_MAX_US   (300 * PC_US_PER_S)
#define PC_KAD_BUCKET_OLD_US   (3600 * PC_US_PER_S) /* a full bucket is refreshed after so long */
#define PC_KAD_REFRESH_MAX_US  (600 * PC_US_PER_S)  /* one whose end was never told holds up no longer */

enum pc_kad_urgency {
    PC_KAD_BY_PERIOD,
    PC_KAD_SOON,
    PC_KAD_AT_ONCE,
};

/* In the caller's storage, zero at first; nothing to free. */
struct pc_kad_schedule {
    unsigned state;
    enum pc_kad_urgency urgency;
    int64_t period_max_us;
    int64_t now_us;
    int64_t begun_us;
    int64_t ended_us;
    int64_t peer_came_us;
    int64_t idle_us; /* drawn for each wait */
    uint32_t jitter; /* in 1,024ths */
    uint32_t lonely_rounds;
    size_t peers;
    int64_t bucket_refreshed_us[PC_KAD_TARGETS];
};

/* What to look up: first our own id, then a target in each of these buckets. */
struct pc_kad_refresh {
    size_t bucket_count;
    uint8_t buckets[PC_KAD_REFRESH_BUCKETS];
};

/* `period_max_us`: no wait is longer; 0: PC_KAD_PERIOD_MAX_US. */
void pc_kad_schedule_init(struct pc_kad_schedule *schedule, int64_t period_max_us);
/* From now on there are refreshes; the first is due at once. */
void pc_kad_schedule_start(struct pc_kad_schedule *schedule, int64_t now_us);
/* The table has so many members now. */
void pc_kad_schedule_peers(struct pc_kad_schedule *schedule, size_t peers, int64_t now_us);
/* One of the k closest to us left the table (pc_kad_table_is_neighbour, asked before it was removed). */
void pc_kad_schedule_neighbour_left(struct pc_kad_schedule *schedule, int64_t now_us);
/* The network is another: who is in the table may be out of reach, and is to be found out at once. */
void pc_kad_schedule_network_changed(struct pc_kad_schedule *schedule, int64_t now_us);
/* When the next refresh is to begin: never before the time told last. NEVER: not started. */
int64_t pc_kad_schedule_due_us(const struct pc_kad_schedule *schedule);
/* Begin a refresh, due or not, with the lookup of our own id. The schedule must have been started. */
void pc_kad_schedule_begin(struct pc_kad_schedule *schedule, int64_t now_us);
/*
 * Our own id has been looked up: which buckets come next. Those not deeper than our neighbours, whom that lookup has just
 * found, that are thin (fewer than k members) or were not refreshed for an hour: thin ones first, of them the one refreshed
 * longest ago, of equals the nearest to us. Once a refresh.
 */
void pc_kad_schedule_buckets(struct pc_kad_schedule *schedule, const struct pc_kad_table *table,
                             int64_t now_us, struct pc_kad_refresh *ret_refresh);
/* The lookups of the refresh have ended, whatever they brought. */
void pc_kad_schedule_ended(struct pc_kad_schedule *schedule, struct pc_rng *rng, int64_t now_us);

#endif
