/*
 * Each peer is in one list, that of its state; every list is kept nearest first by inserting at the place
 * that a binary search finds. So the next to ask is the first that waits, who gives way is the last that
 * waits, and whether the lookup is done shows by three comparisons.
 */
#include "kad/lookup.h"

#include "base/fsm.h"

#include <peercache/types.h>

#include <stdlib.h>

enum {
    WAITING,
    ASKED,
    ANSWERED,
    FAILED,
    STATES,
};

static const uint32_t allowed[STATES] = {
    [WAITING] = PC_FSM_TO(ASKED),
    [ASKED] = PC_FSM_TO(ANSWERED) | PC_FSM_TO(FAILED),
    [ANSWERED] = 0,
    [FAILED] = 0,
};

struct peer {
    struct pc_kad_entry entry;
    unsigned state;
};

struct list {
    size_t count;
    struct peer *peers[PC_KAD_LOOKUP_MAX_PEERS];
};

struct pc_kad_lookup {
    struct pc_kad_key target;
    struct pc_peer_id own_id;
    unsigned alpha;
    unsigned beta;
    struct list lists[STATES];
};

int pc_kad_lookup_new(const struct pc_kad_key *target, const struct pc_peer_id *own_id, unsigned alpha,
                      unsigned beta, struct pc_kad_lookup **ret_lookup)
{
    if (alpha == 0 || beta == 0)
        return PEERCACHE_EINVAL;
    struct pc_kad_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return PEERCACHE_ENOMEM;
    lookup->target = *target;
    lookup->own_id = *own_id;
    lookup->alpha = alpha;
    lookup->beta = beta;
    *ret_lookup = lookup;
    return 0;
}

void pc_kad_lookup_free(struct pc_kad_lookup *lookup)
{
    if (!lookup)
        return;
    for (unsigned state = 0; state < STATES; state++)
        for (size_t i = 0; i < lookup->lists[state].count; i++)
            free(lookup->lists[state].peers[i]);
    free(lookup);
}

/* How many peers of the list are nearer than the key; also the place of the key, or where it belongs. */
static size_t rank_in(const struct pc_kad_lookup *lookup, const struct list *list,
                      const struct pc_kad_key *key)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pc_kad_key_compare(&lookup->target, &list->peers[middle]->entry.key, key) < 0)
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
    if (at == list->count || pc_kad_key_compare(&lookup->target, &list->peers[at]->entry.key, key) != 0)
        return NULL;
    return list->peers[at];
}

static void list_insert(struct pc_kad_lookup *lookup, struct peer *peer)
{
    struct list *list = &lookup->lists[peer->state];
    size_t at = rank_in(lookup, list, &peer->entry.key);
    memmove(&list->peers[at + 1], &list->peers[at], (list->count - at) * sizeof(list->peers[0]));
    list->peers[at] = peer;
    list->count++;
}

static void list_remove(struct pc_kad_lookup *lookup, struct peer *peer)
{
    struct list *list = &lookup->lists[peer->state];
    size_t at = rank_in(lookup, list, &peer->entry.key);
    list->count--;
    memmove(&list->peers[at], &list->peers[at + 1], (list->count - at) * sizeof(list->peers[0]));
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

/*
 * Memory for a peer of this key. At the bound it is that of the farthest one that waits; NULL with 0 when the
 * key is farther still, or nobody waits.
 */
static int make_room(struct pc_kad_lookup *lookup, const struct pc_kad_key *key, struct peer **ret_peer)
{
    size_t known = 0;
    for (unsigned state = 0; state < STATES; state++)
        known += lookup->lists[state].count;
    if (known < PC_KAD_LOOKUP_MAX_PEERS) {
        *ret_peer = malloc(sizeof(**ret_peer));
        return *ret_peer ? 0 : PEERCACHE_ENOMEM;
    }
    struct list *waiting = &lookup->lists[WAITING];
    struct peer *farthest = waiting->count ? waiting->peers[waiting->count - 1] : NULL;
    *ret_peer = NULL;
    if (farthest && pc_kad_key_compare(&lookup->target, key, &farthest->entry.key) < 0) {
        list_remove(lookup, farthest);
        *ret_peer = farthest;
    }
    return 0;
}

int pc_kad_lookup_add(struct pc_kad_lookup *lookup, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                      size_t addr_count)
{
    if (id->size == 0 || pc_addr_peer_id_equal(id, &lookup->own_id))
        return 0;
    struct pc_kad_key key = pc_kad_key_of_peer(id);
    for (unsigned state = 0; state < STATES; state++)
        if (find_in(lookup, state, &key))
            return 0;
    struct peer *peer;
    int result = make_room(lookup, &key, &peer);
    if (result || !peer)
        return result;
    peer->entry.id = *id;
    peer->entry.key = key;
    peer->entry.last_seen_us = 0; /* never seen, only told of */
    pc_kad_entry_set_addrs(&peer->entry, addrs, addr_count);
    peer->state = WAITING;
    list_insert(lookup, peer);
    return 0;
}

const struct pc_kad_entry *pc_kad_lookup_next(struct pc_kad_lookup *lookup)
{
    struct peer *peer = nearest(lookup, WAITING);
    if (!peer || lookup->lists[ASKED].count >= lookup->alpha || pc_kad_lookup_done(lookup))
        return NULL;
    move(lookup, peer, ASKED);
    return &peer->entry;
}

static void asked_became(struct pc_kad_lookup *lookup, const struct pc_peer_id *id, unsigned state)
{
    struct pc_kad_key key = pc_kad_key_of_peer(id);
    struct peer *peer = find_in(lookup, ASKED, &key);
    if (peer)
        move(lookup, peer, state);
}

void pc_kad_lookup_answered(struct pc_kad_lookup *lookup, const struct pc_peer_id *id)
{
    asked_became(lookup, id, ANSWERED);
}

void pc_kad_lookup_failed(struct pc_kad_lookup *lookup, const struct pc_peer_id *id)
{
    asked_became(lookup, id, FAILED);
}

bool pc_kad_lookup_done(const struct pc_kad_lookup *lookup)
{
    const struct list *answered = &lookup->lists[ANSWERED];
    const struct peer *pending[] = { nearest(lookup, WAITING), nearest(lookup, ASKED) };
    for (size_t i = 0; i < sizeof(pending) / sizeof(pending[0]); i++) {
        /* The beta closest have all answered when beta answers are nearer than all that is still open. */
        if (pending[i] && rank_in(lookup, answered, &pending[i]->entry.key) < lookup->beta)
            return false;
    }
    return true;
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
