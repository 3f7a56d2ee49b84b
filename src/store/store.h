/*
 * A store: where the cache lives between processes. One small interface, one file a kind; the name chooses
 * the kind, never the content: *.json is the JSON file, everything else SQLite. Files, nothing else: no thread, no socket.
 *
 * Every call may touch the disk and wait for the lock (`timeout_ms`). Writers are many processes; the lock is
 * flock on <path>.lock, held as briefly as the work needs.
 */
#ifndef PC_STORE_STORE_H
#define PC_STORE_STORE_H

#include "cache/ban.h"
#include "cache/record.h"

#define PC_STORE_LOCK_TIMEOUT_MS 5000
#define PC_STORE_PATH_BYTES      4096
/* Behind what is wrong with a file that a writer would move aside. */
#define PC_STORE_LEFT_BY_READER       ": damaged, or no cache at all; nothing was changed"
#define PC_STORE_PEERS_MAX_DEFAULT    10000
#define PC_STORE_META_KEY_MAX_BYTES   256
#define PC_STORE_META_VALUE_MAX_BYTES (256 * 1024)
#define PC_STORE_RETENTION_DEFAULT_MS (INT64_C(90) * 24 * 3600 * 1000)

struct pc_store_options {
    const char *network; /* borrowed during open */
    enum pc_netgroup_mode mode;
    bool read_only;
    bool is_default_path;      /* a corrupt file is moved aside whatever its name */
    bool no_create;            /* ENOTFOUND when there is no file */
    uint32_t timeout_ms;       /* for the lock at open */
    uint32_t peers_max;        /* 0: PC_STORE_PEERS_MAX_DEFAULT */
    uint32_t addrs_max;        /* of a peer; 0: as many as a record holds */
    uint32_t record_max_bytes; /* of a peer as packed; 0: no such cap */
    int64_t retention_ms;      /* tombstones are kept so long; 0: PC_STORE_RETENTION_DEFAULT_MS */
    int64_t now_ms;            /* 0: not known; a file moved aside is then named by its own time */
    uint8_t random[32];        /* for the store's secret (when it is made), the writer id and file names */
    uint64_t writer_id;        /* 0: drawn from random */
};

struct pc_store;

/* What a reader visits; returning other than 0 stops and is returned. */
typedef int (*pc_store_visit)(void *context, const struct pc_record *record);

enum pc_store_query_kind {
    PC_STORE_ALL,  /* by peer id, those without at the end */
    PC_STORE_BEST, /* up to `count`, all when there are no more: the best of a sample of the buckets, three of
                      four tried where there are so many */
    PC_STORE_BY_ID,
    PC_STORE_CHANGED, /* what others committed since the last BEST or CHANGED of this handle, removed ones as
                         records without addresses */
    PC_STORE_AFTER, /* up to `count` in the order of ALL, behind the peer of `id` and `addr` (both empty: from
                       the first) */
};
struct pc_store_query {
    enum pc_store_query_kind kind;
    size_t count;
    struct pc_peer_id id;
    struct pc_maddr addr; /* of BY_ID and AFTER: of a peer known without id */
};

/* What a reader of bans visits, and one of removals: each as the delta that makes it. */
typedef int (*pc_store_visit_ban)(void *context, const struct pc_ban *ban);
typedef int (*pc_store_visit_removal)(void *context, const struct pc_delta *removal);

/* What becomes of a value of the metadata: `value` is what it is, valid during the call; data NULL when there is none
 * yet. True: *ret_value, which must stay valid until the update returns, is the new one; data NULL: there is none any more.
 * False: it stays as it is. Must not use this store. */
typedef bool (*pc_store_change)(void *context, struct pc_bytes value, struct pc_bytes *ret_value);

/* What a reader of the metadata's keys visits; the key is valid during the call. */
typedef int (*pc_store_visit_key)(void *context, const char *key);

/* Every slot is filled by every kind of store. Errors and the text are those of the functions below. */
struct pc_store_ops {
    int (*query)(struct pc_store *store, const struct pc_store_query *query, pc_store_visit visit,
                 void *context);
    int (*commit)(struct pc_store *store, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                  int64_t now_ms, uint32_t timeout_ms);
    int (*meta_get)(struct pc_store *store, const char *key, uint8_t *ret_value, size_t capacity,
                    size_t *ret_size);
    int (*meta_update)(struct pc_store *store, const char *key, pc_store_change change, void *context,
                       uint32_t timeout_ms);
    int (*meta_keys)(struct pc_store *store, const char *prefix, pc_store_visit_key visit, void *context);
    int (*bans)(struct pc_store *store, pc_store_visit_ban visit, void *context);
    int (*ban_put)(struct pc_store *store, const struct pc_ban *bans, size_t count, uint32_t timeout_ms);
    int (*removals)(struct pc_store *store, pc_store_visit_removal visit, void *context);
    int (*count)(struct pc_store *store, uint64_t ret_counts[PEERCACHE_STATE_COUNT]);
    int (*check)(struct pc_store *store);
    int (*repair)(struct pc_store *store, uint32_t timeout_ms);
    void (*close)(struct pc_store *store);
    const char *name; /* "sqlite" */
};

/* What became of the news of addresses committed through this handle, since it was opened (or the owner set it to
 * zeroes). Of a batch that was committed before nothing is counted. */
struct pc_store_tally {
    uint64_t added;
    uint64_t merged;
    uint64_t refused; /* no room, or removed since they were seen */
};

