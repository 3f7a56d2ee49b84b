#include "store/json_document.h"

#include "base/time.h"
#include "format/json_value.h"

#include <assert.h>
#include <stdlib.h>

#define PACKED_MAX_BYTES (PEERCACHE_ADDRS_PER_PEER * PC_CACHE_PACKED_ADDR_MAX_BYTES)

/* --- keys of the maps --- */

static struct pc_bytes peer_key(const struct pc_map_node *node)
{
    const struct pc_json_peer *peer = PC_CONST_CONTAINER_OF(node, struct pc_json_peer, node);
    return pc_bytes_of(peer->bytes, peer->key_size);
}

static struct pc_bytes tombstone_key(const struct pc_map_node *node)
{
    const struct pc_json_tombstone *t = PC_CONST_CONTAINER_OF(node, struct pc_json_tombstone, node);
    return pc_bytes_of(t->bytes, (size_t)t->key_size + t->addr_size + 1);
}

static struct pc_bytes writer_key(const struct pc_map_node *node)
{
    const struct pc_json_writer *writer = PC_CONST_CONTAINER_OF(node, struct pc_json_writer, node);
    return pc_bytes_of(&writer->id, sizeof(writer->id));
}

static struct pc_json_peer *peer_of(struct pc_map_node *node)
{
    return node ? PC_CONTAINER_OF(node, struct pc_json_peer, node) : NULL;
}

/* --- a list of peers --- */

static void link_peer(struct pc_json_peers *peers, struct pc_json_peer *peer, struct pc_json_peer *before)
{
    peer->next = before;
    peer->previous = before ? before->previous : peers->last;
    if (peer->previous)
        peer->previous->next = peer;
    else
        peers->first = peer;
    if (before)
        before->previous = peer;
    else
        peers->last = peer;
    peers->edits++;
}

static void drop_peer(struct pc_json_peers *peers, struct pc_json_peer *peer)
{
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        peers->first = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    else
        peers->last = peer->previous;
    pc_base_map_remove(&peers->by_key, &peer->node);
    peers->edits++;
    free(peer);
}

static void free_peers(struct pc_json_peers *peers)
{
    for (struct pc_json_peer *peer = peers->first, *next; peer; peer = next) {
        next = peer->next;
        free(peer);
    }
    pc_base_map_deinit(&peers->by_key);
}

/* --- the document --- */

int pc_json_document_new(const uint8_t hash_secret[16], struct pc_json_document **ret_document)
{
    struct pc_json_document *document = calloc(1, sizeof(*document));
    if (!document)
        return PEERCACHE_ENOMEM;
    pc_base_map_init(&document->peers.by_key, peer_key, hash_secret);
    pc_base_map_init(&document->gone.by_key, peer_key, hash_secret);
    pc_base_map_init(&document->tombstones, tombstone_key, hash_secret);
    pc_base_map_init(&document->ledger, writer_key, hash_secret);
    document->version = PC_JSON_VERSION;
    *ret_document = document;
    return 0;
}

