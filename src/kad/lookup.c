/*
 * Each peer is in one list, that of its state; every list is kept nearest first by inserting at the place
 * that a binary search finds. So the next to ask is the first that waits, who gives way is the last that
 * waits, and whether the lookup is done shows by three comparisons. Beside each stand the first 64 bits of its distance, which
 * nearly all comparisons end with.
 */
#include "kad/lookup.h"

#include "base/fsm.h"
#include "kad/groups.h"

#include <peercache/types.h>

#include <stdlib.h>

enum {
    WAITING,
    ASKED,
    OVERDUE,
    ANSWERED,
    FAILED,
    STATES,
};

static const uint32_t allowed[STATES] = {
    [WAITING] = PC_FSM_TO(ASKED),
    [ASKED] = PC_FSM_TO(ANSWERED) | PC_FSM_TO(FAILED) | PC_FSM_TO(OVERDUE),
    [OVERDUE] = PC_FSM_TO(ANSWERED) | PC_FSM_TO(FAILED),
    [ANSWERED] = 0,
    [FAILED] = 0,
};

struct peer {
    struct pc_kad_entry entry;
    struct pc_kad_group *group; /* counts all of its peers, whatever became of them */
    unsigned state;
    int64_t deadline_us; /* of the request */
};

struct list {
    size_t count;
    uint64_t heads[PC_KAD_LOOKUP_MAX_PEERS]; /* of the distances */
    struct peer *peers[PC_KAD_LOOKUP_MAX_PEERS];
};

struct pc_kad_lookup {
    struct pc_kad_lookup_options options;
    struct pc_kad_groups groups;
    size_t requests;
    struct list lists[STATES];
};

int pc_kad_lookup_new(const struct pc_kad_lookup_options *options, struct pc_kad_lookup **ret_lookup)
{
    if (options->alpha == 0 || options->beta == 0 || options->request_timeout_us <= 0)
        return PEERCACHE_EINVAL;
    struct pc_kad_lookup *lookup =
        malloc(sizeof(*lookup)); /* the lists are long, and most of each is never touched */
    if (!lookup)
        return PEERCACHE_ENOMEM;
    lookup->options = *options;
    lookup->requests = 0;
    for (unsigned state = 0; state < STATES; state++)
        lookup->lists[state].count = 0;
    pc_kad_groups_init(&lookup->groups, options->secret);
    *ret_lookup = lookup;
    return 0;
}

static void peer_free(struct pc_kad_lookup *lookup, struct peer *peer)
{
    peer->group->count--;
    pc_kad_groups_let_go(&lookup->groups, peer->group);
    free(peer);
}

void pc_kad_lookup_free(struct pc_kad_lookup *lookup)
{
    if (!lookup)
        return;
    for (unsigned state = 0; state < STATES; state++)
        for (size_t i = 0; i < lookup->lists[state].count; i++)
            peer_free(lookup, lookup->lists[state].peers[i]);
    pc_kad_groups_deinit(&lookup->groups);
    free(lookup);
}

static uint64_t head_of(const struct pc_kad_lookup *lookup, const struct pc_kad_key *key)
{
    return pc_kad_key_word(&lookup->options.target, 0) ^ pc_kad_key_word(key, 0);
}

