/* The candidates of one join, see candidates.h. */
#include "join/candidates.h"

#include <assert.h>
#include <stdlib.h>

/* Keys of the heaps, from the top: dials of the group, raced, lane, number of the offer. */
#define LANE_SHIFT    32
#define RACED         (INT64_C(1) << 36) /* a second address comes after everybody's first */
#define DIALS_SHIFT   40

#define KEY_MAX_BYTES (1 + PC_PEER_ID_MAX_BYTES + PC_MADDR_MAX_BYTES)
#define REST_MORE_US  (5 * PC_US_PER_S) /* of one that finds no room where it would wait */

static struct pc_bytes candidate_key(const struct pc_map_node *node)
{
    const struct pc_candidate *candidate = PC_CONST_CONTAINER_OF(node, struct pc_candidate, node);
    return pc_bytes_of(candidate->key, candidate->key_size);
}

static struct pc_bytes peer_key(const struct pc_map_node *node)
{
    return pc_addr_peer_id_bytes(&PC_CONST_CONTAINER_OF(node, struct pc_candidate_peer, node)->id);
}

static struct pc_bytes group_key(const struct pc_map_node *node)
{
    const struct pc_group *group = PC_CONST_CONTAINER_OF(node, struct pc_group, node);
    return pc_bytes_of(group->name.bytes, group->name.size);
}

enum pc_lane pc_lane_of(peercache_via via)
{
    switch (via) {
    case PEERCACHE_VIA_FLAG:
    case PEERCACHE_VIA_ENV:
        return PC_LANE_GIVEN;
    case PEERCACHE_VIA_CACHE:
        return PC_LANE_CACHE;
    case PEERCACHE_VIA_ENDPOINT:
        return PC_LANE_ENDPOINT;
    case PEERCACHE_VIA_DHT:
    case PEERCACHE_VIA_COUNT:
        break;
    }
    return PC_LANE_DHT;
}

void pc_candidates_init(struct pc_candidates *set, enum pc_netgroup_mode mode, const uint8_t secret[16])
{
    *set = (struct pc_candidates){ .mode = mode };
    pc_base_map_init(&set->known, candidate_key, secret);
    pc_base_map_init(&set->peers, peer_key, secret);
    pc_base_map_init(&set->groups, group_key, secret);
    for (size_t lane = 0; lane < PC_LANE_COUNT; lane++)
        pc_base_heap_init(&set->waiting_groups[lane]);
    pc_base_heap_init(&set->resting);
    pc_base_heap_init(&set->races);
}

static void group_free(struct pc_group *group)
{
    for (size_t lane = 0; lane < PC_LANE_COUNT; lane++)
        pc_base_heap_deinit(&group->lanes[lane].candidates);
    free(group);
}

void pc_candidates_deinit(struct pc_candidates *set)
{
    struct pc_map_node *next;
    for (struct pc_map_node *n = pc_base_map_next(&set->known, NULL); n; n = next) {
        next = pc_base_map_next(&set->known, n);
        free(PC_CONTAINER_OF(n, struct pc_candidate, node));
    }
    for (struct pc_map_node *n = pc_base_map_next(&set->peers, NULL); n; n = next) {
        next = pc_base_map_next(&set->peers, n);
        free(PC_CONTAINER_OF(n, struct pc_candidate_peer, node));
    }
    for (struct pc_map_node *n = pc_base_map_next(&set->groups, NULL); n; n = next) {
        next = pc_base_map_next(&set->groups, n);
        group_free(PC_CONTAINER_OF(n, struct pc_group, node));
    }
    pc_base_map_deinit(&set->known);
    pc_base_map_deinit(&set->peers);
    pc_base_map_deinit(&set->groups);
    for (size_t lane = 0; lane < PC_LANE_COUNT; lane++)
        pc_base_heap_deinit(&set->waiting_groups[lane]);
    pc_base_heap_deinit(&set->resting);
    pc_base_heap_deinit(&set->races);
}

/* Give a node that is in its heap another key: needs no memory. */
static void rekey(struct pc_heap *heap, struct pc_heap_node *node, int64_t key)
{
    assert(node->index != PC_HEAP_OUTSIDE);
    int result = pc_base_heap_set(heap, node, key);
    assert(result == 0);
    (void)result;
}