void pc_json_document_free(struct pc_json_document *document)
{
    if (!document)
        return;
    free_peers(&document->peers);
    free_peers(&document->gone);
    for (struct pc_json_tombstone *t = document->first_tombstone, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    pc_base_map_deinit(&document->tombstones);
    for (struct pc_json_writer *writer = document->first_writer, *next; writer; writer = next) {
        next = writer->next;
        free(writer);
    }
    pc_base_map_deinit(&document->ledger);
    for (struct pc_json_meta *meta = document->meta, *next; meta; meta = next) {
        next = meta->next;
        free(meta);
    }
    free(document->bans);
    free(document);
}

/* --- peers --- */

struct pc_json_peer *pc_json_document_find(const struct pc_json_document *document, struct pc_bytes key)
{
    return peer_of(pc_base_map_find(&document->peers.by_key, key));
}

void pc_json_peer_unpack(const struct pc_json_peer *peer, struct pc_record *ret_record)
{
    struct pc_reader r;
    struct pc_peer_id id;
    pc_cache_key_id(pc_bytes_of(peer->bytes, peer->key_size), &id);
    pc_cache_record_init(ret_record, &id);
    ret_record->state = (peercache_state)peer->state;
    ret_record->bucket = peer->bucket;
    ret_record->addr_count = peer->addr_count;
    pc_base_reader_init(&r, peer->bytes + peer->key_size, peer->packed_size);
    for (size_t i = 0; i < peer->addr_count; i++)
        pc_cache_unpack_addr(&r, &ret_record->addrs[i]);
    assert(!r.error); /* our own packing */
}

static struct pc_json_peer *pack(const struct pc_record *record, const struct pc_cache_key *key,
                                 int64_t change)
{
    uint8_t packed[PACKED_MAX_BYTES];
    struct pc_writer w;
    pc_base_writer_init(&w, packed, sizeof(packed));
    for (size_t i = 0; i < record->addr_count; i++)
        pc_cache_pack_addr(&w, &record->addrs[i]);
    assert(!w.error);
    size_t size = pc_base_writer_size(&w);
    struct pc_json_peer *peer = malloc(sizeof(*peer) + key->size + size);
    if (!peer)
        return NULL;
    *peer = (struct pc_json_peer){ .change = change,
                                   .bucket = record->bucket,
                                   .standing = pc_cache_standing_of(record),
                                   .packed_size = (uint16_t)size,
                                   .state = (uint8_t)record->state,
                                   .addr_count = record->addr_count,
                                   .key_size = key->size };
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_history *history = &record->addrs[i].history;
        peer->success_ms = pc_base_time_max(peer->success_ms, history->last_success_ms);
        peer->seen_ms = pc_base_time_max(peer->seen_ms, history->last_seen_ms);
    }
    memcpy(peer->bytes, key->bytes, key->size);
    memcpy(peer->bytes + key->size, packed, size);
    return peer;
}

static int put(struct pc_json_peers *peers, const struct pc_record *record, const struct pc_cache_key *key,
               int64_t change)
{
    struct pc_json_peer *old = peer_of(pc_base_map_find(&peers->by_key, pc_cache_key_bytes(key)));
    struct pc_json_peer *peer = pack(record, key, change);
    struct pc_json_peer *before = old ? old->next : NULL;
    if (!peer)
        return PEERCACHE_ENOMEM;
    if (old)
        drop_peer(peers, old);
    if (pc_base_map_insert(&peers->by_key, &peer->node)) {
        free(peer);
        return PEERCACHE_ENOMEM;
    }
    link_peer(peers, peer, before);
    return 0;
}

int pc_json_document_add(struct pc_json_document *document, const struct pc_peer_id *id,
                         const struct pc_record_addr *addr, const struct pc_json_write *write)
{
    struct pc_cache_key key;
    struct pc_record record;
    struct pc_delta delta;
    pc_cache_key_of(id, pc_addr_maddr_bytes(&addr->addr), &key);
    const struct pc_json_peer *known = pc_json_document_find(document, pc_cache_key_bytes(&key));
    if (known)
        pc_json_peer_unpack(known, &record);
    else
        pc_cache_record_init(&record, id);
    pc_cache_delta_init(&delta, id, pc_addr_maddr_bytes(&addr->addr));
    delta.history = addr->history;
    delta.source = addr->source;
    delta.source_group = addr->source_group;
    delta.first_seen_ms = addr->first_seen_ms;
    (void)pc_cache_record_apply(&record, &delta, write->now_ms);
    return put(&document->peers, &record, &key, write->change);
}

/* --- removal --- */

/* Keys and addresses are cut apart by their sizes; that of the address stands behind both. */
static size_t join_key(struct pc_bytes key, struct pc_bytes addr, uint8_t *ret_bytes)
{
    memcpy(ret_bytes, key.data, key.size);
    if (addr.size)
        memcpy(ret_bytes + key.size, addr.data, addr.size);
    ret_bytes[key.size + addr.size] = (uint8_t)addr.size;
    return key.size + addr.size + 1;
}

