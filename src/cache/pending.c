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

void pc_cache_pending_init(struct pc_pending_table *table, const uint8_t secret[16])
{
    memset(table, 0, sizeof(*table));
    pc_base_map_init(&table->by_peer, key_of_node, secret);
}

void pc_cache_pending_deinit(struct pc_pending_table *table)
{
    for (struct pc_pending *p = table->first, *later; p; p = later) {
        later = p->later;
        free(p);
    }
    pc_base_map_deinit(&table->by_peer);
    table->first = NULL;
    table->last = NULL;
    table->count = 0;
}

struct pc_pending *pc_cache_pending_of(const struct pc_pending_table *table, struct pc_bytes key)
{
    return of_node(pc_base_map_find(&table->by_peer, key));
}

/* The first of the peer of this one. */
static struct pc_pending *first_of(const struct pc_pending_table *table, const struct pc_pending *pending)
{
    return of_node(
        pc_base_map_find_hashed(&table->by_peer, pc_cache_pending_key(pending), pending->node.hash));
}

static struct pc_bytes addr_of(const struct pc_pending *pending)
{
    return pc_bytes_of(pending->bytes, pending->addr_size);
}

static const uint8_t *proven_of(const struct pc_pending *pending)
{
    return pending->bytes + pending->addr_size + pending->key_size;
}

/* What merging reads and writes: all but the names. */
static void read_news(const struct pc_pending *pending, struct pc_delta *ret_delta)
{
    ret_delta->history = pending->history;
    ret_delta->source = (peercache_source)pending->source;
    ret_delta->source_group = pending->source_group;
    ret_delta->first_seen_ms = pending->first_seen_ms;
    ret_delta->removed_ms = pending->removed_ms;
    ret_delta->only_if_known = pending->only_if_known;
    ret_delta->trusted = pending->trusted;
    ret_delta->state = (peercache_state)pending->state;
    ret_delta->proven_id.size = pending->proven_size;
    memcpy(ret_delta->proven_id.bytes, proven_of(pending), pending->proven_size);
}

