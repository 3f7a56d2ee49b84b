/*
 * The SQLite store: its operations. Writers queue on the flock, then take SQLite's own lock, which then is
 * free; readers take none (WAL). Before each operation the inode is compared: a file that another process
 * moved aside is left, and the new one opened.
 */
#include "store/sqlite.h"

#include "base/time.h"
#include "store/paths.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BEST_PER_BUCKET  4    /* of each bucket that is sampled */
#define BEST_NEW_SHARE   4    /* one in so many of the sample is new */
#define CLOSE_TIMEOUT_MS 1000 /* a checkpoint not made is made by the next that opens */

/* Pages that the log may hold before a commit copies them back: 16 MB, and in a cache of more than 256,000 peers,
 * where a batch touches pages all over the file, a quarter of the file, up to 64 MB. The longer the log, the more
 * often a page in it was changed again before it is copied. */
#define WAL_PAGES_MIN      4000
#define WAL_PAGES_MAX      16000
#define WAL_PEERS_PER_PAGE 64

static struct pc_sqlite_store *of(struct pc_store *head)
{
    return (struct pc_sqlite_store *)(void *)head; /* the head is the first member */
}

static int lock_now(struct pc_sqlite_store *store, uint32_t timeout_ms)
{
    struct pc_reason reason = { "" };
    int result = pc_store_lock_take(&store->lock, false, timeout_ms, &reason);
    if (result)
        pc_base_reason(&store->head.error, "%s: %s", store->head.path, reason.text);
    return result;
}

/* The file that the path leads to is the one that is open; the lock is held, unless the store is read-only.
 */
static int be_current(struct pc_sqlite_store *store)
{
    if (pc_sqlite_is_current(store))
        return 0;
    pc_sqlite_disconnect(store, false);
    store->seen_change = 0;
    return store->head.read_only ? pc_sqlite_connect_read_only(store) : pc_sqlite_connect(store);
}

static int be_current_unlocked(struct pc_sqlite_store *store)
{
    if (pc_sqlite_is_current(store))
        return 0;
    if (store->head.read_only)
        return be_current(store);
    int result = lock_now(store, PC_STORE_LOCK_TIMEOUT_MS);
    if (result)
        return result;
    result = be_current(store);
    pc_store_lock_release(&store->lock);
    return result;
}

static void rollback(struct pc_sqlite_store *store)
{
    struct pc_reason reason = store->head.error;
    if (store->sqlite.db && !sqlite3_get_autocommit(store->sqlite.db))
        (void)pc_sqlite_run(&store->sqlite, PC_SQLITE_ROLLBACK, 0); /* the first failure is the one to tell */
    store->head.error = reason;
}

/* Whether this batch was committed before; else it is entered. */
static int enter_in_ledger(struct pc_sqlite_store *store, uint64_t sequence, int64_t change, bool *ret_known)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_LEDGER_GET, &result);
    if (!row)
        return result;
    (void)sqlite3_bind_int64(row, 1, (int64_t)store->head.writer_id);
    int code = sqlite3_step(row);
    bool is_first = code == SQLITE_DONE;
    *ret_known = code == SQLITE_ROW && (uint64_t)sqlite3_column_int64(row, 0) >= sequence;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        result = pc_sqlite_fail(sqlite, code, "SQLite");
    (void)sqlite3_reset(row);
    if (result || *ret_known)
        return result;
    sqlite3_stmt *put = pc_sqlite_prepare(sqlite, PC_SQLITE_LEDGER_PUT, &result);
    if (!put)
        return result;
    (void)sqlite3_bind_int64(put, 1, (int64_t)store->head.writer_id);
    (void)sqlite3_bind_int64(put, 2, (int64_t)sequence);
    (void)sqlite3_bind_int64(put, 3, change);
    code = sqlite3_step(put);
    if (code != SQLITE_DONE)
        result = pc_sqlite_fail(sqlite, code, "SQLite");
    (void)sqlite3_reset(put);
    if (result == 0 && is_first)
        result = pc_sqlite_run(sqlite, PC_SQLITE_LEDGER_TRIM, PC_SQLITE_LEDGER_MAX);
    return result;
}

