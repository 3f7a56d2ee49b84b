#include "kad/keys.h"

static size_t slot_of(const struct pc_peer_id *id)
{
    uint64_t hash = id->size;
    for (size_t at = 0; at < id->size; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        size_t left = id->size - at;
        memcpy(&word, id->bytes + at, left < sizeof(word) ? left : sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    return hash % PC_KAD_KEYS_SLOTS;
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
