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

#define CLOSE_TIMEOUT_MS 1000 /* a checkpoint not made is made by the next that opens */

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

static int write_batch(struct pc_sqlite_store *store, uint64_t sequence, const struct pc_delta *deltas,
                       size_t count)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    struct pc_sqlite_write write = { store->head.secret, store->mode, 0, store->now_ms };
    int64_t before = 0;
    bool known = false, removes = false;
    int result = pc_sqlite_run(sqlite, PC_SQLITE_BEGIN_IMMEDIATE, 0);
    if (result == 0)
        result = pc_sqlite_change_get(sqlite, &before);
    write.change = before + 1;
    if (result == 0)
        result = enter_in_ledger(store, sequence, write.change, &known);
    if (result == 0 && known) {
        rollback(store);
        return 0;
    }
    for (size_t i = 0; i < count && result == 0; i++) {
        removes |= deltas[i].removed_ms != 0 || deltas[i].proven_id.size != 0;
        result = pc_sqlite_apply(sqlite, &deltas[i], &write);
    }
    if (result == 0 && removes)
        result = pc_sqlite_run(sqlite, PC_SQLITE_TOMBSTONES_TRIM, PC_SQLITE_TOMBSTONES_MAX);
    if (result == 0)
        result = pc_sqlite_run(sqlite, PC_SQLITE_CHANGE_PUT, write.change);
    if (result == 0)
        result = pc_sqlite_run(sqlite, PC_SQLITE_COMMIT, 0);
    if (result) {
        rollback(store);
        return result;
    }
    if (store->seen_change == before) /* nobody else came between: nothing to take in */
        store->seen_change = write.change;
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

static int visit_rows(struct pc_sqlite_store *store, sqlite3_stmt *rows, struct progress *progress)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    int result = 0;
    int code;
    while (result == 0 && (code = sqlite3_step(rows)) != SQLITE_DONE) {
        struct pc_record record;
        int64_t pk = 0;
        if (code != SQLITE_ROW) {
            result = pc_sqlite_fail(sqlite, code, "SQLite");
            break;
        }
        int found = pc_sqlite_row_record(sqlite, rows, &record, &pk, NULL);
        if (found < 0)
            result = found;
        if (found != 1)
            continue;
        progress->visited = true;
        result = progress->visit(progress->context, &record);
        progress->stopped = result != 0;
    }
    (void)sqlite3_reset(rows);
    return result;
}

/* Those removed: records without addresses. */
static int visit_removed(struct pc_sqlite_store *store, struct progress *progress)
{
    int result = 0;
    int code = SQLITE_DONE;
    sqlite3_stmt *rows = pc_sqlite_prepare(&store->sqlite, PC_SQLITE_TOMBSTONES_CHANGED, &result);
    if (!rows)
        return result;
    (void)sqlite3_bind_int64(rows, 1, store->seen_change);
    while (result == 0 && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct pc_record record;
        struct pc_peer_id id;
        struct pc_bytes key =
            pc_bytes_of(sqlite3_column_blob(rows, 0), (size_t)sqlite3_column_bytes(rows, 0));
        if (pc_addr_peer_id_from_bytes(key, &id))
            continue; /* one known by address only */
        pc_cache_record_init(&record, &id);
        progress->visited = true;
        result = progress->visit(progress->context, &record);
        progress->stopped = result != 0;
    }
    if (result == 0 && code != SQLITE_DONE)
        result = pc_sqlite_fail(&store->sqlite, code, "SQLite");
    (void)sqlite3_reset(rows);
    return result;
}

static int query_once(struct pc_sqlite_store *store, const struct pc_store_query *query,
                      struct progress *progress)
{
    static const enum pc_sqlite_statement statements[] = {
        [PC_STORE_ALL] = PC_SQLITE_PEERS_BY_KEY,
        [PC_STORE_BEST] = PC_SQLITE_PEERS_BEST,
        [PC_STORE_BY_ID] = PC_SQLITE_PEER_BY_KEY,
        [PC_STORE_CHANGED] = PC_SQLITE_PEERS_CHANGED,
    };
    struct pc_sqlite *sqlite = &store->sqlite;
    int64_t change = 0;
    int result = pc_sqlite_run(sqlite, PC_SQLITE_BEGIN, 0);
    if (result == 0)
        result = pc_sqlite_change_get(sqlite, &change);
    sqlite3_stmt *rows = result ? NULL : pc_sqlite_prepare(sqlite, statements[query->kind], &result);
    if (rows) {
        switch (query->kind) {
        case PC_STORE_ALL:
            break;
        case PC_STORE_BEST:
            (void)sqlite3_bind_int64(rows, 1, query->count < INT64_MAX ? (int64_t)query->count : INT64_MAX);
            break;
        case PC_STORE_BY_ID:
            (void)sqlite3_bind_blob(rows, 1, query->id.bytes, query->id.size, SQLITE_STATIC);
            break;
        case PC_STORE_CHANGED:
            (void)sqlite3_bind_int64(rows, 1, store->seen_change);
            break;
        }
        result = visit_rows(store, rows, progress);
    }
    if (result == 0 && query->kind == PC_STORE_CHANGED)
        result = visit_removed(store, progress);
    rollback(store); /* nothing was written */
    if (result == 0 && (query->kind == PC_STORE_CHANGED || query->kind == PC_STORE_BEST))
        store->seen_change = change;
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

static int sqlite_meta_put(struct pc_store *head, const char *key, struct pc_bytes value, uint32_t timeout_ms)
{
    struct pc_sqlite_store *store = of(head);
    int result = lock_now(store, timeout_ms);
    if (result)
        return result;
    result = be_current(store);
    if (result == 0)
        result = pc_sqlite_meta_put(&store->sqlite, key, value);
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
    while (result >= 0 && sqlite3_step(rows) == SQLITE_ROW) {
        struct pc_record record;
        int64_t pk;
        size_t before = bad;
        result = pc_sqlite_row_record(sqlite, rows, &record, &pk, &bad);
        if (result == 0 && bad == before)
            bad++; /* a peer without any address */
    }
    (void)sqlite3_reset(rows);
    if (result < 0)
        return result;
    if (bad) {
        pc_base_reason(&head->error, "%s: %zu rows hold values that are not valid", head->path, bad);
        return PEERCACHE_ECORRUPT;
    }
    return 0;
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
    .meta_put = sqlite_meta_put,
    .check = sqlite_check,
    .close = sqlite_close,
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
