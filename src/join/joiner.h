/*
 * Whom to dial: which candidate next, and when joining is over. Tell it what happened, ask what to do. The
 * half of the joining plan that deals with dials; plan.h puts sources, endpoints and names around it. Pure.
 *
 * Rules:
 * - At most `unstalled_max` dials that are not stalled and `dials_max` in all; once a dial has succeeded, no
 *   more unstalled ones than twice what the missing peers would take at the odds so far. A dial is stalled for good
 *   once it is silent for three typical round trips (the median of the last PC_JOIN_RTT_SAMPLES measured);
 *   until one is measured, for PC_JOIN_STALL_FIRST_US. One round trip is enough while the cache's dials fill
 *   the slots and fresh peers (of endpoints, of the DHT) wait that have less than half.
 * - Order: the group with the fewest unstalled dials first, so that none gets a second one while another
 *   waits; among those by via (flag and env as one, then cache, endpoint, dht), then as offered.
 * - Shares: each source that waits keeps a tenth of the slots, one at least; the cache leaves half to fresh
 *   peers that wait or are expected. With fewer slots than sources they take turns.
 * - An address of a peer is dialled once, or with `tries_again` once more each time its backoff is over; none
 *   is once the peer is verified. Of one peer one address at a time; with `race_us` another one is dialled,
 *   of the other family first, when the one under way is silent for as long, behind everybody's first
 *   address. At most PEERCACHE_ADDRS_PER_PEER addresses of one peer wait.
 * - A family that is a black hole (black_hole.h) is dialled now and then only, one without a route never; who
 *   does not try again does not wait for it.
 * - Candidates that cannot be dialled (family 0) are given out like all others, in their order, as if of a
 *   group without dials; the caller reports them at once as unsupported, without dialling.
 * - Time is the caller's and never goes back. Joined and timed out are final until pc_join_again: what is
 *   offered or verified later is ignored (but who tries again counts who is verified after the time), only dials under way are still to be told ended. Exhaustion ends
 *   with a new candidate.
 */
#ifndef PC_JOIN_JOINER_H
#define PC_JOIN_JOINER_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"
#include "base/log.h"

#include <peercache/types.h>

#define PC_JOIN_UNSTALLED_MAX 10
#define PC_JOIN_DIALS_MAX     128
#define PC_JOIN_CANDIDATES_MAX                                                                               \
    4096 /* of each source, those dialled included: they are remembered until the end */
#define PC_JOIN_TARGET_MAX      1000
#define PC_JOIN_STALL_FIRST_US  300000
#define PC_JOIN_STALL_MIN_US    10000
#define PC_JOIN_RTT_SAMPLES     31
#define PC_JOIN_DIAL_TIMEOUT_US 5000000
#define PC_JOIN_RACE_US         250000
#define PC_JOIN_RACE_PRIVATE_US 30000
#define PC_JOIN_OVERDUE_US      1000000 /* a dial that nobody ended so long after its deadline is given up */

struct pc_joiner_options {
    uint32_t target;    /* verified peers to stop at */
    uint32_t min;       /* below it the join failed */
    int64_t timeout_us; /* of the whole join */
    uint32_t unstalled_max;
    uint32_t dials_max;
    int64_t dial_timeout_us;
    enum pc_netgroup_mode mode;
    int64_t race_us;         /* 0: no racing */
    int64_t race_private_us; /* of private addresses; 0: no racing */
    bool tries_again;        /* addresses that failed, after a backoff */
    uint8_t secret[16]; /* random, so that nobody can choose ids and addresses that collide in our maps */
};

struct pc_joiner_candidate {
    struct pc_peer_id id; /* size 0: unknown */
    struct pc_maddr addr;
    struct pc_ip_port ip_port; /* family 0: cannot be dialled (a name, another transport) */
    peercache_via via;
    uint32_t endpoints; /* which ones named it, a bit each; not looked at here */
};

struct pc_joiner;

/* EINVAL: not 1 ≤ min ≤ target ≤ PC_JOIN_TARGET_MAX; a limit or time of 0 or less; dials_max over
 * PC_JOIN_DIALS_MAX, unstalled_max over dials_max. ENOMEM. */
int pc_join_new(const struct pc_joiner_options *options, int64_t now_us, struct pc_joiner **ret_joiner);
void pc_join_free(struct pc_joiner *joiner);
/*
 * Offer a candidate; one that is known (same id and address), or of a peer that is verified, is not taken twice:
 * its endpoints are added, and one that waits as the cache's becomes that of the source that names it now, for
 * that one is fresher.
 * ELIMIT: too many of this peer wait, or of this source (flag and env are one) are known. ENOMEM.
 */
int pc_join_offer(struct pc_joiner *joiner, const struct pc_joiner_candidate *candidate);
/* As of one that came too late to be taken: pc_join_was_offered_anything. */
void pc_join_note_offered(struct pc_joiner *joiner);
/*
 * The next dial to make now: true and its number (≥ 1, counting up), candidate, and deadline (that of the
 * join, when it comes sooner). Call until false.
 */
