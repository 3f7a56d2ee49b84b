#include "kad/keys.h"

#include <assert.h>

#define FIRST_AT 6

static size_t slot_of(const struct pc_peer_id *id)
{
    uint64_t first, last; /* of a key or a digest, behind what all ids of a kind begin with */
    static_assert(FIRST_AT + sizeof(first) <= PC_PEER_ID_MAX_BYTES, "within the bytes of any id");
    memcpy(&first, id->bytes + FIRST_AT, sizeof(first));
    memcpy(&last, id->bytes + (id->size < sizeof(last) ? 0 : id->size - sizeof(last)), sizeof(last));
    return ((first ^ last) * UINT64_C(0x9E3779B97F4A7C15)) >> 48 & (PC_KAD_KEYS_SLOTS - 1);
}

struct pc_kad_key pc_kad_keys_of(struct pc_kad_keys *keys, const struct pc_peer_id *id)
{
    if (!keys || id->size == 0)
        return pc_kad_key_of_peer(id);
    size_t slot = slot_of(id);
    if (!pc_addr_peer_id_equal(&keys->slots[slot].id, id)) {
        keys->slots[slot].id = *id;
        keys->slots[slot].key = pc_kad_key_of_peer(id);
    }
    return keys->slots[slot].key;
}
