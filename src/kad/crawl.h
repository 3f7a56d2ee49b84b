/*
 * The frontier of a crawl: of all peers that a DHT's members tell of, whom to dial next and what to ask it, until
 * everyone who was told of has been met or cannot be. Pure.
 *
 *   waiting ──next──► dialled ──opened──► asked ──the last question──► visited
 *      ▲               │   │
 *      │  it has another   └──failed at its last address──► failed
 *      ├── address ────┘                                      │
 *      └──────────── told of at an address not tried yet ◄────┘
 *
 * A peer's table is read bucket by bucket, from the far half of the key space towards itself: a question is a key that
 * shares exactly 0, 1, 2, … bits with the peer's own. Who answers gives the k closest to the key that it knows: first
 * those of the bucket, then all of the nearer buckets, then of the farther ones. So the first answer that holds one of a
 * farther bucket has shown all that is nearer, and the visit is over, after log2(n / k) + 1 questions or so in a network of
 * n. It is over too when an answer says nothing but what the one before it said (of tables that hold less than k), and
 * after PC_KAD_CRAWL_LEVELS questions in any case. (go-libp2p-kad-dht's crawler and nebula ask for all 16 levels.)
 *
 * What lies can do is bounded:
 *   - peers_max are taken in, of them at most group_max at home in one network group, and at most a quarter told of
 *     by the peers of one group. Who is passed over is counted.
 *   - of one answer k peers count, so one peer tells of 16 k at most.
 *   - groups are dialled in turn, and so one that floods the crawl with peers does not hold the others up.
 *   - a peer has at most PC_KAD_CRAWL_ADDRS addresses, tried one after the other, each once; so one that is told of at
 *     wrong addresses first is found at its right one. Who has proven to be of another network is not dialled again.
 * Every peer is in one map, each group in another: nothing is searched for.
 */
#ifndef PC_KAD_CRAWL_H
#define PC_KAD_CRAWL_H

#include "addr/netgroup.h"
#include "base/rng.h"
#include "kad/crawl_keys.h"
#include "kad/entry.h"

#include <peercache/types.h>

#define PC_KAD_CRAWL_PEERS_MAX       100000
#define PC_KAD_CRAWL_GROUP_MAX       5000 /* an IPv4 /16 of a hosting company holds many */
#define PC_KAD_CRAWL_GROUP_MAX_LOCAL 16   /* in local mode a group is one ip:port */
#define PC_KAD_CRAWL_ADDRS           6

struct pc_kad_crawl_options {
    struct pc_peer_id own_id;
    enum pc_netgroup_mode mode;
    uint32_t concurrency; /* peers dialled and asked at once; not 0 */
    uint32_t peers_max;   /* not 0 */
    uint32_t group_max;   /* not 0 */
    struct pc_rng *rng;   /* used during _new only */
};

/* A peer as it is told of. Borrowed for one call. */
struct pc_kad_crawl_told {
    struct pc_peer_id id;
    const struct pc_ip_port *addrs; /* that may be dialled, best first */
    size_t addr_count;
    peercache_outcome refusal; /* why there is none of those: UNSUPPORTED or DENIED */
};

/* Of peers. */
struct pc_kad_crawl_counts {
    uint32_t known;
    uint32_t left_out; /* times that one was told of and passed over for a limit */
    uint32_t dialed;   /* at least once */
    uint32_t alive;    /* who opened */
    uint32_t silent;   /* of them: who left a question unanswered */
    uint32_t waiting;
    uint32_t under_way;
    uint32_t ended
        [PEERCACHE_OUTCOME_COUNT]; /* OK: visited; else how the last dial failed, or why there was none */
    uint64_t questions;
    uint64_t answers;
};

struct pc_kad_crawl_dial {
    struct pc_peer_id id;
    struct pc_ip_port addr;
};

struct pc_kad_crawl;

/* EINVAL: a 0 where none may be. ENOMEM. */
int pc_kad_crawl_new(const struct pc_kad_crawl_options *options, struct pc_kad_crawl **ret_crawl);
void pc_kad_crawl_free(struct pc_kad_crawl *crawl);
/* A peer to begin with. Our own id and none are ignored; of a known one the addresses that are new are kept. ENOMEM. */
int pc_kad_crawl_add(struct pc_kad_crawl *crawl, const struct pc_kad_crawl_told *peer);
/* The next peer to dial, or, if the caller has a connection, to ask: it counts as under way from now on. False: none may be
 * dialled now. */
bool pc_kad_crawl_next(struct pc_kad_crawl *crawl, struct pc_kad_crawl_dial *ret_dial);
/* A dial failed. `is_final`: whoever is there, other addresses lead to the same. True: the peer has ended, with this
 * outcome; false: it has another address, and waits again (or is not under way). */
bool pc_kad_crawl_failed(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, peercache_outcome outcome,
                         bool is_final);
/* A peer that was dialled is there, and of our network: it may be asked. ENOMEM: it has ended, as OK and silent.
 * ENOTFOUND: it was not dialled. */
int pc_kad_crawl_opened(struct pc_kad_crawl *crawl, const struct pc_peer_id *id);
/* What to ask it now. False: nothing more, and it has ended as OK; or it is not being asked. */
bool pc_kad_crawl_ask(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, struct pc_peer_id *ret_key);
/* It answered. ENOMEM: it counts as answered, and some of the peers are not taken in. */
int pc_kad_crawl_answered(struct pc_kad_crawl *crawl, const struct pc_peer_id *id,
                          const struct pc_kad_crawl_told *peers, size_t count);
/* It did not, and is asked no more: it has ended, as MISBEHAVED if that is why, else as OK, and silent. False: it is not
 * being asked. */
bool pc_kad_crawl_unanswered(struct pc_kad_crawl *crawl, const struct pc_peer_id *id, peercache_outcome why);
/* Whether the peer opens for the first time; it is remembered. One that is not known is none. */
bool pc_kad_crawl_first_met(struct pc_kad_crawl *crawl, const struct pc_peer_id *id);
/* Nobody waits, and nobody is under way. */
bool pc_kad_crawl_done(const struct pc_kad_crawl *crawl);
const struct pc_kad_crawl_counts *pc_kad_crawl_counts(const struct pc_kad_crawl *crawl);

#endif
