#include "disk.h"

#include "base/time.h"
#include "cache/pack.h"

#include <stdlib.h>

#define PACKED_MAX (PEERCACHE_ADDRS_PER_PEER * PC_CACHE_PACKED_ADDR_MAX_BYTES)

static void *need(void *memory)
{
    if (!memory)
        exit(2);
    return memory;
}

/* ----- records, packed ----- */

static struct pc_bytes peer_key(const struct pc_map_node *n)
{
    const struct disk_peer *peer = PC_CONST_CONTAINER_OF(n, struct disk_peer, node);
    return pc_bytes_of(peer->bytes, peer->key_size);
}

static struct pc_bytes tomb_key(const struct pc_map_node *n)
{
    const struct disk_tomb *tomb = PC_CONST_CONTAINER_OF(n, struct disk_tomb, node);
    return pc_bytes_of(tomb->key, tomb->key_size);
}

void disk_init(struct disk *disk)
{
    static const uint8_t secret[16] = { 2 };
    memset(disk, 0, sizeof(*disk));
    pc_base_map_init(&disk->peers, peer_key, secret);
    pc_base_map_init(&disk->tombs, tomb_key, secret);
}

static void clear(struct pc_map *map, size_t node_at)
{
    for (struct pc_map_node *n = pc_base_map_next(map, NULL), *next; n; n = next) {
        next = pc_base_map_next(map, n);
        pc_base_map_remove(map, n);
        free((char *)n - node_at);
    }
}

void disk_empty(struct disk *disk)
{
    clear(&disk->peers, offsetof(struct disk_peer, node));
    clear(&disk->tombs, offsetof(struct disk_tomb, node));
}

void disk_clear(struct disk *disk)
{
    disk_empty(disk);
    if (disk->audit)
        audit_clear(disk->audit);
}

void disk_deinit(struct disk *disk)
{
    disk_clear(disk);
    pc_base_map_deinit(&disk->peers);
    pc_base_map_deinit(&disk->tombs);
    audit_free(disk->audit);
}

static void unpack(const struct disk_peer *peer, struct pc_record *ret_record)
{
    struct pc_peer_id id;
    struct pc_reader r;
    pc_cache_key_id(pc_bytes_of(peer->bytes, peer->key_size), &id);
    pc_cache_record_init(ret_record, &id);
    ret_record->state = peer->state;
    ret_record->addr_count = peer->addr_count;
    pc_base_reader_init(&r, peer->bytes + peer->key_size, peer->size);
    for (size_t i = 0; i < peer->addr_count; i++)
        if (!pc_cache_unpack_addr(&r, &ret_record->addrs[i]))
            abort(); /* what pack wrote is read back, or the room is broken */
}

static struct disk_peer *find(const struct disk *disk, const struct pc_cache_key *key)
{
    struct pc_map_node *found = pc_base_map_find(&disk->peers, pc_cache_key_bytes(key));
    return found ? PC_CONTAINER_OF(found, struct disk_peer, node) : NULL;
}

/* In the place of `old`, or a new one, or (an empty record) none. */
static void keep(struct disk *disk, struct disk_peer *old, const struct pc_cache_key *key,
                 struct pc_record *record)
{
    uint8_t packed[PACKED_MAX];
    if (pc_cache_record_empty(record)) {
        if (old) {
            pc_base_map_remove(&disk->peers, &old->node);
            free(old);
        }
        return;
    }
    size_t size = pc_cache_pack_record(record, 0, 0, packed, sizeof(packed));
    struct disk_peer *peer = need(malloc(sizeof(*peer) + key->size + size));
    peer->commit = disk->commits;
    peer->state = (uint8_t)record->state;
    peer->addr_count = record->addr_count;
    peer->key_size = key->size;
    peer->size = (uint16_t)size;
    memcpy(peer->bytes, key->bytes, key->size);
    memcpy(peer->bytes + key->size, packed, size);
    if (old) {
        pc_base_map_replace(&disk->peers, &old->node, &peer->node);
        free(old);
    } else if (pc_base_map_insert(&disk->peers, &peer->node)) {
        exit(2);
    }
}

void disk_put(struct disk *disk, const struct pc_record *record)
{
    struct pc_cache_key key;
    struct pc_record copy = *record;
    pc_cache_key_of(&record->id, pc_addr_maddr_bytes(&record->addrs[0].addr), &key);
    keep(disk, find(disk, &key), &key, &copy);
}

