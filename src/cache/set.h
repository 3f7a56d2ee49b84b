/*
 * The working set: a bounded part of the cache in memory, and the deltas not yet committed. Pure: no disk;
 * the owner loads records into it and commits the batches it gives.
 *
 * Failures that may be ours (TIMEOUT, UNREACHABLE, DNS_FAILED) are held back while nothing at all answers,
 * and counted at the first success or real answer of any kind (pc_cache_set_answered); last_attempt always
 * moves at once. REFUSED, TLS_FAILED, WRONG_IDENTITY, PROTOCOL_MISMATCH and MISBEHAVED are real answers and
 * count at once. UNSUPPORTED, DENIED and CANCELLED say nothing of the peer and count nothing. WRONG_IDENTITY
 * and PROTOCOL_MISMATCH take the address out at once (a tombstone).
 */
#ifndef PC_CACHE_SET_H
#define PC_CACHE_SET_H

#include "base/rng.h"
#include "cache/ban.h"
#include "cache/pack.h"
#include "cache/rate.h"
#include "cache/record.h"

#define PC_CACHE_SET_DEFAULT_PEERS 10000
#define PC_CACHE_BATCH_MAX         1000
#define PC_CACHE_PENDING_MAX       1000000 /* deltas; beyond it what is only heard of is refused */
#define PC_CACHE_PENDING_PER_PEER  16      /* deltas of one peer */
#define PC_CACHE_HELD_MAX          1024    /* failures held back; the oldest gives way */
#define PC_CACHE_OWN_ADDRS_MAX     64
#define PC_CACHE_PICK_MAX          4096 /* candidates of one pick */
#define PC_CACHE_CONTESTS_MAX      10 /* tried ones whose place a newcomer waits for; the oldest gives way */
#define PC_CACHE_CONTEST_MS                                                                                  \
    (INT64_C(40) * 60 * 1000)      /* then it is given up until the newcomer's next success */
#define PC_CACHE_SOURCE_RATES 4096 /* sources told apart by their rates; those of one hash share one */

struct pc_cache_set_options {
    uint32_t peers_max;
    uint32_t addrs_max;                /* of a peer; 0: as many as a record holds */
    uint32_t record_max_bytes;         /* of a peer as packed; 0: no such cap */
    struct pc_rate_limit source_limit; /* of add, for each source; all zeroes: none */
    struct pc_rate_limit total_limit;  /* of add, for all together */
    bool is_part; /* the store has more than was loaded: news of strangers goes to it, for those it knows */
    bool memory_only;   /* there is no store: no deltas are kept */
    bool count_at_once; /* hold no failures back: an application reports, and it knows */
    enum pc_netgroup_mode mode;
    bool admits_private;      /* private addresses are stored in public mode too: the owner judges them */
    uint8_t secret[16];       /* of the store; buckets hash under it */
    struct pc_peer_id own_id; /* never stored; size 0: none */
};

struct pc_cache_set;

int pc_cache_set_new(const struct pc_cache_set_options *options, struct pc_cache_set **ret_set);
void pc_cache_set_free(struct pc_cache_set *set);

/*
 * Memory: a peer is kept packed, in one piece of about 130 bytes for one address; the records given out are
 * unpacked copies.
 *
 * Room: by buckets (bucket.h); who gives way opens peers.c. A verified newcomer that meets a full bucket
 * stays new, and the one it would displace is to be tested first: pick offers it, and pc_cache_set_to_test
 * names it. When it fails, they change places.
 */

/* Take in a record as the store has it, its state too (NEW where nothing is verified): replaces what was
 * loaded before; deltas still pending here are laid over it again. A record without addresses is one that was
 * removed. Loading is no news: the set's time stays, and who does not know the time yet gives INT64_MAX. What
 * is banned is left out; and a peer of a batch that failed stays as it is until that is committed, for the record may hold
 * its news already, and they would count twice. ENOMEM; ELIMIT the set is full of others worth as much. */
int pc_cache_set_load(struct pc_cache_set *set, const struct pc_record *record, int64_t now_ms);
/* Whether the store has more than was loaded (as the option is_part). */
void pc_cache_set_part(struct pc_cache_set *set, bool is_part);
/* Another process removed it. */
void pc_cache_set_unload(struct pc_cache_set *set, const struct pc_peer_id *id);