static struct pc_json_tombstone *find_tombstone(const struct pc_json_document *document, struct pc_bytes key,
                                                struct pc_bytes addr)
{
    uint8_t joined[PC_CACHE_KEY_MAX_BYTES + PC_MADDR_MAX_BYTES + 1];
    struct pc_map_node *node =
        pc_base_map_find(&document->tombstones, pc_bytes_of(joined, join_key(key, addr, joined)));
    return node ? PC_CONTAINER_OF(node, struct pc_json_tombstone, node) : NULL;
}

int pc_json_document_bury(struct pc_json_document *document, struct pc_bytes key, struct pc_bytes addr,
                          int64_t removed_ms)
{
    struct pc_json_tombstone *tombstone = find_tombstone(document, key, addr);
    if (tombstone) {
        tombstone->removed_ms = pc_base_time_max(tombstone->removed_ms, removed_ms);
        return 0;
    }
    tombstone = malloc(sizeof(*tombstone) + key.size + addr.size + 1);
    if (!tombstone)
        return PEERCACHE_ENOMEM;
    *tombstone = (struct pc_json_tombstone){ .removed_ms = removed_ms,
                                             .key_size = (uint16_t)key.size,
                                             .addr_size = (uint16_t)addr.size };
    (void)join_key(key, addr, tombstone->bytes);
    if (pc_base_map_insert(&document->tombstones, &tombstone->node)) {
        free(tombstone);
        return PEERCACHE_ENOMEM;
    }
    tombstone->previous = document->last_tombstone;
    if (tombstone->previous)
        tombstone->previous->next = tombstone;
    else
        document->first_tombstone = tombstone;
    document->last_tombstone = tombstone;
    return 0;
}

static void drop_tombstone(struct pc_json_document *document, struct pc_json_tombstone *tombstone)
{
    if (tombstone->previous)
        tombstone->previous->next = tombstone->next;
    else
        document->first_tombstone = tombstone->next;
    if (tombstone->next)
        tombstone->next->previous = tombstone->previous;
    else
        document->last_tombstone = tombstone->previous;
    pc_base_map_remove(&document->tombstones, &tombstone->node);
    free(tombstone);
}

void pc_json_document_expire_tombstones(struct pc_json_document *document, int64_t oldest_kept_ms)
{
    for (struct pc_json_tombstone *t = document->first_tombstone, *next; t; t = next) {
        next = t->next;
        if (t->removed_ms < oldest_kept_ms)
            drop_tombstone(document, t);
    }
}

static int newest_first(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left < right) - (left > right);
}

int pc_json_document_trim_tombstones(struct pc_json_document *document)
{
    size_t count = document->tombstones.count, at = 0;
    if (count <= PC_JSON_TOMBSTONES_MAX)
        return 0;
    int64_t *times = malloc(count * sizeof(*times));
    if (!times)
        return PEERCACHE_ENOMEM;
    for (const struct pc_json_tombstone *t = document->first_tombstone; t; t = t->next)
        times[at++] = t->removed_ms;
    qsort(times, count, sizeof(*times), newest_first);
    int64_t oldest_kept_ms = times[PC_JSON_TOMBSTONES_MAX - 1];
    size_t excess = count - PC_JSON_TOMBSTONES_MAX;
    free(times);
    /* Those older than the last kept, then as many of its own moment as are too many: the first entered. */
    for (int pass = 0; pass < 2 && excess; pass++) {
        for (struct pc_json_tombstone *t = document->first_tombstone, *next; t && excess; t = next) {
            next = t->next;
            if (pass == 0 ? t->removed_ms < oldest_kept_ms : t->removed_ms == oldest_kept_ms) {
                drop_tombstone(document, t);
                excess--;
            }
        }
    }
    return 0;
}

