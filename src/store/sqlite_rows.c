/* One connection: statements, and rows to records and back. */
#include "store/sqlite.h"

#include "base/cursor.h"
#include "base/time.h"
#include "cache/bucket.h"

#include <errno.h>

#define KEY_WITHOUT_ID 0xff /* no multihash begins so */

static int translate(struct pc_sqlite *sqlite, int code)
{
    int cause = sqlite->db ? sqlite3_system_errno(sqlite->db) : 0;
    if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS)
        return PEERCACHE_ECORRUPT;
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return PEERCACHE_EBUSY;
    case SQLITE_FULL:
        return PEERCACHE_EFULL;
    case SQLITE_NOMEM:
        return PEERCACHE_ENOMEM;
    case SQLITE_READONLY:
        return PEERCACHE_EREADONLY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return PEERCACHE_EPERM;
    case SQLITE_CANTOPEN:
        return cause == EACCES || cause == EPERM ? PEERCACHE_EPERM : PEERCACHE_EIO;
    case SQLITE_IOERR:
        return cause == ENOSPC || cause == EDQUOT ? PEERCACHE_EFULL : PEERCACHE_EIO;
    /* Our statements fit our schema: that they don't is the file's fault. */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_FORMAT:
    case SQLITE_TOOBIG:
        return PEERCACHE_ECORRUPT;
    default: /* SQLite's own list, and open */
        return PEERCACHE_EIO;
    }
}

int pc_sqlite_fail(struct pc_sqlite *sqlite, int code, const char *what)
{
    sqlite->error = code;
    pc_base_reason(sqlite->reason, "%s: %s: %s", sqlite->path, what,
                   sqlite->db ? sqlite3_errmsg(sqlite->db) : sqlite3_errstr(code));
    return translate(sqlite, code);
}

int pc_sqlite_exec(struct pc_sqlite *sqlite, const char *sql)
{
    int code = sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : pc_sqlite_fail(sqlite, code, "SQLite");
}

sqlite3_stmt *pc_sqlite_prepare(struct pc_sqlite *sqlite, enum pc_sqlite_statement which, int *ret_result)
{
    static const char *const texts[] = {
#define PC_X(name, sql) sql,
        PC_SQLITE_STATEMENTS(PC_X)
#undef PC_X
    };
    sqlite3_stmt **statement = &sqlite->statements[which];
    if (!*statement) {
        int code =
            sqlite3_prepare_v3(sqlite->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
        if (code != SQLITE_OK) {
            *ret_result = pc_sqlite_fail(sqlite, code, "SQLite");
            return NULL;
        }
    }
    return *statement;
}

/* Step once: 1 a row, 0 done, or the failure. A statement that is done or failed is reset. */
static int step(struct pc_sqlite *sqlite, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    int result = code == SQLITE_DONE ? 0 : pc_sqlite_fail(sqlite, code, "SQLite");
    (void)sqlite3_reset(statement); /* says the same again */
    return result;
}

int pc_sqlite_run(struct pc_sqlite *sqlite, enum pc_sqlite_statement which, int64_t argument)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, which, &result);
    if (!statement)
        return result;
    if (sqlite3_bind_parameter_count(statement) == 1)
        (void)sqlite3_bind_int64(statement, 1, argument);
    return step(sqlite, statement);
}

void pc_sqlite_close(struct pc_sqlite *sqlite)
{
    for (size_t i = 0; i < PC_SQLITE_STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(sqlite->statements[i]); /* repeats the last step's failure */
        sqlite->statements[i] = NULL;
    }
    (void)sqlite3_close(sqlite->db); /* no statement is left, so it closes */
    sqlite->db = NULL;
}

/* Binding can fail only by memory, and then the step fails too: SQLite keeps NULL there, which no column of
 * ours takes. */
static void bind_bytes(sqlite3_stmt *statement, int index, struct pc_bytes bytes)
{
    if (bytes.size)
        (void)sqlite3_bind_blob(statement, index, bytes.data, (int)bytes.size, SQLITE_STATIC);
    else
        (void)sqlite3_bind_zeroblob(statement, index, 0);
}

