#include "cache/pending.h"

#include "cache/set.h"

#include <stdlib.h>

static struct pc_pending *of_node(struct pc_map_node *node)
{
    return node ? PC_CONTAINER_OF(node, struct pc_pending, node) : NULL;
}

static struct pc_bytes key_of_node(const struct pc_map_node *node)
{
    return pc_cache_pending_key(PC_CONST_CONTAINER_OF(node, struct pc_pending, node));
}

int pc_cache_pending_init(struct pc_pending_table *table, const uint8_t secret[16])
{
    memset(table, 0, sizeof(*table));
    pc_base_map_init(&table->ownerless, key_of_node, secret);
    return pc_base_map_reserve(&table->ownerless);
}

void pc_cache_pending_deinit(struct pc_pending_table *table)
{
    for (struct pc_pending *p = table->first, *later; p; p = later) {
        later = p->later;
        free(p);
    }
    pc_base_map_deinit(&table->ownerless);
    table->first = NULL;
    table->last = NULL;
    table->count = 0;
}

struct pc_pending *pc_cache_pending_of(const struct pc_pending_table *table, struct pc_bytes key,
                                       uint64_t hash)
{
    return of_node(pc_base_map_find_hashed(&table->ownerless, key, hash));
}

struct pc_pending *pc_cache_pending_hand_over(struct pc_pending_table *table, struct pc_bytes key,
                                              uint64_t hash)
{
    struct pc_pending *first = pc_cache_pending_of(table, key, hash);
    if (first)
        pc_base_map_remove(&table->ownerless, &first->node);
    return first;
}

void pc_cache_pending_take_back(struct pc_pending_table *table, struct pc_pending *first)
{
    if (first) /* there is room: init saw to it */
        (void)pc_base_map_insert_hashed(&table->ownerless, &first->node, first->node.hash);
}

static struct pc_pending *first_of(const struct pc_pending_table *table, struct pc_pending *const *owner,
                                   const struct pc_pending *pending)
{
    return owner ? *owner : pc_cache_pending_of(table, pc_cache_pending_key(pending), pending->node.hash);
}

/* Another first of a peer's chain than before; NULL: there was or is none. ENOMEM only where there was none, and
 * there is no owner. */
static int set_first(struct pc_pending_table *table, struct pc_pending **owner, struct pc_pending *before,
                     struct pc_pending *first)
{
    if (owner)
        *owner = first;
    else if (before && first)
        pc_base_map_replace(&table->ownerless, &before->node, &first->node);
    else if (before)
        pc_base_map_remove(&table->ownerless, &before->node);
    else if (first)
        return pc_base_map_insert_hashed(&table->ownerless, &first->node, first->node.hash);
    return 0;
}

static struct pc_bytes addr_of(const struct pc_pending *pending)
{
    return pc_bytes_of(pending->bytes, pending->addr_size);
}

/* What merging reads and writes: all but the names. */
static void read_news(const struct pc_pending *pending, struct pc_delta *ret_delta)
{
    struct pc_history *h = &ret_delta->history;
    const uint8_t *at = pending->bytes + pending->addr_size + pending->key_size;
    h->success_count = pending->success_count;
    h->failure_count = pending->failure_count;
    h->last_seen_ms = pending->last_seen_ms;
    h->last_success_ms = pending->last_success_ms;
    h->last_attempt_ms = pending->last_attempt_ms;
    h->rtt_us = pending->rtt_us;
    h->rtt_at_ms = pending->rtt_at_ms;
    ret_delta->source = (peercache_source)pending->source;
    ret_delta->first_seen_ms = pending->first_seen_ms;
    ret_delta->removed_ms = pending->removed_ms;
    ret_delta->only_if_known = pending->only_if_known;
    ret_delta->trusted = pending->trusted;
    ret_delta->state = (peercache_state)pending->state;
    ret_delta->source_group.size = pending->group_size;
    memcpy(ret_delta->source_group.bytes, at, pending->group_size);
    at += pending->group_size;
    ret_delta->proven_id.size = pending->proven_size;
    memcpy(ret_delta->proven_id.bytes, at, pending->proven_size);
    at += pending->proven_size;
    if (pending->has_failures)
        memcpy(h->failures, at, sizeof(h->failures));
    else
        memset(h->failures, 0, sizeof(h->failures));
}