static int64_t date_of(struct pc_json_tombstone *tombstone, int64_t now_ms)
{
    if (!tombstone)
        return 0;
    tombstone->removed_ms = pc_cache_removal_date(tombstone->removed_ms, now_ms);
    return tombstone->removed_ms;
}

/* The latest removal of this address or of its whole peer; 0 when none. */
static int64_t removed_at(const struct pc_json_document *document, struct pc_bytes key, struct pc_bytes addr,
                          int64_t now_ms)
{
    struct pc_json_tombstone *whole = find_tombstone(document, key, pc_bytes_of(NULL, 0));
    struct pc_json_tombstone *one = addr.size ? find_tombstone(document, key, addr) : NULL;
    return pc_base_time_max(date_of(whole, now_ms), date_of(one, now_ms));
}

/* Out of the peers, into those whose removal is to be told. */
static int remove_peer(struct pc_json_document *document, struct pc_json_peer *peer, int64_t change)
{
    struct pc_cache_key key = { .size = peer->key_size };
    struct pc_record empty;
    struct pc_peer_id id;
    memcpy(key.bytes, peer->bytes, peer->key_size);
    drop_peer(&document->peers, peer);
    pc_cache_key_id(pc_cache_key_bytes(&key), &id);
    if (id.size == 0) /* known by its address only: nobody is told */
        return 0;
    pc_cache_record_init(&empty, &id);
    if (document->gone.by_key.count >= PC_JSON_TOMBSTONES_MAX)
        drop_peer(&document->gone, document->gone.first);
    return put(&document->gone, &empty, &key, change);
}

void pc_json_document_told(struct pc_json_document *document, int64_t change)
{
    for (struct pc_json_peer *peer = document->gone.first, *next; peer; peer = next) {
        next = peer->next;
        if (peer->change <= change)
            drop_peer(&document->gone, peer);
    }
}

/* --- deltas --- */

/* An address known without id is this peer's: what is known of it moves there. */
static int adopt(struct pc_json_document *document, const struct pc_delta *delta,
                 const struct pc_json_write *write)
{
    static const struct pc_peer_id nobody;
    struct pc_cache_key key;
    struct pc_delta moved = *delta;
    moved.id = delta->proven_id;
    moved.proven_id.size = 0;
    pc_cache_key_of(&nobody, pc_addr_maddr_bytes(&delta->addr), &key);
    struct pc_json_peer *bare = pc_json_document_find(document, pc_cache_key_bytes(&key));
    int result = 0;
    if (bare) {
        struct pc_record record;
        struct pc_delta known;
        pc_json_peer_unpack(bare, &record);
        pc_cache_delta_init(&known, &moved.id, pc_addr_maddr_bytes(&delta->addr));
        known.history = record.addrs[0].history;
        known.source = record.addrs[0].source;
        known.source_group = record.addrs[0].source_group;
        known.first_seen_ms = record.addrs[0].first_seen_ms;
        pc_cache_delta_merge(&moved, &known);
        result = remove_peer(document, bare, write->change);
    }
    /* Nor does it come back from the memory of another process. */
    if (result == 0)
        result = pc_json_document_bury(document, pc_cache_key_bytes(&key), pc_bytes_of(NULL, 0),
                                       moved.history.last_seen_ms);
    return result ? result : pc_json_document_apply(document, &moved, write);
}

/* The caps of a record. */
static void cap_addrs(struct pc_record *record, const struct pc_json_write *write)
{
    uint8_t packed[PACKED_MAX_BYTES];
    if (write->addrs_max || write->record_max_bytes)
        (void)pc_cache_pack_record(record, write->addrs_max, write->record_max_bytes, packed, sizeof(packed));
}

