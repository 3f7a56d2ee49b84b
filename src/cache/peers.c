/*
 * The peers of the working set as they are kept: packed, found by key, and in the buckets of their state. Who
 * gives way to whom is decided here.
 *
 *     a newcomer, new    its bucket full: the least there gives way if it stands lower, else no room
 *                        the cache full: the least of the fullest of four buckets drawn, if it stands no
 * higher a newcomer, tried  its bucket full, or the tried have all their room: it stays new, and the one it
 * would displace is to be tested first (contest.c)
 *
 * Of a bucket 128 peers are looked at: more are there only after a trusted import, which quotas don't bind.
 */
#include "cache/peers.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_IN_BUCKET 2
#define ROUND_TO_BYTES  16 /* room is given in the steps of malloc, */
#define MALLOC_BYTES    8  /* which keeps a word of its own beside it */
#define BUCKETS_DRAWN   4
#define FIRST_COLLECTED 16
#define LOOKS_MAX       128

static struct pc_cache_peer *of_node(struct pc_map_node *node)
{
    return node ? PC_CONTAINER_OF(node, struct pc_cache_peer, node) : NULL;
}

struct pc_bytes pc_cache_peer_key_of_node(const struct pc_map_node *node)
{
    return pc_cache_peer_key(PC_CONST_CONTAINER_OF(node, struct pc_cache_peer, node));
}

struct pc_cache_peer *pc_cache_peer_find(const struct pc_cache_set *set, struct pc_bytes key)
{
    return of_node(pc_base_map_find(&set->by_key, key));
}

struct pc_cache_peer *pc_cache_peer_find_hashed(const struct pc_cache_set *set, struct pc_bytes key,
                                                uint64_t hash)
{
    return of_node(pc_base_map_find_hashed(&set->by_key, key, hash));
}

void pc_cache_peer_unpack(const struct pc_cache_peer *peer, struct pc_record *ret_record)
{
    struct pc_reader r;
    struct pc_bytes packed = pc_cache_peer_packed(peer);
    pc_cache_key_id(pc_cache_peer_key(peer), &ret_record->id);
    ret_record->state = (peercache_state)peer->state;
    ret_record->bucket = peer->bucket;
    ret_record->addr_count = peer->addr_count;
    pc_base_reader_init(&r, packed.data, packed.size);
    for (size_t i = 0; i < peer->addr_count; i++) {
        bool valid = pc_cache_unpack_addr(&r, &ret_record->addrs[i]);
        assert(valid);
        (void)valid;
    }
}

static struct pc_cache_table *table_of(struct pc_cache_set *set, peercache_state state)
{
    return &set->tables[state];
}

static struct pc_cache_bucket *bucket_of(struct pc_cache_set *set, peercache_state state, uint32_t bucket)
{
    return &set->tables[state].buckets[pc_cache_quota_bucket(&set->quota, state, bucket)];
}

/* Room in the bucket for one more. */
static int reserve(struct pc_cache_bucket *bucket)
{
    if (bucket->count < bucket->capacity)
        return 0;
    size_t capacity = bucket->capacity ? (size_t)bucket->capacity * 2 : FIRST_IN_BUCKET;
    if (capacity > UINT16_MAX) {
        if (bucket->capacity == UINT16_MAX)
            return PEERCACHE_ELIMIT;
        capacity = UINT16_MAX;
    }
    struct pc_cache_peer **peers = realloc(bucket->peers, capacity * sizeof(struct pc_cache_peer *));
    if (!peers)
        return PEERCACHE_ENOMEM;
    bucket->peers = peers;
    bucket->capacity = (uint16_t)capacity;
    return 0;
}

/* Nobody is in it and nobody came: an empty bucket has no room. */
static void give_back(struct pc_cache_bucket *bucket)
{
    if (bucket->count > 0)
        return;
    free(bucket->peers);
    bucket->peers = NULL;
    bucket->capacity = 0;
}

