/*
 * Dials are kept in the order of their start. One threshold holds for all, so those that are stalled are
 * always the first ones of the array.
 *
 *   running ──target──► joined            (pc_join_again leads from each back to exhausted)
 *    │ ▲ └────timeout──► timed out
 *    ▼ └─offered┐
 *   exhausted ──┘ (also ──► joined, by a peer that dialled us)
 */
#include "join/joiner.h"

#include "base/fsm.h"
#include "join/backoff.h"
#include "join/black_hole.h"
#include "join/candidates.h"

#include <assert.h>
#include <stdlib.h>

static const uint32_t allowed[] = {
    [PC_JOIN_RUNNING] =
        PC_FSM_TO(PC_JOIN_JOINED) | PC_FSM_TO(PC_JOIN_EXHAUSTED) | PC_FSM_TO(PC_JOIN_TIMED_OUT),
    [PC_JOIN_JOINED] = PC_FSM_TO(PC_JOIN_EXHAUSTED),
    [PC_JOIN_EXHAUSTED] = PC_FSM_TO(PC_JOIN_RUNNING) | PC_FSM_TO(PC_JOIN_JOINED),
    [PC_JOIN_TIMED_OUT] = PC_FSM_TO(PC_JOIN_EXHAUSTED),
};

#define STALL_ROUND_TRIPS 3

/* Of the unstalled dials that are allowed, a tenth and one at least is kept for each source that waits. */
#define SHARE_PART 10

struct dial {
    uint64_t number;
    int64_t started_us;
    struct pc_candidate *candidate;
};

struct pc_joiner {
    struct pc_joiner_options options;
    int64_t ends_us;
    unsigned phase;
    bool was_offered_anything;
    struct pc_rng rng; /* of the jitter alone */

    struct pc_candidates candidates;
    struct pc_black_holes holes;
    bool has_no_route[2]; /* IPv4, IPv6 */

    uint64_t last_dial;
    size_t dial_count;
    size_t stalled_count; /* dials[0..stalled_count) */
    struct dial dials[PC_JOIN_DIALS_MAX];
    struct {
        uint32_t unstalled; /* dials */
        uint64_t last_dial; /* the number of the last one, so that turns are taken */
        bool is_expected;
    } lanes[PC_LANE_COUNT];

    size_t rtt_count; /* of all measured; the last ones are kept */
    int64_t rtts_us[PC_JOIN_RTT_SAMPLES];
    int64_t stall_us;

    uint32_t ended_count;     /* dials that said something of the odds: verified or failed, not given up */
    uint32_t succeeded_count; /* of them verified */
    uint32_t verified_count;
    struct pc_peer_id *verified; /* of options.target, in order */
};

static bool options_are_valid(const struct pc_joiner_options *options)
{
    return options->min >= 1 && options->min <= options->target && options->target <= PC_JOIN_TARGET_MAX &&
           options->unstalled_max >= 1 && options->unstalled_max <= options->dials_max &&
           options->dials_max <= PC_JOIN_DIALS_MAX && options->timeout_us > 0 &&
           options->dial_timeout_us > 0 && options->race_us >= 0 && options->race_private_us >= 0;
}

int pc_join_new(const struct pc_joiner_options *options, int64_t now_us, struct pc_joiner **ret_joiner)
{
    if (!options_are_valid(options))
        return PEERCACHE_EINVAL;
    struct pc_joiner *joiner = calloc(1, sizeof(*joiner));
    if (!joiner)
        return PEERCACHE_ENOMEM;
    joiner->verified = calloc(options->target, sizeof(joiner->verified[0]));
    if (!joiner->verified) {
        free(joiner);
        return PEERCACHE_ENOMEM;
    }
    joiner->options = *options;
    joiner->ends_us = pc_base_time_add(now_us, options->timeout_us);
    joiner->phase = PC_JOIN_EXHAUSTED; /* nothing waits yet */
    joiner->stall_us = PC_JOIN_STALL_FIRST_US;
    uint8_t seed[PC_RNG_SEED_BYTES] = { 0 };
    memcpy(seed, options->secret, sizeof(options->secret));
    pc_base_rng_init(&joiner->rng, seed);
    pc_candidates_init(&joiner->candidates, options->mode, options->secret);
    pc_black_holes_init(&joiner->holes);
    *ret_joiner = joiner;
    return 0;
}

