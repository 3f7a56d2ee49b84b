/* What became of dials: see set.h for what counts when. */
#include "base/time.h"
#include "cache/news.h"
#include "cache/peers.h"

#include <stdlib.h>

/* Look an address up, as it was given or, when that is not known, as it is kept. False: it is no address. */
static bool look_up_any(const struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                        struct pc_known *ret_known, struct pc_maddr *ret_normal)
{
    if (addr.size && addr.size <= sizeof(ret_normal->bytes)) {
        pc_cache_look_up(set, id, addr, ret_known);
        if (ret_known->addr) {
            *ret_normal = ret_known->addr->addr;
            return true;
        }
    }
    if (!pc_cache_normal_addr(addr, ret_normal))
        return false;
    pc_cache_look_up(set, id, pc_addr_maddr_bytes(ret_normal), ret_known);
    return true;
}

void pc_cache_set_attempt(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                          int64_t now_ms)
{
    struct pc_maddr normal;
    struct pc_delta delta;
    struct pc_known known;
    now_ms = pc_cache_advance(set, now_ms);
    if (!look_up_any(set, id, addr, &known, &normal) || !known.addr)
        return;
    pc_cache_delta_of(&known, &delta);
    delta.history.last_attempt_ms = now_ms;
    /* A hint for the rotation of picks: when memory is out it is lost, and nothing else is. */
    (void)pc_cache_take_news(set, &known, &delta, now_ms);
}

static int tell_contest(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                        bool succeeded)
{
    struct pc_cache_key key;
    if (set->contest_count == 0)
        return 0;
    pc_cache_key_of(id, addr, &key);
    return pc_cache_peer_tested(set, pc_cache_key_bytes(&key), succeeded);
}

static int count_failure(struct pc_cache_set *set, struct pc_known *known, const struct pc_maddr *addr,
                         peercache_outcome outcome, uint32_t count, int64_t at_ms, int64_t now_ms)
{
    struct pc_delta delta;
    if (known->addr) {
        pc_cache_delta_of(known, &delta);
    } else if (set->options.is_part) {
        pc_cache_delta_init(&delta, &known->record.id, pc_addr_maddr_bytes(addr));
        delta.only_if_known = true;
    } else {
        return PEERCACHE_ENOTFOUND;
    }
    delta.history.failure_count = count;
    delta.history.failures[outcome] = count;
    delta.history.last_attempt_ms = at_ms;
    struct pc_peer_id id = known->record.id;
    int result = pc_cache_take_news(set, known, &delta, now_ms);
    return result ? result : tell_contest(set, &id, pc_addr_maddr_bytes(addr), false);
}

static int hold_failure(struct pc_cache_set *set, const struct pc_peer_id *id, const struct pc_maddr *addr,
                        const struct pc_cache_report *report, int64_t now_ms)
{
    if (!set->held) {
        set->held = calloc(PC_CACHE_HELD_MAX, sizeof(*set->held));
        if (!set->held)
            return PEERCACHE_ENOMEM;
    }
    if (set->held_count == PC_CACHE_HELD_MAX) {
        set->held_first = (set->held_first + 1) % PC_CACHE_HELD_MAX;
        set->held_count--;
    }
    set->held[(set->held_first + set->held_count++) % PC_CACHE_HELD_MAX] =
        (struct pc_cache_held){ *id, *addr, report->outcome, report->count, now_ms };
    return 0;
}

int pc_cache_set_answered(struct pc_cache_set *set, int64_t now_ms)
{
    now_ms = pc_cache_advance(set, now_ms);
    while (set->held_count) {
        const struct pc_cache_held *held = &set->held[set->held_first];
        struct pc_known known;
        pc_cache_look_up(set, &held->id, pc_addr_maddr_bytes(&held->addr), &known);
        int result = count_failure(set, &known, &held->addr, held->outcome, held->count, held->at_ms, now_ms);
        if (result == PEERCACHE_ENOMEM)
            return result; /* the rest stays held */
        /* ENOTFOUND: displaced or removed meanwhile, nothing to count. ELIMIT: no room, as for any news. */
        set->held_first = (set->held_first + 1) % PC_CACHE_HELD_MAX;
        set->held_count--;
    }
    return 0;
}

