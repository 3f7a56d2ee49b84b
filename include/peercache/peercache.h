/*
 * libpeercache: the memory of a peer-to-peer node. No sockets, no threads, no global state, no signal
 * handlers.
 *
 * Argument order, everywhere: the handle, what is acted on, options, the time, outputs. Outputs are named
 * ret_x and stay untouched on failure (but for peercache_open, which like sqlite3_open always gives a handle
 * to ask for the text). Results are 0 or a negative PEERCACHE_E… (types.h); the text of the last failure of a
 * handle, with path and cause, is peercache_errmsg(). Every call on a handle may also give ESTATE: its open
 * failed; and EINVAL: a pointer that may not be NULL is (the handle too), or a value is outside of its list; those that
 * return nothing then do nothing. What is said
 * below are the other errors.
 *
 * Disk: pick, explain, add and report never touch it, nor do the functions on options and filters. All
 * others do, and each says how long it may wait for the lock of the file.
 * Memory: open takes in a bounded part of the file, the best of a sample of its buckets; refresh takes in
 * more. What is on disk and not in memory is found by find, iterate, remove, prune, export and stats, and
 * news of it (add, report) is merged with it when it is committed.
 * Clocks: the time is what the calls give. Only for how long a call may take (the lock of the file, flush) the
 * monotonic clock is read.
 * Randomness: the seed of all choices is drawn from the operating system at open, unless the options give
 * one. Threads: one handle is used by one thread at a time; different handles are independent, also on one
 * file. Fork: a handle is used only by the process that opened it.
 * Read-only: modifying calls check their arguments, return 0 and change nothing.
 * Callbacks: what a visit is given is valid during it only; it must not use the handle; returning other than
 * 0 stops the walk, and the function returns that.
 */
#ifndef PEERCACHE_H
#define PEERCACHE_H

#include <peercache/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct peercache peercache;
typedef struct peercache_options peercache_options;
typedef struct peercache_filter peercache_filter;

/* Version of the library as text, "0.1.0". */
PEERCACHE_API const char *peercache_version(void);

/* ---- Options of open ---- */

#define PEERCACHE_MAX_PEERS_DEFAULT         10000
#define PEERCACHE_MAX_PEERS_LIMIT           10000000
#define PEERCACHE_MAX_RECORD_BYTES_MIN      256
#define PEERCACHE_MAX_RECORD_BYTES          4096 /* the default, and the most */
#define PEERCACHE_RETENTION_DEFAULT_MS      (INT64_C(90) * 24 * 3600 * 1000)
#define PEERCACHE_RETENTION_MIN_MS          (INT64_C(24) * 3600 * 1000)
#define PEERCACHE_SOURCE_BURST_DEFAULT      1000
#define PEERCACHE_SOURCE_PER_MIN_DEFAULT    60
#define PEERCACHE_TOTAL_BURST_DEFAULT       50000
#define PEERCACHE_TOTAL_PER_MIN_DEFAULT     6000
#define PEERCACHE_RATE_LIMIT_MAX            10000000
#define PEERCACHE_PRUNE_INTERVAL_DEFAULT_MS (INT64_C(3600) * 1000)

/* Options with their defaults; NULL when memory is out. Freed by the caller, also after open: open copies. */
PEERCACHE_API peercache_options *peercache_options_new(void);
PEERCACHE_API void peercache_options_free(peercache_options *options);
/* Admit loopback and private addresses, each ip:port its own group. A cache knows its mode. Default: false.
 */
PEERCACHE_API void peercache_options_set_local(peercache_options *options, bool local);
/* Open for reading only: modifying calls succeed and change nothing. Default: false. */
PEERCACHE_API void peercache_options_set_read_only(peercache_options *options, bool read_only);
/* Make the file when it is missing; without it, open gives ENOTFOUND. Default: true. */
PEERCACHE_API void peercache_options_set_create(peercache_options *options, bool create);
/* Peers kept at most, in memory and in the file; half of them is the room of the tried (docs/cache.md has the
 * shares of groups and sources). 1 to PEERCACHE_MAX_PEERS_LIMIT, else EINVAL. Default: 10,000. */
