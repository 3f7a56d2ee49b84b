/*
 * The iterative lookup: ask the closest known peers for closer ones until the beta closest have all answered
 * or nobody is left. (libp2p/specs kad-dht, "Peer routing".) Lookups know nothing of each other: several may
 * run side by side. Pure; `now_us` never goes back.
 *
 *   waiting ──next──► asked ──answered──► answered
 *                      │ │                   ▲
 *                      │ └──failed──► failed │
 *                      └──overdue──► overdue─┘ answered after all
 *
 * Every request has a deadline: who has not answered by then counts as failed, and the next is asked in his
 * place, but a late answer is still taken. A lookup always ends: at most alpha requests at once and
 * PC_KAD_LOOKUP_MAX_REQUESTS in all: with the defaults 26 times 10 at once, so after 26 timeouts of 10 s when
 * nobody at all answers.
 *
 * What a bad answer can do is bounded: only the k closest peers of an answer are considered; of one network
 * group at most group_max peers are taken in per lookup, nearest first, the failed ones counted; at most
 * PC_KAD_LOOKUP_MAX_PEERS are remembered. So who answers with thousands of ids of his own, however close,
 * gets group_max of them into the result for each network that he holds.
 */
#ifndef PC_KAD_LOOKUP_H
#define PC_KAD_LOOKUP_H

#include "base/time.h"
#include "kad/entry.h"
#include "kad/keys.h"

#define PC_KAD_ALPHA               10
#define PC_KAD_BETA                20 /* all k closest must answer when we look up ourselves, as for a put */
#define PC_KAD_BETA_REFRESH        3  /* enough to meet the peers of a bucket */
#define PC_KAD_LOOKUP_GROUP_MAX    5  /* of k = 20 closest, a quarter */
#define PC_KAD_LOOKUP_MAX_REQUESTS 256
#define PC_KAD_LOOKUP_MAX_PEERS    512
#define PC_KAD_REQUEST_TIMEOUT_US  (10 * PC_US_PER_S) /* a dial included */

struct pc_kad_lookup_options {
    struct pc_kad_key target;
    struct pc_peer_id own_id;
    unsigned alpha;             /* requests at once */
    unsigned beta;              /* how many of the closest must answer */
    unsigned group_max;         /* peers of one group; 0: no limit */
    int64_t request_timeout_us; /* NEVER: the caller tells of every failure */
    uint8_t secret[16];         /* random: strangers choose what is hashed */
    struct pc_kad_keys *keys;   /* borrowed for as long as the lookup is; NULL: each is computed */
};

struct pc_kad_lookup;

/* EINVAL: alpha or beta is 0, or the timeout is not positive. ENOMEM. */
int pc_kad_lookup_new(const struct pc_kad_lookup_options *options, struct pc_kad_lookup **ret_lookup);
void pc_kad_lookup_free(struct pc_kad_lookup *lookup);
/* A peer to begin with. Known ones, our own id and none are ignored, and those beyond the bounds: the farthest
 * that wait give way to nearer ones. ENOMEM. */
int pc_kad_lookup_add(struct pc_kad_lookup *lookup, const struct pc_kad_contact *peer);
/* The next peer to ask, NULL when none may be asked now. It counts as asked; valid while the lookup is: who
 * was asked never gives way. */
const struct pc_kad_entry *pc_kad_lookup_next(struct pc_kad_lookup *lookup, int64_t now_us);
/* A peer whose deadline has passed; call until NULL. It is told of once, and the request may be cancelled. */
const struct pc_kad_entry *pc_kad_lookup_overdue(struct pc_kad_lookup *lookup, int64_t now_us);
/* When the next request is overdue; NEVER. */
int64_t pc_kad_lookup_deadline_us(const struct pc_kad_lookup *lookup);
/* Whether it has the peer, whatever became of it: to be told of it again changes nothing. */
bool pc_kad_lookup_knows(const struct pc_kad_lookup *lookup, const struct pc_peer_id *id);
/* A peer that was asked (or is overdue) answered with these; any number. The answer of another is ignored.
 * ENOMEM: it counts as answered, and some of the peers are not taken in. */
int pc_kad_lookup_answered(struct pc_kad_lookup *lookup, const struct pc_peer_id *id,
                           const struct pc_kad_contact *peers, size_t count);
/* The request failed. One that is not under way is ignored. */
void pc_kad_lookup_failed(struct pc_kad_lookup *lookup, const struct pc_peer_id *id);
/* The beta closest that did not fail have answered, or nobody is left to ask or to wait for. Requests still
 * under way then are of no use. A closer peer told of later makes it undone again. */
bool pc_kad_lookup_done(const struct pc_kad_lookup *lookup);
size_t pc_kad_lookup_request_count(const struct pc_kad_lookup *lookup);
size_t pc_kad_lookup_answered_count(const struct pc_kad_lookup *lookup);
/* Up to `count` closest that answered, nearest first; valid until the next call that changes it. Returns how
 * many. */
size_t pc_kad_lookup_closest(const struct pc_kad_lookup *lookup, const struct pc_kad_entry **ret_entries,
                             size_t count);

#endif