void pc_cache_set_drop_held(struct pc_cache_set *set)
{
    set->held_count = 0;
}

void pc_cache_set_drop_held_of(struct pc_cache_set *set, uint8_t family)
{
    size_t count = set->held_count;
    set->held_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pc_cache_held held = set->held[(set->held_first + i) % PC_CACHE_HELD_MAX];
        struct pc_ip_port where;
        if (pc_addr_classify(pc_addr_maddr_bytes(&held.addr), &where) == PC_ADDR_QUIC_V1 &&
            where.family == family)
            continue;
        set->held[(set->held_first + set->held_count++) % PC_CACHE_HELD_MAX] = held;
    }
}

/* An address known without id turned out to be this peer's: its history goes there, in memory as in the store
 * (where the delta says so by its proven_id). */
static int adopt(struct pc_cache_set *set, const struct pc_known *bare, const struct pc_peer_id *proven,
                 struct pc_delta *delta, int64_t now_ms)
{
    struct pc_known known;
    delta->proven_id = *proven;
    if (!set->options.memory_only) {
        int result = pc_cache_let_wait(set, bare->peer, bare->hash, delta);
        if (result)
            return result;
    }
    pc_cache_look_up(set, proven, pc_addr_maddr_bytes(&delta->addr), &known);
    if (bare->addr) {
        struct pc_delta moved;
        pc_cache_delta_init(&moved, proven, pc_addr_maddr_bytes(&bare->addr->addr));
        moved.history = bare->addr->history;
        moved.source = bare->addr->source;
        moved.source_group = bare->addr->source_group;
        moved.first_seen_ms = bare->addr->first_seen_ms;
        (void)pc_cache_record_apply(&known.record, &moved, now_ms);
    }
    (void)pc_cache_record_apply(&known.record, delta, now_ms);
    set->losses++;
    int result = pc_cache_peer_put(set, &known.peer, known.hash, &known.record, false);
    if (result == PEERCACHE_ENOMEM && set->options.memory_only)
        return result; /* nothing changed */
    /* It may have given way just now. */
    struct pc_cache_peer *left = pc_cache_find_peer(set, &bare->record.id, pc_addr_maddr_bytes(&delta->addr));
    if (left)
        pc_cache_peer_drop(set, left);
    if (result == PEERCACHE_ENOMEM) { /* the store is told: it is as one not loaded */
        set->options.is_part = true;
        result = 0;
    }
    return result;
}

/* Whether a stranger may come in, and what is known of it so far: nothing. */
static int stranger(const struct pc_cache_set *set, const struct pc_known *known, const struct pc_maddr *addr,
                    const struct pc_cache_report *report, int64_t now_ms, struct pc_delta *ret_delta)
{
    struct pc_maddr storable;
    int result =
        pc_addr_storable(pc_addr_maddr_bytes(addr), pc_cache_storable_mode(set), false, &storable, NULL);
    if (result)
        return result;
    if (pc_cache_bans_cover_id(&set->bans, &known->record.id) ||
        (report->proven && pc_cache_bans_cover_id(&set->bans, report->proven)) ||
        pc_cache_bans_cover_addr(&set->bans, pc_addr_maddr_bytes(addr)))
        return PEERCACHE_EPERM;
    pc_cache_delta_init(ret_delta, &known->record.id, pc_addr_maddr_bytes(addr));
    ret_delta->source = report->source;
    ret_delta->first_seen_ms = now_ms;
    return 0;
}