PEERCACHE_API int peercache_options_set_max_peers(peercache_options *options, uint32_t max_peers);
/* Addresses kept of a peer, 1 to PEERCACHE_ADDRS_PER_PEER, else EINVAL; the least useful gives way.
 * Default: PEERCACHE_ADDRS_PER_PEER. */
PEERCACHE_API int peercache_options_set_max_addrs(peercache_options *options, uint32_t max_addrs);
/* Bytes that one peer takes at most, as kept; the least useful addresses give way until it fits.
 * PEERCACHE_MAX_RECORD_BYTES_MIN to PEERCACHE_MAX_RECORD_BYTES, else EINVAL. Default: the latter. */
PEERCACHE_API int peercache_options_set_max_record_bytes(peercache_options *options, uint32_t max_bytes);
/* How long a peer is kept that nobody has seen (PEERCACHE_PRUNE_STALE), and how long a removal is remembered.
 * At least PEERCACHE_RETENTION_MIN_MS, else EINVAL. Default: 90 days. */
PEERCACHE_API int peercache_options_set_retention_ms(peercache_options *options, int64_t retention_ms);
/* Addresses (new ones and sightings) taken from one source (peercache_add_from) at once, and a minute in the
 * long run. A burst of 0 is no limit. EINVAL over PEERCACHE_RATE_LIMIT_MAX. Default: 1,000 and 60. */
PEERCACHE_API int peercache_options_set_source_limit(peercache_options *options, uint32_t burst,
                                                     uint32_t per_min);
/* The same of all sources together. Default: 50,000 and 6,000. */
PEERCACHE_API int peercache_options_set_total_limit(peercache_options *options, uint32_t burst,
                                                    uint32_t per_min);
/* Also what is pruned by schedule is judged unreliable as PEERCACHE_PRUNE_UNRELIABLE says, which is the seed's
 * rule. Default: false, by schedule only goes who had no success in three dials or more, or none for seven days
 * and ten failures or more. */
PEERCACHE_API void peercache_options_set_seed_rule(peercache_options *options, bool seed_rule);
/* How often flush also prunes a bounded part, by all policies; of those long unseen only such as were dialled
 * since then in vain, so that a quiet month empties no cache. 0: never. Negative: EINVAL. Default: an hour.
 */
PEERCACHE_API int peercache_options_set_prune_interval_ms(peercache_options *options, int64_t interval_ms);
/* Seed of all choices, 32 bytes, so that a run repeats. Default: from the operating system. */
PEERCACHE_API void peercache_options_set_seed(peercache_options *options, const uint8_t seed[32]);

/* ---- Open and close ---- */

/*
 * Open the cache at `path`, made (file 0600, its directories 0700) when missing; NULL keeps it in memory
 * only. `network` names the network it belongs to, such as "ipfs". `options` may be NULL. Always sets
 * *ret_cache (NULL only when memory is out); close it also after a failure. Waits for the lock for 5 s at
 * most. Errors: EINVAL empty network or path; ENOTFOUND no such file, and it may not be made, or it is empty and only to be read; EFORMAT a
 * directory, or a file of another kind under a name that is not moved aside; ENETWORK the cache of another
 * network or mode; EVERSION a newer schema that can't even be read; EPERM; EIO; EBUSY; ECRYPTO the operating
 * system gives no randomness. After a failure the handle only tells why, and every call on it is ESTATE. A
 * corrupt file ending in .db or at the default path is moved aside and is not an error: peercache_warning()
 * tells.
 */
PEERCACHE_API int peercache_open(const char *path, const char *network, const peercache_options *options,
                                 peercache **ret_cache);
/* The end of the handle, once: commit all that is pending (as long as it takes, waiting for the lock for 5 s at most) and free. NULL does nothing.
 * Who wants to know whether it was committed calls flush first. */
PEERCACHE_API void peercache_close(peercache *cache);

/* Text of the last failure of this handle, "" when there was none; valid until the next call on the handle.
 */
PEERCACHE_API const char *peercache_errmsg(const peercache *cache);
/* What open noticed and survived (moved aside, read-only, newer schema), NULL when nothing; valid until
 * close. */