/* Room for it was reserved. */
static void attach(struct pc_cache_set *set, struct pc_cache_peer *peer)
{
    struct pc_cache_table *table = table_of(set, (peercache_state)peer->state);
    struct pc_cache_bucket *bucket = bucket_of(set, (peercache_state)peer->state, peer->bucket);
    if (bucket->count == 0) {
        bucket->occupied = (uint32_t)table->occupied_count;
        table->occupied[table->occupied_count++] = (uint32_t)(bucket - table->buckets);
    }
    peer->place = bucket->count;
    bucket->peers[bucket->count++] = peer;
    table->count++;
}

static void detach(struct pc_cache_set *set, struct pc_cache_peer *peer)
{
    struct pc_cache_table *table = table_of(set, (peercache_state)peer->state);
    struct pc_cache_bucket *bucket = bucket_of(set, (peercache_state)peer->state, peer->bucket);
    struct pc_cache_peer *last = bucket->peers[--bucket->count];
    bucket->peers[peer->place] = last;
    last->place = peer->place;
    table->count--;
    if (bucket->count > 0)
        return;
    uint32_t moved = table->occupied[--table->occupied_count];
    table->occupied[bucket->occupied] = moved;
    table->buckets[moved].occupied = bucket->occupied;
    give_back(bucket);
}

void pc_cache_peer_drop(struct pc_cache_set *set, struct pc_cache_peer *peer)
{
    pc_base_map_remove(&set->by_key, &peer->node);
    pc_cache_pending_take_back(&set->waiting, peer->waiting);
    detach(set, peer);
    set->losses++;
    free(peer);
}

static void key_of_peer(const struct pc_cache_peer *peer, struct pc_cache_key *ret_key)
{
    ret_key->size = peer->key_size;
    memcpy(ret_key->bytes, peer->bytes, peer->key_size);
}

const struct pc_cache_peer *pc_cache_peer_next(const struct pc_cache_set *set,
                                               const struct pc_cache_peer *peer)
{
    size_t state = 0, at = 0;
    if (peer) {
        state = peer->state;
        const struct pc_cache_table *table = &set->tables[state];
        const struct pc_cache_bucket *bucket =
            &table->buckets[pc_cache_quota_bucket(&set->quota, (peercache_state)state, peer->bucket)];
        if (peer->place + 1 < bucket->count)
            return bucket->peers[peer->place + 1];
        at = (size_t)bucket->occupied + 1;
    }
    for (; state < PEERCACHE_STATE_COUNT; state++, at = 0)
        if (at < set->tables[state].occupied_count)
            return set->tables[state].buckets[set->tables[state].occupied[at]].peers[0];
    return NULL;
}

int pc_cache_peers_collect(const struct pc_cache_set *set,
                           bool (*wanted)(const void *context, struct pc_record *record), const void *context,
                           struct pc_cache_key **ret_keys, size_t *ret_count)
{
    struct pc_cache_key *keys = NULL;
    size_t count = 0, capacity = 0;
    for (const struct pc_map_node *n = pc_base_map_next(&set->by_key, NULL); n;
         n = pc_base_map_next(&set->by_key, n)) {
        const struct pc_cache_peer *peer = PC_CONST_CONTAINER_OF(n, struct pc_cache_peer, node);
        struct pc_record record;
        pc_cache_peer_unpack(peer, &record);
        if (!wanted(context, &record))
            continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : FIRST_COLLECTED;
            struct pc_cache_key *grown = realloc(keys, capacity * sizeof(*keys));
            if (!grown) {
                free(keys);
                return PEERCACHE_ENOMEM;
            }
            keys = grown;
        }
        key_of_peer(peer, &keys[count++]);
    }
    *ret_keys = keys;
    *ret_count = count;
    return 0;
}

/* The one of a bucket that stands lowest; NULL of an empty one. */
static struct pc_cache_peer *least_of(struct pc_cache_set *set, const struct pc_cache_bucket *bucket,
                                      const struct pc_cache_peer *but)
{
    struct pc_cache_peer *least = NULL;
    size_t looks = bucket->count < LOOKS_MAX ? bucket->count : LOOKS_MAX;
    size_t at = looks < bucket->count ? pc_base_rng_below(&set->lots, bucket->count) : 0;
    for (; looks > 0; looks--, at = at + 1 == bucket->count ? 0 : at + 1) {
        struct pc_cache_peer *peer = bucket->peers[at];
        if (peer != but && (!least || pc_cache_standing_compare(pc_cache_peer_standing(peer),
                                                                pc_cache_peer_standing(least)) < 0))
            least = peer;
    }
    return least;
}

