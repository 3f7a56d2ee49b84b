/*
 * The circuit breaker of one endpoint: so that a broken one is not asked over and over, and a healthy one is
 * never delayed.
 *
 *              failure, the 5th in a row
 *   ┌─► closed ─────────────────────────► open ◄───────────────┐
 *   │                                      │ its wait is over  │ failure (the wait doubles), or
 *   │                                      ▼                   │ nothing learnt (the same wait again)
 *   └───────────── success ─────────── half-open (one probe) ──┘
 *
 * A fetch with its retries is one. Success means usable peers, whatever the HTTP status. What fails where we
 * stand says nothing of the endpoint: no route does not count, and silence counts only while something else
 * answers us.
 */
#ifndef PC_JOIN_BREAKER_H
#define PC_JOIN_BREAKER_H

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"

#include <peercache/types.h>

#define PC_BREAKER_FAILURES_MAX 5
#define PC_BREAKER_WAIT_US      (60 * PC_US_PER_S) /* an eighth more at most, by jitter */
#define PC_BREAKER_WAIT_CAP_US  (3600 * PC_US_PER_S)
#define PC_BREAKER_BYTES        22 /* of the stored form */

enum pc_breaker_state {
    PC_BREAKER_CLOSED,
    PC_BREAKER_OPEN,
    PC_BREAKER_HALF_OPEN,
};
/* "closed", "open", "half_open". */
const char *pc_breaker_state_name(enum pc_breaker_state state);

/* What a fetch showed of its endpoint. */
enum pc_breaker_verdict {
    PC_BREAKER_SUCCESS, /* usable peers */
    PC_BREAKER_FAILURE, /* an answer without any, a refusal, a broken answer */
    PC_BREAKER_SILENCE, /* no answer until the deadline */
    PC_BREAKER_NOTHING, /* no route, given up by us: says nothing */
};

struct pc_breaker {
    unsigned state;       /* enum pc_breaker_state */
    uint32_t failures;    /* in a row, while closed */
    int64_t wait_us;      /* of the opening under way, without jitter; 0 while closed */
    int64_t probe_at_us;  /* when it opens half; while open */
    uint32_t transitions; /* since it was made or loaded, for the metrics */
};

void pc_breaker_init(struct pc_breaker *breaker);
/* When it may be asked: ≤ now at once, PC_TIME_NEVER while the one probe is under way. */
int64_t pc_breaker_ready_at(const struct pc_breaker *breaker);
/* A fetch begins: an open one whose wait is over becomes half-open. Must be ready. */
void pc_breaker_asked(struct pc_breaker *breaker, int64_t now_us);
/* The fetch ended, its retries included. `anything_answers`: something else (endpoint, peer, name server)
 * answered us lately. */
void pc_breaker_ended(struct pc_breaker *breaker, enum pc_breaker_verdict verdict, bool anything_answers,
                      struct pc_rng *rng, int64_t now_us);
/* The network is another: an open one may be probed at once. */
void pc_breaker_network_changed(struct pc_breaker *breaker, int64_t now_us);

/* To bytes for the cache's metadata. A probe under way is stored as open: who reads it starts its own. */
void pc_breaker_save(const struct pc_breaker *breaker, int64_t now_us, int64_t wall_ms,
                     uint8_t ret_bytes[PC_BREAKER_BYTES]);
/* And back, at another time perhaps. A wait that lies further ahead than its length (the clock was set back)
 * is cut to it. EPARSE: not what save wrote; *ret_breaker is untouched. */
int pc_breaker_load(struct pc_bytes bytes, int64_t now_us, int64_t wall_ms, struct pc_breaker *ret_breaker);

#endif
