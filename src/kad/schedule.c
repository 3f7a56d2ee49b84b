#include "kad/schedule.h"

#include "base/fsm.h"

#define JITTER_ONE 1024

enum {
    NOT_STARTED,
    WAITING,
    RUNNING,
    STATES,
};

static const uint32_t allowed[STATES] = {
    [NOT_STARTED] = PC_FSM_TO(WAITING),
    [WAITING] = PC_FSM_TO(RUNNING),
    [RUNNING] = PC_FSM_TO(WAITING) | PC_FSM_TO(RUNNING), /* again, when its end was never told */
};

void pc_kad_schedule_init(struct pc_kad_schedule *schedule, int64_t period_max_us)
{
    memset(schedule, 0, sizeof(*schedule));
    schedule->period_max_us = period_max_us > 0 ? period_max_us : PC_KAD_PERIOD_MAX_US;
    schedule->now_us = INT64_MIN;
    schedule->ended_us = INT64_MIN;
    schedule->peer_came_us = INT64_MIN;
    schedule->jitter = JITTER_ONE;
    for (size_t i = 0; i < PC_KAD_TARGETS; i++)
        schedule->bucket_refreshed_us[i] = INT64_MIN;
}

static void hurry(struct pc_kad_schedule *schedule, enum pc_kad_urgency urgency)
{
    if (schedule->urgency < urgency)
        schedule->urgency = urgency;
}

void pc_kad_schedule_start(struct pc_kad_schedule *schedule, int64_t now_us)
{
    pc_base_fsm_move(allowed, &schedule->state, WAITING);
    schedule->now_us = now_us;
    hurry(schedule, PC_KAD_AT_ONCE);
}

void pc_kad_schedule_peers(struct pc_kad_schedule *schedule, size_t peers, int64_t now_us)
{
    size_t before = schedule->peers;
    schedule->now_us = now_us;
    schedule->peers = peers;
    if (peers > before)
        schedule->peer_came_us = now_us;
    if ((before == 0) != (peers == 0)) {
        schedule->lonely_rounds = 0;
        hurry(schedule, PC_KAD_AT_ONCE);
    } else if (before >= PC_KAD_K && peers < PC_KAD_K) {
        hurry(schedule, PC_KAD_SOON);
    }
}

void pc_kad_schedule_neighbour_left(struct pc_kad_schedule *schedule, int64_t now_us)
{
    schedule->now_us = now_us;
    hurry(schedule, PC_KAD_SOON);
}

void pc_kad_schedule_network_changed(struct pc_kad_schedule *schedule, int64_t now_us)
{
    schedule->now_us = now_us;
    hurry(schedule, PC_KAD_AT_ONCE);
}

/* The wait that the size of the table asks for. */
static int64_t period_us(const struct pc_kad_schedule *schedule)
{
    if (schedule->peers == 0) {
        unsigned doublings = schedule->lonely_rounds < 8 ? schedule->lonely_rounds : 8;
        return pc_base_time_min(PC_KAD_PERIOD_MIN_US << doublings, PC_KAD_LONELY_MAX_US);
    }
    int64_t by_size_us = (int64_t)(schedule->peers / PC_KAD_PERIOD_PEERS) * PC_KAD_PERIOD_MIN_US;
    by_size_us = pc_base_time_max(by_size_us, PC_KAD_PERIOD_MIN_US);
    by_size_us = pc_base_time_min(by_size_us, PC_KAD_PERIOD_MAX_US);
    if (pc_base_time_sub(schedule->ended_us, schedule->peer_came_us) >= PC_KAD_IDLE_AFTER_US)
        return pc_base_time_max(by_size_us, schedule->idle_us);
    return by_size_us;
}

static int64_t wait_us(const struct pc_kad_schedule *schedule)
{
    int64_t by_period_us =
        pc_base_time_min(period_us(schedule), schedule->period_max_us) * schedule->jitter / JITTER_ONE;
    switch (schedule->urgency) {
    case PC_KAD_BY_PERIOD:
        break;
    case PC_KAD_SOON:
        return pc_base_time_min(by_period_us, PC_KAD_SOON_US);
    case PC_KAD_AT_ONCE:
        return PC_KAD_AT_ONCE_US;
    }
    return by_period_us;
}