static struct pc_bytes column_bytes(sqlite3_stmt *row, int column)
{
    const void *data = sqlite3_column_blob(row, column);
    return pc_bytes_of(data, data ? (size_t)sqlite3_column_bytes(row, column) : 0);
}

int pc_sqlite_meta_get(struct pc_sqlite *sqlite, const char *key, uint8_t *ret_value, size_t capacity,
                       size_t *ret_size)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_META_GET, &result);
    if (!row)
        return result;
    (void)sqlite3_bind_text(row, 1, key, -1, SQLITE_STATIC);
    result = step(sqlite, row);
    if (result < 0)
        return result;
    if (result == 0)
        return PEERCACHE_ENOTFOUND;
    struct pc_bytes value = column_bytes(row, 0);
    result = value.size > capacity ? PEERCACHE_ELIMIT : 0;
    if (result == 0) {
        if (value.size)
            memcpy(ret_value, value.data, value.size);
        *ret_size = value.size;
    }
    (void)sqlite3_reset(row);
    return result;
}

int pc_sqlite_meta_put(struct pc_sqlite *sqlite, const char *key, struct pc_bytes value)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_META_PUT, &result);
    if (!statement)
        return result;
    (void)sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    bind_bytes(statement, 2, value);
    return step(sqlite, statement);
}

int pc_sqlite_change_get(struct pc_sqlite *sqlite, int64_t *ret_change)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_CHANGE_GET, &result);
    if (!row)
        return result;
    result = step(sqlite, row);
    if (result < 0)
        return result;
    if (result == 0)
        return pc_sqlite_fail(sqlite, SQLITE_CORRUPT, "the change counter is gone");
    *ret_change = sqlite3_column_int64(row, 0);
    (void)sqlite3_reset(row);
    return 0;
}

void pc_sqlite_key_of(const struct pc_peer_id *id, const struct pc_maddr *addr, struct pc_sqlite_key *ret_key)
{
    if (id->size) {
        ret_key->size = id->size;
        memcpy(ret_key->bytes, id->bytes, id->size);
        return;
    }
    ret_key->bytes[0] = KEY_WITHOUT_ID;
    ret_key->size = 1 + (size_t)addr->size;
    memcpy(ret_key->bytes + 1, addr->bytes, addr->size);
}

static int64_t column_ms(sqlite3_stmt *row, int column)
{
    return pc_base_time_max(sqlite3_column_int64(row, column), 0);
}

