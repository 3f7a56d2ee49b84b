/*
 * Targets of refreshes: for each of the first 16 buckets a key to look up that lies in it. On the wire stands
 * not the key but bytes whose SHA-256 it is, so a target is a preimage whose hash shares exactly that many
 * bits with our own key. It can only be found by trying, so it is searched once, in slices, and kept. (The
 * same need that go-libp2p-kbucket meets with a list of prefixes computed beforehand.)
 *
 * Bucket i takes 2^(i+1) hashes on average; one search finds all 16 as it goes, the last after 2^16 on
 * average: 65,536 hashes, some 20 ms in all. Deeper ones need no target: of n servers n / 2^16 share 16 bits
 * or more with us, which is at most k = 20 up to 1.3 million servers, and then the lookup of our own id, which
 * finds the k closest, finds them all.
 *
 * Preimages have the form of a peer id, as other implementations may insist on it.
 */
#ifndef PC_KAD_TARGETS_H
#define PC_KAD_TARGETS_H

#include "base/rng.h"
#include "kad/key.h"

#define PC_KAD_TARGETS 16 /* buckets 0 to 15 */

struct pc_kad_targets {
    struct pc_kad_key own_key;
    struct pc_peer_id next;                  /* the next preimage to try: a random one, counted on */
    uint32_t missing;                        /* a bit for each bucket without a target */
    struct pc_peer_id found[PC_KAD_TARGETS]; /* by bucket */
};

/* In the caller's storage; nothing to free. The search begins where `rng` says. */
void pc_kad_targets_init(struct pc_kad_targets *targets, const struct pc_peer_id *own_id, struct pc_rng *rng);
/*
 * Try `hashes` preimages; each replaces the target of its bucket. So steps beyond a complete search renew
 * the targets, those of the largest buckets first: there, one target would always meet the same few of very
 * many peers. Ends as soon as every bucket up to `deepest` has a new one: deeper ones are of no use to who has nobody
 * there, so a node in a network of 20 tries two or so, and one of a thousand tens.
 */
void pc_kad_targets_step(struct pc_kad_targets *targets, uint32_t hashes, unsigned deepest);
/* Every bucket up to `deepest` (of the first 16) has its target. */
bool pc_kad_targets_reach(const struct pc_kad_targets *targets, unsigned deepest);
/* The preimage to ask for, to look into this bucket; false: it has none (yet), or is deeper than 15. */
bool pc_kad_targets_get(const struct pc_kad_targets *targets, unsigned bucket,
                        struct pc_peer_id *ret_preimage);

#endif
