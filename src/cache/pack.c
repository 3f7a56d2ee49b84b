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

static int64_t unpack_time(struct pc_reader *r, int64_t first_ms)
{
    uint64_t v = pc_base_read_varint_any(r);
    return first_ms + (int64_t)((v >> 1) ^ (UINT64_C(0) - (v & 1)));
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
    pc_base_write_varint(w, (uint64_t)addr->first_seen_ms);
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

static void unpack_failures(struct pc_reader *r, struct pc_history *h)
{
    for (uint8_t kinds = pc_base_read_u8(r); kinds > 0; kinds--) {
        uint8_t kind = pc_base_read_u8(r);
        assert(kind < PEERCACHE_OUTCOME_COUNT);
        h->failures[kind] = (uint32_t)pc_base_read_varint(r);
    }
}

void pc_cache_unpack_addr(struct pc_reader *r, struct pc_record_addr *ret_addr)
{
    struct pc_history *h = &ret_addr->history;
    pc_cache_history_init(h);
    ret_addr->addr.size = pc_base_read_u8(r);
    struct pc_bytes bytes = pc_base_read_bytes(r, ret_addr->addr.size);
    if (bytes.size)
        memcpy(ret_addr->addr.bytes, bytes.data, bytes.size);
    ret_addr->source_group.size = pc_base_read_u8(r);
    bytes = pc_base_read_bytes(r, ret_addr->source_group.size);
    if (bytes.size)
        memcpy(ret_addr->source_group.bytes, bytes.data, bytes.size);
    ret_addr->source = (peercache_source)pc_base_read_u8(r);
    uint8_t flags = pc_base_read_u8(r);
    ret_addr->first_seen_ms = (int64_t)pc_base_read_varint_any(r);
    if (flags & HAS_COUNTS) {
        h->success_count = (uint32_t)pc_base_read_varint(r);
        h->failure_count = (uint32_t)pc_base_read_varint(r);
    }
    if (flags & HAS_FAILURES)
        unpack_failures(r, h);
    if (flags & HAS_SUCCESS)
        h->last_success_ms = unpack_time(r, ret_addr->first_seen_ms);
    if (flags & HAS_ATTEMPT)
        h->last_attempt_ms = unpack_time(r, ret_addr->first_seen_ms);
    if (flags & HAS_RTT) {
        h->rtt_us = pc_base_read_u32(r);
        h->rtt_at_ms = unpack_time(r, ret_addr->first_seen_ms);
    }
    h->last_seen_ms = flags & HAS_SEEN ? unpack_time(r, ret_addr->first_seen_ms) : ret_addr->first_seen_ms;
    assert(r->error == 0);
}