static void place_group(struct pc_candidates *set, struct pc_group *group, enum pc_lane lane)
{
    const struct pc_heap_node *first = pc_base_heap_first(&group->lanes[lane].candidates);
    int64_t key = PC_CANDIDATE_BLOCKED;
    if (first && first->at != PC_CANDIDATE_BLOCKED)
        key = ((int64_t)group->unstalled << DIALS_SHIFT) | first->at;
    rekey(&set->waiting_groups[lane], &group->lanes[lane].place, key);
}

void pc_candidates_count_dial(struct pc_candidates *set, struct pc_group *group, bool more)
{
    if (group->name.size == 0)
        return;
    assert(more || group->unstalled > 0);
    group->unstalled = more ? group->unstalled + 1 : group->unstalled - 1;
    for (unsigned lane = 0; lane < PC_LANE_COUNT; lane++)
        place_group(set, group, (enum pc_lane)lane);
}

/* The key with which it waits. */
static int64_t place_of(const struct pc_candidates *set, const struct pc_candidate *candidate)
{
    const struct pc_candidate_peer *peer = candidate->peer;
    if (candidate->ip_port.family != 0 && set->is_blocked[candidate->ip_port.family == 6])
        return PC_CANDIDATE_BLOCKED;
    if (!peer || peer->dialling == 0)
        return candidate->rank;
    return peer->raced == candidate ? candidate->rank | RACED : PC_CANDIDATE_BLOCKED;
}

static void place(struct pc_candidates *set, struct pc_candidate *candidate)
{
    enum pc_lane lane = pc_lane_of(candidate->via);
    rekey(&candidate->group->lanes[lane].candidates, &candidate->place, place_of(set, candidate));
    place_group(set, candidate->group, lane);
}

static void place_peer(struct pc_candidates *set, struct pc_candidate_peer *peer)
{
    for (size_t i = 0; i < peer->waiting_count; i++)
        place(set, peer->waiting[i]);
}

/* It waits no longer: it is given out, or of no more use. */
static void take_out(struct pc_candidates *set, struct pc_candidate *candidate)
{
    struct pc_candidate_peer *peer = candidate->peer;
    enum pc_lane lane = pc_lane_of(candidate->via);
    pc_base_heap_remove(&candidate->group->lanes[lane].candidates, &candidate->place);
    place_group(set, candidate->group, lane);
    set->waiting_count--;
    set->waiting_by_lane[lane]--;
    if (!peer)
        return;
    if (peer->raced == candidate)
        peer->raced = NULL;
    for (size_t i = 0; i < peer->waiting_count; i++) {
        if (peer->waiting[i] == candidate) {
            peer->waiting[i] = peer->waiting[--peer->waiting_count];
            return;
        }
    }
}

/* Put it where it waits. ELIMIT: no room beside its peer's others. ENOMEM. */
static int put_in(struct pc_candidates *set, struct pc_candidate *candidate)
{
    struct pc_candidate_peer *peer = candidate->peer;
    enum pc_lane lane = pc_lane_of(candidate->via);
    if (peer && peer->waiting_count == PEERCACHE_ADDRS_PER_PEER)
        return PEERCACHE_ELIMIT;
    if (pc_base_heap_set(&candidate->group->lanes[lane].candidates, &candidate->place,
                         place_of(set, candidate)) != 0)
        return PEERCACHE_ENOMEM;
    if (peer)
        peer->waiting[peer->waiting_count++] = candidate;
    set->waiting_count++;
    set->waiting_by_lane[lane]++;
    place_group(set, candidate->group, lane);
    if (peer && peer->race_is_open && !peer->raced) {
        peer->raced = candidate;
        place(set, candidate);
    }
    return 0;
}

