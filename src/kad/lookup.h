/*
 * The iterative lookup: ask the closest known peers for closer ones until the beta closest have all answered
 * or nobody is left. At most alpha requests at once, at most PC_KAD_LOOKUP_MAX_PEERS remembered, so it always
 * ends once every request given out was answered or failed. (libp2p/specs kad-dht, "Peer routing".)
 *
 *   waiting ──next──► asked ──answered──► answered
 *                       └────failed─────► failed
 */
#ifndef PC_KAD_LOOKUP_H
#define PC_KAD_LOOKUP_H

#include "addr/multiaddr.h"
#include "kad/key.h"
#include "kad/table.h"

#define PC_KAD_ALPHA            10
#define PC_KAD_BETA             20 /* all k closest must answer when we look up ourselves, as for a put */
#define PC_KAD_LOOKUP_MAX_PEERS 1024

struct pc_kad_lookup;

/* EINVAL: alpha or beta is 0. ENOMEM. */
int pc_kad_lookup_new(const struct pc_kad_key *target, const struct pc_peer_id *own_id, unsigned alpha,
                      unsigned beta, struct pc_kad_lookup **ret_lookup);
void pc_kad_lookup_free(struct pc_kad_lookup *lookup);
/* Tell of a peer (a seed, or one of an answer). Known ones, our own id and an empty one are ignored; beyond
 * the bound the farthest waiting ones give way. Of the addresses the first PC_KAD_ADDRS_PER_PEER are kept.
 * ENOMEM. */
int pc_kad_lookup_add(struct pc_kad_lookup *lookup, const struct pc_peer_id *id, const struct pc_maddr *addrs,
                      size_t addr_count);
/* The next peer to ask, NULL when none may be asked now. It counts as asked; valid while the
 * lookup is: who was asked never gives way. */
const struct pc_kad_entry *pc_kad_lookup_next(struct pc_kad_lookup *lookup);
/* What became of a peer given out. One that was not asked is ignored. */
void pc_kad_lookup_answered(struct pc_kad_lookup *lookup, const struct pc_peer_id *id);
void pc_kad_lookup_failed(struct pc_kad_lookup *lookup, const struct pc_peer_id *id);
/* The beta closest that did not fail have answered, or nobody is left to ask or to wait for. Requests still
 * under way then are of no use. A closer peer told of later makes it undone again. */
bool pc_kad_lookup_done(const struct pc_kad_lookup *lookup);
size_t pc_kad_lookup_answered_count(const struct pc_kad_lookup *lookup);
/* Up to `count` closest that answered, nearest first; valid until the next call that changes it. Returns how
 * many. */
size_t pc_kad_lookup_closest(const struct pc_kad_lookup *lookup, const struct pc_kad_entry **ret_entries,
                             size_t count);

#endif