PEERCACHE_API const char *peercache_warning(const peercache *cache);
/* True when nothing will be written. */
PEERCACHE_API bool peercache_is_read_only(const peercache *cache);

/* ---- Learn ---- */

/*
 * Remember an address. `addr` is a multiaddr in text, with or without a closing /p2p/ID. The address speaks
 * for itself: its own group is its source.
 * Errors: EPARSE the text is no multiaddr; EUNSUPPORTED an address that is never stored (relay, unspecified,
 * multicast, private without local mode, a DNS name unless the source is FLAG or ENV); EPERM banned; ELIMIT
 * no room in its bucket, or over the rate of all sources, or too much is pending; ENOMEM. Of a source that is
 * not FLAG or ENV, ELIMIT is everyday.
 */
PEERCACHE_API int peercache_add(peercache *cache, const char *addr, peercache_source source,
                                peercache_time now);
/*
 * The same, told by somebody: `teller` is the multiaddr of whoever told us (its /p2p/ID is of no meaning).
 * The network group of the teller is the source, which has its share of buckets and its rate. Errors: those
 * of add, EPARSE also of the teller; ELIMIT also over the rate or the share of this source.
 */
PEERCACHE_API int peercache_add_from(peercache *cache, const char *addr, peercache_source source,
                                     const char *teller, peercache_time now);

typedef struct peercache_candidate {
    char addr[PEERCACHE_ADDR_TEXT_BYTES];       /* multiaddr without /p2p/ID */
    char peer_id[PEERCACHE_PEER_ID_TEXT_BYTES]; /* "" when not yet known */
    peercache_state state;
    int32_t score;  /* 0 to 1000, higher is better */
    int32_t rtt_ms; /* -1 when never measured */
} peercache_candidate;

/* Fill a candidate for report from a multiaddr in text, with or without a closing /p2p/ID; state, score and
 * round-trip time as of a stranger. Errors: EPARSE; ELIMIT too long to be kept. */
PEERCACHE_API int peercache_candidate_parse(peercache *cache, const char *addr,
                                            peercache_candidate *ret_candidate);

/*
 * Tell what became of a dial. `rtt_ms` is -1 when not measured. OK makes the peer tried (when its bucket has
 * a place; else it stays new until the one it would displace has been tested) and counts a success;
 * UNSUPPORTED, DENIED and CANCELLED count nothing; WRONG_IDENTITY and PROTOCOL_MISMATCH take the address out;
 * every other outcome counts a failure at once.
 * Errors: ENOTFOUND the candidate is not in the cache, as far as is known without the disk (an OK puts it
 * there, if it may be stored: EUNSUPPORTED; EPERM banned); EINVAL also a candidate that is none; ELIMIT an OK
 * of a stranger, and no room; ENOMEM.
 */
PEERCACHE_API int peercache_report(peercache *cache, const peercache_candidate *candidate,
                                   peercache_outcome outcome, int32_t rtt_ms, peercache_time now);

/* What report has room to tell; PEERCACHE_REPORT_INIT is one dial of this outcome, nothing measured. */
typedef struct peercache_outcome_report {
    peercache_outcome outcome;
    uint32_t count;        /* so many dials with this outcome; 0 is EINVAL */
    int32_t rtt_ms;        /* -1 when not measured */
    bool unverified;       /* of OK: a good sign that is no proof; moves last_seen and nothing else */
    const char *proven_id; /* the peer id that the handshake showed, when the candidate had none; or NULL */
} peercache_outcome_report;
#define PEERCACHE_REPORT_INIT(outcome)                                                                       \
    {                                                                                                        \
        (outcome), 1, -1, false, 0                                                                           \
    }

/* As peercache_report, with all there is to tell. EPARSE: proven_id is no peer id. */
PEERCACHE_API int peercache_report_more(peercache *cache, const peercache_candidate *candidate,
                                        const peercache_outcome_report *report, peercache_time now);

/* ---- Pick ---- */

#define PEERCACHE_LEFT_OUT_MAX 4096 /* peers that one filter leaves out */
#define PEERCACHE_PICK_MAX     4096 /* candidates of one pick */

