/* The file of a SQLite store: found, made, recognised, moved aside, salvaged. */
#include "store/paths.h"
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS   1000 /* the second line behind the flock, against programs that don't know of it */
#define SALVAGE_PEERS_MAX 10000000
#define BUCKET_BITS_MAX   24

/* Pages kept, in KiB. A reader looks at few pages twice, and fresh memory for each costs it more than a page read
 * again; a writer touches the same ones from batch to batch, and only what was touched takes room. */
#define READER_CACHE_KIB_TEXT "256"
#define WRITER_CACHE_KIB_TEXT "65536"

static const char *const companions[] = { "-wal", "-shm", NULL };

/*
 * Version 1. A peer is one row, found by its key, its addresses packed (cache/pack.h). `bucket` counts the
 * buckets of this file (meta bits_new and bits_tried say how many); `class` and `day` are its standing there,
 * `wants` the bucket of the tried in which it waits for a place. The log has the key of whatever changed, so
 * that what others changed is read off its end; state.n is the number of its last entry.
 */
static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY,value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE state(n INTEGER NOT NULL,new_count INTEGER NOT NULL,tried_count INTEGER NOT NULL);"
    "INSERT INTO state VALUES(0,0,0);"
    "CREATE TABLE peer(key BLOB PRIMARY KEY,state INTEGER NOT NULL,bucket INTEGER NOT NULL,"
    "class INTEGER NOT NULL,day INTEGER NOT NULL,wants INTEGER,addrs BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX peer_place ON peer(state,bucket,class DESC,day DESC);"
    "CREATE INDEX peer_wants ON peer(wants) WHERE wants IS NOT NULL;"
    "CREATE TABLE log(n INTEGER PRIMARY KEY,key BLOB NOT NULL);"
    "CREATE TABLE tombstone(key BLOB NOT NULL,addr BLOB NOT NULL,removed_ms INTEGER NOT NULL,"
    "PRIMARY KEY(key,addr)) WITHOUT ROWID;"
    "CREATE INDEX tombstone_removed ON tombstone(removed_ms);"
    "CREATE TABLE ban(key BLOB PRIMARY KEY,since_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE ledger(writer INTEGER PRIMARY KEY,sequence INTEGER NOT NULL,change INTEGER NOT NULL);"
    "CREATE INDEX ledger_change ON ledger(change);";

static const char *const table_names[] = { "meta", "state", "peer", "log", "tombstone", "ban", "ledger" };
#define TABLES_COUNT (sizeof(table_names) / sizeof(table_names[0]))

bool pc_sqlite_is_current(const struct pc_sqlite_store *store)
{
    struct stat info;
    return store->sqlite.db && stat(store->head.path, &info) == 0 && info.st_dev == store->device &&
           info.st_ino == store->inode;
}

static int remember_inode(struct pc_sqlite_store *store)
{
    struct stat info;
    if (stat(store->head.path, &info)) {
        pc_base_reason(&store->head.error, "%s: %s", store->head.path, strerror(errno));
        return errno == ENOENT ? PEERCACHE_ENOTFOUND : PEERCACHE_EIO;
    }
    store->device = info.st_dev;
    store->inode = info.st_ino;
    return 0;
}