static uint32_t column_u32(sqlite3_stmt *row, int column)
{
    int64_t value = sqlite3_column_int64(row, column);
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* Failures by kind are pairs of the outcome's number and a varint; only what is not zero. */
static bool read_failures(struct pc_bytes bytes, struct pc_history *history)
{
    struct pc_reader r;
    pc_base_reader_init(&r, bytes.data, bytes.size);
    while (pc_base_reader_left(&r)) {
        uint8_t kind = pc_base_read_u8(&r);
        uint64_t count = pc_base_read_varint(&r);
        if (r.error || kind >= PEERCACHE_OUTCOME_COUNT || count > UINT32_MAX)
            return false;
        history->failures[kind] = (uint32_t)count;
    }
    return true;
}

static size_t write_failures(const struct pc_history *history, uint8_t *ret_bytes, size_t capacity)
{
    struct pc_writer w;
    pc_base_writer_init(&w, ret_bytes, capacity);
    for (size_t i = 0; i < PEERCACHE_OUTCOME_COUNT; i++) {
        if (history->failures[i]) {
            pc_base_write_u8(&w, (uint8_t)i);
            pc_base_write_varint(&w, history->failures[i]);
        }
    }
    return pc_base_writer_size(&w);
}

static bool read_addr(sqlite3_stmt *row, struct pc_record_addr *ret_addr)
{
    struct pc_history *history = &ret_addr->history;
    pc_cache_history_init(history);
    if (pc_addr_maddr_from_bytes(column_bytes(row, 0), &ret_addr->addr) || ret_addr->addr.size == 0)
        return false;
    history->success_count = column_u32(row, 1);
    history->failure_count = column_u32(row, 2);
    if (!read_failures(column_bytes(row, 3), history))
        return false;
    history->last_seen_ms = column_ms(row, 4);
    history->last_success_ms = column_ms(row, 5);
    history->last_attempt_ms = column_ms(row, 6);
    if (sqlite3_column_type(row, 7) != SQLITE_NULL)
        history->rtt_us = column_u32(row, 7);
    history->rtt_at_ms = column_ms(row, 8);
    ret_addr->first_seen_ms = column_ms(row, 9);
    uint32_t source = column_u32(row, 10);
    struct pc_bytes group = column_bytes(row, 11);
    if (source >= PEERCACHE_SOURCE_COUNT || group.size > sizeof(ret_addr->source_group.bytes))
        return false;
    ret_addr->source = (peercache_source)source;
    memset(&ret_addr->source_group, 0, sizeof(ret_addr->source_group));
    ret_addr->source_group.size = (uint8_t)group.size;
    if (group.size)
        memcpy(ret_addr->source_group.bytes, group.data, group.size);
    return true;
}

static bool read_key(struct pc_bytes key, struct pc_peer_id *ret_id)
{
    ret_id->size = 0;
    if (key.size > 1 && key.data[0] == KEY_WITHOUT_ID)
        return true;
    return pc_addr_peer_id_from_bytes(key, ret_id) == 0;
}

int pc_sqlite_row_record(struct pc_sqlite *sqlite, sqlite3_stmt *row, struct pc_record *ret_record,
                         int64_t *ret_pk, size_t *ret_bad)
{
    struct pc_peer_id id;
    size_t bad = 0;
    int result = 0;
    *ret_pk = sqlite3_column_int64(row, 0);
    if (!read_key(column_bytes(row, 1), &id)) {
        if (ret_bad)
            ++*ret_bad;
        return 0;
    }
    pc_cache_record_init(ret_record, &id);
    ret_record->bucket = column_u32(row, 3);
    sqlite3_stmt *addrs = pc_sqlite_prepare(sqlite, PC_SQLITE_ADDRS, &result);
    if (!addrs)
        return result;
    (void)sqlite3_bind_int64(addrs, 1, *ret_pk);
    while ((result = step(sqlite, addrs)) == 1) {
        struct pc_record_addr *addr = &ret_record->addrs[ret_record->addr_count];
        if (ret_record->addr_count == PEERCACHE_ADDRS_PER_PEER || !read_addr(addrs, addr)) {
            bad++;
            continue;
        }
        if (addr->history.success_count)
            ret_record->state = PEERCACHE_TRIED;
        ret_record->addr_count++;
    }
    if (result < 0)
        return result;
    if (ret_bad)
        *ret_bad += bad;
    return ret_record->addr_count > 0 && (id.size || ret_record->addr_count == 1);
}

int pc_sqlite_find(struct pc_sqlite *sqlite, const struct pc_sqlite_key *key, const struct pc_peer_id *id,
                   struct pc_record *ret_record, int64_t *ret_pk)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_PEER_BY_KEY, &result);
    if (!row)
        return result;
    bind_bytes(row, 1, pc_bytes_of(key->bytes, key->size));
    result = step(sqlite, row);
    if (result == 1) {
        result = pc_sqlite_row_record(sqlite, row, ret_record, ret_pk, NULL);
        (void)sqlite3_reset(row);
    }
    if (result == 0)
        pc_cache_record_init(ret_record, id);
    return result;
}

static int put_peer(struct pc_sqlite *sqlite, struct pc_record *record, const struct pc_sqlite_write *write,
                    int64_t *ret_pk)
{
    struct pc_sqlite_key key;
    int64_t success_ms = 0, seen_ms = 0;
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_PEER_PUT, &result);
    if (!statement)
        return result;
    pc_sqlite_key_of(&record->id, &record->addrs[0].addr, &key);
    record->bucket = pc_cache_bucket_of_record(write->secret, write->mode, record);
    for (size_t i = 0; i < record->addr_count; i++) {
        success_ms = pc_base_time_max(success_ms, record->addrs[i].history.last_success_ms);
        seen_ms = pc_base_time_max(seen_ms, record->addrs[i].history.last_seen_ms);
    }
    bind_bytes(statement, 1, pc_bytes_of(key.bytes, key.size));
    (void)sqlite3_bind_int(statement, 2, (int)record->state);
    (void)sqlite3_bind_int64(statement, 3, record->bucket);
    (void)sqlite3_bind_int64(statement, 4, success_ms);
    (void)sqlite3_bind_int64(statement, 5, seen_ms);
    (void)sqlite3_bind_int64(statement, 6, write->change);
    result = step(sqlite, statement);
    if (result <= 0)
        return result ? result : pc_sqlite_fail(sqlite, SQLITE_CORRUPT, "a row was not written");
    *ret_pk = sqlite3_column_int64(statement, 0);
    result = step(sqlite, statement); /* to its end, or the row is not written */
    return result < 0 ? result : 0;
}

