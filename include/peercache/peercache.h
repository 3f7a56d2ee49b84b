/*
 * libpeercache: the memory of a peer-to-peer node. No sockets, no threads, no global state, no signal
 * handlers.
 *
 * Argument order, everywhere: the handle, what is acted on, options, the time, outputs. Outputs are named
 * ret_x and stay untouched on failure (but for peercache_open, which like sqlite3_open always gives a handle
 * to ask for the text). Results are 0 or a negative PEERCACHE_E… (types.h); the text of the last failure of a
 * handle, with path and cause, is peercache_errmsg().
 *
 * Disk: pick, add and report never touch it. open, flush, refresh, iterate, remove and close do.
 * Randomness: the seed of all choices is drawn from the operating system at open, unless the options give
 * one. Threads: one handle is used by one thread at a time; different handles are independent, also on one
 * file. Fork: a handle is used only by the process that opened it.
 */
#ifndef PEERCACHE_H
#define PEERCACHE_H

#include <peercache/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peercache peercache;
typedef struct peercache_options peercache_options;

/* Version of the library as text, "0.1.0". */
PEERCACHE_API const char *peercache_version(void);

/* Options with their defaults; NULL when memory is out. Freed by the caller, also after open: open copies. */
PEERCACHE_API peercache_options *peercache_options_new(void);
PEERCACHE_API void peercache_options_free(peercache_options *options);
/* Admit loopback and private addresses, each ip:port its own group. A cache knows its mode. Default: false.
 */
PEERCACHE_API void peercache_options_set_local(peercache_options *options, bool local);
/* Open for reading only: modifying calls succeed and change nothing. Default: false. */
PEERCACHE_API void peercache_options_set_read_only(peercache_options *options, bool read_only);
/* Peers held in memory at most, the best and the newest first; 1 to 10,000,000. Default: 10,000. */
PEERCACHE_API int peercache_options_set_max_peers(peercache_options *options, uint32_t max_peers);
/* Seed of all choices, 32 bytes, so that a run repeats. Default: from the operating system. */
PEERCACHE_API void peercache_options_set_seed(peercache_options *options, const uint8_t seed[32]);

/*
 * Open the cache at `path`, made (file 0600, its directories 0700) when missing; NULL keeps it in memory
 * only. `network` names the network it belongs to, such as "ipfs". `options` may be NULL. Always sets
 * *ret_cache (NULL only when memory is out); close it also after a failure. Errors: EINVAL empty network or
 * path; EFORMAT a directory, or a file of another kind under a name that is not moved aside; ENETWORK the
 * cache of another network or mode; EVERSION a newer schema that can't even be read; EPERM; EIO; EBUSY the
 * lock was held for 5 s. After a failure the handle only tells why, and every call on it is ESTATE. A corrupt
 * file ending in .db or at the default path is moved aside and is not an error: peercache_warning() tells.
 */
PEERCACHE_API int peercache_open(const char *path, const char *network, const peercache_options *options,
                                 peercache **ret_cache);
/* Commit what is pending (at most 5 s) and free. NULL does nothing. */
PEERCACHE_API void peercache_close(peercache *cache);

/* Text of the last failure of this handle, "" when there was none; valid until the next call on the handle.
 */
PEERCACHE_API const char *peercache_errmsg(const peercache *cache);
/* What open noticed and survived (moved aside, read-only, newer schema), NULL when nothing; valid until
 * close. */
PEERCACHE_API const char *peercache_warning(const peercache *cache);
/* True when nothing will be written. */
PEERCACHE_API bool peercache_is_read_only(const peercache *cache);

/*
 * Remember an address. `addr` is a multiaddr in text, with or without a closing /p2p/ID.
 * Errors: EPARSE the text is no multiaddr; EUNSUPPORTED an address that is never stored (relay, unspecified,
 * multicast, private without local mode, a DNS name); ENOMEM.
 */
PEERCACHE_API int peercache_add(peercache *cache, const char *addr, peercache_source source,
                                peercache_time now);

typedef struct peercache_candidate {
    char addr[PEERCACHE_ADDR_TEXT_BYTES];       /* multiaddr without /p2p/ID */
    char peer_id[PEERCACHE_PEER_ID_TEXT_BYTES]; /* "" when not yet known */
    peercache_state state;
    int32_t score;  /* 0 to 1000, higher is better */
    int32_t rtt_ms; /* -1 when never measured */
} peercache_candidate;

/*
 * Up to `count` candidates to dial, the likely-alive first, one address a peer, spread over groups, some
 * never tried. Copied out; *ret_count may be 0.
 */
PEERCACHE_API int peercache_pick(peercache *cache, peercache_time now, peercache_candidate *ret_candidates,
                                 size_t count, size_t *ret_count);

/*
 * Tell what became of a dial. `rtt_ms` is -1 when not measured. OK makes the peer tried and counts a success;
 * UNSUPPORTED, DENIED and CANCELLED count nothing; every other outcome counts a failure at once.
 * Errors: ENOTFOUND the candidate is not in the cache (an OK puts it there, if it may be stored:
 * EUNSUPPORTED); EINVAL an outcome outside the list or a candidate that is none; ENOMEM.
 */
PEERCACHE_API int peercache_report(peercache *cache, const peercache_candidate *candidate,
                                   peercache_outcome outcome, int32_t rtt_ms, peercache_time now);

typedef struct peercache_addr {
    char addr[PEERCACHE_ADDR_TEXT_BYTES];
    uint32_t success_count;
    uint32_t failure_count;
    int64_t last_seen_ms;    /* wall time; 0 when never */
    int64_t last_success_ms; /* 0 when never */
    int64_t last_attempt_ms; /* 0 when never */
    int32_t rtt_ms;          /* -1 when never measured */
    peercache_source learned_from;
} peercache_addr;

typedef struct peercache_peer {
    char id[PEERCACHE_PEER_ID_TEXT_BYTES]; /* "" when known by address only */
    peercache_state state;
    size_t addr_count;
    peercache_addr addrs[PEERCACHE_ADDRS_PER_PEER];
} peercache_peer;

/*
 * Call `visit` for every peer of the cache, those on disk included, ordered by the bytes of the peer id,
 * those known by address only at the end. What is pending is committed first (flush, at most 5 s). A visit
 * that returns other than 0 stops, and iterate returns that. The peer is valid during the visit only; the
 * cache must not be modified in it. Errors: those of flush; ECORRUPT.
 */
PEERCACHE_API int peercache_iterate(peercache *cache, int (*visit)(void *context, const peercache_peer *peer),
                                    void *context);

/* Forget a peer, here and for every other process on the file. Errors: EPARSE bad peer id; ENOTFOUND; EIO. */
PEERCACHE_API int peercache_remove(peercache *cache, const char *peer_id, peercache_time now);

/*
 * Commit what is pending. Waits at most `timeout_ms` for the lock. 0: it survives the death of the process.
 * On failure everything stays pending. Errors: EBUSY, EFULL, EIO, ENOTFOUND the file vanished. Read-only: 0,
 * nothing written.
 */
PEERCACHE_API int peercache_flush(peercache *cache, uint32_t timeout_ms);
/* Take in what other processes committed since. Errors: EIO, ECORRUPT. */
PEERCACHE_API int peercache_refresh(peercache *cache);

#ifdef __cplusplus
}
#endif
#endif