/* How many peers of the list are nearer than the key; also the place of the key, or where it belongs. */
static size_t rank_in(const struct pc_kad_lookup *lookup, const struct list *list,
                      const struct pc_kad_key *key)
{
    size_t low = 0;
    size_t high = list->count;
    uint64_t head = head_of(lookup, key);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->heads[middle] < head ||
            (list->heads[middle] == head &&
             pc_kad_key_compare(&lookup->options.target, &list->peers[middle]->entry.key, key) < 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct peer *find_in(const struct pc_kad_lookup *lookup, unsigned state, const struct pc_kad_key *key)
{
    const struct list *list = &lookup->lists[state];
    size_t at = rank_in(lookup, list, key);
    if (at == list->count || memcmp(&list->peers[at]->entry.key, key, sizeof(*key)) != 0)
        return NULL;
    return list->peers[at];
}

static void list_insert(struct pc_kad_lookup *lookup, struct peer *peer)
{
    struct list *list = &lookup->lists[peer->state];
    size_t at = rank_in(lookup, list, &peer->entry.key);
    memmove(&list->peers[at + 1], &list->peers[at], (list->count - at) * sizeof(list->peers[0]));
    memmove(&list->heads[at + 1], &list->heads[at], (list->count - at) * sizeof(list->heads[0]));
    list->peers[at] = peer;
    list->heads[at] = head_of(lookup, &peer->entry.key);
    list->count++;
}

static void list_remove(struct pc_kad_lookup *lookup, struct peer *peer)
{
    struct list *list = &lookup->lists[peer->state];
    size_t at = rank_in(lookup, list, &peer->entry.key);
    list->count--;
    memmove(&list->peers[at], &list->peers[at + 1], (list->count - at) * sizeof(list->peers[0]));
    memmove(&list->heads[at], &list->heads[at + 1], (list->count - at) * sizeof(list->heads[0]));
}

static void move(struct pc_kad_lookup *lookup, struct peer *peer, unsigned state)
{
    list_remove(lookup, peer);
    pc_base_fsm_move(allowed, &peer->state, state);
    list_insert(lookup, peer);
}

static struct peer *nearest(const struct pc_kad_lookup *lookup, unsigned state)
{
    const struct list *list = &lookup->lists[state];
    return list->count ? list->peers[0] : NULL;
}

/* The farthest that waits, of this group or (NULL) of all; NULL: there is none. */
static struct peer *farthest_waiting(const struct pc_kad_lookup *lookup, const struct pc_kad_group *group)
{
    const struct list *waiting = &lookup->lists[WAITING];
    for (size_t i = waiting->count; i > 0; i--)
        if (!group || waiting->peers[i - 1]->group == group)
            return waiting->peers[i - 1];
    return NULL;
}

/* Let the farthest that waits (of the group, when there is one) give way to the key. False: it is nearer. */
static bool give_way(struct pc_kad_lookup *lookup, const struct pc_kad_group *group,
                     const struct pc_kad_key *key)
{
    struct peer *farthest = farthest_waiting(lookup, group);
    if (!farthest || pc_kad_key_compare(&lookup->options.target, &farthest->entry.key, key) < 0)
        return false;
    list_remove(lookup, farthest);
    peer_free(lookup, farthest);
    return true;
}

static bool make_room(struct pc_kad_lookup *lookup, const struct pc_kad_group *group,
                      const struct pc_kad_key *key)
{
    size_t known = 0;
    for (unsigned state = 0; state < STATES; state++)
        known += lookup->lists[state].count;
    if (lookup->options.group_max > 0 && group->count >= lookup->options.group_max)
        return give_way(lookup, group, key); /* which makes room among all, too */
    return known < PC_KAD_LOOKUP_MAX_PEERS || give_way(lookup, NULL, key);
}

static bool is_known(const struct pc_kad_lookup *lookup, const struct pc_kad_key *key)
{
    for (unsigned state = 0; state < STATES; state++)
        if (lookup->lists[state].count > 0 && find_in(lookup, state, key))
            return true;
    return false;
}

bool pc_kad_lookup_knows(const struct pc_kad_lookup *lookup, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_keys_of(lookup->options.keys, id);
    return is_known(lookup, &key);
}

static bool is_usable(const struct pc_kad_lookup *lookup, const struct pc_peer_id *id)
{
    return id->size > 0 && !pc_addr_peer_id_equal(id, &lookup->options.own_id);
}

static int take_in(struct pc_kad_lookup *lookup, const struct pc_kad_contact *contact,
                   const struct pc_kad_key *key)
{
    struct pc_kad_group *group;
    if (is_known(lookup, key))
        return 0;
    if (pc_kad_groups_hold(&lookup->groups, &contact->group, &group))
        return PEERCACHE_ENOMEM;
    struct peer *peer = NULL;
    bool has_room = make_room(lookup, group, key);
    if (has_room)
        peer = malloc(sizeof(*peer));
    if (!peer) {
        pc_kad_groups_let_go(&lookup->groups, group);
        return has_room ? PEERCACHE_ENOMEM : 0;
    }
    pc_kad_entry_init(&peer->entry, contact, key);
    peer->group = group;
    group->count++;
    peer->state = WAITING;
    list_insert(lookup, peer);
    return 0;
}

int pc_kad_lookup_add(struct pc_kad_lookup *lookup, const struct pc_kad_contact *peer)
{
    struct pc_kad_key key = pc_kad_keys_of(lookup->options.keys, &peer->id);
    return is_usable(lookup, &peer->id) ? take_in(lookup, peer, &key) : 0;
}

const struct pc_kad_entry *pc_kad_lookup_next(struct pc_kad_lookup *lookup, int64_t now_us)
{
    struct peer *peer = nearest(lookup, WAITING);
    if (!peer || lookup->requests == PC_KAD_LOOKUP_MAX_REQUESTS ||
        lookup->lists[ASKED].count >= lookup->options.alpha || pc_kad_lookup_done(lookup))
        return NULL;
    move(lookup, peer, ASKED);
    peer->deadline_us = pc_base_time_add(now_us, lookup->options.request_timeout_us);
    lookup->requests++;
    return &peer->entry;
}

static struct peer *first_overdue(const struct pc_kad_lookup *lookup)
{
    const struct list *asked = &lookup->lists[ASKED]; /* alpha at most */
    struct peer *first = NULL;
    for (size_t i = 0; i < asked->count; i++)
        if (!first || asked->peers[i]->deadline_us < first->deadline_us)
            first = asked->peers[i];
    return first;
}

int64_t pc_kad_lookup_deadline_us(const struct pc_kad_lookup *lookup)
{
    const struct peer *first = first_overdue(lookup);
    return first ? first->deadline_us : PC_TIME_NEVER;
}

const struct pc_kad_entry *pc_kad_lookup_overdue(struct pc_kad_lookup *lookup, int64_t now_us)
{
    struct peer *first = first_overdue(lookup);
    if (!first || first->deadline_us > now_us)
        return NULL;
    move(lookup, first, OVERDUE);
    return &first->entry;
}

/* A request under way, overdue or not, has become this. False: there is none. */
static bool request_became(struct pc_kad_lookup *lookup, const struct pc_peer_id *id, unsigned state)
{
    struct pc_kad_key key = pc_kad_keys_of(lookup->options.keys, id);
    struct peer *peer = find_in(lookup, ASKED, &key);
    if (!peer)
        peer = find_in(lookup, OVERDUE, &key);
    if (peer)
        move(lookup, peer, state);
    return peer != NULL;
}

struct told {
    struct pc_kad_key key;
    const struct pc_kad_contact *contact;
};

/* The k closest of an answer, each once, nearest first; returns how many. */
static size_t closest_told(const struct pc_kad_lookup *lookup, const struct pc_kad_contact *peers,
                           size_t count, struct told ret_told[PC_KAD_K])
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        struct told told = { pc_kad_keys_of(lookup->options.keys, &peers[i].id), &peers[i] };
        int order = 1;
        size_t at = size;
        while (at > 0 &&
               (order = pc_kad_key_compare(&lookup->options.target, &told.key, &ret_told[at - 1].key)) < 0)
            at--;
        if (at == PC_KAD_K || order == 0 || !is_usable(lookup, &peers[i].id))
            continue;
        if (size < PC_KAD_K)
            size++;
        memmove(&ret_told[at + 1], &ret_told[at], (size - at - 1) * sizeof(ret_told[0]));
        ret_told[at] = told;
    }
    return size;
}

