/*
 * A heap of groups, and in each group a heap of its candidates. A candidate's key is (via, number of the
 * offer), a group's is (unstalled dials, key of its first candidate), so the first candidate of the first
 * group is the next to dial, and every change costs a logarithm. Nodes stay in their heaps with the key
 * BLOCKED while they may not be dialled (a group without candidates, a candidate whose peer is being
 * dialled): memory is needed only when a candidate is offered, so nothing else can fail.
 *
 * Dials are kept in the order of their start. One threshold holds for all, so those that are stalled are
 * always the first ones of the array.
 *
 *   running ──target──► joined
 *    │ ▲ └────timeout──► timed out
 *    ▼ └─offered┐
 *   exhausted ──┘ (also ──► joined, by a peer that dialled us)
 */
#include "join/joiner.h"

#include "base/fsm.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/time.h"

#include <assert.h>
#include <stdlib.h>

static const uint32_t allowed[] = {
    [PC_JOIN_RUNNING] =
        PC_FSM_TO(PC_JOIN_JOINED) | PC_FSM_TO(PC_JOIN_EXHAUSTED) | PC_FSM_TO(PC_JOIN_TIMED_OUT),
    [PC_JOIN_JOINED] = 0,
    [PC_JOIN_EXHAUSTED] = PC_FSM_TO(PC_JOIN_RUNNING) | PC_FSM_TO(PC_JOIN_JOINED),
    [PC_JOIN_TIMED_OUT] = 0,
};

/* Keys of the heaps, from the top: dials of the group, via, number of the offer. */
#define BLOCKED           (PC_TIME_NEVER - 1) /* NEVER itself would take the node out */
#define TIER_SHIFT        32
#define DIALS_SHIFT       40

#define STALL_ROUND_TRIPS 3

/* Size of the id, id, address: what makes two candidates the same. */
#define KEY_MAX_BYTES (1 + PC_PEER_ID_MAX_BYTES + PC_MADDR_MAX_BYTES)

struct group {
    struct pc_map_node node; /* in groups, by name */
    struct pc_netgroup name; /* size 0: of those without a group */
    struct pc_heap candidates;
    struct pc_heap_node place; /* in waiting_groups, always */
    uint32_t unstalled;        /* dials; stays 0 for those without a group */
};

struct peer {
    struct pc_map_node node; /* in peers, by id */
    struct pc_peer_id id;
    bool dialling;
    size_t waiting_count;
    struct candidate *waiting[PEERCACHE_ADDRS_PER_PEER];
};

struct candidate {
    struct pc_map_node node;   /* in candidates, by key; there until the end */
    struct pc_heap_node place; /* in the heap of its group, while it waits */
    struct group *group;
    struct peer *peer; /* NULL when its id is not known */
    int64_t rank;      /* via and number of the offer */
    struct pc_ip_port ip_port;
    peercache_via via;
    uint16_t key_size;
    uint8_t key[];
};

struct dial {
    uint64_t number;
    int64_t started_us;
    struct candidate *candidate;
};

struct pc_joiner {
    struct pc_joiner_options options;
    int64_t ends_us;
    unsigned phase;
    bool was_offered_anything;

    struct pc_map candidates;
    struct pc_map peers;
    struct pc_map groups;
    struct pc_heap waiting_groups;
    size_t waiting_count;
    uint32_t offers;

    uint64_t last_dial;
    size_t dial_count;
    size_t stalled_count; /* dials[0..stalled_count) */
    struct dial dials[PC_JOIN_DIALS_MAX];

    size_t rtt_count; /* of all measured; the last ones are kept */
    int64_t rtts_us[PC_JOIN_RTT_SAMPLES];
    int64_t stall_us;

    uint32_t ended_count;     /* dials that said something of the odds: verified or failed, not given up */
    uint32_t succeeded_count; /* of them verified */
    uint32_t verified_count;
    struct pc_peer_id *verified; /* of options.target, in order */
};

static struct pc_bytes candidate_key(const struct pc_map_node *node)
{
    const struct candidate *candidate = PC_CONST_CONTAINER_OF(node, struct candidate, node);
    return pc_bytes_of(candidate->key, candidate->key_size);
}

