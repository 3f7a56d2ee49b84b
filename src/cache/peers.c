/* The peers of the working set as they are kept: packed, found by key, and in one table for each state. */
#include "cache/peers.h"

#include "cache/bucket.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_TABLE    64
#define ROUND_TO_BYTES 16 /* room is given in these steps: that of malloc */
#define LOTS           16 /* peers looked at when one has to go */

static struct pc_cache_peer *of_node(struct pc_map_node *node)
{
    return node ? PC_CONTAINER_OF(node, struct pc_cache_peer, node) : NULL;
}

struct pc_bytes pc_cache_peer_key_of_node(const struct pc_map_node *node)
{
    return pc_cache_peer_key(
        (const struct pc_cache_peer *)(const void *)((const char *)node -
                                                     offsetof(struct pc_cache_peer, node)));
}

struct pc_cache_peer *pc_cache_peer_find(const struct pc_cache_set *set, struct pc_bytes key)
{
    return of_node(pc_base_map_find(&set->by_key, key));
}

void pc_cache_peer_unpack(const struct pc_cache_peer *peer, struct pc_record *ret_record)
{
    struct pc_reader r;
    pc_cache_key_id(pc_cache_peer_key(peer), &ret_record->id);
    ret_record->state = (peercache_state)peer->state;
    ret_record->bucket = peer->bucket;
    ret_record->addr_count = peer->addr_count;
    pc_base_reader_init(&r, peer->bytes + peer->key_size, peer->packed_size);
    for (size_t i = 0; i < peer->addr_count; i++)
        pc_cache_unpack_addr(&r, &ret_record->addrs[i]);
}

/* Room in the table for one more. */
static int table_reserve(struct pc_cache_table *table)
{
    if (table->count < table->capacity)
        return 0;
    size_t capacity = table->capacity ? table->capacity * 2 : FIRST_TABLE;
    struct pc_cache_peer **peers = realloc(table->peers, capacity * sizeof(struct pc_cache_peer *));
    if (!peers)
        return PEERCACHE_ENOMEM;
    table->peers = peers;
    table->capacity = capacity;
    return 0;
}

static void table_append(struct pc_cache_table *table, struct pc_cache_peer *peer)
{
    peer->index = (uint32_t)table->count;
    table->peers[table->count++] = peer;
}

static void table_remove(struct pc_cache_table *table, struct pc_cache_peer *peer)
{
    struct pc_cache_peer *last = table->peers[--table->count];
    table->peers[peer->index] = last;
    last->index = peer->index;
}

void pc_cache_peer_drop(struct pc_cache_set *set, struct pc_cache_peer *peer)
{
    pc_base_map_remove(&set->by_key, &peer->node);
    table_remove(&set->tables[peer->state], peer);
    free(peer);
}

int32_t pc_cache_record_score(const struct pc_record *record, int64_t now_ms)
{
    int32_t best = 0;
    for (size_t i = 0; i < record->addr_count; i++) {
        int32_t score = pc_cache_score(&record->addrs[i].history, now_ms);
        if (score > best)
            best = score;
    }
    return best;
}

/* The least of a few drawn by lot. */
static struct pc_cache_peer *draw_least(struct pc_cache_set *set, const struct pc_cache_table *table,
                                        int64_t now_ms, int32_t *ret_score)
{
    struct pc_cache_peer *least = NULL;
    struct pc_record record;
    for (size_t i = 0; i < LOTS; i++) {
        struct pc_cache_peer *peer = table->peers[pc_base_rng_below(&set->lots, table->count)];
        pc_cache_peer_unpack(peer, &record);
        int32_t score = pc_cache_record_score(&record, now_ms);
        if (!least || score < *ret_score) {
            least = peer;
            *ret_score = score;
        }
    }
    return least;
}

/* Make room for a record that is not in yet. */
static int make_room(struct pc_cache_set *set, const struct pc_record *record, int64_t now_ms)
{
    struct pc_cache_table *fresh = &set->tables[PEERCACHE_NEW];
    struct pc_cache_table *tried = &set->tables[PEERCACHE_TRIED];
    if (fresh->count + tried->count < set->options.peers_max)
        return 0;
    int32_t score = pc_cache_record_score(record, now_ms);
    int32_t least_score = 0;
    struct pc_cache_peer *least;
    if (fresh->count) {
        least = draw_least(set, fresh, now_ms, &least_score);
        if (record->state == PEERCACHE_NEW && least_score > score)
            return PEERCACHE_ELIMIT;
    } else {
        if (record->state == PEERCACHE_NEW)
            return PEERCACHE_ELIMIT;
        least = draw_least(set, tried, now_ms, &least_score);
        if (least_score >= score)
            return PEERCACHE_ELIMIT;
    }
    pc_cache_peer_drop(set, least);
    return 0;
}

static void fill(struct pc_cache_peer *peer, const struct pc_record *record, const uint8_t *packed,
                 size_t size)
{
    peer->bucket = record->bucket;
    peer->state = (uint8_t)record->state;
    peer->addr_count = record->addr_count;
    peer->packed_size = (uint16_t)size;
    memcpy(peer->bytes + peer->key_size, packed, size);
}

static struct pc_cache_peer *peer_new(const struct pc_cache_key *key, size_t size)
{
    size_t bytes = (sizeof(struct pc_cache_peer) + key->size + size + ROUND_TO_BYTES - 1) / ROUND_TO_BYTES *
                   ROUND_TO_BYTES;
    struct pc_cache_peer *peer = malloc(bytes);
    if (!peer)
        return NULL;
    peer->key_size = key->size;
    peer->packed_capacity = (uint16_t)(bytes - sizeof(struct pc_cache_peer) - key->size);
    memcpy(peer->bytes, key->bytes, key->size);
    return peer;
}

int pc_cache_peer_put(struct pc_cache_set *set, struct pc_cache_peer *known, struct pc_record *record,
                      int64_t now_ms)
{
    uint8_t packed[PEERCACHE_ADDRS_PER_PEER * PC_CACHE_PACKED_ADDR_MAX_BYTES];
    struct pc_writer w;
    struct pc_cache_key key;
    struct pc_cache_peer *peer;
    struct pc_cache_table *table = &set->tables[record->state];
    int result;

    if (pc_cache_record_empty(record)) {
        if (known)
            pc_cache_peer_drop(set, known);
        return 0;
    }
    record->bucket = pc_cache_bucket_of_record(set->options.secret, set->options.mode, record);
    pc_base_writer_init(&w, packed, sizeof(packed));
    for (size_t i = 0; i < record->addr_count; i++)
        pc_cache_pack_addr(&w, &record->addrs[i]);
    size_t size = pc_base_writer_size(&w);
    if (known && known->state == record->state && size <= known->packed_capacity) {
        fill(known, record, packed, size);
        return 0;
    }
    if (!known) {
        result = make_room(set, record, now_ms);
        if (result)
            return result;
    }
    result = table_reserve(table);
    if (result)
        return result;
    pc_cache_key_of(&record->id, pc_addr_maddr_bytes(&record->addrs[0].addr), &key);
    peer = peer_new(&key, size);
    if (!peer)
        return PEERCACHE_ENOMEM;
    fill(peer, record, packed, size);
    if (known)
        pc_cache_peer_drop(set, known);
    result = pc_base_map_insert(&set->by_key, &peer->node);
    if (result) { /* only of one not known: otherwise the map has the room that just came free */
        free(peer);
        return result;
    }
    table_append(table, peer);
    return 0;
}
