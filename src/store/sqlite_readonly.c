/*
 * A SQLite file that may not be written is opened all the same: plainly where SQLite can; as one that nobody changes,
 * where it can't make the index of the log and there is no log; else as a copy of both.
 */
#include "store/paths.h"
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_BLOCK_BYTES 65536
#define URI_BYTES        (3 * PC_STORE_PATH_BYTES + 64)

/* file:<path>?immutable=1, with what a URI may not hold escaped. */
static void immutable_uri(const char *path, char ret_uri[URI_BYTES])
{
    size_t at = (size_t)snprintf(ret_uri, URI_BYTES, "file:");
    for (; *path; path++) {
        bool is_plain = strchr("%?#", *path) == NULL;
        at +=
            (size_t)snprintf(ret_uri + at, URI_BYTES - at, is_plain ? "%c" : "%%%02x", (unsigned char)*path);
    }
    (void)snprintf(ret_uri + at, URI_BYTES - at, "?immutable=1");
}

/* Write all of a buffer at the end of a file. */
static bool write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        size -= (size_t)written;
    }
    return true;
}

/* Copy through the file handle that SQLite itself has: closing one of our own would drop the locks that this
 * process may hold on it. */
static bool copy_database(struct pc_sqlite *sqlite, const char *to)
{
    uint8_t block[COPY_BLOCK_BYTES];
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool well = fd >= 0 &&
                sqlite3_file_control(sqlite->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
                file->pMethods && file->pMethods->xFileSize(file, &size) == SQLITE_OK;
    for (sqlite3_int64 at = 0; well && at < size;) {
        int part = size - at < COPY_BLOCK_BYTES ? (int)(size - at) : COPY_BLOCK_BYTES;
        well =
            file->pMethods->xRead(file, block, part, at) == SQLITE_OK && write_all(fd, block, (size_t)part);
        at += part;
    }
    if (fd >= 0 && close(fd))
        well = false;
    return well;
}

/* The write-ahead log carries no locks: it is copied plainly. */
static bool copy_wal(const char *from, const char *to)
{
    uint8_t block[COPY_BLOCK_BYTES];
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool well = in >= 0 && out >= 0;
    ssize_t size = 1;
    while (well && size != 0) {
        size = read(in, block, sizeof(block));
        if (size < 0 && errno == EINTR)
            continue;
        well = size >= 0 && write_all(out, block, (size_t)size);
    }
    if (in >= 0)
        (void)close(in);
    if (out >= 0 && close(out))
        well = false;
    return well;
}

/*
 * A log that we may not recover where it is: database and log are copied aside, and the copy is read. It is
 * removed at once: what is open stays readable.
 */
static int connect_copy(struct pc_sqlite_store *store, const char *uri, const char *wal)
{
    char directory[] = P_tmpdir "/peercache-XXXXXX";
    char db_copy[sizeof(directory) + 16], wal_copy[sizeof(directory) + 16];
    char journal[sizeof(directory) + 16]; /* of the checkpoint; in exclusive mode it stays until the close */
    int64_t pages = 0;
    int result = pc_sqlite_open_db(&store->sqlite, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
    if (result)
        return result;
    if (!mkdtemp(directory)) {
        pc_base_reason(&store->head.error, "%s: %s", directory, strerror(errno));
        pc_sqlite_close(&store->sqlite);
        return PEERCACHE_EIO;
    }
    (void)snprintf(db_copy, sizeof(db_copy), "%s/c.db", directory);
    (void)snprintf(wal_copy, sizeof(wal_copy), "%s/c.db-wal", directory);
    (void)snprintf(journal, sizeof(journal), "%s/c.db-journal", directory);
    bool copied = copy_database(&store->sqlite, db_copy) && copy_wal(wal, wal_copy);
    pc_sqlite_close(&store->sqlite);
    if (copied) {
        result = pc_sqlite_open_db(&store->sqlite, db_copy, SQLITE_OPEN_READWRITE);
        /* Exclusive: the index of the log is kept in memory. The checkpoint puts all into the one file. */
        if (result == 0)
            result =
                pc_sqlite_exec(&store->sqlite, "PRAGMA locking_mode=EXCLUSIVE;PRAGMA journal_mode=DELETE");
        if (result == 0)
            result = pc_sqlite_pragma_int(&store->sqlite, "SELECT count(*) FROM sqlite_schema", &pages);
        if (result)
            pc_sqlite_close(&store->sqlite);
    } else {
        pc_base_reason(&store->head.error, "%s: can't copy it to read it: %s", store->head.path,
                       strerror(errno));
        result = PEERCACHE_EIO;
    }
    (void)unlink(db_copy);
    (void)unlink(wal_copy);
    (void)unlink(journal);
    (void)rmdir(directory);
    return result;
}

int pc_sqlite_open_read_only(struct pc_sqlite_store *store)
{
    char wal[PC_STORE_PATH_BYTES], uri[URI_BYTES];
    struct stat info;
    int64_t tables = 0;
    int result = pc_sqlite_open_db(&store->sqlite, store->head.path, SQLITE_OPEN_READONLY);
    if (result == 0) {
        result = pc_sqlite_pragma_int(&store->sqlite, "SELECT count(*) FROM sqlite_schema", &tables);
        if (result == 0 || result == PEERCACHE_ECORRUPT)
            return result;
        pc_sqlite_close(&store->sqlite);
    }
    if (access(store->head.path, R_OK) || pc_store_path_with(store->head.path, "-wal", wal))
        return result;
    immutable_uri(store->head.path, uri);
    if (stat(wal, &info) || info.st_size == 0)
        return pc_sqlite_open_db(&store->sqlite, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
    return connect_copy(store, uri, wal);
}