static void pace_checkpoints(struct pc_sqlite_store *store, const struct pc_sqlite_state *state)
{
    int64_t pages = (state->counts[PEERCACHE_NEW] + state->counts[PEERCACHE_TRIED]) / WAL_PEERS_PER_PAGE;
    pages = pc_base_time_min(pc_base_time_max(pages, WAL_PAGES_MIN), WAL_PAGES_MAX);
    (void)sqlite3_wal_autocheckpoint(store->sqlite.db, (int)pages);
}

/* The log is cut back now and then, and tombstones go when there are too many or they are too old. */
static int trim(struct pc_sqlite_store *store, const struct pc_sqlite_write *write, bool removes)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    int64_t slack = write->state.change % PC_SQLITE_LOG_SLACK;
    int result = 0;
    if (removes)
        result = pc_sqlite_run(sqlite, PC_SQLITE_TOMBSTONES_TRIM, PC_SQLITE_TOMBSTONES_MAX);
    if (result == 0 && removes)
        result = pc_sqlite_run(sqlite, PC_SQLITE_TOMBSTONES_EXPIRE, store->now_ms - store->retention_ms);
    if (result == 0 && write->state.change > PC_SQLITE_LOG_MAX && slack < store->logged)
        result = pc_sqlite_run(sqlite, PC_SQLITE_LOG_TRIM, write->state.change - PC_SQLITE_LOG_MAX);
    return result;
}

static int write_batch(struct pc_sqlite_store *store, uint64_t sequence, const struct pc_delta *deltas,
                       size_t count)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    struct pc_sqlite_write write;
    bool known = false, removes = false;
    int result = pc_sqlite_write_begin(store, &write);
    int64_t before = result ? 0 : write.state.change;
    if (result == 0)
        result = enter_in_ledger(store, sequence, before + 1, &known);
    if (result == 0 && known) {
        rollback(store);
        return 0;
    }
    for (size_t i = 0; i < count && result == 0; i++) {
        removes |= deltas[i].removed_ms != 0 || deltas[i].proven_id.size != 0;
        result = pc_sqlite_apply(&write, &deltas[i]);
    }
    if (result == 0) {
        store->logged = write.state.change - before;
        result = trim(store, &write, removes);
    }
    if (result == 0)
        result = pc_sqlite_state_put(sqlite, &write.state);
    if (result == 0) {
        pace_checkpoints(store, &write.state);
        result = pc_sqlite_run(sqlite, PC_SQLITE_COMMIT, 0);
    }
    if (result) {
        rollback(store);
        return result;
    }
    store->head.tally.added += write.tally.added;
    store->head.tally.merged += write.tally.merged;
    store->head.tally.refused += write.tally.refused;
    if (store->seen_change == before) /* nobody else came between: nothing to take in */
        store->seen_change = write.state.change;
    return 0;
}

static int sqlite_commit(struct pc_store *head, uint64_t sequence, const struct pc_delta *deltas,
                         size_t count, int64_t now_ms, uint32_t timeout_ms)
{
    struct pc_sqlite_store *store = of(head);
    store->now_ms = pc_base_time_max(store->now_ms, now_ms);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = be_current(store);
    if (result == 0 && !head->read_only)
        result = write_batch(store, sequence, deltas, count);
    if (result == PEERCACHE_ECORRUPT) {
        result = pc_sqlite_recover(store);
        if (result == 0)
            result = write_batch(store, sequence, deltas, count);
    }
    pc_store_lock_release(&store->lock);
    return result;
}

/* How a query went on: what a failure means depends on whether anything was given out. */
struct progress {
    pc_store_visit visit;
    void *context;
    bool visited;
    bool stopped; /* by the visit */
};

