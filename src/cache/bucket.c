#include "cache/bucket.h"

#include "base/cursor.h"

#include <assert.h>
#include <sodium.h>

uint32_t pc_cache_bucket_of(const uint8_t secret[16], peercache_state state, const struct pc_netgroup *group,
                            const struct pc_netgroup *source_group)
{
    uint8_t input[1 + 2 * (1 + sizeof(group->bytes))];
    uint8_t output[crypto_shorthash_BYTES];
    struct pc_writer w;
    struct pc_reader r;
    static_assert(crypto_shorthash_KEYBYTES == 16, "the secret of a store is the key");
    pc_base_writer_init(&w, input, sizeof(input));
    pc_base_write_u8(&w, (uint8_t)state);
    pc_base_write_u8(&w, group->size);
    pc_base_write_bytes(&w, group->bytes, group->size);
    pc_base_write_u8(&w, source_group->size);
    pc_base_write_bytes(&w, source_group->bytes, source_group->size);
    assert(w.error == 0);
    crypto_shorthash(output, input, pc_base_writer_size(&w), secret);
    pc_base_reader_init(&r, output, sizeof(output)); /* big-endian on every machine */
    return (uint32_t)(pc_base_read_u64(&r) %
                      (state == PEERCACHE_TRIED ? PC_CACHE_BUCKETS_TRIED : PC_CACHE_BUCKETS_NEW));
}

uint32_t pc_cache_bucket_of_record(const uint8_t secret[16], enum pc_netgroup_mode mode,
                                   const struct pc_record *record)
{
    if (record->addr_count == 0)
        return 0;
    const struct pc_record_addr *first = &record->addrs[0]; /* addresses are in the order of their bytes */
    for (size_t i = 1; i < record->addr_count; i++)
        if (record->addrs[i].first_seen_ms < first->first_seen_ms)
            first = &record->addrs[i];
    struct pc_netgroup group = pc_addr_netgroup(pc_addr_maddr_bytes(&first->addr), mode);
    return pc_cache_bucket_of(secret, record->state, &group, &first->source_group);
}