int pc_json_document_apply(struct pc_json_document *document, const struct pc_delta *delta,
                           const struct pc_json_write *write)
{
    struct pc_cache_key key;
    struct pc_record record;
    struct pc_bytes addr = pc_addr_maddr_bytes(&delta->addr);
    if (delta->proven_id.size)
        return adopt(document, delta, write);
    pc_cache_key_of(&delta->id, addr, &key);
    if (delta->removed_ms) {
        /* One without id is its address: its tombstone is the whole of it. */
        int result = pc_json_document_bury(document, pc_cache_key_bytes(&key),
                                           delta->id.size ? addr : pc_bytes_of(NULL, 0),
                                           pc_base_time_min(delta->removed_ms, write->now_ms));
        if (result)
            return result;
    }
    const int64_t removed_ms = removed_at(document, pc_cache_key_bytes(&key), addr, write->now_ms);
    struct pc_json_peer *known = pc_json_document_find(document, pc_cache_key_bytes(&key));
    if (known)
        pc_json_peer_unpack(known, &record);
    else
        pc_cache_record_init(&record, &delta->id);
    const bool was_there = known != NULL;
    const bool was_tried = was_there && record.state == PEERCACHE_TRIED;
    const bool was_known = addr.size && pc_cache_record_find(&record, addr);
    bool changed = pc_cache_record_apply_after(&record, delta, removed_ms, write->now_ms);
    bool is_in = addr.size && pc_cache_record_find(&record, addr);
    write->tally->merged += was_known && is_in;
    write->tally->refused += addr.size && !delta->removed_ms && !is_in;
    if (!changed && !(delta->trusted && was_there))
        return 0;
    if (pc_cache_record_empty(&record))
        return was_there ? remove_peer(document, known, write->change) : 0;
    bool is_verified = pc_cache_record_is_verified(&record);
    record.state = !is_verified                   ? PEERCACHE_NEW
                   : delta->trusted && !was_tried ? delta->state
                                                  : PEERCACHE_TRIED;
    cap_addrs(&record, write);
    record.bucket =
        pc_cache_bucket_of_record(write->quota, document->secret, document->mode, &record, record.state);
    /* What the batch did to it before this delta counts with it. */
    bool again = was_there && known->change == write->change;
    bool is_added = is_in && !was_known;
    struct pc_json_peer marks = { .added = (uint8_t)((again ? known->added : 0) + is_added),
                                  .is_newcomer = again ? known->is_newcomer : !was_there,
                                  .is_promoted = record.state == PEERCACHE_TRIED &&
                                                 (again && was_tried ? known->is_promoted : !was_tried),
                                  .is_trusted = delta->trusted || (again && known->is_trusted) };
    marks.has_moved = marks.is_newcomer || (again && known->has_moved) ||
                      (was_there && !marks.is_promoted &&
                       (known->state != (uint8_t)record.state || known->bucket != record.bucket));
    int result = put(&document->peers, &record, &key, write->change);
    if (result)
        return result;
    struct pc_json_peer *peer = pc_json_document_find(document, pc_cache_key_bytes(&key));
    peer->added = marks.added;
    peer->is_newcomer = marks.is_newcomer;
    peer->has_moved = marks.has_moved;
    peer->is_promoted = marks.is_promoted;
    peer->is_trusted = marks.is_trusted;
    write->tally->added += is_added;
    return 0;
}

/* --- quotas --- */

static bool is_of(const struct pc_json_peer *peer, const struct pc_json_write *write)
{
    return peer->change == write->change;
}

/* The best first; among equals who was there before. */
static int by_standing(const void *a, const void *b)
{
    const struct pc_json_peer *left = *(struct pc_json_peer *const *)a;
    const struct pc_json_peer *right = *(struct pc_json_peer *const *)b;
    int order = pc_cache_standing_compare(right->standing, left->standing);
    return order ? order : (left->change > right->change) - (left->change < right->change);
}

/* Out, with what was counted of it. */
static int evict(struct pc_json_document *document, struct pc_json_peer *peer,
                 const struct pc_json_write *write)
{
    if (is_of(peer, write)) {
        write->tally->added -= peer->added;
        write->tally->refused += peer->added;
    }
    return remove_peer(document, peer, write->change);
}

