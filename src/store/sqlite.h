/*
 * The SQLite store: its inside, in three nouns. A connection (sqlite_rows.c) reads and writes rows; a file
 * (sqlite_file.c) is found, made, recognised, moved aside and salvaged; the store (sqlite.c) joins them under
 * the lock.
 */
#ifndef PC_STORE_SQLITE_H
#define PC_STORE_SQLITE_H

#include "base/rng.h"
#include "store/lock.h"
#include "store/store.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define PC_SQLITE_APPLICATION_ID 0x70636368 /* "pcch" */
#define PC_SQLITE_USER_VERSION   1

#define PC_SQLITE_LEDGER_MAX     4096  /* writers remembered */
#define PC_SQLITE_TOMBSTONES_MAX 10000 /* the newest are kept */
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
    X(CHANGE_GET, "SELECT n FROM change")                                                                    \
    X(CHANGE_PUT, "UPDATE change SET n=?1")                                                                  \
    X(LEDGER_GET, "SELECT sequence FROM ledger WHERE writer=?1")                                             \
    X(LEDGER_PUT, "INSERT INTO ledger(writer,sequence,change) VALUES(?1,?2,?3) ON CONFLICT(writer) "         \
                  "DO UPDATE SET sequence=excluded.sequence,change=excluded.change")                         \
    X(LEDGER_TRIM, "DELETE FROM ledger WHERE writer IN (SELECT writer FROM ledger ORDER BY change DESC "     \
                   "LIMIT -1 OFFSET ?1)")                                                                    \
    X(PEER_BY_KEY, "SELECT pk,key,state,bucket FROM peer WHERE key=?1")                                      \
    X(PEERS_BY_KEY, "SELECT pk,key,state,bucket FROM peer ORDER BY key")                                     \
    X(PEERS_BEST, "SELECT pk,key,state,bucket FROM peer "                                                    \
                  "ORDER BY state DESC,success_ms DESC,seen_ms DESC LIMIT ?1")                               \
    X(PEERS_CHANGED, "SELECT pk,key,state,bucket FROM peer WHERE change>?1 ORDER BY change")                 \
    X(PEERS_UP, "SELECT pk,key,state,bucket FROM peer ORDER BY pk")                                          \
    X(PEERS_DOWN, "SELECT pk,key,state,bucket FROM peer ORDER BY pk DESC")                                   \
    X(PEER_PUT, "INSERT INTO peer(key,state,bucket,success_ms,seen_ms,change) "                              \
                "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(key) DO UPDATE SET state=excluded.state,"             \
                "bucket=excluded.bucket,success_ms=excluded.success_ms,seen_ms=excluded.seen_ms,"            \
                "change=excluded.change RETURNING pk")                                                       \
    X(PEER_DELETE, "DELETE FROM peer WHERE pk=?1")                                                           \
    X(ADDRS, "SELECT addr,success_count,failure_count,failures,seen_ms,success_ms,attempt_ms,rtt_us,"        \
             "rtt_at_ms,first_seen_ms,source,source_group FROM addr WHERE peer=?1 ORDER BY addr")            \
    X(ADDR_PUT, "INSERT OR REPLACE INTO addr(peer,addr,success_count,failure_count,failures,seen_ms,"        \
                "success_ms,attempt_ms,rtt_us,rtt_at_ms,first_seen_ms,source,source_group) "                 \
                "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)")                                        \
    X(ADDR_DELETE, "DELETE FROM addr WHERE peer=?1 AND addr=?2")                                             \
    X(ADDRS_DELETE, "DELETE FROM addr WHERE peer=?1")                                                        \
    X(TOMBSTONE_GET, "SELECT max(removed_ms) FROM tombstone WHERE key=?1 AND addr IN (x'',?2)")              \
    X(TOMBSTONE_PUT, "INSERT INTO tombstone(key,addr,removed_ms,change) VALUES(?1,?2,?3,?4) "                \
                     "ON CONFLICT(key,addr) DO UPDATE SET change=excluded.change,"                           \
                     "removed_ms=max(removed_ms,excluded.removed_ms)")                                       \
    X(TOMBSTONES_CHANGED, "SELECT DISTINCT key FROM tombstone WHERE change>?1 AND "                          \
                          "NOT EXISTS(SELECT 1 FROM peer WHERE peer.key=tombstone.key)")                     \
    X(TOMBSTONES_TRIM, "DELETE FROM tombstone WHERE removed_ms<(SELECT removed_ms FROM tombstone "           \
                       "ORDER BY removed_ms DESC LIMIT 1 OFFSET ?1)")                                        \
    X(TOMBSTONES, "SELECT key,addr,removed_ms FROM tombstone")                                               \
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
int pc_sqlite_change_get(struct pc_sqlite *sqlite, int64_t *ret_change);

