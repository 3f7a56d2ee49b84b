#include "cache/pack.h"

#include <assert.h>

enum {
    HAS_COUNTS = 1,
    HAS_FAILURES = 2, /* by kind */
    HAS_SUCCESS = 4,
    HAS_ATTEMPT = 8,
    HAS_RTT = 16,
    HAS_SEEN = 32, /* apart from the first time */
};

void pc_cache_key_of(const struct pc_peer_id *id, struct pc_bytes addr, struct pc_cache_key *ret_key)
{
    struct pc_bytes name = id->size ? pc_addr_peer_id_bytes(id) : addr;
    assert(name.size < sizeof(ret_key->bytes));
    ret_key->bytes[0] = id->size ? PC_CACHE_KEY_ID : PC_CACHE_KEY_ADDR;
    memcpy(ret_key->bytes + 1, name.data, name.size);
    ret_key->size = (uint8_t)(1 + name.size);
}

void pc_cache_key_id(struct pc_bytes key, struct pc_peer_id *ret_id)
{
    ret_id->size = 0;
    if (key.data[0] != PC_CACHE_KEY_ID)
        return;
    ret_id->size = (uint8_t)(key.size - 1);
    memcpy(ret_id->bytes, key.data + 1, ret_id->size);
}

/* A time by its distance from `first_ms`, zigzag, so that small stays small on both sides. Times are never
 * negative here (whoever takes them in clamps them), so a distance never overflows. */
static void pack_time(struct pc_writer *w, int64_t at_ms, int64_t first_ms)
{
    int64_t distance = at_ms - first_ms;
    pc_base_write_varint(w, ((uint64_t)distance << 1) ^ (uint64_t)(distance >> 63));
}

/* False when it comes out negative. */
static bool unpack_time(struct pc_reader *r, int64_t first_ms, int64_t *ret_ms)
{
    uint64_t v = pc_base_read_varint_any(r);
    return !__builtin_add_overflow(first_ms, (int64_t)((v >> 1) ^ (UINT64_C(0) - (v & 1))), ret_ms) &&
           *ret_ms >= 0;
}

void pc_cache_pack_addr(struct pc_writer *w, const struct pc_record_addr *addr)
{
    const struct pc_history *h = &addr->history;
    uint8_t flags = 0;
    uint8_t kinds = 0;
    for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++)
        kinds = (uint8_t)(kinds + (h->failures[i] != 0));
    if (h->success_count || h->failure_count)
        flags |= HAS_COUNTS;
    if (kinds)
        flags |= HAS_FAILURES;
    if (h->last_success_ms)
        flags |= HAS_SUCCESS;
    if (h->last_attempt_ms)
        flags |= HAS_ATTEMPT;
    if (h->rtt_at_ms || h->rtt_us != PC_RTT_UNKNOWN)
        flags |= HAS_RTT;
    if (h->last_seen_ms != addr->first_seen_ms)
        flags |= HAS_SEEN;
    pc_base_write_u8(w, (uint8_t)addr->addr.size);
    pc_base_write_bytes(w, addr->addr.bytes, addr->addr.size);
    pc_base_write_u8(w, addr->source_group.size);
    pc_base_write_bytes(w, addr->source_group.bytes, addr->source_group.size);
    pc_base_write_u8(w, (uint8_t)addr->source);
    pc_base_write_u8(w, flags);
    pack_time(w, addr->first_seen_ms, 0);
    if (flags & HAS_COUNTS) {
        pc_base_write_varint(w, h->success_count);
        pc_base_write_varint(w, h->failure_count);
    }
    if (flags & HAS_FAILURES) {
        pc_base_write_u8(w, kinds);
        for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++) {
            if (h->failures[i]) {
                pc_base_write_u8(w, (uint8_t)i);
                pc_base_write_varint(w, h->failures[i]);
            }
        }
    }
    if (flags & HAS_SUCCESS)
        pack_time(w, h->last_success_ms, addr->first_seen_ms);
    if (flags & HAS_ATTEMPT)
        pack_time(w, h->last_attempt_ms, addr->first_seen_ms);
    if (flags & HAS_RTT) {
        pc_base_write_u32(w, h->rtt_us);
        pack_time(w, h->rtt_at_ms, addr->first_seen_ms);
    }
    if (flags & HAS_SEEN)
        pack_time(w, h->last_seen_ms, addr->first_seen_ms);
    assert(w->error == 0);
}