static void write_news(struct pc_pending *pending, const struct pc_delta *delta)
{
    pending->history = delta->history;
    pending->source = (uint8_t)delta->source;
    pending->source_group = delta->source_group;
    pending->first_seen_ms = delta->first_seen_ms;
    pending->removed_ms = delta->removed_ms;
    pending->only_if_known = delta->only_if_known;
    pending->trusted = delta->trusted;
    pending->state = (uint8_t)delta->state;
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
    size_t proven_size = news->proven_id.size;
    struct pc_pending *pending = malloc(sizeof(*pending) + addr.size + key.size + proven_size);
    if (!pending)
        return NULL;
    pending->node = (struct pc_map_node){ NULL, hash };
    pending->sibling = pending->earlier = pending->later = NULL;
    pending->addr_size = (uint8_t)addr.size;
    pending->key_size = (uint8_t)key.size;
    pending->proven_size = (uint8_t)proven_size;
    memcpy(pending->bytes, addr.data, addr.size);
    memcpy(pending->bytes + addr.size, key.data, key.size);
    memcpy(pending->bytes + addr.size + key.size, news->proven_id.bytes, proven_size);
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

/* Add at the end of its peer's chain, whose head is `head` (NULL: there is none), and of the list. ENOMEM only
 * when it is the first of its peer. */
static int append(struct pc_pending_table *table, struct pc_pending *head, struct pc_pending *pending)
{
    pending->sibling = NULL;
    if (!head) {
        int result = pc_base_map_insert_hashed(&table->by_peer, &pending->node, pending->node.hash);
        if (result)
            return result;
    } else {
        while (head->sibling)
            head = head->sibling;
        head->sibling = pending;
    }
    list_append(table, pending);
    return 0;
}

/* Put `fresh` (NULL: nothing) in the place of `old` in its peer's chain. The map has room: one went out. */
static void replace_in_chain(struct pc_pending_table *table, struct pc_pending *head, struct pc_pending *old,
                             struct pc_pending *fresh)
{
    struct pc_pending *next = fresh ? fresh : old->sibling;
    if (fresh)
        fresh->sibling = old->sibling;
    if (head == old) {
        pc_base_map_remove(&table->by_peer, &old->node);
        if (next)
            (void)pc_base_map_insert_hashed(&table->by_peer, &next->node, next->node.hash);
        return;
    }
    while (head->sibling != old)
        head = head->sibling;
    head->sibling = next;
}

/* In the place of one that waits: what has no room there is made anew. */
static int merge(struct pc_pending_table *table, struct pc_pending *known, const struct pc_delta *delta,
                 struct pc_pending **first_of_peer)
{
    struct pc_delta merged;
    read_news(known, &merged);
    pc_cache_delta_merge(&merged, delta);
    if (merged.proven_id.size == known->proven_size) {
        write_news(known, &merged);
        memcpy(known->bytes + known->addr_size + known->key_size, merged.proven_id.bytes, known->proven_size);
        return 0;
    }
    struct pc_pending *fresh =
        pending_new(addr_of(known), pc_cache_pending_key(known), known->node.hash, &merged);
    if (!fresh)
        return PEERCACHE_ENOMEM;
    replace_in_chain(table, *first_of_peer, known, fresh);
    list_replace(table, known, fresh);
    if (*first_of_peer == known)
        *first_of_peer = fresh;
    free(known);
    return 0;
}

int pc_cache_pending_add(struct pc_pending_table *table, const struct pc_delta *delta, uint64_t hash,
                         struct pc_pending **first_of_peer)
{
    struct pc_cache_key key;
    struct pc_bytes addr = pc_addr_maddr_bytes(&delta->addr);
    size_t chain = 0;
    if (!*first_of_peer) {
        pc_cache_key_of(&delta->id, addr, &key);
        *first_of_peer =
            of_node(pc_base_map_find_hashed(&table->by_peer, pc_cache_key_bytes(&key), hash));
    }
    for (struct pc_pending *known = *first_of_peer; known; known = known->sibling, chain++)
        if (pc_bytes_equal(addr_of(known), addr))
            return merge(table, known, delta, first_of_peer);
    if (chain >= PC_CACHE_PENDING_PER_PEER)
        return PEERCACHE_ELIMIT;
    pc_cache_key_of(&delta->id, addr, &key);
    struct pc_pending *fresh = pending_new(addr, pc_cache_key_bytes(&key), hash, delta);
    if (!fresh)
        return PEERCACHE_ENOMEM;
    int result = append(table, *first_of_peer, fresh);
    if (result)
        free(fresh);
    else if (!*first_of_peer)
        *first_of_peer = fresh;
    return result;
}

void pc_cache_pending_drop(struct pc_pending_table *table, struct pc_bytes key)
{
    struct pc_pending *pending = pc_cache_pending_of(table, key);
    if (!pending)
        return;
    pc_base_map_remove(&table->by_peer, &pending->node);
    for (struct pc_pending *sibling; pending; pending = sibling) {
        sibling = pending->sibling;
        list_remove(table, pending);
        free(pending);
    }
}

int pc_cache_pending_move_first(struct pc_pending_table *from, struct pc_pending_table *to)
{
    struct pc_pending *pending = from->first;
    struct pc_pending *head = first_of(from, pending);
    replace_in_chain(from, head, pending, NULL);
    list_remove(from, pending);
    int result = append(to, first_of(to, pending), pending);
    if (result == 0)
        return 0;
    /* Back where it was: at the front of the list, and of its chain. The map of `from` has the room it had.
     */
    head = first_of(from, pending);
    if (head)
        pc_base_map_remove(&from->by_peer, &head->node);
    pending->sibling = head;
    (void)pc_base_map_insert_hashed(&from->by_peer, &pending->node, pending->node.hash);
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