/* Where it has the room that these need. */
static void write_news(struct pc_pending *pending, const struct pc_delta *delta)
{
    const struct pc_history *h = &delta->history;
    uint8_t *at = pending->bytes + pending->addr_size + pending->key_size;
    pending->success_count = h->success_count;
    pending->failure_count = h->failure_count;
    pending->last_seen_ms = h->last_seen_ms;
    pending->last_success_ms = h->last_success_ms;
    pending->last_attempt_ms = h->last_attempt_ms;
    pending->rtt_us = h->rtt_us;
    pending->rtt_at_ms = h->rtt_at_ms;
    pending->source = (uint8_t)delta->source;
    pending->first_seen_ms = delta->first_seen_ms;
    pending->removed_ms = delta->removed_ms;
    pending->only_if_known = delta->only_if_known;
    pending->trusted = delta->trusted;
    pending->state = (uint8_t)delta->state;
    memcpy(at, delta->source_group.bytes, pending->group_size);
    at += pending->group_size;
    memcpy(at, delta->proven_id.bytes, pending->proven_size);
    at += pending->proven_size;
    if (pending->has_failures)
        memcpy(at, h->failures, sizeof(h->failures));
}

static bool has_failures(const struct pc_history *history)
{
    static const uint32_t none[PEERCACHE_OUTCOME_COUNT];
    return memcmp(history->failures, none, sizeof(none)) != 0;
}

static bool has_room(const struct pc_pending *pending, const struct pc_delta *news)
{
    return news->source_group.size == pending->group_size && news->proven_id.size == pending->proven_size &&
           (pending->has_failures || !has_failures(&news->history));
}

void pc_cache_pending_unpack(const struct pc_pending *pending, struct pc_delta *ret_delta)
{
    pc_cache_key_id(pc_cache_pending_key(pending), &ret_delta->id);
    ret_delta->addr.size = pending->addr_size;
    memcpy(ret_delta->addr.bytes, pending->bytes, pending->addr_size);
    read_news(pending, ret_delta);
}

static struct pc_pending *pending_new(struct pc_bytes addr, struct pc_bytes key, uint64_t hash,
                                      const struct pc_delta *news)
{
    bool by_kind = has_failures(&news->history);
    struct pc_pending *pending =
        malloc(sizeof(*pending) + addr.size + key.size + news->source_group.size + news->proven_id.size +
               (by_kind ? sizeof(news->history.failures) : 0));
    if (!pending)
        return NULL;
    pending->node = (struct pc_map_node){ NULL, hash };
    pending->sibling = pending->earlier = pending->later = NULL;
    pending->has_failures = by_kind;
    pending->addr_size = (uint8_t)addr.size;
    pending->key_size = (uint8_t)key.size;
    pending->group_size = news->source_group.size;
    pending->proven_size = news->proven_id.size;
    memcpy(pending->bytes, addr.data, addr.size);
    memcpy(pending->bytes + addr.size, key.data, key.size);
    write_news(pending, news);
    return pending;
}

static void list_append(struct pc_pending_table *table, struct pc_pending *pending)
{
    pending->later = NULL;
    pending->earlier = table->last;
    if (table->last)
        table->last->later = pending;
    else
        table->first = pending;
    table->last = pending;
    table->count++;
}

static void list_remove(struct pc_pending_table *table, struct pc_pending *pending)
{
    if (pending->earlier)
        pending->earlier->later = pending->later;
    else
        table->first = pending->later;
    if (pending->later)
        pending->later->earlier = pending->earlier;
    else
        table->last = pending->earlier;
    table->count--;
}

/* The place is kept, so that what changes all the time is committed all the same. */
static void list_replace(struct pc_pending_table *table, struct pc_pending *old, struct pc_pending *fresh)
{
    fresh->earlier = old->earlier;
    fresh->later = old->later;
    if (fresh->earlier)
        fresh->earlier->later = fresh;
    else
        table->first = fresh;
    if (fresh->later)
        fresh->later->earlier = fresh;
    else
        table->last = fresh;
}