void pc_join_free(struct pc_joiner *joiner)
{
    if (!joiner)
        return;
    pc_candidates_deinit(&joiner->candidates);
    free(joiner->verified);
    free(joiner);
}

/* How many verified ids sort before this one: its place, or where it belongs. */
static size_t verified_rank(const struct pc_joiner *joiner, const struct pc_peer_id *id)
{
    size_t low = 0;
    size_t high = joiner->verified_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct pc_peer_id *other = &joiner->verified[middle];
        int order = other->size != id->size ? (int)other->size - (int)id->size
                                            : memcmp(other->bytes, id->bytes, id->size);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_verified(const struct pc_joiner *joiner, const struct pc_peer_id *id)
{
    size_t at = verified_rank(joiner, id);
    return at < joiner->verified_count && pc_addr_peer_id_equal(&joiner->verified[at], id);
}

static bool is_over(const struct pc_joiner *joiner)
{
    return joiner->phase == PC_JOIN_JOINED || joiner->phase == PC_JOIN_TIMED_OUT;
}

/* With no dial under way, whether one may come: somebody may be dialled now, or when a family comes back to
 * one who tries again. Else those of a black hole are not waited for. */
static bool has_hope(const struct pc_joiner *joiner)
{
    bool hope = joiner->options.tries_again && joiner->candidates.waiting_count > 0;
    for (unsigned lane = 0; lane < PC_LANE_COUNT; lane++) {
        int64_t key;
        hope |= pc_candidates_first(&joiner->candidates, (enum pc_lane)lane, &key) != NULL;
    }
    return hope;
}

/* Move to the phase that the counts show. */
static void settle_phase(struct pc_joiner *joiner)
{
    unsigned phase = PC_JOIN_RUNNING;
    if (is_over(joiner))
        return;
    if (joiner->verified_count >= joiner->options.target)
        phase = PC_JOIN_JOINED;
    else if (joiner->dial_count == 0 && joiner->candidates.resting.count == 0 && !has_hope(joiner))
        phase = PC_JOIN_EXHAUSTED;
    if (phase != joiner->phase)
        pc_base_fsm_move(allowed, &joiner->phase, phase);
}

static void settle_time(struct pc_joiner *joiner, int64_t now_us)
{
    if (joiner->phase == PC_JOIN_RUNNING && now_us >= joiner->ends_us)
        pc_base_fsm_move(allowed, &joiner->phase, PC_JOIN_TIMED_OUT);
}

void pc_join_note_offered(struct pc_joiner *joiner)
{
    joiner->was_offered_anything = true;
}

int pc_join_offer(struct pc_joiner *joiner, const struct pc_joiner_candidate *candidate)
{
    joiner->was_offered_anything = true;
    if (is_over(joiner) || is_verified(joiner, &candidate->id))
        return 0;
    int result = pc_candidates_add(&joiner->candidates, candidate);
    settle_phase(joiner);
    return result;
}

enum pc_join_fate pc_join_fate_of(const struct pc_joiner *joiner, const struct pc_joiner_candidate *candidate)
{
    if (is_verified(joiner, &candidate->id))
        return PC_JOIN_VERIFIED;
    const struct pc_candidate *known = pc_candidates_find(&joiner->candidates, candidate);
    if (!known)
        return PC_JOIN_UNKNOWN;
    return pc_candidates_is_open(known) ? PC_JOIN_OPEN : PC_JOIN_FAILED;
}

static void count_dial(struct pc_joiner *joiner, const struct pc_candidate *candidate, bool more)
{
    uint32_t *unstalled = &joiner->lanes[pc_lane_of(candidate->via)].unstalled;
    *unstalled = more ? *unstalled + 1 : *unstalled - 1;
    pc_candidates_count_dial(&joiner->candidates, candidate->group, more);
}

/*
 * How many unstalled dials may be under way. Until one has succeeded nothing is known of the odds, so all
 * that are allowed. Then twice as many as the peers that are still missing would take at the odds so far,
 * where a stalled dial is a failure: with live peers the last ones missing are not dialled ten at a time, and
 * with dead ones they are.
 */
static uint32_t unstalled_limit(const struct pc_joiner *joiner)
{
    if (joiner->succeeded_count == 0 || joiner->verified_count >= joiner->options.target)
        return joiner->options.unstalled_max;
    uint64_t missing = joiner->options.target - joiner->verified_count;
    uint64_t tried = (uint64_t)joiner->ended_count + joiner->stalled_count;
    uint64_t wanted = 2 * missing * (tried + 1) / (joiner->succeeded_count + 1);
    return wanted < joiner->options.unstalled_max ? (uint32_t)wanted : joiner->options.unstalled_max;
}

/* How many of its dials are kept free for others when the lane has none. */
static uint32_t half_of(uint32_t limit)
{
    return limit > 1 ? limit / 2 : 1;
}

/* A source of fresh peers has one to dial. */
static bool fresh_one_waits(const struct pc_joiner *joiner, enum pc_lane lane)
{
    int64_t key;
    return (lane == PC_LANE_ENDPOINT || lane == PC_LANE_DHT) &&
           pc_candidates_first(&joiner->candidates, lane, &key) != NULL;
}

/* The cache fills the slots while fresh peers wait that have had less than their half. */
static bool is_contended(const struct pc_joiner *joiner)
{
    uint32_t limit = unstalled_limit(joiner);
    uint32_t fresh = joiner->lanes[PC_LANE_ENDPOINT].unstalled + joiner->lanes[PC_LANE_DHT].unstalled;
    return (fresh_one_waits(joiner, PC_LANE_ENDPOINT) || fresh_one_waits(joiner, PC_LANE_DHT)) &&
           fresh < half_of(limit) && joiner->dial_count - joiner->stalled_count >= limit;
}

/* For how long a dial is silent until it is stalled. While the cache is in the way of fresh peers one round
 * trip is enough: that is the round trip of the bound. */
static int64_t stall_after_us(const struct pc_joiner *joiner)
{
    return is_contended(joiner) ? joiner->stall_us / STALL_ROUND_TRIPS : joiner->stall_us;
}

/* When the oldest dial that is not stalled will be; NEVER when there is none. */
static int64_t next_stall(const struct pc_joiner *joiner)
{
    if (joiner->stalled_count == joiner->dial_count)
        return PC_TIME_NEVER;
    return pc_base_time_add(joiner->dials[joiner->stalled_count].started_us, stall_after_us(joiner));
}

static void find_stalled(struct pc_joiner *joiner, int64_t now_us)
{
    while (joiner->stalled_count < joiner->dial_count && next_stall(joiner) <= now_us)
        count_dial(joiner, joiner->dials[joiner->stalled_count++].candidate, false);
}

static bool has_slot(const struct pc_joiner *joiner)
{
    return joiner->dial_count < joiner->options.dials_max &&
           joiner->dial_count - joiner->stalled_count < unstalled_limit(joiner);
}

/* Slots that are kept for the other lanes: the share of each that waits and has less, half of all for fresh
 * peers that wait or are expected when it is the cache that asks. */
static uint32_t kept_from(const struct pc_joiner *joiner, enum pc_lane asking, uint32_t limit)
{
    uint32_t share = limit / SHARE_PART > 0 ? limit / SHARE_PART : 1;
    uint32_t kept = 0;
    uint32_t fresh = joiner->lanes[PC_LANE_ENDPOINT].unstalled + joiner->lanes[PC_LANE_DHT].unstalled;
    bool fresh_are_wanted = false;
    for (unsigned i = 0; i < PC_LANE_COUNT; i++) {
        int64_t key;
        enum pc_lane lane = (enum pc_lane)i;
        bool waits = pc_candidates_first(&joiner->candidates, lane, &key) != NULL;
        if (lane == asking)
            continue;
        if (waits && joiner->lanes[i].unstalled < share)
            kept += share - joiner->lanes[i].unstalled;
        fresh_are_wanted |= joiner->lanes[i].is_expected || fresh_one_waits(joiner, lane);
    }
    if (asking == PC_LANE_CACHE && joiner->lanes[asking].unstalled >= share && fresh_are_wanted &&
        fresh < half_of(limit) && kept < half_of(limit) - fresh)
        kept = half_of(limit) - fresh;
    return kept;
}

/* The next to dial: of the lanes that leave the others their share, the best by group, via and offer. When
 * there are too few slots for shares, the lane whose turn is longest ago. NULL when none may be dialled. */
static struct pc_candidate *next_candidate(const struct pc_joiner *joiner)
{
    uint32_t limit = unstalled_limit(joiner);
    size_t used = joiner->dial_count - joiner->stalled_count;
    struct pc_candidate *best = NULL;
    struct pc_candidate *by_turn = NULL;
    int64_t best_key = PC_CANDIDATE_BLOCKED;
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < PC_LANE_COUNT; i++) {
        int64_t key;
        enum pc_lane lane = (enum pc_lane)i;
        struct pc_candidate *first = pc_candidates_first(&joiner->candidates, lane, &key);
        if (!first)
            continue;
        if (key < best_key && limit > used && limit - used > kept_from(joiner, lane, limit)) {
            best = first;
            best_key = key;
        }
        if (joiner->lanes[i].last_dial < oldest &&
            (lane != PC_LANE_CACHE || limit <= PC_LANE_COUNT || joiner->lanes[i].unstalled == 0)) {
            by_turn = first;
            oldest = joiner->lanes[i].last_dial;
        }
    }
    return best ? best : by_turn;
}