/* A filter that lets everything pass; NULL when memory is out. Freed by the caller; of no handle, so that one
 * may serve several. */
PEERCACHE_API peercache_filter *peercache_filter_new(void);
PEERCACHE_API void peercache_filter_free(peercache_filter *filter);
/* Only addresses of these transports and families. EINVAL: none, or an unknown bit. */
PEERCACHE_API int peercache_filter_set_dialable(peercache_filter *filter, uint32_t transports,
                                                uint32_t families);
/* Leave a peer out, by its id or, when it is known by address only, by a multiaddr. Errors: EPARSE; ELIMIT
 * over PEERCACHE_LEFT_OUT_MAX; ENOMEM. */
PEERCACHE_API int peercache_filter_leave_out(peercache_filter *filter, const char *peer_id_or_addr);
/* Picks under this filter choose from this seed and not from that of the cache: on the same cache at the
 * same time, the same ones. */
PEERCACHE_API void peercache_filter_set_seed(peercache_filter *filter, const uint8_t seed[32]);

/*
 * Up to `count` candidates to dial (PEERCACHE_PICK_MAX at most), the likely-alive first, one address a peer,
 * spread over groups and sources, some never tried, and some tried ones whose place others want. `filter` may
 * be NULL. Copied out; *ret_count may be 0. Errors: ENOMEM.
 */
PEERCACHE_API int peercache_pick(peercache *cache, peercache_time now, const peercache_filter *filter,
                                 peercache_candidate *ret_candidates, size_t count, size_t *ret_count);

typedef struct peercache_explanation {
    peercache_candidate candidate;
    bool chosen;
    char why[PEERCACHE_DETAIL_BYTES]; /* a sentence: "tried, score 812, 14 successes …" */
} peercache_explanation;

/*
 * Pick as peercache_pick would (from the same randomness, which it uses up in the same way), and say of each
 * peer in memory why it was chosen or passed over: the chosen ones first, in the order of pick, then the
 * others from the best rank down, those not drawn at the end. Memory for all of them is needed: ENOMEM.
 */
PEERCACHE_API int peercache_explain(peercache *cache, peercache_time now, const peercache_filter *filter,
                                    size_t count,
                                    int (*visit)(void *context, const peercache_explanation *explanation),
                                    void *context);

/* ---- Look ---- */

typedef struct peercache_addr {
    char addr[PEERCACHE_ADDR_TEXT_BYTES];
    uint32_t success_count;
    uint32_t failure_count;
    uint32_t failures[PEERCACHE_OUTCOME_COUNT]; /* by outcome */
    int64_t first_seen_ms;                      /* wall time; 0 when never, as of those below */
    int64_t last_seen_ms;
    int64_t last_success_ms;
    int64_t last_attempt_ms;
    int32_t rtt_ms; /* -1 when never measured */
    int64_t rtt_at_ms;
    int32_t score; /* 0 to 1000, at the latest time given to the handle (0: that it was last seen) */
    peercache_source learned_from;
} peercache_addr;

typedef struct peercache_peer {
    char id[PEERCACHE_PEER_ID_TEXT_BYTES]; /* "" when known by address only */
    peercache_state state;
    bool reliable; /* more successes than failures */
    size_t addr_count;
    peercache_addr addrs[PEERCACHE_ADDRS_PER_PEER];
} peercache_peer;

/*
 * Call `visit` for every peer of the cache, those on disk included, ordered by the bytes of the peer id,
 * those known by address only at the end, in bounded memory. What is pending is committed first (flush, at
 * 5 s for the lock). Errors: those of flush; ECORRUPT.
 */
PEERCACHE_API int peercache_iterate(peercache *cache, int (*visit)(void *context, const peercache_peer *peer),
                                    void *context);
/* One peer, by its id; or, known by address only, by its multiaddr. Looks in memory, then on disk, and takes
 * it into memory. Errors: EPARSE; ENOTFOUND; EIO; ECORRUPT. */
PEERCACHE_API int peercache_find(peercache *cache, const char *peer_id_or_addr, peercache_peer *ret_peer);