/* The fullest of a few buckets drawn; NULL when the table is empty. */
static const struct pc_cache_bucket *draw_fullest(struct pc_cache_set *set,
                                                  const struct pc_cache_table *table)
{
    const struct pc_cache_bucket *fullest = NULL;
    for (size_t i = 0; i < BUCKETS_DRAWN && table->occupied_count; i++) {
        const struct pc_cache_bucket *bucket =
            &table->buckets[table->occupied[pc_base_rng_below(&set->lots, table->occupied_count)]];
        if (!fullest || bucket->count > fullest->count)
            fullest = bucket;
    }
    return fullest;
}

static bool tried_have_room(struct pc_cache_set *set, uint32_t bucket)
{
    return set->tables[PEERCACHE_TRIED].count < set->quota.tried_max &&
           bucket_of(set, PEERCACHE_TRIED, bucket)->count < set->quota.capacity[PEERCACHE_TRIED];
}

/* Room in the whole for one more, from among the new. */
static int make_room(struct pc_cache_set *set, peercache_state state, struct pc_cache_standing standing)
{
    if (set->by_key.count < set->quota.peers_max)
        return 0;
    const struct pc_cache_bucket *fullest = draw_fullest(set, &set->tables[PEERCACHE_NEW]);
    struct pc_cache_peer *least = fullest ? least_of(set, fullest, NULL) : NULL;
    if (!least)
        return PEERCACHE_ELIMIT;
    if (state == PEERCACHE_NEW && pc_cache_standing_compare(pc_cache_peer_standing(least), standing) > 0)
        return PEERCACHE_ELIMIT;
    pc_cache_peer_drop(set, least);
    return 0;
}

/* Room in a bucket of the new, for one that is not in it. */
static int make_room_in_bucket(struct pc_cache_set *set, uint32_t bucket, const struct pc_cache_peer *but,
                               struct pc_cache_standing standing)
{
    const struct pc_cache_bucket *b = bucket_of(set, PEERCACHE_NEW, bucket);
    if (b->count < set->quota.capacity[PEERCACHE_NEW])
        return 0;
    struct pc_cache_peer *least = least_of(set, b, but);
    if (!least || pc_cache_standing_compare(pc_cache_peer_standing(least), standing) >= 0)
        return PEERCACHE_ELIMIT;
    pc_cache_peer_drop(set, least);
    return 0;
}

/* ---- Contests ---- */

static void contest_remove(struct pc_cache_set *set, size_t at)
{
    set->contest_count--;
    memmove(&set->contests[at], &set->contests[at + 1], (set->contest_count - at) * sizeof(set->contests[0]));
}

/* A newcomer waits for the place of the least of its bucket (or of another one, when it is the tried as a
 * whole that have no room). Each incumbent has one who waits, and the oldest contest gives way. */
static void contest(struct pc_cache_set *set, const struct pc_record *record, uint32_t bucket)
{
    struct pc_cache_contest *entry;
    struct pc_cache_key newcomer;
    const struct pc_cache_bucket *b = bucket_of(set, PEERCACHE_TRIED, bucket);
    if (b->count < set->quota.capacity[PEERCACHE_TRIED])
        b = draw_fullest(set, &set->tables[PEERCACHE_TRIED]);
    const struct pc_cache_peer *incumbent = b ? least_of(set, b, NULL) : NULL;
    if (!incumbent)
        return;
    pc_cache_key_of(&record->id, pc_addr_maddr_bytes(&record->addrs[0].addr), &newcomer);
    for (size_t i = 0; i < set->contest_count; i++) {
        entry = &set->contests[i];
        if (pc_bytes_equal(pc_cache_key_bytes(&entry->newcomer), pc_cache_key_bytes(&newcomer)) ||
            pc_bytes_equal(pc_cache_key_bytes(&entry->incumbent), pc_cache_peer_key(incumbent)))
            return;
    }
    if (set->contest_count == PC_CACHE_CONTESTS_MAX)
        contest_remove(set, 0);
    entry = &set->contests[set->contest_count++];
    entry->newcomer = newcomer;
    key_of_peer(incumbent, &entry->incumbent);
    entry->since_ms = set->now_ms;
}

