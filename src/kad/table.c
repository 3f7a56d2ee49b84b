#include "kad/table.h"

#include <peercache/types.h>

#include <assert.h>
#include <stdlib.h>

#define BUCKETS 256

struct node {
    struct pc_kad_entry entry;
    struct node *next; /* seen more recently */
};

struct bucket {
    struct node *first; /* seen least recently */
    size_t count;
};

struct pc_kad_table {
    struct pc_kad_key own_key;
    size_t count;
    struct bucket buckets[BUCKETS]; /* [i]: peers whose keys share exactly i leading bits with ours */
};

int pc_kad_table_new(const struct pc_peer_id *own_id, struct pc_kad_table **ret_table)
{
    struct pc_kad_table *table = calloc(1, sizeof(*table));
    if (!table)
        return PEERCACHE_ENOMEM;
    table->own_key = pc_kad_key_of_peer(own_id);
    *ret_table = table;
    return 0;
}

void pc_kad_table_free(struct pc_kad_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct node *node = table->buckets[i].first, *next; node; node = next) {
            next = node->next;
            free(node);
        }
    }
    free(table);
}

/* Unlink the peer from the bucket; NULL when it is not in. */
static struct node *take_out(struct bucket *bucket, const struct pc_peer_id *id)
{
    for (struct node **link = &bucket->first; *link; link = &(*link)->next) {
        struct node *node = *link;
        if (pc_addr_peer_id_equal(&node->entry.id, id)) {
            *link = node->next;
            bucket->count--;
            return node;
        }
    }
    return NULL;
}

static void put_last(struct bucket *bucket, struct node *node)
{
    struct node **link = &bucket->first;
    while (*link)
        link = &(*link)->next;
    *link = node;
    node->next = NULL;
    bucket->count++;
}

void pc_kad_entry_set_addrs(struct pc_kad_entry *entry, const struct pc_maddr *addrs, size_t addr_count)
{
    entry->addr_count = (uint8_t)(addr_count < PC_KAD_ADDRS_PER_PEER ? addr_count : PC_KAD_ADDRS_PER_PEER);
    for (size_t i = 0; i < entry->addr_count; i++)
        entry->addrs[i] = addrs[i];
}

int pc_kad_table_seen(struct pc_kad_table *table, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                      size_t addr_count, int64_t now_us)
{
    struct pc_kad_key key = pc_kad_key_of_peer(id);
    unsigned shared = pc_kad_key_common_prefix(&table->own_key, &key);
    if (id->size == 0 || shared == BUCKETS)
        return PEERCACHE_EINVAL;
    struct bucket *bucket = &table->buckets[shared];
    struct node *node = take_out(bucket, id);
    if (!node) {
        if (bucket->count == PC_KAD_K)
            return PEERCACHE_ELIMIT;
        node = malloc(sizeof(*node));
        if (!node)
            return PEERCACHE_ENOMEM;
        node->entry.id = *id;
        node->entry.key = key;
        table->count++;
    }
    pc_kad_entry_set_addrs(&node->entry, addrs, addr_count);
    node->entry.last_seen_us = now_us;
    put_last(bucket, node);
    return 0;
}

void pc_kad_table_remove(struct pc_kad_table *table, const struct pc_peer_id *id)
{
    struct pc_kad_key key = pc_kad_key_of_peer(id);
    unsigned shared = pc_kad_key_common_prefix(&table->own_key, &key);
    if (shared == BUCKETS)
        return;
    struct node *node = take_out(&table->buckets[shared], id);
    if (!node)
        return;
    table->count--;
    free(node);
}

size_t pc_kad_table_count(const struct pc_kad_table *table)
{
    return table->count;
}

/* The bucket's entries, nearest to target first; returns how many, at most `count`. */
static size_t bucket_closest(const struct bucket *bucket, const struct pc_kad_key *target,
                             const struct pc_kad_entry **ret_entries, size_t count)
{
    const struct pc_kad_entry *sorted[PC_KAD_K];
    size_t size = 0;
    for (const struct node *node = bucket->first; node; node = node->next) {
        size_t at = size++;
        assert(size <= PC_KAD_K);
        for (; at > 0 && pc_kad_key_compare(target, &node->entry.key, &sorted[at - 1]->key) < 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &node->entry;
    }
    if (size > count)
        size = count;
    for (size_t i = 0; i < size; i++)
        ret_entries[i] = sorted[i];
    return size;
}

/*
 * Whole buckets are ordered by distance, so only those that are needed are sorted. Let d = own key XOR
 * target. A peer of bucket i differs from us first at bit i; its distance to the target has the bits of d
 * before i, and at i the opposite of d's. All deeper buckets have d's own bit there. So where d has a 1,
 * bucket i is nearer than all deeper ones; where it has a 0, it is farther than all of them: first the ones
 * going down, then the zeroes coming back up.
 */
size_t pc_kad_table_closest(const struct pc_kad_table *table, const struct pc_kad_key *target,
                            const struct pc_kad_entry **ret_entries, size_t count)
{
    size_t found = 0;
    for (unsigned step = 0; step < 2 * BUCKETS && found < count; step++) {
        bool going_down = step < BUCKETS;
        unsigned i = going_down ? step : 2 * BUCKETS - 1 - step;
        unsigned mask = 0x80U >> (i % 8);
        bool differs = (table->own_key.bytes[i / 8] & mask) != (target->bytes[i / 8] & mask);
        if (differs == going_down)
            found += bucket_closest(&table->buckets[i], target, ret_entries + found, count - found);
    }
    return found;
}