int pc_kad_lookup_answered(struct pc_kad_lookup *lookup, const struct pc_peer_id *id,
                           const struct pc_kad_contact *peers, size_t count)
{
    struct told told[PC_KAD_K];
    int result = 0;
    if (!request_became(lookup, id, ANSWERED))
        return 0;
    size_t size = closest_told(lookup, peers, count, told);
    for (size_t i = 0; i < size && result == 0; i++)
        result = take_in(lookup, told[i].contact, &told[i].key);
    return result;
}

void pc_kad_lookup_failed(struct pc_kad_lookup *lookup, const struct pc_peer_id *id)
{
    (void)request_became(lookup, id, FAILED);
}

/* Does the peer, which is still open, keep the beta closest from having all answered? */
static bool is_awaited(const struct pc_kad_lookup *lookup, const struct peer *open)
{
    return open && rank_in(lookup, &lookup->lists[ANSWERED], &open->entry.key) < lookup->options.beta;
}

bool pc_kad_lookup_done(const struct pc_kad_lookup *lookup)
{
    bool may_ask = lookup->requests < PC_KAD_LOOKUP_MAX_REQUESTS;
    return !is_awaited(lookup, nearest(lookup, ASKED)) &&
           !(may_ask && is_awaited(lookup, nearest(lookup, WAITING)));
}

size_t pc_kad_lookup_request_count(const struct pc_kad_lookup *lookup)
{
    return lookup->requests;
}

size_t pc_kad_lookup_answered_count(const struct pc_kad_lookup *lookup)
{
    return lookup->lists[ANSWERED].count;
}

size_t pc_kad_lookup_closest(const struct pc_kad_lookup *lookup, const struct pc_kad_entry **ret_entries,
                             size_t count)
{
    const struct list *answered = &lookup->lists[ANSWERED];
    size_t size = count < answered->count ? count : answered->count;
    for (size_t i = 0; i < size; i++)
        ret_entries[i] = &answered->peers[i]->entry;
    return size;
}