static int visit_one(const struct pc_record *record, struct progress *progress)
{
    int result = progress->visit(progress->context, record);
    progress->visited = true;
    progress->stopped = result != 0;
    return result;
}

/* Visit the rows of a statement; of the last one the bucket. */
static int visit_rows(struct pc_sqlite_store *store, sqlite3_stmt *rows, struct progress *progress,
                      int64_t *ret_bucket, size_t *ret_count)
{
    int result;
    while ((result = pc_sqlite_step(&store->sqlite, rows)) == 1) {
        struct pc_record record;
        *ret_bucket = sqlite3_column_int64(rows, 2);
        if (pc_sqlite_row_record(rows, &record, NULL) != 1)
            continue;
        ++*ret_count;
        result = visit_one(&record, progress);
        if (result) {
            (void)sqlite3_reset(rows);
            break;
        }
    }
    return result;
}

/* The best few of each of some buckets of a state, all around the ring from a lot on. */
static int visit_sample(struct pc_sqlite_store *store, peercache_state state, size_t count,
                        struct progress *progress)
{
    int64_t buckets = INT64_C(1) << store->quota.bits[state];
    int64_t per_bucket = pc_base_time_max(BEST_PER_BUCKET, (int64_t)count / buckets + 1);
    int64_t looks = (int64_t)count / per_bucket + 1;
    int64_t step = pc_base_time_max(buckets / looks, 1);
    int64_t start = (int64_t)pc_base_rng_below(&store->rng, (uint64_t)buckets);
    size_t visited = 0;
    int result = 0;
    for (int turn = 0; turn < 2 && result == 0; turn++) { /* from the lot to the end, and from 0 to the lot */
        int64_t at = turn == 0 ? start : 0;
        int64_t end = turn == 0 ? buckets : start;
        while (at < end && visited < count && result == 0) {
            int64_t bucket = INT64_MAX - 1;
            sqlite3_stmt *rows = pc_sqlite_prepare(&store->sqlite, PC_SQLITE_PEERS_IN_BUCKETS, &result);
            if (!rows)
                return result;
            (void)sqlite3_bind_int(rows, 1, (int)state);
            (void)sqlite3_bind_int64(rows, 2, at);
            (void)sqlite3_bind_int64(rows, 3, pc_base_time_min(per_bucket, (int64_t)(count - visited)));
            result = visit_rows(store, rows, progress, &bucket, &visited);
            at = pc_base_time_max(at + step, bucket + 1);
        }
    }
    return result;
}

static int visit_best(struct pc_sqlite_store *store, size_t count, struct progress *progress)
{
    struct pc_sqlite_state state;
    int64_t bucket;
    size_t visited = 0;
    int result = pc_sqlite_state_get(&store->sqlite, &state);
    if (result)
        return result;
    size_t tried = (size_t)state.counts[PEERCACHE_TRIED], fresh = (size_t)state.counts[PEERCACHE_NEW];
    store->head.has_more = tried + fresh > count;
    if (!store->head.has_more) {
        sqlite3_stmt *rows = pc_sqlite_prepare(&store->sqlite, PC_SQLITE_PEERS_BY_KEY, &result);
        return rows ? visit_rows(store, rows, progress, &bucket, &visited) : result;
    }
    size_t wanted = count / BEST_NEW_SHARE < fresh ? count - count / BEST_NEW_SHARE : count - fresh;
    wanted = wanted < tried ? wanted : tried;
    result = visit_sample(store, PEERCACHE_TRIED, wanted, progress);
    return result ? result : visit_sample(store, PEERCACHE_NEW, count - wanted, progress);
}

/* What the log says of since then; a key that has no row is one removed. Who is further behind than the log
 * goes back reads the best anew. */