typedef struct peercache_stats {
    uint64_t peers; /* new + tried, on disk and pending */
    uint64_t addresses;
    uint64_t new_peers;
    uint64_t tried_peers;
    uint64_t groups;         /* network groups that its addresses lie in */
    uint64_t reliable;       /* peers with more successes than failures */
    uint64_t banned;         /* bans, of ids and of ranges */
    uint64_t in_memory;      /* peers in the working set */
    uint64_t pending;        /* news not yet committed */
    uint64_t size_bytes;     /* of the file with its log; 0 in memory only */
    int64_t last_updated_ms; /* the latest sighting, success or attempt; 0 when there is none */
    const char *store;       /* "sqlite", "json" or "memory" */
} peercache_stats;

/* Count: reads the whole file once (a second for each million peers or so), in memory of the number of
 * groups. What is pending is committed first, as in iterate. Errors: those of iterate; ENOMEM. */
PEERCACHE_API int peercache_get_stats(peercache *cache, peercache_stats *ret_stats);

/* ---- Forget ---- */

/* Forget a peer by its id (or, known by address only, by its multiaddr), here and for every other process on
 * the file: what they still hold in memory does not bring it back, only a new sighting does. Committed at
 * once (at most 5 s for the lock). Errors: EPARSE; ENOTFOUND; those of flush. */
PEERCACHE_API int peercache_remove(peercache *cache, const char *peer_id_or_addr, peercache_time now);

/*
 * Never again: an id, or a range of addresses in CIDR ("203.0.113.0/24", "2001:db8::/32", or one address).
 * What it covers is not added, loaded, picked, visited or exported; an id is removed at once, addresses on
 * disk as prune comes by. Kept in the file, for every process on it. Banning again changes nothing. Errors:
 * EPARSE; ELIMIT over PEERCACHE_BANS_MAX; those of flush.
 */
#define PEERCACHE_BANS_MAX 10000
PEERCACHE_API int peercache_ban(peercache *cache, const char *peer_id_or_cidr, peercache_time now);
/* As it was banned, in any spelling. Errors: EPARSE; ENOTFOUND; those of flush. */
PEERCACHE_API int peercache_unban(peercache *cache, const char *peer_id_or_cidr);
/* The bans, ids first, in canonical text; `since_ms` is when. Errors: EIO. */
PEERCACHE_API int peercache_bans(peercache *cache,
                                 int (*visit)(void *context, const char *peer_id_or_cidr, int64_t since_ms),
                                 void *context);

typedef struct peercache_pruned {
    uint64_t looked_at;
    uint64_t unreliable; /* removed for it, or that would be */
    uint64_t stale;
    uint64_t capacity;
    uint64_t banned; /* what bans cover goes under every policy */
    bool done;       /* the whole cache was looked at since the round began */
} peercache_pruned;

/*
 * Look at up to `most` peers (1 to PEERCACHE_PRUNE_STEP_MAX, else EINVAL), where the last call left off, and
 * remove those whom `policies` name (0: all). The counts are of this call. What is pending is committed
 * first. `dry_run` removes nothing and has a place of its own in the walk. `visit` (may be NULL) is told of
 * each, and the policy it falls under (one bit; 0 a ban). Errors: those of flush and iterate.
 */
#define PEERCACHE_PRUNE_STEP_MAX 100000
PEERCACHE_API int peercache_prune(peercache *cache, uint32_t policies, bool dry_run, size_t most,
                                  peercache_time now,
                                  int (*visit)(void *context, const peercache_peer *peer, uint32_t policy),
                                  void *context, peercache_pruned *ret_pruned);

/* ---- Exchange ---- */

typedef enum peercache_format {
    PEERCACHE_FORMAT_ANY, /* of import: by content */
    PEERCACHE_FORMAT_LIST,
    PEERCACHE_FORMAT_MAP,
    PEERCACHE_FORMAT_ANT_V0,
    PEERCACHE_FORMAT_ANT_V1,
    PEERCACHE_FORMAT_ENDPOINT,
    PEERCACHE_FORMAT_TEXT,
    PEERCACHE_FORMAT_KUBO
} peercache_format;