/* Those of a state, the best first; NULL when there are none, or memory is out. */
static struct pc_json_peer **sorted_of(const struct pc_json_document *document, peercache_state state,
                                       size_t *ret_count)
{
    size_t count = 0;
    struct pc_json_peer **sorted = malloc((document->peers.by_key.count + 1) * sizeof(struct pc_json_peer *));
    if (!sorted)
        return NULL;
    for (struct pc_json_peer *peer = document->peers.first; peer; peer = peer->next)
        if (peer->state == state)
            sorted[count++] = peer;
    qsort(sorted, count, sizeof(struct pc_json_peer *), by_standing);
    *ret_count = count;
    return sorted;
}

static void demote(struct pc_json_document *document, struct pc_json_peer *peer,
                   const struct pc_json_write *write)
{
    struct pc_record record;
    pc_json_peer_unpack(peer, &record);
    record.state = PEERCACHE_NEW;
    peer->state = PEERCACHE_NEW;
    peer->is_promoted = false;
    peer->bucket =
        pc_cache_bucket_of_record(write->quota, document->secret, document->mode, &record, record.state);
    peer->standing = pc_cache_standing_of(&record);
}

/* Who became tried in this batch stays so while there are places: of their bucket, and of all. */
static int limit_tried(struct pc_json_document *document, const struct pc_json_write *write)
{
    const struct pc_cache_quota *quota = write->quota;
    size_t count = 0, tried = 0;
    int result = 0;
    struct pc_json_peer **sorted = sorted_of(document, PEERCACHE_TRIED, &count);
    uint32_t *in_bucket = calloc((size_t)1 << quota->bits[PEERCACHE_TRIED], sizeof(*in_bucket));
    if (!sorted || !in_bucket)
        result = PEERCACHE_ENOMEM;
    for (int pass = 0; pass < 2 && result == 0; pass++) { /* those that have their place, then the others */
        for (size_t i = 0; i < count; i++) {
            struct pc_json_peer *peer = sorted[i];
            bool asks = is_of(peer, write) && peer->is_promoted && !peer->is_trusted;
            if (peer->state != PEERCACHE_TRIED || asks != (pass == 1))
                continue;
            uint32_t bucket = pc_cache_quota_bucket(quota, PEERCACHE_TRIED, peer->bucket);
            if (asks &&
                (tried >= quota->tried_max || in_bucket[bucket] >= quota->capacity[PEERCACHE_TRIED])) {
                demote(document, peer, write);
            } else {
                tried++;
                in_bucket[bucket]++;
            }
        }
    }
    free(in_bucket);
    free(sorted);
    return result;
}

/* Newcomers to a full bucket of the new: as many as came go, the least first. */
static int limit_new(struct pc_json_document *document, const struct pc_json_write *write)
{
    const struct pc_cache_quota *quota = write->quota;
    size_t count = 0;
    int result = 0;
    struct counts {
        uint32_t all, came;
    } *buckets = calloc((size_t)1 << quota->bits[PEERCACHE_NEW], sizeof(*buckets));
    struct pc_json_peer **sorted = sorted_of(document, PEERCACHE_NEW, &count);
    if (!sorted || !buckets) {
        result = PEERCACHE_ENOMEM;
        count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        struct counts *in = &buckets[pc_cache_quota_bucket(quota, PEERCACHE_NEW, sorted[i]->bucket)];
        in->all++;
        in->came += is_of(sorted[i], write) && sorted[i]->has_moved && !sorted[i]->is_trusted;
    }
    for (size_t i = count; i-- > 0 && result == 0;) {
        struct counts *in = &buckets[pc_cache_quota_bucket(quota, PEERCACHE_NEW, sorted[i]->bucket)];
        if (in->all <= quota->capacity[PEERCACHE_NEW] || in->came == 0 ||
            (is_of(sorted[i], write) && sorted[i]->is_trusted))
            continue;
        in->all--;
        in->came--;
        result = evict(document, sorted[i], write);
    }
    free(buckets);
    free(sorted);
    return result;
}

