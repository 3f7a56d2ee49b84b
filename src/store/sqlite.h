/*
 * The SQLite store: its inside, in three nouns. A connection (sqlite_rows.c) reads and writes rows; a file
 * (sqlite_file.c) is found, made, recognised, moved aside and salvaged; the store (sqlite.c) joins them under
 * the lock.
 */
#ifndef PC_STORE_SQLITE_H
#define PC_STORE_SQLITE_H

#include "base/rng.h"
#include "cache/bucket.h"
#include "store/lock.h"
#include "store/store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define PC_SQLITE_APPLICATION_ID 0x70636368 /* "pcch" */
#define PC_SQLITE_USER_VERSION   1

#define PC_SQLITE_LEDGER_MAX     4096   /* writers remembered */
#define PC_SQLITE_TOMBSTONES_MAX 10000  /* the newest are kept */
#define PC_SQLITE_LOG_MAX        100000 /* changes told to others; who is further behind reads anew */
#define PC_SQLITE_LOG_SLACK      10000  /* it is cut back when it is over by so much */
#define PC_SQLITE_NETWORK_BYTES  128

/* One statement each, prepared at first use and kept. */
#define PC_SQLITE_STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN")                                                                                        \
    X(BEGIN_IMMEDIATE, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                                      \
    X(ROLLBACK, "ROLLBACK")                                                                                  \
    X(META_GET, "SELECT value FROM meta WHERE key=?1")                                                       \
    X(META_PUT, "INSERT INTO meta(key,value) VALUES(?1,?2) "                                                 \
                "ON CONFLICT(key) DO UPDATE SET value=excluded.value")                                       \
    X(META_DELETE, "DELETE FROM meta WHERE key=?1")                                                          \
    X(META_KEYS, "SELECT key FROM meta WHERE substr(key,1,length(?1))=?1")                                   \
    X(STATE_GET, "SELECT n,new_count,tried_count FROM state")                                                \
    X(STATE_PUT, "UPDATE state SET n=?1,new_count=?2,tried_count=?3")                                        \
    X(LEDGER_GET, "SELECT sequence FROM ledger WHERE writer=?1")                                             \
    X(LEDGER_PUT, "INSERT INTO ledger(writer,sequence,change) VALUES(?1,?2,?3) ON CONFLICT(writer) "         \
                  "DO UPDATE SET sequence=excluded.sequence,change=excluded.change")                         \
    X(LEDGER_TRIM, "DELETE FROM ledger WHERE writer IN (SELECT writer FROM ledger ORDER BY change DESC "     \
                   "LIMIT -1 OFFSET ?1)")                                                                    \
    X(LOG_PUT, "INSERT INTO log(n,key) VALUES(?1,?2)")                                                       \
    X(LOG_FIRST, "SELECT min(n) FROM log")                                                                   \
    X(LOG_SINCE, "SELECT DISTINCT key FROM log WHERE n>?1")                                                  \
    X(LOG_TRIM, "DELETE FROM log WHERE n<=?1")                                                               \
    X(PEER_BY_KEY, "SELECT key,state,bucket,addrs FROM peer WHERE key=?1")                                   \
    X(PEERS_BY_KEY, "SELECT key,state,bucket,addrs FROM peer ORDER BY key")                                  \
    X(PEERS_AFTER, "SELECT key,state,bucket,addrs FROM peer WHERE key>?1 ORDER BY key LIMIT ?2")             \
    X(PEERS_DOWN, "SELECT key,state,bucket,addrs FROM peer ORDER BY key DESC")                               \
    X(PEERS_IN_BUCKETS, "SELECT key,state,bucket,addrs FROM peer WHERE state=?1 AND bucket>=?2 "             \
                        "ORDER BY bucket,class DESC,day DESC LIMIT ?3")                                      \
    X(BUCKET_COUNT, "SELECT count(*) FROM (SELECT 1 FROM peer WHERE state=?1 AND bucket=?2 LIMIT ?3)")       \
    X(BUCKET_LEAST, "SELECT key,class,day FROM peer WHERE state=?1 AND bucket=?2 "                           \
                    "ORDER BY class,day LIMIT 1")                                                            \
    X(LEAST_FROM, "SELECT key,class,day FROM peer WHERE state=0 AND bucket=(SELECT min(bucket) FROM peer "   \
                  "WHERE state=0 AND bucket>=?1) ORDER BY class,day LIMIT 1")                                \
    X(WAITING, "SELECT key FROM peer WHERE wants=?1 LIMIT 1")                                                \
    X(PEER_INSERT, "INSERT INTO peer(key,state,bucket,class,day,wants,addrs) VALUES(?1,?2,?3,?4,?5,?6,?7)")  \
    X(PEER_UPDATE, "UPDATE peer SET state=?2,bucket=?3,class=?4,day=?5,wants=?6,addrs=?7 WHERE key=?1")      \
    X(PEER_TOUCH, "UPDATE peer SET addrs=?2 WHERE key=?1")                                                   \
    X(PEER_DELETE, "DELETE FROM peer WHERE key=?1")                                                          \
    X(TOMBSTONE_ANY, "SELECT EXISTS(SELECT 1 FROM tombstone)")                                               \
    X(TOMBSTONE_GET, "SELECT max(removed_ms) FROM tombstone WHERE key=?1 AND addr IN (x'',?2)")              \
    X(TOMBSTONE_PUT, "INSERT INTO tombstone(key,addr,removed_ms) VALUES(?1,?2,?3) "                          \
                     "ON CONFLICT(key,addr) DO UPDATE SET removed_ms=max(removed_ms,excluded.removed_ms)")   \
    X(TOMBSTONE_DATE, "UPDATE tombstone SET removed_ms=?3 WHERE key=?1 AND addr IN (x'',?2) "                \
                      "AND removed_ms>?3")                                                                   \
    X(TOMBSTONES_TRIM, "DELETE FROM tombstone WHERE removed_ms<(SELECT removed_ms FROM tombstone "           \
                       "ORDER BY removed_ms DESC LIMIT 1 OFFSET ?1)")                                        \
    X(TOMBSTONES_EXPIRE, "DELETE FROM tombstone WHERE removed_ms<?1")                                        \
    X(TOMBSTONES, "SELECT key,addr,removed_ms FROM tombstone")                                               \
    X(BANS, "SELECT key,since_ms FROM ban ORDER BY key")                                                     \
    X(BAN_COUNT, "SELECT count(*) FROM ban")                                                                 \
    X(BAN_PUT, "INSERT INTO ban(key,since_ms) VALUES(?1,?2) ON CONFLICT(key) DO NOTHING")                    \
    X(BAN_DELETE, "DELETE FROM ban WHERE key=?1")                                                            \
    X(LEDGER, "SELECT writer,sequence FROM ledger")

enum pc_sqlite_statement {
#define PC_X(name, sql) PC_SQLITE_##name,
    PC_SQLITE_STATEMENTS(PC_X)
#undef PC_X
        PC_SQLITE_STATEMENT_COUNT
};

struct pc_sqlite {
    sqlite3 *db;
    sqlite3_stmt *statements[PC_SQLITE_STATEMENT_COUNT];
    bool has_written;         /* it has a writer's cache of pages */
    int error;                /* the SQLite code of the last failure */
    struct pc_reason *reason; /* where its text goes; may be NULL */
    const char *path;         /* for the text */
};

/* ---- sqlite_rows.c: results are 0, 1 for a row where said, or a PEERCACHE_E… with the reason set. ---- */

/* The result code for SQLite's, with the reason. */
int pc_sqlite_fail(struct pc_sqlite *sqlite, int code, const char *what);
int pc_sqlite_exec(struct pc_sqlite *sqlite, const char *sql);
/* A statement ready to bind; NULL: the failure is in *ret_result. Reset it when done. */
sqlite3_stmt *pc_sqlite_prepare(struct pc_sqlite *sqlite, enum pc_sqlite_statement which, int *ret_result);
/* Run one that gives no rows and has at most one integer to bind. */
int pc_sqlite_run(struct pc_sqlite *sqlite, enum pc_sqlite_statement which, int64_t argument);
/* Finalise the statements and close. */
void pc_sqlite_close(struct pc_sqlite *sqlite);

int pc_sqlite_meta_get(struct pc_sqlite *sqlite, const char *key, uint8_t *ret_value, size_t capacity,
                       size_t *ret_size);
int pc_sqlite_meta_put(struct pc_sqlite *sqlite, const char *key, struct pc_bytes value);
int pc_sqlite_meta_delete(struct pc_sqlite *sqlite, const char *key);
/* The one row of state. */
struct pc_sqlite_state {
    int64_t change; /* the number of the last entry of the log */
    int64_t counts[PEERCACHE_STATE_COUNT];
};
int pc_sqlite_state_get(struct pc_sqlite *sqlite, struct pc_sqlite_state *ret_state);
int pc_sqlite_state_put(struct pc_sqlite *sqlite, const struct pc_sqlite_state *state);

/* The key of a peer in the file: its id, or 0xff and the address (so that those without id come last). */
struct pc_sqlite_key {
    size_t size;
    uint8_t bytes[1 + PC_MADDR_MAX_BYTES];
};
void pc_sqlite_key_of(const struct pc_peer_id *id, const struct pc_maddr *addr,
                      struct pc_sqlite_key *ret_key);
/*
 * The record of the row that a peer statement stands on. Addresses whose values are not valid are left out (a
 * flip of a bit in a value is no error to SQLite); ret_bad, when not NULL, counts them. 1: read; 0: nothing
 * valid in it.
 */
int pc_sqlite_row_record(sqlite3_stmt *row, struct pc_record *ret_record, size_t *ret_bad);
/* The record of a key: 1, or 0 and an empty record of `id`. */
int pc_sqlite_find(struct pc_sqlite *sqlite, const struct pc_sqlite_key *key, const struct pc_peer_id *id,
                   struct pc_record *ret_record);
struct pc_bytes pc_sqlite_column_bytes(sqlite3_stmt *row, int column);
int pc_sqlite_tombstone_put(struct pc_sqlite *sqlite, struct pc_bytes key, struct pc_bytes addr,
                            int64_t removed_ms);
/* Keep a ban as of its since_ms; one that is kept stays as it is. */
int pc_sqlite_ban_put(struct pc_sqlite *sqlite, const struct pc_ban *ban);
/* ENOTFOUND there is none. */
int pc_sqlite_ban_lift(struct pc_sqlite *sqlite, const struct pc_ban *ban);
/* ELIMIT over PC_CACHE_BANS_MAX. */
int pc_sqlite_bans_within_limit(struct pc_sqlite *sqlite);
int pc_sqlite_visit_bans(struct pc_sqlite *sqlite, pc_store_visit_ban visit, void *context);
int pc_sqlite_visit_removals(struct pc_sqlite *sqlite, pc_store_visit_removal visit, void *context);
/* Step once: 1 a row, 0 done, or the failure. A statement that is done or failed is reset. */
int pc_sqlite_step(struct pc_sqlite *sqlite, sqlite3_stmt *statement);
/* Binding can fail only by memory, and then the step fails too: SQLite keeps NULL there, which no column of
 * ours takes. */
void pc_sqlite_bind(sqlite3_stmt *statement, int index, struct pc_bytes bytes);

/* ---- sqlite_write.c: one transaction of news. ---- */

/* What a write needs to know of the store, and what it changes of its state. */
struct pc_sqlite_write {
    struct pc_sqlite *sqlite;
    const uint8_t *secret;
    enum pc_netgroup_mode mode;
    const struct pc_cache_quota *quota;
    uint32_t addrs_max;
    uint32_t record_max_bytes;
    struct pc_rng *rng; /* lots of whom to displace */
    int64_t now_ms;
    struct pc_sqlite_state state;
    struct pc_store_tally tally;
    bool has_tombstones; /* any at all */
    bool is_silent;      /* nothing is entered in the log */
};
/* Write a record as it is, its state too; no quota binds it. */
int pc_sqlite_put(struct pc_sqlite_write *write, struct pc_record *record);
/* Give every row its bucket anew: the file has other buckets from now on. */
int pc_sqlite_rebucket(struct pc_sqlite_write *write);
/* Apply one delta. */
int pc_sqlite_apply(struct pc_sqlite_write *write, const struct pc_delta *delta);

/* ---- sqlite_file.c ---- */

struct pc_sqlite_store {
    struct pc_store head;
    struct pc_sqlite sqlite;
    struct pc_store_lock lock;
    struct pc_rng rng;
    dev_t device; /* of the file that is open: when the name leads elsewhere, it was moved aside */
    ino_t inode;
    bool may_move_aside;
    bool no_create;
    enum pc_netgroup_mode mode;
    uint32_t peers_max;
    uint32_t addrs_max;
    uint32_t record_max_bytes;
    int64_t retention_ms;
    struct pc_cache_quota quota; /* of this file */
    char network[PC_SQLITE_NETWORK_BYTES];
    int64_t now_ms;      /* the latest given */
    int64_t seen_change; /* what the owner has taken in */
    int64_t logged;      /* entries of the log that the batch at hand made */
};

/* Connect for writing; the lock is held. Makes, recognises, moves aside. */
int pc_sqlite_connect(struct pc_sqlite_store *store);
/* Connect for reading only. */
int pc_sqlite_connect_read_only(struct pc_sqlite_store *store);
/* The file alone, not yet looked at (sqlite_readonly.c). Errors as of the database, EIO. */
int pc_sqlite_open_read_only(struct pc_sqlite_store *store);
int pc_sqlite_open_db(struct pc_sqlite *sqlite, const char *name, int flags);
/* The one number that a statement gives. */
int pc_sqlite_pragma_int(struct pc_sqlite *sqlite, const char *sql, int64_t *ret_value);
/* Close the connection; without a checkpoint when the file is no longer ours to touch. */
void pc_sqlite_disconnect(struct pc_sqlite_store *store, bool checkpoint);
/* The file was found corrupt, the lock is held: look again, move it aside and salvage, or connect anew when
 * it is well. ECORRUPT: it may not be moved. */
int pc_sqlite_recover(struct pc_sqlite_store *store);
/* Move the open file aside, make a new one, and salvage; the lock is held. */
int pc_sqlite_move_and_salvage(struct pc_sqlite_store *store);
/* A write that is about to begin: its transaction is open. */
int pc_sqlite_write_begin(struct pc_sqlite_store *store, struct pc_sqlite_write *ret_write);
/* Whether the path still leads to the file that is open. */
bool pc_sqlite_is_current(const struct pc_sqlite_store *store);

/* ---- sqlite.c ---- */

int pc_store_sqlite_open(const char *path, const struct pc_store_options *options,
                         struct pc_store **ret_store, struct pc_reason *ret_reason);

#endif