bool disk_find(const struct disk *disk, const struct pc_peer_id *id, struct pc_record *ret_record)
{
    struct pc_cache_key key;
    pc_cache_key_of(id, pc_bytes_of(NULL, 0), &key);
    const struct disk_peer *peer = find(disk, &key);
    if (peer)
        unpack(peer, ret_record);
    return peer != NULL;
}

bool disk_knows(const struct disk *disk, const struct pc_peer_id *id, const struct pc_maddr *addr)
{
    struct pc_cache_key key;
    pc_cache_key_of(id, pc_addr_maddr_bytes(addr), &key);
    return find(disk, &key) != NULL;
}

/* ----- removals ----- */

static struct disk_tomb *tomb_of(const struct disk *disk, const struct pc_cache_key *key,
                                 struct pc_bytes addr)
{
    uint8_t bytes[PC_CACHE_KEY_MAX_BYTES + PC_MADDR_MAX_BYTES];
    memcpy(bytes, key->bytes, key->size);
    if (addr.size > 0)
        memcpy(bytes + key->size, addr.data, addr.size);
    struct pc_map_node *found = pc_base_map_find(&disk->tombs, pc_bytes_of(bytes, key->size + addr.size));
    return found ? PC_CONTAINER_OF(found, struct disk_tomb, node) : NULL;
}

static void bury(struct disk *disk, const struct pc_cache_key *key, struct pc_bytes addr, int64_t removed_ms)
{
    struct disk_tomb *tomb = tomb_of(disk, key, addr);
    if (!tomb) {
        tomb = need(malloc(sizeof(*tomb) + key->size + addr.size));
        tomb->removed_ms = 0;
        tomb->key_size = (uint16_t)(key->size + addr.size);
        memcpy(tomb->key, key->bytes, key->size);
        if (addr.size > 0)
            memcpy(tomb->key + key->size, addr.data, addr.size);
        if (pc_base_map_insert(&disk->tombs, &tomb->node))
            exit(2);
    }
    if (tomb->removed_ms < removed_ms)
        tomb->removed_ms = removed_ms;
}

static int64_t date_of(struct disk_tomb *tomb, int64_t now_ms)
{
    if (!tomb)
        return 0;
    tomb->removed_ms = pc_cache_removal_date(tomb->removed_ms, now_ms);
    return tomb->removed_ms;
}

static int64_t removed_ms(const struct disk *disk, const struct pc_cache_key *key,
                          const struct pc_delta *delta, int64_t now_ms)
{
    struct disk_tomb *tomb = tomb_of(disk, key, pc_addr_maddr_bytes(&delta->addr));
    struct disk_tomb *whole = tomb_of(disk, key, pc_bytes_of(NULL, 0));
    return pc_base_time_max(date_of(tomb, now_ms), date_of(whole, now_ms));
}

/* ----- commits ----- */

static int64_t seen_of(const struct disk_peer *peer)
{
    struct pc_record record;
    int64_t seen_ms = 0;
    unpack(peer, &record);
    for (size_t i = 0; i < record.addr_count; i++)
        if (record.addrs[i].history.last_seen_ms > seen_ms)
            seen_ms = record.addrs[i].history.last_seen_ms;
    return seen_ms;
}

/* Of the first eight new ones that the walk meets, who was seen longest ago gives way; none that this commit wrote, for the sums
 * count the commit once it is made. */
static void make_room(struct disk *disk)
{
    struct disk_peer *least = NULL;
    int64_t least_ms = INT64_MAX;
    size_t met = 0;
    if (disk->peers.count < DISK_PEERS_MAX)
        return;
    for (struct pc_map_node *n = pc_base_map_next(&disk->peers, NULL); n && met < 8;
         n = pc_base_map_next(&disk->peers, n)) {
        struct disk_peer *peer = PC_CONTAINER_OF(n, struct disk_peer, node);
        if (peer->state != PEERCACHE_NEW || peer->commit == disk->commits)
            continue;
        met++;
        int64_t seen_ms = seen_of(peer);
        if (seen_ms < least_ms) {
            least_ms = seen_ms;
            least = peer;
        }
    }
    if (!least)
        return;
    if (disk->audit) {
        struct pc_record record;
        unpack(least, &record);
        audit_forget(disk->audit, &record);
    }
    pc_base_map_remove(&disk->peers, &least->node);
    free(least);
}

static void apply(struct disk *disk, const struct pc_delta *delta, int64_t now_ms);

