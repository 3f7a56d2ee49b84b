#include "cache/pending.h"

#include "cache/set.h"

#include <stdlib.h>

static struct pc_pending *of_node(struct pc_map_node *node)
{
    return node ? PC_CONTAINER_OF(node, struct pc_pending, node) : NULL;
}

static struct pc_bytes key_of(const struct pc_pending *pending)
{
    return pc_bytes_of(pending->bytes, pending->key_size);
}

static struct pc_bytes key_of_node(const struct pc_map_node *node)
{
    return key_of(PC_CONST_CONTAINER_OF(node, struct pc_pending, node));
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

void pc_cache_pending_unpack(const struct pc_pending *pending, struct pc_delta *ret_delta)
{
    struct pc_reader r;
    struct pc_record_addr addr;
    const uint8_t *at = pending->bytes + pending->key_size;
    pc_cache_key_id(key_of(pending), &ret_delta->id);
    ret_delta->proven_id.size = pending->proven_size;
    memcpy(ret_delta->proven_id.bytes, at, pending->proven_size);
    pc_base_reader_init(&r, at + pending->proven_size, pending->packed_size);
    (void)pc_cache_unpack_addr(&r, &addr); /* our own packing */
    ret_delta->addr = addr.addr;
    ret_delta->history = addr.history;
    ret_delta->source = addr.source;
    ret_delta->source_group = addr.source_group;
    ret_delta->first_seen_ms = addr.first_seen_ms;
    ret_delta->removed_ms = pending->removed_ms;
    ret_delta->only_if_known = pending->only_if_known;
    ret_delta->trusted = pending->trusted;
    ret_delta->state = (peercache_state)pending->state;
}

static struct pc_pending *pack(const struct pc_delta *delta)
{
    uint8_t packed[PC_CACHE_PACKED_ADDR_MAX_BYTES];
    struct pc_writer w;
    struct pc_cache_key key;
    const struct pc_record_addr addr = {
        .addr = delta->addr,
        .history = delta->history,
        .source = delta->source,
        .source_group = delta->source_group,
        .first_seen_ms = delta->first_seen_ms,
    };
    pc_cache_key_of(&delta->id, pc_addr_maddr_bytes(&delta->addr), &key);
    pc_base_writer_init(&w, packed, sizeof(packed));
    pc_cache_pack_addr(&w, &addr);
    size_t size = pc_base_writer_size(&w);
    struct pc_pending *pending = malloc(sizeof(*pending) + key.size + delta->proven_id.size + size);
    if (!pending)
        return NULL;
    memset(pending, 0, sizeof(*pending));
    pending->removed_ms = delta->removed_ms;
    pending->only_if_known = delta->only_if_known;
    pending->trusted = delta->trusted;
    pending->state = (uint8_t)delta->state;
    pending->key_size = key.size;
    pending->proven_size = delta->proven_id.size;
    pending->packed_size = (uint16_t)size;
    memcpy(pending->bytes, key.bytes, key.size);
    memcpy(pending->bytes + key.size, delta->proven_id.bytes, delta->proven_id.size);
    memcpy(pending->bytes + key.size + delta->proven_id.size, packed, size);
    return pending;
}

/* The address of a packed delta, without unpacking the rest. */
static struct pc_bytes addr_of(const struct pc_pending *pending)
{
    const uint8_t *at = pending->bytes + pending->key_size + pending->proven_size;
    return pc_bytes_of(at + 1, at[0]);
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

/* Add at the end of its peer's chain and of the list. ENOMEM only when it is the first of its peer. */
static int append(struct pc_pending_table *table, struct pc_pending *pending)
{
    struct pc_pending *at = pc_cache_pending_of(table, key_of(pending));
    pending->sibling = NULL;
    if (!at) {
        int result = pc_base_map_insert(&table->by_peer, &pending->node);
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
            (void)pc_base_map_insert(&table->by_peer, &next->node);
        return;
    }
    while (head->sibling != old)
        head = head->sibling;
    head->sibling = next;
}

int pc_cache_pending_add(struct pc_pending_table *table, const struct pc_delta *delta)
{
    struct pc_cache_key key;
    struct pc_pending *head, *known, *fresh;
    size_t chain = 0;
    pc_cache_key_of(&delta->id, pc_addr_maddr_bytes(&delta->addr), &key);
    head = pc_cache_pending_of(table, pc_cache_key_bytes(&key));
    for (known = head; known; known = known->sibling, chain++)
        if (pc_bytes_equal(addr_of(known), pc_addr_maddr_bytes(&delta->addr)))
            break;
    if (!known) {
        if (chain >= PC_CACHE_PENDING_PER_PEER)
            return PEERCACHE_ELIMIT;
        fresh = pack(delta);
        if (!fresh)
            return PEERCACHE_ENOMEM;
        int result = append(table, fresh);
        if (result)
            free(fresh);
        return result;
    }
    struct pc_delta merged;
    pc_cache_pending_unpack(known, &merged);
    pc_cache_delta_merge(&merged, delta);
    fresh = pack(&merged);
    if (!fresh)
        return PEERCACHE_ENOMEM;
    replace_in_chain(table, head, known, fresh);
    list_replace(table, known, fresh);
    free(known);
    return 0;
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
    struct pc_pending *head = pc_cache_pending_of(from, key_of(pending));
    replace_in_chain(from, head, pending, NULL);
    list_remove(from, pending);
    int result = append(to, pending);
    if (result == 0)
        return 0;
    /* Back where it was: at the front of the list, and of its chain. The map of `from` has the room it had.
     */
    head = pc_cache_pending_of(from, key_of(pending));
    if (head)
        pc_base_map_remove(&from->by_peer, &head->node);
    pending->sibling = head;
    (void)pc_base_map_insert(&from->by_peer, &pending->node);
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
