/* Kademlia keys of libp2p: SHA-256 of the peer id's bytes; distance is XOR read as a big-endian number. */
#ifndef PC_KAD_KEY_H
#define PC_KAD_KEY_H

#include "addr/peer_id.h"

struct pc_kad_key {
    uint8_t bytes[32];
};

/* Eight of its bytes from `at` on, as a big-endian number, whose order is that of the bytes. */
static inline uint64_t pc_kad_key_word(const struct pc_kad_key *key, size_t at)
{
    const uint8_t *b = key->bytes + at;
    return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 | (uint64_t)b[3] << 32 |
           (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 | (uint64_t)b[6] << 8 |
           b[7]; /* one load: a loop would be eight */
}

struct pc_kad_key pc_kad_key_of(struct pc_bytes preimage);
struct pc_kad_key pc_kad_key_of_peer(const struct pc_peer_id *id);
/* <0, 0, >0: a is closer to target than b, as close, farther. */
int pc_kad_key_compare(const struct pc_kad_key *target, const struct pc_kad_key *a,
                       const struct pc_kad_key *b);
/* Leading bits that both share, 0 to 256. */
unsigned pc_kad_key_common_prefix(const struct pc_kad_key *a, const struct pc_kad_key *b);

#endif
