/*
 * The joiner: the joining plan for an application with its own network stack. Tell it what happened, and it
 * says whom to dial, which endpoint to fetch, which name to resolve, what to give up, and when to ask again.
 * It does no input or output, has no threads and no global state, and reads no clock.
 *
 * Argument order as in peercache.h: the handle, what is acted on, options, the time, outputs. Of the time only
 * mono_us is used; one that goes back is taken as the latest given.
 *
 * The loop: offer what is known (given peers, the picks of a cache), then
 *
 *     while (peercache_joiner_next(joiner, now, &action) == 1)
 *         begin(action);                       // each has a number and a deadline
 *     wait until peercache_joiner_deadline_us() or until something ended; tell it; again
 *
 * What is begun is to be told ended, by the function its kind names; what is not is given up a second after
 * its deadline at the latest, with a CANCEL. A CANCEL needs no answer (nor does LOST), and a number that is not under way is
 * ignored, so that an answer may cross a CANCEL.
 *
 * Limits: 10 dials that are not stalled and 128 in all, 3 fetches, 8 questions at once; 4,096 candidates that
 * wait; 32 endpoints; 64 names; 256 networks allowed and denied.
 */
#ifndef PEERCACHE_JOINER_H
#define PEERCACHE_JOINER_H

#include <peercache/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peercache_joiner peercache_joiner;
typedef struct peercache_joiner_options peercache_joiner_options;

/* Options with their defaults; NULL when memory is out. Freed by the caller, also after new: new copies. */
PEERCACHE_API peercache_joiner_options *peercache_joiner_options_new(void);
PEERCACHE_API void peercache_joiner_options_free(peercache_joiner_options *options);
/* Verified peers to stop at, and below which the join failed. 1 ≤ min ≤ target ≤ 1,000, else EINVAL. Default:
 * 5 and 1. */
PEERCACHE_API int peercache_joiner_options_set_target(peercache_joiner_options *options, uint32_t target,
                                                      uint32_t min);
/* Of the whole join; 0 is EINVAL. Default: 30,000. */
PEERCACHE_API int peercache_joiner_options_set_timeout_ms(peercache_joiner_options *options,
                                                          uint32_t timeout_ms);
/* Endpoints that there are, told apart by their index; at most 32, else EINVAL. Default: 0. */
PEERCACHE_API int peercache_joiner_options_set_endpoints(peercache_joiner_options *options, size_t count);
/* What the cache was worth last time, from which follows how long endpoints wait for it (at most 500 ms).
 * Default: an empty cache, for which nothing waits. */
PEERCACHE_API void peercache_joiner_options_set_memory(peercache_joiner_options *options, uint32_t candidates,
                                                       int64_t age_ms, uint32_t last_verified);
/* Each ip:port is its own group, for tests on one host. Default: false. */
PEERCACHE_API void peercache_joiner_options_set_local(peercache_joiner_options *options, bool local);
/* Only candidates via flag and env count; endpoints are not asked. Default: false. */
PEERCACHE_API void peercache_joiner_options_set_exclusive(peercache_joiner_options *options, bool exclusive);
/* Try again with growing waits for as long as the joiner lives. Default: false. */
PEERCACHE_API void peercache_joiner_options_set_keep_trying(peercache_joiner_options *options,
                                                            bool keep_trying);
/* A network in CIDR form that may not be dialled, or may within one that may not: the longest prefix decides.
 * EPARSE: no network. ELIMIT. */
PEERCACHE_API int peercache_joiner_options_deny(peercache_joiner_options *options, const char *cidr);
PEERCACHE_API int peercache_joiner_options_allow(peercache_joiner_options *options, const char *cidr);
/* 16 random bytes, so that nobody can foresee jitter and hashing. To be set; default: zeroes, for tests. */
PEERCACHE_API void peercache_joiner_options_set_secret(peercache_joiner_options *options,
                                                       const uint8_t secret[16]);

/* A joiner; the join begins now. ENOMEM. */
PEERCACHE_API int peercache_joiner_new(const peercache_joiner_options *options, peercache_time now,
                                       peercache_joiner **ret_joiner);
/* NULL does nothing. */
PEERCACHE_API void peercache_joiner_free(peercache_joiner *joiner);

/*
 * Offer a candidate: a multiaddr in text, with or without /p2p/ID. `endpoint` is the index of the one it came
 * from, when `via` is PEERCACHE_VIA_ENDPOINT, else 0. Known ones are ignored. A name becomes RESOLVE actions;
 * the addresses behind it are dialled if they are of QUIC v1.
 * Errors: EPARSE no multiaddr; EUNSUPPORTED a name that is no host name; EPERM a network that is denied; EINVAL
 * via or endpoint; ELIMIT; ENOMEM.
 */
PEERCACHE_API int peercache_joiner_offer(peercache_joiner *joiner, const char *addr, peercache_via via,
                                         size_t endpoint, peercache_time now);

typedef enum peercache_joiner_action_kind {
    PEERCACHE_JOINER_DIAL,    /* addr, peer_id; tell dial_ended */
    PEERCACHE_JOINER_FETCH,   /* endpoint; offer what it brings, then tell fetched */
    PEERCACHE_JOINER_RESOLVE, /* name, record; tell resolved */
    PEERCACHE_JOINER_CANCEL_DIAL,
    PEERCACHE_JOINER_CANCEL_FETCH,
    PEERCACHE_JOINER_CANCEL_RESOLVE,
    PEERCACHE_JOINER_LOST, /* addr, peer_id, outcome: a name gave nobody to dial; nothing to tell */
} peercache_joiner_action_kind;