static int64_t race_after_us(const struct pc_joiner *joiner, const struct pc_candidate *candidate)
{
    if (candidate->ip_port.family == 0)
        return 0;
    return pc_addr_scope_of(&candidate->ip_port) == PC_SCOPE_PRIVATE ? joiner->options.race_private_us
                                                                     : joiner->options.race_us;
}

/* When a family may be dialled: now or earlier, at its hole's next probe, never without a route. */
static int64_t family_ready_at(const struct pc_joiner *joiner, uint8_t family)
{
    return joiner->has_no_route[family == 6] ? PC_TIME_NEVER
                                             : pc_black_holes_ready_at(&joiner->holes, family);
}

static void heed_holes(struct pc_joiner *joiner, int64_t now_us)
{
    for (uint8_t family = 4; family <= 6; family += 2)
        pc_candidates_block_family(&joiner->candidates, family, family_ready_at(joiner, family) > now_us);
}

static void settle_now(struct pc_joiner *joiner, int64_t now_us)
{
    settle_time(joiner, now_us);
    heed_holes(joiner, now_us);
    pc_candidates_wake(&joiner->candidates, now_us);
    find_stalled(joiner, now_us);
    settle_phase(joiner); /* what rested may be of no more use */
}

bool pc_join_next(struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial,
                  struct pc_joiner_candidate *ret_candidate, int64_t *ret_deadline_us)
{
    settle_now(joiner, now_us);
    if (joiner->phase != PC_JOIN_RUNNING || !has_slot(joiner))
        return false;
    struct pc_candidate *candidate = next_candidate(joiner);
    if (!candidate)
        return false;
    int64_t race_us = race_after_us(joiner, candidate);
    pc_candidates_dial(&joiner->candidates, candidate,
                       race_us > 0 ? pc_base_time_add(now_us, race_us) : PC_TIME_NEVER);
    joiner->dials[joiner->dial_count++] = (struct dial){ ++joiner->last_dial, now_us, candidate };
    joiner->lanes[pc_lane_of(candidate->via)].last_dial = joiner->last_dial;
    count_dial(joiner, candidate, true);
    if (candidate->ip_port.family != 0)
        pc_black_holes_probed(&joiner->holes, candidate->ip_port.family, now_us);
    *ret_dial = joiner->last_dial;
    pc_candidates_give_out(candidate, ret_candidate);
    *ret_deadline_us =
        pc_base_time_min(joiner->ends_us, pc_base_time_add(now_us, joiner->options.dial_timeout_us));
    return true;
}

