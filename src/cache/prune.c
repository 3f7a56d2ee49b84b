#include "cache/prune.h"

#include "base/time.h"

#define MIN_MS               (INT64_C(60) * 1000)
#define DAY_MS               (INT64_C(24) * 3600 * 1000)
#define NEVER_OK_FAILURES    3
#define LONG_NOT_OK_FAILURES 10
#define LONG_NOT_OK_MS       (7 * DAY_MS)

/* The seed's rule, over all addresses together. */
static bool is_unreliable(const struct pc_record *record)
{
    uint64_t successes = 0, failures = 0;
    for (size_t i = 0; i < record->addr_count; i++) {
        successes += record->addrs[i].history.success_count;
        failures += record->addrs[i].history.failure_count;
    }
    return failures > 0 && successes <= failures;
}

/* What one address must have against it before it goes by itself. */
static bool is_hopeless(const struct pc_history *h, int64_t now_ms)
{
    if (pc_base_time_sub(now_ms, h->last_attempt_ms) < MIN_MS)
        return false; /* an answer may be under way */
    if (h->success_count == 0)
        return h->failure_count >= NEVER_OK_FAILURES;
    return h->failure_count >= LONG_NOT_OK_FAILURES && h->last_attempt_ms > h->last_success_ms &&
           pc_base_time_sub(now_ms, h->last_success_ms) > LONG_NOT_OK_MS;
}

static bool is_stale(const struct pc_history *h, const struct pc_prune_rules *rules, int64_t now_ms)
{
    int64_t seen_ms = pc_base_time_max(h->last_seen_ms, h->last_success_ms);
    return pc_base_time_sub(now_ms, seen_ms) > rules->retention_ms &&
           (!rules->gently || h->last_attempt_ms > seen_ms);
}

uint32_t pc_cache_prune_judge(const struct pc_record *record, const struct pc_prune_rules *rules,
                              int64_t now_ms)
{
    bool unreliable = rules->policies & PEERCACHE_PRUNE_UNRELIABLE;
    bool stale = rules->policies & PEERCACHE_PRUNE_STALE;
    if (!rules->gently || rules->seed_rule)
        unreliable = unreliable && is_unreliable(record);
    for (size_t i = 0; i < record->addr_count; i++) {
        if (rules->gently && !rules->seed_rule)
            unreliable = unreliable && is_hopeless(&record->addrs[i].history, now_ms);
        stale = stale && is_stale(&record->addrs[i].history, rules, now_ms);
    }
    return unreliable ? PEERCACHE_PRUNE_UNRELIABLE : stale ? PEERCACHE_PRUNE_STALE : 0;
}