/* Over the room of all as many go as came, the least first: of the new any, of the tried newcomers only. */
static int limit_all(struct pc_json_document *document, const struct pc_json_write *write)
{
    static const peercache_state order[] = { PEERCACHE_NEW, PEERCACHE_TRIED };
    const size_t room = write->quota->peers_max;
    size_t newcomers = 0;
    int result = 0;
    if (document->peers.by_key.count <= room)
        return 0;
    for (const struct pc_json_peer *peer = document->peers.first; peer; peer = peer->next)
        newcomers += is_of(peer, write) && peer->is_newcomer;
    for (size_t turn = 0; turn < sizeof(order) / sizeof(order[0]) && result == 0; turn++) {
        size_t count = 0;
        struct pc_json_peer **sorted = sorted_of(document, order[turn], &count);
        if (!sorted)
            return PEERCACHE_ENOMEM;
        for (size_t i = count; i-- > 0 && newcomers && document->peers.by_key.count > room && result == 0;) {
            if (order[turn] == PEERCACHE_TRIED && !(is_of(sorted[i], write) && sorted[i]->is_newcomer))
                continue;
            newcomers--;
            result = evict(document, sorted[i], write);
        }
        free(sorted);
    }
    return result;
}

int pc_json_document_limit(struct pc_json_document *document, const struct pc_json_write *write)
{
    int result = limit_tried(document, write);
    if (result == 0)
        result = limit_new(document, write);
    return result ? result : limit_all(document, write);
}

/* --- what others changed --- */

static bool same_peer(const struct pc_json_peer *a, const struct pc_json_peer *b)
{
    return a->state == b->state && a->bucket == b->bucket && a->addr_count == b->addr_count &&
           pc_bytes_equal(pc_bytes_of(a->bytes + a->key_size, a->packed_size),
                          pc_bytes_of(b->bytes + b->key_size, b->packed_size));
}

static int mark_gone(struct pc_json_document *fresh, struct pc_bytes key_bytes, int64_t change)
{
    struct pc_cache_key key = { .size = (uint8_t)key_bytes.size };
    struct pc_record empty;
    struct pc_peer_id id;
    memcpy(key.bytes, key_bytes.data, key_bytes.size);
    pc_cache_key_id(key_bytes, &id);
    if (id.size == 0 || fresh->gone.by_key.count >= PC_JSON_TOMBSTONES_MAX)
        return 0;
    pc_cache_record_init(&empty, &id);
    return put(&fresh->gone, &empty, &key, change);
}

int pc_json_document_compare(struct pc_json_document *fresh, const struct pc_json_document *known,
                             int64_t change, bool *ret_differs)
{
    bool differs = false;
    for (struct pc_json_peer *peer = fresh->peers.first; peer; peer = peer->next) {
        const struct pc_json_peer *before =
            pc_json_document_find(known, pc_bytes_of(peer->bytes, peer->key_size));
        bool is_same = before && same_peer(peer, before);
        peer->change = is_same ? before->change : change;
        differs |= !is_same;
    }
    for (const struct pc_json_tombstone *t = fresh->first_tombstone; t; t = t->next) {
        struct pc_bytes key = pc_json_tombstone_key(t);
        if (pc_json_document_find(fresh, key) || !pc_json_document_find(known, key))
            continue;
        int result = mark_gone(fresh, key, change);
        if (result)
            return result;
        differs = true;
    }
    for (const struct pc_json_peer *peer = known->gone.first; peer; peer = peer->next) {
        struct pc_bytes key = pc_bytes_of(peer->bytes, peer->key_size);
        int result = pc_json_document_find(fresh, key) ? 0 : mark_gone(fresh, key, peer->change);
        if (result)
            return result;
    }
    *ret_differs = differs;
    return 0;
}
