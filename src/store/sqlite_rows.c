/* One connection: statements, and rows to records and back. */
#include "store/sqlite.h"

#include "base/cursor.h"
#include "base/time.h"
#include "cache/pack.h"

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

int pc_sqlite_step(struct pc_sqlite *sqlite, sqlite3_stmt *statement)
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
    return pc_sqlite_step(sqlite, statement);
}

void pc_sqlite_close(struct pc_sqlite *sqlite)
{
    for (size_t i = 0; i < PC_SQLITE_STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(sqlite->statements[i]); /* repeats the last step's failure */
        sqlite->statements[i] = NULL;
    }
    (void)sqlite3_close(sqlite->db); /* no statement is left, so it closes */
    sqlite->db = NULL;
    sqlite->has_written = false;
}

void pc_sqlite_bind(sqlite3_stmt *statement, int index, struct pc_bytes bytes)
{
    if (bytes.size)
        (void)sqlite3_bind_blob(statement, index, bytes.data, (int)bytes.size, SQLITE_STATIC);
    else
        (void)sqlite3_bind_zeroblob(statement, index, 0);
}

struct pc_bytes pc_sqlite_column_bytes(sqlite3_stmt *row, int column)
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
    result = pc_sqlite_step(sqlite, row);
    if (result < 0)
        return result;
    if (result == 0)
        return PEERCACHE_ENOTFOUND;
    struct pc_bytes value = pc_sqlite_column_bytes(row, 0);
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
    pc_sqlite_bind(statement, 2, value);
    return pc_sqlite_step(sqlite, statement);
}

int pc_sqlite_meta_delete(struct pc_sqlite *sqlite, const char *key)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_META_DELETE, &result);
    if (!statement)
        return result;
    (void)sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    return pc_sqlite_step(sqlite, statement);
}

int pc_sqlite_state_get(struct pc_sqlite *sqlite, struct pc_sqlite_state *ret_state)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_STATE_GET, &result);
    if (!row)
        return result;
    result = pc_sqlite_step(sqlite, row);
    if (result < 0)
        return result;
    if (result == 0)
        return pc_sqlite_fail(sqlite, SQLITE_CORRUPT, "the row of state is gone");
    ret_state->change = sqlite3_column_int64(row, 0);
    for (int i = 0; i < PEERCACHE_STATE_COUNT; i++)
        ret_state->counts[i] = pc_base_time_max(sqlite3_column_int64(row, 1 + i), 0);
    (void)sqlite3_reset(row);
    return 0;
}

int pc_sqlite_state_put(struct pc_sqlite *sqlite, const struct pc_sqlite_state *state)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_STATE_PUT, &result);
    if (!statement)
        return result;
    (void)sqlite3_bind_int64(statement, 1, state->change);
    for (int i = 0; i < PEERCACHE_STATE_COUNT; i++)
        (void)sqlite3_bind_int64(statement, 2 + i, state->counts[i]);
    return pc_sqlite_step(sqlite, statement);
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

static bool read_key(struct pc_bytes key, struct pc_peer_id *ret_id)
{
    ret_id->size = 0;
    if (key.size > 1 && key.data[0] == KEY_WITHOUT_ID)
        return true;
    return pc_addr_peer_id_from_bytes(key, ret_id) == 0;
}

int pc_sqlite_row_record(sqlite3_stmt *row, struct pc_record *ret_record, size_t *ret_bad)
{
    struct pc_peer_id id;
    struct pc_reader r;
    size_t ignored = 0;
    struct pc_bytes packed = pc_sqlite_column_bytes(row, 3);
    ret_bad = ret_bad ? ret_bad : &ignored;
    if (!read_key(pc_sqlite_column_bytes(row, 0), &id)) {
        ++*ret_bad;
        return 0;
    }
    pc_cache_record_init(ret_record, &id);
    ret_record->bucket = (uint32_t)sqlite3_column_int64(row, 2);
    pc_base_reader_init(&r, packed.data, packed.size);
    /* The pieces have no frame of their own: behind one that is not valid nothing can be read. */
    while (pc_base_reader_left(&r)) {
        struct pc_record_addr *addr = &ret_record->addrs[ret_record->addr_count];
        struct pc_maddr checked;
        if (ret_record->addr_count == PEERCACHE_ADDRS_PER_PEER || !pc_cache_unpack_addr(&r, addr) ||
            pc_addr_maddr_from_bytes(pc_addr_maddr_bytes(&addr->addr), &checked) || checked.size == 0) {
            ++*ret_bad;
            break;
        }
        ret_record->addr_count++;
    }
    if (sqlite3_column_int64(row, 1) == PEERCACHE_TRIED && pc_cache_record_is_verified(ret_record))
        ret_record->state = PEERCACHE_TRIED;
    return ret_record->addr_count > 0 && (id.size || ret_record->addr_count == 1);
}