/* The key of a peer in the file: its id, or 0xff and the address (so that those without id come last). */
struct pc_sqlite_key {
    size_t size;
    uint8_t bytes[1 + PC_MADDR_MAX_BYTES];
};
void pc_sqlite_key_of(const struct pc_peer_id *id, const struct pc_maddr *addr,
                      struct pc_sqlite_key *ret_key);
/*
 * The record of the row that a peer statement stands on. Rows whose values are not valid are left out (a flip
 * of a bit in a value is no error to SQLite); ret_bad, when not NULL, counts them. 1: read; 0: nothing valid
 * in it.
 */
int pc_sqlite_row_record(struct pc_sqlite *sqlite, sqlite3_stmt *row, struct pc_record *ret_record,
                         int64_t *ret_pk, size_t *ret_bad);
/* The record of a key: 1, or 0 and an empty record of `id`. */
int pc_sqlite_find(struct pc_sqlite *sqlite, const struct pc_sqlite_key *key, const struct pc_peer_id *id,
                   struct pc_record *ret_record, int64_t *ret_pk);
/* What a write needs to know of the store. */
struct pc_sqlite_write {
    const uint8_t *secret;
    enum pc_netgroup_mode mode;
    int64_t change; /* of this transaction */
    int64_t now_ms;
};
/* Write a record, all its addresses. */
int pc_sqlite_put(struct pc_sqlite *sqlite, struct pc_record *record, const struct pc_sqlite_write *write);
/* Apply one delta. */
int pc_sqlite_apply(struct pc_sqlite *sqlite, const struct pc_delta *delta,
                    const struct pc_sqlite_write *write);
int pc_sqlite_tombstone_put(struct pc_sqlite *sqlite, struct pc_bytes key, struct pc_bytes addr,
                            int64_t removed_ms, int64_t change);

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
    char network[PC_SQLITE_NETWORK_BYTES];
    int64_t now_ms;      /* the latest given */
    int64_t seen_change; /* what the owner has taken in */
};

/* Connect for writing; the lock is held. Makes, recognises, moves aside. */
int pc_sqlite_connect(struct pc_sqlite_store *store);
/* Connect for reading only. */
int pc_sqlite_connect_read_only(struct pc_sqlite_store *store);
/* Close the connection; without a checkpoint when the file is no longer ours to touch. */
void pc_sqlite_disconnect(struct pc_sqlite_store *store, bool checkpoint);
/* The file was found corrupt, the lock is held: look again, move it aside and salvage, or connect anew when
 * it is well. ECORRUPT: it may not be moved. */
int pc_sqlite_recover(struct pc_sqlite_store *store);
/* Whether the path still leads to the file that is open. */
bool pc_sqlite_is_current(const struct pc_sqlite_store *store);

/* ---- sqlite.c ---- */

int pc_store_sqlite_open(const char *path, const struct pc_store_options *options,
                         struct pc_store **ret_store, struct pc_reason *ret_reason);

#endif
