/*
 * See endpoint_memory.h. Stored form, big-endian; a text is its size (16 bits) and its bytes:
 *
 *   version (1), url,
 *   0, or 1 and the breaker (PC_BREAKER_BYTES),
 *   asked, ended (ms, 64 bits each), result (8 bits), status (16), detail, verified (32),
 *   answered (ms), etag, last modified, count of peers (16), each its id (size in 8 bits) and its address (in 16),
 *   lease until (ms), its owner (8 bytes)
 *
 * There is one form of each memory: what reads well writes the same bytes again.
 */
#include "join/endpoint_memory.h"

#include "base/basex.h"
#include "base/cursor.h"
#include "join/endpoints.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#define STORED_VERSION 1
#define STATUS_MAX     999

static_assert(PC_ENDPOINT_MEMORIES_MAX > PC_JOIN_ENDPOINTS_MAX, "a node's own don't push out each other");

/* ----- texts ----- */

static bool is_visible(const char *text, char from)
{
    for (; *text != '\0'; text++)
        if (*text < from || *text > '~')
            return false;
    return true;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static bool is_url(const char *url)
{
    size_t size = strlen(url);
    return size > 0 && size < PC_ENDPOINT_URL_BYTES && is_visible(url, '!');
}

static void set_field(char field[PC_ENDPOINT_FIELD_BYTES], const char *text)
{
    size_t size = strlen(text);
    if (size >= PC_ENDPOINT_FIELD_BYTES || !is_visible(text, ' '))
        size = 0;
    memcpy(field, text, size);
    field[size] = '\0';
}

void pc_endpoint_memory_set_condition(struct pc_endpoint_memory *memory, const char *etag,
                                      const char *last_modified)
{
    set_field(memory->etag, etag);
    set_field(memory->last_modified, last_modified);
}

void pc_endpoint_memory_set_detail(struct pc_endpoint_memory *memory, const char *text)
{
    size_t size = 0;
    for (; size < sizeof(memory->detail) - 1 && text[size] != '\0'; size++)
        memory->detail[size] = (unsigned char)text[size] < ' ' || text[size] == 0x7f ? '?' : text[size];
    memory->detail[size] = '\0';
}

/* ----- its life ----- */

int pc_endpoint_memory_init(struct pc_endpoint_memory *memory, const char *url)
{
    if (!is_url(url))
        return PEERCACHE_EINVAL;
    *memory = (struct pc_endpoint_memory){ .result = PEERCACHE_FETCH_OK };
    memcpy(memory->url, url, strlen(url) + 1);
    return 0;
}

void pc_endpoint_memory_deinit(struct pc_endpoint_memory *memory)
{
    free(memory->peers);
    memory->peers = NULL;
    memory->peer_count = 0;
}

void pc_endpoint_memory_key(const char *url, char ret_key[PC_ENDPOINT_KEY_BYTES])
{
    static const char prefix[] = PC_ENDPOINT_KEY_PREFIX, hashed[] = PC_ENDPOINT_KEY_PREFIX "sha256:";
    size_t size = strlen(url);
    if (size + sizeof(prefix) <= PC_ENDPOINT_KEY_BYTES) {
        memcpy(ret_key, prefix, sizeof(prefix) - 1);
        memcpy(ret_key + sizeof(prefix) - 1, url, size + 1);
        return;
    }
    uint8_t hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(hash, (const uint8_t *)url, size); /* cannot fail */
    memcpy(ret_key, hashed, sizeof(hashed) - 1);
    int result = pc_base_hex_encode(hash, sizeof(hash), ret_key + sizeof(hashed) - 1,
                                    PC_ENDPOINT_KEY_BYTES - (sizeof(hashed) - 1));
    assert(result == 0);
    (void)result;
}

/* ----- peers ----- */

static size_t stored_size(const struct pc_endpoint_peer *peer)
{
    return 1 + (size_t)peer->id.size + 2 + peer->addr.size;
}

int pc_endpoint_memory_set_peers(struct pc_endpoint_memory *memory, const struct pc_endpoint_peer *peers,
                                 size_t count)
{
    struct pc_endpoint_peer *copy = NULL;
    size_t kept = 0, size = 0;
    while (kept < count && kept < PC_ENDPOINT_PEERS_MAX &&
           size + stored_size(&peers[kept]) <= PC_ENDPOINT_PEERS_MAX_BYTES)
        size += stored_size(&peers[kept++]);
    if (kept > 0) {
        copy = malloc(kept * sizeof(*copy));
        if (!copy)
            return PEERCACHE_ENOMEM;
        memcpy(copy, peers, kept * sizeof(*copy));
    }
    free(memory->peers);
    memory->peers = copy;
    memory->peer_count = kept;
    return 0;
}

static bool read_peer(struct pc_reader *r, struct pc_endpoint_peer *ret_peer)
{
    struct pc_bytes id = pc_base_read_bytes(r, pc_base_read_u8(r));
    struct pc_bytes addr = pc_base_read_bytes(r, pc_base_read_u16(r));
    *ret_peer = (struct pc_endpoint_peer){ .id = { .size = 0 } };
    return !r->error && addr.size > 0 && pc_addr_maddr_from_bytes(addr, &ret_peer->addr) == 0 &&
           (id.size == 0 || pc_addr_peer_id_from_bytes(id, &ret_peer->id) == 0);
}

static int read_peers(struct pc_reader *r, struct pc_endpoint_memory *memory)
{
    size_t count = pc_base_read_u16(r);
    size_t before = pc_base_reader_left(r);
    /* Each takes 4 bytes at least, so that no memory is asked for what cannot be there. */
    if (r->error || count > PC_ENDPOINT_PEERS_MAX || count > before / 4)
        return PEERCACHE_EPARSE;
    if (count == 0)
        return 0;
    memory->peers = malloc(count * sizeof(*memory->peers));
    if (!memory->peers)
        return PEERCACHE_ENOMEM;
    for (; memory->peer_count < count; memory->peer_count++)
        if (!read_peer(r, &memory->peers[memory->peer_count]))
            return PEERCACHE_EPARSE;
    return before - pc_base_reader_left(r) > PC_ENDPOINT_PEERS_MAX_BYTES ? PEERCACHE_EPARSE : 0;
}

/* ----- to bytes ----- */

static void write_text(struct pc_writer *w, const char *text)
{
    size_t size = strlen(text);
    pc_base_write_u16(w, (uint16_t)size);
    pc_base_write_bytes(w, text, size);
}

int pc_endpoint_memory_write(const struct pc_endpoint_memory *memory, void *ret_bytes, size_t capacity,
                             size_t *ret_size)
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_bytes, capacity);
    pc_base_write_u8(&w, STORED_VERSION);
    write_text(&w, memory->url);
    pc_base_write_u8(&w, memory->has_breaker);
    if (memory->has_breaker)
        pc_base_write_bytes(&w, memory->breaker, sizeof(memory->breaker));
    pc_base_write_u64(&w, (uint64_t)memory->asked_ms);
    pc_base_write_u64(&w, (uint64_t)memory->ended_ms);
    pc_base_write_u8(&w, (uint8_t)memory->result);
    pc_base_write_u16(&w, memory->status);
    write_text(&w, memory->detail);
    pc_base_write_u32(&w, memory->verified);
    pc_base_write_u64(&w, (uint64_t)memory->answered_ms);
    write_text(&w, memory->etag);
    write_text(&w, memory->last_modified);
    pc_base_write_u16(&w, (uint16_t)memory->peer_count);
    for (size_t i = 0; i < memory->peer_count; i++) {
        const struct pc_endpoint_peer *peer = &memory->peers[i];
        pc_base_write_u8(&w, peer->id.size);
        pc_base_write_bytes(&w, peer->id.bytes, peer->id.size);
        pc_base_write_u16(&w, peer->addr.size);
        pc_base_write_bytes(&w, peer->addr.bytes, peer->addr.size);
    }
    pc_base_write_u64(&w, (uint64_t)memory->lease_until_ms);
    pc_base_write_bytes(&w, memory->lease_owner, sizeof(memory->lease_owner));
    if (w.error)
        return w.error;
    *ret_size = pc_base_writer_size(&w);
    return 0;
}