/* Add at the end of its peer's chain and of the list. ENOMEM as above. */
static int append(struct pc_pending_table *table, struct pc_pending **owner, struct pc_pending *pending)
{
    struct pc_pending *at = first_of(table, owner, pending);
    pending->sibling = NULL;
    if (!at) {
        int result = set_first(table, owner, NULL, pending);
        if (result)
            return result;
    } else {
        while (at->sibling)
            at = at->sibling;
        at->sibling = pending;
    }
    list_append(table, pending);
    return 0;
}

/* Put `fresh` (NULL: nothing) in the place of `old` in its peer's chain. */
static void replace_in_chain(struct pc_pending_table *table, struct pc_pending **owner,
                             const struct pc_pending *old, struct pc_pending *fresh)
{
    struct pc_pending *at = first_of(table, owner, old);
    struct pc_pending *next = fresh ? fresh : old->sibling;
    if (fresh)
        fresh->sibling = old->sibling;
    if (at == old) {
        (void)set_first(table, owner, at, next);
        return;
    }
    while (at->sibling != old)
        at = at->sibling;
    at->sibling = next;
}

/* Into one that waits; where it has not the room, it is made anew. */
static int merge(struct pc_pending_table *table, struct pc_pending **owner, struct pc_pending *known,
                 const struct pc_delta *delta)
{
    struct pc_delta merged;
    read_news(known, &merged);
    pc_cache_delta_merge(&merged, delta);
    if (has_room(known, &merged)) {
        write_news(known, &merged);
        return 0;
    }
    struct pc_pending *fresh =
        pending_new(addr_of(known), pc_cache_pending_key(known), known->node.hash, &merged);
    if (!fresh)
        return PEERCACHE_ENOMEM;
    replace_in_chain(table, owner, known, fresh);
    list_replace(table, known, fresh);
    free(known);
    return 0;
}

int pc_cache_pending_add(struct pc_pending_table *table, struct pc_pending **owner, uint64_t hash,
                         const struct pc_delta *delta)
{
    struct pc_cache_key key;
    struct pc_bytes addr = pc_addr_maddr_bytes(&delta->addr);
    size_t chain = 0;
    pc_cache_key_of(&delta->id, addr, &key);
    struct pc_pending *known = owner ? *owner : pc_cache_pending_of(table, pc_cache_key_bytes(&key), hash);
    for (; known; known = known->sibling, chain++)
        if (pc_bytes_equal(addr_of(known), addr))
            return merge(table, owner, known, delta);
    if (chain >= PC_CACHE_PENDING_PER_PEER)
        return PEERCACHE_ELIMIT;
    struct pc_pending *fresh = pending_new(addr, pc_cache_key_bytes(&key), hash, delta);
    if (!fresh)
        return PEERCACHE_ENOMEM;
    int result = append(table, owner, fresh);
    if (result)
        free(fresh);
    return result;
}

void pc_cache_pending_drop(struct pc_pending_table *table, struct pc_pending **owner, struct pc_bytes key,
                           uint64_t hash)
{
    struct pc_pending *pending = owner ? *owner : pc_cache_pending_of(table, key, hash);
    (void)set_first(table, owner, pending, NULL);
    for (struct pc_pending *sibling; pending; pending = sibling) {
        sibling = pending->sibling;
        list_remove(table, pending);
        free(pending);
    }
}

int pc_cache_pending_move_first(struct pc_pending_table *from, struct pc_pending **owner,
                                struct pc_pending_table *to)
{
    struct pc_pending *pending = from->first;
    replace_in_chain(from, owner, pending, NULL);
    list_remove(from, pending);
    int result = append(to, NULL, pending);
    if (result == 0)
        return 0;
    /* Back where it was: at the front of its chain, and of the list. */
    struct pc_pending *before = first_of(from, owner, pending);
    (void)set_first(from, owner, before, pending);
    pending->sibling = before;
    pending->earlier = NULL;
    pending->later = from->first;
    if (from->first)
        from->first->earlier = pending;
    else
        from->last = pending;
    from->first = pending;
    from->count++;
    return result;
}
