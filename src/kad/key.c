#include "kad/key.h"

#include <sodium.h>

#define KEY_BITS 256

struct pc_kad_key pc_kad_key_of(struct pc_bytes preimage)
{
    struct pc_kad_key key;
    crypto_hash_sha256(key.bytes, preimage.data, preimage.size);
    return key;
}

struct pc_kad_key pc_kad_key_of_peer(const struct pc_peer_id *id)
{
    return pc_kad_key_of(pc_addr_peer_id_bytes(id));
}

int pc_kad_key_compare(const struct pc_kad_key *target, const struct pc_kad_key *a,
                       const struct pc_kad_key *b)
{
    for (size_t i = 0; i < sizeof(target->bytes); i++) {
        int from_a = target->bytes[i] ^ a->bytes[i];
        int from_b = target->bytes[i] ^ b->bytes[i];
        if (from_a != from_b)
            return from_a < from_b ? -1 : 1;
    }
    return 0;
}

unsigned pc_kad_key_common_prefix(const struct pc_kad_key *a, const struct pc_kad_key *b)
{
    for (unsigned i = 0; i < sizeof(a->bytes); i++) {
        unsigned difference = a->bytes[i] ^ b->bytes[i];
        if (difference) /* clz counts in 32 bits, of which a byte is the last 8 */
            return i * 8 + (unsigned)__builtin_clz(difference) - 24;
    }
    return KEY_BITS;
}