/* The head of every store; the kinds embed it first. */
struct pc_store {
    const struct pc_store_ops *ops;
    char path[PC_STORE_PATH_BYTES];
    bool read_only;
    uint8_t secret[16];       /* of the file, made with it */
    struct pc_reason error;   /* of the last failure: path and cause */
    struct pc_reason warning; /* what open survived; "" when nothing */
    uint64_t writer_id;
    bool has_more; /* than the last BEST gave */
    struct pc_store_tally tally;
};

/*
 * Open, and make the file (0600; 0660 in a setgid directory) and its directories (0700) when missing. Errors
 * as peercache_open (peercache.h); ret_reason has the text; EUNSUPPORTED: SQLite on a network file system.
 * Corrupt files ending in .db or .json, or at the default
 * path, are moved aside as <file>.corrupt-<time> (milliseconds; with -wal and -shm, at most three kept),
 * under the lock and after a second look, what can be read is salvaged; store->warning tells. Any other file
 * that is not ours is refused untouched. Symbolic links are followed once, at open; what is moved aside or
 * made is at their end, and the name there decides whether it may be; a link to nothing is refused.
 */
int pc_store_open(const char *path, const struct pc_store_options *options, struct pc_store **ret_store,
                  struct pc_reason *ret_reason);
/* Checkpoint and free. NULL does nothing. */
void pc_store_close(struct pc_store *store);
/* Errors: EIO, ECORRUPT, ENOMEM, or what visit returned. A visit must not use this store. A file found
 * corrupt is moved aside as by open; when nothing was visited yet the query is made again on what was
 * salvaged, else it is ECORRUPT once. */
int pc_store_query(struct pc_store *store, const struct pc_store_query *query, pc_store_visit visit,
                   void *context);
/*
 * Commit a batch in one transaction. (writer id, sequence) is in the ledger, so that one that is retried
 * counts once; sequences of a writer begin at 1 and grow. Deltas about what was removed at or after they were
 * seen do nothing. Quotas as of the working set (peers.c, bucket.h): what finds no room is left out, and the
 * commit is none the worse; a verified newcomer that meets a full bucket of the tried stays new until the
 * least one there fails a dial. 0: acknowledged, it survives the death of the process. Read-only: 0 and
 * nothing happens. Errors: EBUSY, EFULL, EIO, EPERM, ECORRUPT, ENOTFOUND the file was moved away and could
 * not be reopened.
 */
int pc_store_commit(struct pc_store *store, uint64_t sequence, const struct pc_delta *deltas, size_t count,
                    int64_t now_ms, uint32_t timeout_ms);
/* ENOTFOUND; ELIMIT it is over `capacity`, never so with PC_STORE_META_VALUE_MAX_BYTES. */
int pc_store_meta_get(struct pc_store *store, const char *key, uint8_t *ret_value, size_t capacity,
                      size_t *ret_size);
/* ELIMIT: over PC_STORE_META_…, or over what the store holds of them (64 keys and 8 MiB in a JSON file); errors as of
 * commit. */
int pc_store_meta_put(struct pc_store *store, const char *key, struct pc_bytes value, uint32_t timeout_ms);
/* Read, change and write one value under one lock, so that no update of another process is lost. `change` is called once
 * unless the store fails first. Read-only: it is called, and nothing is kept. Errors as of put. */
int pc_store_meta_update(struct pc_store *store, const char *key, pc_store_change change, void *context,
                         uint32_t timeout_ms);
/* The keys that begin with `prefix`, in any order. Errors and visits as of query. */
int pc_store_meta_keys(struct pc_store *store, const char *prefix, pc_store_visit_key visit, void *context);
/* Bans, by their bytes. Errors as of query. */
int pc_store_bans(struct pc_store *store, pc_store_visit_ban visit, void *context);
/* Keep bans, each as of its since_ms, or (since_ms 0) lift them: ENOTFOUND there is none. All of them or none;
 * one that is kept already stays as it is. Others learn of it when they ask for bans. Errors as of commit; ELIMIT
 * over PC_CACHE_BANS_MAX. */
int pc_store_ban_put(struct pc_store *store, const struct pc_ban *bans, size_t count, uint32_t timeout_ms);
/* The tombstones, in no particular order. Errors as of query. */
int pc_store_removals(struct pc_store *store, pc_store_visit_removal visit, void *context);
/* Peers by state. Errors as of query. */
int pc_store_count(struct pc_store *store, uint64_t ret_counts[PEERCACHE_STATE_COUNT]);
/* Bytes of the file and of what belongs to it. */
uint64_t pc_store_size_bytes(const struct pc_store *store);
/* Move the file aside, whatever its name, and put what can be read of it into a new one; store->warning
 * tells. EREADONLY; errors as of open. */
int pc_store_repair(struct pc_store *store, uint32_t timeout_ms);
/* Look the whole file over. ECORRUPT with the first finding in store->error. */
int pc_store_check(struct pc_store *store);

/*
 * The default path: $STATE_DIRECTORY/<network>/peers.db, else $XDG_STATE_HOME/peercache/<network>/peers.db,
 * else $HOME/.local/state/…, else the home of the user database. <network>-local in local mode. The
 * environment is given, not read; of the STATE_DIRECTORY of systemd the first of a list. ENOTFOUND: no home
 * anywhere; ELIMIT.
 */
struct pc_store_environment {
    const char *state_directory; /* NULL when not set */
    const char *xdg_state_home;
    const char *home; /* HOME or the home directory of the user database */
};
/* EINVAL: the network's name is empty, or has a '/' or a leading dot. */
int pc_store_default_path(const struct pc_store_environment *environment, const char *network, bool local,
                          char *ret_path, size_t capacity);

#endif
