#include "library/run.h"

#include "cache/pack.h"

#include <stdlib.h>

#define CHUNK_BYTES   ((size_t)1024 * 1024)
#define CHUNKS_MAX    (PC_LIBRARY_RUN_MAX_BYTES / CHUNK_BYTES)
#define ENTRIES_FIRST 1024

/* state, size of the key, key, packed address */
#define DELTA_MAX_BYTES (2 + PC_CACHE_KEY_MAX_BYTES + PC_CACHE_PACKED_ADDR_MAX_BYTES)

/* What most ids begin with: identity multihash, its size, the protobuf of an Ed25519 key. */
#define ID_HEAD_BYTES 6

struct entry {
    uint64_t order; /* of the key, as far as eight bytes tell */
    uint64_t at;    /* counted over all chunks; so it grows as they come */
};

struct pc_library_run {
    uint8_t *chunks[CHUNKS_MAX];
    size_t chunk_count;
    size_t used; /* of the last chunk */
    struct entry *entries;
    size_t count, capacity;
    size_t next;
};

int pc_library_run_new(struct pc_library_run **ret_run)
{
    struct pc_library_run *run = calloc(1, sizeof(*run));
    if (!run)
        return PEERCACHE_ENOMEM;
    *ret_run = run;
    return 0;
}

void pc_library_run_empty(struct pc_library_run *run)
{
    for (size_t i = 0; i < run->chunk_count; i++)
        free(run->chunks[i]);
    run->chunk_count = 0;
    run->used = 0;
    run->count = 0;
    run->next = 0;
}

void pc_library_run_free(struct pc_library_run *run)
{
    if (!run)
        return;
    pc_library_run_empty(run);
    free(run->entries);
    free(run);
}

/* The order of the store, for whatever it has most of: it need not be the whole order, only keep neighbours
 * together. Ids of Ed25519 differ behind their head; those without id come last. */
static uint64_t order_of(const struct pc_delta *delta)
{
    const struct pc_peer_id *id = &delta->id;
    uint64_t order = id->size ? id->bytes[0] : UINT8_MAX;
    struct pc_bytes rest = id->size ? pc_bytes_of(id->bytes, id->size) : pc_addr_maddr_bytes(&delta->addr);
    size_t skipped = id->size > ID_HEAD_BYTES ? ID_HEAD_BYTES : 0;
    for (size_t i = skipped; i < skipped + 7; i++)
        order = order << 8 | (i < rest.size ? rest.data[i] : 0);
    return order;
}

static int reserve(struct pc_library_run *run)
{
    if (run->count == run->capacity) {
        size_t capacity = run->capacity ? 2 * run->capacity : ENTRIES_FIRST;
        struct entry *entries = realloc(run->entries, capacity * sizeof(*entries));
        if (!entries)
            return PEERCACHE_ENOMEM;
        run->entries = entries;
        run->capacity = capacity;
    }
    if (run->chunk_count && CHUNK_BYTES - run->used >= DELTA_MAX_BYTES)
        return 0;
    if (run->chunk_count == CHUNKS_MAX)
        return PEERCACHE_ELIMIT;
    uint8_t *chunk = malloc(CHUNK_BYTES);
    if (!chunk)
        return PEERCACHE_ENOMEM;
    run->chunks[run->chunk_count++] = chunk;
    run->used = 0;
    return 0;
}

int pc_library_run_add(struct pc_library_run *run, const struct pc_delta *delta)
{
    struct pc_writer w;
    struct pc_cache_key key;
    int result = reserve(run);
    if (result)
        return result;
    const struct pc_record_addr addr = {
        .addr = delta->addr,
        .history = delta->history,
        .source = delta->source,
        .source_group = delta->source_group,
        .first_seen_ms = delta->first_seen_ms,
    };
    pc_cache_key_of(&delta->id, pc_addr_maddr_bytes(&delta->addr), &key);
    pc_base_writer_init(&w, run->chunks[run->chunk_count - 1] + run->used, DELTA_MAX_BYTES);
    pc_base_write_u8(&w, (uint8_t)delta->state);
    pc_base_write_u8(&w, key.size);
    pc_base_write_bytes(&w, key.bytes, key.size);
    pc_cache_pack_addr(&w, &addr);
    run->entries[run->count++] =
        (struct entry){ order_of(delta), (run->chunk_count - 1) * CHUNK_BYTES + run->used };
    run->used += pc_base_writer_size(&w);
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    if (left->order != right->order)
        return left->order < right->order ? -1 : 1;
    return left->at < right->at ? -1 : 1;
}

void pc_library_run_sort(struct pc_library_run *run)
{
    if (run->count)
        qsort(run->entries, run->count, sizeof(*run->entries), by_order);
}

bool pc_library_run_next(struct pc_library_run *run, bool trusted, struct pc_delta *ret_delta)
{
    struct pc_reader r;
    struct pc_record_addr addr;
    struct pc_peer_id id;
    if (run->next == run->count) {
        pc_library_run_empty(run);
        return false;
    }
    uint64_t at = run->entries[run->next++].at;
    pc_base_reader_init(&r, run->chunks[at / CHUNK_BYTES] + at % CHUNK_BYTES, DELTA_MAX_BYTES);
    peercache_state state = (peercache_state)pc_base_read_u8(&r);
    size_t key_size = pc_base_read_u8(&r);
    pc_cache_key_id(pc_base_read_bytes(&r, key_size), &id);
    (void)pc_cache_unpack_addr(&r, &addr); /* our own packing */
    pc_cache_delta_init(ret_delta, &id, pc_addr_maddr_bytes(&addr.addr));
    ret_delta->history = addr.history;
    ret_delta->source = addr.source;
    ret_delta->source_group = addr.source_group;
    ret_delta->first_seen_ms = addr.first_seen_ms;
    ret_delta->state = state;
    ret_delta->trusted = trusted;
    return true;
}