static struct pc_bytes peer_key(const struct pc_map_node *node)
{
    return pc_addr_peer_id_bytes(&PC_CONST_CONTAINER_OF(node, struct peer, node)->id);
}

static struct pc_bytes group_key(const struct pc_map_node *node)
{
    const struct group *group = PC_CONST_CONTAINER_OF(node, struct group, node);
    return pc_bytes_of(group->name.bytes, group->name.size);
}

static bool options_are_valid(const struct pc_joiner_options *options)
{
    return options->min >= 1 && options->min <= options->target && options->target <= PC_JOIN_TARGET_MAX &&
           options->unstalled_max >= 1 && options->unstalled_max <= options->dials_max &&
           options->dials_max <= PC_JOIN_DIALS_MAX && options->timeout_us > 0 && options->dial_timeout_us > 0;
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
    pc_base_map_init(&joiner->candidates, candidate_key, options->secret);
    pc_base_map_init(&joiner->peers, peer_key, options->secret);
    pc_base_map_init(&joiner->groups, group_key, options->secret);
    pc_base_heap_init(&joiner->waiting_groups);
    *ret_joiner = joiner;
    return 0;
}

void pc_join_free(struct pc_joiner *joiner)
{
    if (!joiner)
        return;
    struct pc_map_node *next;
    for (struct pc_map_node *n = pc_base_map_next(&joiner->candidates, NULL); n; n = next) {
        next = pc_base_map_next(&joiner->candidates, n);
        free(PC_CONTAINER_OF(n, struct candidate, node));
    }
    for (struct pc_map_node *n = pc_base_map_next(&joiner->peers, NULL); n; n = next) {
        next = pc_base_map_next(&joiner->peers, n);
        free(PC_CONTAINER_OF(n, struct peer, node));
    }
    for (struct pc_map_node *n = pc_base_map_next(&joiner->groups, NULL); n; n = next) {
        next = pc_base_map_next(&joiner->groups, n);
        struct group *group = PC_CONTAINER_OF(n, struct group, node);
        pc_base_heap_deinit(&group->candidates);
        free(group);
    }
    pc_base_map_deinit(&joiner->candidates);
    pc_base_map_deinit(&joiner->peers);
    pc_base_map_deinit(&joiner->groups);
    pc_base_heap_deinit(&joiner->waiting_groups);
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

/* Move to the phase that the counts show. */
static void settle_phase(struct pc_joiner *joiner)
{
    unsigned phase = PC_JOIN_RUNNING;
    if (is_over(joiner))
        return;
    if (joiner->verified_count >= joiner->options.target)
        phase = PC_JOIN_JOINED;
    else if (joiner->waiting_count == 0 && joiner->dial_count == 0)
        phase = PC_JOIN_EXHAUSTED;
    if (phase != joiner->phase)
        pc_base_fsm_move(allowed, &joiner->phase, phase);
}

static void settle_time(struct pc_joiner *joiner, int64_t now_us)
{
    if (joiner->phase == PC_JOIN_RUNNING && now_us >= joiner->ends_us)
        pc_base_fsm_move(allowed, &joiner->phase, PC_JOIN_TIMED_OUT);
}

/* Give a node that is in its heap another key: needs no memory. */
static void rekey(struct pc_heap *heap, struct pc_heap_node *node, int64_t key)
{
    assert(node->index != PC_HEAP_OUTSIDE);
    int result = pc_base_heap_set(heap, node, key);
    assert(result == 0);
    (void)result;
}

static void place_group(struct pc_joiner *joiner, struct group *group)
{
    const struct pc_heap_node *first = pc_base_heap_first(&group->candidates);
    int64_t key = BLOCKED;
    if (first && first->at != BLOCKED)
        key = ((int64_t)group->unstalled << DIALS_SHIFT) | first->at;
    rekey(&joiner->waiting_groups, &group->place, key);
}

static void group_count_dial(struct pc_joiner *joiner, struct group *group, bool more)
{
    if (group->name.size == 0)
        return;
    assert(more || group->unstalled > 0);
    group->unstalled = more ? group->unstalled + 1 : group->unstalled - 1;
    place_group(joiner, group);
}

static void peer_set_dialling(struct pc_joiner *joiner, struct peer *peer, bool dialling)
{
    if (!peer)
        return;
    peer->dialling = dialling;
    for (size_t i = 0; i < peer->waiting_count; i++) {
        struct candidate *candidate = peer->waiting[i];
        rekey(&candidate->group->candidates, &candidate->place, dialling ? BLOCKED : candidate->rank);
        place_group(joiner, candidate->group);
    }
}

/* It waits no longer: it is given out, or of no more use. */
static void candidate_take_out(struct pc_joiner *joiner, struct candidate *candidate)
{
    struct peer *peer = candidate->peer;
    pc_base_heap_remove(&candidate->group->candidates, &candidate->place);
    place_group(joiner, candidate->group);
    joiner->waiting_count--;
    for (size_t i = 0; peer && i < peer->waiting_count; i++) {
        if (peer->waiting[i] == candidate) {
            peer->waiting[i] = peer->waiting[--peer->waiting_count];
            return;
        }
    }
}

static int64_t tier_of(peercache_via via)
{
    switch (via) {
    case PEERCACHE_VIA_FLAG:
    case PEERCACHE_VIA_ENV:
        return 0;
    case PEERCACHE_VIA_CACHE:
        return 1;
    case PEERCACHE_VIA_ENDPOINT:
        return 2;
    case PEERCACHE_VIA_DHT:
    case PEERCACHE_VIA_COUNT:
        break;
    }
    return 3;
}

static int find_or_make_group(struct pc_joiner *joiner, const struct pc_joiner_candidate *candidate,
                              struct group **ret_group)
{
    struct pc_netgroup name = { .size = 0 };
    if (candidate->ip_port.family != 0)
        name = pc_addr_netgroup_of_ip_port(&candidate->ip_port, joiner->options.mode);
    struct pc_map_node *found = pc_base_map_find(&joiner->groups, pc_bytes_of(name.bytes, name.size));
    if (found) {
        *ret_group = PC_CONTAINER_OF(found, struct group, node);
        return 0;
    }
    struct group *group = calloc(1, sizeof(*group));
    if (!group)
        return PEERCACHE_ENOMEM;
    group->name = name;
    pc_base_heap_init(&group->candidates);
    pc_base_heap_node_init(&group->place);
    if (pc_base_heap_set(&joiner->waiting_groups, &group->place, BLOCKED) != 0) {
        free(group);
        return PEERCACHE_ENOMEM;
    }
    if (pc_base_map_insert(&joiner->groups, &group->node) != 0) {
        pc_base_heap_remove(&joiner->waiting_groups, &group->place);
        free(group);
        return PEERCACHE_ENOMEM;
    }
    *ret_group = group;
    return 0;
}

/* The peer of an id; NULL with 0 for one that is not known. */
static int find_or_make_peer(struct pc_joiner *joiner, const struct pc_peer_id *id, struct peer **ret_peer)
{
    *ret_peer = NULL;
    if (id->size == 0)
        return 0;
    struct pc_map_node *found = pc_base_map_find(&joiner->peers, pc_addr_peer_id_bytes(id));
    if (found) {
        *ret_peer = PC_CONTAINER_OF(found, struct peer, node);
        return 0;
    }
    struct peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return PEERCACHE_ENOMEM;
    peer->id = *id;
    if (pc_base_map_insert(&joiner->peers, &peer->node) != 0) {
        free(peer);
        return PEERCACHE_ENOMEM;
    }
    *ret_peer = peer;
    return 0;
}

/* Make the candidate and put it where it waits. A group or peer made on the way stays when a later step
 * fails: it is empty and found again. */
static int enqueue(struct pc_joiner *joiner, const struct pc_joiner_candidate *offered, struct pc_bytes key)
{
    struct group *group;
    struct peer *peer;
    int result = find_or_make_peer(joiner, &offered->id, &peer);
    if (result)
        return result;
    if (peer && peer->waiting_count == PEERCACHE_ADDRS_PER_PEER)
        return PEERCACHE_ELIMIT;
    result = find_or_make_group(joiner, offered, &group);
    if (result)
        return result;
    struct candidate *candidate = malloc(sizeof(*candidate) + key.size);
    if (!candidate)
        return PEERCACHE_ENOMEM;
    pc_base_heap_node_init(&candidate->place);
    candidate->group = group;
    candidate->peer = peer;
    candidate->rank = (tier_of(offered->via) << TIER_SHIFT) | joiner->offers;
    candidate->ip_port = offered->ip_port;
    candidate->via = offered->via;
    candidate->key_size = (uint16_t)key.size;
    memcpy(candidate->key, key.data, key.size);
    int64_t place = peer && peer->dialling ? BLOCKED : candidate->rank;
    if (pc_base_heap_set(&group->candidates, &candidate->place, place) != 0) {
        free(candidate);
        return PEERCACHE_ENOMEM;
    }
    if (pc_base_map_insert(&joiner->candidates, &candidate->node) != 0) {
        pc_base_heap_remove(&group->candidates, &candidate->place);
        free(candidate);
        return PEERCACHE_ENOMEM;
    }
    if (peer)
        peer->waiting[peer->waiting_count++] = candidate;
    joiner->offers++;
    joiner->waiting_count++;
    place_group(joiner, group);
    return 0;
}

int pc_join_offer(struct pc_joiner *joiner, const struct pc_joiner_candidate *candidate)
{
    uint8_t key[KEY_MAX_BYTES];
    size_t id_size = candidate->id.size;
    size_t key_size = 1 + id_size + candidate->addr.size;
    assert(id_size <= PC_PEER_ID_MAX_BYTES && candidate->addr.size <= PC_MADDR_MAX_BYTES);
    joiner->was_offered_anything = true;
    if (is_over(joiner) || is_verified(joiner, &candidate->id))
        return 0;
    key[0] = candidate->id.size;
    memcpy(key + 1, candidate->id.bytes, id_size);
    memcpy(key + 1 + id_size, candidate->addr.bytes, candidate->addr.size);
    if (pc_base_map_find(&joiner->candidates, pc_bytes_of(key, key_size)))
        return 0;
    if (joiner->waiting_count == PC_JOIN_CANDIDATES_MAX || joiner->candidates.count == PC_JOIN_KNOWN_MAX)
        return PEERCACHE_ELIMIT;
    int result = enqueue(joiner, candidate, pc_bytes_of(key, key_size));
    settle_phase(joiner);
    return result;
}

static void candidate_give_out(const struct candidate *candidate, struct pc_joiner_candidate *ret_candidate)
{
    size_t id_size = candidate->key[0];
    memset(ret_candidate, 0, sizeof(*ret_candidate));
    ret_candidate->id.size = candidate->key[0];
    memcpy(ret_candidate->id.bytes, candidate->key + 1, id_size);
    ret_candidate->addr.size = (uint16_t)(candidate->key_size - 1 - id_size);
    memcpy(ret_candidate->addr.bytes, candidate->key + 1 + id_size, ret_candidate->addr.size);
    ret_candidate->ip_port = candidate->ip_port;
    ret_candidate->via = candidate->via;
}

/* When the oldest dial that is not stalled will be; NEVER when there is none. */
static int64_t next_stall(const struct pc_joiner *joiner)
{
    if (joiner->stalled_count == joiner->dial_count)
        return PC_TIME_NEVER;
    return pc_base_time_add(joiner->dials[joiner->stalled_count].started_us, joiner->stall_us);
}

static void find_stalled(struct pc_joiner *joiner, int64_t now_us)
{
    while (joiner->stalled_count < joiner->dial_count && next_stall(joiner) <= now_us)
        group_count_dial(joiner, joiner->dials[joiner->stalled_count++].candidate->group, false);
}

/* The group of the next candidate, NULL when none may be dialled. */
static struct group *next_group(const struct pc_joiner *joiner)
{
    struct pc_heap_node *first = pc_base_heap_first(&joiner->waiting_groups);
    return first && first->at != BLOCKED ? PC_CONTAINER_OF(first, struct group, place) : NULL;
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

static bool has_slot(const struct pc_joiner *joiner)
{
    return joiner->dial_count < joiner->options.dials_max &&
           joiner->dial_count - joiner->stalled_count < unstalled_limit(joiner);
}

bool pc_join_next(struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial,
                  struct pc_joiner_candidate *ret_candidate, int64_t *ret_deadline_us)
{
    settle_time(joiner, now_us);
    find_stalled(joiner, now_us);
    struct group *group = next_group(joiner);
    if (joiner->phase != PC_JOIN_RUNNING || !group || !has_slot(joiner))
        return false;
    struct candidate *candidate =
        PC_CONTAINER_OF(pc_base_heap_first(&group->candidates), struct candidate, place);
    candidate_take_out(joiner, candidate);
    peer_set_dialling(joiner, candidate->peer, true);
    joiner->dials[joiner->dial_count++] = (struct dial){ ++joiner->last_dial, now_us, candidate };
    group_count_dial(joiner, group, true);
    *ret_dial = joiner->last_dial;
    candidate_give_out(candidate, ret_candidate);
    *ret_deadline_us =
        pc_base_time_min(joiner->ends_us, pc_base_time_add(now_us, joiner->options.dial_timeout_us));
    return true;
}

/* Count the peer, and let go of its addresses that wait. */
static void verified(struct pc_joiner *joiner, const struct pc_peer_id *id)
{
    if (id->size == 0 || is_over(joiner) || is_verified(joiner, id))
        return;
    size_t at = verified_rank(joiner, id);
    memmove(&joiner->verified[at + 1], &joiner->verified[at],
            (joiner->verified_count - at) * sizeof(joiner->verified[0]));
    joiner->verified[at] = *id;
    joiner->verified_count++;
    struct pc_map_node *found = pc_base_map_find(&joiner->peers, pc_addr_peer_id_bytes(id));
    if (!found)
        return;
    struct peer *peer = PC_CONTAINER_OF(found, struct peer, node);
    while (peer->waiting_count > 0)
        candidate_take_out(joiner, peer->waiting[peer->waiting_count - 1]);
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

void pc_join_ended(struct pc_joiner *joiner, uint64_t dial, peercache_outcome outcome,
                   const struct pc_peer_id *id, int64_t rtt_us, int64_t now_us)
{
    size_t index = dial_index(joiner, dial);
    if (index == joiner->dial_count)
        return;
    settle_time(joiner, now_us);
    find_stalled(joiner, now_us);
    struct candidate *candidate = joiner->dials[index].candidate;
    joiner->dial_count--;
    memmove(&joiner->dials[index], &joiner->dials[index + 1],
            (joiner->dial_count - index) * sizeof(joiner->dials[0]));
    if (index < joiner->stalled_count)
        joiner->stalled_count--;
    else
        group_count_dial(joiner, candidate->group, false);
    peer_set_dialling(joiner, candidate->peer, false);
    if (rtt_us >= 0)
        measured(joiner, rtt_us);
    if (outcome == PEERCACHE_OK)
        joiner->succeeded_count++;
    if (outcome != PEERCACHE_UNSUPPORTED && outcome != PEERCACHE_DENIED && outcome != PEERCACHE_CANCELLED)
        joiner->ended_count++;
    if (outcome == PEERCACHE_OK && id)
        verified(joiner, id);
    else if (outcome == PEERCACHE_OK && candidate->peer)
        verified(joiner, &candidate->peer->id);
    settle_phase(joiner);
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

int64_t pc_join_deadline(const struct pc_joiner *joiner)
{
    if (joiner->phase != PC_JOIN_RUNNING)
        return PC_TIME_NEVER;
    /* A stall matters only when it frees the slot that a candidate waits for. */
    bool waits_for_stall =
        next_group(joiner) && joiner->dial_count < joiner->options.dials_max && !has_slot(joiner);
    return waits_for_stall ? pc_base_time_min(joiner->ends_us, next_stall(joiner)) : joiner->ends_us;
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