static int visit_changed(struct pc_sqlite_store *store, size_t count, struct progress *progress)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    int result = 0;
    sqlite3_stmt *first = pc_sqlite_prepare(sqlite, PC_SQLITE_LOG_FIRST, &result);
    if (!first)
        return result;
    result = pc_sqlite_step(sqlite, first);
    if (result < 0)
        return result;
    bool is_gap = sqlite3_column_int64(first, 0) > store->seen_change + 1;
    (void)sqlite3_reset(first);
    if (is_gap && store->seen_change > 0)
        return visit_best(store, count ? count : PC_STORE_PEERS_MAX_DEFAULT, progress);
    sqlite3_stmt *keys = pc_sqlite_prepare(sqlite, PC_SQLITE_LOG_SINCE, &result);
    if (!keys)
        return result;
    (void)sqlite3_bind_int64(keys, 1, store->seen_change);
    while ((result = pc_sqlite_step(sqlite, keys)) == 1) {
        struct pc_record record;
        struct pc_sqlite_key key;
        struct pc_peer_id id = { .size = 0 };
        struct pc_bytes bytes = pc_sqlite_column_bytes(keys, 0);
        if (bytes.size > sizeof(key.bytes))
            continue;
        key.size = bytes.size;
        memcpy(key.bytes, bytes.data, bytes.size);
        bool has_id = pc_addr_peer_id_from_bytes(bytes, &id) == 0;
        result = pc_sqlite_find(sqlite, &key, &id, &record);
        if (result == 1 || (result == 0 && has_id)) /* of one without id that went nothing can be told */
            result = visit_one(&record, progress);
        if (result) {
            (void)sqlite3_reset(keys);
            break;
        }
    }
    return result;
}

static int visit_rows_of(struct pc_sqlite_store *store, const struct pc_store_query *query,
                         struct progress *progress)
{
    struct pc_sqlite_key key = { .size = 0 };
    enum pc_sqlite_statement which = PC_SQLITE_PEERS_BY_KEY;
    int64_t bucket;
    size_t visited = 0;
    int result = 0;
    switch (query->kind) {
    case PC_STORE_BEST:
        return visit_best(store, query->count, progress);
    case PC_STORE_CHANGED:
        return visit_changed(store, query->count, progress);
    case PC_STORE_ALL:
        break;
    case PC_STORE_BY_ID:
        which = PC_SQLITE_PEER_BY_KEY;
        break;
    case PC_STORE_AFTER:
        which = PC_SQLITE_PEERS_AFTER;
        break;
    }
    sqlite3_stmt *rows = pc_sqlite_prepare(&store->sqlite, which, &result);
    if (!rows)
        return result;
    if (query->id.size || query->addr.size)
        pc_sqlite_key_of(&query->id, &query->addr, &key);
    if (query->kind != PC_STORE_ALL)
        pc_sqlite_bind(rows, 1, pc_bytes_of(key.bytes, key.size));
    if (query->kind == PC_STORE_AFTER)
        (void)sqlite3_bind_int64(rows, 2, query->count < INT64_MAX ? (int64_t)query->count : INT64_MAX);
    return visit_rows(store, rows, progress, &bucket, &visited);
}

static int query_once(struct pc_sqlite_store *store, const struct pc_store_query *query,
                      struct progress *progress)
{
    struct pc_sqlite_state state;
    int result = pc_sqlite_run(&store->sqlite, PC_SQLITE_BEGIN, 0);
    if (result == 0)
        result = pc_sqlite_state_get(&store->sqlite, &state);
    if (result == 0)
        result = visit_rows_of(store, query, progress);
    rollback(store); /* nothing was written */
    if (result == 0 && (query->kind == PC_STORE_CHANGED || query->kind == PC_STORE_BEST))
        store->seen_change = state.change;
    return result;
}