/* Heard of again within this time is no news: nothing changes, the date of its sighting neither, and no rate is drawn on. */
#define PC_CACHE_HEARD_AGAIN_MS (INT64_C(60) * 1000)

/*
 * Heard of an address, with or without an id. Goes through pc_addr_storable. EUNSUPPORTED with reason; EINVAL
 * our own id or one of our own addresses; EPERM banned; ENOMEM; ELIMIT no room: in its bucket, or too much is
 * pending, or over a rate (which what flags and the environment say is free of).
 */
int pc_cache_set_add(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                     bool names_allowed, peercache_source source, const struct pc_netgroup *source_group,
                     int64_t now_ms, struct pc_reason *ret_reason);
/* Counts on whenever an address may have left the set, or may not be stored any more: while it is the same, what was added
 * is in. */
uint64_t pc_cache_set_losses(const struct pc_cache_set *set);
/* News in the shape of a delta, of an address that may be stored: an import into a cache that is in memory only.
 * Trusted ones (of a trusted import) no bucket turns away. *ret_known: the address was in. ENOMEM; ELIMIT. */
int pc_cache_set_take_in(struct pc_cache_set *set, const struct pc_delta *delta, int64_t now_ms,
                         bool *ret_known);
/* Our own listening addresses: never stored, dropped if they are in, under whatever id (a node with a fresh
 * identity would else dial itself after a restart). ENOMEM; ELIMIT too many. */
int pc_cache_set_own_addr(struct pc_cache_set *set, struct pc_bytes addr);
bool pc_cache_set_is_own_addr(const struct pc_cache_set *set, struct pc_bytes addr);
/* It is ours no more: may be stored again. */
void pc_cache_set_disown_addr(struct pc_cache_set *set, struct pc_bytes addr);
/*
 * A dial is about to be made: last_attempt moves.
 */
void pc_cache_set_attempt(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                          int64_t now_ms);
/*
 * What became of a dial. `id` as the candidate had it (size 0: known by address only), `proven` the id that
 * the handshake showed, or NULL. OK: success_count, last_success, last_seen, rtt; the peer becomes tried. A
 * peer or address that is not in the set is added on OK only, if it may be stored. `rtt_us` may be
 * PC_RTT_UNKNOWN. ENOMEM; ENOTFOUND; ELIMIT; of an OK also EUNSUPPORTED and EINVAL as in add.
 */
int pc_cache_set_report(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                        peercache_outcome outcome, const struct pc_peer_id *proven, uint32_t rtt_us,
                        peercache_source source, int64_t now_ms);
/* All there is to tell of one or several dials. */
struct pc_cache_report {
    peercache_outcome outcome;
    uint32_t count;                  /* of dials with this outcome; one at least */
    bool unverified;                 /* of OK: last_seen moves, and nothing else */
    uint32_t rtt_us;                 /* PC_RTT_UNKNOWN */
    const struct pc_peer_id *proven; /* NULL: not told */
    peercache_source source;         /* of one that is not in yet */
};
/* As above; also EPERM a stranger that is banned. */
int pc_cache_set_report_more(struct pc_cache_set *set, const struct pc_peer_id *id, struct pc_bytes addr,
                             const struct pc_cache_report *report, int64_t now_ms);
/* Something answered (a peer or an endpoint): failures held back so far count. ENOMEM. */
int pc_cache_set_answered(struct pc_cache_set *set, int64_t now_ms);
/* Local evidence (no route, no interface): failures held back are dropped. */
void pc_cache_set_drop_held(struct pc_cache_set *set);
/* The same of one family (4 or 6) alone, through which nothing comes here. */
void pc_cache_set_drop_held_of(struct pc_cache_set *set, uint8_t family);
int pc_cache_set_remove(struct pc_cache_set *set, const struct pc_peer_id *id, int64_t now_ms);
/* The same of a record as the store has it, in the set or not, by id or by address. */
int pc_cache_set_remove_record(struct pc_cache_set *set, const struct pc_record *record, int64_t now_ms);

/* Bans, of which the set keeps no more than memory: what they cover leaves it at once and stays out. ENOMEM;
 * ELIMIT; of unban ENOTFOUND. */
int pc_cache_set_ban(struct pc_cache_set *set, const struct pc_ban *bans, size_t count);
int pc_cache_set_unban(struct pc_cache_set *set, const struct pc_ban *ban);
const struct pc_bans *pc_cache_set_bans(const struct pc_cache_set *set);
/* Take what bans cover out of a record; whether anything is left of it. */
bool pc_cache_bans_filter(const struct pc_bans *bans, struct pc_record *record);