typedef enum peercache_record {
    PEERCACHE_RECORD_A,
    PEERCACHE_RECORD_AAAA,
    PEERCACHE_RECORD_TXT,
} peercache_record;

typedef struct peercache_joiner_action {
    peercache_joiner_action_kind kind;
    uint64_t number;                            /* dials, fetches and questions each count from 1 */
    int64_t deadline_us;                        /* on the clock of mono_us */
    char addr[PEERCACHE_ADDR_TEXT_BYTES];       /* multiaddr without /p2p/ID */
    char peer_id[PEERCACHE_PEER_ID_TEXT_BYTES]; /* "" when not known */
    peercache_via via;
    peercache_outcome outcome;
    size_t endpoint;
    char name[264];
    peercache_record record;
} peercache_joiner_action;

/* What to do now. 1: *ret_action, call again; 0: nothing more until an event or the deadline. */
PEERCACHE_API int peercache_joiner_next(peercache_joiner *joiner, peercache_time now,
                                        peercache_joiner_action *ret_action);
/* When to call next though nothing happened, on the clock of mono_us; INT64_MAX: no need. */
PEERCACHE_API int64_t peercache_joiner_deadline_us(const peercache_joiner *joiner);

/* A dial ended; OK: its peer is verified. `peer_id` is the proven one, NULL for that of the action; rtt_ms is
 * -1 when not measured. EPARSE: bad peer id. EINVAL: outcome. */
PEERCACHE_API int peercache_joiner_dial_ended(peercache_joiner *joiner, uint64_t number,
                                              peercache_outcome outcome, const char *peer_id, int32_t rtt_ms,
                                              peercache_time now);
/* A peer that dialled us is verified: it counts to the target, once. EPARSE. */
PEERCACHE_API int peercache_joiner_verified_inbound(peercache_joiner *joiner, const char *peer_id,
                                                    peercache_time now);

/* `usable`: how many candidates it brought that may be dialled, of NOT_MODIFIED those of the answer that still holds; 0 is
 * a failure of the endpoint. `date_ms`: wall time of its Date header, 0
 * when there is none; it is compared with now.wall_ms. EINVAL: result. */
PEERCACHE_API int peercache_joiner_fetched(peercache_joiner *joiner, uint64_t number, peercache_fetch result,
                                           uint32_t usable, int64_t date_ms, peercache_time now);
/* A question ended. `answers`: IP addresses in text for A and AAAA, the texts of TXT records; those that are
 * malformed are passed over. EINVAL: outcome. */
PEERCACHE_API int peercache_joiner_resolved(peercache_joiner *joiner, uint64_t number,
                                            peercache_outcome outcome, const char *const *answers,
                                            size_t count, peercache_time now);
/* Another network: retry at once. A family without a route is not dialled. */
PEERCACHE_API void peercache_joiner_network_changed(peercache_joiner *joiner, bool has_ip4, bool has_ip6,
                                                    peercache_time now);
/* The peers are lost: join again, with what was learnt. */
PEERCACHE_API void peercache_joiner_again(peercache_joiner *joiner, peercache_time now);

typedef enum peercache_joiner_phase {
    PEERCACHE_JOINER_RUNNING,
    PEERCACHE_JOINER_JOINED,
    PEERCACHE_JOINER_EXHAUSTED, /* nothing left to try: a new candidate is */
    PEERCACHE_JOINER_TIMED_OUT,
} peercache_joiner_phase;

PEERCACHE_API peercache_joiner_phase peercache_joiner_phase_now(const peercache_joiner *joiner);
PEERCACHE_API uint32_t peercache_joiner_verified(const peercache_joiner *joiner);
/* The likely cause when fewer than the target are verified, a word of a closed list ("no_sources",
 * "udp_blocked", …; "none" at the target), and with ret_next_step (may be NULL) the next step in a sentence.
 * Texts of the program, never freed. */
PEERCACHE_API const char *peercache_joiner_cause(const peercache_joiner *joiner, const char **ret_next_step);
/* Whether a failed dial of this family (4 or 6) says anything of the peer: not while the family is a black
 * hole, or there is no route. */
PEERCACHE_API bool peercache_joiner_failure_counts(const peercache_joiner *joiner, int family);

/* The circuit breaker of an endpoint, to be kept over a restart. EINVAL: no such endpoint. load, before the
 * first next: EPARSE not what save wrote. */
#define PEERCACHE_BREAKER_BYTES 22
PEERCACHE_API int peercache_joiner_save_breaker(const peercache_joiner *joiner, size_t endpoint,
                                                peercache_time now,
                                                uint8_t ret_bytes[PEERCACHE_BREAKER_BYTES]);
PEERCACHE_API int peercache_joiner_load_breaker(peercache_joiner *joiner, size_t endpoint,
                                                const uint8_t bytes[PEERCACHE_BREAKER_BYTES],
                                                peercache_time now);

#ifdef __cplusplus
}
#endif
#endif
