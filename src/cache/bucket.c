#include "cache/bucket.h"

#include "base/cursor.h"
#include "base/time.h"

#include <assert.h>
#include <sodium.h>

#define DAY_MS           (INT64_C(24) * 3600 * 1000)
#define FIRST_BITS_NEW   10
#define FIRST_BITS_TRIED 8
#define DEAD_FAILURES    3
#define STEADY_SUCCESSES 8
#define RATIO            3

/* What a hash is of: no input of one kind is ever that of another. */
enum purpose {
    PURPOSE_SLOT,
    PURPOSE_BUCKET,
    PURPOSE_PEER,
    PURPOSE_GROUP,
};

/* 2^bits buckets of the capacity returned have `places` places or more: the buckets are made whole first,
 * with four places each, then roomier, and beyond 64 places more. */
static uint16_t fit(uint64_t places, uint8_t whole_bits, uint8_t *ret_bits)
{
    uint8_t bits = 1;
    uint64_t capacity = PC_CACHE_BUCKET_CAPACITY_MIN;
    while (bits < whole_bits && (capacity << bits) < places)
        bits++;
    if ((capacity << bits) < places) {
        capacity = (places + (UINT64_C(1) << bits) - 1) >> bits;
        if (capacity > PC_CACHE_BUCKET_CAPACITY_MAX)
            capacity = PC_CACHE_BUCKET_CAPACITY_MAX;
        while ((capacity << bits) < places)
            bits++;
    }
    *ret_bits = bits;
    return (uint16_t)capacity;
}

void pc_cache_quota_init(struct pc_cache_quota *ret_quota, uint32_t peers_max)
{
    static_assert(1 << FIRST_BITS_NEW == PC_CACHE_BUCKETS_NEW, "the first bits count the buckets");
    static_assert(1 << FIRST_BITS_TRIED == PC_CACHE_BUCKETS_TRIED, "the first bits count the buckets");
    assert(peers_max > 0);
    ret_quota->peers_max = peers_max;
    ret_quota->tried_max = peers_max / 2 + peers_max % 2;
    ret_quota->capacity[PEERCACHE_NEW] =
        fit(2 * (uint64_t)peers_max, FIRST_BITS_NEW, &ret_quota->bits[PEERCACHE_NEW]);
    ret_quota->capacity[PEERCACHE_TRIED] =
        fit(2 * (uint64_t)ret_quota->tried_max, FIRST_BITS_TRIED, &ret_quota->bits[PEERCACHE_TRIED]);
}

void pc_cache_quota_init_bits(struct pc_cache_quota *ret_quota, uint32_t peers_max,
                              const uint8_t bits[PEERCACHE_STATE_COUNT])
{
    pc_cache_quota_init(ret_quota, peers_max);
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++) {
        uint64_t room = state == PEERCACHE_TRIED ? ret_quota->tried_max : peers_max;
        uint64_t capacity = (2 * room + (UINT64_C(1) << bits[state]) - 1) >> bits[state];
        ret_quota->bits[state] = bits[state];
        ret_quota->capacity[state] = (uint16_t)(capacity < UINT16_MAX ? capacity : UINT16_MAX);
    }
}

static void write_group(struct pc_writer *w, const struct pc_netgroup *group)
{
    pc_base_write_u8(w, group->size);
    pc_base_write_bytes(w, group->bytes, group->size);
}

static uint64_t hash(const uint8_t secret[16], const uint8_t *input, const struct pc_writer *w)
{
    uint8_t output[crypto_shorthash_BYTES];
    struct pc_reader r;
    static_assert(crypto_shorthash_KEYBYTES == 16, "the secret of a store is the key");
    assert(w->error == 0);
    crypto_shorthash(output, input, pc_base_writer_size(w), secret);
    pc_base_reader_init(&r, output, sizeof(output)); /* big-endian on every machine */
    return pc_base_read_u64(&r);
}

uint64_t pc_cache_hash_group(const uint8_t secret[16], const struct pc_netgroup *group)
{
    uint8_t input[2 + sizeof(group->bytes)];
    struct pc_writer w;
    pc_base_writer_init(&w, input, sizeof(input));
    pc_base_write_u8(&w, PURPOSE_GROUP);
    write_group(&w, group);
    return hash(secret, input, &w);
}

uint32_t pc_cache_bucket_slots(const struct pc_cache_quota *quota, peercache_state state)
{
    bool is_tried = state == PEERCACHE_TRIED;
    uint32_t slots = is_tried ? PC_CACHE_TRIED_BUCKETS_OF_GROUP : PC_CACHE_NEW_BUCKETS_OF_SOURCE;
    unsigned first = is_tried ? FIRST_BITS_TRIED : FIRST_BITS_NEW;
    if (quota->bits[state] < first)
        slots >>= first - quota->bits[state];
    return slots ? slots : 1;
}

