/*
 * The joining plan: whom to dial, which endpoint to fetch, which name to resolve, what to give up, and when to
 * ask again. Pure, and with one entry: an event in, actions out.
 *
 * Sources: peers given by flag and environment, the cache, endpoints and bootstrap peers, the DHT. None is
 * waited for when another can serve; endpoints and bootstrap peers alone wait, for the stagger (stagger.h), and
 * not even that long when the cache has nothing left. Dials follow the rules of joiner.h, fetches those of endpoints.h, names those of names.h.
 *
 * The bound: with any cache whatever, the time to join is at most the time without it plus the stagger plus one
 * round trip. Cached peers leave half of the slots to fresh ones that are expected, and give way after one
 * round trip of silence to those that wait.
 *
 *   running ──target──► joined         again: by event from anywhere, and with `tries_again` by itself, after
 *    │ ▲ └────timeout──► timed out     a decorrelated wait, from timed out with fewer than the minimum
 *    ▼ └─any news─┐
 *   exhausted ────┘
 *
 * The caller acts on every action and tells how it ended; one that it does not tell is given up by the plan
 * after its deadline. Time is the caller's; one that goes back is taken as the latest.
 */
#ifndef PC_JOIN_PLAN_H
#define PC_JOIN_PLAN_H

#include "join/diagnose.h"
#include "join/endpoints.h"
#include "join/filter.h"
#include "join/joiner.h"
#include "join/names.h"
#include "join/stagger.h"

#define PC_JOIN_ROUND_FIRST_US (1 * PC_US_PER_S) /* between rounds, decorrelated */
#define PC_JOIN_ROUND_CAP_US   (300 * PC_US_PER_S)
#define PC_JOIN_FIFTH          5
#define PC_JOIN_BOOTSTRAP_MAX  64
#define PC_JOIN_REST_US        (5 * PC_US_PER_S) /* what comes within it is waited for before a join is told */

struct pc_plan_options {
    struct pc_joiner_options joiner; /* its tries_again: for as long as the node lives */
    struct pc_join_memory memory;
    size_t endpoint_count; /* ≤ PC_JOIN_ENDPOINTS_MAX; they are told by their index */
    const struct pc_joiner_candidate
        *bootstrap;         /* copied; offered once the stagger is over, in every round */
    size_t bootstrap_count; /* ≤ PC_JOIN_BOOTSTRAP_MAX */
    bool exclusive;         /* only given peers: no cache, no endpoint, nobody that others name */
    const struct pc_join_filter *filter; /* copied; NULL: none */
};

enum pc_plan_event_kind {
    PC_PLAN_TIME,            /* nothing but time has passed */
    PC_PLAN_OFFERED,         /* candidate */
    PC_PLAN_DIAL_ENDED,      /* number, outcome, id, rtt_us; OK: verified */
    PC_PLAN_VERIFIED,        /* id, family: not by a dial of the plan */
    PC_PLAN_FETCHED,         /* number, fetch…; its candidates were offered before */
    PC_PLAN_RESOLVED,        /* number, outcome, ips or texts */
    PC_PLAN_ASKING,          /* asking: whether peers are asked for others, who would come as offers */
    PC_PLAN_NETWORK_CHANGED, /* has_ip4, has_ip6 */
    PC_PLAN_AGAIN,           /* the peers are lost: begin another join */
};

struct pc_plan_event {
    enum pc_plan_event_kind kind;
    uint64_t number; /* of the action that ended */
    peercache_outcome outcome;
    const struct pc_joiner_candidate *candidate;
    const struct pc_peer_id *id; /* proven; NULL: that of the candidate */
    uint8_t family;              /* of the address that we reached; 0: the peer dialled us */
    int64_t rtt_us;              /* -1: not measured */
    peercache_fetch fetch;
    uint32_t fetch_usable; /* candidates it brought that may be dialled */
    bool fetch_has_date;
    int64_t clock_ahead_ms;       /* our clock, of the answer's Date */
    const struct pc_ip_port *ips; /* of A and AAAA records */
    size_t ip_count;
    const struct pc_bytes *texts; /* of TXT records */
    size_t text_count;
    bool asking;
    bool has_ip4; /* a route, or not known to have none */
    bool has_ip6;
};

enum pc_plan_action_kind {
    PC_PLAN_DIAL,           /* number, candidate, deadline */
    PC_PLAN_FETCH,          /* number, endpoint, deadline */
    PC_PLAN_RESOLVE,        /* question (its number and deadline), also as number and deadline */
    PC_PLAN_CANCEL_DIAL,    /* number; needs no answer, as all that are cancelled */
    PC_PLAN_CANCEL_FETCH,   /* number */
    PC_PLAN_CANCEL_RESOLVE, /* number */
    PC_PLAN_LOST, /* candidate, outcome: a name that gave nobody to dial (DNS_FAILED, UNSUPPORTED) */
};