/* "list", "map", "ant-v0", "ant-v1", "endpoint", "text", "kubo"; "any"; never NULL. */
PEERCACHE_API const char *peercache_format_name(peercache_format format);
/* Errors: ENOTFOUND no such format ("any" is none). */
PEERCACHE_API int peercache_format_from_name(const char *name, peercache_format *ret_format);
/* What this format can't carry, in a sentence; "" when it carries all. Never NULL. */
PEERCACHE_API const char *peercache_format_loses(peercache_format format);

/* Gives the next bytes of a document: *ret_size of them, 0 at its end. Returns 0, or what import is to
 * return. */
typedef int (*peercache_read)(void *context, void *ret_data, size_t capacity, size_t *ret_size);
/* Takes all of these bytes. Returns 0, or what export is to return. */
typedef int (*peercache_write)(void *context, const void *data, size_t size);

#define PEERCACHE_REASONS_MAX 32
typedef struct peercache_imported {
    peercache_format format; /* as found */
    uint64_t read;           /* addresses: accepted + merged + rejected */
    uint64_t accepted;       /* of peers or addresses not known before */
    uint64_t merged;         /* known before */
    uint64_t rejected;
    size_t reason_count; /* why, each reason once, a closed list of words ("dns_name"); static texts */
    struct {
        const char *reason;
        uint64_t count;
    } reasons[PEERCACHE_REASONS_MAX];
    char first_rejected[PEERCACHE_DETAIL_BYTES]; /* the first, with its place; "" when none */
} peercache_imported;

/*
 * Take in a document of any of the formats. Without `trust` its entries are new whatever counts they claim,
 * from one source (IMPORT), within its share of the buckets, and DNS names are rejected; with it counts,
 * times, states and sources are restored, names admitted, and only the cap of all peers applies; of our own list
 * bans and the dates of removals too, merged with those that are there. Reads in
 * bounded memory and commits as it goes (each batch waits at most 5 s for the lock); what was taken in before
 * a failure stays, and *ret_imported is set also then. Errors: EFORMAT none of the formats, or not `format`;
 * EPARSE the document is broken or cut short; ENETWORK it says that it is of another network; ELIMIT over a
 * limit of the codecs; those of flush; what `read` returned.
 */
PEERCACHE_API int peercache_import(peercache *cache, peercache_format format, bool trust, peercache_time now,
                                   peercache_read read, void *context, peercache_imported *ret_imported);

/* Write the whole cache, in the order of iterate, in bounded memory. *ret_left_out (may be NULL) counts
 * addresses that the format can't hold. Errors: EINVAL the format is ANY; those of iterate; what `write`
 * returned. */
PEERCACHE_API int peercache_export(peercache *cache, peercache_format format, peercache_time now,
                                   peercache_write write, void *context, uint64_t *ret_left_out);

/* ---- Keep ---- */

/*
 * Commit what is pending, and prune a bounded part when it is due (the options), for at most `timeout_ms`: a
 * thousand news at a time, of which the last is begun within that time and then written to its end. 0: it survives
 * the death of the process. On failure what was not committed stays pending, for the next call. Errors: EBUSY the
 * lock was held, or more is pending than the time was enough for (the text says which, and how much); EFULL, EIO,
 * ENOTFOUND the file vanished. Read-only: 0, nothing written.
 */
PEERCACHE_API int peercache_flush(peercache *cache, uint32_t timeout_ms);
/* Take in what other processes committed since, and more of what is on disk while there is room in memory.
 * Errors: EIO, ECORRUPT. */
PEERCACHE_API int peercache_refresh(peercache *cache);

/*
 * Look the whole file over: ECORRUPT with the first finding as the text. With `repair`, a file with findings
 * is rebuilt from what can be read of it (the old one is kept aside, as open does, whatever its name), and
 * the result is 0; peercache_errmsg() then says what was done, "" when there was nothing to do. Errors also
 * EIO, EBUSY; EREADONLY repair of a read-only cache.
 */
PEERCACHE_API int peercache_check(peercache *cache, bool repair, peercache_time now);

#ifdef __cplusplus
}
#endif
#endif