static int find_or_make_group(struct pc_candidates *set, const struct pc_joiner_candidate *candidate,
                              struct pc_group **ret_group)
{
    struct pc_netgroup name = { .size = 0 };
    if (candidate->ip_port.family != 0)
        name = pc_addr_netgroup_of_ip_port(&candidate->ip_port, set->mode);
    struct pc_map_node *found = pc_base_map_find(&set->groups, pc_bytes_of(name.bytes, name.size));
    if (found) {
        *ret_group = PC_CONTAINER_OF(found, struct pc_group, node);
        return 0;
    }
    struct pc_group *group = calloc(1, sizeof(*group));
    if (!group)
        return PEERCACHE_ENOMEM;
    group->name = name;
    size_t placed = 0;
    for (; placed < PC_LANE_COUNT; placed++) {
        pc_base_heap_init(&group->lanes[placed].candidates);
        pc_base_heap_node_init(&group->lanes[placed].place);
        if (pc_base_heap_set(&set->waiting_groups[placed], &group->lanes[placed].place, PC_CANDIDATE_BLOCKED))
            break;
    }
    if (placed < PC_LANE_COUNT || pc_base_map_insert(&set->groups, &group->node) != 0) {
        for (size_t lane = 0; lane < placed; lane++)
            pc_base_heap_remove(&set->waiting_groups[lane], &group->lanes[lane].place);
        free(group);
        return PEERCACHE_ENOMEM;
    }
    *ret_group = group;
    return 0;
}

static struct pc_candidate_peer *find_peer(const struct pc_candidates *set, const struct pc_peer_id *id)
{
    struct pc_map_node *found = pc_base_map_find(&set->peers, pc_addr_peer_id_bytes(id));
    return found ? PC_CONTAINER_OF(found, struct pc_candidate_peer, node) : NULL;
}

/* The peer of an id; NULL with 0 for one that is not known. */
static int find_or_make_peer(struct pc_candidates *set, const struct pc_peer_id *id,
                             struct pc_candidate_peer **ret_peer)
{
    *ret_peer = id->size == 0 ? NULL : find_peer(set, id);
    if (id->size == 0 || *ret_peer)
        return 0;
    struct pc_candidate_peer *peer = calloc(1, sizeof(*peer));
    if (!peer)
        return PEERCACHE_ENOMEM;
    peer->id = *id;
    pc_base_heap_node_init(&peer->race);
    if (pc_base_map_insert(&set->peers, &peer->node) != 0) {
        free(peer);
        return PEERCACHE_ENOMEM;
    }
    *ret_peer = peer;
    return 0;
}

static int64_t next_rank(const struct pc_candidates *set, peercache_via via)
{
    return ((int64_t)pc_lane_of(via) << LANE_SHIFT) | set->offers;
}

static void count_known(struct pc_candidates *set, struct pc_candidate *candidate, bool more)
{
    const size_t change = more ? 1 : SIZE_MAX;
    set->known_by_lane[pc_lane_of(candidate->via)] += change;
    candidate->group->known += change;
    if (candidate->peer)
        candidate->peer->known += change;
}

/* Make the candidate and put it where it waits. A group or peer made on the way stays when a later step
 * fails: it is empty and found again. */
static int make(struct pc_candidates *set, const struct pc_joiner_candidate *offered, struct pc_bytes key)
{
    struct pc_group *group;
    struct pc_candidate_peer *peer;
    int result = find_or_make_peer(set, &offered->id, &peer);
    if (result)
        return result;
    if (peer && peer->waiting_count == PEERCACHE_ADDRS_PER_PEER)
        return PEERCACHE_ELIMIT;
    result = find_or_make_group(set, offered, &group);
    if (result)
        return result;
    struct pc_candidate *candidate = calloc(1, sizeof(*candidate) + key.size);
    if (!candidate)
        return PEERCACHE_ENOMEM;
    pc_base_heap_node_init(&candidate->place);
    pc_base_heap_node_init(&candidate->rest);
    candidate->group = group;
    candidate->peer = peer;
    candidate->rank = next_rank(set, offered->via);
    candidate->ip_port = offered->ip_port;
    candidate->via = offered->via;
    candidate->endpoints = offered->endpoints;
    candidate->key_size = (uint16_t)key.size;
    memcpy(candidate->key, key.data, key.size);
    if (pc_base_map_insert(&set->known, &candidate->node) != 0) {
        free(candidate);
        return PEERCACHE_ENOMEM;
    }
    result = put_in(set, candidate);
    if (result) {
        pc_base_map_remove(&set->known, &candidate->node);
        free(candidate);
        return result;
    }
    count_known(set, candidate, true);
    set->offers++;
    return 0;
}