static bool unpack_u32(struct pc_reader *r, uint32_t *ret_value)
{
    uint64_t v = pc_base_read_varint_any(r);
    *ret_value = (uint32_t)v;
    return v <= UINT32_MAX;
}

static bool unpack_failures(struct pc_reader *r, struct pc_history *h)
{
    bool valid = true;
    for (uint8_t kinds = pc_base_read_u8(r); kinds > 0 && valid; kinds--) {
        uint8_t kind = pc_base_read_u8(r);
        valid = kind < PEERCACHE_OUTCOME_COUNT && unpack_u32(r, &h->failures[kind]);
    }
    return valid;
}

static bool unpack_short(struct pc_reader *r, uint8_t *ret_bytes, size_t capacity, size_t *ret_size)
{
    *ret_size = pc_base_read_u8(r);
    struct pc_bytes bytes = pc_base_read_bytes(r, *ret_size);
    if (*ret_size > capacity)
        return false;
    if (bytes.size)
        memcpy(ret_bytes, bytes.data, bytes.size);
    return true;
}

bool pc_cache_unpack_addr(struct pc_reader *r, struct pc_record_addr *ret_addr)
{
    struct pc_history *h = &ret_addr->history;
    size_t addr_size = 0, group_size = 0;
    pc_cache_history_init(h);
    bool valid =
        unpack_short(r, ret_addr->addr.bytes, sizeof(ret_addr->addr.bytes), &addr_size) &&
        unpack_short(r, ret_addr->source_group.bytes, sizeof(ret_addr->source_group.bytes), &group_size);
    ret_addr->addr.size = (uint16_t)addr_size;
    ret_addr->source_group.size = (uint8_t)group_size;
    uint8_t source = pc_base_read_u8(r);
    uint8_t flags = pc_base_read_u8(r);
    valid = valid && source < PEERCACHE_SOURCE_COUNT;
    ret_addr->source = (peercache_source)source;
    valid = valid && unpack_time(r, 0, &ret_addr->first_seen_ms);
    int64_t first_ms = ret_addr->first_seen_ms;
    if (valid && flags & HAS_COUNTS)
        valid = unpack_u32(r, &h->success_count) && unpack_u32(r, &h->failure_count);
    if (valid && flags & HAS_FAILURES)
        valid = unpack_failures(r, h);
    if (valid && flags & HAS_SUCCESS)
        valid = unpack_time(r, first_ms, &h->last_success_ms);
    if (valid && flags & HAS_ATTEMPT)
        valid = unpack_time(r, first_ms, &h->last_attempt_ms);
    if (valid && flags & HAS_RTT) {
        h->rtt_us = pc_base_read_u32(r);
        valid = unpack_time(r, first_ms, &h->rtt_at_ms);
    }
    h->last_seen_ms = first_ms;
    if (valid && flags & HAS_SEEN)
        valid = unpack_time(r, first_ms, &h->last_seen_ms);
    return valid && r->error == 0;
}

struct pc_bytes pc_cache_packed_addr(struct pc_bytes packed)
{
    struct pc_reader r;
    pc_base_reader_init(&r, packed.data, packed.size);
    uint8_t size = pc_base_read_u8(&r);
    return pc_base_read_bytes(&r, size);
}

static size_t pack_all(const struct pc_record *record, uint8_t *ret_packed, size_t capacity)
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_packed, capacity);
    for (size_t i = 0; i < record->addr_count; i++)
        pc_cache_pack_addr(&w, &record->addrs[i]);
    return pc_base_writer_size(&w);
}

size_t pc_cache_pack_record(struct pc_record *record, uint32_t addrs_max, uint32_t max_bytes,
                            uint8_t *ret_packed, size_t capacity)
{
    while (addrs_max && record->addr_count > addrs_max)
        pc_cache_record_shed(record);
    size_t size = pack_all(record, ret_packed, capacity);
    while (max_bytes && size > max_bytes && record->addr_count > 1) {
        pc_cache_record_shed(record);
        size = pack_all(record, ret_packed, capacity);
    }
    return size;
}