struct pc_plan_action {
    enum pc_plan_action_kind kind;
    uint64_t number; /* each of the three kinds counts from 1 */
    int64_t deadline_us;
    size_t endpoint;
    struct pc_joiner_candidate candidate;
    peercache_outcome outcome;
    struct pc_name_question question;
};

/* Counted since the plan was made. */
struct pc_join_metrics {
    int64_t first_verified_us; /* since the begin of the round; -1: not yet */
    int64_t fifth_verified_us;
    uint64_t offered[PEERCACHE_VIA_COUNT];
    uint64_t refused_offers; /* by the networks allowed and denied */
    uint64_t lost_offers;    /* over a limit, or no memory */
    uint64_t dials[PEERCACHE_VIA_COUNT];
    uint64_t ended[PEERCACHE_VIA_COUNT][PEERCACHE_OUTCOME_COUNT];
    uint64_t given_up; /* dials cancelled by the plan */
    uint64_t overdue;  /* of dials, fetches and questions that nobody ended */
    uint64_t cache_hits;
    uint64_t cache_misses;                   /* dials from the cache that failed */
    uint64_t fetches[PEERCACHE_FETCH_COUNT]; /* attempts */
    uint64_t breaker_transitions;
    uint64_t questions;
    uint64_t questions_failed;
    uint64_t rounds;
};

struct pc_join_plan;

/* EINVAL: options of the joiner, too many endpoints. ENOMEM. */
int pc_plan_new(const struct pc_plan_options *options, int64_t now_us, struct pc_join_plan **ret_plan);
void pc_plan_free(struct pc_join_plan *plan);
/*
 * The one entry. Fills up to `capacity` actions; when it fills all, there may be more: the deadline is now,
 * and another step with TIME gives them. Numbers that are not under way are ignored.
 * Errors, of OFFERED alone; actions are given out all the same: EPERM a network that is denied; EUNSUPPORTED
 * a name that is none; ELIMIT too many, of this peer or in all; ENOMEM.
 */
int pc_plan_step(struct pc_join_plan *plan, const struct pc_plan_event *event, int64_t now_us,
                 struct pc_plan_action *ret_actions, size_t capacity, size_t *ret_count);
/* Whether an offer of this kind would come to nothing now, as the round is over: then it is counted, and need not be made. So who
 * lives on, and is told of twenty peers by each answer, need not lay them out. */
bool pc_plan_counts_in_vain(struct pc_join_plan *plan, peercache_via via, int64_t now_us);
/* When to step with TIME though nothing happened. Never before the latest time given; PC_TIME_NEVER: no need. */
int64_t pc_plan_deadline(const struct pc_join_plan *plan);
enum pc_join_phase pc_plan_phase(const struct pc_join_plan *plan);
/* Running or not, nothing is under way and nothing is to be begun now: all that is left waits for its time (a
 * backoff, a breaker, a black hole). For who tells what came of a join and goes on trying. */
bool pc_plan_rests(const struct pc_join_plan *plan);
bool pc_plan_is_hole(const struct pc_join_plan *plan, uint8_t family);
uint32_t pc_plan_verified_count(const struct pc_join_plan *plan);
/* Whether a failed dial of this family (4 or 6) may be counted against its peer. */
bool pc_plan_failure_counts(const struct pc_join_plan *plan, uint8_t family);
/* What was counted in this round, for pc_join_diagnose. */
void pc_plan_facts(const struct pc_join_plan *plan, struct pc_join_facts *ret_facts);
/* How many rounds have begun. */
uint64_t pc_plan_rounds(const struct pc_join_plan *plan);
void pc_plan_metrics(const struct pc_join_plan *plan, struct pc_join_metrics *ret_metrics);
/* State of an endpoint, borrowed until the next step. */
const struct pc_endpoint *pc_plan_endpoint(const struct pc_join_plan *plan, size_t index);
/* Its breaker, to the cache's metadata and back (before the first step). EPARSE: not what save wrote. */
void pc_plan_save_breaker(const struct pc_join_plan *plan, size_t index, int64_t wall_ms,
                          uint8_t ret_bytes[PC_BREAKER_BYTES]);
int pc_plan_load_breaker(struct pc_join_plan *plan, size_t index, struct pc_bytes bytes, int64_t wall_ms);

#endif