bool pc_join_next(struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial,
                  struct pc_joiner_candidate *ret_candidate, int64_t *ret_deadline_us);
/*
 * A dial ended; OK means that its peer is verified. `id` is the proven one; NULL: that of the candidate.
 * rtt_us -1 when not measured. Unknown numbers are ignored.
 */
void pc_join_ended(struct pc_joiner *joiner, uint64_t dial, peercache_outcome outcome,
                   const struct pc_peer_id *id, int64_t rtt_us, int64_t now_us);
/* What has become of a candidate that was offered, or would become of it. */
enum pc_join_fate {
    PC_JOIN_UNKNOWN,
    PC_JOIN_OPEN,     /* waits, rests, or is being dialled */
    PC_JOIN_FAILED,   /* was dialled in vain, and will not be again in this join */
    PC_JOIN_VERIFIED, /* its peer is */
};
enum pc_join_fate pc_join_fate_of(const struct pc_joiner *joiner,
                                  const struct pc_joiner_candidate *candidate);
/* A peer verified by another way (it dialled us, or its dial was none of this join) counts to the target too, once. */
void pc_join_verified_inbound(struct pc_joiner *joiner, const struct pc_peer_id *id);

/*
 * A dial to give up now: true and its number. Its peer is verified by another dial, a stalled one of the
 * cache is in the way of a fresh peer when dials_max are under way, or the join is over. It is over for the
 * joiner with that: no pc_join_ended is needed. Call until false.
 */
bool pc_join_next_cancel(struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial,
                         peercache_via *ret_via);
/* A dial that has been under way for PC_JOIN_OVERDUE_US beyond its deadline, which its caller should have
 * ended: it is to be told ended. */
bool pc_join_overdue(const struct pc_joiner *joiner, int64_t now_us, uint64_t *ret_dial);
/* When that is so for the first dial; NEVER when none is under way. */
int64_t pc_join_overdue_at(const struct pc_joiner *joiner);
/* The candidate of a dial under way. */
bool pc_join_dial_of(const struct pc_joiner *joiner, uint64_t dial,
                     struct pc_joiner_candidate *ret_candidate);
/* Whether candidates of this source are under way, so that the cache leaves room for them. */
void pc_join_expect(struct pc_joiner *joiner, peercache_via via, bool is_expected);
/* An endpoint answered: the network works, at least for TCP. */
void pc_join_endpoint_answered(struct pc_joiner *joiner, int64_t now_us);
/* A peer was verified at an address of this family, by another dial than of this join: it is no black hole. */
void pc_join_reached(struct pc_joiner *joiner, uint8_t family, int64_t now_us);
/* Backoffs and black holes are of the old network: forgotten. */
void pc_join_network_changed(struct pc_joiner *joiner, int64_t now_us);
/* Begin another join with what is known: nobody is verified, the time starts anew. Backoffs stay; candidates
 * that were dialled and do not rest are forgotten, and may be offered again. So are all of a source (other than
 * flag and env) that fills more than half of its room, so that there is room for new ones. */
void pc_join_again(struct pc_joiner *joiner, int64_t now_us);
/* Nothing comes through this family (4 or 6): its failures should not be counted against peers. */
bool pc_join_is_hole(const struct pc_joiner *joiner, uint8_t family);
bool pc_join_is_udp_hole(const struct pc_joiner *joiner);
size_t pc_join_waiting_count(const struct pc_joiner *joiner);
/* Those of this source; flag and env count as one. */
size_t pc_join_waiting_of(const struct pc_joiner *joiner, peercache_via via);
/* Whether a way out is known for a family (4 or 6). Without one its addresses wait. */
void pc_join_set_route(struct pc_joiner *joiner, uint8_t family, bool has_route, int64_t now_us);

enum pc_join_phase {
    PC_JOIN_RUNNING,
    PC_JOIN_JOINED,    /* the target is reached */
    PC_JOIN_EXHAUSTED, /* nothing may be dialled, rests, or is under way */
    PC_JOIN_TIMED_OUT,
};
/* Nothing is under way, and nobody may be dialled now: whoever is left rests, or waits for a black hole. */
bool pc_join_rests(const struct pc_joiner *joiner);
enum pc_join_phase pc_join_phase_at(const struct pc_joiner *joiner, int64_t now_us);
/* When to ask again though nothing happened: a stall, or the timeout. PC_TIME_NEVER when over. */
int64_t pc_join_deadline(const struct pc_joiner *joiner);
uint32_t pc_join_verified_count(const struct pc_joiner *joiner);
bool pc_join_was_offered_anything(const struct pc_joiner *joiner);
/* Dials under way, for cancelling: fills numbers, returns how many there are. */
size_t pc_join_dials_under_way(const struct pc_joiner *joiner, uint64_t *ret_dials, size_t capacity);

#endif
