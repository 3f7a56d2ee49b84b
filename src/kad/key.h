/* Kademlia keys of libp2p: SHA-256 of the peer id's bytes; distance is XOR read as a big-endian number. */
#ifndef PC_KAD_KEY_H
#define PC_KAD_KEY_H

#include "addr/peer_id.h"

struct pc_kad_key {
    uint8_t bytes[32];
};

struct pc_kad_key pc_kad_key_of(struct pc_bytes preimage);
struct pc_kad_key pc_kad_key_of_peer(const struct pc_peer_id *id);
/* <0, 0, >0: a is closer to target than b, as close, farther. */
int pc_kad_key_compare(const struct pc_kad_key *target, const struct pc_kad_key *a,
                       const struct pc_kad_key *b);
/* Leading bits that both share, 0 to 256. */
unsigned pc_kad_key_common_prefix(const struct pc_kad_key *a, const struct pc_kad_key *b);

#endif