static int put_addr(struct pc_sqlite *sqlite, int64_t pk, const struct pc_record_addr *addr)
{
    uint8_t failures[PEERCACHE_OUTCOME_COUNT * 6];
    const struct pc_history *history = &addr->history;
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_ADDR_PUT, &result);
    if (!statement)
        return result;
    (void)sqlite3_bind_int64(statement, 1, pk);
    bind_bytes(statement, 2, pc_addr_maddr_bytes(&addr->addr));
    (void)sqlite3_bind_int64(statement, 3, history->success_count);
    (void)sqlite3_bind_int64(statement, 4, history->failure_count);
    bind_bytes(statement, 5, pc_bytes_of(failures, write_failures(history, failures, sizeof(failures))));
    (void)sqlite3_bind_int64(statement, 6, history->last_seen_ms);
    (void)sqlite3_bind_int64(statement, 7, history->last_success_ms);
    (void)sqlite3_bind_int64(statement, 8, history->last_attempt_ms);
    if (history->rtt_us == PC_RTT_UNKNOWN)
        (void)sqlite3_bind_null(statement, 9);
    else
        (void)sqlite3_bind_int64(statement, 9, history->rtt_us);
    (void)sqlite3_bind_int64(statement, 10, history->rtt_at_ms);
    (void)sqlite3_bind_int64(statement, 11, addr->first_seen_ms);
    (void)sqlite3_bind_int(statement, 12, (int)addr->source);
    bind_bytes(statement, 13, pc_bytes_of(addr->source_group.bytes, addr->source_group.size));
    return step(sqlite, statement);
}

int pc_sqlite_put(struct pc_sqlite *sqlite, struct pc_record *record, const struct pc_sqlite_write *write)
{
    int64_t pk = 0;
    int result = put_peer(sqlite, record, write, &pk);
    for (size_t i = 0; i < record->addr_count && result == 0; i++)
        result = put_addr(sqlite, pk, &record->addrs[i]);
    return result;
}

int pc_sqlite_tombstone_put(struct pc_sqlite *sqlite, struct pc_bytes key, struct pc_bytes addr,
                            int64_t removed_ms, int64_t change)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_TOMBSTONE_PUT, &result);
    if (!statement)
        return result;
    bind_bytes(statement, 1, key);
    bind_bytes(statement, 2, addr);
    (void)sqlite3_bind_int64(statement, 3, removed_ms);
    (void)sqlite3_bind_int64(statement, 4, change);
    return step(sqlite, statement);
}

/* The latest removal of this address or of its whole peer; 0 when none. */
static int tombstone_get(struct pc_sqlite *sqlite, const struct pc_sqlite_key *key, struct pc_bytes addr,
                         int64_t *ret_removed_ms)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_TOMBSTONE_GET, &result);
    if (!row)
        return result;
    bind_bytes(row, 1, pc_bytes_of(key->bytes, key->size));
    bind_bytes(row, 2, addr);
    result = step(sqlite, row);
    if (result < 0)
        return result;
    *ret_removed_ms = result ? sqlite3_column_int64(row, 0) : 0; /* NULL is 0 */
    (void)sqlite3_reset(row);
    return 0;
}

static int delete_addr(struct pc_sqlite *sqlite, int64_t pk, const struct pc_maddr *addr)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_ADDR_DELETE, &result);
    if (!statement)
        return result;
    (void)sqlite3_bind_int64(statement, 1, pk);
    bind_bytes(statement, 2, pc_addr_maddr_bytes(addr));
    return step(sqlite, statement);
}

