/*
 * When to ask which endpoint. At most PC_JOIN_FETCHES_MAX at once, each attempt with a hard deadline, up to
 * PC_JOIN_FETCH_RETRIES retries; a fetch with its retries is one for the breaker (breaker.h). Healthy ones are
 * asked at once, those with the fewest failures first; and again only when their peers did not suffice.
 *
 * An answer with usable peers is a success at once, and judged again by what becomes of its peers: when all
 * were dialled and none was verified, the success is taken back and a failure counted.
 */
#ifndef PC_JOIN_ENDPOINTS_H
#define PC_JOIN_ENDPOINTS_H

#include "join/breaker.h"

#define PC_JOIN_ENDPOINTS_MAX        32
#define PC_JOIN_FETCHES_MAX          3
#define PC_JOIN_FETCH_RETRIES        2
#define PC_JOIN_FETCH_TIMEOUT_US     (10 * PC_US_PER_S)
#define PC_JOIN_FETCH_RETRY_FIRST_US (500 * PC_US_PER_MS)
#define PC_JOIN_FETCH_RETRY_CAP_US   (5 * PC_US_PER_S)
#define PC_JOIN_FETCH_AGAIN_US       (60 * PC_US_PER_S) /* after an answer that did not suffice */
#define PC_JOIN_FETCH_BACKOFF_US     (2 * PC_US_PER_S)  /* after a failure, decorrelated */
#define PC_JOIN_FETCH_BACKOFF_CAP_US (60 * PC_US_PER_S)
#define PC_JOIN_FETCH_SOON_US        (2 * PC_US_PER_S) /* no dial slots are kept longer for a slow endpoint */
#define PC_JOIN_ANSWER_FRESH_US      (60 * PC_US_PER_S) /* for so long an answer shows that the network works */

enum pc_endpoint_phase {
    PC_ENDPOINT_IDLE,     /* may be asked from ask_at_us on */
    PC_ENDPOINT_ASKED,    /* an attempt is under way */
    PC_ENDPOINT_RETRYING, /* waits for the next attempt, at ask_at_us */
};

struct pc_endpoint {
    struct pc_breaker breaker;
    struct pc_breaker breaker_before; /* the last success, should it be taken back */
    unsigned phase;
    uint64_t fetch; /* number of the attempt under way */
    uint32_t attempts;
    int64_t ask_at_us;
    int64_t wait_us; /* the last one, for the decorrelated next */
    int64_t deadline_us;
    int64_t answered_at_us; /* INT64_MIN: never */
    bool was_asked;         /* in this round */
    bool is_judged;         /* the last success stands or was taken back */
    peercache_fetch last_result;
    uint32_t fetches; /* that ended, with their retries */
    uint32_t delivered;
    uint32_t verified;
    uint32_t batch; /* candidates of the last success */
    uint32_t batch_failed;
    uint32_t batch_silent;
    uint32_t known_failed; /* of the answer under way, candidates that were dialled in vain before it came */
    uint32_t known_verified; /* and those that were verified */
};

struct pc_endpoints {
    size_t count;
    bool asks_again; /* in one round, as long as it takes */
    uint64_t last_fetch;
    size_t under_way;
    struct pc_endpoint endpoints[PC_JOIN_ENDPOINTS_MAX];
};

void pc_endpoints_init(struct pc_endpoints *endpoints, size_t count, bool asks_again);
/* The next fetch to begin now: true, its endpoint's index, number, and deadline. */
bool pc_endpoints_next(struct pc_endpoints *endpoints, int64_t now_us, size_t *ret_index, uint64_t *ret_fetch,
                       int64_t *ret_deadline_us);
/* An attempt ended. `usable`: the candidates it brought that may be dialled. Index of its endpoint, or count
 * when there is no such fetch. */
size_t pc_endpoints_ended(struct pc_endpoints *endpoints, uint64_t fetch, peercache_fetch result,
                          uint32_t usable, bool others_answer, struct pc_rng *rng, int64_t now_us);
/* A candidate of the attempt under way turns out to be known: its peer is verified, or was dialled in vain. */
void pc_endpoints_known(struct pc_endpoints *endpoints, size_t index, bool is_verified);
/* A candidate that this endpoint named was dialled. */
void pc_endpoints_dialled(struct pc_endpoints *endpoints, size_t index, peercache_outcome outcome,
                          bool others_answer, struct pc_rng *rng, int64_t now_us);
/* An attempt that is beyond its deadline: it is to be told ended. */
bool pc_endpoints_overdue(const struct pc_endpoints *endpoints, int64_t now_us, uint64_t *ret_fetch);
/* An attempt under way, for cancelling; PEERCACHE_FETCH_CANCELLED ends it. */
bool pc_endpoints_under_way(const struct pc_endpoints *endpoints, uint64_t *ret_fetch);
/* Until when an attempt under way is expected to answer soon; ≤ now when none is. */
int64_t pc_endpoints_expected_until(const struct pc_endpoints *endpoints);
/* When to ask again: the next attempt that is allowed, or the next deadline. */
int64_t pc_endpoints_deadline(const struct pc_endpoints *endpoints, bool may_begin);
/* An answer may still come in this round without another event: under way, or about to be tried. */
bool pc_endpoints_may_come(const struct pc_endpoints *endpoints, int64_t until_us);
/* Another round: who is idle may be asked. */
void pc_endpoints_again(struct pc_endpoints *endpoints, int64_t now_us);
void pc_endpoints_network_changed(struct pc_endpoints *endpoints, int64_t now_us);
/* Whether an endpoint other than this one answered lately. */
bool pc_endpoints_others_answer(const struct pc_endpoints *endpoints, size_t index, int64_t now_us);

#endif