/* What makes two candidates the same. Returns its size. */
static size_t key_of(const struct pc_joiner_candidate *offered, uint8_t ret_key[KEY_MAX_BYTES])
{
    size_t id_size = offered->id.size;
    assert(id_size <= PC_PEER_ID_MAX_BYTES && offered->addr.size <= PC_MADDR_MAX_BYTES);
    ret_key[0] = offered->id.size;
    memcpy(ret_key + 1, offered->id.bytes, id_size);
    memcpy(ret_key + 1 + id_size, offered->addr.bytes, offered->addr.size);
    return 1 + id_size + offered->addr.size;
}

struct pc_candidate *pc_candidates_find(const struct pc_candidates *set,
                                        const struct pc_joiner_candidate *offered)
{
    uint8_t key[KEY_MAX_BYTES];
    struct pc_map_node *found = pc_base_map_find(&set->known, pc_bytes_of(key, key_of(offered, key)));
    return found ? PC_CONTAINER_OF(found, struct pc_candidate, node) : NULL;
}

bool pc_candidates_is_open(const struct pc_candidate *candidate)
{
    return candidate->is_dialled || candidate->place.index != PC_HEAP_OUTSIDE ||
           candidate->rest.index != PC_HEAP_OUTSIDE;
}

/* One that waits among the cache's, which may be many and stale, is named by somebody now. Without memory or room
 * it stays. */
static void freshen(struct pc_candidates *set, struct pc_candidate *candidate, peercache_via via)
{
    int64_t rank = candidate->rank;
    if (candidate->via != PEERCACHE_VIA_CACHE || via == PEERCACHE_VIA_CACHE ||
        candidate->place.index == PC_HEAP_OUTSIDE ||
        set->known_by_lane[pc_lane_of(via)] == PC_JOIN_CANDIDATES_MAX)
        return;
    take_out(set, candidate);
    candidate->via = via;
    candidate->rank = next_rank(set, via);
    if (put_in(set, candidate) == 0) {
        set->known_by_lane[PC_LANE_CACHE]--;
        set->known_by_lane[pc_lane_of(via)]++;
        set->offers++;
        return;
    }
    candidate->via = PEERCACHE_VIA_CACHE;
    candidate->rank = rank;
    int result = put_in(set, candidate);
    assert(result == 0); /* into the place that it has just left */
    (void)result;
}

int pc_candidates_add(struct pc_candidates *set, const struct pc_joiner_candidate *offered)
{
    uint8_t key[KEY_MAX_BYTES];
    size_t key_size = key_of(offered, key);
    struct pc_map_node *found = pc_base_map_find(&set->known, pc_bytes_of(key, key_size));
    if (found) {
        struct pc_candidate *known = PC_CONTAINER_OF(found, struct pc_candidate, node);
        known->endpoints |= offered->endpoints;
        freshen(set, known, offered->via);
        return 0;
    }
    if (set->known_by_lane[pc_lane_of(offered->via)] == PC_JOIN_CANDIDATES_MAX)
        return PEERCACHE_ELIMIT;
    return make(set, offered, pc_bytes_of(key, key_size));
}

struct pc_candidate *pc_candidates_first(const struct pc_candidates *set, enum pc_lane lane, int64_t *ret_key)
{
    struct pc_heap_node *first = pc_base_heap_first(&set->waiting_groups[lane]);
    *ret_key = PC_CANDIDATE_BLOCKED;
    if (!first || first->at == PC_CANDIDATE_BLOCKED)
        return NULL;
    *ret_key = first->at;
    const struct pc_group *group = PC_CONTAINER_OF(first, struct pc_group, lanes[lane].place);
    return PC_CONTAINER_OF(pc_base_heap_first(&group->lanes[lane].candidates), struct pc_candidate, place);
}

