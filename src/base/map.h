/*
 * An intrusive hash map: the caller embeds a pc_map_node and keeps the memory. Keys are byte strings hashed
 * with SipHash-2-4 under a secret, so that strangers' keys can't be chosen to collide. Chained, doubles when
 * full.
 */
#ifndef PC_BASE_MAP_H
#define PC_BASE_MAP_H

#include "base/bytes.h"

struct pc_map_node {
    struct pc_map_node *next;
    uint64_t hash;
};

/* The key of a node, borrowed; must not change while the node is in a map. */
typedef struct pc_bytes (*pc_map_key_fn)(const struct pc_map_node *node);

struct pc_map {
    struct pc_map_node **slots; /* NULL until the first insert */
    size_t slot_count;          /* a power of two, or 0 */
    size_t count;
    pc_map_key_fn key;
    uint8_t secret[16];
};

void pc_base_map_init(struct pc_map *map, pc_map_key_fn key, const uint8_t secret[16]);
/* Frees the slots, not the nodes. */
void pc_base_map_deinit(struct pc_map *map);
struct pc_map_node *pc_base_map_find(const struct pc_map *map, struct pc_bytes key);
/* The key must not be in the map. ENOMEM: nothing changed; only of a map that never had room: later, when there is
 * no memory for more slots, chains get longer. */
int pc_base_map_insert(struct pc_map *map, struct pc_map_node *node);
/* The first room, so that no insert fails. ENOMEM. */
int pc_base_map_reserve(struct pc_map *map);
/* The hash of a key, the same in all maps of one secret; and what is done by a hash that is known already. */
uint64_t pc_base_map_hash(const struct pc_map *map, struct pc_bytes key);
struct pc_map_node *pc_base_map_find_hashed(const struct pc_map *map, struct pc_bytes key, uint64_t hash);
int pc_base_map_insert_hashed(struct pc_map *map, struct pc_map_node *node, uint64_t hash);
/* The node must be in the map. */
void pc_base_map_remove(struct pc_map *map, struct pc_map_node *node);
/* Put `fresh`, of the same key, in the place of `old`, which is in the map and leaves it. */
void pc_base_map_replace(struct pc_map *map, struct pc_map_node *old, struct pc_map_node *fresh);
/* Walk: start with NULL; the order is of no meaning; don't insert during it; the node returned may be removed
 * once its successor was asked for. */
struct pc_map_node *pc_base_map_next(const struct pc_map *map, const struct pc_map_node *node);

/* The object a node is embedded in. */
#define PC_CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
/* As above, of a node and an object that are only read. */
#define PC_CONST_CONTAINER_OF(pointer, type, member)                                                         \
    ((const type *)(const void *)((const char *)(pointer)-offsetof(type, member)))

#endif
