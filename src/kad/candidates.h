/*
 * Candidates per bucket: peers that were told of (in answers, by the cache) and are neither verified nor in
 * the table, kept by the bucket that they would fill. The bucket of a peer is the number of leading bits it
 * shares with us; in terms of the seed, 255 less ilog2 of the XOR distance.
 *
 * Each bucket keeps its newest few, of one network group at most two, so that neither a flood of names nor
 * one network's names push out the rest. None is in twice, and one that was taken is not taken in again for a
 * while, because the answers of others name the dead for long. Pure; `now_us` never goes back.
 */
#ifndef PC_KAD_CANDIDATES_H
#define PC_KAD_CANDIDATES_H

#include "base/time.h"
#include "kad/entry.h"
#include "kad/keys.h"

#define PC_KAD_CANDIDATES_PER_BUCKET 5                   /* so 1,280 in all */
#define PC_KAD_CANDIDATES_PER_GROUP  2                   /* in a bucket */
#define PC_KAD_CANDIDATES_TAKEN      16                  /* of a bucket, remembered */
#define PC_KAD_CANDIDATE_AGAIN_US    (600 * PC_US_PER_S) /* for how long */

struct pc_kad_candidates;

/* `group_max`: candidates of one group in a bucket, 0: no limit. `keys`: borrowed for as long as these are; NULL: each is computed.
 * ENOMEM. */
int pc_kad_candidates_new(const struct pc_peer_id *own_id, unsigned group_max, struct pc_kad_keys *keys,
                          struct pc_kad_candidates **ret_candidates);
void pc_kad_candidates_free(struct pc_kad_candidates *candidates);
/*
 * A peer was told of that is not in the table. Becomes the newest of its bucket; one known already has its
 * addresses replaced. The oldest of its group gives way when that has its share, else the oldest of all.
 * Ignored: our own id, none, one without addresses, one that was taken lately. ENOMEM.
 */
int pc_kad_candidates_offer(struct pc_kad_candidates *candidates, const struct pc_kad_contact *peer,
                            int64_t now_us);
/* Take the newest of the bucket: it is to be dialled. False: there is none. */
bool pc_kad_candidates_take(struct pc_kad_candidates *candidates, unsigned bucket, int64_t now_us,
                            struct pc_kad_entry *ret_entry);
/* It came into the table, or is known to be foreign. One that is not in is ignored. */
void pc_kad_candidates_remove(struct pc_kad_candidates *candidates, const struct pc_peer_id *id);
size_t pc_kad_candidates_count(const struct pc_kad_candidates *candidates, unsigned bucket);

#endif