void pc_candidates_dial(struct pc_candidates *set, struct pc_candidate *candidate, int64_t race_at_us)
{
    struct pc_candidate_peer *peer = candidate->peer;
    take_out(set, candidate);
    candidate->is_dialled = true;
    if (!peer)
        return;
    peer->dialling++;
    peer->last_family = candidate->ip_port.family;
    peer->raced = NULL;
    peer->race_is_open = false;
    place_peer(set, peer);
    /* Without memory for the race there is none: the next address waits for the end of this dial. */
    (void)pc_base_heap_set(&set->races, &peer->race, race_at_us);
}

void pc_candidates_dial_ended(struct pc_candidates *set, struct pc_candidate *candidate)
{
    struct pc_candidate_peer *peer = candidate->peer;
    candidate->is_dialled = false;
    if (!peer)
        return;
    assert(peer->dialling > 0);
    if (--peer->dialling == 0) {
        pc_base_heap_remove(&set->races, &peer->race);
        peer->race_is_open = false;
        peer->raced = NULL;
    }
    place_peer(set, peer);
}

int pc_candidates_rest(struct pc_candidates *set, struct pc_candidate *candidate, int64_t at_us)
{
    return pc_base_heap_set(&set->resting, &candidate->rest, at_us);
}

/* Let the peer's best other address be dialled beside the one under way: of the other family if there is one. */
static void begin_race(struct pc_candidates *set, struct pc_candidate_peer *peer)
{
    struct pc_candidate *best = NULL;
    for (size_t i = 0; i < peer->waiting_count; i++) {
        struct pc_candidate *candidate = peer->waiting[i];
        bool is_other = candidate->ip_port.family != peer->last_family;
        bool best_is_other = best && best->ip_port.family != peer->last_family;
        if (!best || (is_other && !best_is_other) ||
            (is_other == best_is_other && candidate->rank < best->rank))
            best = candidate;
    }
    peer->race_is_open = true; /* with none waiting, the next that comes */
    if (!best)
        return;
    peer->raced = best;
    place(set, best);
}

static void wait_again(struct pc_candidates *set, struct pc_candidate *candidate, int64_t now_us)
{
    pc_base_heap_remove(&set->resting, &candidate->rest);
    if ((candidate->peer && candidate->peer->is_done) || put_in(set, candidate) == 0)
        return;
    /* No room now. It was in this heap a moment ago, so there is memory for it. */
    int result = pc_base_heap_set(&set->resting, &candidate->rest, pc_base_time_add(now_us, REST_MORE_US));
    assert(result == 0);
    (void)result;
}

void pc_candidates_wake(struct pc_candidates *set, int64_t now_us)
{
    struct pc_heap_node *first;
    while ((first = pc_base_heap_first(&set->resting)) != NULL && first->at <= now_us)
        wait_again(set, PC_CONTAINER_OF(first, struct pc_candidate, rest), now_us);
    while ((first = pc_base_heap_first(&set->races)) != NULL && first->at <= now_us) {
        pc_base_heap_remove(&set->races, first);
        begin_race(set, PC_CONTAINER_OF(first, struct pc_candidate_peer, race));
    }
}

int64_t pc_candidates_wake_at(const struct pc_candidates *set)
{
    const struct pc_heap_node *rest = pc_base_heap_first(&set->resting);
    const struct pc_heap_node *race = pc_base_heap_first(&set->races);
    return pc_base_time_min(rest ? rest->at : PC_TIME_NEVER, race ? race->at : PC_TIME_NEVER);
}

void pc_candidates_peer_done(struct pc_candidates *set, const struct pc_peer_id *id)
{
    struct pc_candidate_peer *peer = find_peer(set, id);
    while (peer && peer->waiting_count > 0)
        take_out(set, peer->waiting[peer->waiting_count - 1]);
    if (!peer)
        return;
    peer->is_done = true;
    pc_base_heap_remove(&set->races, &peer->race);
}

void pc_candidates_block_family(struct pc_candidates *set, uint8_t family, bool is_blocked)
{
    if (set->is_blocked[family == 6] == is_blocked)
        return;
    set->is_blocked[family == 6] = is_blocked;
    for (struct pc_map_node *n = pc_base_map_next(&set->known, NULL); n;
         n = pc_base_map_next(&set->known, n)) {
        struct pc_candidate *candidate = PC_CONTAINER_OF(n, struct pc_candidate, node);
        if (candidate->place.index != PC_HEAP_OUTSIDE && candidate->ip_port.family == family)
            place(set, candidate);
    }
}