static int count_success(struct pc_cache_set *set, struct pc_known *known, const struct pc_maddr *addr,
                         const struct pc_cache_report *report, int64_t now_ms)
{
    struct pc_delta delta;
    const struct pc_peer_id *proven = report->proven;
    struct pc_peer_id id = known->record.id;
    if (pc_cache_is_own_id(set, &id) || (proven && pc_cache_is_own_id(set, proven)) ||
        pc_cache_is_own_addr(set, pc_addr_maddr_bytes(addr)))
        return PEERCACHE_EINVAL;
    if (known->addr) {
        pc_cache_delta_of(known, &delta);
    } else {
        int result = stranger(set, known, addr, report, now_ms, &delta);
        if (result)
            return result;
    }
    delta.history.last_seen_ms = now_ms;
    if (report->unverified)
        return pc_cache_take_news(set, known, &delta, now_ms);
    delta.history.success_count = report->count;
    delta.history.last_success_ms = now_ms;
    delta.history.last_attempt_ms = now_ms;
    if (report->rtt_us != PC_RTT_UNKNOWN) {
        delta.history.rtt_us = report->rtt_us;
        delta.history.rtt_at_ms = now_ms;
    }
    if (id.size == 0 && proven && proven->size)
        return adopt(set, known, proven, &delta, now_ms);
    int result = pc_cache_take_news(set, known, &delta, now_ms);
    return result ? result : tell_contest(set, &id, pc_addr_maddr_bytes(addr), true);
}

/* What says nothing of the peer is only known or not. */
static int nothing_to_count(const struct pc_known *known)
{
    return known->addr ? 0 : PEERCACHE_ENOTFOUND;
}

int pc_cache_set_report_more(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                             const struct pc_cache_report *report, int64_t now_ms)
{
    struct pc_maddr normal;
    struct pc_delta delta;
    struct pc_known known;
    int result;
    now_ms = pc_cache_advance(set, now_ms);
    if (!look_up_any(set, id, addr, &known, &normal))
        return PEERCACHE_ENOTFOUND;
    switch (report->outcome) {
    case PEERCACHE_OK:
        result = count_success(set, &known, &normal, report, now_ms);
        if (report->unverified)
            return result;
        (void)pc_cache_set_answered(set, now_ms); /* ENOMEM: the rest stays held until the next answer */
        return result;
    case PEERCACHE_TIMEOUT:
    case PEERCACHE_UNREACHABLE:
    case PEERCACHE_DNS_FAILED:
        if (set->options.count_at_once || !known.addr)
            return count_failure(set, &known, &normal, report->outcome, report->count, now_ms, now_ms);
        pc_cache_delta_of(&known, &delta);
        delta.history.last_attempt_ms = now_ms;
        result = pc_cache_take_news(set, &known, &delta, now_ms);
        return result ? result : hold_failure(set, id, &normal, report, now_ms);
    case PEERCACHE_REFUSED:
    case PEERCACHE_TLS_FAILED:
    case PEERCACHE_MISBEHAVED:
    case PEERCACHE_WRONG_IDENTITY:
    case PEERCACHE_PROTOCOL_MISMATCH:
        if (set->held_count) { /* what was held of this very peer counts first */
            result = pc_cache_set_answered(set, now_ms);
            if (result)
                return result;
            pc_cache_look_up(set, id, pc_addr_maddr_bytes(&normal), &known);
        }
        if (report->outcome != PEERCACHE_WRONG_IDENTITY && report->outcome != PEERCACHE_PROTOCOL_MISMATCH)
            return count_failure(set, &known, &normal, report->outcome, report->count, now_ms, now_ms);
        if (!known.addr && !set->options.is_part)
            return PEERCACHE_ENOTFOUND;
        return pc_cache_put_tombstone(set, id, pc_addr_maddr_bytes(&normal),
                                      known.addr ? known.addr->history.last_seen_ms : 0, now_ms);
    case PEERCACHE_UNSUPPORTED:
    case PEERCACHE_DENIED:
    case PEERCACHE_CANCELLED:
        return nothing_to_count(&known);
    case PEERCACHE_OUTCOME_COUNT:
        break;
    }
    return PEERCACHE_EINVAL;
}

int pc_cache_set_report(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                        peercache_outcome outcome, const struct pc_peer_id *proven, uint32_t rtt_us,
                        peercache_source source, int64_t now_ms)
{
    const struct pc_cache_report report = {
        .outcome = outcome, .count = 1, .rtt_us = rtt_us, .proven = proven, .source = source
    };
    return pc_cache_set_report_more(set, id, addr, &report, now_ms);
}