uint32_t pc_cache_bucket_of(const struct pc_cache_quota *quota, const uint8_t secret[16],
                            peercache_state state, const struct pc_netgroup *group, peercache_source source,
                            const struct pc_netgroup *source_group)
{
    static const struct pc_netgroup imports = { .size = 1, .bytes = { PEERCACHE_SOURCE_IMPORT } };
    uint8_t input[3 + 2 * (1 + sizeof(group->bytes))];
    struct pc_writer w;
    const struct pc_netgroup *teller = source_group->size                  ? source_group
                                       : source == PEERCACHE_SOURCE_IMPORT ? &imports
                                                                           : group;
    bool is_tried = state == PEERCACHE_TRIED;
    pc_base_writer_init(&w, input, sizeof(input));
    pc_base_write_u8(&w, PURPOSE_SLOT);
    pc_base_write_u8(&w, (uint8_t)state);
    write_group(&w, group);
    write_group(&w, teller);
    uint64_t slot = hash(secret, input, &w) % pc_cache_bucket_slots(quota, state);
    pc_base_writer_init(&w, input, sizeof(input));
    pc_base_write_u8(&w, PURPOSE_BUCKET);
    pc_base_write_u8(&w, (uint8_t)state);
    write_group(&w, is_tried ? group : teller);
    pc_base_write_u8(&w, (uint8_t)slot);
    return (uint32_t)(hash(secret, input, &w) >> (64 - (is_tried ? FIRST_BITS_TRIED : FIRST_BITS_NEW)));
}

uint32_t pc_cache_bucket_of_record(const struct pc_cache_quota *quota, const uint8_t secret[16],
                                   enum pc_netgroup_mode mode, const struct pc_record *record,
                                   peercache_state state)
{
    uint8_t input[1 + PC_MADDR_MAX_BYTES];
    struct pc_writer w;
    if (record->addr_count == 0)
        return 0;
    const struct pc_record_addr *first = &record->addrs[0]; /* addresses are in the order of their bytes */
    for (size_t i = 1; i < record->addr_count; i++)
        if (record->addrs[i].first_seen_ms < first->first_seen_ms)
            first = &record->addrs[i];
    struct pc_netgroup group = pc_addr_netgroup(pc_addr_maddr_bytes(&first->addr), mode);
    uint32_t head = pc_cache_bucket_of(quota, secret, state, &group, first->source, &first->source_group);
    pc_base_writer_init(&w, input, sizeof(input));
    pc_base_write_u8(&w, PURPOSE_PEER);
    if (record->id.size)
        pc_base_write_bytes(&w, record->id.bytes, record->id.size);
    else
        pc_base_write_bytes(&w, first->addr.bytes, first->addr.size);
    uint8_t bits = state == PEERCACHE_TRIED ? FIRST_BITS_TRIED : FIRST_BITS_NEW;
    return head << (32 - bits) | (uint32_t)(hash(secret, input, &w) >> (32 + bits));
}

static enum pc_cache_class class_of(const struct pc_history *h)
{
    uint64_t successes = h->success_count, failures = h->failure_count;
    if (successes == 0)
        return failures >= DEAD_FAILURES ? PC_CACHE_CLASS_DEAD
               : failures                ? PC_CACHE_CLASS_DOUBTED
                                         : PC_CACHE_CLASS_UNTESTED;
    if (successes >= STEADY_SUCCESSES && successes >= RATIO * failures)
        return PC_CACHE_CLASS_STEADY;
    if (successes > failures)
        return PC_CACHE_CLASS_GOOD;
    return failures >= RATIO * successes ? PC_CACHE_CLASS_POOR : PC_CACHE_CLASS_MIXED;
}

struct pc_cache_standing pc_cache_standing_of(const struct pc_record *record)
{
    struct pc_cache_standing standing = { PC_CACHE_CLASS_DEAD, 0 };
    int64_t latest_ms = 0;
    for (size_t i = 0; i < record->addr_count; i++) {
        const struct pc_history *h = &record->addrs[i].history;
        enum pc_cache_class class = class_of(h);
        if (class > standing.class)
            standing.class = (uint8_t) class;
        latest_ms = pc_base_time_max(latest_ms,
                                     record->state == PEERCACHE_TRIED ? h->last_success_ms : h->last_seen_ms);
    }
    standing.day = (uint16_t)pc_base_time_min(latest_ms / DAY_MS, UINT16_MAX);
    return standing;
}

bool pc_cache_record_is_verified(const struct pc_record *record)
{
    for (size_t i = 0; i < record->addr_count; i++)
        if (record->addrs[i].history.success_count)
            return true;
    return false;
}
