/* Why a pick chose whom it chose: the very pick, told in words. */
#include "base/time.h"
#include "cache/peers.h"
#include "cache/pick.h"

#include <stdio.h>
#include <stdlib.h>

#define PHRASE_BYTES 64

/* "3 h ago"; "never". */
static void ago(int64_t at_ms, int64_t now_ms, char ret_text[PHRASE_BYTES])
{
    int64_t s = pc_base_time_max(pc_base_time_sub(now_ms, at_ms), 0) / 1000;
    if (at_ms == 0)
        (void)snprintf(ret_text, PHRASE_BYTES, "never");
    else if (s < 120)
        (void)snprintf(ret_text, PHRASE_BYTES, "%d s ago", (int)s);
    else if (s < INT64_C(120) * 60)
        (void)snprintf(ret_text, PHRASE_BYTES, "%d min ago", (int)(s / 60));
    else if (s < INT64_C(72) * 3600)
        (void)snprintf(ret_text, PHRASE_BYTES, "%d h ago", (int)(s / 3600));
    else
        (void)snprintf(ret_text, PHRASE_BYTES, "%lld days ago", (long long)(s / 86400));
}

/* What its score comes from. */
static void history_phrase(const struct pc_record_addr *addr, int64_t now_ms, char *ret_text, size_t capacity)
{
    char when[PHRASE_BYTES];
    const struct pc_history *h = &addr->history;
    if (h->success_count) {
        ago(h->last_success_ms, now_ms, when);
        (void)snprintf(ret_text, capacity, "%u ok, %u failed, last ok %s", h->success_count, h->failure_count,
                       when);
    } else if (h->failure_count) {
        ago(h->last_attempt_ms, now_ms, when);
        (void)snprintf(ret_text, capacity, "never ok, %u failed, last %s", h->failure_count, when);
    } else {
        ago(h->last_seen_ms, now_ms, when);
        (void)snprintf(ret_text, capacity, "never dialled, heard of %s", when);
    }
}

static void explain_drawn(const struct pc_drawn *drawn, const struct pc_record_addr *addr, size_t place,
                          int64_t now_ms, struct pc_reason *ret_why)
{
    char history[2 * PHRASE_BYTES], less[2 * PHRASE_BYTES] = "";
    size_t at = 0;
    history_phrase(addr, now_ms, history, sizeof(history));
    if (drawn->failed_lately)
        at += (size_t)snprintf(less + at, sizeof(less) - at, ", dialled just now in vain");
    if (drawn->group_before)
        at += (size_t)snprintf(less + at, sizeof(less) - at, ", %u better of its group", drawn->group_before);
    if (drawn->source_before)
        (void)snprintf(less + at, sizeof(less) - at, ", %u better from its source", drawn->source_before);
    if (drawn->is_contested)
        pc_base_reason(ret_why, "chosen: a newcomer waits for its place, so it is tested; %s%s", history,
                       less);
    else if (drawn->chosen)
        pc_base_reason(ret_why, "chosen as number %zu%s: %s%s", place,
                       drawn->state == PEERCACHE_NEW ? " (new ones have a share)" : "", history, less);
    else
        pc_base_reason(ret_why, "passed over, others rank higher: %s%s", history, less);
}

static int by_peer(const void *a, const void *b)
{
    const struct pc_cache_peer *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

/* Of one that was not drawn: its best address of all. */
static void explain_other(const struct pc_cache_peer *peer, const struct pc_pick_filter *filter,
                          int64_t now_ms, size_t drawn, size_t peers, struct pc_explanation *ret_explanation)
{
    struct pc_record record;
    uint8_t best = 0;
    int32_t best_score = -1;
    pc_cache_peer_unpack(peer, &record);
    bool passes = false;
    for (uint8_t i = 0; i < record.addr_count; i++) {
        int32_t score = pc_cache_score(&record.addrs[i].history, now_ms);
        passes |= pc_cache_pick_is_eligible(pc_addr_maddr_bytes(&record.addrs[i].addr), filter);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    pc_cache_pick_give(peer, best, best_score, &ret_explanation->pick);
    if (pc_cache_pick_leaves_out(filter, peer))
        pc_base_reason(&ret_explanation->why, "passed over: left out by the filter");
    else if (!passes)
        pc_base_reason(&ret_explanation->why, "passed over: no address of a transport and family asked for");
    else
        pc_base_reason(&ret_explanation->why, "passed over: not drawn (%zu of %zu were)", drawn, peers);
}

static int tell_drawn(const struct pc_drawn *drawn, size_t place, int64_t now_ms,
                      int (*visit)(void *context, const struct pc_explanation *explanation), void *context)
{
    struct pc_explanation explanation = { .chosen = drawn->chosen };
    struct pc_record record;
    pc_cache_peer_unpack(drawn->peer, &record);
    pc_cache_pick_give(drawn->peer, drawn->addr, drawn->score, &explanation.pick);
    explain_drawn(drawn, &record.addrs[drawn->addr], place, now_ms, &explanation.why);
    return visit(context, &explanation);
}

int pc_cache_set_explain(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms,
                         const struct pc_pick_filter *filter, size_t count,
                         int (*visit)(void *context, const struct pc_explanation *explanation), void *context)
{
    static const struct pc_pick_filter anyone;
    struct pc_drawn *drawn;
    size_t total, place = 0;
    filter = filter ? filter : &anyone;
    now_ms = pc_base_time_max(set->now_ms, now_ms);
    count = count < PC_CACHE_PICK_MAX ? count : PC_CACHE_PICK_MAX;
    if (set->by_key.count == 0)
        return 0;
    int result = pc_cache_pick_run(set, rng, now_ms, filter, count, &drawn, &total);
    if (result)
        return result;
    const struct pc_cache_peer **told = malloc((total + 1) * sizeof(const struct pc_cache_peer *));
    if (!told)
        result = PEERCACHE_ENOMEM;
    for (size_t i = 0; i < total && result == 0; i++) {
        told[i] = drawn[i].peer;
        if (drawn[i].chosen)
            result = tell_drawn(&drawn[i], ++place, now_ms, visit, context);
    }
    for (size_t i = 0; i < total && result == 0; i++)
        if (!drawn[i].chosen)
            result = tell_drawn(&drawn[i], 0, now_ms, visit, context);
    if (result == 0)
        qsort(told, total, sizeof(*told), by_peer);
    for (const struct pc_cache_peer *p = pc_cache_peer_next(set, NULL); p && result == 0;
         p = pc_cache_peer_next(set, p)) {
        struct pc_explanation explanation = { .chosen = false };
        if (bsearch(&p, told, total, sizeof(*told), by_peer))
            continue;
        explain_other(p, filter, now_ms, total, set->by_key.count, &explanation);
        result = visit(context, &explanation);
    }
    free(told);
    free(drawn);
    return result;
}