/* ----- and back ----- */

/* False: too long, or it holds a NUL. */
static bool read_text(struct pc_reader *r, char *ret_text, size_t capacity)
{
    struct pc_bytes text = pc_base_read_bytes(r, pc_base_read_u16(r));
    if (r->error || text.size >= capacity || (text.size > 0 && memchr(text.data, 0, text.size)))
        return false;
    if (text.size > 0)
        memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
    return true;
}

static bool read_time(struct pc_reader *r, int64_t *ret_ms)
{
    *ret_ms = (int64_t)pc_base_read_u64(r);
    return !r->error && *ret_ms >= 0;
}

static bool read_breaker(struct pc_reader *r, struct pc_endpoint_memory *memory)
{
    struct pc_breaker loaded;
    uint8_t has = pc_base_read_u8(r);
    if (r->error || has > 1)
        return false;
    memory->has_breaker = has == 1;
    if (!memory->has_breaker)
        return true;
    struct pc_bytes bytes = pc_base_read_bytes(r, PC_BREAKER_BYTES);
    if (r->error || pc_breaker_load(bytes, 0, 0, &loaded) != 0)
        return false;
    memcpy(memory->breaker, bytes.data, bytes.size);
    return true;
}

static bool read_last_fetch(struct pc_reader *r, struct pc_endpoint_memory *memory)
{
    if (!read_time(r, &memory->asked_ms) || !read_time(r, &memory->ended_ms))
        return false;
    uint8_t result = pc_base_read_u8(r);
    memory->status = pc_base_read_u16(r);
    if (!read_text(r, memory->detail, sizeof(memory->detail)) || has_control(memory->detail))
        return false;
    memory->verified = pc_base_read_u32(r);
    if (r->error || result >= PEERCACHE_FETCH_COUNT || memory->status > STATUS_MAX)
        return false;
    memory->result = (peercache_fetch)result;
    return true;
}