int64_t pc_kad_schedule_due_us(const struct pc_kad_schedule *schedule)
{
    int64_t due_us = PC_TIME_NEVER;
    if (schedule->state == WAITING)
        due_us = pc_base_time_add(schedule->ended_us, wait_us(schedule));
    else if (schedule->state == RUNNING)
        due_us = pc_base_time_add(schedule->begun_us, PC_KAD_REFRESH_MAX_US);
    return pc_base_time_max(due_us, schedule->now_us);
}

/* Should bucket a be refreshed before b? Thin ones first, then those refreshed longest ago; of equals the one offered
 * first. */
static bool comes_before(const struct pc_kad_schedule *schedule, const struct pc_kad_table *table, uint8_t a,
                         uint8_t b)
{
    bool a_is_thin = pc_kad_table_bucket_count(table, a) < PC_KAD_K;
    bool b_is_thin = pc_kad_table_bucket_count(table, b) < PC_KAD_K;
    if (a_is_thin != b_is_thin)
        return a_is_thin;
    return schedule->bucket_refreshed_us[a] < schedule->bucket_refreshed_us[b];
}

static void choose_buckets(const struct pc_kad_schedule *schedule, const struct pc_kad_table *table,
                           struct pc_kad_refresh *ret_refresh)
{
    struct pc_kad_refresh refresh = { 0 };
    unsigned edge = pc_kad_table_edge(table);
    /* The nearest first: its few peers are found by nobody but each other, and must be whole for us to be found. */
    for (unsigned nearer = edge < PC_KAD_TARGETS ? edge + 1 : PC_KAD_TARGETS; nearer > 0; nearer--) {
        uint8_t i = (uint8_t)(nearer - 1);
        int64_t age_us = pc_base_time_sub(schedule->now_us, schedule->bucket_refreshed_us[i]);
        if (pc_kad_table_bucket_count(table, i) >= PC_KAD_K && age_us < PC_KAD_BUCKET_OLD_US)
            continue;
        size_t at = refresh.bucket_count;
        while (at > 0 && comes_before(schedule, table, i, refresh.buckets[at - 1]))
            at--;
        if (at == PC_KAD_REFRESH_BUCKETS)
            continue;
        if (refresh.bucket_count < PC_KAD_REFRESH_BUCKETS)
            refresh.bucket_count++;
        memmove(&refresh.buckets[at + 1], &refresh.buckets[at], refresh.bucket_count - at - 1);
        refresh.buckets[at] = i;
    }
    *ret_refresh = refresh;
}

void pc_kad_schedule_begin(struct pc_kad_schedule *schedule, int64_t now_us)
{
    pc_base_fsm_move(allowed, &schedule->state, RUNNING);
    schedule->now_us = now_us;
    schedule->begun_us = now_us;
    schedule->urgency = PC_KAD_BY_PERIOD;
}

void pc_kad_schedule_buckets(struct pc_kad_schedule *schedule, const struct pc_kad_table *table,
                             int64_t now_us, struct pc_kad_refresh *ret_refresh)
{
    schedule->now_us = now_us;
    choose_buckets(schedule, table, ret_refresh);
    for (size_t i = 0; i < ret_refresh->bucket_count; i++)
        schedule->bucket_refreshed_us[ret_refresh->buckets[i]] = now_us;
}

void pc_kad_schedule_ended(struct pc_kad_schedule *schedule, struct pc_rng *rng, int64_t now_us)
{
    pc_base_fsm_move(allowed, &schedule->state, WAITING);
    schedule->now_us = now_us;
    schedule->ended_us = now_us;
    schedule->lonely_rounds += schedule->peers == 0;
    schedule->jitter = JITTER_ONE - JITTER_ONE / 8 + (uint32_t)pc_base_rng_below(rng, JITTER_ONE / 4 + 1);
    schedule->idle_us =
        PC_KAD_IDLE_MIN_US + (int64_t)pc_base_rng_below(rng, PC_KAD_IDLE_MAX_US - PC_KAD_IDLE_MIN_US + 1);
}