/* ---- Keep ---- */

static void fill(struct pc_cache_peer *peer, const struct pc_record *record,
                 struct pc_cache_standing standing, const uint8_t *packed, size_t size)
{
    peer->bucket = record->bucket;
    peer->state = (uint8_t)record->state;
    peer->class = standing.class;
    peer->day = standing.day;
    peer->addr_count = record->addr_count;
    peer->packed_size = (uint16_t)size;
    memcpy(peer->bytes + peer->key_size, packed, size);
}

static struct pc_cache_peer *peer_new(struct pc_bytes key, size_t size)
{
    size_t wanted = sizeof(struct pc_cache_peer) + key.size + size + MALLOC_BYTES;
    size_t bytes = (wanted + ROUND_TO_BYTES - 1) / ROUND_TO_BYTES * ROUND_TO_BYTES - MALLOC_BYTES;
    struct pc_cache_peer *peer = malloc(bytes);
    if (!peer)
        return NULL;
    peer->key_size = (uint8_t)key.size;
    peer->packed_capacity = (uint16_t)(bytes - sizeof(struct pc_cache_peer) - key.size);
    memcpy(peer->bytes, key.data, key.size);
    return peer;
}

/* Put it where its state and bucket say; there is room. */
static int settle(struct pc_cache_set *set, struct pc_cache_peer **peer, uint64_t hash,
                  struct pc_record *record, struct pc_cache_standing standing)
{
    uint8_t packed[PEERCACHE_ADDRS_PER_PEER * PC_CACHE_PACKED_ADDR_MAX_BYTES];
    struct pc_cache_key key;
    struct pc_cache_peer *known = *peer;
    struct pc_cache_bucket *bucket = bucket_of(set, record->state, record->bucket);
    size_t size = pc_cache_pack_record(record, set->options.addrs_max, set->options.record_max_bytes, packed,
                                       sizeof(packed));
    set->losses += known && record->addr_count < known->addr_count;
    bool stays = known && known->state == record->state &&
                 bucket == bucket_of(set, (peercache_state)known->state, known->bucket);
    if (stays && size <= known->packed_capacity) {
        fill(known, record, standing, packed, size);
        return 0;
    }
    int result = stays ? 0 : reserve(bucket);
    if (result)
        return result;
    if (known && size <= known->packed_capacity) {
        detach(set, known);
        fill(known, record, standing, packed, size);
        attach(set, known);
        return 0;
    }
    pc_cache_key_of(&record->id, pc_addr_maddr_bytes(&record->addrs[0].addr), &key);
    struct pc_cache_peer *fresh = peer_new(pc_cache_key_bytes(&key), size);
    if (!fresh) {
        give_back(bucket);
        return PEERCACHE_ENOMEM;
    }
    fill(fresh, record, standing, packed, size);
    if (known) {
        fresh->waiting = known->waiting;
        pc_base_map_replace(&set->by_key, &known->node, &fresh->node);
    } else {
        result = pc_base_map_insert_hashed(&set->by_key, &fresh->node, hash);
        if (result) {
            free(fresh);
            give_back(bucket);
            return result;
        }
        fresh->waiting = pc_cache_pending_hand_over(&set->waiting, pc_cache_key_bytes(&key), hash);
    }
    if (stays) { /* in the very place of the old one */
        fresh->place = known->place;
        bucket->peers[fresh->place] = fresh;
    } else {
        attach(set, fresh);
        if (known)
            detach(set, known);
    }
    free(known);
    *peer = fresh;
    return 0;
}