/* Count the peer, and let go of its addresses that wait. */
static void verified(struct pc_joiner *joiner, const struct pc_peer_id *id)
{
    bool waits = joiner->options.tries_again && joiner->phase == PC_JOIN_TIMED_OUT &&
                 joiner->verified_count < joiner->options.target;
    if (id->size == 0 || (is_over(joiner) && !waits) || is_verified(joiner, id))
        return;
    size_t at = verified_rank(joiner, id);
    memmove(&joiner->verified[at + 1], &joiner->verified[at],
            (joiner->verified_count - at) * sizeof(joiner->verified[0]));
    joiner->verified[at] = *id;
    joiner->verified_count++;
    pc_candidates_peer_done(&joiner->candidates, id);
}

/* The median of few samples: a sorted copy. Of an even number the lower of the middle two. */
static void measured(struct pc_joiner *joiner, int64_t rtt_us)
{
    int64_t sorted_us[PC_JOIN_RTT_SAMPLES];
    joiner->rtts_us[joiner->rtt_count++ % PC_JOIN_RTT_SAMPLES] = rtt_us;
    size_t count = joiner->rtt_count < PC_JOIN_RTT_SAMPLES ? joiner->rtt_count : PC_JOIN_RTT_SAMPLES;
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted_us[at - 1] > joiner->rtts_us[i]; at--)
            sorted_us[at] = sorted_us[at - 1];
        sorted_us[at] = joiner->rtts_us[i];
    }
    int64_t median_us = sorted_us[(count - 1) / 2];
    joiner->stall_us =
        median_us > PC_TIME_NEVER / STALL_ROUND_TRIPS ? PC_TIME_NEVER : median_us * STALL_ROUND_TRIPS;
    joiner->stall_us = pc_base_time_max(joiner->stall_us, PC_JOIN_STALL_MIN_US);
}