void pc_candidates_wake_all(struct pc_candidates *set)
{
    for (struct pc_map_node *n = pc_base_map_next(&set->known, NULL); n;
         n = pc_base_map_next(&set->known, n)) {
        struct pc_candidate *candidate = PC_CONTAINER_OF(n, struct pc_candidate, node);
        candidate->failures = 0;
        if (candidate->rest.index != PC_HEAP_OUTSIDE)
            rekey(&set->resting, &candidate->rest, INT64_MIN);
    }
}

/* It is of no more use: neither dialled nor known. */
static void forget(struct pc_candidates *set, struct pc_candidate *candidate)
{
    if (candidate->place.index != PC_HEAP_OUTSIDE)
        take_out(set, candidate);
    pc_base_heap_remove(&set->resting, &candidate->rest);
    pc_base_map_remove(&set->known, &candidate->node);
    count_known(set, candidate, false);
    free(candidate);
}

/* Peers and groups of which no candidate is known. */
static void forget_empty(struct pc_candidates *set)
{
    struct pc_map_node *next;
    for (struct pc_map_node *n = pc_base_map_next(&set->peers, NULL); n; n = next) {
        struct pc_candidate_peer *peer = PC_CONTAINER_OF(n, struct pc_candidate_peer, node);
        next = pc_base_map_next(&set->peers, n);
        if (peer->known > 0)
            continue;
        pc_base_map_remove(&set->peers, n);
        free(peer);
    }
    for (struct pc_map_node *n = pc_base_map_next(&set->groups, NULL); n; n = next) {
        struct pc_group *group = PC_CONTAINER_OF(n, struct pc_group, node);
        next = pc_base_map_next(&set->groups, n);
        if (group->known > 0)
            continue;
        for (size_t lane = 0; lane < PC_LANE_COUNT; lane++)
            pc_base_heap_remove(&set->waiting_groups[lane], &group->lanes[lane].place);
        pc_base_map_remove(&set->groups, n);
        group_free(group);
    }
}

void pc_candidates_forget_dialled(struct pc_candidates *set)
{
    struct pc_map_node *next;
    bool is_crowded[PC_LANE_COUNT];
    for (unsigned lane = 0; lane < PC_LANE_COUNT; lane++)
        is_crowded[lane] = lane != PC_LANE_GIVEN && set->known_by_lane[lane] > PC_JOIN_CANDIDATES_MAX / 2;
    for (struct pc_map_node *n = pc_base_map_next(&set->known, NULL); n; n = next) {
        struct pc_candidate *candidate = PC_CONTAINER_OF(n, struct pc_candidate, node);
        next = pc_base_map_next(&set->known, n);
        if (!candidate->is_dialled &&
            (is_crowded[pc_lane_of(candidate->via)] || !pc_candidates_is_open(candidate)))
            forget(set, candidate);
    }
    forget_empty(set);
    for (struct pc_map_node *n = pc_base_map_next(&set->peers, NULL); n; n = pc_base_map_next(&set->peers, n))
        PC_CONTAINER_OF(n, struct pc_candidate_peer, node)->is_done = false;
}

void pc_candidates_give_out(const struct pc_candidate *candidate, struct pc_joiner_candidate *ret_candidate)
{
    size_t id_size = candidate->key[0];
    memset(ret_candidate, 0, sizeof(*ret_candidate));
    ret_candidate->id.size = candidate->key[0];
    memcpy(ret_candidate->id.bytes, candidate->key + 1, id_size);
    ret_candidate->addr.size = (uint16_t)(candidate->key_size - 1 - id_size);
    memcpy(ret_candidate->addr.bytes, candidate->key + 1 + id_size, ret_candidate->addr.size);
    ret_candidate->ip_port = candidate->ip_port;
    ret_candidate->via = candidate->via;
    ret_candidate->endpoints = candidate->endpoints;
}