int pc_cache_peer_update(struct pc_cache_set *set, struct pc_cache_peer **known, uint64_t hash,
                         struct pc_record *record)
{
    if (record->state != (peercache_state)(*known)->state || record->addr_count != (*known)->addr_count ||
        (record->state == PEERCACHE_NEW && pc_cache_record_is_verified(record)))
        return pc_cache_peer_put(set, known, hash, record, false);
    record->bucket = (*known)->bucket;
    return settle(set, known, hash, record, pc_cache_standing_of(record));
}

static uint32_t bucket_in(const struct pc_cache_set *set, const struct pc_record *record,
                          peercache_state state)
{
    return pc_cache_bucket_of_record(&set->quota, set->options.secret, set->options.mode, record, state);
}

int pc_cache_peer_put(struct pc_cache_set *set, struct pc_cache_peer **peer, uint64_t hash,
                      struct pc_record *record, bool trusted)
{
    int result = 0;
    const struct pc_cache_peer *known = *peer;
    if (pc_cache_record_empty(record)) {
        if (known)
            pc_cache_peer_drop(set, *peer);
        *peer = NULL;
        return 0;
    }
    bool is_verified = pc_cache_record_is_verified(record);
    peercache_state state = PEERCACHE_NEW;
    if (is_verified &&
        (trusted ? record->state == PEERCACHE_TRIED : known && known->state == PEERCACHE_TRIED))
        state = PEERCACHE_TRIED;
    record->bucket = bucket_in(set, record, is_verified ? PEERCACHE_TRIED : PEERCACHE_NEW);
    if (is_verified && state == PEERCACHE_NEW && !trusted) {
        if (tried_have_room(set, record->bucket))
            state = PEERCACHE_TRIED;
        else
            contest(set, record, record->bucket);
    }
    record->state = state;
    if (is_verified && state == PEERCACHE_NEW)
        record->bucket = bucket_in(set, record, PEERCACHE_NEW);
    struct pc_cache_standing standing = pc_cache_standing_of(record);
    bool in_bucket = known && known->state == record->state &&
                     bucket_of(set, state, known->bucket) == bucket_of(set, state, record->bucket);
    if (!in_bucket && !trusted && state == PEERCACHE_NEW)
        result = make_room_in_bucket(set, record->bucket, known, standing);
    if (result == 0 && !known)
        result = make_room(set, state, standing);
    return result ? result : settle(set, peer, hash, record, standing);
}

int pc_cache_peer_tested(struct pc_cache_set *set, struct pc_bytes key, bool succeeded)
{
    struct pc_record record;
    size_t at = 0;
    while (at < set->contest_count && !pc_bytes_equal(pc_cache_key_bytes(&set->contests[at].incumbent), key))
        at++;
    if (at == set->contest_count)
        return 0;
    struct pc_cache_key newcomer_key = set->contests[at].newcomer;
    contest_remove(set, at);
    struct pc_cache_peer *newcomer = pc_cache_peer_find(set, pc_cache_key_bytes(&newcomer_key));
    struct pc_cache_peer *incumbent = pc_cache_peer_find(set, key);
    if (succeeded || !newcomer || !incumbent || newcomer->state == PEERCACHE_TRIED ||
        incumbent->state == PEERCACHE_NEW)
        return 0;
    /* The incumbent goes among the new, with all that is known of it; where those have no room it goes. */
    pc_cache_peer_unpack(incumbent, &record);
    record.state = PEERCACHE_NEW;
    record.bucket = bucket_in(set, &record, PEERCACHE_NEW);
    struct pc_cache_standing standing = pc_cache_standing_of(&record);
    int result = make_room_in_bucket(set, record.bucket, newcomer, standing);
    if (result == PEERCACHE_ELIMIT) {
        pc_cache_peer_drop(set, incumbent);
        result = 0;
    } else if (result == 0) {
        result = settle(set, &incumbent, incumbent->node.hash, &record, standing);
    }
    if (result)
        return result;
    pc_cache_peer_unpack(newcomer, &record);
    return pc_cache_peer_put(set, &newcomer, newcomer->node.hash, &record, false);
}
