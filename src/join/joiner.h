/*
 * The joining plan: which candidate to dial next, and when joining is over. Tell it what happened, ask what
 * to do. Pure. Thin for now: sources given at the start and those met while dialling; endpoints, stagger,
 * shares, racing and backoff have their place here later.
 *
 * Rules:
 * - At most `unstalled_max` dials that are not stalled and `dials_max` in all; once a dial has succeeded, no
 *   more unstalled ones than twice what the missing peers would take at the odds so far. A dial is stalled for good
 *   once it is silent for three typical round trips (the median of the last PC_JOIN_RTT_SAMPLES measured);
 *   until one is measured, for PC_JOIN_STALL_FIRST_US.
 * - Order: the group with the fewest unstalled dials first, so that none gets a second one while another
 *   waits; among those by via (flag and env as one, then cache, endpoint, dht), then as offered.
 * - An address of a peer is dialled once; of one peer one address at a time, and none once it is verified.
 *   At most PEERCACHE_ADDRS_PER_PEER addresses of one peer wait.
 * - Candidates that cannot be dialled (family 0) are given out like all others, in their order, as if of a
 *   group without dials; the caller reports them at once as unsupported, without dialling.
 * - Time is the caller's and never goes back. Joined and timed out are final: what is offered or verified
 *   later is ignored, only dials under way are still to be told ended. Exhaustion ends with a new candidate.
 */
#ifndef PC_JOIN_JOINER_H
#define PC_JOIN_JOINER_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"
#include "base/log.h"

#include <peercache/types.h>

#define PC_JOIN_UNSTALLED_MAX   10
#define PC_JOIN_DIALS_MAX       128
#define PC_JOIN_CANDIDATES_MAX  4096  /* that wait */
#define PC_JOIN_KNOWN_MAX       16384 /* in all, those dialled included: they are remembered until the end */
#define PC_JOIN_TARGET_MAX      1000
#define PC_JOIN_STALL_FIRST_US  300000
#define PC_JOIN_STALL_MIN_US    10000
#define PC_JOIN_RTT_SAMPLES     31
#define PC_JOIN_DIAL_TIMEOUT_US 5000000

struct pc_joiner_options {
    uint32_t target;    /* verified peers to stop at */
    uint32_t min;       /* below it the join failed */
    int64_t timeout_us; /* of the whole join */
    uint32_t unstalled_max;
    uint32_t dials_max;
    int64_t dial_timeout_us;
    enum pc_netgroup_mode mode;
    uint8_t secret[16]; /* random, so that nobody can choose ids and addresses that collide in our maps */
};

struct pc_joiner_candidate {
    struct pc_peer_id id; /* size 0: unknown */
    struct pc_maddr addr;
    struct pc_ip_port ip_port; /* family 0: cannot be dialled (a name, another transport) */
    peercache_via via;
};

struct pc_joiner;

/* EINVAL: not 1 ≤ min ≤ target ≤ PC_JOIN_TARGET_MAX; a limit or time of 0 or less; dials_max over
 * PC_JOIN_DIALS_MAX, unstalled_max over dials_max. ENOMEM. */
int pc_join_new(const struct pc_joiner_options *options, int64_t now_us, struct pc_joiner **ret_joiner);
void pc_join_free(struct pc_joiner *joiner);
/*
 * Offer a candidate; one that is known (same id and address), or of a peer that is verified, is ignored.
 * ELIMIT: too many wait (of this peer, or in all), or are known. ENOMEM.
 */
int pc_join_offer(struct pc_joiner *joiner, const struct pc_joiner_candidate *candidate);
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
/* A peer verified by another way (it dialled us) counts to the target too, once. */
void pc_join_verified_inbound(struct pc_joiner *joiner, const struct pc_peer_id *id);

enum pc_join_phase {
    PC_JOIN_RUNNING,
    PC_JOIN_JOINED,    /* the target is reached */
    PC_JOIN_EXHAUSTED, /* nothing waits, nothing is under way */
    PC_JOIN_TIMED_OUT,
};
enum pc_join_phase pc_join_phase_at(const struct pc_joiner *joiner, int64_t now_us);
/* When to ask again though nothing happened: a stall, or the timeout. PC_TIME_NEVER when over. */
int64_t pc_join_deadline(const struct pc_joiner *joiner);
uint32_t pc_join_verified_count(const struct pc_joiner *joiner);
bool pc_join_was_offered_anything(const struct pc_joiner *joiner);
/* Dials under way, for cancelling: fills numbers, returns how many there are. */
size_t pc_join_dials_under_way(const struct pc_joiner *joiner, uint64_t *ret_dials, size_t capacity);

#endif
