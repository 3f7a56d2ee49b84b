/*
 * The JSON file store: its inside. A document (json_document.h) is what the file held when it was read last;
 * the text of it is json_text.h's; json_save.c puts it on the disk whole or not at all; the store
 * (json_file.c) joins them under the lock.
 */
#ifndef PC_STORE_JSON_FILE_H
#define PC_STORE_JSON_FILE_H

#include "base/rng.h"
#include "store/json_text.h"
#include "store/lock.h"
#include "store/store.h"

#include <sys/stat.h>

#define PC_JSON_FILE_MAX_BYTES ((size_t)256 * 1024 * 1024) /* what is larger belongs into SQLite */

/* The file that was read: kept open, so that its inode's number is not given to another while we compare. */
struct pc_json_held {
    int fd; /* -1: none */
    struct stat info;
};

struct pc_json_store {
    struct pc_store head;
    struct pc_store_lock lock;
    struct pc_rng rng;
    struct pc_json_document *document; /* NULL until something was read */
    struct pc_json_held held;
    bool is_unsynced; /* a file of ours stands in its place, and the directory could not be synced */
    bool may_move_aside;
    bool no_create;
    enum pc_netgroup_mode mode;
    char network[PC_JSON_NETWORK_BYTES];
    int64_t now_ms;      /* the latest given */
    bool is_now;         /* it was given with the call under way: what is read then is clamped to it */
    int64_t change;      /* of this handle: of what it did and of what it found changed */
    int64_t seen_change; /* what the owner has taken in */
    uint32_t saves;
    struct pc_cache_quota quota;
    uint32_t addrs_max;
    uint32_t record_max_bytes;
    int64_t retention_ms;
    struct pc_json_peer **order; /* the peers by key, as of `order_edits`; NULL: not sorted */
    uint64_t order_edits;
};

int pc_store_json_open(const char *path, const struct pc_store_options *options, struct pc_store **ret_store,
                       struct pc_reason *ret_reason);

/* ---- json_save.c: the lock is held ---- */

/* Write the document in the file's place. What stands there is replaced whole or stays as it is; when the
 * directory could not be synced it is replaced and an error all the same. The file then is held. EFULL, EIO,
 * EPERM, EREADONLY, ELIMIT, ENOMEM. */
int pc_json_save(struct pc_json_store *store, const struct pc_json_document *document);
/* Sync the directory when that failed after the last save: a batch that is found in the ledger is acknowledged only then. Errors
 * as of save. */
int pc_json_sync(struct pc_json_store *store);
/* Remove temporaries of ours that a process left behind when it was killed. */
void pc_json_sweep(const struct pc_json_store *store);
/* Nothing is held: the next operation reads the file anew. */
void pc_json_let_go(struct pc_json_store *store);

/* ---- json_visit.c: walks for queries; ENOMEM, or what visit returned ---- */

/* The orders of ALL and of BEST, for sorting pointers to peers. */
int pc_json_by_key(const void *a, const void *b);
int pc_json_by_use(const void *a, const void *b);
int pc_json_visit_sorted(struct pc_json_store *store, size_t count,
                         int (*order)(const void *a, const void *b), pc_store_visit visit, void *context);
int pc_json_visit_changed(struct pc_json_store *store, pc_store_visit visit, void *context);
int pc_json_visit_one(struct pc_json_store *store, const struct pc_store_query *query, pc_store_visit visit,
                      void *context);
int pc_json_visit_after(struct pc_json_store *store, const struct pc_store_query *query, pc_store_visit visit,
                        void *context);
/* The peers are no longer sorted by key. */
void pc_json_forget_order(struct pc_json_store *store);

#endif
