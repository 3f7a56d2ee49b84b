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
    for (size_t at = 0; at < sizeof(target->bytes); at += 8) {
        uint64_t from_a = pc_kad_key_word(target, at) ^ pc_kad_key_word(a, at);
        uint64_t from_b = pc_kad_key_word(target, at) ^ pc_kad_key_word(b, at);
        if (from_a != from_b)
            return from_a < from_b ? -1 : 1;
    }
    return 0;
}

unsigned pc_kad_key_common_prefix(const struct pc_kad_key *a, const struct pc_kad_key *b)
{
    for (unsigned at = 0; at < sizeof(a->bytes); at += 8) {
        uint64_t difference = pc_kad_key_word(a, at) ^ pc_kad_key_word(b, at);
        if (difference)
            return at * 8 + (unsigned)__builtin_clzll(difference);
    }
    return KEY_BITS;
}