int pc_sqlite_find(struct pc_sqlite *sqlite, const struct pc_sqlite_key *key, const struct pc_peer_id *id,
                   struct pc_record *ret_record)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(sqlite, PC_SQLITE_PEER_BY_KEY, &result);
    if (!row)
        return result;
    pc_sqlite_bind(row, 1, pc_bytes_of(key->bytes, key->size));
    result = pc_sqlite_step(sqlite, row);
    if (result == 1) {
        result = pc_sqlite_row_record(row, ret_record, NULL);
        (void)sqlite3_reset(row);
    }
    if (result == 0)
        pc_cache_record_init(ret_record, id);
    return result;
}

int pc_sqlite_tombstone_put(struct pc_sqlite *sqlite, struct pc_bytes key, struct pc_bytes addr,
                            int64_t removed_ms)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_TOMBSTONE_PUT, &result);
    if (!statement)
        return result;
    pc_sqlite_bind(statement, 1, key);
    pc_sqlite_bind(statement, 2, addr);
    (void)sqlite3_bind_int64(statement, 3, removed_ms);
    return pc_sqlite_step(sqlite, statement);
}

int pc_sqlite_visit_removals(struct pc_sqlite *sqlite, pc_store_visit_removal visit, void *context)
{
    int result = 0;
    sqlite3_stmt *rows = pc_sqlite_prepare(sqlite, PC_SQLITE_TOMBSTONES, &result);
    if (!rows)
        return result;
    while ((result = pc_sqlite_step(sqlite, rows)) == 1) {
        struct pc_peer_id id;
        struct pc_maddr addr;
        struct pc_delta removal;
        struct pc_bytes key = pc_sqlite_column_bytes(rows, 0), bytes = pc_sqlite_column_bytes(rows, 1);
        if (!read_key(key, &id))
            continue; /* not of our making */
        if (id.size == 0)
            bytes = pc_bytes_of(key.data + 1, key.size - 1);
        addr.size = 0;
        if (bytes.size && pc_addr_maddr_from_bytes(bytes, &addr))
            continue;
        pc_cache_delta_init(&removal, &id, pc_addr_maddr_bytes(&addr));
        removal.removed_ms = sqlite3_column_int64(rows, 2);
        result = visit(context, &removal);
        if (result) {
            (void)sqlite3_reset(rows);
            break;
        }
    }
    return result;
}

int pc_sqlite_visit_bans(struct pc_sqlite *sqlite, pc_store_visit_ban visit, void *context)
{
    int result = 0;
    sqlite3_stmt *rows = pc_sqlite_prepare(sqlite, PC_SQLITE_BANS, &result);
    if (!rows)
        return result;
    while ((result = pc_sqlite_step(sqlite, rows)) == 1) {
        struct pc_ban ban;
        if (pc_cache_ban_from_bytes(pc_sqlite_column_bytes(rows, 0), &ban))
            continue; /* check finds it */
        ban.since_ms = sqlite3_column_int64(rows, 1);
        result = visit(context, &ban);
        if (result) {
            (void)sqlite3_reset(rows);
            break;
        }
    }
    return result;
}

int pc_sqlite_ban_put(struct pc_sqlite *sqlite, const struct pc_ban *ban)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_BAN_PUT, &result);
    if (!statement)
        return result;
    pc_sqlite_bind(statement, 1, pc_bytes_of(ban->bytes, ban->size));
    (void)sqlite3_bind_int64(statement, 2, ban->since_ms);
    return pc_sqlite_step(sqlite, statement);
}

int pc_sqlite_ban_lift(struct pc_sqlite *sqlite, const struct pc_ban *ban)
{
    int result = 0;
    sqlite3_stmt *statement = pc_sqlite_prepare(sqlite, PC_SQLITE_BAN_DELETE, &result);
    if (!statement)
        return result;
    pc_sqlite_bind(statement, 1, pc_bytes_of(ban->bytes, ban->size));
    result = pc_sqlite_step(sqlite, statement);
    if (result || sqlite3_changes(sqlite->db) > 0)
        return result;
    pc_base_reason(sqlite->reason, "%s: there is no such ban", sqlite->path);
    return PEERCACHE_ENOTFOUND;
}

int pc_sqlite_bans_within_limit(struct pc_sqlite *sqlite)
{
    int result = 0;
    sqlite3_stmt *count = pc_sqlite_prepare(sqlite, PC_SQLITE_BAN_COUNT, &result);
    if (!count)
        return result;
    result = pc_sqlite_step(sqlite, count);
    if (result < 0)
        return result;
    bool is_over = sqlite3_column_int64(count, 0) > PC_CACHE_BANS_MAX;
    (void)sqlite3_reset(count);
    if (!is_over)
        return 0;
    pc_base_reason(sqlite->reason, "%s: over %d bans", sqlite->path, PC_CACHE_BANS_MAX);
    return PEERCACHE_ELIMIT;
}
