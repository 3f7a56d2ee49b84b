/*
 * Any bytes as what a row of the store packs of a peer's addresses. Whatever is unpacked is within its limits, packs again
 * into the room that there is for it, and comes back the same.
 */
#include "cache/pack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
    if (!held)
        abort();
}

static void require_same(const struct pc_record_addr *a, const struct pc_record_addr *b)
{
    const struct pc_history *one = &a->history, *other = &b->history;
    require(pc_bytes_equal(pc_addr_maddr_bytes(&a->addr), pc_addr_maddr_bytes(&b->addr)));
    require(a->source_group.size == b->source_group.size);
    require(memcmp(a->source_group.bytes, b->source_group.bytes, a->source_group.size) == 0);
    require(a->source == b->source && a->first_seen_ms == b->first_seen_ms);
    require(one->success_count == other->success_count && one->failure_count == other->failure_count);
    require(memcmp(one->failures, other->failures, sizeof(one->failures)) == 0);
    require(one->last_seen_ms == other->last_seen_ms && one->last_success_ms == other->last_success_ms);
    require(one->last_attempt_ms == other->last_attempt_ms);
    require(one->rtt_us == other->rtt_us && one->rtt_at_ms == other->rtt_at_ms);
}

static void pack_again(const struct pc_record_addr *addr)
{
    uint8_t packed[PC_CACHE_PACKED_ADDR_MAX_BYTES];
    struct pc_record_addr again;
    struct pc_writer writer;
    struct pc_reader reader;
    pc_base_writer_init(&writer, packed, sizeof(packed));
    pc_cache_pack_addr(&writer, addr);
    require(writer.error == 0);
    struct pc_bytes bytes = pc_bytes_of(packed, pc_base_writer_size(&writer));
    require(pc_bytes_equal(pc_cache_packed_addr(bytes), pc_addr_maddr_bytes(&addr->addr)));
    pc_base_reader_init(&reader, bytes.data, bytes.size);
    require(pc_cache_unpack_addr(&reader, &again) && pc_base_reader_left(&reader) == 0);
    require_same(addr, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pc_reader reader;
    struct pc_record_addr addr;
    pc_base_reader_init(&reader, data, size);
    while (pc_base_reader_left(&reader) > 0) {
        (void)pc_cache_packed_addr(pc_bytes_of(reader.at, pc_base_reader_left(&reader)));
        if (!pc_cache_unpack_addr(&reader, &addr))
            break;
        pack_again(&addr);
    }
    return 0;
}