int pc_sqlite_open_db(struct pc_sqlite *sqlite, const char *name, int flags)
{
    int code = sqlite3_open_v2(name, &sqlite->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK) {
        int result = pc_sqlite_fail(sqlite, code, "can't open");
        pc_sqlite_close(sqlite);
        return result;
    }
    (void)sqlite3_busy_timeout(sqlite->db, BUSY_TIMEOUT_MS);
    /* What a stranger's file says is data: no trigger or view of it may call functions. */
    (void)sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

void pc_sqlite_disconnect(struct pc_sqlite_store *store, bool checkpoint)
{
    if (!store->sqlite.db)
        return;
    if (checkpoint)
        (void)sqlite3_wal_checkpoint_v2(store->sqlite.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    else
        (void)sqlite3_db_config(store->sqlite.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    pc_sqlite_close(&store->sqlite);
}

int pc_sqlite_pragma_int(struct pc_sqlite *sqlite, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    int result = code == SQLITE_ROW
                     ? 0
                     : pc_sqlite_fail(sqlite, code == SQLITE_DONE ? SQLITE_CORRUPT : code, "SQLite");
    (void)sqlite3_finalize(statement);
    return result;
}

static bool is_table_of_ours(const char *name)
{
    for (size_t i = 0; name && i < TABLES_COUNT; i++)
        if (strcmp(name, table_names[i]) == 0)
            return true;
    return false;
}

/* How many tables there are, and how many have the names of ours. */
static int count_tables(struct pc_sqlite *sqlite, size_t *ret_tables, size_t *ret_ours)
{
    static const char names[] = "SELECT name FROM sqlite_schema WHERE type='table'";
    sqlite3_stmt *statement = NULL;
    size_t tables = 0, ours = 0;
    int code = sqlite3_prepare_v2(sqlite->db, names, -1, &statement, NULL);
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            tables++;
            ours += is_table_of_ours((const char *)sqlite3_column_text(statement, 0));
        }
    int result = code == SQLITE_DONE ? 0 : pc_sqlite_fail(sqlite, code, "SQLite");
    (void)sqlite3_finalize(statement);
    if (result == 0) {
        *ret_tables = tables;
        *ret_ours = ours;
    }
    return result;
}

enum kind {
    KIND_FRESH, /* nothing in it yet */
    KIND_OURS,
    KIND_NEWER,
};

/* What kind of file it is. ECORRUPT; EFORMAT another program's. */
static int recognise(struct pc_sqlite *sqlite, enum kind *ret_kind)
{
    int64_t application = 0, version = 0;
    size_t tables = 0, ours = 0;
    int result = pc_sqlite_pragma_int(sqlite, "PRAGMA application_id", &application);
    if (result == 0)
        result = pc_sqlite_pragma_int(sqlite, "PRAGMA user_version", &version);
    if (result == 0)
        result = count_tables(sqlite, &tables, &ours);
    if (result)
        return result;
    if (tables == 0 && application == 0 && version == 0) {
        *ret_kind = KIND_FRESH;
        return 0;
    }
    if (application != PC_SQLITE_APPLICATION_ID && ours < TABLES_COUNT) {
        pc_base_reason(sqlite->reason, "%s: a SQLite file of another program", sqlite->path);
        return PEERCACHE_EFORMAT;
    }
    if (application == PC_SQLITE_APPLICATION_ID && version > PC_SQLITE_USER_VERSION) {
        *ret_kind = KIND_NEWER;
        return 0;
    }
    if (application != PC_SQLITE_APPLICATION_ID || version != PC_SQLITE_USER_VERSION || ours < TABLES_COUNT)
        return pc_sqlite_fail(sqlite, SQLITE_CORRUPT, "the header or a table is damaged");
    *ret_kind = KIND_OURS;
    return 0;
}

static const char *mode_name(enum pc_netgroup_mode mode)
{
    return mode == PC_NETGROUP_LOCAL ? "local" : "public";
}

/* Network, mode and secret. ENETWORK with a sentence; ECORRUPT. */
static bool bits_are_valid(const uint8_t bits[PEERCACHE_STATE_COUNT])
{
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++)
        if (bits[state] < 1 || bits[state] > BUCKET_BITS_MAX)
            return false;
    return true;
}

static int read_identity(struct pc_sqlite_store *store, struct pc_sqlite *sqlite, uint8_t ret_secret[16])
{
    char network[PC_SQLITE_NETWORK_BYTES], mode[16];
    size_t network_size = 0, mode_size = 0, secret_size = 0;
    uint8_t secret[16], bits[PEERCACHE_STATE_COUNT];
    size_t bits_size = 0;
    int result =
        pc_sqlite_meta_get(sqlite, "network", (uint8_t *)network, sizeof(network) - 1, &network_size);
    if (result == 0)
        result = pc_sqlite_meta_get(sqlite, "mode", (uint8_t *)mode, sizeof(mode) - 1, &mode_size);
    if (result == 0)
        result = pc_sqlite_meta_get(sqlite, "secret", secret, sizeof(secret), &secret_size);
    if (result == 0)
        result = pc_sqlite_meta_get(sqlite, "buckets", bits, sizeof(bits), &bits_size);
    if (result == PEERCACHE_ENOTFOUND || result == PEERCACHE_ELIMIT ||
        (result == 0 && (secret_size != 16 || bits_size != sizeof(bits) || !bits_are_valid(bits))))
        return pc_sqlite_fail(sqlite, SQLITE_CORRUPT, "it does not say which network it is of");
    if (result)
        return result;
    network[network_size] = '\0';
    mode[mode_size] = '\0';
    if (strcmp(network, store->network) || strcmp(mode, mode_name(store->mode))) {
        pc_base_reason(sqlite->reason, "%s: the cache of network \"%.40s\" (%s), not of \"%.40s\" (%s)",
                       sqlite->path, network, mode, store->network, mode_name(store->mode));
        return PEERCACHE_ENETWORK;
    }
    memcpy(ret_secret, secret, sizeof(secret));
    pc_cache_quota_init_bits(&store->quota, store->peers_max, bits);
    return 0;
}

/* Make the schema, in one transaction: it is there whole or not at all. */
static int create(struct pc_sqlite_store *store)
{
    struct pc_sqlite *sqlite = &store->sqlite;
    char versions[96];
    uint8_t secret[16];
    pc_base_rng_bytes(&store->rng, secret, sizeof(secret));
    (void)snprintf(versions, sizeof(versions), "PRAGMA application_id=%d;PRAGMA user_version=%d",
                   PC_SQLITE_APPLICATION_ID, PC_SQLITE_USER_VERSION);
    int result = pc_sqlite_exec(sqlite, "BEGIN IMMEDIATE");
    if (result)
        return result;
    result = pc_sqlite_exec(sqlite, schema);
    if (result == 0)
        result = pc_sqlite_meta_put(sqlite, "network", pc_bytes_of(store->network, strlen(store->network)));
    if (result == 0)
        result = pc_sqlite_meta_put(sqlite, "mode",
                                    pc_bytes_of(mode_name(store->mode), strlen(mode_name(store->mode))));
    if (result == 0)
        result = pc_sqlite_meta_put(sqlite, "secret", pc_bytes_of(secret, sizeof(secret)));
    pc_cache_quota_init(&store->quota, store->peers_max);
    if (result == 0)
        result =
            pc_sqlite_meta_put(sqlite, "buckets", pc_bytes_of(store->quota.bits, sizeof(store->quota.bits)));
    if (result == 0)
        result = pc_sqlite_exec(sqlite, versions);
    if (result == 0)
        result = pc_sqlite_exec(sqlite, "COMMIT");
    if (result) {
        struct pc_reason reason = store->head.error;
        if (!sqlite3_get_autocommit(sqlite->db))
            (void)pc_sqlite_exec(sqlite, "ROLLBACK"); /* the first failure is the one to tell */
        store->head.error = reason;
        return result;
    }
    memcpy(store->head.secret, secret, sizeof(secret));
    return 0;
}

int pc_sqlite_write_begin(struct pc_sqlite_store *store, struct pc_sqlite_write *ret_write)
{
    int64_t any = 0;
    int result = store->sqlite.has_written
                     ? 0
                     : pc_sqlite_exec(&store->sqlite, "PRAGMA cache_size=-" WRITER_CACHE_KIB_TEXT);
    store->sqlite.has_written = result == 0;
    if (result == 0)
        result = pc_sqlite_run(&store->sqlite, PC_SQLITE_BEGIN_IMMEDIATE, 0);
    if (result)
        return result;
    *ret_write = (struct pc_sqlite_write){
        .sqlite = &store->sqlite,
        .secret = store->head.secret,
        .mode = store->mode,
        .quota = &store->quota,
        .addrs_max = store->addrs_max,
        .record_max_bytes = store->record_max_bytes,
        .rng = &store->rng,
        .now_ms = store->now_ms,
    };
    result = pc_sqlite_state_get(&store->sqlite, &ret_write->state);
    sqlite3_stmt *row = result ? NULL : pc_sqlite_prepare(&store->sqlite, PC_SQLITE_TOMBSTONE_ANY, &result);
    if (!row)
        return result;
    result = pc_sqlite_step(&store->sqlite, row);
    if (result < 0)
        return result;
    any = sqlite3_column_int64(row, 0);
    (void)sqlite3_reset(row);
    ret_write->has_tombstones = any != 0;
    return 0;
}

/* A cache that is to hold more than the file has buckets for: it gets them, in one transaction. They are
 * never taken away again, for others may need them. */
static int grow_buckets(struct pc_sqlite_store *store)
{
    struct pc_cache_quota wanted;
    struct pc_sqlite_write write;
    uint8_t bits[PEERCACHE_STATE_COUNT];
    bool is_small = false;
    pc_cache_quota_init(&wanted, store->peers_max);
    for (size_t state = 0; state < PEERCACHE_STATE_COUNT; state++) {
        is_small |= wanted.bits[state] > store->quota.bits[state];
        bits[state] =
            wanted.bits[state] > store->quota.bits[state] ? wanted.bits[state] : store->quota.bits[state];
    }
    if (!is_small)
        return 0;
    struct pc_cache_quota before = store->quota;
    pc_cache_quota_init_bits(&store->quota, store->peers_max, bits);
    int result = pc_sqlite_write_begin(store, &write);
    if (result == 0)
        result = pc_sqlite_rebucket(&write);
    if (result == 0)
        result = pc_sqlite_meta_put(&store->sqlite, "buckets", pc_bytes_of(bits, sizeof(bits)));
    if (result == 0)
        result = pc_sqlite_state_put(&store->sqlite, &write.state);
    if (result == 0)
        result = pc_sqlite_run(&store->sqlite, PC_SQLITE_COMMIT, 0);
    if (result) {
        struct pc_reason reason = store->head.error;
        if (!sqlite3_get_autocommit(store->sqlite.db))
            (void)pc_sqlite_run(&store->sqlite, PC_SQLITE_ROLLBACK, 0);
        store->head.error = reason;
        store->quota = before;
    }
    return result;
}

/* A file of our own making, with nothing in it; the lock is held, so nobody in this process has it open. */
static int make_file(struct pc_sqlite_store *store)
{
    mode_t mode = pc_store_path_mode(store->head.path);
    char companion[PC_STORE_PATH_BYTES];
    for (size_t i = 0; companions[i]; i++) /* left by a file that is gone: they would be taken for ours */
        if (pc_store_path_with(store->head.path, companions[i], companion) == 0)
            (void)unlink(companion);
    int fd = open(store->head.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0 || (mode & 060 && fchmod(fd, mode))) {
        int error = errno;
        pc_base_reason(&store->head.error, "%s: can't make it: %s", store->head.path, strerror(error));
        if (fd >= 0)
            (void)close(fd);
        return error == EACCES || error == EPERM    ? PEERCACHE_EPERM
               : error == EROFS                     ? PEERCACHE_EREADONLY
               : error == ENOSPC || error == EDQUOT ? PEERCACHE_EFULL
                                                    : PEERCACHE_EIO;
    }
    (void)close(fd); /* nothing was written through it */
    return 0;
}

/* Open, recognise, and make what is missing. KIND_NEWER is left open for reading. */
static int connect_once(struct pc_sqlite_store *store)
{
    enum kind kind = KIND_FRESH;
    int result = pc_sqlite_open_db(&store->sqlite, store->head.path, SQLITE_OPEN_READWRITE);
    if (result)
        return result;
    result = remember_inode(store);
    if (result == 0)
        result = recognise(&store->sqlite, &kind);
    if (result == 0 && kind == KIND_NEWER) {
        store->head.read_only = true;
        pc_base_reason(&store->head.warning, "%s: written by a newer version, opened read-only",
                       store->head.path);
        result = pc_sqlite_exec(&store->sqlite, "PRAGMA query_only=1");
    } else if (result == 0) {
        result = pc_sqlite_exec(&store->sqlite, "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                                                "PRAGMA cache_size=-" READER_CACHE_KIB_TEXT);
        /* The version in the header that forbids writing is one that we never wrote. */
        if (result == 0 && sqlite3_db_readonly(store->sqlite.db, "main") == 1 &&
            access(store->head.path, W_OK) == 0)
            result = pc_sqlite_fail(&store->sqlite, SQLITE_CORRUPT, "SQLite: its header forbids writing");
    }
    if (result == 0)
        result =
            kind == KIND_FRESH ? create(store) : read_identity(store, &store->sqlite, store->head.secret);
    if (result == 0 && kind == KIND_OURS)
        result = grow_buckets(store);
    if (result && kind == KIND_NEWER && result == PEERCACHE_ECORRUPT)
        result = PEERCACHE_EVERSION; /* another schema, which we can't read */
    if (result)
        pc_sqlite_disconnect(store, false);
    return result;
}

int pc_sqlite_connect(struct pc_sqlite_store *store)
{
    bool is_missing = pc_store_path_look(store->head.path) == PC_STORE_FILE_MISSING;
    if (is_missing && store->no_create) {
        pc_base_reason(&store->head.error, "%s: there is no such file", store->head.path);
        return PEERCACHE_ENOTFOUND;
    }
    int result = is_missing ? make_file(store) : 0;
    if (result == 0)
        result = connect_once(store);
    return result == PEERCACHE_ECORRUPT ? pc_sqlite_recover(store) : result;
}

/* Copy what can be read of one direction's walk over the peers, up or down by their keys. Where both come
 * past the same ones, they are written twice. */
static size_t salvage_peers(struct pc_sqlite *from, enum pc_sqlite_statement walk,
                            struct pc_sqlite_write *write)
{
    size_t count = 0;
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(from, walk, &result);
    if (!row)
        return 0;
    while (count < SALVAGE_PEERS_MAX && sqlite3_step(row) == SQLITE_ROW) {
        struct pc_record record;
        if (pc_sqlite_row_record(row, &record, NULL) == 1 && pc_sqlite_put(write, &record) == 0)
            count++;
    }
    (void)sqlite3_reset(row);
    return count;
}

/* Whether the walk up came to its end, so that the one down has nothing to add. */
static bool is_whole(struct pc_sqlite *from)
{
    return sqlite3_errcode(from->db) == SQLITE_OK || sqlite3_errcode(from->db) == SQLITE_DONE;
}

static void salvage_rest(struct pc_sqlite_store *store, struct pc_sqlite *from)
{
    int result = 0;
    sqlite3_stmt *row = pc_sqlite_prepare(from, PC_SQLITE_LEDGER, &result);
    sqlite3_stmt *put = pc_sqlite_prepare(&store->sqlite, PC_SQLITE_LEDGER_PUT, &result);
    while (row && put && sqlite3_step(row) == SQLITE_ROW) {
        (void)sqlite3_bind_int64(put, 1, sqlite3_column_int64(row, 0));
        (void)sqlite3_bind_int64(put, 2, sqlite3_column_int64(row, 1));
        (void)sqlite3_bind_int64(put, 3, 1);
        (void)sqlite3_step(put);
        (void)sqlite3_reset(put);
    }
    (void)sqlite3_reset(row);
    row = pc_sqlite_prepare(from, PC_SQLITE_TOMBSTONES, &result);
    while (row && sqlite3_step(row) == SQLITE_ROW) {
        struct pc_bytes key = pc_sqlite_column_bytes(row, 0);
        if (key.size && pc_sqlite_tombstone_put(&store->sqlite, key, pc_sqlite_column_bytes(row, 1),
                                                sqlite3_column_int64(row, 2)))
            break;
    }
    (void)sqlite3_reset(row);
    row = pc_sqlite_prepare(from, PC_SQLITE_BANS, &result);
    while (row && sqlite3_step(row) == SQLITE_ROW) {
        struct pc_ban ban;
        if (pc_cache_ban_from_bytes(pc_sqlite_column_bytes(row, 0), &ban))
            continue;
        ban.since_ms = sqlite3_column_int64(row, 1);
        if (pc_sqlite_ban_put(&store->sqlite, &ban))
            break;
    }
    (void)sqlite3_reset(row);
}

/* What of a file moved aside can be read goes into the new one. Best effort: whatever fails is left behind in
 * the file aside. A file that no longer says its network is not trusted to be of ours. */
static size_t salvage(struct pc_sqlite_store *store, const char *moved)
{
    struct pc_sqlite from = { .path = moved };
    struct pc_sqlite_write write;
    struct pc_cache_quota quota = store->quota;
    uint8_t secret[16];
    size_t count = 0;
    if (pc_sqlite_open_db(&from, moved, SQLITE_OPEN_READONLY))
        return 0;
    int result = read_identity(store, &from, secret);
    store->quota = quota;
    if (result == 0 && pc_sqlite_write_begin(store, &write) == 0) {
        write.is_silent = true;
        count = salvage_peers(&from, PC_SQLITE_PEERS_BY_KEY, &write);
        if (!is_whole(&from))
            (void)salvage_peers(&from, PC_SQLITE_PEERS_DOWN, &write);
        count = (size_t)(write.state.counts[PEERCACHE_NEW] + write.state.counts[PEERCACHE_TRIED]);
        salvage_rest(store, &from);
        write.state.change = 1; /* who had the old file open has heard of none of it */
        if (pc_sqlite_state_put(&store->sqlite, &write.state) ||
            pc_sqlite_run(&store->sqlite, PC_SQLITE_COMMIT, 0))
            count = 0;
    }
    if (!sqlite3_get_autocommit(store->sqlite.db))
        (void)pc_sqlite_run(&store->sqlite, PC_SQLITE_ROLLBACK, 0);
    (void)sqlite3_db_config(from.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    pc_sqlite_close(&from);
    return count;
}

/* The second look, on a new connection. */
static int look_again(struct pc_sqlite_store *store)
{
    sqlite3_stmt *statement = NULL;
    int result = connect_once(store);
    if (result)
        return result;
    int code = sqlite3_prepare_v2(store->sqlite.db, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        result = pc_sqlite_fail(&store->sqlite, code, "SQLite");
    else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok"))
        result =
            pc_sqlite_fail(&store->sqlite, SQLITE_CORRUPT, (const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    /* A flip in the name of a column is no damage to SQLite, and yet our statements no longer fit. */
    for (int i = 0; i < PC_SQLITE_STATEMENT_COUNT && result == 0; i++)
        (void)pc_sqlite_prepare(&store->sqlite, (enum pc_sqlite_statement)i, &result);
    if (result)
        pc_sqlite_disconnect(store, false);
    return result;
}

int pc_sqlite_move_and_salvage(struct pc_sqlite_store *store)
{
    char moved[PC_STORE_PATH_BYTES];
    struct stat info; /* who was given no time yet names the file by its own */
    int64_t aside_ms = store->now_ms;
    pc_sqlite_disconnect(store, false);
    if (aside_ms == 0 && stat(store->head.path, &info) == 0)
        aside_ms = (int64_t)info.st_mtime * 1000;
    int result = pc_store_path_move_aside(store->head.path, companions, aside_ms, moved, &store->head.error);
    if (result == 0)
        result = make_file(store);
    if (result == 0)
        result = connect_once(store);
    if (result)
        return result;
    store->seen_change = 0;
    size_t count = salvage(store, moved);
    pc_base_reason(&store->head.warning, "the cache was corrupt: moved aside as %s, %zu peers salvaged",
                   moved, count);
    store->head.error.text[0] = '\0';
    return 0;
}

int pc_sqlite_recover(struct pc_sqlite_store *store)
{
    pc_sqlite_disconnect(store, false);
    int result = look_again(store);
    if (result != PEERCACHE_ECORRUPT)
        return result;
    if (!store->may_move_aside) {
        struct pc_reason found = store->head.error;
        pc_base_reason(&store->head.error, "%.120s (left as it is: its name does not end in .db)",
                       found.text);
        return store->sqlite.error == SQLITE_NOTADB ? PEERCACHE_EFORMAT : PEERCACHE_ECORRUPT;
    }
    return pc_sqlite_move_and_salvage(store);
}

/* Where a writer would move it aside, it was to be a cache; nothing is moved by who may only read. */
static int judge_unreadable(struct pc_sqlite_store *store)
{
    const struct pc_reason found = store->head.error;
    if (!store->may_move_aside)
        return store->sqlite.error == SQLITE_NOTADB ? PEERCACHE_EFORMAT : PEERCACHE_ECORRUPT;
    pc_base_reason(&store->head.error, "%.120s" PC_STORE_LEFT_BY_READER, found.text);
    return PEERCACHE_ECORRUPT;
}

int pc_sqlite_connect_read_only(struct pc_sqlite_store *store)
{
    enum kind kind = KIND_FRESH;
    int result = pc_sqlite_open_read_only(store);
    if (result == 0)
        result = remember_inode(store);
    if (result == 0)
        result = recognise(&store->sqlite, &kind);
    if (result == 0 && kind == KIND_FRESH) {
        pc_base_reason(&store->head.error, "%s: nothing is in it yet", store->head.path);
        result = PEERCACHE_ENOTFOUND;
    }
    if (result == 0)
        result = read_identity(store, &store->sqlite, store->head.secret);
    if (result == PEERCACHE_ECORRUPT)
        result = judge_unreadable(store);
    if (result)
        pc_sqlite_disconnect(store, false);
    return result;
}