static int sqlite_query(struct pc_store *head, const struct pc_store_query *query, pc_store_visit visit,
                        void *context)
{
    struct pc_sqlite_store *store = of(head);
    struct progress progress = { .visit = visit, .context = context };
    int result = be_current_unlocked(store);
    if (result)
        return result;
    result = query_once(store, query, &progress);
    if (result != PEERCACHE_ECORRUPT || progress.stopped || head->read_only)
        return result;
    result = lock_now(store, PC_STORE_LOCK_TIMEOUT_MS);
    if (result)
        return result;
    result = pc_sqlite_recover(store);
    pc_store_lock_release(&store->lock);
    if (result)
        return result;
    if (progress.visited) {
        pc_base_reason(&head->error, "%s: found corrupt while reading, moved aside", head->path);
        return PEERCACHE_ECORRUPT;
    }
    return query_once(store, query, &progress);
}

static int sqlite_meta_get(struct pc_store *head, const char *key, uint8_t *ret_value, size_t capacity,
                           size_t *ret_size)
{
    int result = be_current_unlocked(of(head));
    return result ? result : pc_sqlite_meta_get(&of(head)->sqlite, key, ret_value, capacity, ret_size);
}

/* Under the lock, which every writer takes. */
static int change_meta(struct pc_sqlite_store *store, const char *key, pc_store_change change, void *context)
{
    size_t size = 0;
    struct pc_bytes next;
    uint8_t *value = malloc(PC_STORE_META_VALUE_MAX_BYTES);
    if (!value)
        return PEERCACHE_ENOMEM;
    int result = pc_sqlite_meta_get(&store->sqlite, key, value, PC_STORE_META_VALUE_MAX_BYTES, &size);
    if (result == 0 || result == PEERCACHE_ENOTFOUND) {
        bool changes = change(context, pc_bytes_of(result == 0 ? value : NULL, size), &next);
        result = 0;
        if (changes && next.data && next.size > PC_STORE_META_VALUE_MAX_BYTES) {
            pc_base_reason(&store->head.error, "%s: a value of the metadata is over %d bytes",
                           store->head.path, PC_STORE_META_VALUE_MAX_BYTES);
            result = PEERCACHE_ELIMIT;
        } else if (changes && !store->head.read_only) {
            result = next.data ? pc_sqlite_meta_put(&store->sqlite, key, next)
                               : pc_sqlite_meta_delete(&store->sqlite, key);
        }
    }
    free(value);
    return result;
}

static int sqlite_meta_update(struct pc_store *head, const char *key, pc_store_change change, void *context,
                              uint32_t timeout_ms)
{
    struct pc_sqlite_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = be_current(store);
    if (result == 0)
        result = change_meta(store, key, change, context);
    pc_store_lock_release(&store->lock);
    return result;
}

static int sqlite_check(struct pc_store *head)
{
    struct pc_sqlite_store *store = of(head);
    struct pc_sqlite *sqlite = &store->sqlite;
    sqlite3_stmt *statement = NULL;
    int result = be_current_unlocked(store);
    if (result)
        return result;
    int code = sqlite3_prepare_v2(sqlite->db, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        result = pc_sqlite_fail(sqlite, code, "SQLite");
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok")) {
        pc_base_reason(&head->error, "%s: %s", head->path, (const char *)sqlite3_column_text(statement, 0));
        result = PEERCACHE_ECORRUPT;
    }
    (void)sqlite3_finalize(statement);
    if (result)
        return result;
    size_t bad = 0;
    sqlite3_stmt *rows = pc_sqlite_prepare(sqlite, PC_SQLITE_PEERS_BY_KEY, &result);
    if (!rows)
        return result;
    while ((result = pc_sqlite_step(sqlite, rows)) == 1) {
        struct pc_record record;
        size_t before = bad;
        if (pc_sqlite_row_record(rows, &record, &bad) == 0 && bad == before)
            bad++; /* a peer without any address */
    }
    if (result < 0)
        return result;
    if (bad) {
        pc_base_reason(&head->error, "%s: %zu rows hold values that are not valid", head->path, bad);
        return PEERCACHE_ECORRUPT;
    }
    return 0;
}