static int delete_peer(struct pc_sqlite *sqlite, int64_t pk)
{
    int result = pc_sqlite_run(sqlite, PC_SQLITE_ADDRS_DELETE, pk);
    return result ? result : pc_sqlite_run(sqlite, PC_SQLITE_PEER_DELETE, pk);
}

/* An address known without id is this peer's: what is known of it moves there. */
static int adopt(struct pc_sqlite *sqlite, const struct pc_delta *delta, const struct pc_sqlite_write *write)
{
    static const struct pc_peer_id nobody;
    struct pc_sqlite_key key;
    struct pc_record bare;
    int64_t pk = 0;
    struct pc_delta moved = *delta;
    moved.id = delta->proven_id;
    moved.proven_id.size = 0;
    pc_sqlite_key_of(&nobody, &delta->addr, &key);
    int result = pc_sqlite_find(sqlite, &key, &nobody, &bare, &pk);
    if (result < 0)
        return result;
    if (result == 1) {
        struct pc_delta known;
        pc_cache_delta_init(&known, &moved.id, pc_addr_maddr_bytes(&delta->addr));
        known.history = bare.addrs[0].history;
        known.source = bare.addrs[0].source;
        known.source_group = bare.addrs[0].source_group;
        known.first_seen_ms = bare.addrs[0].first_seen_ms;
        pc_cache_delta_merge(&moved, &known);
        result = delete_peer(sqlite, pk);
        if (result)
            return result;
    }
    /* Nor does it come back from the memory of another process. */
    result = pc_sqlite_tombstone_put(sqlite, pc_bytes_of(key.bytes, key.size), pc_bytes_of(NULL, 0),
                                     moved.history.last_seen_ms, write->change);
    return result ? result : pc_sqlite_apply(sqlite, &moved, write);
}

int pc_sqlite_apply(struct pc_sqlite *sqlite, const struct pc_delta *delta,
                    const struct pc_sqlite_write *write)
{
    struct pc_sqlite_key key;
    struct pc_record record;
    struct pc_maddr before[PEERCACHE_ADDRS_PER_PEER];
    struct pc_delta dated = *delta;
    int64_t pk = 0, removed_ms = 0;
    if (delta->proven_id.size)
        return adopt(sqlite, delta, write);
    pc_sqlite_key_of(&delta->id, &delta->addr, &key);
    dated.removed_ms = pc_base_time_min(delta->removed_ms, write->now_ms);
    if (delta->removed_ms) {
        /* One without id is its address: its tombstone is the whole of it. */
        struct pc_bytes addr = delta->id.size ? pc_addr_maddr_bytes(&delta->addr) : pc_bytes_of(NULL, 0);
        int result = pc_sqlite_tombstone_put(sqlite, pc_bytes_of(key.bytes, key.size), addr, dated.removed_ms,
                                             write->change);
        if (result)
            return result;
    }
    int result = tombstone_get(sqlite, &key, pc_addr_maddr_bytes(&delta->addr), &removed_ms);
    if (result)
        return result;
    dated.removed_ms = pc_base_time_max(dated.removed_ms, removed_ms);
    int found = pc_sqlite_find(sqlite, &key, &delta->id, &record, &pk);
    if (found < 0)
        return found;
    size_t before_count = record.addr_count;
    for (size_t i = 0; i < before_count; i++)
        before[i] = record.addrs[i].addr;
    if (!pc_cache_record_apply(&record, &dated, write->now_ms))
        return 0;
    if (pc_cache_record_empty(&record))
        return found ? delete_peer(sqlite, pk) : 0;
    result = put_peer(sqlite, &record, write, &pk);
    for (size_t i = 0; i < before_count && result == 0; i++)
        if (!pc_cache_record_find(&record, pc_addr_maddr_bytes(&before[i])))
            result = delete_addr(sqlite, pk, &before[i]);
    const struct pc_record_addr *changed = pc_cache_record_find(&record, pc_addr_maddr_bytes(&delta->addr));
    if (result == 0 && changed)
        result = put_addr(sqlite, pk, changed);
    return result;
}
