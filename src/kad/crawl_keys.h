/*
 * The keys that a crawl asks for: to look into one bucket of a peer takes a key that shares exactly so many bits
 * with that peer's own. On the wire stands not the key but bytes whose SHA-256 it is, and those can only be found by
 * trying. Other peers need other prefixes, but of 16 bits there are no more than 65,536: each hash that is tried is kept
 * for all prefixes that it has, 1 to 16 bits, so that what one peer needed serves all others. Complete after some
 * 800,000 hashes (250 ms), of which a network of n servers needs n / k or so. (The same need that
 * go-libp2p-kbucket meets with a list computed beforehand.)
 *
 * Preimages have the form of a peer id, as other implementations may insist on it.
 */
#ifndef PC_KAD_CRAWL_KEYS_H
#define PC_KAD_CRAWL_KEYS_H

#include "base/rng.h"
#include "kad/key.h"

#define PC_KAD_CRAWL_LEVELS     16 /* buckets 0 to 15: deeper ones are full only beyond 1.3 million servers */
#define PC_KAD_CRAWL_HASHES_MAX 0x100000 /* tried for one key; 2^16 are needed on average at the last level */

struct pc_kad_crawl_keys {
    struct pc_peer_id next; /* the preimage tried last, but for its closing counter */
    uint32_t counter;       /* of the last one tried; 0: none yet */
    uint32_t *found;        /* by prefix, a heap: the counter, 0 for none */
};

/* The search begins where `rng` says. ENOMEM. */
int pc_kad_crawl_keys_init(struct pc_kad_crawl_keys *keys, struct pc_rng *rng);
void pc_kad_crawl_keys_deinit(struct pc_kad_crawl_keys *keys);
/* Try so many more: they take the place of older ones, so that not everyone is asked for the same few. */
void pc_kad_crawl_keys_step(struct pc_kad_crawl_keys *keys, uint32_t hashes);
/* The preimage of a key that shares exactly `level` bits with `own`. False: the level is too deep, or none was found
 * within the bound. */
bool pc_kad_crawl_keys_get(struct pc_kad_crawl_keys *keys, const struct pc_kad_key *own, unsigned level,
                           struct pc_peer_id *ret_preimage);

#endif