/* An address that was known without its id is that peer's: what is known of it moves there. */
static void adopt(struct disk *disk, const struct pc_delta *delta, int64_t now_ms)
{
    struct pc_cache_key key;
    struct pc_record bare;
    struct pc_delta moved = *delta;
    moved.id = delta->proven_id;
    moved.proven_id.size = 0;
    pc_cache_key_of(&delta->id, pc_addr_maddr_bytes(&delta->addr), &key);
    struct disk_peer *peer = find(disk, &key);
    if (peer) {
        struct pc_delta known;
        unpack(peer, &bare);
        pc_cache_delta_init(&known, &moved.id, pc_addr_maddr_bytes(&delta->addr));
        known.history = bare.addrs[0].history;
        known.source = bare.addrs[0].source;
        known.source_group = bare.addrs[0].source_group;
        known.first_seen_ms = bare.addrs[0].first_seen_ms;
        pc_cache_delta_merge(&moved, &known);
        pc_base_map_remove(&disk->peers, &peer->node);
        free(peer);
    }
    bury(disk, &key, pc_bytes_of(NULL, 0), moved.history.last_seen_ms);
    apply(disk, &moved, now_ms);
}

static void apply(struct disk *disk, const struct pc_delta *delta, int64_t now_ms)
{
    struct pc_cache_key key;
    struct pc_record record;
    if (delta->proven_id.size > 0) {
        adopt(disk, delta, now_ms);
        return;
    }
    pc_cache_key_of(&delta->id, pc_addr_maddr_bytes(&delta->addr), &key);
    if (delta->removed_ms)
        bury(disk, &key, pc_addr_maddr_bytes(&delta->addr), delta->removed_ms);
    struct disk_peer *peer = find(disk, &key);
    if (!peer && (delta->only_if_known || delta->addr.size == 0))
        return;
    if (peer)
        unpack(peer, &record);
    else
        pc_cache_record_init(&record, &delta->id);
    if (!pc_cache_record_apply_after(&record, delta, removed_ms(disk, &key, delta, now_ms), now_ms))
        return;
    if (!peer && !pc_cache_record_empty(&record))
        make_room(disk);
    keep(disk, peer, &key, &record);
}

bool disk_commit(struct disk *disk, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                 int64_t now_ms)
{
    if (sequence <= disk->sequence)
        return false;
    disk->sequence = sequence;
    disk->commits++;
    for (size_t i = 0; i < count; i++)
        apply(disk, &deltas[i], now_ms);
    disk->bytes_written += disk_size_of(deltas, count);
    return true;
}

size_t disk_size_of(const struct pc_delta *deltas, size_t count)
{
    uint8_t packed[PC_CACHE_PACKED_ADDR_MAX_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pc_record_addr addr = { .addr = deltas[i].addr,
                                             .history = deltas[i].history,
                                             .source = deltas[i].source,
                                             .source_group = deltas[i].source_group,
                                             .first_seen_ms = deltas[i].first_seen_ms };
        struct pc_writer w;
        pc_base_writer_init(&w, packed, sizeof(packed));
        pc_cache_pack_addr(&w, &addr);
        size += deltas[i].id.size + pc_base_writer_size(&w);
    }
    return size;
}

/* ----- reading ----- */

struct choice {
    const struct disk_peer *peer;
    int64_t rank;
    size_t number;
};

/* The newest success first, then those last seen; equal ones as the walk met them, so that every machine's sort agrees. */
static int by_rank(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? 1 : -1;
    return x->number < y->number ? -1 : 1;
}

size_t disk_load(const struct disk *disk, size_t most,
                 void (*visit)(void *context, const struct pc_record *record), void *context)
{
    struct choice *choices = need(malloc((disk->peers.count + 1) * sizeof(*choices)));
    struct pc_record record;
    size_t count = 0;
    for (struct pc_map_node *n = pc_base_map_next(&disk->peers, NULL); n;
         n = pc_base_map_next(&disk->peers, n)) {
        const struct disk_peer *peer = PC_CONST_CONTAINER_OF(n, struct disk_peer, node);
        int64_t rank = 0;
        unpack(peer, &record);
        for (size_t i = 0; i < record.addr_count; i++) {
            const struct pc_history *h = &record.addrs[i].history;
            int64_t ms = peer->state == PEERCACHE_TRIED ? h->last_success_ms : h->last_seen_ms / 2;
            if (ms > rank)
                rank = ms;
        }
        choices[count] = (struct choice){ peer, rank, count };
        count++;
    }
    qsort(choices, count, sizeof(*choices), by_rank);
    if (count > most)
        count = most;
    for (size_t i = 0; i < count; i++) {
        unpack(choices[i].peer, &record);
        visit(context, &record);
    }
    free(choices);
    return count;
}