size_t pc_cache_set_count(const struct pc_cache_set *set);
/* NULL when not in; valid until the set changes or the next find. The bucket is as loaded, or as it will be
 * stored. */
const struct pc_record *pc_cache_set_find(const struct pc_cache_set *set, const struct pc_peer_id *id);
/* The same of an address known without id. */
const struct pc_record *pc_cache_set_find_addr(const struct pc_cache_set *set, struct pc_bytes addr);
/* Walk in no particular order: start with NULL, then give what it returned last; valid until the set changes
 * or the next step. */
const struct pc_record *pc_cache_set_next(const struct pc_cache_set *set, const struct pc_record *record);

struct pc_pick {
    struct pc_peer_id id;
    struct pc_maddr addr;
    peercache_state state;
    int32_t score; /* 0 to 1000 */
    uint32_t rtt_us;
};
/* Which candidates. All zeroes lets everything pass. Keys are those of pack.h, sorted by
 * pc_cache_key_compare. */
struct pc_pick_filter {
    bool quic_only;      /* only addresses this library can dial itself */
    bool rested;         /* none that is left alone for now (pc_cache_rests) */
    uint32_t transports; /* bits of peercache.h's PEERCACHE_TRANSPORT_…; 0: any */
    uint32_t families;   /* PEERCACHE_FAMILY_…; 0: any */
    const struct pc_cache_key *left_out;
    size_t left_out_count;
};
int pc_cache_key_compare(const void *a, const void *b);
/*
 * Up to `count` candidates, one address a peer, the likely-alive first, spread over groups, a share of one in
 * eight of new ones (rounded up when count ≥ 4) when there are any. Deterministic under the rng. `quic_only`:
 * only addresses this library can dial itself. The algorithm opens pick.c. Fewer than there are when memory
 * is out.
 */
size_t pc_cache_set_pick(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms, bool quic_only,
                         struct pc_pick *ret_picks, size_t count);
/* The same under a filter, which is borrowed; NULL lets everything pass. ENOMEM. */
int pc_cache_set_pick_filtered(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms,
                               const struct pc_pick_filter *filter, struct pc_pick *ret_picks, size_t count,
                               size_t *ret_count);
/* The same pick, from the same randomness, told with its reasons: of each peer in the set, the chosen ones
 * first in their order, then the others drawn by rank, then those not drawn. ENOMEM; other than 0 from
 * `visit` stops and is returned. */
struct pc_explanation {
    struct pc_pick pick;
    bool chosen;
    struct pc_reason why;
};
int pc_cache_set_explain(struct pc_cache_set *set, struct pc_rng *rng, int64_t now_ms,
                         const struct pc_pick_filter *filter, size_t count,
                         int (*visit)(void *context, const struct pc_explanation *explanation),
                         void *context);
/* Whether an address is better left alone: it fails, and was tried again lately; for a quarter of the time for which it has
 * been failing, an hour at most. So the dead are dialled less and less, and who was gone for a minute is found at once. */
bool pc_cache_rests(const struct pc_record_addr *addr, int64_t now_ms);
/* Up to `count` tried ones whose place a newcomer waits for: to be tested first. */
size_t pc_cache_set_to_test(const struct pc_cache_set *set, int64_t now_ms, struct pc_pick *ret_picks,
                            size_t count);
/* The score of an address now: from decayed successes and failures, time since last success, and round-trip
 * time. Integers. */
int32_t pc_cache_score(const struct pc_history *history, int64_t now_ms);

/*
 * Deltas pending, coalesced for each address of each peer. take gives up to `count` (PC_CACHE_BATCH_MAX at
 * most) in a batch that stays owned by the set until settled; one batch at a time: 0 while one is out, when
 * nothing is pending, or when memory is out (they stay pending). settle(true): committed, the batch is freed;
 * settle(false): not known to be, and then the next take gives this very batch again, whatever its `count`:
 * commit it under the same sequence number, so that it counts once even if it had reached the disk.
 * settle: ESTATE no batch is out.
 */
size_t pc_cache_set_pending(const struct pc_cache_set *set);
size_t pc_cache_set_take(struct pc_cache_set *set, const struct pc_delta **ret_deltas, size_t count);
int pc_cache_set_settle(struct pc_cache_set *set, bool committed);

#endif