/* Index of the dial of this number; dial_count when there is none. */
static size_t dial_index(const struct pc_joiner *joiner, uint64_t number)
{
    size_t low = 0;
    size_t high = joiner->dial_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (joiner->dials[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < joiner->dial_count && joiner->dials[low].number == number ? low : joiner->dial_count;
}

/* Take the dial out of those under way; its candidate. */
static struct pc_candidate *dial_take_out(struct pc_joiner *joiner, size_t index)
{
    struct pc_candidate *candidate = joiner->dials[index].candidate;
    joiner->dial_count--;
    memmove(&joiner->dials[index], &joiner->dials[index + 1],
            (joiner->dial_count - index) * sizeof(joiner->dials[0]));
    if (index < joiner->stalled_count)
        joiner->stalled_count--;
    else
        count_dial(joiner, candidate, false);
    pc_candidates_dial_ended(&joiner->candidates, candidate);
    return candidate;
}

/* An address that failed for a reason that may pass is tried again later. One that led to somebody else, or
 * that we cannot or may not dial, is not. */
static bool may_pass(peercache_outcome outcome)
{
    switch (outcome) {
    case PEERCACHE_TIMEOUT:
    case PEERCACHE_REFUSED:
    case PEERCACHE_UNREACHABLE:
    case PEERCACHE_TLS_FAILED:
    case PEERCACHE_PROTOCOL_MISMATCH:
    case PEERCACHE_MISBEHAVED:
    case PEERCACHE_DNS_FAILED:
    case PEERCACHE_CANCELLED:
        return true;
    case PEERCACHE_OK:
    case PEERCACHE_WRONG_IDENTITY:
    case PEERCACHE_UNSUPPORTED:
    case PEERCACHE_DENIED:
    case PEERCACHE_OUTCOME_COUNT:
        break;
    }
    return false;
}

static void rest(struct pc_joiner *joiner, struct pc_candidate *candidate, int64_t now_us)
{
    if (candidate->failures < UINT32_MAX)
        candidate->failures++;
    int64_t wait_us = pc_join_backoff_squared(&joiner->rng, candidate->failures);
    /* ENOMEM: it is not tried again in this round. */
    (void)pc_candidates_rest(&joiner->candidates, candidate, pc_base_time_add(now_us, wait_us));
}

void pc_join_ended(struct pc_joiner *joiner, uint64_t dial, peercache_outcome outcome,
                   const struct pc_peer_id *id, int64_t rtt_us, int64_t now_us)
{
    size_t index = dial_index(joiner, dial);
    if (index == joiner->dial_count)
        return;
    settle_now(joiner, now_us);
    struct pc_candidate *candidate = dial_take_out(joiner, index);
    if (rtt_us >= 0)
        measured(joiner, rtt_us);
    if (outcome == PEERCACHE_OK)
        joiner->succeeded_count++;
    if (outcome != PEERCACHE_UNSUPPORTED && outcome != PEERCACHE_DENIED && outcome != PEERCACHE_CANCELLED)
        joiner->ended_count++;
    if (candidate->ip_port.family != 0 &&
        pc_black_holes_ended(&joiner->holes, candidate->ip_port.family, candidate->via, outcome, now_us))
        heed_holes(joiner, now_us);
    if (outcome == PEERCACHE_OK && id)
        verified(joiner, id);
    else if (outcome == PEERCACHE_OK && candidate->peer)
        verified(joiner, &candidate->peer->id);
    else if (joiner->options.tries_again && may_pass(outcome))
        rest(joiner, candidate, now_us);
    settle_phase(joiner);
}

/* A dial that is of no more use: its peer is verified by another, or it is a stalled one of the cache and
 * takes the last room of one from elsewhere. dial_count when there is none. */
static size_t useless_dial(const struct pc_joiner *joiner)
{
    int64_t key;
    size_t last = joiner->dial_count;
    bool is_full = last == joiner->options.dials_max;
    bool others_wait = pc_candidates_first(&joiner->candidates, PC_LANE_GIVEN, &key) ||
                       pc_candidates_first(&joiner->candidates, PC_LANE_ENDPOINT, &key) ||
                       pc_candidates_first(&joiner->candidates, PC_LANE_DHT, &key);
    for (size_t i = 0; i < last; i++) {
        const struct pc_candidate *candidate = joiner->dials[i].candidate;
        if (is_over(joiner) || (candidate->peer && is_verified(joiner, &candidate->peer->id)))
            return i;
        if (is_full && others_wait && i < joiner->stalled_count && candidate->via == PEERCACHE_VIA_CACHE)
            return i;
    }
    return last;
}

bool pc_join_next_cancel(struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial, peercache_via *ret_via)
{
    settle_now(joiner, now_us);
    size_t index = useless_dial(joiner);
    if (index == joiner->dial_count)
        return false;
    *ret_dial = joiner->dials[index].number;
    *ret_via = dial_take_out(joiner, index)->via;
    settle_phase(joiner);
    return true;
}

int64_t pc_join_overdue_at(const struct pc_joiner *joiner)
{
    if (joiner->dial_count == 0)
        return PC_TIME_NEVER;
    int64_t ends_us = pc_base_time_add(joiner->dials[0].started_us, joiner->options.dial_timeout_us);
    return pc_base_time_add(ends_us, PC_JOIN_OVERDUE_US);
}

bool pc_join_overdue(const struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial)
{
    if (joiner->dial_count == 0 || pc_join_overdue_at(joiner) > now_us)
        return false;
    *ret_dial = joiner->dials[0].number;
    return true;
}

bool pc_join_dial_of(const struct pc_joiner *joiner, uint64_t dial, struct pc_joiner_candidate *ret_candidate)
{
    size_t index = dial_index(joiner, dial);
    if (index == joiner->dial_count)
        return false;
    pc_candidates_give_out(joiner->dials[index].candidate, ret_candidate);
    return true;
}

void pc_join_expect(struct pc_joiner *joiner, peercache_via via, bool is_expected)
{
    joiner->lanes[pc_lane_of(via)].is_expected = is_expected;
}

void pc_join_endpoint_answered(struct pc_joiner *joiner, int64_t now_us)
{
    if (pc_black_holes_endpoint_answered(&joiner->holes, now_us))
        heed_holes(joiner, now_us);
}

void pc_join_reached(struct pc_joiner *joiner, uint8_t family, int64_t now_us)
{
    if (pc_black_holes_ended(&joiner->holes, family, PEERCACHE_VIA_CACHE, PEERCACHE_OK, now_us))
        heed_holes(joiner, now_us);
}

void pc_join_network_changed(struct pc_joiner *joiner, int64_t now_us)
{
    pc_black_holes_network_changed(&joiner->holes);
    heed_holes(joiner, now_us);
    pc_candidates_wake_all(&joiner->candidates);
    joiner->rtt_count = 0;
    joiner->stall_us = PC_JOIN_STALL_FIRST_US;
    settle_phase(joiner);
}

void pc_join_again(struct pc_joiner *joiner, int64_t now_us)
{
    if (joiner->phase != PC_JOIN_EXHAUSTED)
        pc_base_fsm_move(allowed, &joiner->phase, PC_JOIN_EXHAUSTED);
    joiner->ends_us = pc_base_time_add(now_us, joiner->options.timeout_us);
    joiner->verified_count = 0;
    joiner->ended_count = 0;
    joiner->succeeded_count = 0;
    pc_candidates_forget_dialled(&joiner->candidates);
    settle_phase(joiner);
}

bool pc_join_is_hole(const struct pc_joiner *joiner, uint8_t family)
{
    return pc_black_holes_is_hole(&joiner->holes, family);
}

bool pc_join_is_udp_hole(const struct pc_joiner *joiner)
{
    return pc_black_holes_is_udp(&joiner->holes);
}

size_t pc_join_waiting_count(const struct pc_joiner *joiner)
{
    return joiner->candidates.waiting_count;
}

void pc_join_verified_inbound(struct pc_joiner *joiner, const struct pc_peer_id *id)
{
    verified(joiner, id);
    settle_phase(joiner);
}

enum pc_join_phase pc_join_phase_at(const struct pc_joiner *joiner, int64_t now_us)
{
    if (joiner->phase == PC_JOIN_RUNNING && now_us >= joiner->ends_us)
        return PC_JOIN_TIMED_OUT;
    return (enum pc_join_phase)joiner->phase;
}

bool pc_join_rests(const struct pc_joiner *joiner)
{
    return joiner->dial_count == 0 && next_candidate(joiner) == NULL;
}

int64_t pc_join_deadline(const struct pc_joiner *joiner)
{
    if (joiner->phase != PC_JOIN_RUNNING)
        return PC_TIME_NEVER;
    int64_t at = pc_base_time_min(joiner->ends_us, pc_candidates_wake_at(&joiner->candidates));
    for (uint8_t family = 4; family <= 6; family += 2)
        if (joiner->candidates.is_blocked[family == 6] && joiner->candidates.waiting_count > 0)
            at = pc_base_time_min(at, family_ready_at(joiner, family));
    /* A stall matters only when it frees the slot that a candidate waits for. */
    bool waits = false;
    for (unsigned lane = 0; lane < PC_LANE_COUNT; lane++) {
        int64_t key;
        waits |= pc_candidates_first(&joiner->candidates, (enum pc_lane)lane, &key) != NULL;
    }
    bool waits_for_stall = waits && joiner->dial_count < joiner->options.dials_max &&
                           (!has_slot(joiner) || next_candidate(joiner) == NULL);
    return waits_for_stall ? pc_base_time_min(at, next_stall(joiner)) : at;
}

size_t pc_join_waiting_of(const struct pc_joiner *joiner, peercache_via via)
{
    return joiner->candidates.waiting_by_lane[pc_lane_of(via)];
}

void pc_join_set_route(struct pc_joiner *joiner, uint8_t family, bool has_route, int64_t now_us)
{
    joiner->has_no_route[family == 6] = !has_route;
    heed_holes(joiner, now_us);
    settle_phase(joiner);
}

uint32_t pc_join_verified_count(const struct pc_joiner *joiner)
{
    return joiner->verified_count;
}

bool pc_join_was_offered_anything(const struct pc_joiner *joiner)
{
    return joiner->was_offered_anything;
}

size_t pc_join_dials_under_way(const struct pc_joiner *joiner, uint64_t *ret_dials, size_t capacity)
{
    for (size_t i = 0; i < joiner->dial_count && i < capacity; i++)
        ret_dials[i] = joiner->dials[i].number;
    return joiner->dial_count;
}
