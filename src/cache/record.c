/*
 * Merging knowledge: see record.h for the rule. Everything here is a function of values alone, so that the
 * same deltas give the same record in any order and in any split.
 */
#include "cache/record.h"

#include "base/time.h"

#include <assert.h>
#include <limits.h>

static uint32_t add_saturating(uint32_t a, uint32_t b)
{
    uint32_t sum = a + b;
    return sum < a ? UINT32_MAX : sum; /* in this form compilers add several at once */
}

static int compare_bytes(struct pc_bytes a, struct pc_bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

void pc_cache_history_init(struct pc_history *ret_history)
{
    memset(ret_history, 0, sizeof(*ret_history));
    ret_history->rtt_us = PC_RTT_UNKNOWN;
}

void pc_cache_history_merge(struct pc_history *into, const struct pc_history *from)
{
    into->success_count = add_saturating(into->success_count, from->success_count);
    into->failure_count = add_saturating(into->failure_count, from->failure_count);
    for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        into->failures[i] = add_saturating(into->failures[i], from->failures[i]);
    into->last_seen_ms = pc_base_time_max(into->last_seen_ms, from->last_seen_ms);
    into->last_success_ms = pc_base_time_max(into->last_success_ms, from->last_success_ms);
    into->last_attempt_ms = pc_base_time_max(into->last_attempt_ms, from->last_attempt_ms);
    /* PC_RTT_UNKNOWN is the greatest number, so that of two at one moment a measured one wins. */
    if (from->rtt_at_ms > into->rtt_at_ms ||
        (from->rtt_at_ms == into->rtt_at_ms && from->rtt_us < into->rtt_us)) {
        into->rtt_us = from->rtt_us;
        into->rtt_at_ms = from->rtt_at_ms;
    }
}

/* Who was first: the earliest date known, and of two at one moment the smaller in values. */
static bool source_goes_before(int64_t a_ms, peercache_source a, const struct pc_netgroup *a_group,
                               int64_t b_ms, peercache_source b, const struct pc_netgroup *b_group)
{
    if (a_ms != b_ms)
        return a_ms != 0 && (b_ms == 0 || a_ms < b_ms);
    if (a != b)
        return a < b;
    return compare_bytes(pc_bytes_of(a_group->bytes, a_group->size),
                         pc_bytes_of(b_group->bytes, b_group->size)) < 0;
}

void pc_cache_delta_init(struct pc_delta *ret_delta, const struct pc_peer_id *id, struct pc_bytes addr)
{
    assert(addr.size <= PC_MADDR_MAX_BYTES);
    memset(ret_delta, 0, sizeof(*ret_delta));
    ret_delta->id = *id;
    ret_delta->addr.size = (uint16_t)addr.size;
    if (addr.size)
        memcpy(ret_delta->addr.bytes, addr.data, addr.size);
    pc_cache_history_init(&ret_delta->history);
}

void pc_cache_delta_merge(struct pc_delta *into, const struct pc_delta *from)
{
    if (from->removed_ms > into->removed_ms) {
        into->removed_ms = from->removed_ms;
        if (into->history.last_seen_ms <= into->removed_ms) {
            pc_cache_history_init(&into->history);
            into->first_seen_ms = 0;
        }
    }
    if (into->removed_ms && from->history.last_seen_ms <= into->removed_ms)
        return;
    if (source_goes_before(from->first_seen_ms, from->source, &from->source_group, into->first_seen_ms,
                           into->source, &into->source_group)) {
        into->first_seen_ms = from->first_seen_ms;
        into->source = from->source;
        into->source_group = from->source_group;
    }
    if (from->proven_id.size)
        into->proven_id = from->proven_id;
    into->only_if_known &= from->only_if_known;
    if (from->trusted && (!into->trusted || from->state > into->state))
        into->state = from->state;
    into->trusted |= from->trusted;
    pc_cache_history_merge(&into->history, &from->history);
}

void pc_cache_record_init(struct pc_record *ret_record, const struct pc_peer_id *id)
{
    /* The places of the addresses stay as they are: addr_count says which are in use. */
    ret_record->id = *id;
    ret_record->state = PEERCACHE_NEW;
    ret_record->bucket = 0;
    ret_record->addr_count = 0;
}

bool pc_cache_record_empty(const struct pc_record *record)
{
    return record->addr_count == 0;
}

/* The place of an address, or where it belongs. */
static size_t place_of(const struct pc_record *record, struct pc_bytes addr, bool *ret_found)
{
    size_t at = 0;
    int order = 1;
    while (at < record->addr_count &&
           (order = compare_bytes(pc_addr_maddr_bytes(&record->addrs[at].addr), addr)) < 0)
        at++;
    *ret_found = at < record->addr_count && order == 0;
    return at;
}

struct pc_record_addr *pc_cache_record_find(struct pc_record *record, struct pc_bytes addr)
{
    bool found;
    size_t at = place_of(record, addr, &found);
    return found ? &record->addrs[at] : NULL;
}

void pc_cache_record_take_out(struct pc_record *record, size_t at)
{
    record->addr_count--;
    memmove(&record->addrs[at], &record->addrs[at + 1], (record->addr_count - at) * sizeof(record->addrs[0]));
}

/* Usefulness is a total order, so that of the same nine the same one goes. */
static bool less_useful(const struct pc_record_addr *a, const struct pc_record_addr *b)
{
    if (a->history.success_count != b->history.success_count)
        return a->history.success_count < b->history.success_count;
    if (a->history.last_seen_ms != b->history.last_seen_ms)
        return a->history.last_seen_ms < b->history.last_seen_ms;
    return compare_bytes(pc_addr_maddr_bytes(&a->addr), pc_addr_maddr_bytes(&b->addr)) > 0;
}

static size_t least_useful(const struct pc_record *record)
{
    size_t least = 0;
    for (size_t i = 1; i < record->addr_count; i++)
        if (less_useful(&record->addrs[i], &record->addrs[least]))
            least = i;
    return least;
}

void pc_cache_record_shed(struct pc_record *record)
{
    pc_cache_record_take_out(record, least_useful(record));
}

static bool put_in(struct pc_record *record, const struct pc_record_addr *addr)
{
    bool found;
    if (record->addr_count == PEERCACHE_ADDRS_PER_PEER) {
        size_t least = least_useful(record);
        if (less_useful(addr, &record->addrs[least]))
            return false;
        pc_cache_record_take_out(record, least);
    }
    size_t at = place_of(record, pc_addr_maddr_bytes(&addr->addr), &found);
    memmove(&record->addrs[at + 1], &record->addrs[at], (record->addr_count - at) * sizeof(record->addrs[0]));
    record->addrs[at] = *addr;
    record->addr_count++;
    return true;
}

static int64_t clamp_ms(int64_t at_ms, int64_t now_ms)
{
    return at_ms < 0 ? 0 : pc_base_time_min(at_ms, now_ms);
}

static bool is_of_wrong_clock(int64_t at_ms, int64_t now_ms)
{
    return pc_base_time_sub(at_ms, now_ms) > PC_CACHE_CLOCK_WRONG_MS;
}

int64_t pc_cache_removal_date(int64_t removed_ms, int64_t now_ms)
{
    return is_of_wrong_clock(removed_ms, now_ms) ? now_ms - 1 : removed_ms;
}

static void clamp_history(struct pc_history *history, int64_t now_ms)
{
    history->last_seen_ms = clamp_ms(history->last_seen_ms, now_ms);
    history->last_success_ms = clamp_ms(history->last_success_ms, now_ms);
    history->last_attempt_ms = clamp_ms(history->last_attempt_ms, now_ms);
    history->rtt_at_ms = clamp_ms(history->rtt_at_ms, now_ms);
}

static bool histories_equal(const struct pc_history *a, const struct pc_history *b)
{
    return a->success_count == b->success_count && a->failure_count == b->failure_count &&
           memcmp(a->failures, b->failures, sizeof(a->failures)) == 0 && a->last_seen_ms == b->last_seen_ms &&
           a->last_success_ms == b->last_success_ms && a->last_attempt_ms == b->last_attempt_ms &&
           a->rtt_us == b->rtt_us && a->rtt_at_ms == b->rtt_at_ms;
}

static bool apply_tombstone(struct pc_record *record, const struct pc_delta *delta, int64_t now_ms)
{
    bool changed = false;
    struct pc_bytes addr = pc_addr_maddr_bytes(&delta->addr);
    for (size_t i = record->addr_count; i-- > 0;) {
        if (addr.size && !pc_bytes_equal(pc_addr_maddr_bytes(&record->addrs[i].addr), addr))
            continue;
        int64_t seen_ms = record->addrs[i].history.last_seen_ms;
        if (seen_ms > delta->removed_ms && !is_of_wrong_clock(seen_ms, now_ms))
            continue;
        pc_cache_record_take_out(record, i);
        changed = true;
    }
    return changed;
}

static uint32_t missing(uint32_t claimed, uint32_t known)
{
    return claimed > known ? claimed - known : 0;
}

/* A trusted import brings totals: they raise what is known and are not added to it, so that taking the same
 * document in again, or what another process took in already, counts nothing twice. */
static void keep_what_is_missing(struct pc_history *totals, const struct pc_history *known)
{
    totals->success_count = missing(totals->success_count, known->success_count);
    totals->failure_count = missing(totals->failure_count, known->failure_count);
    for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        totals->failures[i] = missing(totals->failures[i], known->failures[i]);
}

static bool apply_news(struct pc_record *record, const struct pc_delta *delta, int64_t now_ms)
{
    struct pc_history history = delta->history;
    int64_t first_seen_ms = clamp_ms(delta->first_seen_ms, now_ms);
    clamp_history(&history, now_ms);
    struct pc_record_addr *known = pc_cache_record_find(record, pc_addr_maddr_bytes(&delta->addr));
    if (!known && delta->only_if_known)
        return false;
    if (!known) {
        struct pc_record_addr addr = {
            .addr = delta->addr,
            .history = history,
            .source = delta->source,
            .source_group = delta->source_group,
            .first_seen_ms = first_seen_ms,
        };
        return put_in(record, &addr);
    }
    struct pc_history before = known->history;
    bool changed = false;
    if (source_goes_before(first_seen_ms, delta->source, &delta->source_group, known->first_seen_ms,
                           known->source, &known->source_group)) {
        known->first_seen_ms = first_seen_ms;
        known->source = delta->source;
        known->source_group = delta->source_group;
        changed = true;
    }
    if (delta->trusted)
        keep_what_is_missing(&history, &known->history);
    pc_cache_history_merge(&known->history, &history);
    return changed || !histories_equal(&before, &known->history);
}

bool pc_cache_record_apply(struct pc_record *record, const struct pc_delta *delta, int64_t now_ms)
{
    bool changed = false;
    if (delta->removed_ms)
        changed = apply_tombstone(record, delta, now_ms);
    if (delta->addr.size && (!delta->removed_ms || delta->history.last_seen_ms > delta->removed_ms))
        changed |= apply_news(record, delta, now_ms);
    record->state = PEERCACHE_NEW;
    for (size_t i = 0; i < record->addr_count; i++)
        if (record->addrs[i].history.success_count)
            record->state = PEERCACHE_TRIED;
    return changed;
}

bool pc_cache_record_apply_after(struct pc_record *record, const struct pc_delta *delta, int64_t removed_ms,
                                 int64_t now_ms)
{
    struct pc_delta dated = *delta;
    dated.removed_ms = pc_base_time_min(delta->removed_ms, now_ms);
    if (removed_ms && delta->history.last_seen_ms <= removed_ms) {
        if (!dated.removed_ms)
            return false;
        dated.history.last_seen_ms = 0;
    }
    return pc_cache_record_apply(record, &dated, now_ms);
}
