/*
 * The compact form in which the working set keeps addresses and deltas: what is zero or the same takes no
 * room, numbers are varints, times are kept by their distance from the first. Lossless.
 *
 * A key names a peer: PC_CACHE_KEY_ID and its id, or PC_CACHE_KEY_ADDR and the address of one known without
 * id.
 */
#ifndef PC_CACHE_PACK_H
#define PC_CACHE_PACK_H

#include "base/cursor.h"
#include "cache/record.h"

#define PC_CACHE_KEY_ADDR      0
#define PC_CACHE_KEY_ID        1
#define PC_CACHE_KEY_MAX_BYTES (1 + PC_MADDR_MAX_BYTES)
/* address and group with their sizes, source, flags, counts, kinds, five times, the round trip */
#define PC_CACHE_PACKED_ADDR_MAX_BYTES                                                                       \
    (2 + PC_MADDR_MAX_BYTES + 20 + 2 + 10 + PEERCACHE_OUTCOME_COUNT * 6 + 1 + 5 * 10 + 5)

struct pc_cache_key {
    uint8_t size;
    uint8_t bytes[PC_CACHE_KEY_MAX_BYTES];
};

/* The key of a peer: by its id, or by `addr` when the id is not known. */
void pc_cache_key_of(const struct pc_peer_id *id, struct pc_bytes addr, struct pc_cache_key *ret_key);
static inline struct pc_bytes pc_cache_key_bytes(const struct pc_cache_key *key)
{
    return pc_bytes_of(key->bytes, key->size);
}
/* The id a key holds; size 0 when it is that of an address. */
void pc_cache_key_id(struct pc_bytes key, struct pc_peer_id *ret_id);

void pc_cache_pack_addr(struct pc_writer *w, const struct pc_record_addr *addr);
/* False: not what pack writes (a store's file may hold anything); *ret_addr is then of no meaning. */
bool pc_cache_unpack_addr(struct pc_reader *r, struct pc_record_addr *ret_addr);
/* The address at the head of what is packed, borrowed, without unpacking the rest. */
struct pc_bytes pc_cache_packed_addr(struct pc_bytes packed);
/*
 * All addresses of a record, one behind the other; how many bytes they took. Over `addrs_max` addresses (0:
 * no such cap) or `max_bytes` (0: none) the least useful are taken out of the record first; one stays in any
 * case. `capacity` has room for all.
 */
size_t pc_cache_pack_record(struct pc_record *record, uint32_t addrs_max, uint32_t max_bytes,
                            uint8_t *ret_packed, size_t capacity);

#endif
