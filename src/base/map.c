#include "base/map.h"

#include <peercache/types.h>

#include <sodium.h>
#include <stdlib.h>

#define FIRST_SLOTS 16
#define FETCH_AHEAD 16
#define LINE_BYTES  64 /* of the cache of common processors; elsewhere it fetches a little else */

void pc_base_map_init(struct pc_map *map, pc_map_key_fn key, const uint8_t secret[16])
{
    memset(map, 0, sizeof(*map));
    map->key = key;
    memcpy(map->secret, secret, sizeof(map->secret));
}

void pc_base_map_deinit(struct pc_map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->slot_count = 0;
    map->count = 0;
}

uint64_t pc_base_map_hash(const struct pc_map *map, struct pc_bytes key)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t hash = 0;
    crypto_shorthash(out, key.data, key.size, map->secret);
    for (size_t i = 0; i < sizeof(out); i++) /* little-endian by hand: one order of a walk on every machine */
        hash |= (uint64_t)out[i] << (8 * i);
    return hash;
}

struct pc_map_node *pc_base_map_find(const struct pc_map *map, struct pc_bytes key)
{
    return map->count ? pc_base_map_find_hashed(map, key, pc_base_map_hash(map, key)) : NULL;
}

struct pc_map_node *pc_base_map_find_hashed(const struct pc_map *map, struct pc_bytes key, uint64_t hash)
{
    if (map->count == 0)
        return NULL;
    for (struct pc_map_node *n = map->slots[hash & (map->slot_count - 1)]; n; n = n->next) {
        /* The key, and what it is looked up for, lie right behind the node: fetched at once, not one by one. */
        __builtin_prefetch((const char *)n + LINE_BYTES);
        __builtin_prefetch((const char *)n + (size_t)2 * LINE_BYTES);
        if (n->hash == hash && pc_bytes_equal(map->key(n), key))
            return n;
    }
    return NULL;
}

static int grow(struct pc_map *map)
{
    size_t slot_count = map->slot_count ? map->slot_count * 2 : FIRST_SLOTS;
    struct pc_map_node **slots = calloc(slot_count, sizeof(struct pc_map_node *));
    if (!slots)
        return PEERCACHE_ENOMEM;
    for (size_t i = 0; i < map->slot_count; i++) {
        if (i + FETCH_AHEAD < map->slot_count)
            __builtin_prefetch(map->slots[i + FETCH_AHEAD]); /* nodes lie all over memory */
        for (struct pc_map_node *n = map->slots[i], *next; n; n = next) {
            next = n->next;
            n->next = slots[n->hash & (slot_count - 1)];
            slots[n->hash & (slot_count - 1)] = n;
        }
    }
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    return 0;
}

int pc_base_map_reserve(struct pc_map *map)
{
    return map->slot_count ? 0 : grow(map);
}

int pc_base_map_insert(struct pc_map *map, struct pc_map_node *node)
{
    return pc_base_map_insert_hashed(map, node, pc_base_map_hash(map, map->key(node)));
}

int pc_base_map_insert_hashed(struct pc_map *map, struct pc_map_node *node, uint64_t hash)
{
    if (map->count >= map->slot_count && grow(map) && map->slot_count == 0)
        return PEERCACHE_ENOMEM;
    struct pc_map_node **slot = &map->slots[hash & (map->slot_count - 1)];
    node->hash = hash;
    node->next = *slot;
    *slot = node;
    map->count++;
    return 0;
}

/* What points to a node. */
static struct pc_map_node **link_to(struct pc_map *map, const struct pc_map_node *node)
{
    struct pc_map_node **link = &map->slots[node->hash & (map->slot_count - 1)];
    while (*link != node)
        link = &(*link)->next;
    return link;
}

void pc_base_map_remove(struct pc_map *map, struct pc_map_node *node)
{
    *link_to(map, node) = node->next;
    node->next = NULL;
    map->count--;
}

void pc_base_map_replace(struct pc_map *map, struct pc_map_node *old, struct pc_map_node *fresh)
{
    *link_to(map, old) = fresh;
    *fresh = *old;
    old->next = NULL;
}

struct pc_map_node *pc_base_map_next(const struct pc_map *map, const struct pc_map_node *node)
{
    size_t slot = 0;
    if (node) {
        if (node->next)
            return node->next;
        slot = (size_t)(node->hash & (map->slot_count - 1)) + 1;
    }
    for (; slot < map->slot_count; slot++)
        if (map->slots[slot])
            return map->slots[slot];
    return NULL;
}
