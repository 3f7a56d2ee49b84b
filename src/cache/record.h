/*
 * What we know of a peer, and how knowledge merges.
 *
 * A record is a peer id with up to 8 addresses, each with its history. Writers never exchange totals: they
 * commit deltas (so many successes, so many failures, seen at), and applying deltas is commutative and
 * associative: counts add (saturating), times take the latest, round-trip time the newest measurement,
 * failures by kind add, the first source stays, removal is a dated tombstone, caps apply after merging. The
 * score and the state are derived, never merged.
 *
 * Where two say different things at the same moment, an order of values decides and never the order of
 * arrival: of two measurements the lower, of two sources the smaller.
 *
 * A delta always carries the last_seen that its writer knew, moved or not: it dates the delta against
 * tombstones, so that a failure reported from the memory of a process that has not yet heard of a removal
 * does not bring the address back. Whether an address is there is the same in every order (seen after the
 * latest tombstone); the counts are too, but where a tombstone comes after news later than itself: then the
 * whole history stays, for what of it was older can't be told any more. Over the cap of addresses, the counts
 * of one that gave way are gone.
 *
 * Times are UTC milliseconds (wall_ms); 0 is never; one in the future is clamped to now by whoever takes it
 * in. A removal that is kept, and dated by a clock that was wrong, is of just before now: what is seen now
 * comes after it.
 */
#ifndef PC_CACHE_RECORD_H
#define PC_CACHE_RECORD_H

#include "addr/multiaddr.h"
#include "addr/netgroup.h"

#include <peercache/types.h>

#define PC_RTT_UNKNOWN UINT32_MAX
/* A date so far in the future is of a clock that is or was wrong; one that is nearer may be seen by somebody who was told the time long
 * ago. */
#define PC_CACHE_CLOCK_WRONG_MS (3600 * INT64_C(1000))

/* The history of one address; also the shape of a delta. */
struct pc_history {
    uint32_t success_count;
    uint32_t failure_count;                     /* all kinds */
    uint32_t failures[PEERCACHE_OUTCOME_COUNT]; /* by outcome; OK unused */
    int64_t last_seen_ms;
    int64_t last_success_ms;
    int64_t last_attempt_ms;
    uint32_t rtt_us;   /* PC_RTT_UNKNOWN */
    int64_t rtt_at_ms; /* when it was measured; 0 never */
};

struct pc_record_addr {
    struct pc_maddr addr;
    struct pc_history history;
    peercache_source source;         /* the first */
    struct pc_netgroup source_group; /* of whoever told us first */
    int64_t first_seen_ms;
};

struct pc_record {
    struct pc_peer_id id; /* size 0: known by address only, then exactly one address */
    peercache_state state;
    uint32_t bucket;
    uint8_t addr_count;
    struct pc_record_addr addrs[PEERCACHE_ADDRS_PER_PEER];
};

/* One writer's news of one address of one peer, or of a peer's removal. */
struct pc_delta {
    struct pc_peer_id id;
    struct pc_maddr addr;      /* size 0: only with `removed` */
    struct pc_history history; /* counts are increments */
    peercache_source source;
    struct pc_netgroup source_group;
    int64_t first_seen_ms;
    int64_t removed_ms;    /* not 0: a tombstone; what was seen at or before it goes. With an address: that
                              address only */
    bool trusted;          /* of a trusted import: quotas don't bind it, and its state is `state` */
    peercache_state state; /* only when trusted */
    bool only_if_known;    /* of an address whose record its writer has not in memory: it makes none */
    struct pc_peer_id proven_id; /* not size 0: the address, known without id, is this peer's: what is known
                                    of it moves there, and the news of this delta too */
};

/* A history that says nothing. */
void pc_cache_history_init(struct pc_history *ret_history);
/* Merge `from` into `into`: the rule above. */
void pc_cache_history_merge(struct pc_history *into, const struct pc_history *from);
/* A delta that says nothing yet of this address of this peer; `addr` may be empty. */
void pc_cache_delta_init(struct pc_delta *ret_delta, const struct pc_peer_id *id, struct pc_bytes addr);
/* Merge a later delta of the same peer and address into an earlier one. */
void pc_cache_delta_merge(struct pc_delta *into, const struct pc_delta *from);

/* A record without addresses. */
void pc_cache_record_init(struct pc_record *ret_record, const struct pc_peer_id *id);
/* Apply a delta of the same peer id to a record; times in its future are clamped to now. Returns whether
 * anything changed. A ninth address replaces the least useful (fewest successes, then oldest last_seen) if it
 * is more useful. A tombstone goes first, and takes what was seen until then, or is dated by a clock that was
 * wrong; what the delta says besides counts only if seen after it. Addresses
 * are kept in the order of their bytes, and the state is set anew; the bucket is the owner's (bucket.h). */
bool pc_cache_record_apply(struct pc_record *record, const struct pc_delta *delta, int64_t now_ms);
/* The history of an address of the record, NULL when it has no such one. */
struct pc_record_addr *pc_cache_record_find(struct pc_record *record, struct pc_bytes addr);
/* Take an address out by its place. */
void pc_cache_record_take_out(struct pc_record *record, size_t at);
/* Take the least useful address out; there is one at least. */
void pc_cache_record_shed(struct pc_record *record);
/* When a removal that is kept took place, for somebody to whom it is now. */
int64_t pc_cache_removal_date(int64_t removed_ms, int64_t now_ms);
/* The same as apply, where a removal of the address or of its peer is kept (0: none) from before: news of what was seen until then
 * says nothing. */
bool pc_cache_record_apply_after(struct pc_record *record, const struct pc_delta *delta, int64_t removed_ms,
                                 int64_t now_ms);
/* The record has nothing left to say (all addresses removed). */
bool pc_cache_record_empty(const struct pc_record *record);

#endif