static int sqlite_count(struct pc_store *head, uint64_t ret_counts[PEERCACHE_STATE_COUNT])
{
    struct pc_sqlite_state state;
    int result = be_current_unlocked(of(head));
    if (result == 0)
        result = pc_sqlite_state_get(&of(head)->sqlite, &state);
    for (size_t i = 0; i < PEERCACHE_STATE_COUNT && result == 0; i++)
        ret_counts[i] = (uint64_t)state.counts[i];
    return result;
}

static int sqlite_repair(struct pc_store *head, uint32_t timeout_ms)
{
    struct pc_sqlite_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = pc_sqlite_move_and_salvage(store);
    pc_store_lock_release(&store->lock);
    return result;
}

static int sqlite_meta_keys(struct pc_store *head, const char *prefix, pc_store_visit_key visit,
                            void *context)
{
    struct pc_sqlite_store *store = of(head);
    int result = be_current_unlocked(store);
    sqlite3_stmt *rows = result ? NULL : pc_sqlite_prepare(&store->sqlite, PC_SQLITE_META_KEYS, &result);
    if (!rows)
        return result;
    (void)sqlite3_bind_text(rows, 1, prefix, -1, SQLITE_STATIC);
    while ((result = pc_sqlite_step(&store->sqlite, rows)) == 1) {
        const char *key = (const char *)sqlite3_column_text(rows, 0);
        result = key ? visit(context, key) : PEERCACHE_ENOMEM;
        if (result) {
            (void)sqlite3_reset(rows);
            break;
        }
    }
    return result;
}

static int sqlite_bans(struct pc_store *head, pc_store_visit_ban visit, void *context)
{
    int result = be_current_unlocked(of(head));
    return result ? result : pc_sqlite_visit_bans(&of(head)->sqlite, visit, context);
}

static int sqlite_removals(struct pc_store *head, pc_store_visit_removal visit, void *context)
{
    int result = be_current_unlocked(of(head));
    return result ? result : pc_sqlite_visit_removals(&of(head)->sqlite, visit, context);
}

static int put_bans(struct pc_sqlite_store *store, const struct pc_ban *bans, size_t count)
{
    int result = pc_sqlite_run(&store->sqlite, PC_SQLITE_BEGIN_IMMEDIATE, 0);
    for (size_t i = 0; i < count && result == 0; i++)
        result = bans[i].since_ms ? pc_sqlite_ban_put(&store->sqlite, &bans[i])
                                  : pc_sqlite_ban_lift(&store->sqlite, &bans[i]);
    if (result == 0)
        result = pc_sqlite_bans_within_limit(&store->sqlite);
    if (result == 0)
        result = pc_sqlite_run(&store->sqlite, PC_SQLITE_COMMIT, 0);
    if (result)
        rollback(store);
    return result;
}

static int sqlite_ban_put(struct pc_store *head, const struct pc_ban *bans, size_t count, uint32_t timeout_ms)
{
    struct pc_sqlite_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = be_current(store);
    if (result == 0 && !head->read_only)
        result = put_bans(store, bans, count);
    pc_store_lock_release(&store->lock);
    return result;
}

static void sqlite_close(struct pc_store *head)
{
    struct pc_sqlite_store *store = of(head);
    bool locked = !head->read_only && store->sqlite.db && lock_now(store, CLOSE_TIMEOUT_MS) == 0;
    /* Without the lock another process may be moving the file: then it is left as it is, which loses nothing.
     */
    pc_sqlite_disconnect(store, locked && pc_sqlite_is_current(store));
    pc_store_lock_close(&store->lock);
    free(store);
}