static bool read_field(struct pc_reader *r, char ret_field[PC_ENDPOINT_FIELD_BYTES])
{
    return read_text(r, ret_field, PC_ENDPOINT_FIELD_BYTES) && is_visible(ret_field, ' ');
}

static int read_all(struct pc_reader *r, struct pc_endpoint_memory *memory)
{
    if (pc_base_read_u8(r) != STORED_VERSION || !read_text(r, memory->url, sizeof(memory->url)) ||
        !is_url(memory->url) || !read_breaker(r, memory) || !read_last_fetch(r, memory) ||
        !read_time(r, &memory->answered_ms) || !read_field(r, memory->etag) ||
        !read_field(r, memory->last_modified))
        return PEERCACHE_EPARSE;
    int result = read_peers(r, memory);
    if (result != 0)
        return result;
    bool has_lease = read_time(r, &memory->lease_until_ms);
    struct pc_bytes owner = pc_base_read_bytes(r, sizeof(memory->lease_owner));
    if (!has_lease || r->error || pc_base_reader_left(r) != 0)
        return PEERCACHE_EPARSE;
    memcpy(memory->lease_owner, owner.data, owner.size);
    return 0;
}

int pc_endpoint_memory_read(struct pc_bytes bytes, struct pc_endpoint_memory *ret_memory)
{
    struct pc_reader r;
    struct pc_endpoint_memory memory = { .peers = NULL };
    pc_base_reader_init(&r, bytes.data, bytes.size);
    int result = read_all(&r, &memory);
    if (result != 0) {
        pc_endpoint_memory_deinit(&memory);
        return result;
    }
    *ret_memory = memory;
    return 0;
}

/* ----- what follows from it ----- */

bool pc_endpoint_memory_may_share(const struct pc_endpoint_memory *memory, int64_t after_ms, int64_t now_ms)
{
    return memory->peer_count > 0 && memory->answered_ms > after_ms && memory->answered_ms <= now_ms &&
           pc_base_time_sub(now_ms, memory->answered_ms) <= PC_ENDPOINT_SHARE_MS;
}

static bool is_owner(const struct pc_endpoint_memory *memory, const uint8_t owner[PC_ENDPOINT_OWNER_BYTES])
{
    return memcmp(memory->lease_owner, owner, PC_ENDPOINT_OWNER_BYTES) == 0;
}

bool pc_endpoint_memory_take_lease(struct pc_endpoint_memory *memory,
                                   const uint8_t owner[PC_ENDPOINT_OWNER_BYTES], int64_t length_ms,
                                   int64_t now_ms)
{
    int64_t left_ms = pc_base_time_sub(memory->lease_until_ms, now_ms);
    if (left_ms > 0 && left_ms <= PC_ENDPOINT_LEASE_MS && !is_owner(memory, owner))
        return false;
    memory->lease_until_ms = pc_base_time_add(now_ms, pc_base_time_min(length_ms, PC_ENDPOINT_LEASE_MS));
    memcpy(memory->lease_owner, owner, PC_ENDPOINT_OWNER_BYTES);
    return true;
}

bool pc_endpoint_memory_drop_lease(struct pc_endpoint_memory *memory,
                                   const uint8_t owner[PC_ENDPOINT_OWNER_BYTES])
{
    if (memory->lease_until_ms == 0 || !is_owner(memory, owner))
        return false;
    memory->lease_until_ms = 0;
    memset(memory->lease_owner, 0, sizeof(memory->lease_owner));
    return true;
}

/* ----- how many are remembered ----- */

int64_t pc_endpoint_memory_used_ms(const struct pc_endpoint_memory *memory)
{
    return pc_base_time_max(memory->answered_ms, pc_base_time_max(memory->asked_ms, memory->ended_ms));
}

static int compare_used(const void *a, const void *b)
{
    const struct pc_endpoint_used *one = a, *other = b;
    if (one->used_ms != other->used_ms)
        return one->used_ms > other->used_ms ? -1 : 1;
    return strcmp(one->key, other->key);
}

size_t pc_endpoint_memory_stay(struct pc_endpoint_used *memories, size_t count, int64_t now_ms)
{
    for (size_t i = 0; i < count; i++)
        if (memories[i].used_ms > now_ms)
            memories[i].used_ms = 0;
    if (count > 0)
        qsort(memories, count, sizeof(*memories), compare_used);
    return count < PC_ENDPOINT_MEMORIES_MAX ? count : PC_ENDPOINT_MEMORIES_MAX - 1;
}
