/* A database and its log, copied aside to be read where they may not be written. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define COPY_BLOCK_BYTES 65536

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
bool pc_sqlite_copy_database(struct pc_sqlite *sqlite, const char *to)
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
bool pc_sqlite_copy_wal(const char *from, const char *to)
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