static const struct pc_store_ops sqlite_ops = {
    .query = sqlite_query,
    .commit = sqlite_commit,
    .meta_get = sqlite_meta_get,
    .meta_update = sqlite_meta_update,
    .meta_keys = sqlite_meta_keys,
    .bans = sqlite_bans,
    .ban_put = sqlite_ban_put,
    .removals = sqlite_removals,
    .count = sqlite_count,
    .check = sqlite_check,
    .repair = sqlite_repair,
    .close = sqlite_close,
    .name = "sqlite",
};

/* `why` nobody can write; NULL when it was asked for, which is nothing to warn of. */
static int open_for_reading(struct pc_sqlite_store *store, const char *why)
{
    store->head.read_only = true;
    int result = pc_sqlite_connect_read_only(store);
    if (result == 0 && why)
        pc_base_reason(&store->head.warning, "%s: read-only (%s): nothing will be saved", store->head.path,
                       why);
    return result;
}

static int open_file(struct pc_sqlite_store *store, const struct pc_store_options *options)
{
    char lock_path[PC_STORE_PATH_BYTES];
    enum pc_store_file look = pc_store_path_look(store->head.path);
    if (options->read_only)
        return open_for_reading(store, NULL);
    if (look == PC_STORE_FILE_READ_ONLY)
        return open_for_reading(store, "no permission to write");
    if (options->no_create && look == PC_STORE_FILE_MISSING) { /* not even a lock is made for it */
        pc_base_reason(&store->head.error, "%s: no such file", store->head.path);
        return PEERCACHE_ENOTFOUND;
    }
    int result = pc_store_path_with(store->head.path, ".lock", lock_path);
    if (result == 0)
        result = pc_store_lock_open(&store->lock, lock_path, pc_store_path_mode(store->head.path), false,
                                    &store->head.error);
    if ((result == PEERCACHE_EPERM || result == PEERCACHE_EREADONLY) && look != PC_STORE_FILE_MISSING)
        return open_for_reading(store, "its lock can't be made");
    if (result)
        return result;
    result = lock_now(store, options->timeout_ms);
    if (result)
        return result;
    result = pc_sqlite_connect(store);
    pc_store_lock_release(&store->lock);
    return result;
}

int pc_store_sqlite_open(const char *path, const struct pc_store_options *options,
                         struct pc_store **ret_store, struct pc_reason *ret_reason)
{
    bool was_link = false;
    if (strlen(options->network) >= PC_SQLITE_NETWORK_BYTES) {
        pc_base_reason(ret_reason, "the name of the network is too long");
        return PEERCACHE_ELIMIT;
    }
    struct pc_sqlite_store *store = calloc(1, sizeof(*store));
    if (!store)
        return PEERCACHE_ENOMEM;
    int result = pc_store_path_resolve(path, options->read_only || options->no_create, store->head.path,
                                       &was_link, ret_reason);
    if (result) {
        free(store);
        return result;
    }
    store->head.ops = &sqlite_ops;
    store->sqlite.path = store->head.path;
    store->sqlite.reason = &store->head.error;
    pc_store_lock_init(&store->lock);
    pc_base_rng_init(&store->rng, options->random);
    store->mode = options->mode;
    store->no_create = options->no_create;
    store->peers_max = options->peers_max ? options->peers_max : PC_STORE_PEERS_MAX_DEFAULT;
    store->addrs_max = options->addrs_max;
    store->record_max_bytes = options->record_max_bytes;
    store->retention_ms = options->retention_ms ? options->retention_ms : PC_STORE_RETENTION_DEFAULT_MS;
    store->now_ms = options->now_ms;
    store->may_move_aside =
        pc_store_path_ends_with(store->head.path, ".db") || (options->is_default_path && !was_link);
    memcpy(store->network, options->network, strlen(options->network) + 1);
    store->head.writer_id = options->writer_id ? options->writer_id : pc_base_rng_u64(&store->rng);
    result = open_file(store, options);
    if (result) {
        if (ret_reason)
            *ret_reason = store->head.error;
        sqlite_close(&store->head);
        return result;
    }
    *ret_store = &store->head;
    return 0;
}
