/* What the files of the library share. */
#ifndef PC_LIBRARY_INTERNAL_H
#define PC_LIBRARY_INTERNAL_H

#include "base/rng.h"
#include "base/time.h"
#include "cache/set.h"
#include "store/lock.h"
#include "store/store.h"

#include <peercache/peercache.h>

/* Peers taken into memory at open, as many as are dialled at once at most; refresh takes in more. */
#define PC_LIBRARY_FIRST_LOAD 128
#define PC_LIBRARY_LOAD_STEP  1024

struct peercache_options {
    bool local;
    bool read_only;
    bool no_create;
    bool has_seed;
    bool seed_rule;
    uint32_t max_peers;
    uint32_t max_addrs;
    uint32_t max_record_bytes;
    int64_t retention_ms;
    int64_t prune_interval_ms;
    struct pc_rate_limit source_limit;
    struct pc_rate_limit total_limit;
    uint8_t seed[PC_RNG_SEED_BYTES];
};

struct peercache_filter {
    struct pc_pick_filter filter;
    struct pc_cache_key *left_out; /* sorted */
    size_t left_out_capacity;
    bool has_seed;
    uint8_t seed[PC_RNG_SEED_BYTES];
};

/* A walk over all peers in steps: the key of the last one looked at. */
struct pc_library_round {
    struct pc_peer_id id;
    struct pc_maddr addr;
    uint64_t looked_at;
    uint64_t surplus; /* still to go, for the cap; counted when the round begins */
    uint64_t total;
};

struct peercache {
    struct pc_store *store; /* NULL: in memory only */
    struct pc_cache_set *set;
    struct pc_rng rng;
    struct peercache_options options;
    enum pc_netgroup_mode mode;
    bool read_only;

    int64_t now_ms;
    int64_t pruned_ms;                 /* when the last round by schedule ended */
    uint64_t sequence;                 /* of the last batch committed */
    struct pc_library_round rounds[2]; /* of prune; [1] dry */
    struct pc_library_round scheduled;
    char network[128];
    struct pc_reason error;
};

/* Write the text of a failure, and return its code. */
int pc_library_fail(peercache *cache, int result, const char *what);
int pc_library_fail_in_store(peercache *cache, int result);
/* A handle whose open failed can only be asked why, and closed. */
int pc_library_refuse_unopened(peercache *cache);
/* The time of the handle never goes back. */
int64_t pc_library_advance(peercache *cache, peercache_time now);
/* A peer id, or a multiaddr with or without one (then *ret_addr is not empty). EPARSE with the text. */
int pc_library_parse_peer(peercache *cache, const char *text, struct pc_peer_id *ret_id,
                          struct pc_maddr *ret_addr);
/* A record as it is handed out; false when a ban covers all of it. */
bool pc_library_peer_of(const peercache *cache, const struct pc_record *record, peercache_peer *ret_peer);
/* Read the record of one peer into memory. ENOTFOUND without a text; those of query. */
int pc_library_load_one(peercache *cache, const struct pc_peer_id *id, const struct pc_maddr *addr,
                        struct pc_record *ret_record);
/* Visit all records, of the store or of the memory, in the order of iterate; what is pending is committed
 * first. */
int pc_library_visit_all(peercache *cache, pc_store_visit visit, void *context);
/* Take in the bans of the store. */
int pc_library_load_bans(peercache *cache);
/* Commit all that is pending, without the schedule of flush: until the deadline (lock.h), but one batch at least;
 * EBUSY there is more. Without a deadline each batch waits for the lock as long as open does. */
#define PC_LIBRARY_NO_DEADLINE INT64_MAX
int pc_library_commit(peercache *cache, int64_t deadline_us);
/* A bounded part of what is due by schedule; no more of it is begun after the deadline. */
int pc_library_prune_on_schedule(peercache *cache, int64_t deadline_us);

#endif
